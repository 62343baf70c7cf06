//! Accounts that WhatsApp lets begin no new chats: nothing is tried in vain, and nothing that was accepted is lost.

use roost_actors::device::{Bar, PacingPolicy, Recipient, SendError};
use roost_node::directory::LoggedEvent;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::appstate::{Action, Mute};
use roost_proto::stanza::Jid;
use roost_simulations::wa::Fault;

use crate::scene::{Device, Scene, request, until};

const HOUR: u32 = 3_600_000;

fn lock(device: &Device<'_>, ms: u32, tell: bool) -> Fault {
    Fault::LockNewChats { device: device.name(), ms, tell }
}

/// Messages that the simulated WhatsApp refused because they would have begun a chat.
fn refused(scene: &Scene, device: &Device<'_>) -> u64 {
    let name = device.name();
    scene.server.ledger(|ledger| {
        let found = ledger.devices().iter().find(|(device, _)| device.to_string() == name);
        found.map_or(0, |(_, record)| record.refused_reach_outs)
    })
}

fn is_locked(device: &Device<'_>) -> bool {
    device.handle().status().borrow().health.time_lock.is_some()
}

/// Somebody with a phone who has never written.
fn stranger(scene: &Scene, name: &str) -> Recipient {
    Recipient::Phone(scene.server.account(None, Some(name)).to_string())
}

async fn try_to_write(device: &Device<'_>, to: &Recipient) -> Option<Bar> {
    match device.handle().send(request(to, "hello")).await {
        Ok(_) => None,
        Err(SendError::Barred(bar)) => Some(bar),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_tried_while_whatsapp_has_told_of_a_lock_whoever_owns_the_device() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let bob = scene.paired("bob").await;
    let eve = stranger(&scene, "eve");
    bob.sends(&ada, "hello").await;
    until("it came", || async { ada.texts().await == ["hello"] }).await;
    scene.server.commit(&lock(&ada, HOUR, true)).expect("known");
    until("the device knows of the lock", || async { is_locked(&ada) }).await;
    assert!(matches!(try_to_write(&ada, &eve).await, Some(Bar::TimeLock { .. })));
    ada.sends(&bob, "an answer").await;
    until("bob has it", || async { bob.texts().await == ["an answer"] }).await;

    ada.stop().await;
    ada.taken_over().await;
    ada.state(roost_proto::api::device::State::Online).await;
    assert!(is_locked(&ada), "the next owner knows of it");
    assert!(try_to_write(&ada, &eve).await.is_some());
    ada.sends(&bob, "another").await;
    until("bob has it", || async { bob.texts().await.len() == 2 }).await;
    assert_eq!(refused(&scene, &ada), 0, "nothing was sent in vain");

    scene.server.commit(&lock(&ada, 0, true)).expect("known");
    until("the lock is gone", || async { !is_locked(&ada) }).await;
    assert_eq!(try_to_write(&ada, &eve).await, None);
    until("it was taken", || async { ada.acknowledged().await == 3 }).await;
    let told = ada.events().await;
    let told = told.iter().filter(|event| matches!(event.payload, Payload::AccountHealthChanged(_)));
    assert_eq!(told.count(), 2);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_nobody_told_of_costs_one_message_and_its_end_is_asked_for() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let (eve, kim) = (stranger(&scene, "eve"), stranger(&scene, "kim"));
    scene.server.commit(&lock(&ada, HOUR, false)).expect("known");
    assert_eq!(try_to_write(&ada, &eve).await, None, "nobody can know");
    until("it is refused", || async { ada.failures().await == ["UPSTREAM_NACK_463"] }).await;
    let reason = || {
        let lock = ada.handle().status().borrow().health.time_lock.clone();
        lock.map(|lock| lock.reason)
    };
    until("WhatsApp has said more", || async { reason().as_deref() == Some("BIZ_QUALITY") }).await;
    for who in [&eve, &kim] {
        assert!(matches!(try_to_write(&ada, who).await, Some(Bar::TimeLock { .. })));
    }
    let health = ada.handle().status().borrow().health.clone();
    assert_eq!(health.nacks.iter().map(|nack| (nack.code, nack.count)).collect::<Vec<_>>(), [(463, 1)]);
    assert_eq!(refused(&scene, &ada), 1);
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_and_a_quota_that_nobody_told_of_are_known_when_whatsapp_is_asked() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let eve = stranger(&scene, "eve");
    let cap = Fault::CapNewChats { device: ada.name(), total: 3, ms: HOUR, tell: false };
    scene.server.commit(&cap).expect("known");
    scene.server.commit(&lock(&ada, HOUR, false)).expect("known");
    ada.handle().refresh_health().await.expect("it says so");
    let health = ada.handle().status().borrow().health.clone();
    assert_eq!(health.time_lock.map(|lock| lock.reason).as_deref(), Some("BIZ_QUALITY"));
    assert_eq!(health.capping.map(|quota| (quota.used, quota.total)), Some((0, 3)));
    assert!(matches!(try_to_write(&ada, &eve).await, Some(Bar::TimeLock { .. })));
    assert_eq!(refused(&scene, &ada), 0, "no message was lost for it");
    scene.server.commit(&lock(&ada, 0, false)).expect("known");
    ada.handle().refresh_health().await.expect("it has said so");
    assert!(is_locked(&ada), "it is not asked again within a minute");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_of_new_chats_is_kept_once_it_is_known_to_be_used_up() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let people = ["eve", "kim", "joe"].map(|name| stranger(&scene, name));
    let cap = Fault::CapNewChats { device: ada.name(), total: 1, ms: HOUR, tell: false };
    scene.server.commit(&cap).expect("known");
    assert_eq!(try_to_write(&ada, &people[0]).await, None);
    until("it was taken", || async { ada.acknowledged().await == 1 }).await;
    assert_eq!(try_to_write(&ada, &people[1]).await, None);
    until("it is refused", || async { ada.failures().await == ["UPSTREAM_NACK_475"] }).await;
    let total = || {
        let quota = ada.handle().status().borrow().health.capping;
        quota.map_or(0, |quota| quota.total)
    };
    until("WhatsApp has said more", || async { total() == 1 }).await;
    let bar = try_to_write(&ada, &people[2]).await;
    assert!(matches!(bar, Some(Bar::Capped { used: 1, total: 1, .. })), "{bar:?}");
    assert_eq!(try_to_write(&ada, &people[0]).await, None, "that chat exists");
    assert_eq!(refused(&scene, &ada), 1);
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_above_the_pace_waits_at_the_next_owner_too() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let people = ["eve", "kim"].map(|name| stranger(&scene, name));
    let policy = PacingPolicy { reply_per_minute: 0, reach_out_per_day: 1 };
    ada.handle().set_pacing(policy).await.expect("durable");
    for who in &people {
        assert_eq!(try_to_write(&ada, who).await, None);
    }
    until("the first was taken", || async { ada.acknowledged().await == 1 }).await;
    ada.stop().await;
    ada.taken_over().await;
    ada.state(roost_proto::api::device::State::Online).await;
    let pace = ada.handle().pace().await.expect("loaded");
    assert_eq!((pace.policy, pace.reach_outs_left), (policy, Some(0)));
    assert!(pace.next_reach_out.is_some());
    assert_eq!(try_to_write(&ada, &people[0]).await, None, "a chat that exists has no limit");
    until("it was taken", || async { ada.acknowledged().await == 2 }).await;
    ada.handle().set_pacing(PacingPolicy { reach_out_per_day: 0, ..policy }).await.expect("durable");
    until("the other was taken", || async { ada.acknowledged().await == 3 }).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_shows_a_token_of_the_salt_that_its_phone_has_given_whoever_owns_the_device() {
    let scene = Scene::new().await;
    let pn = scene.server.account(None, Some("eve"));
    scene.server.phone_remembers(pn, Vec::new()).expect("it has a phone");
    scene.server.phone_makes_salt(pn).expect("it has a phone");
    let (ada, bob, cyd) = (scene.paired("ada").await, scene.paired("bob").await, scene.paired("cyd").await);
    let mut eve = scene.paired("eve").await;
    scene.server.commit(&Fault::DemandTokens { demand: true }).expect("no device");
    let is_told = |event: &LoggedEvent| matches!(event.payload, Payload::HistoryChunk(_));
    until("the phone has told", || async { eve.events().await.iter().any(is_told) }).await;
    eve.sends(&ada, "by history").await;
    until("ada has it", || async { ada.texts().await == ["by history"] }).await;
    eve.taken_over().await;
    eve.state(State::Online).await;
    eve.sends(&bob, "by the next owner").await;
    until("bob has it", || async { bob.texts().await == ["by the next owner"] }).await;

    scene.server.phone_makes_salt(pn).expect("it has a phone");
    let salt = scene.server.look(|machine| machine.salt(pn).map(<[u8]>::to_vec));
    let marker = Action::Mute { chat: Jid::lid("77"), mute: Mute::Forever };
    scene.server.phone_changes(pn, &[Action::Salt(salt), marker]).expect("changed");
    let is_marker = |event: &LoggedEvent| matches!(event.payload, Payload::ChatChanged(_));
    until("app state was read", || async { eve.events().await.iter().any(is_marker) }).await;
    eve.sends(&cyd, "by app state").await;
    until("cyd has it", || async { cyd.texts().await == ["by app state"] }).await;
    let secret = |event: &LoggedEvent| matches!(event.payload, Payload::SettingChanged(_));
    assert!(!eve.events().await.iter().any(secret), "the salt is no event");
    eve.check_log().await;
    assert_eq!(eve.failures().await, Vec::<String>::new());
}
