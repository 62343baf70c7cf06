//! People who set up their phone anew: who wrote with them is told that their keys are others, and goes on. The last test
//! needs Go, Node.js and a Rust toolchain for clients that we did not write.

use roost_actors::device::Recipient;
use roost_proto::api;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::stanza::Jid;
use roost_simulations::interop::{Endpoint, Failure, Library, RealClient};
use roost_simulations::wa::{Pn, Scanner};

use crate::collections;
use crate::scene::{Device, Scene, until};

/// What the phone has read, oldest first.
fn read(scene: &Scene, phone: Pn) -> Vec<String> {
    scene.server.look(|machine| {
        let inbox = machine.accounts()[&phone].phone.inbox();
        inbox.filter_map(|message| message.text.clone()).collect()
    })
}

fn reinstall(scene: &Scene, phone: Pn) {
    scene.server.act(|machine, now| machine.reinstall(now, phone)).expect("there is such a phone");
}

async fn told(device: &Device<'_>) -> Vec<api::Person> {
    let changes = device.events().await.into_iter().filter_map(|event| match event.payload {
        Payload::IdentityChanged(change) => change.person,
        _ => None,
    });
    changes.collect()
}

async fn was_undecryptable(device: &Device<'_>) -> bool {
    device.events().await.iter().any(|event| matches!(event.payload, Payload::Undecryptable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_another_phone_is_written_to_under_its_keys_and_is_told_of_once_whoever_owns_the_device() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let kim = scene.server.account(None, Some("kim"));
    let to = Recipient::Phone(kim.to_string());
    ada.sends_to(&to, "to the old phone").await;
    until("the old phone has it", || async { read(&scene, kim) == ["to the old phone"] }).await;
    scene.server.phone_sends(kim, &ada.number(), "from the old phone").expect("sent");
    until("it came", || async { ada.texts().await.len() == 1 }).await;

    reinstall(&scene, kim);
    until("it is told", || async { told(&ada).await.len() == 1 }).await;
    ada.sends_to(&to, "to the new phone").await;
    until("the new phone has it", || async { read(&scene, kim) == ["to the new phone"] }).await;
    until("it is settled", || async { ada.acknowledged().await == 2 }).await;

    // It is told as well to who is away meanwhile.
    ada.stop().await;
    reinstall(&scene, kim);
    scene.server.phone_sends(kim, &ada.number(), "from the third phone").expect("sent");
    ada.taken_over().await;
    ada.state(State::Online).await;
    until("it came", || async { ada.texts().await == ["from the old phone", "from the third phone"] }).await;
    ada.sends_to(&to, "to the third phone").await;
    until("the third phone has it", || async { read(&scene, kim) == ["to the third phone"] }).await;
    let people = told(&ada).await;
    assert_eq!(people.len(), 2, "once for each phone: {people:?}");
    for person in people {
        assert_eq!(person.phone_number, format!("{kim}@s.whatsapp.net"));
        assert!(person.lid.ends_with("@lid"), "{person:?}");
    }
    assert!(!was_undecryptable(&ada).await);
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_phone_is_set_up_anew_is_unlinked() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let phone: Pn = ada.number().trim_end_matches("@s.whatsapp.net").parse().expect("a number");
    reinstall(&scene, phone);
    ada.state(State::LoggedOut).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_links_a_phone_that_was_set_up_anew_follows_its_app_state() {
    let scene = Scene::new().await;
    let phone = scene.server.account(None, Some("ada"));
    scene.server.phone_remembers(phone, Vec::new()).expect("it has a phone");
    scene.server.phone_changes(phone, &collections::mutes(0..3)).expect("changed");
    let mut ada = scene.paired("ada").await;
    let changes = async || collections::told(&ada).await.len();
    until("what there was is read", || async { changes().await == 3 }).await;
    reinstall(&scene, phone);
    ada.state(State::LoggedOut).await;
    ada.pair().await;
    scene.server.phone_changes(phone, &collections::mutes(100..102)).expect("it follows what it has made");
    let changes = async || collections::told(&ada).await.len();
    until("it is in step with the new phone", || async { changes().await == 5 }).await;
    ada.check_log().await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_we_did_not_write_go_on_with_who_has_another_phone() -> Result<(), Failure> {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir()?;
    let endpoint = Endpoint::of(&scene.server, folder.path())?;
    for library in [Library::Whatsmeow, Library::Baileys, Library::WhatsappRust] {
        let name = format!("{library:?}");
        let kim = scene.server.account(None, Some(&format!("who writes with {name}")));
        let mut client = RealClient::start(library, &name, &endpoint, folder.path()).await?;
        client.connect().await?;
        let scanned = scene.server.scan(&client.qr().await?, &Scanner { pn: None, name: Some(name) })?;
        client.logged_in().await?;
        let (to, own) = (Jid::pn(kim.to_string()).to_string(), scanned.device.pn.to_string());
        client.send(&to, "to the old phone").await?;
        until("the old phone has it", || async { read(&scene, kim) == ["to the old phone"] }).await;
        scene.server.phone_sends(kim, &own, "from the old phone")?;
        client.message("from the old phone").await?;

        reinstall(&scene, kim);
        scene.server.phone_sends(kim, &own, "from the new phone")?;
        client.message("from the new phone").await?;
        client.send(&to, "to the new phone").await?;
        until("the new phone has it", || async { read(&scene, kim) == ["to the new phone"] }).await;
        client.quit().await?;
    }
    Ok(())
}
