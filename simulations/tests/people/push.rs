//! Services that are told when something comes for a device.

use roost_proto::api::register_push_request::{ApplePush, FcmPush, Service, WebPush};
use roost_proto::api::*;
use roost_simulations::interop::{Failure, Person};
use serde_json::json;

use super::{World, ask};

#[tokio::test]
async fn a_push_service_is_registered_as_whatsmeow_registers_it() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, .. } = World::new().await?;
    let kept = |person: &Person| {
        stage.sim.look(|machine| {
            let companions = machine.accounts()[&person.pn].companions.values();
            companions.map(|companion| companion.push.clone()).collect::<Vec<_>>()
        })
    };
    let p256dh = [vec![4], vec![7; 64]].concat();
    let web = WebPush { endpoint: "https://push.example/1".to_owned(), auth: vec![7; 16], p256dh };
    let (token, voip_token, key) = ("token".to_owned(), "calls".to_owned(), vec![7; 32]);
    let (client, account) = &mut clients[0];
    for (kind, service) in [
        ("web", Service::Web(web)),
        ("fcm", Service::Fcm(FcmPush { token: token.clone() })),
        ("apple", Service::Apple(ApplePush { token, voip_token, key })),
    ] {
        ask(client, json!({"cmd": "push", "kind": kind})).await?;
        let register = RegisterPushRequest { device: device.clone(), service: Some(service) };
        cluster.ask(register, async |api, it| api.accounts().register_push(it).await).await?;
        let theirs = kept(account);
        assert!(theirs.len() == 1 && !theirs[0].is_empty(), "{kind}: {theirs:?}");
        assert_eq!(kept(&roost), theirs, "{kind}");
    }
    Ok(())
}
