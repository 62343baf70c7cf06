//! The cluster module on a real store: heartbeats on their own threads, several nodes on one file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roost_node::api::port::Cluster;
use roost_node::cluster::{self, ClusterOptions, ClusterPorts, Ended, Permission, boot_clock};
use roost_node::directory::Directory;
use roost_node::metrics::Metrics;
use roost_node::outside::Dice;
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_placement::ledger::{Ledger, Timing};

use crate::ledger::{candidate, key};
use crate::{Devices, Hints, Node, pass};

/// Long enough that on a busy machine nobody is buried for its silence: who dies here has a certificate.
const TIMING: Timing = Timing::NORMAL;

async fn node(name: &str, store: &Arc<Store>, hints: &Hints) -> Node {
    let life = store.join(&candidate(name), None, &TIMING).await.expect("a free slot");
    let devices = Arc::new(Devices::default());
    let permission = Permission::new(boot_clock());
    let metrics = Metrics::new();
    let ports = ClusterPorts {
        ledger: store.clone(),
        heartbeat: store.heartbeat_ledger(Some(&life)),
        hosting: devices.clone(),
        hints: Arc::new(hints.clone()),
        permission: permission.clone(),
        dice: Dice::default(),
        metrics: metrics.clone(),
    };
    let handle = cluster::start(ClusterOptions::new(life.clone(), TIMING), ports).expect("started");
    hints.0.lock().expect("not poisoned").insert(life.clone(), handle.clone());
    Node { life, handle, devices, permission, metrics }
}

/// Waits, on real time and not for ever, until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        pass(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_share_a_file_take_over_from_a_dead_one_and_drain() {
    let folder = tempfile::tempdir().expect("a folder");
    let kek = KeyFile::create(&folder.path().join("kek")).expect("a key");
    let url = format!("sqlite:{}", folder.path().join("roost.db").display());
    let store = Store::open(&StoreOptions::new(url, Arc::new(kek))).await.expect("open");
    for n in 0..30 {
        let key = key(n);
        if n % 3 == 0 {
            store.create_tenant(&key.business_id, "").await.expect("new");
        }
        store.create_device(&key, "", None).await.expect("new");
    }
    let hints = Hints::default();
    let nodes = [
        node("n1", &store, &hints).await,
        node("n2", &store, &hints).await,
        node("n3", &store, &hints).await,
    ];
    let count = |which: &[usize]| which.iter().map(|n| nodes[*n].devices.keys().len()).sum::<usize>();
    until("all run", || count(&[0, 1, 2]) == 30).await;
    // One whose first beat is still on its way owns nothing: the others may have everything before it may act.
    until("all may act", || nodes.iter().all(|node| node.permission.may_act())).await;

    store.certify_death(&nodes[0].life).await.expect("up");
    until("the others have taken over", || count(&[1, 2]) == 30).await;
    let mut ended = nodes[0].handle.ended();
    assert_eq!(*ended.wait_for(Option::is_some).await.expect("running"), Some(Ended::Dead));
    assert_eq!(count(&[0]), 0);

    nodes[1].handle.drain().expect("the first");
    let mut ended = nodes[1].handle.ended();
    assert_eq!(*ended.wait_for(Option::is_some).await.expect("running"), Some(Ended::Drained));
    until("the last one has everything", || count(&[2]) == 30).await;
}
