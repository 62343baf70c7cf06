//! What only PostgreSQL can show: statements that wait for each other, sessions that outlive their
//! process, a server that goes away.

#[path = "store_postgres/groups.rs"]
mod groups;
#[path = "store_postgres/keys.rs"]
mod keys;
#[path = "store_postgres/loads.rs"]
mod loads;
#[path = "store_postgres/retention.rs"]
mod retention;
#[path = "store_postgres/upgrades.rs"]
mod upgrades;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roost_actors::port::{
    Batch, DeviceStore, DeviceStoreError, NewEvent, NewMessage, StateKey, StateKind, Terms,
};
use roost_node::directory::Directory;
use roost_node::store::{KeyFile, OpenError, Store, StoreOptions};
use roost_placement::ledger::{Candidate, Desired, Grant, Ledger, MemberState, Timing};
use roost_proto::id::{Age, DeviceKey, Life, UnixMillis};
use roost_simulations::postgres::TempPostgres;

const LONG: Timing = Timing { ttl: Duration::from_secs(600), ..Timing::PATIENT };
const DATABASE: &str = "roost_test";
/// An answer that takes longer is one that nobody bounds.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    server: TempPostgres,
    options: StoreOptions,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let server = TempPostgres::start().expect("a server");
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
        let url = server.database(DATABASE).expect("a database");
        let options = StoreOptions::new(url, Arc::new(key));
        let store = Store::open(&options).await.expect("the database opens");
        store.create_tenant(&"acme".parse().expect("id"), "Acme").await.expect("made");
        Bench { server, options, store, _folder: folder }
    }

    async fn active(&self, node: &str) -> Life {
        let candidate = Candidate {
            node: node.parse().expect("id"),
            address: "127.0.0.1:1".to_owned(),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let life = self.store.join(&candidate, None, &LONG).await.expect("joined");
        assert!(self.store.set_state(&life, MemberState::Active).await.expect("an answer"));
        life
    }

    async fn owned(&self, me: &Life, device: &str) -> Grant {
        let key: DeviceKey = format!("tenants/acme/devices/{device}").parse().expect("a key");
        self.store.create_device(&key, device, None).await.expect("made");
        self.store.claim(me, None, &[key]).await.expect("an answer").remove(0)
    }
}

fn event(dedupe: String) -> NewEvent {
    let payload = roost_proto::api::MessageReceived::default();
    NewEvent {
        dedupe,
        occurred: UnixMillis(1),
        origin: roost_proto::api::event::Origin::Live,
        payload: roost_proto::api::event::Payload::MessageReceived(payload),
    }
}

fn ratchet() -> StateKey {
    StateKey { kind: StateKind::Session, name: "peer".to_owned() }
}

fn put(value: &'static str) -> Batch {
    Batch { state: vec![(ratchet(), Some(Bytes::from_static(value.as_bytes())))], ..Batch::default() }
}

/// Waits until a session of the database waits for a lock.
async fn somebody_waits(server: &TempPostgres) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let waits = async {
        while server.sql(DATABASE, "SELECT count(*) FROM pg_locks WHERE NOT granted").expect("locks") == "0" {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waits).await.expect("somebody waits for a lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_waits_for_the_writer_in_flight() {
    let bench = Bench::new().await;
    let (me, next) = (bench.active("n1").await, bench.active("n2").await);
    let grant = bench.owned(&me, "d1").await;
    let patient = StoreOptions { statement_timeout: Duration::from_secs(20), ..bench.options.clone() };
    let patient = Store::open(&patient).await.expect("opens");
    // The old owner's transaction has passed its fence and stands still before its event.
    let mut brake = bench.server.session(DATABASE, "brake").expect("a session");
    brake.run("BEGIN; LOCK TABLE event IN SHARE MODE;");
    let old = grant.clone();
    let writer = tokio::spawn(async move {
        patient.commit(&old, Batch { events: vec![event("e".to_owned())], ..put("in flight") }).await
    });
    somebody_waits(&bench.server).await;

    assert!(bench.store.certify_death(&me).await.expect("an answer"));
    let keys = std::slice::from_ref(&grant.key);
    let skipped = bench.store.claim(&next, Some(&me), keys).await.expect("an answer");
    assert!(skipped.is_empty(), "the row is locked, so it is left for the next sweep");
    brake.run("COMMIT;");
    writer.await.expect("no panic").expect("it held the fence, so it lands before the take-over");
    let won = bench.store.claim(&next, Some(&me), keys).await.expect("an answer");
    let late = bench.store.commit(&grant, put("late")).await;
    assert!(matches!(late, Err(DeviceStoreError::Fenced)), "{late:?}");
    let read = bench.store.read(&won[0], Age(0), &[ratchet()]).await.expect("read");
    assert_eq!(read, [Some(Bytes::from("in flight"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_a_later_release_adds_does_not_disturb_the_nodes_of_this_one() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    let accept = |number: u32| Batch {
        accepts: vec![NewMessage {
            message_id: format!("m-{number}"),
            request_id: format!("r-{number}"),
            request_hash: [0; 32],
            whatsapp_id: format!("3EB0{number}"),
            chat: "77@lid".to_owned(),
            content: Bytes::new(),
            accepted: UnixMillis(1),
            terms: Terms::default(),
        }],
        ..Batch::default()
    };
    // All connections have prepared what reads messages.
    let use_it = async |number: u32| {
        for again in 0..8 {
            bench.store.commit(&grant, accept(number * 10 + again)).await.expect("committed");
            bench.store.load(&grant).await.expect("loaded");
            let ids = ["3EB010".to_owned()];
            assert_eq!(bench.store.sent_messages(&grant, &ids).await.expect("read").len(), 1);
            bench.store.message(&grant.key, "m-10").await.expect("read").expect("it is there");
            bench.store.requested(&grant.key, "r-10").await.expect("read").expect("it is there");
        }
    };
    use_it(1).await;
    let mut later = bench.server.session(DATABASE, "later release").expect("a session");
    later.run("ALTER TABLE message ADD COLUMN later text;");
    use_it(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interrupted_deletion_has_left_goes_before_another_device_has_the_name() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "shop").await;
    let events = |numbers: Range<usize>| {
        let dedupe = numbers.map(|number| format!("e{number}"));
        Batch { events: dedupe.map(event).collect(), ..Batch::default() }
    };
    // Not at once: a transaction that is idle for long is ended, and machines are busy.
    for part in 0..25 {
        bench.store.commit(&grant, events(part * 100..part * 100 + 100)).await.expect("committed");
    }
    let mut session = bench.server.session(DATABASE, "look").expect("a session");
    let left = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM event_dedupe);";
    assert_eq!(session.run(left), ["5000"]);
    // It came as far as this.
    session.run("DELETE FROM device; UPDATE ownership SET desired = 'deleted', epoch = epoch + 1, owner_node = NULL, owner_inc = NULL;");
    assert!(bench.store.delete_device(&grant.key).await.expect("an answer"), "it goes on");
    assert!(!bench.store.delete_device(&grant.key).await.expect("an answer"), "it is done");
    assert_eq!(session.run(left), ["0"]);

    let grant = bench.owned(&me, "shop").await;
    bench.store.commit(&grant, events(0..1)).await.expect("committed");
    session.run("DELETE FROM device; UPDATE ownership SET desired = 'deleted', epoch = epoch + 1, owner_node = NULL, owner_inc = NULL;");
    let grant = bench.owned(&me, "shop").await;
    assert_eq!(session.run(left), ["0"]);
    let done = bench.store.commit(&grant, events(0..1)).await.expect("committed");
    assert!(done.events[0].is_some(), "nobody has told it before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_writer_waits_for_the_take_over_and_writes_nothing() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    bench.store.commit(&grant, put("before")).await.expect("committed");
    // A change of owner that has not committed yet.
    let mut taker = bench.server.session(DATABASE, "taker").expect("a session");
    taker.run("BEGIN; UPDATE ownership SET epoch = epoch + 1, owner_node = NULL, owner_inc = NULL;");

    let store = bench.store.clone();
    let old = grant.clone();
    let late = tokio::spawn(async move {
        loop {
            // It waits a little for the row, gives up, and may come again.
            match store.commit(&old, put("late")).await {
                Err(DeviceStoreError::Unavailable(_)) => {}
                result => return result,
            }
        }
    });
    somebody_waits(&bench.server).await;
    assert!(!late.is_finished(), "answered before the take-over was decided");
    taker.run("COMMIT;");
    let result = late.await.expect("no panic");
    assert!(matches!(result, Err(DeviceStoreError::Fenced)), "{result:?}");

    // The refused writer's transaction may hold the row a moment longer, and a claim passes over rows that are held.
    let claim = async {
        loop {
            let won =
                bench.store.claim(&me, None, std::slice::from_ref(&grant.key)).await.expect("an answer");
            if let Some(new) = won.into_iter().next() {
                return new;
            }
        }
    };
    let new = tokio::time::timeout(Duration::from_secs(10), claim).await.expect("the row is let go");
    assert_eq!(new.epoch.0, 3);
    let kept = bench.store.read(&new, Age(0), &[ratchet()]).await.expect("read");
    assert_eq!(kept, [Some(Bytes::from("before"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_held_delays_its_own_device_only() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let (held, free) = (bench.owned(&me, "d1").await, bench.owned(&me, "d2").await);
    let mut holder = bench.server.session(DATABASE, "holder").expect("a session");
    holder.run("BEGIN; SELECT 1 FROM ownership WHERE device_id = 'd1' FOR UPDATE;");
    let begun = Instant::now();
    let (stuck, well) =
        tokio::join!(bench.store.commit(&held, put("a")), bench.store.commit(&free, put("b")));
    assert!(matches!(stuck, Err(DeviceStoreError::Unavailable(_))), "{stuck:?}");
    well.expect("the other device is not concerned");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    holder.run("ROLLBACK;");
    bench.store.commit(&held, put("a")).await.expect("the same batch again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_the_dead_end_with_them() {
    let bench = Bench::new().await;
    let (me, next) = (bench.active("n1").await, bench.active("n2").await);
    let grant = bench.owned(&me, "d1").await;
    // A process that froze in the middle of a fenced transaction.
    let mut frozen = bench.server.session(DATABASE, &format!("roost/{me}")).expect("a session");
    assert_eq!(frozen.run("BEGIN; SELECT 'held' FROM ownership FOR SHARE;"), ["held"]);
    assert!(bench.store.certify_death(&me).await.expect("an answer"));
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let take = async {
        loop {
            let keys = std::slice::from_ref(&grant.key);
            if let Some(won) = bench.store.claim(&next, Some(&me), keys).await.expect("an answer").pop() {
                return won;
            }
            tick.tick().await;
        }
    };
    let won = tokio::time::timeout(PATIENCE, take).await.expect("its locks are gone");
    assert_eq!(won.life, next);
    let words = frozen.run("SELECT 1;").join(" ");
    assert!(words.contains("terminating connection") || words.contains("closed"), "{words:?}");

    // A store carries the name of its life, so that this works on it.
    let named = StoreOptions { application: Some(next.clone()), ..bench.options.clone() };
    let named = Store::open(&named).await.expect("opens");
    named.tenants(None, 1).await.expect("an answer");
    let names = bench.server.sql(DATABASE, "SELECT DISTINCT application_name FROM pg_stat_activity");
    assert!(names.expect("names").lines().any(|name| name == format!("roost/{next}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_all_earlier_lives_of_a_node_end_when_it_joins() {
    let bench = Bench::new().await;
    let first = bench.active("n1").await;
    assert!(bench.store.certify_death(&first).await.expect("an answer"));
    // What a fail-over of the database does: the next life is not numbered one more.
    bench.server.sql(DATABASE, "UPDATE cluster_control SET cluster_epoch = 3").expect("set");
    let mut old = bench.server.session(DATABASE, &format!("roost/{first}")).expect("a session");
    let mut other = bench.server.session(DATABASE, "roost/n12/1").expect("a session");
    for session in [&mut old, &mut other] {
        assert_eq!(session.run("SELECT 'there';"), ["there"]);
    }
    let next = bench.active("n1").await;
    assert!(next.incarnation.0 > first.incarnation.0 + 1, "{next}");
    let words = old.run("SELECT 1;").join(" ");
    assert!(words.contains("terminating connection") || words.contains("closed"), "{words:?}");
    assert_eq!(other.run("SELECT 'lives';"), ["lives"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_reported_in_time_and_found_again() {
    let mut bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    let heart = bench.store.heartbeat_ledger(Some(&me));
    heart.beat(&me, &1.into(), &LONG).await.expect("beats");
    bench.server.stop();
    let begun = Instant::now();
    let said = 1.into();
    let (write, beat, read) = tokio::join!(
        bench.store.commit(&grant, put("x")),
        heart.beat(&me, &said, &LONG),
        bench.store.desire(&grant.key, Desired::Online)
    );
    assert!(matches!(write, Err(DeviceStoreError::Unavailable(_))), "{write:?}");
    assert!(beat.is_err() && read.is_err());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let refused = Store::open(&bench.options).await.err();
    assert!(matches!(refused, Some(OpenError::Unreachable { .. })), "{refused:?}");

    bench.server.resume().expect("the server starts again");
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let back = async {
        while heart.beat(&me, &1.into(), &LONG).await.is_err()
            || bench.store.commit(&grant, put("y")).await.is_err()
        {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("both find the server again");
    assert_eq!(bench.store.read(&grant, Age(0), &[ratchet()]).await.expect("read"), [Some(Bytes::from("y"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_silent_server_every_commit_is_answered_in_time_however_many_wait() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    let few = StoreOptions { group_size: 16, ..bench.options.clone() };
    let store = Store::open(&few).await.expect("opens");
    store.commit(&grant, put("before")).await.expect("committed");
    bench.server.freeze();
    let begun = Instant::now();
    let commits = (0..200).map(|_| store.commit(&grant, put("x")));
    for answer in futures_util::future::join_all(commits).await {
        assert!(matches!(answer, Err(DeviceStoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    bench.server.thaw();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfit_database_is_refused_with_a_reason() {
    let bench = Bench::new().await;
    let open = async |url: String| Store::open(&StoreOptions { url, ..bench.options.clone() }).await.err();
    let absent = open(bench.server.url("absent")).await.expect("refused");
    assert!(matches!(absent, OpenError::Refused { .. }), "{absent:?}");
    let sql = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    bench.server.sql(DATABASE, sql).expect("an update");
    let newer = open(bench.server.url(DATABASE)).await.expect("refused");
    assert!(matches!(newer, OpenError::SchemaNewer { found: 9999, .. }), "{newer:?}");
}
