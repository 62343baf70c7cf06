//! Messages that a device cannot read and its phone can: told once, or at last said to be lost.

use std::time::Duration;

use roost_node::directory::LoggedEvent;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_simulations::wa::{Fault, Poison};

use crate::scene::{Device, Scene, until};

async fn lost(device: &Device<'_>) -> Vec<api::Undecryptable> {
    let lost = |event: LoggedEvent| match event.payload {
        Payload::Undecryptable(lost) => Some(lost),
        _ => None,
    };
    device.events().await.into_iter().filter_map(lost).collect()
}

fn commit(scene: &Scene, fault: &Fault) {
    scene.server.commit(fault).expect("the device is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_whatsapp_withholds_comes_from_the_phone_once_whoever_owns_the_device() {
    const MESSAGES: usize = 20;
    let mut scene = Scene::new().await;
    scene.ports.limits.phone = (Duration::from_millis(100), Duration::from_millis(500));
    let (mut ada, bob) = (scene.paired("ada").await, scene.paired("bob").await);
    commit(&scene, &Fault::WithholdDeliveries { device: ada.name(), count: 20 });
    for number in 0..MESSAGES {
        bob.sends(&ada, &format!("withheld {number}")).await;
        if number == MESSAGES / 2 {
            ada.taken_over().await;
        }
    }
    until("all texts are there", || async { ada.texts().await.len() >= MESSAGES }).await;
    bob.sends(&ada, "and one that is not").await;
    until("the last text is there", || async { ada.texts().await.len() > MESSAGES }).await;
    let mut texts = ada.texts().await;
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), ada.texts().await.len()), (MESSAGES + 1, MESSAGES + 1));
    assert!(lost(&ada).await.is_empty());
    ada.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_sender_cannot_encrypt_again_comes_from_the_phone() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.paired("ada").await, scene.paired("bob").await);
    // The message and all that its sender tries after it.
    commit(&scene, &Fault::CorruptDeliveries { device: ada.name(), count: 6 });
    bob.sends(&ada, "hard to read").await;
    until("it is there", || async { ada.texts().await == ["hard to read"] }).await;
    assert!(lost(&ada).await.is_empty());
    ada.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_phone_has_is_said_to_be_lost_once_by_the_next_owner() {
    let mut scene = Scene::new().await;
    scene.ports.limits.phone = (Duration::from_millis(100), Duration::from_secs(2));
    scene.ports.limits.awaiting = Duration::from_secs(5);
    let mut ada = scene.paired("ada").await;
    commit(&scene, &Fault::Poison { device: ada.name(), what: Poison::Withheld });
    let acknowledged = || {
        let name = ada.name();
        let number: u64 = name.split(':').next().and_then(|number| number.parse().ok()).expect("a number");
        scene.server.look(|machine| machine.accounts()[&number].companions[&1].backlog.is_empty())
    };
    until("it is acknowledged", || async { acknowledged() }).await;
    ada.taken_over().await;
    until("it is said to be lost", || async { !lost(&ada).await.is_empty() }).await;
    let lost = lost(&ada).await;
    assert_eq!((lost.len(), lost[0].attempts), (1, 2), "the phone was asked twice");
    assert_eq!(lost[0].reason, "WhatsApp withheld the content");
    let epoch = ada
        .events()
        .await
        .into_iter()
        .find_map(|event| matches!(event.payload, Payload::Undecryptable(_)).then_some(event.epoch));
    assert_eq!(epoch, Some(ada.handle().grant().epoch));
    ada.check_log().await;
}
