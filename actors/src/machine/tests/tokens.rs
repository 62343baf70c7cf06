//! Trusted-contact tokens: what is kept, what goes out with a message, and who is given one.

use std::time::Duration;

use roost_proto::ask::Question as _;
use roost_proto::ask::groups::{Act, ChangeMembers};
use roost_proto::ask::pictures::GetPicture;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::{Step, World};
use crate::device::Command;

const WEEK: u64 = 7 * 24 * 3600;

/// Ada's token of this time comes; what is sent because of it.
fn given(world: &mut World, at: u64) -> Vec<Stanza> {
    let token = Builder::new("token").attr("type", "trusted_contact").attr("t", at).bytes(*b"trust").build();
    let tokens = Builder::new("tokens").children([token]).build();
    let notification = Builder::new("notification")
        .attr("type", "privacy_token")
        .attr("from", Jid::pn("4915188888881"))
        .attr("sender_lid", Jid::lid("800000"))
        .attr("id", format!("t{at}"));
    world.stanza(notification.children([tokens]).build());
    world.commit_everything()
}

/// Sends to Ada, as far as the wire; the message, and whom WhatsApp is asked to give a token.
fn sent(world: &mut World) -> (Stanza, Vec<Stanza>) {
    world.send(1);
    let mut message = None;
    let mut issued = Vec::new();
    for _ in 0..10 {
        let mut stanzas = world.commit_everything();
        let effects = world.take(Step::AnswerRequest);
        stanzas.extend(super::world::stanzas(effects));
        if let Some(found) = stanzas.iter().find(|stanza| stanza.tag == "message") {
            message = Some(found.clone());
            stanzas.extend(super::world::stanzas(world.take(Step::AckOurs)));
            stanzas.extend(world.commit_everything());
        }
        issued.extend(stanzas.iter().filter_map(|stanza| stanza.child("tokens")).cloned());
    }
    (message.expect("it went out"), issued)
}

#[test]
fn a_token_is_durable_before_it_is_acknowledged_and_goes_with_the_next_message() {
    let mut world = World::online(1);
    let (message, _) = sent(&mut world);
    assert!(message.child("tctoken").is_none(), "there is none yet");
    let now = 1_700_000_000;
    let answers = given(&mut world, now);
    assert!(answers.iter().any(|stanza| stanza.tag == "ack"));
    assert_eq!(world.tokens(), ["800000"], "in the store by then");
    let (message, _) = sent(&mut world);
    assert_eq!(message.child("tctoken").and_then(Read::leaf), Some(&b"trust"[..]));
}

#[test]
fn a_token_that_is_too_old_stays_behind() {
    let mut world = World::online(2);
    given(&mut world, 1_700_000_000 - 4 * WEEK);
    let (message, _) = sent(&mut world);
    assert!(message.child("tctoken").is_none());
}

#[test]
fn who_has_given_no_token_is_written_to_with_one_of_the_salt_of_our_phone() {
    let mut world = World::online(8);
    let (message, _) = sent(&mut world);
    assert!(message.child("cstoken").is_none(), "the phone has given no salt");
    world.phone_salts(b"salt");
    let (message, _) = sent(&mut world);
    let expected = roost_proto::cstoken::cstoken(b"salt", &Jid::lid("800000"));
    assert_eq!(message.child("cstoken").and_then(Read::leaf), expected.as_ref().map(|token| &token[..]));
    assert!(message.child("tctoken").is_none());
    given(&mut world, 1_700_000_000);
    let (message, _) = sent(&mut world);
    assert!(message.child("cstoken").is_none() && message.child("tctoken").is_some(), "he is no stranger");
}

#[test]
fn whoever_is_written_to_is_given_a_token_once_in_a_span() {
    let mut world = World::online(3);
    let (_, issued) = sent(&mut world);
    let token = issued[0].child("token").expect("one").clone();
    assert_eq!(token.jid("jid"), Some(Jid::lid("800000")));
    assert_eq!(token.text("type").as_deref(), Some("trusted_contact"));
    assert_eq!(token.number("t"), Some(1_700_000_000));
    let (_, issued) = sent(&mut world);
    assert!(issued.is_empty(), "he has one");
    world.take(Step::Time(Duration::from_secs(WEEK).as_millis() as u64));
    world.calm_down();
    let (_, issued) = sent(&mut world);
    assert_eq!(issued.len(), 1, "another span has begun");
}

#[test]
fn somebody_with_new_keys_is_given_his_token_again() {
    let mut world = World::online(4);
    sent(&mut world);
    let identity = Builder::new("identity").build();
    let changed = Builder::new("notification")
        .attr("type", "encrypt")
        .attr("from", Jid::lid("800000"))
        .attr("id", "i1")
        .children([identity]);
    let mut stanzas = super::world::stanzas(world.stanza(changed.build()));
    stanzas.extend(world.commit_everything());
    let again = stanzas.iter().find_map(|stanza| stanza.child("tokens")?.child("token"));
    assert_eq!(again.and_then(|token| token.number("t")), Some(1_700_000_000), "as old as it was");
}

#[test]
fn a_token_that_whatsapp_did_not_take_is_given_with_the_next_message() {
    let mut world = World::online(5);
    world.send(1);
    for _ in 0..5 {
        world.commit_everything();
        world.take(Step::AnswerRequest);
    }
    world.take(Step::AckOurs);
    world.commit_everything();
    assert!(world.requests.back().is_some_and(|request| request.child("tokens").is_some()));
    world.take(Step::RefuseRequest);
    let (_, issued) = sent(&mut world);
    assert_eq!(issued.len(), 1);
}

/// Somebody asks for a question that brings a person into a group; what goes out.
fn brought_in(world: &mut World, lid: &str) -> Stanza {
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    let add = ChangeMembers { group, act: Act::Add, members: vec![Jid::lid(lid)], linked: false };
    let (request, patience) = (Box::new(add.request()), Duration::from_secs(5));
    let (_, mut sent) = world.command(Command::Ask { request, patience });
    sent.extend(world.commit_everything());
    let add = sent.iter().find_map(|stanza| stanza.child("add")?.child("participant"));
    add.expect("it was asked").clone()
}

#[test]
fn who_is_added_to_a_group_shows_the_token_that_he_has_given_us_and_a_stranger_shows_none() {
    let mut world = World::online(9);
    given(&mut world, 1_700_000_000);
    let person = brought_in(&mut world, "800000");
    assert_eq!(person.child("privacy").and_then(Read::leaf), Some(&b"trust"[..]));
    assert!(brought_in(&mut world, "700000").child("privacy").is_none());
    let mut world = World::online(10);
    given(&mut world, 1_700_000_000 - 4 * WEEK);
    assert!(brought_in(&mut world, "800000").child("privacy").is_none(), "it is too old");
}

/// Somebody asks for a picture; what goes out.
fn looked_at(world: &mut World, of: Jid) -> Stanza {
    let look = GetPicture { of, preview: true, known: String::new() };
    let (request, patience) = (Box::new(look.request()), Duration::from_secs(5));
    let (_, mut sent) = world.command(Command::Ask { request, patience });
    sent.extend(world.commit_everything());
    sent.iter().find_map(|stanza| stanza.child("picture")).expect("it was asked").clone()
}

#[test]
fn whose_picture_is_asked_for_shows_his_token_and_our_own_account_shows_none() {
    let mut world = World::online(11);
    given(&mut world, 1_700_000_000);
    let picture = looked_at(&mut world, Jid::lid("800000"));
    assert_eq!(picture.child("tctoken").and_then(Read::leaf), Some(&b"trust"[..]));
    assert!(looked_at(&mut world, Jid::lid("700000")).child("tctoken").is_none());
    assert!(
        looked_at(&mut world, Jid::lid("900000")).child("tctoken").is_none(),
        "WhatsApp would never answer"
    );
}

#[test]
fn what_is_no_token_is_acknowledged_and_forgotten() {
    let mut world = World::online(6);
    let odd = |token: Builder| {
        let tokens = Builder::new("tokens").children([token.build()]).build();
        let from =
            Builder::new("notification").attr("type", "privacy_token").attr("from", Jid::lid("800000"));
        from.attr("id", "o").children([tokens]).build()
    };
    let token = || Builder::new("token").attr("type", "trusted_contact");
    for stanza in [
        odd(token().attr("t", 1u64).bytes(vec![0; 5000])),
        odd(token().bytes(*b"timeless")),
        odd(Builder::new("token").attr("type", "other").attr("t", 1u64).bytes(*b"x")),
    ] {
        let answers = super::world::stanzas(world.stanza(stanza));
        assert!(answers.iter().any(|stanza| stanza.tag == "ack"));
    }
    assert!(world.tokens().is_empty());
}

#[test]
fn whose_presence_we_watch_sees_his_token() {
    let mut world = World::online(7);
    given(&mut world, 1_700_000_000);
    let (_, mut sent) = world.command(Command::WatchPresence { user: Jid::lid("800000"), watch: true });
    sent.extend(world.commit_everything());
    let subscribe = sent.iter().find(|stanza| stanza.tag == "presence").expect("asked");
    assert_eq!(subscribe.child("tctoken").and_then(Read::leaf), Some(&b"trust"[..]));
}
