//! Sending through any node, and receiving from any.

use std::time::{Duration, SystemTime};

use roost_node::client::Client;
use roost_proto::api::message::State;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::*;
use roost_simulations::wa::Fault;
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt;

use crate::live::{Live, send, text};
use crate::media::{header, upload};
use crate::world::{bad_field, refusal, until};

const LIMIT: Duration = Duration::from_secs(60);

async fn get(client: Client, name: &str) -> Message {
    let found = client.messages().get_message(GetMessageRequest { name: name.into() }).await;
    found.expect("it exists").into_inner()
}

#[tokio::test]
async fn a_request_id_is_one_message_whatever_node_is_asked() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    let request = text(&name, live.friend(), "hello", WaitFor::ServerAck);
    let first = send(live.at(other), request.clone(), LIMIT).await.expect("sent");
    assert!(first.state() as i32 >= State::Sent as i32, "{first:?}");
    for place in [owner, other] {
        let again = send(live.at(place), request.clone(), LIMIT).await.expect("the same message");
        assert_eq!((&again.name, &again.whatsapp_id), (&first.name, &first.whatsapp_id));
        assert_eq!(get(live.at(place), &first.name).await.request_id, request.request_id);
        let mut changed = request.clone();
        changed.content = Some(Content::Text("something else".into()));
        let reused = send(live.at(place), changed, LIMIT).await;
        assert_eq!(bad_field(reused.clone()), "request_id");
        assert_eq!(refusal(reused), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED".into()));
    }
}

#[tokio::test]
async fn a_chosen_id_is_that_of_one_message_whatever_node_is_asked() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    let under = |id: &str, text_of_it: &str| SendMessageRequest {
        whatsapp_id: id.to_owned(),
        ..text(&name, live.friend(), text_of_it, WaitFor::ServerAck)
    };
    let request = under("order-2026.11_29", "hello");
    for place in [other, owner] {
        let sent = send(live.at(place), request.clone(), LIMIT).await.expect("sent");
        assert_eq!(sent.whatsapp_id, "order-2026.11_29");
        let taken = send(live.at(place), under("order-2026.11_29", "hello again"), LIMIT).await;
        let details = taken.as_ref().expect_err("it is taken").get_details_bad_request();
        assert_eq!(details.expect("names the field").field_violations[0].field, "whatsapp_id");
        assert_eq!(refusal(taken), (Code::AlreadyExists, "WHATSAPP_ID_EXISTS".into()));
        let other_id = SendMessageRequest { whatsapp_id: "order-2026.11_30".into(), ..request.clone() };
        let reused = send(live.at(place), other_id, LIMIT).await;
        assert_eq!(refusal(reused), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED".into()));
        assert_eq!(bad_field(send(live.at(place), under("order 1", "hello"), LIMIT).await), "whatsapp_id");
    }
}

#[tokio::test]
async fn an_accepted_request_stays_one_message_whatever_becomes_of_its_device() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    let request = text(&name, live.friend(), "hello", WaitFor::ServerAck);
    let first = send(live.at(owner), request.clone(), LIMIT).await.expect("sent");
    let mut changed = request.clone();
    changed.content = Some(Content::Text("something else".into()));
    let repeats_are_answered = async |reason: &str| {
        for place in [owner, other] {
            let again = send(live.at(place), request.clone(), LIMIT).await.expect("the same message");
            assert_eq!((&again.name, &again.whatsapp_id), (&first.name, &first.whatsapp_id), "{reason}");
            let reused = send(live.at(place), changed.clone(), LIMIT).await;
            assert_eq!(refusal(reused).1, "IDEMPOTENCY_KEY_REUSED", "{reason}");
            let fresh = text(&name, live.friend(), "hello", WaitFor::Accepted);
            assert_eq!(refusal(send(live.at(place), fresh, LIMIT).await).1, reason);
        }
    };
    let fault = |fault: Fault| live.sim.commit(&fault).expect("a known device");
    fault(Fault::StreamError { device: device.to_string(), code: 440 });
    live.until_state(&name, device::State::Conflict).await;
    repeats_are_answered("DEVICE_CONFLICT").await;

    let stop = StopDeviceRequest { name: name.clone() };
    live.at(other).devices().stop_device(stop).await.expect("stopped");
    repeats_are_answered("DEVICE_STOPPED").await;

    live.at(other).devices().start_device(StartDeviceRequest { name: name.clone() }).await.expect("started");
    live.until_state(&name, device::State::Online).await;
    fault(Fault::Unlink { device: device.to_string() });
    live.until_state(&name, device::State::LoggedOut).await;
    repeats_are_answered("DEVICE_LOGGED_OUT").await;
}

#[tokio::test]
async fn waiting_for_the_receiver_answers_when_it_has_the_message() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    for place in [owner, other] {
        let request = text(&name, live.friend(), "hello", WaitFor::Delivered);
        let delivered = send(live.at(place), request, LIMIT).await.expect("delivered");
        assert!(delivered.state() as i32 >= State::Delivered as i32, "{delivered:?}");
        assert!(delivered.server_ack_time.is_some() && delivered.delivered_time.is_some());
    }
}

#[tokio::test]
async fn a_message_to_nobody_is_accepted_and_then_fails_with_its_reason() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    for place in [owner, other] {
        let mut request = text(&name, live.friend(), "hello", WaitFor::ServerAck);
        request.to = Some(Recipient { to: Some(recipient::To::PhoneNumber("4915199999999".into())) });
        let failed = send(live.at(place), request, LIMIT).await.expect("it was accepted");
        assert_eq!((failed.state(), failed.failure.as_str()), (State::Failed, "RECIPIENT_NOT_ON_WHATSAPP"));
    }
}

#[tokio::test]
async fn a_deadline_that_ends_after_acceptance_still_answers_with_the_present_state() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    // Whatever WhatsApp says to the device comes after the deadline.
    live.sim.commit(&Fault::Delay { device: Some(device.to_string()), ms: 60_000 }).expect("a known device");
    for place in [owner, other] {
        let request = text(&name, live.friend(), "hello", WaitFor::ServerAck);
        let sent = send(live.at(place), request, Duration::from_secs(3)).await.expect("accepted is accepted");
        assert!((sent.state() as i32) < State::Sent as i32, "{sent:?}");
    }
}

#[tokio::test]
async fn a_message_that_waits_too_long_expires_and_one_that_waits_can_be_cancelled_on_any_node() {
    let live = Live::new(2).await;
    let (name, owner, other, device) = live.online("shop").await;
    let cancel = async |place: usize, name: &str| {
        let request = CancelMessageRequest { name: name.into() };
        live.at(place).messages().cancel_message(request).await.map(tonic::Response::into_inner)
    };
    let sent = send(live.at(owner), text(&name, live.friend(), "hello", WaitFor::ServerAck), LIMIT).await;
    let refused = cancel(other, &sent.expect("sent").name).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "TOO_LATE_TO_CANCEL".into()));
    let nothing = cancel(other, &format!("{name}/messages/01HZX3")).await;
    assert_eq!(refusal(nothing), (Code::NotFound, "MESSAGE_NOT_FOUND".into()));
    assert_eq!(bad_field(cancel(other, "shop").await), "name");

    // What WhatsApp says of strangers comes after the test.
    live.sim.commit(&Fault::Delay { device: Some(device.to_string()), ms: 600_000 }).expect("a known device");
    for (place, elsewhere) in [(owner, other), (other, owner)] {
        let stranger = live.sim.account(None, Some(&format!("a stranger to {place}")));
        let mut request = text(&name, stranger, "hello", WaitFor::ServerAck);
        let seconds = Timestamp::from(SystemTime::now()).seconds + 2;
        request.expire_time = Some(Timestamp { seconds, nanos: 0 });
        let expired = send(live.at(place), request.clone(), LIMIT).await.expect("it was accepted");
        assert_eq!((expired.state(), expired.expire_time), (State::Expired, request.expire_time));
        let again = send(live.at(elsewhere), request, LIMIT).await.expect("the same message");
        assert_eq!(again, expired);
        assert_eq!(refusal(cancel(elsewhere, &expired.name).await).1, "TOO_LATE_TO_CANCEL");

        let request = text(&name, stranger, "hello", WaitFor::Accepted);
        let waits = send(live.at(place), request, LIMIT).await.expect("accepted");
        for place in [elsewhere, place] {
            let cancelled = cancel(place, &waits.name).await.expect("in time");
            assert_eq!((cancelled.state(), &cancelled.name), (State::Cancelled, &waits.name));
        }
    }
}

#[tokio::test]
async fn a_watch_follows_a_message_to_its_receiver_from_any_node() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    for place in [owner, other] {
        let request = text(&name, live.friend(), "hello", WaitFor::Accepted);
        let sent = send(live.at(place), request, LIMIT).await.expect("accepted");
        let request = WatchMessageRequest { name: sent.name.clone() };
        let mut watch = live.at(place).messages().watch_message(request).await.expect("opened").into_inner();
        let mut states = Vec::new();
        while states.last().is_none_or(|state| *state < State::Delivered as i32) {
            let said = tokio::time::timeout(LIMIT, watch.message()).await.expect("in time");
            states.push(said.expect("no refusal").expect("no end").state);
        }
        assert!(states.windows(2).all(|pair| pair[0] <= pair[1]), "{states:?}");
    }
}

#[tokio::test]
async fn what_a_phone_sends_is_read_from_a_node_that_does_not_own_the_device() {
    let live = Live::new(2).await;
    let (name, _, other, device) = live.online("shop").await;
    let request = ReadEventsRequest { parent: name.clone(), follow: true, ..Default::default() };
    let mut stream = live.at(other).events().read_events(request).await.expect("opened").into_inner();
    live.sim.phone_sends(live.friend(), &device.pn.to_string(), "good morning").expect("sent");
    let (mut sequences, mut texts) = (Vec::new(), Vec::new());
    while texts.is_empty() {
        let said = tokio::time::timeout(LIMIT, stream.message()).await.expect("in time");
        for event in said.expect("no refusal").expect("no end").events {
            sequences.push(event.sequence);
            if let Some(event::Payload::MessageReceived(message)) = event.payload
                && let Some(message_received::Content::Text(text)) = message.content
            {
                texts.push(text);
            }
        }
    }
    assert_eq!(texts, ["good morning"]);
    let count = i64::try_from(sequences.len()).expect("few");
    assert_eq!(sequences, (1..=count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_move_fails_no_call() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    let friend = live.friend();
    let mut sending = tokio::task::JoinSet::new();
    for n in 0..60 {
        let client = live.at(n % 2);
        let request = text(&name, friend, &format!("{n}"), WaitFor::ServerAck);
        let turn = Instant::now() + Duration::from_millis(20) * u32::try_from(n).expect("small");
        sending.spawn(async move {
            tokio::time::interval_at(turn, LIMIT).tick().await;
            send(client, request, LIMIT).await
        });
    }
    let target = format!("n{}", other + 1);
    let moving = MoveDeviceRequest { name: name.clone(), target: target.clone(), allow_downgrade: false };
    let moved = live.at(other).cluster().move_device(moving).await.expect("moved").into_inner();
    assert_eq!(moved.ownership.expect("a row").node, target);
    let back =
        MoveDeviceRequest { name: name.clone(), target: format!("n{}", owner + 1), allow_downgrade: false };
    until("the device moves back", || async {
        live.at(other).cluster().move_device(back.clone()).await.ok().map(drop)
    })
    .await;
    while let Some(sent) = sending.join_next().await {
        let message = sent.expect("no panic").expect("no call fails");
        assert!(message.state() as i32 >= State::Sent as i32, "{message:?}");
    }
}

#[tokio::test]
async fn without_its_store_a_node_refuses_sends_keeps_connections_and_goes_on_afterwards() {
    let live = Live::new(1).await;
    let (name, _, _, device) = live.online("shop").await;
    let logins = || live.sim.ledger(|ledger| ledger.devices()[&device].logins);
    let before = logins();
    live.model.set_down(true);
    let request = text(&name, live.friend(), "hello", WaitFor::Accepted);
    let status = send(live.at(0), request.clone(), Duration::from_secs(5)).await.expect_err("no store");
    let (code, reason) = refusal::<()>(Err(status.clone()));
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(status.get_details_retry_info().is_some(), "waiting helps");
    assert!(live.nodes[0].probes.not_ready().await.contains(&"the store does not answer"));
    let read = live.at(0).devices().get_device(GetDeviceRequest { name: name.clone() }).await;
    assert_eq!(refusal(read), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    live.model.set_down(false);
    let sent = until("sends are accepted again", || async {
        send(live.at(0), request.clone(), Duration::from_secs(5)).await.ok()
    })
    .await;
    assert_eq!(sent.request_id, request.request_id);
    until("the node is ready again", || async {
        live.nodes[0].probes.not_ready().await.is_empty().then_some(())
    })
    .await;
    assert_eq!(logins(), before, "the connection stayed");
}

#[tokio::test]
async fn a_node_counts_what_it_has_done() {
    let live = Live::new(1).await;
    let (name, ..) = live.online("shop").await;
    let request = text(&name, live.friend(), "hello", WaitFor::ServerAck);
    send(live.at(0), request, LIMIT).await.expect("sent");
    let shown = live.nodes[0].probes.metrics();
    for line in [
        "roost_sends_total{type=\"text\",result=\"accepted\"} 1",
        "roost_sends_total{type=\"any\",result=\"sent\"} 1",
        "roost_devices{state=\"ONLINE\"} 1",
        "roost_nodes{state=\"active\"} 1",
        "roost_events_appended_total{kind=\"paired\"} 1",
        "service=\"MessageService\",method=\"SendMessage\",code=\"OK\"",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

#[tokio::test]
async fn files_are_uploaded_to_the_hosts_that_the_operator_names_instead_of_those_that_whatsapp_names() {
    let live = Live::uploading_to(1, |hosts| hosts[1..].to_vec()).await;
    let (name, ..) = live.online("shop").await;
    let leaf = header(media::Kind::Document, "text/plain");
    let media = upload(live.at(0), leaf, b"a leaf").await.expect("taken");
    let document = Document { media: Some(media), ..Default::default() };
    let message = SendMessageRequest {
        content: Some(Content::Document(document)),
        ..text(&name, live.friend(), "", WaitFor::ServerAck)
    };
    send(live.at(0), message, LIMIT).await.expect("sent");
    let served = live.sim.look(|machine| {
        machine.media_hosts().iter().map(|host| machine.media_served(host)).collect::<Vec<_>>()
    });
    assert_eq!(served, [0, 1]);
}
