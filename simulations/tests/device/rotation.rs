//! A device that gives WhatsApp another signed prekey, and reads what comes under the new one and the old. The
//! last test needs Go and Node.js for clients that we did not write.

use std::time::Duration;

use roost_node::directory::LoggedEvent;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_simulations::interop::{Endpoint, Failure, Library, RealClient};
use roost_simulations::wa::Scanner;

use crate::scene::{Device, Scene, until};

/// More than the time after which a key is replaced here.
const DAYS: i64 = 2;

/// A scene whose devices replace their signed prekeys every day. (The certificates of the simulated WhatsApp are
/// valid for a week.)
async fn scene() -> Scene {
    let mut scene = Scene::new().await;
    scene.ports.limits.signed_prekey = Duration::from_secs(24 * 3600);
    scene
}

/// Id of the signed prekey that WhatsApp hands out for a device.
fn handed_out(scene: &Scene, device: &Device<'_>) -> u32 {
    let name = device.name();
    let found = scene.server.look(|machine| {
        let mut accounts = machine.accounts().values();
        accounts.find_map(|account| {
            let mut companions = account.companions.iter();
            let (_, found) = companions.find(|(number, _)| format!("{}:{number}", account.pn) == name)?;
            Some(found.signed_prekey.id)
        })
    });
    found.expect("it is paired")
}

/// The device logs in so much later, at its next owner.
async fn logs_in_later(scene: &Scene, device: &mut Device<'_>) {
    device.stop().await;
    scene.clocks.days_pass(DAYS);
    device.taken_over().await;
    device.state(State::Online).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_reach_a_device_by_its_new_signed_prekey() {
    let scene = scene().await;
    let mut ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    bob.sends(&ada, "before").await;
    until("it came", || async { ada.texts().await == ["before"] }).await;
    assert_eq!(handed_out(&scene, &ada), 1);
    logs_in_later(&scene, &mut ada).await;
    until("the second key is handed out", || async { handed_out(&scene, &ada) == 2 }).await;
    let eve = scene.server.account(None, Some("eve"));
    scene.server.phone_sends(eve, &ada.number(), "from a stranger").expect("sent");
    bob.sends(&ada, "after").await;
    until("both came", || async { ada.texts().await.len() == 3 }).await;
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_under_the_old_signed_prekey_is_read_after_the_rotation() {
    let scene = scene().await;
    let mut ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    ada.stop().await;
    scene.server.phone_sends(eve, &ada.number(), "under the old one").expect("sent");
    scene.clocks.days_pass(DAYS);
    ada.taken_over().await;
    ada.state(State::Online).await;
    until("the second key is handed out", || async { handed_out(&scene, &ada) == 2 }).await;
    until("it came", || async { ada.texts().await == ["under the old one"] }).await;
    let asked_again = |event: &LoggedEvent| matches!(event.payload, Payload::Undecryptable(_));
    assert!(!ada.events().await.iter().any(asked_again), "the old key was there when it was needed");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_and_baileys_reach_a_device_after_its_rotations() -> Result<(), Failure> {
    let scene = scene().await;
    let mut ada = scene.paired("ada").await;
    let folder = tempfile::tempdir()?;
    let endpoint = Endpoint::of(&scene.server, folder.path())?;
    for (number, library) in [Library::Whatsmeow, Library::Baileys].into_iter().enumerate() {
        logs_in_later(&scene, &mut ada).await;
        until("another key is handed out", || async { handed_out(&scene, &ada) as usize == number + 2 })
            .await;
        let name = format!("{library:?}");
        let mut client = RealClient::start(library, &name, &endpoint, folder.path()).await?;
        client.connect().await?;
        let person = Scanner { pn: None, name: Some(name) };
        scene.server.scan(&client.qr().await?, &person)?;
        client.logged_in().await?;
        client.send(&ada.number(), "hello").await?;
        until("it came", || async { ada.texts().await.len() == number + 1 }).await;
        client.quit().await?;
    }
    let unreadable = |event: &LoggedEvent| matches!(event.payload, Payload::Undecryptable(_));
    assert!(!ada.events().await.iter().any(unreadable));
    ada.stop().await;
    Ok(())
}
