//! People on WhatsApp, asked for through any node.

use roost_proto::api::*;
use roost_simulations::wa::Fault;
use tonic::Code;

use crate::live::Live;
use crate::world::{bad_field, by, refusal, until, within};

fn check(device: &str, numbers: &[&str]) -> CheckNumbersRequest {
    let phone_numbers = numbers.iter().map(ToString::to_string).collect();
    CheckNumbersRequest { device: device.into(), phone_numbers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_checked_through_any_node_in_the_order_of_asking() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    let friend = live.friend().to_string();
    for place in [owner, other] {
        let spelled = format!("+{friend}");
        let asked = check(&name, &["4930999999", &spelled, &friend]);
        let answer = live.at(place).contacts().check_numbers(asked).await.expect("answered").into_inner();
        let found: Vec<(&str, bool)> =
            answer.numbers.iter().map(|n| (n.phone_number.as_str(), n.on_whatsapp)).collect();
        assert_eq!(found, [("4930999999", false), (spelled.as_str(), true), (friend.as_str(), true)]);
        let person = answer.numbers[1].person.as_ref().expect("somebody");
        assert_eq!(person.phone_number, format!("{friend}@s.whatsapp.net"));
        assert!(person.lid.ends_with("@lid"), "{person:?}");
        assert_eq!(answer.numbers[0].person, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_numbers_and_strangers_devices_are_refused() {
    let live = Live::new(2).await;
    let (name, owner, other) = live.device("new").await;
    let mut contacts = live.at(other).contacts();
    assert_eq!(bad_field(contacts.check_numbers(check(&name, &[])).await), "phone_numbers");
    let bad = check(&name, &["4930999999", "12"]);
    assert_eq!(bad_field(contacts.check_numbers(bad).await), "phone_numbers[1]");
    let many = vec!["4930999999"; 257];
    assert_eq!(bad_field(contacts.check_numbers(check(&name, &many)).await), "phone_numbers");
    let strange = by("globex", check(&name, &["4930999999"]));
    let (code, reason) = refusal(contacts.check_numbers(strange).await);
    assert_eq!((code, reason.as_str()), (Code::PermissionDenied, "TENANT_FORBIDDEN"));
    for place in [owner, other] {
        let mut contacts = live.at(place).contacts();
        let (code, reason) = refusal(contacts.check_numbers(check(&name, &["4930999999"])).await);
        assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "DEVICE_NOT_PAIRED"));
        let missing = check("tenants/acme/devices/none", &["4930999999"]);
        let (_, reason) = refusal(contacts.check_numbers(missing).await);
        assert_eq!(reason, "DEVICE_NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_on_its_way_back_is_waited_for_and_a_silent_whatsapp_is_told() {
    let live = Live::new(2).await;
    let (name, _, other, device) = live.online("shop").await;
    live.sim.commit(&Fault::DropConnection { device: Some(device.to_string()) }).expect("a device");
    let mut contacts = live.at(other).contacts();
    until("it asks again when it is back", || async {
        let asked = live.at(other).contacts().check_numbers(check(&name, &["4930999999"])).await;
        asked.ok().map(drop)
    })
    .await;
    live.sim.commit(&Fault::Delay { device: Some(device.to_string()), ms: 60_000 }).expect("a device");
    let (code, reason) = refusal(contacts.check_numbers(within(1500, check(&name, &["4930999999"]))).await);
    assert!(matches!(code, Code::Unavailable | Code::DeadlineExceeded), "{code:?} {reason}");
    assert!(["UPSTREAM_SILENT", "DEADLINE_EXCEEDED"].contains(&reason.as_str()), "{reason}");
}

/// What nodes use among themselves is not for tenants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_cannot_ask_whatsapp_anything_that_the_api_does_not_offer() {
    let live = Live::new(1).await;
    let (name, owner, _) = live.device("shop").await;
    let request = roost_proto::peer::AskRequest { device: name, request: vec![0, 248, 1, 3], changes: false };
    let channel = live.at(owner).channel();
    let mut peer = roost_proto::peer::peer_service_client::PeerServiceClient::new(channel);
    let (code, _) = refusal(peer.ask(by("acme", request)).await);
    assert_eq!(code, Code::PermissionDenied);
}
