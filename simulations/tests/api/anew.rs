//! A device that its phone unlinks and that is linked anew, to the same account and to another: what becomes of what
//! waits, and what the next one knows.

use std::collections::BTreeSet;
use std::time::Duration;

use roost_proto::api::message::State;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::*;
use roost_simulations::wa::{DeviceRef, Fault, Pn};

use crate::live::{Live, send, text};
use crate::world::until;

const LIMIT: Duration = Duration::from_secs(60);

async fn get(live: &Live, name: &str) -> Message {
    let found = live.at(0).messages().get_message(GetMessageRequest { name: name.into() }).await;
    found.expect("it exists").into_inner()
}

/// What the events of a device say of a message: its states, and why.
async fn told(live: &Live, device: &str, message: &str) -> Vec<(State, String)> {
    let request = ReadEventsRequest { parent: device.into(), ..Default::default() };
    let mut stream = live.at(1).events().read_events(request).await.expect("opened").into_inner();
    let mut told = Vec::new();
    while let Some(batch) = stream.message().await.expect("no refusal") {
        told.extend(batch.events.into_iter().filter_map(|event| match event.payload {
            Some(event::Payload::MessageStateChanged(it)) if it.message == message => {
                Some((it.state(), it.failure))
            }
            _ => None,
        }));
    }
    told
}

/// The messages that WhatsApp has had, and how often one came again.
fn had(live: &Live) -> (BTreeSet<(DeviceRef, String)>, u64) {
    live.sim.look(|machine| {
        let ledger = machine.ledger();
        let again = ledger.devices().values().map(|device| device.messages_repeated).sum();
        (ledger.messages().keys().cloned().collect(), again)
    })
}

fn texts(live: &Live, phone: Pn) -> Vec<String> {
    live.sim.look(|machine| {
        let inbox = machine.accounts()[&phone].phone.inbox();
        inbox.filter_map(|message| message.text.clone()).collect()
    })
}

/// One message is on the wire and one waits for what WhatsApp says of its receiver, when the link is cut. Until it is up
/// again the phone has unlinked the device.
async fn unlinked(live: &Live, name: &str, device: DeviceRef, friend: Pn, stranger: Pn) -> [Message; 2] {
    let fault = |fault: Fault| live.sim.commit(&fault).expect("a known device");
    let known = send(live.at(0), text(name, friend, "we have talked", WaitFor::Delivered), LIMIT).await;
    known.expect("sent");
    let device = device.to_string();
    fault(Fault::Delay { device: Some(device.clone()), ms: 600_000 });
    let on_wire = send(live.at(0), text(name, friend, "on the wire", WaitFor::Accepted), LIMIT).await;
    let on_wire = on_wire.expect("accepted");
    until("its bytes are durable", || async {
        (get(live, &on_wire.name).await.state() == State::Sending).then_some(())
    })
    .await;
    let waits = send(live.at(1), text(name, stranger, "it waits", WaitFor::Accepted), LIMIT).await;
    let waits = waits.expect("accepted");
    let stop = StopDeviceRequest { name: name.into() };
    live.at(1).devices().stop_device(stop).await.expect("stopped");
    fault(Fault::Delay { device: Some(device.clone()), ms: 0 });
    fault(Fault::Unlink { device });
    live.at(0).devices().start_device(StartDeviceRequest { name: name.into() }).await.expect("started");
    live.until_state(name, device::State::LoggedOut).await;
    [on_wire, waits]
}

#[tokio::test]
async fn what_waits_when_a_device_is_unlinked_ends_with_that_and_no_account_that_is_linked_next_sends_it() {
    let live = Live::new(2).await;
    let (name, _, other, mut device) = live.online("shop").await;
    let friend = live.friend();
    let mut said = Vec::new();
    for phone in ["phone of shop", "another phone"] {
        let stranger = live.sim.account(None, Some(&format!("a stranger to {phone}")));
        let waiting = unlinked(&live, &name, device, friend, stranger).await;
        let ends = [(State::Indeterminate, ""), (State::Failed, "DEVICE_LOGGED_OUT")];
        let how = async |message: &Message| {
            let message = get(&live, &message.name).await;
            (message.state(), message.failure)
        };
        for (message, (state, why)) in waiting.iter().zip(ends) {
            let end = (state, why.to_owned());
            until("it has ended", || async { (how(message).await == end).then_some(()) }).await;
            assert_eq!(told(&live, &name, &message.name).await, [end]);
        }
        let (before, account) = (had(&live), device.pn);
        device = live.pair(other, &name, phone).await;
        assert_eq!(device.pn == account, phone == "phone of shop");
        live.until_state(&name, device::State::Online).await;
        let fresh =
            send(live.at(other), text(&name, stranger, "from the new link", WaitFor::Delivered), LIMIT);
        let fresh = fresh.await.expect("sent");
        let (now, again) = had(&live);
        assert_eq!(now.difference(&before.0).collect::<Vec<_>>(), [&(device, fresh.whatsapp_id)]);
        assert_eq!(again, before.1, "nor does anything go out again");
        said.extend(["we have talked", "on the wire"]);
        assert_eq!(texts(&live, friend), said, "and nothing under another id");
        assert_eq!(texts(&live, stranger), ["from the new link"]);
        for (message, (state, why)) in waiting.iter().zip(ends) {
            assert_eq!(how(message).await, (state, why.to_owned()));
        }
    }
    assert_eq!(live.sim.look(|machine| machine.ledger().totals().key_reuses), 0);
}

#[tokio::test]
async fn a_group_that_one_account_has_made_is_no_answer_to_the_request_of_another() {
    let live = Live::new(2).await;
    let (name, _, other, mut device) = live.online("shop").await;
    let request = CreateGroupRequest {
        device: name.clone(),
        subject: "Hens".to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let make = async || {
        let made = live.at(other).groups().create_group(request.clone()).await;
        made.expect("made").into_inner().group
    };
    let first = make().await;
    for phone in ["phone of shop", "another phone"] {
        live.sim.commit(&Fault::Unlink { device: device.to_string() }).expect("a known device");
        live.until_state(&name, device::State::LoggedOut).await;
        device = live.pair(other, &name, phone).await;
        live.until_state(&name, device::State::Online).await;
        assert_eq!(make().await == first, phone == "phone of shop");
    }
}
