//! After a lost tail in which others may have owned the device: what it remembers is not to be believed.

use super::world::{Step, World};
use crate::device::Finished;
use crate::machine::Effect;

#[test]
fn what_was_committed_in_an_earlier_age_is_given_again_before_it_is_acknowledged() {
    let mut world = World::online(1);
    world.take(Step::Message(true));
    world.take(Step::Crypto);
    let effects = world.commit_done_too_late();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send { .. })), "{effects:?}");
    world.calm_down();
    world.check_all_settled();
}

fn ends(world: &mut World) -> bool {
    world.doubt().contains(&Effect::Finish(Finished::Stale))
}

#[test]
fn a_device_that_has_nothing_to_store_goes_on() {
    let mut world = World::online(1);
    world.take(Step::Message(true));
    world.take(Step::Crypto);
    world.take(Step::CommitDone);
    assert!(!ends(&mut world));
    world.take(Step::Message(true));
    world.calm_down();
    world.check_all_settled();
}

#[test]
fn a_device_that_has_made_what_is_in_no_row_yet_ends() {
    let mut world = World::online(2);
    world.take(Step::Message(true));
    assert!(ends(&mut world), "crypto is at work");

    let mut world = World::online(2);
    world.take(Step::Message(true));
    world.take(Step::Crypto);
    assert!(ends(&mut world), "a commit is on its way");

    let mut world = World::online(2);
    world.take(Step::Message(true));
    world.take(Step::Crypto);
    world.take(Step::CommitFailed);
    assert!(ends(&mut world), "a commit waits for its next try");
}
