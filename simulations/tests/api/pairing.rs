//! Pairing, logging out and stopping real devices through any node.

use std::time::Duration;

use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::*;
use tonic::Code;

use crate::live::{Live, send, text};
use crate::world::{refusal, until};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_device_pairs_through_a_node_that_does_not_own_it() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    assert_eq!(live.owner(&name).await, Some(owner), "pairing moves nothing");
    for place in [owner, other] {
        let again =
            live.at(place).pairing().start_pairing(StartPairingRequest { device: name.clone() }).await;
        let expected = (Code::FailedPrecondition, "DEVICE_ALREADY_PAIRED".to_owned());
        assert_eq!(refusal(again.map(drop)), expected);
    }
}

#[tokio::test]
async fn a_second_caller_joins_the_attempt_that_is_under_way() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let first_code = async |place: usize| {
        let request = StartPairingRequest { device: name.clone() };
        let mut steps = live.at(place).pairing().start_pairing(request).await.expect("opened").into_inner();
        loop {
            let step = tokio::time::timeout(LIMIT, steps.message()).await.expect("in time");
            let step = step.expect("no refusal").expect("no end");
            if let Some(pairing_event::Event::Qr(code)) = step.event {
                return code.payload;
            }
        }
    };
    assert_eq!(first_code(owner).await, first_code(other).await);
}

#[tokio::test]
async fn what_a_device_cannot_do_in_its_state_is_refused_on_every_node() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("shop").await;
    let friend = live.friend();
    let not_paired = (Code::FailedPrecondition, "DEVICE_NOT_PAIRED".to_owned());
    for place in [owner, other] {
        let sent = send(live.at(place), text(&name, friend, "hello", WaitFor::Accepted), LIMIT).await;
        assert_eq!(refusal(sent), not_paired);
        let logout = live.at(place).devices().logout_device(LogoutDeviceRequest { name: name.clone() }).await;
        assert_eq!(refusal(logout), not_paired);
    }
    live.pair(other, &name, "phone").await;
    live.until_state(&name, device::State::Online).await;
    let logout = live.at(other).devices().logout_device(LogoutDeviceRequest { name: name.clone() }).await;
    logout.expect("unlinked");
    live.until_state(&name, device::State::LoggedOut).await;
    for place in [owner, other] {
        let sent = send(live.at(place), text(&name, friend, "hello", WaitFor::Accepted), LIMIT).await;
        assert_eq!(refusal(sent), (Code::FailedPrecondition, "DEVICE_LOGGED_OUT".to_owned()));
    }
}

#[tokio::test]
async fn when_a_stop_answers_the_device_is_no_longer_connected() {
    let live = Live::new(2).await;
    let (name, _, other, device) = live.online("shop").await;
    let stopped = live.at(other).devices().stop_device(StopDeviceRequest { name: name.clone() }).await;
    assert_eq!(stopped.expect("stopped").get_ref().state(), device::State::Stopped);
    until("WhatsApp has seen the connection end", || async {
        live.sim.look(|machine| !machine.online().any(|online| online == device)).then_some(())
    })
    .await;
    let sent = send(live.at(other), text(&name, live.friend(), "hello", WaitFor::Accepted), LIMIT).await;
    assert_eq!(refusal(sent), (Code::FailedPrecondition, "DEVICE_STOPPED".to_owned()));
    live.at(other).devices().start_device(StartDeviceRequest { name: name.clone() }).await.expect("started");
    live.until_state(&name, device::State::Online).await;
}
