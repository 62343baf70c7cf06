//! Pairing whose owner or connection ends in the middle of it.

use roost_proto::api::device::State;
use roost_proto::stanza::{Builder, server_jid};

use super::world::{Step, World};
use crate::device::{Command, PairMethod};
use crate::machine::{Effect, Event};

fn pair(world: &mut World) -> Vec<Effect> {
    world.tokens += 1;
    let command = Command::Pair(Box::new(PairMethod::Qr.into()));
    world.feed(Event::Command { token: world.tokens, command })
}

#[test]
fn a_connection_that_ends_before_the_phones_signature_is_checked_pairs_nothing() {
    let mut world = World::unpaired(1);
    pair(&mut world);
    world.commit_everything();
    world.take(Step::LinkUp);
    let device = Builder::new("device").attr("jid", roost_proto::stanza::Jid::pn_device("4915112345678", 3));
    let identity = Builder::new("device-identity").bytes("signed").build();
    let success = Builder::new("pair-success").children([device.build(), identity]).build();
    let iq = Builder::new("iq").attr("type", "set").attr("id", "s-1").attr("from", server_jid());
    world.stanza(iq.children([success]).build());
    world.take(Step::LinkDown);
    world.commit_everything();
    assert_eq!((world.account(), world.status()), (None, State::Unpaired));
    let again = pair(&mut world);
    assert!(again.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "{again:?}");
}

#[test]
fn an_unlinked_device_that_pairs_again_loses_its_account_together_with_its_old_keys() {
    let mut world = World::unlinked(1);
    pair(&mut world);
    world.take(Step::CommitDone);
    assert!(world.account().is_some(), "the next owner would pair with the old keys");
    world.commit_everything();
    assert_eq!(world.account(), None);
}

#[test]
fn a_device_that_is_being_paired_anew_is_nobodys() {
    let mut world = World::unlinked(2);
    let said = pair(&mut world).into_iter().filter_map(|effect| match effect {
        Effect::Publish(status) => Some((status.state, status.pn, status.lid)),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [(State::Pairing, None, None)]);
}
