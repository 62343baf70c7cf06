//! What others say of our messages: whose word counts, and how it is looked up.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::MessageContent;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza, encode};

use super::posts;
use super::world::{GROUP, Step, World, stanzas};
use crate::device::{Command, Recipient, SendRequest};
use crate::port::{MessageState, StateKind};

fn group(number: u64) -> Jid {
    format!("{number}@g.us").parse().expect("a JID")
}

/// A device that has sent a message under this id, and has the answer of WhatsApp.
fn sent_under(world: &mut World, id: &str, to: Recipient) {
    let content = MessageContent { kind: Content::Text("x".into()), context: api::Context::default() };
    let request = SendRequest {
        to,
        content,
        request_id: format!("r-{id}"),
        request_hash: [0; 32],
        whatsapp_id: Some(id.to_owned()),
        terms: Default::default(),
    };
    let wired = world.wired();
    world.command(Command::Send(Box::new(request)));
    for _ in 0..20 {
        world.commit_everything();
        world.take(Step::AnswerRequest);
        if world.wired() > wired {
            world.take(Step::AckOurs);
            world.commit_everything();
            assert_eq!(state(world, id), MessageState::Sent);
            return;
        }
    }
    panic!("{id} was not sent");
}

fn state(world: &World, id: &str) -> MessageState {
    let mut all = world.messages.values();
    all.find(|stored| stored.message.whatsapp_id == id).expect("it was accepted").state
}

fn receipt(id: &str, from: Jid) -> Builder {
    Builder::new("receipt").attr("id", id.to_owned()).attr("from", from).attr("type", "read")
}

/// It comes, and is acknowledged.
fn hears(world: &mut World, receipt: Builder) {
    let mut sent = stanzas(world.stanza(receipt.build()));
    sent.extend(world.commit_everything());
    assert_eq!(sent.iter().filter(|stanza| stanza.tag == "ack").count(), 1, "{sent:?}");
}

fn receipts_of_members(world: &World) -> Vec<api::ParticipantReceipt> {
    let told = world.payloads.iter().filter_map(|payload| match payload {
        Payload::ParticipantReceipt(receipt) => Some(receipt.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn only_who_has_a_message_says_how_far_it_has_come() {
    let strangers = [Jid::lid_device("666666", 1), Jid::pn_device("4915166666666", 1), group(1)];
    let theirs = [Jid::lid_device("800000", 2), Jid::pn("4915188888881")];
    for (from, believed) in strangers.map(|jid| (jid, false)).into_iter().chain(theirs.map(|jid| (jid, true)))
    {
        let mut world = World::online(1);
        sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
        let said = receipt("3EB0A", from.clone());
        // In a group it is said of messages of that group alone, whoever says it.
        let said = match from.server {
            Server::Group => said.attr("participant", Jid::lid_device("800000", 2)),
            _ => said,
        };
        hears(&mut world, said);
        assert_eq!(state(&world, "3EB0A") == MessageState::Read, believed, "{from}");
        assert_eq!(receipts_of_members(&world), [], "{from}");
    }
}

#[test]
fn whoever_owns_the_device_by_then_knows_the_recipient_under_both_names() {
    let knows = [("4915188888881", "800000", true), ("4915100000002", "800000", false)];
    for (to, from) in [
        (Recipient::Phone("4915188888881".into()), Jid::lid_device("800000", 2)),
        (Recipient::Lid("800000".into()), Jid::pn_device("4915188888881", 2)),
    ] {
        for (pn, lid, believed) in knows {
            let mut world = World::online(2);
            sent_under(&mut world, "3EB0A", to.clone());
            let mut next = world.taken_over();
            next.rows.retain(|key, _| key.kind != StateKind::Lid);
            next.knows(pn, lid);
            next.go_online();
            hears(&mut next, receipt("3EB0A", from.clone()));
            assert_eq!(state(&next, "3EB0A") == MessageState::Read, believed, "{from}, who knows {pn}");
        }
    }
}

#[test]
fn a_receipt_is_behind_what_is_looked_up_to_weigh_it() {
    let mut world = World::online(4);
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    let mut next = world.taken_over();
    next.rows.retain(|key, _| key.kind != StateKind::Lid);
    next.go_online();
    next.commit_everything();
    let said = receipt("3EB0A", Jid::lid_device("800000", 2)).build();
    next.stanza(said.clone());
    next.take(Step::Lookup);
    assert_eq!(next.behind_crypto().as_deref(), encode(&said).ok().as_deref());
}

#[test]
fn what_is_said_in_one_group_of_a_message_of_another_tells_nothing() {
    let mut world = World::online(3);
    sent_under(&mut world, "3EB0G", Recipient::Group("120363000000000001".into()));
    let said = |place: Jid| receipt("3EB0G", place).attr("participant", Jid::lid_device("800000", 2));
    hears(&mut world, said(group(120363000000000002)));
    hears(&mut world, said(Jid::lid_device("800000", 2)));
    assert_eq!((state(&world, "3EB0G"), receipts_of_members(&world).len()), (MessageState::Sent, 0));
    hears(&mut world, said(group(120363000000000001)));
    assert_eq!((state(&world, "3EB0G"), receipts_of_members(&world).len()), (MessageState::Read, 1));
}

#[test]
fn a_message_that_was_never_on_the_wire_is_not_settled_by_a_receipt() {
    let mut world = World::online(4);
    world.take(Step::Send(1));
    world.take(Step::CommitDone);
    let id = world.messages.values().next().expect("accepted").message.whatsapp_id.clone();
    let from = || Jid::pn_device("4915188888881", 2);
    hears(&mut world, receipt(&id, from()));
    assert_eq!(state(&world, &id), MessageState::Accepted);
    world.calm_down();
    assert_eq!((world.last_wired(), state(&world, &id)), (id.clone(), MessageState::Sent), "it goes out");
    hears(&mut world, receipt(&id, from()));
    assert_eq!(state(&world, &id), MessageState::Read);
}

#[test]
fn what_was_taken_back_before_it_went_out_stays_taken_back() {
    let mut world = World::online(5);
    world.take(Step::Send(1));
    world.take(Step::CommitDone);
    let message = world.messages.values().next().expect("accepted").message.clone();
    world.command(Command::Cancel { message_id: message.message_id });
    world.commit_everything();
    hears(&mut world, receipt(&message.whatsapp_id, Jid::pn_device("4915188888881", 2)));
    assert_eq!(state(&world, &message.whatsapp_id), MessageState::Cancelled);
}

#[test]
fn a_receipt_that_overtakes_the_acknowledgement_settles_what_is_on_the_wire() {
    let mut world = World::online(6);
    world.send(GROUP);
    for _ in 0..8 {
        world.commit_everything();
        world.take(Step::AnswerRequest);
    }
    let id = world.last_wired();
    assert_eq!(state(&world, &id), MessageState::Sending);
    hears(&mut world, receipt(&id, group(120363000000000001)).attr("participant", Jid::lid("800000")));
    assert_eq!(state(&world, &id), MessageState::Read);
}

#[test]
fn who_has_seen_a_post_is_told_of_those_for_whom_it_is() {
    let seen =
        |id: &str, by: Jid| receipt(id, "status@broadcast".parse().expect("a JID")).attr("participant", by);
    let viewers = |world: &World| {
        let told = world.payloads.iter().filter_map(|payload| match payload {
            Payload::StatusViewed(viewed) => Some(viewed.viewer.clone().expect("somebody").lid),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let mut world = World::online(7);
    let post = posts::sent(&mut world, posts::post(vec![Jid::lid("700000"), Jid::pn("4915177777777")]));
    let id = post.text("id").expect("an id").into_owned();
    for lid in ["666666", "700000"] {
        hears(&mut world, seen(&id, Jid::lid_device(lid, 1)));
    }
    assert_eq!(viewers(&world), ["700000@lid"]);
    let mut next = world.taken_over();
    next.rows.retain(|key, _| key.kind != StateKind::Lid);
    next.knows("4915177777777", "710000");
    next.go_online();
    for lid in ["666666", "710000"] {
        hears(&mut next, seen(&id, Jid::lid_device(lid, 1)));
    }
    assert_eq!(viewers(&next), ["710000@lid"]);
}

#[test]
fn what_members_say_in_one_receipt_is_told_as_if_each_had_said_it_alone() {
    let place = || group(120363000000000001);
    let member = |lid: &str| Jid::lid_device(lid, 1);
    let begin = || {
        let mut world = World::online(11);
        sent_under(&mut world, "3EB0G", Recipient::Group("120363000000000001".into()));
        world
    };
    let mut alone = begin();
    for (lid, kind, t) in [("800000", "read", 1_700_000_100u64), ("700000", "inactive", 1_700_000_200)] {
        let said = Builder::new("receipt").attr("id", "3EB0G").attr("from", place()).attr("t", t);
        hears(&mut alone, said.attr("participant", member(lid)).attr("type", kind));
    }
    let user = |lid: &str, t: u64| Builder::new("user").attr("jid", member(lid)).attr("t", t);
    let ours = || Builder::new("user").attr("jid", Jid::pn("4915100000000")).attr("t", 1u64).build();
    let receipt = |participants: Stanza| {
        let receipt = Builder::new("receipt").attr("id", "OTHER").attr("from", place());
        receipt.attr("t", 1_700_000_300u64).children([participants])
    };

    let mut by_kind = begin();
    for (lid, kind, t) in [("800000", "read", 1_700_000_100), ("700000", "inactive", 1_700_000_200)] {
        let participants = Builder::new("participants").attr("key", "3EB0G");
        let participants = participants.children([ours(), user(lid, t).build()]);
        hears(&mut by_kind, receipt(participants.build()).attr("type", kind));
    }
    let mut by_message = begin();
    let participants = Builder::new("participants").attr("message_id", "3EB0G").children([
        user("800000", 1_700_000_100).attr("type", "read").build(),
        ours(),
        user("700000", 1_700_000_200).build(),
        user("600000", 1_700_000_200).attr("type", "unheard of").build(),
    ]);
    hears(&mut by_message, receipt(participants.build()));

    assert_eq!((state(&alone, "3EB0G"), receipts_of_members(&alone).len()), (MessageState::Read, 2));
    for world in [by_kind, by_message] {
        assert_eq!(state(&world, "3EB0G"), MessageState::Read);
        assert_eq!(world.events(), alone.events());
        assert_eq!(world.payloads, alone.payloads);
    }
}

#[test]
fn what_a_recipient_cannot_take_has_not_reached_him() {
    let mut world = World::online(12);
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    let delivered = || Builder::new("receipt").attr("id", "3EB0A").attr("from", Jid::lid_device("800000", 2));
    let incapable = Builder::new("error").attr("type", "feature-incapable").attr("reason", "lid").build();
    hears(&mut world, delivered().children([incapable]));
    assert_eq!(state(&world, "3EB0A"), MessageState::Sent);
    hears(&mut world, delivered());
    assert_eq!(state(&world, "3EB0A"), MessageState::Delivered);
}

fn of_many(count: usize) -> Stanza {
    let item = |number: usize| Builder::new("item").attr("id", format!("3EB0{number}")).build();
    let list = Builder::new("list").children((1..count).map(item)).build();
    receipt("3EB00", Jid::lid_device("800000", 2)).children([list]).build()
}

fn acks(stanzas: &[Stanza]) -> usize {
    stanzas.iter().filter(|stanza| stanza.tag == "ack").count()
}

#[test]
fn a_receipt_of_many_messages_is_one_question_to_the_store() {
    let mut world = World::online(8);
    assert_eq!(acks(&stanzas(world.stanza(of_many(200)))), 0);
    assert_eq!(acks(&stanzas(world.take(Step::Lookup))), 1);
}

#[test]
fn what_the_store_does_not_have_is_not_looked_for_again_until_it_is_sent() {
    let mut world = World::online(9);
    let said = || receipt("3EB0A", Jid::lid_device("800000", 2));
    hears(&mut world, said());
    assert_eq!(acks(&stanzas(world.stanza(said().build()))), 1, "at once");
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    hears(&mut world, said());
    assert_eq!(state(&world, "3EB0A"), MessageState::Read);
}

#[test]
fn misses_push_out_no_message_that_was_sent() {
    let mut world = World::online(10);
    sent_under(&mut world, "3EB0A", Recipient::Phone("4915188888881".into()));
    for number in 0..20 {
        let list = (0..200).map(|item| Builder::new("item").attr("id", format!("X{number}-{item}")).build());
        let list = Builder::new("list").children(list).build();
        let from = Jid::lid_device("800000", 2);
        hears(&mut world, receipt(&format!("X{number}"), from).children([list]));
    }
    let said = receipt("3EB0A", Jid::lid_device("800000", 2)).build();
    world.stanza(said);
    assert!(world.commits(), "it was known");
}
