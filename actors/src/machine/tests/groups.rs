//! Groups: what goes out, what comes in, and who said how far it came.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::stanza::{Builder, Jid, Read, Stanza};

use super::world::{GROUP, Step, World};
use crate::machine::Effect;
use crate::port::MessageState;

fn group() -> Jid {
    "120363000000000001@g.us".parse().expect("a JID")
}

/// Sends to the group; what went on the wire.
fn sent(world: &mut World) -> Stanza {
    world.send(GROUP);
    for _ in 0..20 {
        let mut stanzas = world.commit_everything();
        for effect in world.take(Step::AnswerRequest) {
            if let Effect::Send { bytes, .. } = effect {
                stanzas.push(roost_proto::stanza::decode(&bytes).expect("ours"));
            }
        }
        if let Some(message) = stanzas.into_iter().find(|stanza| stanza.tag == "message") {
            return message;
        }
    }
    panic!("nothing was sent");
}

fn from_group(id: &str, kind: &'static str) -> Stanza {
    let enc = Builder::new("enc").attr("v", "2").attr("type", kind).bytes(id.as_bytes().to_vec()).build();
    Builder::new("message")
        .attr("from", group())
        .attr("participant", Jid::lid_device("800000", 2))
        .attr("participant_pn", Jid::pn("4915188888888"))
        .attr("addressing_mode", "lid")
        .attr("id", id.to_owned())
        .attr("t", 1_700_000_000u64)
        .attr("type", "text")
        .children([enc])
        .build()
}

#[test]
fn a_message_to_a_group_carries_one_ciphertext_for_all() {
    let mut world = World::online(1);
    let message = sent(&mut world);
    assert_eq!(message.jid("to"), Some(group()));
    assert_eq!(message.text("addressing_mode").as_deref(), Some("lid"));
    assert!(message.text("phash").is_some_and(|hash| hash.starts_with("2:")));
    let kinds: Vec<_> = message.all_named("enc").filter_map(|enc| enc.text("type")).collect();
    assert_eq!(kinds, ["skmsg"]);
}

#[test]
fn a_message_from_a_group_names_the_group_and_its_sender() {
    let mut world = World::online(2);
    world.stanza(from_group("G1", "skmsg"));
    let answers = world.commit_everything();
    let receipt = answers.iter().find(|stanza| stanza.tag == "receipt").expect("a receipt");
    assert_eq!(receipt.jid("to"), Some(group()));
    assert_eq!(receipt.jid("participant"), Some(Jid::lid_device("800000", 2)));
    assert!(world.events().contains("msg/120363000000000001@g.us/800000@lid/G1"));
}

#[test]
fn an_unreadable_message_of_a_group_is_asked_for_from_its_sender() {
    let mut world = World::online(3);
    let answers = world.undecryptable_stanza("G2", from_group("G2", "skmsg"));
    let retry = answers.iter().find(|stanza| stanza.text("type").as_deref() == Some("retry"));
    let retry = retry.expect("a retry receipt");
    assert_eq!(retry.jid("to"), Some(group()));
    assert_eq!(retry.jid("participant"), Some(Jid::lid_device("800000", 2)));
}

#[test]
fn every_member_says_for_himself_how_far_a_message_has_come() {
    let mut world = World::online(4);
    let message = sent(&mut world);
    let id = message.text("id").expect("an id").into_owned();
    let receipt = |lid: &str, kind: Option<&'static str>| {
        let receipt = Builder::new("receipt").attr("from", group()).attr("id", id.clone());
        let receipt = receipt.attr("participant", Jid::lid_device(lid, 1));
        match kind {
            Some(kind) => receipt.attr("type", kind).build(),
            None => receipt.build(),
        }
    };
    world.stanza(receipt("800000", Some("read")));
    world.stanza(receipt("700000", None));
    world.commit_everything();
    let (read, delivered) = (api::message::State::Read as i32, api::message::State::Delivered as i32);
    let noted = |lid: &str, state: i32| {
        let end = format!("/{lid}@lid/{state}");
        world.events().iter().any(|event| event.starts_with("receipt/") && event.ends_with(&end))
    };
    assert!(noted("800000", read) && noted("700000", delivered));
    assert!(!noted("700000", read));
}

/// The same message once more, after a pause.
fn sent_again(world: &mut World) -> Option<Stanza> {
    for _ in 0..20 {
        let mut stanzas = world.commit_everything();
        for step in [Step::Time(1_100), Step::AnswerRequest] {
            stanzas.extend(super::world::stanzas(world.take(step)));
        }
        if let Some(message) = stanzas.into_iter().find(|stanza| stanza.tag == "message") {
            return Some(message);
        }
    }
    None
}

#[test]
fn a_message_for_a_stale_list_is_made_anew_under_its_id_a_few_times_and_then_fails_with_the_code() {
    let mut world = World::online(8);
    let first = sent(&mut world);
    for _ in 0..2 {
        world.refuse_ours(421);
        let asked = world.requests.iter().filter(|request| request.text("xmlns").as_deref() == Some("w:g2"));
        assert_eq!(asked.count(), 0, "after a pause");
        let again = sent_again(&mut world).expect("it goes out again");
        assert_eq!(again.text("id"), first.text("id"));
    }
    world.refuse_ours(421);
    assert!(sent_again(&mut world).is_none());
    assert_eq!(world.messages.values().next().map(|stored| stored.state), Some(MessageState::Failed));
    let failed = world.payloads.iter().any(|payload| {
        matches!(payload, Payload::MessageStateChanged(changed) if changed.failure == "UPSTREAM_NACK_421")
    });
    assert!(failed, "{:?}", world.payloads);
    // The sender key that was in it has reached nobody.
    world.send(GROUP);
    assert!(until_encrypted(&mut world), "another chain begins");
    sent_again(&mut world).expect("it goes out");
    world.send(GROUP);
    assert!(!until_encrypted(&mut world), "and goes on");
}

#[test]
fn a_second_refusal_of_bytes_that_were_sent_twice_says_nothing_of_the_new_ones() {
    let mut world = World::online(9);
    sent(&mut world);
    world.take(Step::Time(40_000));
    assert_eq!(world.wired(), 2, "nobody has answered the first");
    for _ in 0..2 {
        world.refuse_ours(421);
        sent_again(&mut world);
    }
    assert_eq!(world.wired(), 1, "the second refusal makes nothing anew");
    world.take(Step::AckOurs);
    world.commit_everything();
    assert_eq!(world.messages.values().next().map(|stored| stored.state), Some(MessageState::Sent));
}

#[test]
fn a_group_message_that_is_refused_leaves_nobody_with_its_sender_key() {
    let mut world = World::online(10);
    sent(&mut world);
    world.refuse_ours(479);
    world.commit_everything();
    world.send(GROUP);
    assert!(until_encrypted(&mut world), "another chain begins");
}

#[test]
fn the_next_owner_too_begins_another_chain_after_a_group_message_was_refused() {
    let mut world = World::online(11);
    sent(&mut world);
    world.refuse_ours(479);
    world.commit_everything();
    let mut world = world.taken_over();
    world.tokens = 100;
    world.go_online();
    world.send(GROUP);
    assert!(until_encrypted(&mut world));
}

/// Whether the next message to the group begins another chain.
fn until_encrypted(world: &mut World) -> bool {
    for _ in 0..20 {
        if let Some(anew) = world.begins_a_chain() {
            return anew;
        }
        for step in [Step::Crypto, Step::CommitDone, Step::Time(1_100), Step::AnswerRequest] {
            if world.begins_a_chain().is_none() {
                world.take(step);
            }
        }
    }
    panic!("nothing is encrypted for the group")
}

#[test]
fn a_group_that_is_addressed_otherwise_by_now_is_asked_for_before_the_next_message() {
    let mut world = World::online(6);
    sent(&mut world);
    let asks = |world: &mut World, code| {
        world.refuse_ours(code);
        world.send(GROUP);
        world.take(Step::Time(1_100));
        world.commit_everything();
        world.requests.iter().any(|request| request.text("xmlns").as_deref() == Some("w:g2"))
    };
    assert!(!asks(&mut world, 400), "it is known");
    assert!(asks(&mut world, 421), "it was known otherwise");
}

#[test]
fn a_change_in_a_group_is_an_event_and_its_members_are_asked_for_anew() {
    let mut world = World::online(5);
    sent(&mut world);
    let subject = Builder::new("subject").attr("subject", "Hens").build();
    let changed = Builder::new("notification")
        .attr("type", "w:gp2")
        .attr("from", group())
        .attr("participant", Jid::lid("800000"))
        .attr("id", "N1")
        .attr("t", 1_700_000_000u64)
        .children([subject])
        .build();
    world.stanza(changed);
    world.commit_everything();
    assert!(world.events().contains("group/120363000000000001@g.us/N1/0"));
    let again = sent(&mut world);
    assert_eq!(again.jid("to"), Some(group()), "it was looked up anew, and sent");
}
