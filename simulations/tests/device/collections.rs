//! App state that comes in files: whole collections and large patches, also when a file is gone.

use roost_node::directory::LoggedEvent;
use roost_proto::api::chat_changed::Change;
use roost_proto::api::device::State;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::appstate::{Action, Mute};
use roost_proto::stanza::Jid;
use roost_simulations::wa::Fault;

use crate::scene::{Device, Scene, until};

pub(crate) fn mutes(users: std::ops::Range<u32>) -> Vec<Action> {
    let chat = |user: u32| Jid::pn(format!("1555999{user:04}"));
    users.map(|user| Action::Mute { chat: chat(user), mute: Mute::Forever }).collect()
}

pub(crate) async fn told(device: &Device<'_>) -> Vec<(Origin, String)> {
    let mute = |event: LoggedEvent| match event.payload {
        Payload::ChatChanged(changed) if matches!(changed.change, Some(Change::Mute(_))) => {
            Some((event.origin, changed.chat))
        }
        _ => None,
    };
    device.events().await.into_iter().filter_map(mute).collect()
}

async fn resyncs(device: &Device<'_>) -> usize {
    let resynced = |event: &LoggedEvent| matches!(event.payload, Payload::AppStateResynced(_));
    device.events().await.iter().filter(|event| resynced(event)).count()
}

/// A device whose phone has made twelve changes before.
async fn paired<'a>(scene: &'a Scene, name: &str) -> (Device<'a>, u64) {
    let pn = scene.server.account(None, Some(name));
    scene.server.phone_remembers(pn, Vec::new()).expect("it has a phone");
    for action in mutes(0..12) {
        scene.server.phone_changes(pn, &[action]).expect("changed");
    }
    let mut device = scene.opened(name).await;
    device.state(State::Unpaired).await;
    device.pair().await;
    until("the whole collection is read", || async { told(&device).await.len() == 12 }).await;
    (device, pn)
}

#[tokio::test]
async fn a_whole_collection_and_a_large_patch_come_as_files_and_changes_go_on_behind_them() {
    let scene = Scene::new().await;
    let (device, pn) = paired(&scene, "ada").await;
    scene.server.phone_changes(pn, &mutes(100..130)).expect("changed");
    scene.server.phone_changes(pn, &mutes(200..201)).expect("changed");
    until("all changes are known", || async { told(&device).await.len() == 43 }).await;
    let told = told(&device).await;
    assert!(told[..12].iter().all(|(origin, _)| *origin == Origin::History));
    assert!(told[12..].iter().all(|(origin, _)| *origin == Origin::Live));
    assert_eq!(resyncs(&device).await, 0);
    let host = scene.server.look(|machine| machine.media_hosts()[0].clone());
    assert!(scene.server.look(|machine| machine.media_served(&host)) >= 2, "both came as files");
    device.check_log().await;
}

#[tokio::test]
async fn a_patch_whose_file_is_gone_is_made_up_for_by_the_whole_collection() {
    let scene = Scene::new().await;
    let (mut device, pn) = paired(&scene, "ada").await;
    let refuse = |count| scene.server.commit(&Fault::RefuseMedia { count, status: 503 });
    refuse(u32::MAX).expect("committed");
    scene.server.phone_changes(pn, &mutes(100..130)).expect("changed");
    let tried = || scene.server.look(|machine| machine.patch_files() > 0 && machine.media_refused() > 0);
    until("the file is tried", || async { tried() }).await;
    let gone = Fault::ExpireMedia { direct_path: None, status: 410 };
    scene.server.commit(&gone).expect("committed");
    // The next owner tries it too.
    device.taken_over().await;
    refuse(0).expect("committed");
    until("all changes are known", || async { told(&device).await.len() >= 42 }).await;
    let mut chats: Vec<String> = told(&device).await.into_iter().map(|(_, chat)| chat).collect();
    chats.sort();
    chats.dedup();
    assert_eq!((chats.len(), told(&device).await.len(), resyncs(&device).await), (42, 42, 1));
    device.check_log().await;
}

#[tokio::test]
async fn a_collection_that_whatsapp_cannot_give_comes_from_the_phone_and_changes_go_on_behind_it() {
    let scene = Scene::new().await;
    let pn = scene.server.account(None, Some("ada"));
    scene.server.phone_remembers(pn, Vec::new()).expect("it has a phone");
    scene.server.phone_changes(pn, &mutes(0..2)).expect("changed");
    let mut device = scene.opened("ada").await;
    device.state(State::Unpaired).await;
    device.pair().await;
    until("the collection is read", || async { told(&device).await.len() == 2 }).await;
    let tamper = |count| Fault::TamperPatches { device: device.name(), count };
    scene.server.commit(&tamper(u32::MAX)).expect("committed");
    scene.server.phone_changes(pn, &mutes(2..3)).expect("changed");
    until("the phone has given it", || async { told(&device).await.len() == 3 }).await;
    let resynced = resyncs(&device).await;
    assert!(resynced >= 1, "it was read anew first");
    scene.server.commit(&tamper(0)).expect("committed");
    scene.server.phone_changes(pn, &mutes(3..4)).expect("changed");
    until("patches build on it", || async { told(&device).await.len() == 4 }).await;
    assert_eq!(resyncs(&device).await, resynced);
    device.check_log().await;
}
