//! Calls: what is told of them, once, and what is only acknowledged.

use roost_proto::api::call_ended::How;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::stanza::{Builder, Jid, Stanza};

use super::world::{World, stanzas};
use crate::port::NewEvent;

fn adas() -> Jid {
    Jid::lid("800000")
}

/// A part of the call `c1` of Ada's, at this second.
fn call(part: Builder, t: u64) -> Builder {
    let part = part.attr("call-id", "c1").attr("call-creator", adas()).build();
    Builder::new("call").attr("from", adas()).attr("id", "x1").attr("t", t).children([part])
}

/// What is told of a stanza, which is acknowledged once: behind that, if it is anything.
fn told(world: &mut World, stanza: Stanza) -> Vec<NewEvent> {
    let early = world.stanza(stanza);
    let batches = early.iter().filter_map(|effect| match effect {
        super::Effect::Commit(batch) => Some(batch.events.clone()),
        _ => None,
    });
    let events: Vec<NewEvent> = batches.flatten().collect();
    let early = stanzas(early);
    assert!(events.is_empty() || early.is_empty(), "acknowledged before the commit");
    let sent = [early, world.commit_everything()].concat();
    assert_eq!(sent.iter().filter(|sent| sent.tag == "ack").count(), 1);
    events
}

/// How the call has ended, if it has.
fn ended(part: Builder) -> Option<(How, String)> {
    let events = told(&mut World::online(2), call(part, 5).build());
    events.into_iter().find_map(|event| match event.payload {
        Payload::CallEnded(ended) => Some((ended.how(), ended.reason)),
        _ => None,
    })
}

#[test]
fn a_call_is_acknowledged_behind_its_event_and_told_once() {
    let mut world = World::online(6);
    let stanza = call(Builder::new("offer"), 5).build();
    assert_eq!(told(&mut world, stanza.clone()).len(), 1);
    told(&mut world, stanza);
    let notice = Builder::new("offer_notice").attr("type", "group");
    told(&mut world, call(notice, 5).build());
    assert_eq!(world.events().iter().filter(|dedupe| dedupe.starts_with("call/")).count(), 1);
}

#[test]
fn the_notice_of_a_call_of_a_group_says_which_group_and_with_what_media() {
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    for (media, video) in [("video", true), ("audio", false)] {
        let notice = Builder::new("offer_notice").attr("type", "group").attr("media", media);
        let notice = notice.attr("group-jid", group.clone());
        let events = told(&mut World::online(3), call(notice, 5).build());
        let Payload::CallIncoming(call) = &events[0].payload else { panic!("{events:?}") };
        assert_eq!((call.video, &*call.group, call.over), (video, "120363000000000001@g.us", false));
    }
}

#[test]
fn the_end_of_a_call_says_who_has_taken_it_or_that_it_was_missed() {
    let terminated = |reason: &'static str| {
        let end = Builder::new("terminate");
        ended(if reason.is_empty() { end } else { end.attr("reason", reason) })
    };
    for (reason, how) in [
        ("", How::Missed),
        ("timeout", How::Missed),
        ("group_call_ended", How::Missed),
        ("accepted_elsewhere", How::AnsweredElsewhere),
        ("rejected_elsewhere", How::RejectedElsewhere),
        ("error", How::Terminated),
    ] {
        assert_eq!(terminated(reason), Some((how, reason.to_owned())));
    }
    assert_eq!(ended(Builder::new("accept")), Some((How::Answered, String::new())));
    assert_eq!(ended(Builder::new("reject")), Some((How::Rejected, String::new())));
    assert_eq!(ended(Builder::new("reject").attr("reason", "busy")), None, "the other devices ring on");
}

#[test]
fn what_sets_up_the_media_is_acknowledged_and_not_told() {
    for tag in ["preaccept", "transport", "relaylatency", "mute_v2", "enc_rekey"] {
        let events = told(&mut World::online(4), call(Builder::new(tag), 5).build());
        assert_eq!(events.len(), 0, "{tag}");
    }
}

#[test]
fn a_call_that_was_kept_for_longer_than_it_rings_is_over() {
    let mut world = World::online(5);
    let now = u64::try_from(world.wall().0 / 1000).expect("after 1970");
    let over = |world: &mut World, t: u64, kept: bool| {
        let stanza = call(Builder::new("offer"), t);
        let stanza = if kept { stanza.attr("offline", "0") } else { stanza };
        let events = told(world, stanza.build());
        let Payload::CallIncoming(call) = &events[0].payload else { panic!("{events:?}") };
        (events[0].origin, call.over)
    };
    assert_eq!(over(&mut world, now - 300, true), (Origin::OfflineQueue, true));
    assert_eq!(over(&mut World::online(5), now - 20, true), (Origin::OfflineQueue, false));
    assert_eq!(over(&mut World::online(5), now - 300, false), (Origin::Live, false), "clocks differ");
}

#[test]
fn only_who_has_made_a_call_of_a_group_ends_it() {
    let ends = |tag: &'static str, from: Jid| {
        let part =
            Builder::new(tag).attr("group-jid", "120363000000000001@g.us".parse::<Jid>().expect("a JID"));
        let part = part.attr("call-id", "c1").attr("call-creator", adas()).build();
        let stanza = Builder::new("call").attr("from", from).attr("id", "x1").attr("t", 5i64);
        told(&mut World::online(2), stanza.children([part]).build()).len()
    };
    for tag in ["terminate", "reject", "accept"] {
        assert_eq!(ends(tag, Jid::lid_device("700000", 1)), 0, "{tag}: a participant speaks for himself");
    }
    assert_eq!(ends("terminate", Jid::lid_device("800000", 2)), 1);
}
