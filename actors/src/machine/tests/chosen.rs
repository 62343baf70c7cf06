//! Ids of WhatsApp that callers choose.

use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, MessageContent};
use roost_proto::stanza::{Jid, Read, Stanza};

use super::posts;
use super::secrets::{hears, next_owner, request, theirs};
use super::world::World;
use crate::device::{Command, Recipient, SendError, SendRequest};

const OURS: &str = "3EB0C0FFEE";

fn under(id: &str, number: u32) -> SendRequest {
    let text = Content::Text(format!("text {number}"));
    SendRequest { whatsapp_id: Some(id.to_owned()), ..request(text, number) }
}

/// A post of our id for one person.
fn post(person: &str, number: u32, request_hash: [u8; 32]) -> SendRequest {
    let to = Recipient::Status(vec![Jid::lid(person)]);
    SendRequest { to, request_hash, ..under(OURS, number) }
}

/// It goes to whom the second post names, and not to whom the refused one does.
fn assert_for_the_second_alone(message: &Stanza) {
    let named = posts::named(message);
    let is_named = |person: &str| named.iter().any(|named| named == person);
    assert!(is_named("800000@lid") && !is_named("700000@lid"), "{named:?}");
}

/// What the caller hears: the id of his message.
fn asked(world: &mut World, request: SendRequest) -> Result<String, SendError> {
    let request_id = request.request_id.clone();
    let (token, _) = world.command(Command::Send(Box::new(request)));
    world.commit_everything();
    world.told(token).expect("it is answered")?;
    let stored = world.messages.values().find(|stored| stored.message.request_id == request_id);
    Ok(stored.expect("it was accepted").message.whatsapp_id.clone())
}

#[test]
fn a_chosen_id_is_that_of_one_message_whoever_owns_the_device() {
    let mut world = World::online(1);
    assert_eq!(asked(&mut world, under(OURS, 1)), Ok(OURS.to_owned()));
    world.calm_down();
    let mut next = next_owner(world);
    assert_eq!(asked(&mut next, under(OURS, 1)), Ok(OURS.to_owned()), "it is the same message");
    assert_eq!(asked(&mut next, under(OURS, 2)), Err(SendError::IdTaken));
    assert_ne!(asked(&mut next, request(Content::Text("any".into()), 3)).expect("accepted"), OURS);
}

#[test]
fn an_id_that_was_heard_in_the_chat_is_taken_there() {
    let mut world = World::online(2);
    let text = content::encode(&MessageContent::text("hens"), &theirs());
    hears(&mut world, "THEIRS-1", text);
    assert_eq!(asked(&mut world, under("THEIRS-1", 1)), Err(SendError::IdTaken));
    let elsewhere = SendRequest { to: Recipient::Lid("700000".into()), ..under("THEIRS-1", 2) };
    assert_eq!(asked(&mut world, elsewhere), Ok("THEIRS-1".to_owned()), "in another chat it is another");
}

#[test]
fn a_refused_id_changes_nobody_of_whom_a_post_was_for() {
    let mut world = World::online(3);
    assert_eq!(asked(&mut world, post("700000", 1, [0; 32])), Ok(OURS.to_owned()));
    world.calm_down();
    assert_eq!(asked(&mut world, post("800000", 2, [0; 32])), Err(SendError::IdTaken));
    let back = posts::sent(&mut world, posts::taking_back(OURS));
    let named = back.child("participants").map(Read::all).unwrap_or_default();
    assert_eq!(named.iter().filter_map(|to| to.jid("jid")).collect::<Vec<_>>(), [Jid::lid("700000")]);
}

#[test]
fn a_post_that_was_refused_leaves_its_people_to_no_other_one() {
    let mut world = World::online(4);
    assert!(asked(&mut world, request(Content::Text("any".into()), 1)).is_ok());
    world.calm_down();
    let reused = post("700000", 1, [1; 32]);
    assert_eq!(asked(&mut world, reused), Err(SendError::KeyReused));
    let message = posts::sent(&mut world, post("800000", 2, [2; 32]));
    assert_eq!(message.jid("to"), "status@broadcast".parse().ok());
    assert_for_the_second_alone(&message);
}

#[test]
fn a_second_post_of_one_id_waits_until_it_is_known_what_becomes_of_the_first() {
    let mut world = World::online(5);
    assert!(asked(&mut world, request(Content::Text("any".into()), 1)).is_ok());
    world.calm_down();
    let (refused, _) = world.command(Command::Send(Box::new(post("700000", 1, [1; 32]))));
    let (early, _) = world.command(Command::Send(Box::new(post("800000", 2, [2; 32]))));
    assert_eq!(world.told(early), Some(Err(SendError::Unavailable)));
    world.commit_everything();
    assert_eq!(world.told(refused), Some(Err(SendError::KeyReused)));
    assert_for_the_second_alone(&posts::sent(&mut world, post("800000", 2, [2; 32])));
}
