//! The gate to WhatsApp: turns of logins, and permits.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::{Clocks, Gate, PermitRefused, Urgency};
use roost_node::cluster::{BootClock, GateOptions, NodeClocks, NodeGate, Permission};
use roost_node::metrics::Metrics;
use roost_node::outside::{Dice, wall_clock};
use roost_placement::ledger::{Grant, Timing};
use roost_proto::id::Epoch;
use tokio::time::{Instant, timeout};

use crate::ledger::{TestLedger, key};
use crate::{Hints, node, test_clock, until};

/// A gate that lets this many logins through per second, and so many at once.
fn gate(ledger: &TestLedger, clock: BootClock, per_second: f64, burst: u32) -> NodeGate {
    let options = GateOptions { per_second, burst, cluster_per_second: None, timing: Timing::FAST };
    let permission = Permission::new(clock);
    NodeGate::start(options, Arc::new(ledger.clone()), permission, Dice::default(), Metrics::new())
}

#[tokio::test(start_paused = true)]
async fn a_lease_with_too_little_left_does_not_make_a_grant_stale() {
    let ledger = TestLedger::with_devices(1);
    let one = node("n1", &ledger, &Hints::default()).await;
    until("it runs", || one.devices.keys().len() == 1).await;
    let row = ledger.row(&key(0));
    let grant = Grant { key: row.key, life: row.owner.expect("n1 owns it"), epoch: row.epoch };
    let gate = gate(&ledger, test_clock(), 10.0, 1);
    ledger.shorten_leases();
    assert!(matches!(gate.permit(&grant).await, Err(PermitRefused::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn logins_go_at_the_permitted_rate_and_permits_are_asked_for_together() {
    let ledger = TestLedger::with_devices(20);
    let one = node("n1", &ledger, &Hints::default()).await;
    until("all run", || one.devices.keys().len() == 20).await;
    let clock = test_clock();
    let gate = gate(&ledger, clock.clone(), 10.0, 5);
    let clocks = NodeClocks { permission: Permission::new(clock), wall: wall_clock() };
    let grants: Vec<Grant> =
        one.devices.running.lock().expect("not poisoned").values().map(|(g, _)| g.clone()).collect();
    let began = Instant::now();
    let mut turns = tokio::task::JoinSet::new();
    for grant in grants.clone() {
        let gate = gate.clone();
        turns.spawn(async move { gate.turn(&grant.key, Urgency::Idle).await });
    }
    turns.join_all().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1500) && took < Duration::from_millis(1800), "{took:?}");

    let mut permits = tokio::task::JoinSet::new();
    for grant in grants.clone() {
        let gate = gate.clone();
        permits.spawn(async move { gate.permit(&grant).await });
    }
    for permit in permits.join_all().await {
        let left = permit.expect("it stands").expires.since(clocks.boot());
        assert!(left > Duration::from_millis(900) && left <= Duration::from_secs(1), "{left:?}");
    }
    assert_eq!(ledger.permits_asked.load(std::sync::atomic::Ordering::Relaxed), 1);

    let stale = Grant { epoch: Epoch(99), ..grants[0].clone() };
    assert!(matches!(gate.permit(&stale).await, Err(PermitRefused::Stale)));
    ledger.set_down(true);
    assert!(matches!(gate.permit(&grants[0]).await, Err(PermitRefused::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_for_a_turn_frees_the_place() {
    let ledger = TestLedger::with_devices(1);
    let gate = gate(&ledger, test_clock(), 0.1, 1);
    gate.turn(&key(0), Urgency::Idle).await;
    assert!(timeout(Duration::from_secs(1), gate.turn(&key(0), Urgency::Idle)).await.is_err());
    assert_eq!(gate.waiting(), 0);
}
