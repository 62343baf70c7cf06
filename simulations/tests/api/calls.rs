//! Calls and links to them: what is told of them, and what any node carries out or refuses.

use roost_proto::api::call_ended::How;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::*;
use roost_proto::stanza::Jid;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::command::{lines, run};
use crate::live::Live;
use crate::world::{bad_field, refusal, until};

/// All events of a device.
async fn events(live: &Live, device: &str) -> Vec<Event> {
    let request = ReadEventsRequest { parent: device.into(), ..Default::default() };
    let mut batches = live.at(0).events().read_events(request).await.expect("a stream").into_inner();
    let mut events = Vec::new();
    while let Ok(Some(batch)) = batches.message().await {
        events.extend(batch.events);
    }
    events
}

/// A call that rings, as soon as it is told, and where it was heard.
async fn incoming(live: &Live, device: &str, id: &str) -> (CallIncoming, Origin) {
    until("the call is told", || async {
        events(live, device).await.into_iter().find_map(|event| match (event.origin(), event.payload) {
            (origin, Some(Payload::CallIncoming(call))) if call.call_id == id => Some((call, origin)),
            _ => None,
        })
    })
    .await
}

/// How a call has ended, as soon as it is told.
async fn ended(live: &Live, device: &str, id: &str) -> (How, String) {
    until("the end of the call is told", || async {
        events(live, device).await.into_iter().find_map(|event| match event.payload {
            Some(Payload::CallEnded(call)) if call.call_id == id => Some((call.how(), call.reason)),
            _ => None,
        })
    })
    .await
}

/// The code of WhatsApp behind a refusal.
fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("this must be refused");
    let info = status.get_details_error_info().expect("always there");
    assert_eq!(info.reason, "UPSTREAM_REFUSED", "{status:?}");
    (status.code(), info.metadata["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_rings_and_is_rejected_through_any_node_however_often_it_is_asked() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    let friend = live.friend();
    let id =
        live.sim.act(|machine, now| machine.phone_calls(now, friend, device.pn, false)).expect("it rings");
    assert_eq!(incoming(&live, &name, &id).await.1, Origin::Live);
    let reject = RejectCallRequest { device: name.clone(), caller: friend.to_string(), call_id: id.clone() };
    for place in [other, owner] {
        live.at(place).calls().reject_call(reject.clone()).await.expect("rejected");
        assert_eq!(live.sim.look(|machine| machine.accounts()[&friend].calls.state(&id)), Some("rejected"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_over_unknown_or_anothers_is_not_rejected() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    let (friend, stranger) = (live.friend(), live.sim.account(None, Some("a stranger")));
    let reject = |caller: u64, id: &str| RejectCallRequest {
        device: name.clone(),
        caller: caller.to_string(),
        call_id: id.to_owned(),
    };
    let gone =
        live.sim.act(|machine, now| machine.phone_calls(now, friend, device.pn, false)).expect("it rings");
    live.sim.act(|machine, now| machine.phone_hangs_up(now, friend, &gone, "timeout")).expect("given up");
    let others =
        live.sim.act(|machine, now| machine.phone_calls(now, friend, stranger, false)).expect("it rings");
    for place in [owner, other] {
        let refused = async |caller, id: &str| {
            code(live.at(place).calls().reject_call(reject(caller, id)).await.map(drop))
        };
        assert_eq!(refused(friend, &gone).await, (Code::NotFound, "410".to_owned()));
        assert_eq!(refused(friend, "never").await, (Code::NotFound, "404".to_owned()));
        assert_eq!(refused(stranger, &gone).await, (Code::NotFound, "404".to_owned()), "another has called");
        assert_eq!(refused(friend, &others).await, (Code::PermissionDenied, "403".to_owned()));
    }
    let api = live.at(owner);
    assert_eq!(bad_field(api.calls().reject_call(reject(friend, "")).await), "call_id");
    assert_eq!(bad_field(api.calls().reject_call(reject(friend, "a b")).await), "call_id");
    let nobody = RejectCallRequest { device: name.clone(), caller: "me".into(), call_id: gone };
    assert_eq!(bad_field(api.calls().reject_call(nobody).await), "caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_as_missed_or_where_another_device_has_answered_it() {
    let live = Live::new(1).await;
    let (name, _, _, device) = live.online("shop").await;
    let friend = live.friend();
    let call = |video| {
        live.sim.act(|machine, now| machine.phone_calls(now, friend, device.pn, video)).expect("it rings")
    };
    for (takes, how) in [(true, How::AnsweredElsewhere), (false, How::RejectedElsewhere)] {
        let id = call(true);
        live.sim
            .act(|machine, now| machine.phone_answers(now, (friend, &id), device.pn, takes))
            .expect("answered");
        assert_eq!(ended(&live, &name, &id).await.0, how);
        assert!(incoming(&live, &name, &id).await.0.video);
    }
    for (reason, how) in [("", How::Missed), ("timeout", How::Missed), ("other", How::Terminated)] {
        let id = call(false);
        for tag in ["transport", "relaylatency"] {
            live.sim.act(|machine, now| machine.phone_says_of_call(now, friend, &id, tag)).expect("said");
        }
        live.sim.act(|machine, now| machine.phone_hangs_up(now, friend, &id, reason)).expect("given up");
        assert_eq!(ended(&live, &name, &id).await, (how, reason.to_owned()));
    }
    // What our phone does.
    let id =
        live.sim.act(|machine, now| machine.phone_calls(now, device.pn, friend, false)).expect("it rings");
    live.sim.act(|machine, now| machine.phone_answers(now, (device.pn, &id), friend, true)).expect("taken");
    assert_eq!(ended(&live, &name, &id).await.0, How::Answered);
    let calls = events(&live, &name)
        .await
        .into_iter()
        .filter(|event| matches!(event.payload, Some(Payload::CallIncoming(_) | Payload::CallEnded(_))));
    assert_eq!(calls.count(), 5 * 2 + 1, "each part once, and nothing of what sets up the media");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_away_hears_the_calls_of_that_time() {
    let live = Live::new(1).await;
    let (name, owner, _, device) = live.online("shop").await;
    let friend = live.friend();
    let stop = StopDeviceRequest { name: name.clone() };
    live.at(owner).devices().stop_device(stop).await.expect("stopped");
    live.until_state(&name, device::State::Stopped).await;
    let id =
        live.sim.act(|machine, now| machine.phone_calls(now, friend, device.pn, false)).expect("it rings");
    live.sim.act(|machine, now| machine.phone_hangs_up(now, friend, &id, "timeout")).expect("given up");
    let start = StartDeviceRequest { name: name.clone() };
    live.at(owner).devices().start_device(start).await.expect("started");
    let (call, origin) = incoming(&live, &name, &id).await;
    assert_eq!((origin, call.over), (Origin::OfflineQueue, false), "it could ring yet");
    assert_eq!(ended(&live, &name, &id).await, (How::Missed, "timeout".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_call_of_a_group_names_the_group() {
    let live = Live::new(1).await;
    let (name, owner, _, _) = live.online("shop").await;
    let friend = live.friend();
    let create = CreateGroupRequest {
        device: name.clone(),
        subject: "Hens".to_owned(),
        participants: vec![format!("{friend}@s.whatsapp.net")],
        ..Default::default()
    };
    let group = live.at(owner).groups().create_group(create).await.expect("made").into_inner().group;
    let jid: Jid = group.parse().expect("a JID");
    let id =
        live.sim.act(|machine, now| machine.phone_calls_group(now, friend, &jid, true)).expect("it rings");
    let (call, _) = incoming(&live, &name, &id).await;
    assert_eq!((call.group, call.video), (group, true));
    live.sim
        .act(|machine, now| machine.phone_hangs_up(now, friend, &id, "group_call_ended"))
        .expect("it is over");
    assert_eq!(ended(&live, &name, &id).await, (How::Missed, "group_call_ended".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_a_call_is_previewed_through_any_node() {
    let live = Live::new(2).await;
    let (shop, _, other, device) = live.online("shop").await;
    let (farm, ..) = live.online("farm").await;
    let calls = || live.at(other).calls();
    let create = |video, start: Option<i64>| CreateCallLinkRequest {
        device: shop.clone(),
        video,
        start_time: start.map(|seconds| Timestamp { seconds, nanos: 0 }),
    };
    let preview = |device: &str, link: &str| PreviewCallLinkRequest {
        device: device.to_owned(),
        link: link.to_owned(),
    };
    for (video, start) in [(true, Some(1_900_000_000)), (false, None)] {
        let link = calls().create_call_link(create(video, start)).await.expect("made").into_inner().url;
        let token = link.rsplit('/').next().expect("a token").to_owned();
        let planned = live
            .sim
            .look(|machine| machine.accounts()[&device.pn].calls.link(&token).and_then(|link| link.start_s));
        assert_eq!(planned, start.map(|start| start.unsigned_abs()));
        for (name, admin) in [(&shop, true), (&farm, false)] {
            let about = calls().preview_call_link(preview(name, &link)).await.expect("known").into_inner();
            let creator = about.creator.clone().unwrap_or_default();
            assert_eq!(creator.phone_number, format!("{}@s.whatsapp.net", device.pn));
            assert!(creator.lid.ends_with("@lid"), "{creator:?}");
            assert_eq!((about.video, about.admin, about.waiting_room), (video, admin, false));
        }
        let kinds = if video { ["/video/", "/voice/"] } else { ["/voice/", "/video/"] };
        let odd = link.replace(kinds[0], kinds[1]);
        let refused = calls().preview_call_link(preview(&farm, &odd)).await;
        assert_eq!(code(refused), (Code::FailedPrecondition, "406".to_owned()));
    }
    let unknown = "https://call.whatsapp.com/voice/0000000000000000000000";
    assert_eq!(
        code(calls().preview_call_link(preview(&shop, unknown)).await),
        (Code::NotFound, "404".to_owned())
    );
    for bad in ["", "0000000000000000000000", "https://call.whatsapp.com/video/a b"] {
        assert_eq!(bad_field(calls().preview_call_link(preview(&shop, bad)).await), "link", "{bad:?}");
    }
    assert_eq!(bad_field(calls().create_call_link(create(true, Some(-1))).await), "start_time");
    let (new, ..) = live.device("new").await;
    let unpaired = calls().preview_call_link(preview(&new, unknown)).await;
    assert_eq!(refusal(unpaired), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_a_call_is_made_and_previewed_from_the_command_line() {
    let live = Live::new(1).await;
    let (_, _, _, device) = live.online("shop").await;
    let made = lines(&live, &["call", "link", "acme/shop", "--video", "--start", "1900000000"]).await;
    let link = made[0]["url"].as_str().expect("a link").to_owned();
    let about = lines(&live, &["call", "preview", "acme/shop", &link]).await;
    assert_eq!((&about[0]["video"], &about[0]["admin"]), (&true.into(), &true.into()), "{about:?}");
    assert_eq!(about[0]["creator"]["phoneNumber"], format!("{}@s.whatsapp.net", device.pn));
    let refused = run(&live, &["call", "preview", "acme/shop", &format!("{link}0")]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("UPSTREAM_REFUSED"), "{said}");
}
