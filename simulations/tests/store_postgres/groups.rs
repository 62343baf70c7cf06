//! Groups of the committer in which one device is held by another session.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use roost_actors::port::{Batch, Committed, DeviceStore, DeviceStoreError};
use roost_node::store::{Store, StoreOptions};
use roost_placement::ledger::Grant;
use roost_simulations::postgres::Session;
use tokio::task::JoinHandle;

use crate::{Bench, DATABASE, event, put, somebody_waits};

type Answer = Result<Committed, DeviceStoreError>;

/// A committer that stands at a commit of a third device until the session lets it go on: what is given to it until
/// then is one group.
struct Busy {
    store: Arc<Store>,
    brake: Session,
    busy: JoinHandle<Answer>,
}

impl Busy {
    async fn new(bench: &Bench, third: Grant) -> Busy {
        let patient = StoreOptions { statement_timeout: Duration::from_secs(20), ..bench.options.clone() };
        let store = Store::open(&patient).await.expect("opens");
        let mut brake = bench.server.session(DATABASE, "brake").expect("a session");
        brake.run("BEGIN; LOCK TABLE device_state IN SHARE MODE;");
        let writer = store.clone();
        let busy = tokio::spawn(async move { writer.commit(&third, put("busy")).await });
        somebody_waits(&bench.server).await;
        Busy { store, brake, busy }
    }

    async fn go_on(&mut self) {
        self.brake.run("COMMIT;");
        (&mut self.busy).await.expect("no panic").expect("committed");
    }
}

fn told() -> Batch {
    Batch { events: vec![event("told".to_owned())], ..Batch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_answered_before_what_fell_out_of_its_group_is_tried_again() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let (held, free) = (bench.owned(&me, "d1").await, bench.owned(&me, "d2").await);
    let mut busy = Busy::new(&bench, bench.owned(&me, "d3").await).await;
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    holder.run("BEGIN; SELECT 1 FROM ownership WHERE device_id = 'd1' FOR UPDATE;");

    let store = busy.store.clone();
    let (mut first, mut second) = (store.commit(&held, put("a")), store.commit(&free, put("b")));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none(), "both wait");
    busy.go_on().await;
    match select(first, second).await {
        Either::Right((well, stuck)) => {
            well.expect("nobody holds the second device");
            let stuck = stuck.await;
            assert!(matches!(stuck, Err(DeviceStoreError::Unavailable(_))), "{stuck:?}");
        }
        Either::Left((stuck, _)) => panic!("the second device has waited for the first: {stuck:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_held_delays_its_own_device_only() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let (held, free) = (bench.owned(&me, "d1").await, bench.owned(&me, "d2").await);
    let mut busy = Busy::new(&bench, bench.owned(&me, "d3").await).await;
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    holder.run("BEGIN; SELECT 1 FROM event_head WHERE device_id = 'd1' FOR UPDATE;");

    // The second batch of the held device needs no log, and comes after the first all the same.
    let store = busy.store.clone();
    let mut first = store.commit(&held, told());
    let mut next = store.commit(&held, put("a"));
    let mut other = store.commit(&free, told());
    let waits = [&mut first, &mut next, &mut other].map(|commit| commit.now_or_never().is_none());
    assert_eq!(waits, [true; 3]);
    busy.go_on().await;
    other.await.expect("nobody holds its log");
    let stuck = first.await;
    assert!(matches!(stuck, Err(DeviceStoreError::Unavailable(_))), "{stuck:?}");
    next.await.expect("it needs no log");
    holder.run("ROLLBACK;");
    store.commit(&held, told()).await.expect("the same batch again");
}
