//! Pairing that asks for a passkey: what is waited for, for how long, and what goes out when.

use roost_proto::passkey::Assertion;
use roost_proto::stanza::{Builder, Read, Stanza, server_jid};

use super::world::{Step, World};
use crate::device::{Command, PairMethod, PairingUpdate, PasskeyAnswer, PasskeyError};
use crate::machine::{Effect, Event, Reply};

const OPTIONS: &str = r#"{"challenge":"_-8","rpId":"web.whatsapp.com"}"#;

/// An attempt whose code was scanned by an account with a passkey.
fn asked() -> World {
    let mut world = World::unpaired(1);
    command(&mut world, Command::Pair(Box::new(PairMethod::Qr.into())));
    world.take(Step::Crypto);
    commit(&mut world);
    world.take(Step::LinkUp);
    let reference = Builder::new("ref").bytes("2@ref").build();
    let pair = Builder::new("pair-device").children([reference]).build();
    let iq = Builder::new("iq").attr("type", "set").attr("id", "s-1").attr("from", server_jid());
    world.stanza(iq.children([pair]).build());
    world.take(Step::Crypto);
    let effects = notify(&mut world, "passkey_prologue_request", "passkey_request_options", OPTIONS);
    let told = |update: &PairingUpdate| matches!(update, PairingUpdate::Passkey { options, .. } if options == OPTIONS);
    assert!(updates(&effects).any(told), "{effects:?}");
    world
}

/// Everything that waits to be durable is.
fn commit(world: &mut World) {
    for _ in 0..3 {
        world.take(Step::CommitDone);
    }
}

fn notify(world: &mut World, kind: &'static str, tag: &'static str, content: &str) -> Vec<Effect> {
    let child = Builder::new(tag).bytes(content).build();
    let notification = Builder::new("notification").attr("type", kind).attr("id", "s-2");
    world.stanza(notification.attr("from", server_jid()).children([child]).build())
}

fn command(world: &mut World, command: Command) -> Vec<Effect> {
    world.tokens += 1;
    world.feed(Event::Command { token: world.tokens, command })
}

fn answer(world: &mut World, challenge: &str, compare: bool) -> Vec<Effect> {
    let said =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://web.whatsapp.com"}}"#);
    let assertion = Assertion {
        credential: vec![1],
        client_data: said.into_bytes(),
        authenticator_data: vec![2; 37],
        signature: vec![3; 70],
        user: None,
    };
    command(world, Command::AnswerPasskey(Box::new(PasskeyAnswer::Assertion { assertion, compare })))
}

fn taken(effects: &[Effect]) -> Option<Result<(), PasskeyError>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply { reply: Reply::Passkey(result), .. } => Some(result.clone()),
        _ => None,
    })
}

fn updates(effects: &[Effect]) -> impl Iterator<Item = &PairingUpdate> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Pairing(update) => Some(update),
        _ => None,
    })
}

/// WhatsApp's answer to the last request, which has this child.
fn respond(world: &mut World, tag: &str, children: Vec<Stanza>) -> Vec<Effect> {
    let request = world.requests.pop_back().expect("a request");
    assert!(request.child(tag).is_some(), "{request:?}");
    let id = request.text("id").expect("an id").into_owned();
    let result = Builder::new("iq").attr("type", "result").attr("id", id).attr("from", server_jid());
    world.stanza(result.children(children).build())
}

/// The phone's part has come, and WhatsApp has our nonce.
fn shown(compare: bool) -> (World, Vec<Effect>) {
    let mut world = asked();
    assert_eq!(taken(&answer(&mut world, "_-8", compare)), Some(Ok(())));
    respond(&mut world, "ref", vec![Builder::new("ref").bytes("2@other").build()]);
    world.take(Step::Crypto);
    respond(&mut world, "passkey_prologue", Vec::new());
    notify(&mut world, "crsc_continuation", "primary_ephemeral_identity", "key");
    world.take(Step::Crypto);
    let effects = respond(&mut world, "companion_nonce", Vec::new());
    (world, effects)
}

#[test]
fn a_passkey_that_nobody_answers_ends_the_attempt() {
    let mut world = asked();
    assert!(!updates(&world.take(Step::Time(299_000))).any(is_over), "five minutes are not over");
    assert!(updates(&world.take(Step::Time(2_000))).any(is_over));
    assert_eq!(taken(&answer(&mut world, "_-8", false)), Some(Err(PasskeyError::NotAsked)));
}

fn is_over(update: &PairingUpdate) -> bool {
    matches!(update, PairingUpdate::Failed { reason: "PASSKEY_EXPIRED", .. })
}

#[test]
fn an_answer_is_taken_once_and_for_its_challenge() {
    let mut world = asked();
    assert_eq!(taken(&answer(&mut world, "AAAA", false)), Some(Err(PasskeyError::OtherChallenge)));
    assert_eq!(taken(&answer(&mut world, "_-8", false)), Some(Ok(())));
    assert_eq!(taken(&answer(&mut world, "_-8", false)), Some(Ok(())), "the same again");
    assert_eq!(world.requests.len(), 1, "one reference is asked for");
    assert_eq!(taken(&answer(&mut world, "AAAA", false)), Some(Err(PasskeyError::NotAsked)));
}

#[test]
fn the_new_secret_is_durable_before_the_phone_gets_it() {
    let (mut world, effects) = shown(false);
    let code = |update: &PairingUpdate| matches!(update, PairingUpdate::PasskeyCode { compare: false, .. });
    assert!(updates(&effects).any(code), "{effects:?}");
    world.take(Step::Crypto);
    assert!(world.requests.is_empty(), "nothing goes out before the commit");
    commit(&mut world);
    assert_eq!(world.credentials(), Some("sealed"));
    respond(&mut world, "encrypted_pairing_request", Vec::new());
}

#[test]
fn codes_are_compared_before_anything_is_sealed_when_that_was_asked_for() {
    let (mut world, _) = shown(true);
    world.take(Step::Crypto);
    commit(&mut world);
    assert_ne!(world.credentials(), Some("sealed"));
    let same = command(&mut world, Command::AnswerPasskey(Box::new(PasskeyAnswer::Same)));
    assert_eq!(taken(&same), Some(Ok(())));
    world.take(Step::Crypto);
    commit(&mut world);
    respond(&mut world, "encrypted_pairing_request", Vec::new());
}

#[test]
fn the_phones_key_is_taken_once_and_only_after_our_commitment() {
    let mut world = asked();
    answer(&mut world, "_-8", true);
    let phone =
        |world: &mut World, key| notify(world, "crsc_continuation", "primary_ephemeral_identity", key);
    phone(&mut world, "early");
    assert_eq!(world.with_crypto(), 0, "an attempt before this one may have made a commitment");
    respond(&mut world, "ref", vec![Builder::new("ref").bytes("2@other").build()]);
    world.take(Step::Crypto);
    respond(&mut world, "passkey_prologue", Vec::new());
    phone(&mut world, "key");
    phone(&mut world, "another");
    assert_eq!(world.with_crypto(), 1);
}
