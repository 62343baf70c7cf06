//! Status posts: for whom they go out, how they are taken back, and who gets them again.

use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::MessageContent;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::{Step, World};
use crate::device::{Command, Recipient, SendError, SendRequest};

fn place() -> Jid {
    "status@broadcast".parse().expect("a JID")
}

fn request(people: Vec<Jid>, kind: Content, number: u32) -> SendRequest {
    let content = MessageContent { kind, context: api::Context::default() };
    let request_id = format!("p{number}");
    SendRequest {
        to: Recipient::Status(people),
        content,
        request_id,
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Default::default(),
    }
}

pub(super) fn post(people: Vec<Jid>) -> SendRequest {
    request(people, Content::Text("hens for sale".into()), 1)
}

pub(super) fn taking_back(id: &str) -> SendRequest {
    let message = api::MessageRef { whatsapp_id: id.to_owned(), from_me: true, ..Default::default() };
    request(Vec::new(), Content::Revoke(api::RevokeMessage { message: Some(message) }), 2)
}

/// Sends it; what went on the wire.
pub(super) fn sent(world: &mut World, request: SendRequest) -> Stanza {
    let (_, mut stanzas) = world.command(Command::Send(Box::new(request)));
    for _ in 0..20 {
        stanzas.extend(world.commit_everything());
        stanzas.extend(super::world::stanzas(world.take(Step::AnswerRequest)));
        if let Some(message) = stanzas.iter().find(|stanza| stanza.tag == "message") {
            return message.clone();
        }
    }
    panic!("nothing was sent");
}

pub(super) fn named(message: &Stanza) -> Vec<String> {
    let participants = message.child("participants").map(Read::all).unwrap_or_default();
    participants.iter().filter_map(|to| Some(to.jid("jid")?.to_string())).collect()
}

#[test]
fn a_post_names_each_person_once_and_carries_one_ciphertext_for_all() {
    let mut world = World::online(1);
    // The answer about the number says that it belongs to the hidden identity beside it.
    let message =
        sent(&mut world, post(vec![Jid::pn("4915188888881"), Jid::lid("800000"), Jid::lid("700000")]));
    assert_eq!(message.jid("to"), Some(place()));
    assert_eq!(named(&message), ["700000@lid", "800000@lid"]);
    assert_eq!(message.text("addressing_mode"), None);
    let kinds: Vec<_> = message.all_named("enc").filter_map(|enc| enc.text("type")).collect();
    assert_eq!(kinds, ["skmsg"]);
}

#[test]
fn whoever_owns_the_device_by_then_takes_a_post_back_from_the_same_people() {
    let mut world = World::online(2);
    let id = sent(&mut world, post(vec![Jid::lid("700000")])).text("id").expect("an id").into_owned();
    let mut next = world.taken_over();
    next.go_online();
    let back = sent(&mut next, taking_back(&id));
    assert_eq!(named(&back), ["700000@lid"]);
    assert_eq!(back.text("edit").as_deref(), Some("7"));
}

#[test]
fn a_post_of_which_nobody_knows_cannot_be_taken_back() {
    let mut world = World::online(3);
    let (token, _) = world.command(Command::Send(Box::new(taking_back("3EB0GONE"))));
    assert_eq!(world.told(token), Some(Err(SendError::UnknownMessage)));
    let id = sent(&mut world, post(vec![Jid::lid("700000")])).text("id").expect("an id").into_owned();
    world.calm_down();
    world.take(Step::Time(25 * 3600 * 1000));
    world.calm_down();
    // The next post takes the memory of old ones with it.
    sent(&mut world, request(vec![Jid::lid("700000")], Content::Text("eggs".into()), 3));
    let (token, _) = world.command(Command::Send(Box::new(taking_back(&id))));
    assert_eq!(world.told(token), Some(Err(SendError::UnknownMessage)));
}

#[test]
fn a_post_is_given_again_to_who_may_see_it_and_to_nobody_else() {
    for (lid, again) in [("700000", true), ("666666", false)] {
        let mut world = World::online(4);
        let message = sent(&mut world, post(vec![Jid::lid("700000")]));
        let retry = Builder::new("retry").attr("count", 1u64).build();
        let receipt = Builder::new("receipt")
            .attr("from", place())
            .attr("participant", Jid::lid_device(lid, 1))
            .attr("id", message.text("id").expect("an id").into_owned())
            .attr("type", "retry")
            .children([retry]);
        let mut stanzas = super::world::stanzas(world.stanza(receipt.build()));
        for _ in 0..5 {
            stanzas.extend(world.commit_everything());
            stanzas.extend(super::world::stanzas(world.take(Step::AnswerRequest)));
        }
        let resent = stanzas.iter().find(|stanza| stanza.tag == "message");
        assert_eq!(resent.is_some(), again, "{lid}");
        assert!(stanzas.iter().any(|stanza| stanza.tag == "ack"), "the receipt is settled");
    }
}

#[test]
fn whoever_owns_the_device_by_then_gives_a_post_again_to_who_has_it_under_the_other_name() {
    for (lid, again) in [("700000", true), ("666666", false)] {
        let mut world = World::online(7);
        let id =
            sent(&mut world, post(vec![Jid::pn("4915177777777")])).text("id").expect("an id").into_owned();
        let mut next = world.taken_over();
        next.knows("4915177777777", "700000");
        next.go_online();
        let receipt = Builder::new("receipt")
            .attr("from", place())
            .attr("participant", Jid::lid_device(lid, 1))
            .attr("id", id)
            .attr("type", "retry")
            .children([Builder::new("retry").attr("count", 1u64).build()]);
        let mut stanzas = super::world::stanzas(next.stanza(receipt.build()));
        for _ in 0..5 {
            stanzas.extend(next.commit_everything());
            stanzas.extend(super::world::stanzas(next.take(Step::AnswerRequest)));
        }
        assert_eq!(stanzas.iter().any(|stanza| stanza.tag == "message"), again, "{lid}");
        assert!(stanzas.iter().any(|stanza| stanza.tag == "ack"), "the receipt is settled");
    }
}

#[test]
fn posts_of_others_are_told_and_so_is_who_has_seen_ours() {
    let mut world = World::online(5);
    let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(b"S1".to_vec()).build();
    let theirs = Builder::new("message")
        .attr("from", place())
        .attr("participant", Jid::lid_device("800000", 2))
        .attr("id", "S1")
        .attr("t", 1_700_000_000u64)
        .attr("type", "text")
        .children([enc]);
    world.stanza(theirs.build());
    let answers = world.commit_everything();
    let receipt = answers.iter().find(|stanza| stanza.tag == "receipt").expect("a receipt");
    assert_eq!(receipt.jid("participant"), Some(Jid::lid_device("800000", 2)));
    assert!(world.events().contains("msg/status@broadcast/800000@lid/S1"));
    let ours = sent(&mut world, post(vec![Jid::lid("800000")])).text("id").expect("an id").into_owned();
    let seen = Builder::new("receipt")
        .attr("from", place())
        .attr("participant", Jid::lid_device("800000", 2))
        .attr("id", ours)
        .attr("type", "read");
    world.stanza(seen.build());
    world.commit_everything();
    let read = format!("/800000@lid/{}", api::message::State::Read as i32);
    assert!(world.events().iter().any(|event| event.starts_with("receipt/") && event.ends_with(&read)));
}

#[test]
fn a_reaction_to_a_post_goes_to_who_has_posted_it_each_device_for_itself() {
    let mut world = World::online(6);
    let message = api::MessageRef { whatsapp_id: "S1".into(), from_me: false, sender: "700000@lid".into() };
    let reaction = api::Reaction { message: Some(message), emoji: "🐔".into(), concealed: false };
    let out = sent(&mut world, request(vec![Jid::lid("700000")], Content::Reaction(reaction), 1));
    assert_eq!((out.jid("to"), out.text("type").as_deref()), (Some(place()), Some("reaction")));
    assert!(out.child("enc").is_none(), "nothing is for all");
    let named = named(&out);
    assert!(named.iter().any(|jid| jid.starts_with("700000")), "{named:?}");
    assert!(named.iter().all(|jid| jid.starts_with("700000") || jid.starts_with("900000")), "{named:?}");
}
