//! Presence, typing, calls and identities: what is durable, what goes out, and what is told.

use std::time::Duration;

use roost_proto::api::event::Payload;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::{Step, World};
use crate::device::{Command, CommandError, Typing};

fn adas() -> Jid {
    Jid::lid("800000")
}

/// What went out with this tag.
fn tagged(sent: &[Stanza], tag: &str) -> Vec<Stanza> {
    sent.iter().filter(|stanza| stanza.tag == tag).cloned().collect()
}

fn kinds(events: &std::collections::BTreeSet<String>, kind: &str) -> usize {
    events.iter().filter(|dedupe| dedupe.starts_with(kind)).count()
}

#[test]
fn hiding_is_durable_before_it_is_answered_and_outlives_the_owner() {
    let mut world = World::online(1);
    let (token, sent) = world.command(Command::SetPresence { available: false });
    let presence = tagged(&sent, "presence");
    assert_eq!(presence[0].text("type").as_deref(), Some("unavailable"));
    assert_eq!(world.done(token), None, "not durable yet");
    world.commit_everything();
    assert_eq!(world.done(token), Some(Ok(())));
    let (watching, _) = world.command(Command::WatchPresence { user: adas(), watch: true });
    world.commit_everything();
    assert_eq!(world.done(watching), Some(Ok(())));
    let mut next = world.taken_over();
    let sent = next.go_online_and_tell();
    let presence = tagged(&sent, "presence");
    assert_eq!(presence[0].text("type").as_deref(), Some("unavailable"));
    assert_eq!(presence[1].text("type").as_deref(), Some("subscribe"));
    assert_eq!(presence[1].jid("to"), Some(adas()));
}

#[test]
fn a_device_that_hides_does_not_show_messages_as_delivered() {
    let mut world = World::online(2);
    world.command(Command::SetPresence { available: false });
    world.commit_everything();
    world.take(Step::Message(true));
    let receipts = tagged(&world.commit_everything(), "receipt");
    assert_eq!(receipts[0].text("type").as_deref(), Some("inactive"));
}

#[test]
fn nobody_watches_more_people_than_the_limit() {
    let mut world = World::online(3);
    for n in 0..256 {
        let user = Jid::lid(format!("9{n:06}"));
        let (token, _) = world.command(Command::WatchPresence { user, watch: true });
        world.commit_everything();
        assert_eq!(world.done(token), Some(Ok(())));
    }
    let (token, _) = world.command(Command::WatchPresence { user: adas(), watch: true });
    assert_eq!(world.done(token), Some(Err(CommandError::Busy)));
    let (token, sent) = world.command(Command::WatchPresence { user: Jid::lid("9000000"), watch: false });
    assert_eq!(tagged(&sent, "presence")[0].text("type").as_deref(), Some("unsubscribe"));
    world.commit_everything();
    assert_eq!(world.done(token), Some(Ok(())));
    let (token, _) = world.command(Command::WatchPresence { user: adas(), watch: true });
    world.commit_everything();
    assert_eq!(world.done(token), Some(Ok(())));
}

#[test]
fn typing_needs_a_connection_and_a_lease() {
    let mut world = World::loaded(4);
    let typing = || Command::Typing { to: adas(), typing: Typing::Voice };
    let (token, _) = world.command(typing());
    assert_eq!(world.done(token), Some(Err(CommandError::NotConnected)));
    world.go_online();
    let (token, sent) = world.command(typing());
    assert_eq!(world.done(token), Some(Ok(())));
    let state = &tagged(&sent, "chatstate")[0];
    assert_eq!(state.jid("to"), Some(adas()));
    let composing = state.child("composing").expect("we speak");
    assert_eq!(composing.text("media").as_deref(), Some("audio"));
    world.take(Step::LeaseLost);
    let (token, sent) = world.command(typing());
    assert_eq!((world.done(token), sent.len()), (Some(Err(CommandError::Unavailable)), 0));
}

#[test]
fn the_same_presence_again_is_no_news_and_a_flood_is_cut() {
    let mut world = World::online(5);
    world.command(Command::WatchPresence { user: adas(), watch: true });
    world.commit_everything();
    let there = || Builder::new("presence").attr("from", adas()).build();
    for _ in 0..3 {
        world.stanza(there());
    }
    world.commit_everything();
    assert_eq!(kinds(world.events(), "passing/"), 1);
    let paused = Builder::new("paused").build();
    for _ in 0..200 {
        world.stanza(Builder::new("chatstate").attr("from", adas()).children([paused.clone()]).build());
        world.commit_everything();
    }
    assert_eq!(kinds(world.events(), "passing/"), 60);
    world.take(Step::Time(2_000));
    world.stanza(Builder::new("chatstate").attr("from", adas()).children([paused]).build());
    world.commit_everything();
    assert_eq!(kinds(world.events(), "passing/"), 61);
}

#[test]
fn an_answer_that_pairs_a_number_with_a_lid_teaches_it_once() {
    let mut world = World::online(7);
    for _ in 0..2 {
        let user = Builder::new("user").attr("jid", Jid::pn("4915188888881")).build();
        let list = Builder::new("list").children([user]).build();
        let usync = Builder::new("usync").children([list]).build();
        let request = Box::new(roost_proto::ask::get("usync").children([usync]).build());
        world.command(Command::Ask { request, patience: Duration::from_secs(5) });
        world.take(Step::AnswerRequest);
        world.commit_everything();
    }
    assert_eq!(kinds(world.events(), "mapped/4915188888881/800000"), 1);
    let set = Builder::new("set").attr("id", "77").build();
    let from = Jid::pn("4915188888881");
    let told = Builder::new("notification").attr("type", "picture").attr("id", "n1").attr("from", from);
    world.stanza(told.children([set]).build());
    let committed = world.take(Step::Crypto).into_iter().find_map(|effect| match effect {
        super::Effect::Commit(batch) => batch.events.first().map(|event| event.payload.clone()),
        _ => None,
    });
    let Some(Payload::ProfileChanged(changed)) = committed else { panic!("{committed:?}") };
    let who = changed.person.expect("somebody");
    assert_eq!((&*who.lid, &*who.phone_number), ("800000@lid", "4915188888881@s.whatsapp.net"));
}

#[test]
fn pictures_and_about_texts_of_others_are_told() {
    let mut world = World::online(8);
    let set = Builder::new("set").attr("id", "77").build();
    let notification = |id: &'static str, kind: &'static str, child: Stanza| {
        let told = Builder::new("notification").attr("type", kind).attr("id", id).attr("from", adas());
        told.children([child]).build()
    };
    world.stanza(notification("n1", "picture", set));
    world.stanza(notification("n2", "status", Builder::new("set").bytes("busy".as_bytes()).build()));
    assert_eq!(tagged(&world.commit_everything(), "ack").len(), 2);
    assert_eq!(kinds(world.events(), "contact/"), 2);
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    let set = Builder::new("set").attr("id", "78").attr("author", adas()).build();
    let told = Builder::new("notification").attr("type", "picture").attr("id", "n3").attr("from", group);
    world.stanza(told.children([set]).build());
    world.commit_everything();
    assert_eq!(kinds(world.events(), "contact/120363000000000001@g.us"), 1, "a group has one too");
}
