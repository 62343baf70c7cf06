//! The version of WhatsApp Web: what a device dials with, and what it makes of being refused for it.

use roost_proto::login::{Failure, FailureReason};
use roost_proto::version::ProtocolVersion;

use super::world::{Step, World};
use crate::machine::{Effect, Event};
use crate::port::Attempt;

const NEWER: ProtocolVersion = ProtocolVersion([2, 3001, 0]);

fn dialled(effects: &[Effect]) -> Vec<ProtocolVersion> {
    let versions = effects.iter().filter_map(|effect| match effect {
        Effect::Dial { version, .. } => Some(*version),
        _ => None,
    });
    versions.collect()
}

/// WhatsApp refuses the login that is on its way.
fn outdated(world: &mut World) -> Vec<Effect> {
    let mut effects = world.take(Step::LinkUp);
    effects.extend(world.stanza(Failure::new(FailureReason::ClientOutdated).to_stanza()));
    effects
}

#[test]
fn a_refused_device_dials_again_when_another_version_is_chosen_and_not_for_the_same() {
    let mut world = World::loaded(1);
    let effects = outdated(&mut world);
    assert!(effects.contains(&Effect::Report(Attempt::Outdated)));
    assert!(dialled(&world.feed(Event::Version(ProtocolVersion::BUILT_IN))).is_empty());
    assert_eq!(dialled(&world.feed(Event::Version(NEWER))), [NEWER]);
}

#[test]
fn a_version_that_was_chosen_during_the_login_is_dialled_at_once() {
    let mut world = World::loaded(2);
    assert!(dialled(&world.feed(Event::Version(NEWER))).is_empty(), "one link at a time");
    let mut effects = outdated(&mut world);
    effects.extend(world.take(Step::Time(1)));
    assert_eq!(dialled(&effects), [NEWER]);
}

#[test]
fn a_device_that_is_online_keeps_its_connection_and_takes_the_version_with_the_next() {
    let mut world = World::online(3);
    assert!(world.feed(Event::Version(NEWER)).is_empty());
    world.take(Step::LinkDown);
    assert_eq!(dialled(&world.take(Step::Time(400_000))), [NEWER]);
}
