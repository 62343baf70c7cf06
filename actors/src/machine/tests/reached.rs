//! What a device says of its way to WhatsApp.

use super::world::{Step, World};
use crate::machine::{Effect, Event};
use crate::port::Reached;

fn reached(effects: &[Effect]) -> Option<Reached> {
    let said = effects.iter().rev();
    let mut said =
        said.filter_map(|effect| if let Effect::Reached(said) = effect { Some(*said) } else { None });
    said.next()
}

/// The next attempt.
fn again(world: &mut World) {
    world.take(Step::Time(400_000));
}

#[test]
fn a_device_says_since_when_it_does_not_get_through_and_takes_it_back_when_it_does() {
    let mut world = World::loaded(1);
    let first = reached(&world.take(Step::Unreached)).expect("it says so");
    assert!(first.failing.is_some() && first.heard.is_none());
    again(&mut world);
    assert_eq!(reached(&world.take(Step::Unreached)), None, "since the first failure, not the last");
    again(&mut world);
    let through = reached(&world.take(Step::LinkUp)).expect("it says so");
    assert!(through.heard.is_some() && through.failing.is_none());
}

#[test]
fn a_connection_that_is_lost_and_an_attempt_that_fails_for_other_reasons_say_nothing_of_the_way() {
    let mut world = World::loaded(2);
    assert_eq!(reached(&world.take(Step::LinkDown)), None, "no permit, for example");
    again(&mut world);
    let old = Event::LinkDown { link: 1, why: "test".to_owned(), unreached: true };
    assert_eq!(reached(&world.feed(old)), None, "an old link");
    assert!(reached(&world.take(Step::LinkUp)).is_some());
    assert_eq!(reached(&world.take(Step::LinkDown)), None, "it was up");
}
