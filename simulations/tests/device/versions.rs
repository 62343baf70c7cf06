//! Devices whose version WhatsApp refuses, until operators choose another one. Nothing is started anew.

use roost_actors::device::{PairMethod, PairingUpdate, SendError};
use roost_proto::api::device::State;
use roost_proto::id::DeviceKey;
use roost_proto::version::{Canary, ProtocolVersion, Rollout};
use roost_simulations::wa::Fault;

use crate::scene::{Device, Scene, request};

/// The next version after the one that is built in.
fn newer() -> ProtocolVersion {
    let [first, second, third] = ProtocolVersion::BUILT_IN.0;
    ProtocolVersion([first, second, third + 1])
}

/// WhatsApp takes only the newer version from now on, and everybody has to log in again.
fn outdate(scene: &Scene) {
    scene.server.commit(&Fault::DemandVersion { least: Some(newer().0) }).expect("no device is named");
    scene.server.commit(&Fault::DropConnection { device: None }).expect("no device is named");
}

/// Two devices that were online, and whose version is refused now.
async fn outdated(scene: &Scene) -> [Device<'_>; 2] {
    let devices = [scene.paired("ada").await, scene.paired("bob").await];
    outdate(scene);
    for device in &devices {
        device.state(State::Outdated).await;
    }
    devices
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_refused_is_waited_out_until_another_one_is_chosen() {
    let scene = Scene::new().await;
    let [ada, bob] = outdated(&scene).await;
    let status = ada.handle().status().borrow().clone();
    let refused = format!("WhatsApp refuses version {} of the client", ProtocolVersion::BUILT_IN);
    assert_eq!((status.code, status.reason), (405, refused));
    let sent = ada.handle().send(request(&bob.recipient(), "x")).await;
    assert_eq!(sent, Err(SendError::Outdated));
    let before = ada.logins();

    scene.versions.send_replace(Rollout { stable: Some(newer()), canary: None });
    ada.state(State::Online).await;
    bob.state(State::Online).await;
    ada.sends(&bob, "healed").await;
    crate::scene::until("bob has it", || async { bob.texts().await == ["healed"] }).await;
    assert_eq!(ada.logins(), before + 1, "one login with the new one is enough");
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_is_tried_by_canaries_first() {
    let scene = Scene::new().await;
    let [ada, bob] = outdated(&scene).await;
    let key: DeviceKey = "tenants/acme/devices/ada".parse().expect("an id");
    let canary = Canary { version: newer(), percent: 0, devices: [key].into() };
    scene.versions.send_replace(Rollout { stable: None, canary: Some(canary) });
    ada.state(State::Online).await;
    bob.state(State::Outdated).await;
    scene.versions.send_replace(Rollout { stable: Some(newer()), canary: None });
    bob.state(State::Online).await;
    ada.state(State::Online).await;
    assert_eq!(ada.logins(), 2, "a canary has the version already and stays connected");
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pairing_with_a_refused_version_says_so_and_works_with_another() {
    let scene = Scene::new().await;
    let mut device = scene.opened("shop").await;
    device.state(State::Unpaired).await;
    outdate(&scene);
    let mut updates = device.handle().pair(PairMethod::Qr).await.expect("starts");
    let over = |update: &PairingUpdate| matches!(update, PairingUpdate::Failed { .. });
    let last = updates.wait_for(over).await.expect("open").clone();
    assert!(matches!(last, PairingUpdate::Failed { reason: "CLIENT_OUTDATED", .. }), "{last:?}");
    device.state(State::Unpaired).await;
    scene.versions.send_replace(Rollout { stable: Some(newer()), canary: None });
    // The device hears of it when it does; until then it says the same.
    let told =
        |update: &PairingUpdate| matches!(update, PairingUpdate::Failed { .. } | PairingUpdate::Code { .. });
    loop {
        let mut updates = device.handle().pair(PairMethod::Qr).await.expect("starts");
        match &*updates.wait_for(told).await.expect("open") {
            PairingUpdate::Failed { reason, .. } => assert_eq!(*reason, "CLIENT_OUTDATED"),
            _ => break,
        }
    }
    device.pair().await;
    device.stop().await;
}
