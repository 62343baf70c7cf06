//! Pairing whose owner or connection ends in the middle of it, and what keeps the connection up until then.

use roost_proto::api::device::State;
use roost_proto::login::{Failure, StreamError};
use roost_proto::stanza::{Builder, Jid, Read, Stanza, server_jid};

use super::world::{Step, World, stanzas};
use crate::device::{Command, PairMethod, PairingUpdate};
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

/// An attempt whose link is up, before WhatsApp has said anything.
fn dialled() -> World {
    let mut world = World::unpaired(3);
    pair(&mut world);
    world.commit_everything();
    world.take(Step::LinkUp);
    world
}

fn pair_device(from: Jid) -> Stanza {
    let references = ["2@a", "2@b"].map(|text| Builder::new("ref").bytes(text).build());
    let pair = Builder::new("pair-device").children(references).build();
    let iq = Builder::new("iq").attr("type", "set").attr("id", "s-1").attr("from", from);
    iq.children([pair]).build()
}

fn failed(effects: &[Effect]) -> Option<(&'static str, String)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Pairing(PairingUpdate::Failed { reason, message }) => Some((*reason, message.clone())),
        _ => None,
    })
}

/// So many seconds, without a jump.
fn pass(world: &mut World, seconds: u64) -> Vec<Effect> {
    (0..2 * seconds).flat_map(|_| world.take(Step::Time(500))).collect()
}

fn dials(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Dial { .. }))
}

#[test]
fn a_link_that_shows_codes_pings_before_whatsapp_takes_it_for_dead() {
    let mut world = dialled();
    world.stanza(pair_device(server_jid()));
    world.take(Step::Crypto);
    let sent = stanzas(pass(&mut world, 30));
    let ping = sent.iter().find(|stanza| stanza.text("xmlns").as_deref() == Some("w:p"));
    assert_eq!(ping.and_then(|ping| ping.text("type")).as_deref(), Some("get"), "{sent:?}");
    world.take(Step::AnswerRequest);
    assert_eq!(failed(&pass(&mut world, 19)), None, "it was answered");
    let silent = pass(&mut world, 27);
    assert_eq!(failed(&silent).map(|(reason, _)| reason), Some("CONNECTION_LOST"), "{silent:?}");
}

#[test]
fn a_refused_registration_ends_the_attempt_and_says_why() {
    let refused = [400, 401, 402, 403, 406, 409, 413, 414].map(|code| (code, "REFUSED"));
    for (code, reason) in refused.into_iter().chain([(405, "CLIENT_OUTDATED"), (503, "CONNECTION_LOST")]) {
        let mut world = dialled();
        let told = failed(&world.stanza(Failure::new(u16::into(code)).to_stanza()));
        let (said, message) = told.unwrap_or_else(|| panic!("{code} is told to nobody"));
        assert_eq!(said, reason, "{code}: {message}");
        assert!(matches!(code, 402 | 405) || message.contains(&code.to_string()), "{message}");
        assert_eq!((world.status(), world.account()), (State::Unpaired, None));
        assert!(!dials(&world.take(Step::Time(3_600_000))), "{code}: it goes on by itself");
    }
}

#[test]
fn an_attempt_goes_on_behind_a_restart_and_ends_with_the_last_of_many() {
    let mut world = dialled();
    for _ in 0..3 {
        let again = world.stanza(StreamError::RestartRequired.to_stanza());
        assert!(dials(&again) && failed(&again).is_none(), "{again:?}");
        world.take(Step::LinkUp);
    }
    let last = world.stanza(StreamError::RestartRequired.to_stanza());
    assert_eq!(failed(&last).map(|(reason, _)| reason), Some("CONNECTION_LOST"));
    assert!(!dials(&last));
}

#[test]
fn a_linked_device_that_is_asked_to_pair_comes_back_by_itself() {
    let mut world = World::online(4);
    let effects = world.stanza(pair_device(server_jid()));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Close { .. })), "{effects:?}");
    assert_eq!(world.status(), State::Backoff);
    world.commit_everything();
    assert!(dials(&world.take(Step::Time(3_600_000))));
}

#[test]
fn nobody_but_whatsapp_asks_a_device_to_pair() {
    let mut world = World::online(5);
    let effects = world.stanza(pair_device(Jid::pn("4915188888888")));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Close { .. })), "{effects:?}");
    assert_eq!(world.status(), State::Online);
    let mut world = dialled();
    world.stanza(pair_device(Jid::pn("4915188888888")));
    assert_eq!(world.with_crypto(), 0, "no code is made");
}
