//! Retention beside what others do with the logs.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::{Batch, DeviceStore};
use roost_node::directory::Directory;
use roost_node::store::{Store, StoreOptions};
use roost_placement::ledger::{Grant, Unavailable};

use crate::{Bench, DATABASE, event, somebody_waits};

fn told(names: &[&str]) -> Batch {
    Batch { events: names.iter().map(|name| event((*name).to_owned())).collect(), ..Batch::default() }
}

async fn expire(store: &Store) -> Result<usize, Unavailable> {
    store.expire_events(Duration::ZERO, 100).await
}

/// Numbers of the first events that are kept, in order of the devices.
async fn earliest(store: &Store) -> Vec<i64> {
    let heads = store.heads(&"acme".parse().expect("id"), None).await.expect("an answer");
    heads.into_iter().map(|head| head.earliest.0).collect()
}

/// Devices `d1` to `d3`, the log of each with two events.
async fn three(bench: &Bench) -> Vec<Grant> {
    let me = bench.active("n1").await;
    let mut grants = Vec::new();
    for device in ["d1", "d2", "d3"] {
        let grant = bench.owned(&me, device).await;
        bench.store.commit(&grant, told(&["e1", "e2"])).await.expect("committed");
        grants.push(grant);
    }
    grants
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_somebody_holds_keeps_no_other_from_expiring() {
    let bench = Bench::new().await;
    three(&bench).await;
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    assert_eq!(
        holder.run("BEGIN; SELECT 'held' FROM event_head WHERE device_id = 'd1' FOR UPDATE;"),
        ["held"]
    );
    assert_eq!(expire(&bench.store).await.expect("an answer"), 4);
    assert_eq!(earliest(&bench.store).await, [1, 3, 3]);
    holder.run("ROLLBACK;");
    assert_eq!(expire(&bench.store).await.expect("an answer"), 2);
    assert_eq!(earliest(&bench.store).await, [3, 3, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_is_held_up_at_one_log_holds_up_the_commits_of_no_other() {
    let bench = Bench::new().await;
    let grants = three(&bench).await;
    let patient = StoreOptions { statement_timeout: Duration::from_secs(20), ..bench.options.clone() };
    let patient = Store::open(&patient).await.expect("opens");
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    assert_eq!(
        holder.run("BEGIN; SELECT 'held' FROM event WHERE device_id = 'd3' AND seq = 1 FOR UPDATE;"),
        ["held"]
    );
    let expiring = tokio::spawn(async move { expire(&patient).await });
    somebody_waits(&bench.server).await;
    let (first, second) = tokio::join!(
        bench.store.commit(&grants[0], told(&["e3"])),
        bench.store.commit(&grants[1], told(&["e3"]))
    );
    first.expect("its log is done");
    second.expect("so is this");
    assert!(!expiring.is_finished(), "it still waits at the third");
    holder.run("ROLLBACK;");
    assert!(expiring.await.expect("no panic").expect("an answer") >= 6);
    assert_eq!(earliest(&bench.store).await[2], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_from_its_front_also_when_the_clock_of_the_database_has_fallen() {
    let bench = Bench::new().await;
    three(&bench).await;
    let ahead = "UPDATE event SET committed = committed + 864000000 WHERE device_id = 'd2' AND seq = 1";
    bench.server.sql(DATABASE, ahead).expect("written when the clock was ahead");
    assert_eq!(expire(&bench.store).await.expect("an answer"), 6);
    assert_eq!(earliest(&bench.store).await, [3, 3, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_at_a_time_remove_nothing_twice() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    for device in 0..20 {
        let grant = bench.owned(&me, &format!("d{device}")).await;
        bench.store.commit(&grant, told(&["e1", "e2", "e3", "e4", "e5"])).await.expect("committed");
    }
    let other = Store::open(&bench.options).await.expect("opens");
    let all = async |store: Arc<Store>| {
        let mut removed = 0;
        // What the other is at is left to it, so each comes again until nothing is left.
        while earliest(&store).await != [6; 20] {
            removed += store.expire_events(Duration::ZERO, 7).await.expect("an answer");
        }
        removed
    };
    let (ours, theirs) = tokio::join!(all(bench.store.clone()), all(other));
    assert_eq!(ours + theirs, 100);
    assert_eq!(earliest(&bench.store).await, [6; 20]);
}
