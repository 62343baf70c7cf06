//! Devices that begin beside others that are at work.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_begin_do_not_keep_the_commits_of_others_out() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    let few = StoreOptions { max_connections: 4, ..bench.options.clone() };
    let store = Store::open(&few).await.expect("opens");
    let told = |dedupe: &str| Batch { events: vec![event(dedupe.to_owned())], ..Batch::default() };
    store.commit(&grant, told("before")).await.expect("committed");
    // Nobody gets through with what a device begins with.
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    holder.run("BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE;");
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (store, grant) = (store.clone(), grant.clone());
        loads.spawn(async move { store.load(&grant).await });
    }
    somebody_waits(&bench.server).await;
    store.commit(&grant, told("meanwhile")).await.expect("a way is left to those who are at work");
    let answers =
        tokio::time::timeout(PATIENCE, loads.join_all()).await.expect("nobody waits for all others");
    let unanswered = |answer: &Result<_, _>| matches!(answer, Err(DeviceStoreError::Unavailable(_)));
    assert!(answers.iter().all(unanswered));
    holder.run("ROLLBACK;");
    let loaded = store.load(&grant).await.expect("loaded");
    assert_eq!(loaded.heads.event, 2);
}
