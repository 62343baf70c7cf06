//! The version of WhatsApp Web that devices log in with, through the API.

use roost_proto::api::set_protocol_version_request::Canary;
use roost_proto::api::*;
use roost_proto::version::ProtocolVersion as Version;
use tonic::Code;

use crate::world::{World, bad_field, by, refusal};

fn choose(version: &str, canary: Option<Canary>) -> SetProtocolVersionRequest {
    SetProtocolVersionRequest { version: version.into(), canary }
}

#[tokio::test]
async fn a_version_is_chosen_on_one_node_and_seen_on_the_other() {
    let world = World::new(2).await;
    let ask = || async {
        let answer = world.at(1).cluster().get_protocol_version(GetProtocolVersionRequest {}).await;
        answer.expect("an answer").into_inner()
    };
    let none = ask().await;
    assert_eq!((none.stable.as_str(), none.built_in), ("", Version::BUILT_IN.to_string()));
    assert!(none.change_time.is_none());

    let mut cluster = world.at(0).cluster();
    cluster.set_protocol_version(choose("2.3000.7", None)).await.expect("chosen");
    let devices = vec!["tenants/acme/devices/shop".to_owned()];
    let canary = Canary { percent: 5, devices: devices.clone() };
    cluster.set_protocol_version(choose("2.3000.8", Some(canary))).await.expect("tried");
    let chosen = ask().await;
    assert_eq!((chosen.stable.as_str(), chosen.canary.as_str()), ("2.3000.7", "2.3000.8"));
    assert_eq!((chosen.canary_percent, chosen.canary_devices), (5, devices));
    assert!(chosen.change_time.is_some());

    cluster.set_protocol_version(choose("", Some(Canary::default()))).await.expect("none is tried");
    let chosen = ask().await;
    assert_eq!((chosen.stable.as_str(), chosen.canary.as_str()), ("2.3000.7", ""));
    cluster.set_protocol_version(choose("", None)).await.expect("taken back");
    assert_eq!(ask().await.stable, "");
}

#[tokio::test]
async fn a_version_is_an_operators_and_a_bad_one_is_refused() {
    let world = World::new(1).await;
    let mut cluster = world.at(0).cluster();
    let refused = cluster.set_protocol_version(by("acme", choose("2.3000.7", None))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    let refused = cluster.get_protocol_version(by("acme", GetProtocolVersionRequest {})).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    assert_eq!(bad_field(cluster.set_protocol_version(choose("2.3000", None)).await), "version");
    let nobody = Some(Canary::default());
    assert_eq!(bad_field(cluster.set_protocol_version(choose("2.3000.7", nobody)).await), "canary");
}
