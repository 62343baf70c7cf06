//! A device whose keys WhatsApp has lost gives them again, as the one client does that looks. The last test needs a
//! Rust toolchain for that client.

use roost_proto::api::device::State;
use roost_simulations::interop::{Endpoint, Failure, Library, RealClient};
use roost_simulations::wa::{Fault, Scanner};

use crate::scene::{Scene, until};

/// How many one-time prekeys WhatsApp has of a device.
fn there(scene: &Scene, device: &str) -> usize {
    scene.server.look(|machine| {
        let accounts = machine.accounts().values();
        let mut companions = accounts.flat_map(|account| {
            account.companions.iter().map(|(number, found)| (format!("{}:{number}", account.pn), found))
        });
        companions.find(|(name, _)| name == device).map_or(0, |(_, found)| found.one_time.len())
    })
}

/// What is given again may be what was there: an owner that dies before it hears that its keys have come leaves them to
/// be given by the next.
fn given_again(scene: &Scene, device: &str) -> bool {
    let device = device.parse().expect("a device");
    scene.server.look(|machine| !machine.lacks_keys(device))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_keys_whatsapp_has_lost_gives_them_again() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    until("keys are there", || async { there(&scene, &ada.name()) > 0 }).await;
    let before = there(&scene, &ada.name());
    ada.stop().await;
    ada.taken_over().await;
    ada.state(State::Online).await;
    scene.server.commit(&Fault::LoseKeys { device: ada.name() }).expect("it is known");
    ada.stop().await;
    assert_eq!(there(&scene, &ada.name()), before, "what is there is ours");
    assert!(!given_again(&scene, &ada.name()), "nobody has looked yet");
    ada.taken_over().await;
    until("keys are given again", || async { given_again(&scene, &ada.name()) }).await;
    assert!(there(&scene, &ada.name()) >= before);
    let eve = scene.server.account(None, Some("eve"));
    scene.server.phone_sends(eve, &ada.number(), "from a stranger").expect("sent");
    until("it came", || async { ada.texts().await == ["from a stranger"] }).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsapp_rust_gives_them_again_too() -> Result<(), Failure> {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir()?;
    let endpoint = Endpoint::of(&scene.server, folder.path())?;
    let mut client = RealClient::start(Library::WhatsappRust, "rust", &endpoint, folder.path()).await?;
    client.connect().await?;
    let person = Scanner { pn: None, name: Some("rust".to_owned()) };
    let device = scene.server.scan(&client.qr().await?, &person)?.device.to_string();
    client.logged_in().await?;
    until("keys are there", || async { there(&scene, &device) > 0 }).await;
    let before = there(&scene, &device);
    scene.server.commit(&Fault::LoseKeys { device: device.clone() })?;
    scene.server.commit(&Fault::DropConnection { device: Some(device.clone()) })?;
    client.logged_in().await?;
    until("keys are given again", || async { given_again(&scene, &device) }).await;
    assert!(there(&scene, &device) >= before);
    client.quit().await?;
    Ok(())
}
