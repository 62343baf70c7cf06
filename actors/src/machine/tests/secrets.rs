//! Secrets of messages: what is encrypted under one is read and sent by whoever owns the device by then.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, Meaning, MessageContent, Parties, Secret, Surroundings};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;

use super::world::World;
use crate::device::{Command, Recipient, SendError, SendRequest};
use crate::port::StateKind;

pub(super) const PEER: &str = "800000@lid";

pub(super) fn request(kind: Content, number: u32) -> SendRequest {
    let content = MessageContent { kind, context: api::Context::default() };
    let to = Recipient::Lid("800000".to_owned());
    SendRequest {
        to,
        content,
        request_id: format!("s{number}"),
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Default::default(),
    }
}

pub(super) fn about(id: &str, from_me: bool) -> Option<api::MessageRef> {
    Some(api::MessageRef { whatsapp_id: id.to_owned(), from_me, sender: String::new() })
}

/// The peer, who speaks with us.
pub(super) fn theirs() -> Surroundings {
    let (chat, own) = (Jid::lid("900000"), PEER.parse().expect("a JID"));
    Surroundings { chat, own, now: UnixMillis(1_700_000_000_000), edited: None, secret: [7; 32] }
}

/// The peer says something with a secret, under this id.
pub(super) fn hears_a_secret(world: &mut World, id: &str) -> Secret {
    let bytes = content::encode(&MessageContent::text(id), &theirs());
    let secret = Secret::of(&bytes).expect("a secret");
    hears(world, id, bytes);
    secret
}

pub(super) fn hears(world: &mut World, id: &str, bytes: Vec<u8>) {
    world.said.insert(id.to_owned(), bytes);
    world.repeated_by_its_sender(id);
    world.calm_down();
}

/// The peer reacts, concealed, to a message of this author.
fn hears_a_reaction(world: &mut World, id: &str, secret: &Secret, author: &str) -> api::ReactionReceived {
    let from_me = author == PEER;
    let reaction = api::Reaction { message: about(id, from_me), emoji: "🐔".into(), concealed: true };
    let reaction = MessageContent { kind: Content::Reaction(reaction), context: api::Context::default() };
    let bytes = content::seal(&reaction, &theirs(), secret, author, [3; 12]).expect("sealed");
    hears(world, &format!("REACTION/{id}"), bytes);
    match world.payloads.last() {
        Some(Payload::ReactionReceived(reaction)) => reaction.clone(),
        other => panic!("no reaction: {other:?}"),
    }
}

/// A text of ours is on its way; its id and its secret.
pub(super) fn says_a_secret(world: &mut World) -> (String, Secret) {
    world.command(Command::Send(Box::new(request(Content::Text("before".into()), 1))));
    world.calm_down();
    let stored = world.messages.values().next().expect("it was accepted");
    let secret = Secret::of(&stored.message.content).expect("a secret");
    (stored.message.whatsapp_id.clone(), secret)
}

pub(super) fn next_owner(world: World) -> World {
    let mut next = world.taken_over();
    next.go_online();
    next
}

#[test]
fn a_concealed_reaction_to_a_message_that_came_is_read_by_the_next_owner() {
    let mut world = World::online(1);
    let secret = hears_a_secret(&mut world, "A");
    let mut next = next_owner(world);
    let reaction = hears_a_reaction(&mut next, "A", &secret, PEER);
    assert_eq!((reaction.emoji.as_str(), reaction.unreadable), ("🐔", false));
    let strange = hears_a_reaction(&mut next, "NEVER", &secret, PEER);
    assert!(strange.unreadable, "nobody here has heard of that message");
}

#[test]
fn the_next_owner_answers_to_a_message_under_its_secret() {
    let mut world = World::online(2);
    let secret = hears_a_secret(&mut world, "A");
    let mut next = next_owner(world);
    let comment = api::Comment { message: about("A", false), text: "well said".into() };
    next.command(Command::Send(Box::new(request(Content::Comment(comment), 2))));
    next.calm_down();
    let stored = next.messages.values().next().expect("it was accepted");
    let Ok(Meaning::Concealed(concealed)) = content::read(&stored.message.content) else { panic!("plain") };
    let (author, ours) = ([PEER.to_owned()], ["900000@lid".to_owned()]);
    let parties = Parties { id: "A", author: &author, answerer: &ours };
    assert!(matches!(concealed.reveal(&secret, parties), Some(Meaning::Commented(..))));
}

#[test]
fn a_concealed_reaction_to_a_message_of_ours_is_read_by_the_next_owner() {
    let mut world = World::online(3);
    let (id, secret) = says_a_secret(&mut world);
    assert!(world.rows.keys().all(|key| key.kind != StateKind::SecretPage), "its own row has it");
    let mut next = next_owner(world);
    let reaction = hears_a_reaction(&mut next, &id, &secret, "900000@lid");
    assert_eq!((reaction.emoji.as_str(), reaction.unreadable), ("🐔", false));
    assert!(reaction.message.expect("of a message").from_me);
}

#[test]
fn the_next_owner_edits_under_the_secret_of_a_message_that_it_has_never_seen() {
    let mut world = World::online(4);
    let (id, secret) = says_a_secret(&mut world);
    let mut next = next_owner(world);
    let edit = |id: &str| {
        let edit = api::EditMessage { whatsapp_id: id.to_owned(), text: "after".into(), encrypted: true };
        Command::Send(Box::new(request(Content::Edit(edit), 2)))
    };
    next.command(edit(&id));
    next.calm_down();
    let stored = next.messages.values().find(|stored| stored.message.request_id == "s2");
    let stored = stored.expect("it was accepted");
    let Ok(Meaning::Concealed(concealed)) = content::read(&stored.message.content) else { panic!("plain") };
    let ours = ["900000@lid".to_owned()];
    let parties = Parties { id: &id, author: &ours, answerer: &ours };
    assert!(matches!(concealed.reveal(&secret, parties), Some(Meaning::Edited { .. })));

    let (token, _) = next.command(edit("3EB0NEVER"));
    next.calm_down();
    assert_eq!(next.told(token), Some(Err(SendError::UnknownMessage)));
}
