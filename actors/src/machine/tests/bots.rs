//! What bots answer: each piece is told, read or not.

use roost_proto::api;
use roost_proto::api::bot_answered::Content as Said;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, BotKey, MessageContent, Parties, Secret};
use roost_proto::stanza::{Builder, Jid, JidExt as _, Read, Stanza};

use super::posts::sent;
use super::secrets::{PEER, hears_a_secret, next_owner, says_a_secret, theirs};
use super::world::World;
use crate::device::{Recipient, SendRequest};

const BOT: &str = "867051314767696@bot";

/// A piece of an answer to a message of this author: `edit` says which, and the id of the first.
fn piece(id: &str, question: (&str, &str), text: &str, secret: &Secret, edit: (&str, &str)) -> Stanza {
    let (asked, asker) = question;
    let (author, bot) = ([asker.to_owned()], [BOT.to_owned()]);
    let parties = Parties { id: edit.1, author: &author, answerer: &bot };
    let message = content::encode(&MessageContent::text(text), &theirs());
    let key = BotKey::of(secret).expect("a key");
    let sealed = content::seal_bot(&message, &key, parties, [5; 12]).expect("sealed");
    let jid = |text: &str| text.parse::<Jid>().expect("a JID");
    let meta = Builder::new("meta")
        .attr("target_id", asked.to_owned())
        .attr("target_sender_jid", jid(asker))
        .attr("target_chat_jid", jid(PEER));
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msmsg").bytes(sealed);
    let bot = Builder::new("bot").attr("edit", edit.0.to_owned()).attr("edit_target_id", edit.1.to_owned());
    Builder::new("message")
        .attr("from", jid(BOT))
        .attr("id", id.to_owned())
        .attr("t", 1_700_000_000u64)
        .attr("type", "text")
        .children([bot.build(), meta.build(), enc.build()])
        .build()
}

/// What is told of it, and what WhatsApp is.
fn hears(world: &mut World, piece: Stanza) -> (api::BotAnswered, Stanza) {
    world.stanza(piece);
    let mut sent = world.commit_everything();
    match world.payloads.last() {
        Some(Payload::BotAnswered(told)) => (told.clone(), sent.pop().expect("it is settled")),
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_bot_that_is_asked_in_a_chat_is_heard_piece_by_piece_also_by_the_next_owner() {
    let mut world = World::online(1);
    let (id, ours) = says_a_secret(&mut world);
    let to_us = (id.as_str(), "900000@lid");
    let (told, settled) = hears(&mut world, piece("P1", to_us, "Hens", &ours, ("first", "P1")));
    assert_eq!(
        (told.content, told.unfinished, told.answer.as_str()),
        (Some(Said::Text("Hens".into())), true, "P1")
    );
    assert_eq!((told.bot.as_str(), told.chat.expect("of two").lid.as_str()), (BOT, PEER));
    assert!(told.question.expect("to a question").from_me);
    assert_eq!((&*settled.tag, settled.text("error")), ("ack", None));

    let mut next = next_owner(world);
    let (told, _) = hears(&mut next, piece("P2", to_us, "Hens lay eggs.", &ours, ("last", "P1")));
    let all = Some(Said::Text("Hens lay eggs.".into()));
    assert_eq!((told.content, told.unfinished, told.answer.as_str()), (all, false, "P1"));
    assert_eq!(told.whatsapp_id, "P2");

    let theirs = hears_a_secret(&mut next, "Q");
    let (told, _) = hears(&mut next, piece("P3", ("Q", PEER), "No.", &theirs, ("full", "P3")));
    assert_eq!(told.content, Some(Said::Text("No.".into())));
    let question = told.question.expect("to a question");
    assert_eq!((question.from_me, question.sender.as_str()), (false, PEER));
}

#[test]
fn an_answer_that_comes_right_behind_its_question_is_read() {
    let mut world = World::online(5);
    let question = content::encode(&MessageContent::text("Hens?"), &theirs());
    let secret = Secret::of(&question).expect("a secret");
    world.said.insert("Q1".to_owned(), question);
    let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(*b"Q1").build();
    let message = Builder::new("message").attr("from", PEER.parse::<Jid>().expect("a JID")).attr("id", "Q1");
    world.stanza(message.attr("t", 1_700_000_000u64).attr("type", "text").children([enc]).build());
    let (told, settled) = hears(&mut world, piece("P1", ("Q1", PEER), "Yes.", &secret, ("full", "P1")));
    assert_eq!((told.content, settled.text("error")), (Some(Said::Text("Yes.".into())), None));
}

#[test]
fn an_answer_to_a_message_that_nobody_here_knows_is_told_as_unreadable_and_refused() {
    let mut world = World::online(2);
    let secret = Secret::bare(vec![1; 32]);
    let (told, settled) = hears(&mut world, piece("P1", ("NEVER", PEER), "Hens", &secret, ("full", "P1")));
    assert!(told.unreadable && told.content.is_none());
    assert_eq!(settled.text("error").as_deref(), Some("495"));
}

/// A text that calls the bot.
fn calls(to: Recipient, request_id: &str) -> SendRequest {
    let context = api::Context { mentions: vec![BOT.to_owned()], ..Default::default() };
    let content = MessageContent { kind: Content::Text("@867051314767696 hens?".into()), context };
    SendRequest {
        to,
        content,
        request_id: request_id.to_owned(),
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Default::default(),
    }
}

#[test]
fn a_bot_that_is_called_into_a_chat_gets_a_copy_beside_those_of_the_people_and_its_answer_is_read() {
    let mut world = World::online(4);
    let group = Recipient::Group("120363000000000001".to_owned());
    for (number, to) in [Recipient::Lid("800000".into()), group].into_iter().enumerate() {
        let asked = sent(&mut world, calls(to, &format!("c{number}")));
        let copies = asked.child("bot").map(Read::all).unwrap_or_default();
        let named: Vec<_> = copies.iter().filter_map(|to| Some(to.jid("jid")?.to_string())).collect();
        assert_eq!(named, [BOT], "the bot alone");
        assert!(copies[0].child("enc").is_some());
        let people = asked.child("participants").map(Read::all).unwrap_or_default();
        assert!(people.iter().all(|to| to.jid("jid").is_some_and(|jid| !jid.is_bot())));
        let id = asked.text("id").expect("an id").into_owned();
        let stored = world.messages.values().find(|stored| stored.message.whatsapp_id == id);
        let secret = Secret::of(&stored.expect("it was accepted").message.content).expect("a secret");
        let answer = piece(
            &format!("P{number}"),
            (&id, "900000@lid"),
            "Hens.",
            &secret,
            ("full", &format!("P{number}")),
        );
        assert_eq!(hears(&mut world, answer).0.content, Some(Said::Text("Hens.".into())));
        world.calm_down();
    }
}

#[test]
fn a_bot_is_asked_under_its_own_name_and_with_a_secret() {
    let mut world = World::online(3);
    let question = SendRequest {
        to: Recipient::Bot("867051314767696".into()),
        content: MessageContent { kind: Content::Text("Hens?".into()), context: api::Context::default() },
        request_id: "b1".into(),
        request_hash: [0; 32],
        whatsapp_id: None,
        terms: Default::default(),
    };
    let message = sent(&mut world, question);
    assert_eq!(message.jid("to").map(|to| to.to_string()).as_deref(), Some(BOT));
    let participants = message.child("participants").map(Read::all).unwrap_or_default();
    let named: Vec<String> =
        participants.iter().filter_map(|to| Some(to.jid("jid")?.to_non_ad().to_string())).collect();
    assert!(named.iter().any(|jid| jid == BOT) && named.iter().any(|jid| jid == "900000@lid"), "{named:?}");
    let stored = world.messages.values().next().expect("it was accepted");
    let secret = Secret::of(&stored.message.content).expect("a secret");
    let id = stored.message.whatsapp_id.clone();
    let to_us = (id.as_str(), "4915100000000@s.whatsapp.net");
    let answer = piece("P1", to_us, "Hens.", &secret, ("full", "P1"));
    assert_eq!(hears(&mut world, answer).0.content, Some(Said::Text("Hens.".into())));
}
