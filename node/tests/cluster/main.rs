//! The shells of the cluster module against a ledger in memory, on paused time.

mod ledger;
mod orphan;
mod parent;
mod sqlite;
mod turns;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::device::Opening;
use roost_node::api::port::{AlreadyDraining, Cluster, HandOffError};
use roost_node::cluster::{
    self, BootClock, ClusterHandle, ClusterOptions, ClusterPorts, Ended, Ending, Hosting, PeerHint,
    Permission, StartError,
};
use roost_node::metrics::Metrics;
use roost_node::outside::Dice;
use roost_placement::egress::Reach;
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Desired, Grant, Ledger, MemberState, Timing};
use roost_placement::wish::Wish;
use roost_proto::id::{DeviceKey, Epoch, Life};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use ledger::{TestLedger, candidate, key};

/// What a node's devices were told.
#[derive(Default)]
pub(crate) struct Devices {
    running: Mutex<BTreeMap<DeviceKey, (Grant, oneshot::Sender<String>)>>,
    told: Mutex<Vec<&'static str>>,
    reasons: Mutex<Vec<(DeviceKey, String)>>,
}

impl Devices {
    pub(crate) fn keys(&self) -> Vec<DeviceKey> {
        self.running.lock().expect("not poisoned").keys().cloned().collect()
    }
}

#[async_trait]
impl Hosting for Devices {
    async fn start(&self, opening: Opening) -> Result<Ending, StartError> {
        let (end, ended) = oneshot::channel();
        let key = opening.grant.key.clone();
        self.reasons.lock().expect("not poisoned").push((key.clone(), opening.reason));
        let before = self.running.lock().expect("not poisoned").insert(key, (opening.grant, end));
        assert!(before.is_none(), "started twice");
        Ok(Box::pin(async move { ended.await.unwrap_or_else(|_| "stopped".to_owned()) }))
    }

    fn reach(&self, _: BootTime) -> Reach {
        Reach::default()
    }

    async fn probe(&self) -> bool {
        true
    }

    fn is_connected(&self, _: &DeviceKey) -> bool {
        true
    }

    async fn stop(&self, key: &DeviceKey) {
        pass(Duration::from_millis(20)).await;
        self.running.lock().expect("not poisoned").remove(key);
    }

    async fn quiesce(&self) {
        self.told.lock().expect("not poisoned").push("quiesce");
    }

    async fn resume(&self) {
        self.told.lock().expect("not poisoned").push("resume");
    }

    async fn close(&self) {
        self.running.lock().expect("not poisoned").clear();
        self.told.lock().expect("not poisoned").push("close");
    }
}

/// Hints that go straight to the other node's handle.
#[derive(Clone, Default)]
pub(crate) struct Hints(pub(crate) Arc<Mutex<BTreeMap<Life, ClusterHandle>>>);

#[async_trait]
impl PeerHint for Hints {
    async fn warm(&self, _: &Life, _: &str, _: &DeviceKey, _: Duration) {}

    async fn adopt(&self, peer: &Life, _: &str, key: &DeviceKey, epoch: Epoch, _: Duration) {
        let handle = self.0.lock().expect("not poisoned").get(peer).cloned();
        if let Some(handle) = handle {
            handle.adopt(key, epoch);
        }
    }
}

pub(crate) struct Node {
    pub(crate) life: Life,
    pub(crate) handle: ClusterHandle,
    pub(crate) devices: Arc<Devices>,
    pub(crate) permission: Arc<Permission>,
    metrics: Metrics,
}

fn test_clock() -> BootClock {
    let start = Instant::now();
    Arc::new(move || BootTime(1_000_000_000 + start.elapsed().as_nanos() as u64))
}

async fn node(name: &str, ledger: &TestLedger, hints: &Hints) -> Node {
    let life = ledger.join(&candidate(name), None, &Timing::FAST).await.expect("a free slot");
    let devices = Arc::new(Devices::default());
    let permission = Permission::new(test_clock());
    let metrics = Metrics::new();
    let ports = ClusterPorts {
        ledger: Arc::new(ledger.clone()),
        heartbeat: Arc::new(ledger.clone()),
        hosting: devices.clone(),
        hints: Arc::new(hints.clone()),
        permission: permission.clone(),
        dice: Dice::default(),
        metrics: metrics.clone(),
    };
    let options = ClusterOptions { own_thread: false, ..ClusterOptions::new(life.clone(), Timing::FAST) };
    let handle = cluster::start(options, ports).expect("started");
    hints.0.lock().expect("not poisoned").insert(life.clone(), handle.clone());
    Node { life, handle, devices, permission, metrics }
}

/// Lets paused time pass.
pub(crate) async fn pass(span: Duration) {
    let nothing = timeout(span, std::future::pending::<()>()).await;
    assert!(nothing.is_err());
}

/// Waits, on paused time, until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            pass(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(start_paused = true)]
async fn a_node_joins_claims_and_starts_what_nobody_holds() {
    let ledger = TestLedger::with_devices(6);
    let node = node("n1", &ledger, &Hints::default()).await;
    assert!(!node.permission.may_act(), "not before the first heartbeat");
    until("all run", || node.devices.keys().len() == 6).await;
    assert!(node.permission.may_act() && node.handle.may_act());
    assert_eq!(ledger.state_of(&node.life), Some(MemberState::Active));
    assert_eq!(node.handle.owned(), 6);
    assert!(node.devices.reasons.lock().expect("not poisoned").iter().all(|(_, why)| why == "claim"));
    assert_eq!(node.handle.preference(&key(0), &Wish::default()), vec![node.life.node.clone()]);
}

#[tokio::test(start_paused = true)]
async fn when_the_store_is_silent_devices_go_quiet_and_come_back_without_a_restart() {
    let ledger = TestLedger::with_devices(3);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("all run", || node.devices.keys().len() == 3).await;
    ledger.set_down(true);
    until("quiet", || !node.permission.may_act()).await;
    pass(Duration::from_secs(10)).await;
    assert!(!node.permission.may_act());
    ledger.set_down(false);
    until("back", || node.permission.may_act()).await;
    pass(Duration::from_secs(5)).await;
    assert_eq!(*node.devices.told.lock().expect("not poisoned"), ["resume", "quiesce", "resume"]);
    assert_eq!(node.devices.reasons.lock().expect("not poisoned").len(), 3, "started once each");
}

/// A member that does nothing and that nobody buries.
async fn silent(ledger: &TestLedger) -> Life {
    let timing = Timing { ttl: Duration::from_secs(3600), ..Timing::FAST };
    ledger.join(&candidate("n2"), None, &timing).await.expect("a free slot")
}

/// What the counter of owner violations shows.
fn violations(node: &Node) -> u32 {
    let text = node.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix("roost_owner_violations_total "));
    line.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_claimed_from_a_node_that_may_act_is_counted_and_nothing_else_is() {
    let ledger = TestLedger::with_devices(4);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("all run", || node.devices.keys().len() == 4).await;
    let thief = silent(&ledger).await;
    ledger.hand_to(&key(0), &thief, "give");
    ledger.hand_to(&key(1), &thief, "re-attach");
    ledger.desire(&key(2), Desired::Offline);
    until("they stop", || node.devices.keys() == [key(3)]).await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(violations(&node), 0, "given, attached elsewhere, wanted offline");
    ledger.hand_to(&key(3), &thief, "take-over");
    until("it is counted", || violations(&node) == 1).await;
    pass(Duration::from_secs(5)).await;
    assert_eq!(violations(&node), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_claimed_from_a_node_whose_lease_has_run_out_is_no_violation() {
    let ledger = TestLedger::with_devices(1);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("it runs", || node.devices.keys().len() == 1).await;
    let thief = silent(&ledger).await;
    ledger.set_down(true);
    until("quiet", || !node.permission.may_act()).await;
    ledger.hand_to(&key(0), &thief, "take-over");
    ledger.set_down(false);
    until("it is stopped", || node.devices.keys().is_empty()).await;
    pass(Duration::from_secs(5)).await;
    assert_eq!(violations(&node), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_act_says_so_although_its_lease_runs() {
    let ledger = TestLedger::with_devices(1);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("it may act", || !node.handle.may_act_for().is_zero()).await;
    assert!(node.handle.may_act_for() <= Timing::FAST.ttl - Timing::FAST.margin);
    node.permission.suspend();
    assert!(node.handle.may_act_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_row_says_dead_closes_everything_and_says_so() {
    let ledger = TestLedger::with_devices(3);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("all run", || node.devices.keys().len() == 3).await;
    ledger.certify_death(&node.life).await.expect("up");
    let mut ended = node.handle.ended();
    let why = *ended.wait_for(Option::is_some).await.expect("the driver is there");
    assert_eq!(why, Some(Ended::Dead));
    assert!(!node.permission.may_act());
    assert!(node.devices.keys().is_empty());
    assert_eq!(node.devices.told.lock().expect("not poisoned").last(), Some(&"close"));
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_everything_over_and_ends_the_life() {
    let ledger = TestLedger::with_devices(30);
    let hints = Hints::default();
    let one = node("n1", &ledger, &hints).await;
    let two = node("n2", &ledger, &hints).await;
    until("all run", || one.devices.keys().len() + two.devices.keys().len() == 30).await;
    let before = one.devices.keys().len();
    one.handle.drain().expect("the first");
    assert_eq!(one.handle.drain(), Err(AlreadyDraining));
    assert!(*one.handle.draining().borrow());
    let mut ended = one.handle.ended();
    assert_eq!(*ended.wait_for(Option::is_some).await.expect("running"), Some(Ended::Drained));
    until("all run at the other", || two.devices.keys().len() == 30).await;
    assert_eq!(ledger.state_of(&one.life), Some(MemberState::Dead));
    let reasons = two.devices.reasons.lock().expect("not poisoned").clone();
    assert_eq!(reasons.iter().filter(|(_, why)| why == "give").count(), before, "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_is_handed_to_the_node_that_the_caller_names() {
    let ledger = TestLedger::with_devices(2);
    let hints = Hints::default();
    let one = node("n1", &ledger, &hints).await;
    until("both run", || one.devices.keys().len() == 2).await;
    let two = node("n2", &ledger, &hints).await;
    until("two is active", || ledger.state_of(&two.life) == Some(MemberState::Active)).await;
    pass(Duration::from_secs(1)).await;
    let done = one.handle.hand_off(&key(0), &two.life).await.expect("handed off");
    assert_eq!(done.grant.life, two.life);
    assert!(done.pause < Duration::from_millis(100), "{:?}", done.pause);
    let asked = Instant::now();
    until("it runs there", || two.devices.keys() == [key(0)]).await;
    assert!(asked.elapsed() < Duration::from_millis(200), "the hint makes it quick");
    let refused = one.handle.hand_off(&key(0), &two.life).await.expect_err("gone");
    assert!(matches!(refused, HandOffError::NotOwner), "{refused}");
    let stranger = Life { node: "n9".parse().expect("a label"), ..two.life.clone() };
    let refused = one.handle.hand_off(&key(1), &stranger).await.expect_err("no such member");
    assert!(matches!(refused, HandOffError::Target(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_ends_by_itself_goes_back_to_the_pool_and_is_claimed_again_later() {
    let ledger = TestLedger::with_devices(1);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("it runs", || node.devices.keys().len() == 1).await;
    let (_, end) = node.devices.running.lock().expect("not poisoned").remove(&key(0)).expect("it runs");
    end.send("its budget is spent".to_owned()).expect("somebody waits");
    until("it is free", || ledger.row(&key(0)).owner.is_none()).await;
    until("it runs again", || node.devices.keys().len() == 1).await;
    assert_eq!(ledger.row(&key(0)).epoch, Epoch(3), "claim, release, claim");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_ends_again_and_again_is_left_alone_for_longer_each_time() {
    let ledger = TestLedger::with_devices(1);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("it runs", || node.devices.keys().len() == 1).await;
    let pause = async || {
        let (_, end) = node.devices.running.lock().expect("not poisoned").remove(&key(0)).expect("it runs");
        end.send("its state does not open".to_owned()).expect("somebody waits");
        let ended = Instant::now();
        while node.devices.keys().is_empty() {
            pass(Duration::from_millis(200)).await;
        }
        ended.elapsed().as_secs()
    };
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(pause().await);
    }
    let least = [5, 10, 20, 40, 80, 160, 300, 300];
    let grow = pauses.iter().zip(least).all(|(pause, least)| (least..least + 10).contains(pause));
    assert!(grow, "{pauses:?}");
    pass(Duration::from_secs(900)).await;
    let pause = pause().await;
    assert!(pause < 15, "what held for a while is not held against it: {pause}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_nobody_wants_is_stopped_and_freed_on_request() {
    let ledger = TestLedger::with_devices(2);
    let node = node("n1", &ledger, &Hints::default()).await;
    until("both run", || node.devices.keys().len() == 2).await;
    ledger.desire(&key(0), Desired::Offline);
    node.handle.free(&key(0)).await.expect("freed");
    assert_eq!(ledger.row(&key(0)).owner, None);
    assert_eq!(node.devices.keys(), [key(1)]);
    node.handle.free(&key(0)).await.expect("nothing to do");
    ledger.desire(&key(0), Desired::Online);
    node.handle.sweep();
    until("it runs again", || node.devices.keys().len() == 2).await;
}
