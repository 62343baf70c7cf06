//! The data key of a tenant that was made again after a failover had lost it.

use std::sync::Arc;

use bytes::Bytes;
use roost_actors::port::{Batch, DeviceStore, StateKey, StateKind};
use roost_node::directory::Directory;
use roost_node::store::Store;
use roost_placement::ledger::{Beaten, Grant, Ledger};
use roost_proto::id::{Age, DeviceKey, Life};

use crate::{Bench, DATABASE, LONG, put, ratchet};

/// Makes a device through this store, and takes it and writes for it as the first node.
async fn written(bench: &Bench, store: &Arc<Store>, me: &Life, age: Age) -> Grant {
    let key: DeviceKey = "tenants/acme/devices/shop".parse().expect("a key");
    store.create_device(&key, "", None).await.expect("made");
    let grant = store.claim(me, None, &[key]).await.expect("an answer").remove(0);
    bench.store.commit(&grant, Batch { age, ..put("by the first") }).await.expect("committed");
    grant
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_was_made_again_after_a_lost_tail_is_sealed_with_its_new_key() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let reader = Store::open(&bench.options).await.expect("opens");
    let lost = written(&bench, &bench.store, &me, Age(0)).await;
    assert_eq!(reader.load(&lost).await.expect("loaded").age, Age(0));
    let read = reader.read(&lost, Age(0), &[ratchet()]).await.expect("both have the tenant's key");
    assert_eq!(read, [Some(Bytes::from("by the first"))]);

    // All of the tenant was in the tail that is lost, and another node makes it again.
    let mut failover = bench.server.session(DATABASE, "failover").expect("a session");
    failover.run(
        "TRUNCATE tenant, ownership, ownership_log, device_state, event_head CASCADE;
         UPDATE cluster_control SET time_line = 'another';",
    );
    let beaten = bench.store.beat(&me, &1.into(), &LONG).await.expect("an answer");
    let Beaten::Renewed(view) = beaten else { panic!("{beaten:?}") };
    let age = Age(view.cluster_epoch);
    assert!(age > Age(0), "{age:?}");
    let quarantine = "UPDATE cluster_control SET takeover_blocked_until = '-infinity'";
    bench.server.sql(DATABASE, quarantine).expect("it is over");
    let other = Store::open(&bench.options).await.expect("opens");
    other.create_tenant(&"acme".parse().expect("id"), "Acme").await.expect("made");

    let grant = written(&bench, &other, &me, age).await;
    let read = other.read(&grant, age, &[ratchet()]).await.expect("it opens with the key that there is");
    assert_eq!(read, [Some(Bytes::from("by the first"))]);
    let mut said = put("by the other");
    let account = StateKey { kind: StateKind::Account, name: String::new() };
    said.state.push((account, Some(Bytes::from("me"))));
    other.commit(&grant, Batch { age, ..said }).await.expect("committed");
    let loaded = reader.load(&grant).await.expect("it opens with the key that there is");
    assert_eq!(loaded.state.len(), 1);
}
