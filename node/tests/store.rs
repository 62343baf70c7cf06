//! The store on a SQLite file: how it opens, what it refuses, what reaches the disk, who is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roost_actors::port::{Batch, DeviceStore, DeviceStoreError, NewMessage, StateKey, StateKind};
use roost_node::directory::Directory;
use roost_node::store::{KeyError, KeyFile, OpenError, Store, StoreOptions};
use roost_placement::ledger::{Beaten, Candidate, Grant, Ledger, MemberState, Timing};
use roost_proto::id::{Age, Life, UnixMillis};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// An answer that takes longer is one that nobody bounds.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    options: StoreOptions,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
        let url = format!("sqlite://{}", folder.path().join("roost.db").display());
        Bench { options: StoreOptions::new(url, Arc::new(key)), folder }
    }

    async fn open(&self) -> Arc<Store> {
        Store::open(&self.options).await.expect("opens")
    }

    /// A connection beside the store.
    async fn beside(&self) -> SqliteConnection {
        let options: sqlx::sqlite::SqliteConnectOptions = self.options.url.parse().expect("a URL");
        options.connect().await.expect("connects")
    }
}

async fn owned(store: &Store) -> Grant {
    let candidate = Candidate {
        node: "n1".parse().expect("id"),
        address: String::new(),
        zone: String::new(),
        weight: 100,
        version: 1,
    };
    let me = store.join(&candidate, None, &Timing::PATIENT).await.expect("joined");
    assert!(store.set_state(&me, MemberState::Active).await.expect("an answer"));
    store.create_tenant(&"acme".parse().expect("id"), "Acme").await.expect("made");
    let key = "tenants/acme/devices/d1".parse().expect("a key");
    store.create_device(&key, "d1", None).await.expect("made");
    store.claim(&me, None, &[key]).await.expect("an answer").remove(0)
}

fn session(name: &str) -> StateKey {
    StateKey { kind: StateKind::Session, name: name.to_owned() }
}

fn put(name: &str, value: &'static str) -> Batch {
    Batch { state: vec![(session(name), Some(Bytes::from_static(value.as_bytes())))], ..Batch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_open_a_new_database_at_once() {
    let bench = Bench::new();
    let opening = (0..8).map(|_| {
        let options = bench.options.clone();
        tokio::spawn(async move { Store::open(&options).await.map(drop) })
    });
    for task in opening.collect::<Vec<_>>() {
        task.await.expect("no panic").expect("opens");
    }
}

#[tokio::test]
async fn a_process_that_opens_the_database_waits_for_others_that_hold_it_longer_than_a_statement_may_take() {
    let bench = Bench::new();
    Store::migrate(&bench.options).await.expect("migrated");
    let mut other = bench.beside().await;
    let held = other.begin_with("BEGIN EXCLUSIVE").await.expect("the file");

    let hasty = StoreOptions { statement_timeout: Duration::from_millis(1), ..bench.options.clone() };
    let mut opening = std::pin::pin!(Store::open(&hasty));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut opening).await;
    assert!(early.is_err(), "it did not wait: {:?}", early.map(|opened| opened.err()));
    held.rollback().await.expect("given back");
    opening.await.expect("opens");
}

#[tokio::test]
async fn a_bad_url_is_refused() {
    let bench = Bench::new();
    for url in ["", "mysql://x/y", "sqlite::memory:", "sqlite://", "postgres://h:notaport/x", "/tmp/x.db"] {
        let options = StoreOptions { url: url.to_owned(), ..bench.options.clone() };
        let error = Store::open(&options).await.err().unwrap_or_else(|| panic!("{url:?} opened"));
        assert!(matches!(error, OpenError::BadUrl { .. }), "{url:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_absent_database_is_refused_with_its_address_and_no_password() {
    let bench = Bench::new();
    // Port 1 is closed; nothing listens there.
    let urls = ["postgres://roost:s3cret@127.0.0.1:1/roost", "sqlite:///no/such/folder/roost.db"];
    for url in urls {
        let options = StoreOptions { url: url.to_owned(), ..bench.options.clone() };
        let error = Store::open(&options).await.err().expect("refused");
        let text = format!("{error} {error:?} {options:?}");
        assert!(!text.contains("s3cret"), "{text}");
        let address = url.replace(":s3cret", "");
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let bench = Bench::new();
    let cautious = StoreOptions { migrate: false, ..bench.options.clone() };
    let older = Store::open(&cautious).await.err();
    assert!(matches!(older, Some(OpenError::SchemaOlder { found: 0, .. })), "{older:?}");
    Store::migrate(&cautious).await.expect("migrated");
    Store::open(&cautious).await.expect("opens");

    let mut beside = bench.beside().await;
    let sql = "UPDATE _sqlx_migrations SET checksum = x'00'";
    sqlx::query(sql).execute(&mut beside).await.expect("an update");
    let changed = Store::open(&bench.options).await.err();
    assert!(matches!(changed, Some(OpenError::Migration(_))), "{changed:?}");
    let sql = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    sqlx::query(sql).execute(&mut beside).await.expect("an update");
    let newer = Store::open(&bench.options).await.err();
    assert!(matches!(newer, Some(OpenError::SchemaNewer { found: 9999, .. })), "{newer:?}");
}

#[tokio::test]
async fn another_key_does_not_open_the_database() {
    let bench = Bench::new();
    drop(bench.open().await);
    let other = KeyFile::create(&bench.folder.path().join("other")).expect("a key");
    let wrong = StoreOptions { kek: Arc::new(other), ..bench.options.clone() };
    let error = Store::open(&wrong).await.err();
    assert!(matches!(error, Some(OpenError::WrongKey)), "{error:?}");
    let absent = StoreOptions { kek: Arc::new(KeyFile("/no/such/key".into())), ..bench.options.clone() };
    let error = Store::open(&absent).await.err();
    assert!(matches!(error, Some(OpenError::Key(KeyError::Unreadable { .. }))), "{error:?}");
    bench.open().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_private_reaches_the_disk_in_the_clear() {
    let bench = Bench::new();
    let store = bench.open().await;
    let grant = owned(&store).await;
    let mut batch = put("peer", "MARK-ratchet");
    batch.accepts.push(NewMessage {
        message_id: "m1".into(),
        request_id: "r1".into(),
        request_hash: [0; 32],
        whatsapp_id: "w1".into(),
        chat: "c".into(),
        content: Bytes::from("MARK-content"),
        accepted: UnixMillis(1),
        terms: Default::default(),
    });
    batch.quarantine.push(roost_actors::port::QuarantinedStanza {
        dedupe: "q".into(),
        raw: Bytes::from("MARK-raw"),
        reason: "why".into(),
        at: UnixMillis(1),
    });
    let received = roost_proto::api::MessageReceived { push_name: "MARK-event".into(), ..Default::default() };
    batch.events.push(roost_actors::port::NewEvent {
        dedupe: "e".into(),
        occurred: UnixMillis(1),
        origin: roost_proto::api::event::Origin::Live,
        payload: roost_proto::api::event::Payload::MessageReceived(received),
    });
    store.commit(&grant, batch).await.expect("committed");
    let mut seen = 0;
    for entry in std::fs::read_dir(bench.folder.path()).expect("a folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        seen += bytes.windows(4).filter(|window| window == b"acme").count();
        assert!(!bytes.windows(5).any(|window| window == b"MARK-"), "in the clear");
    }
    assert!(seen > 0, "the files were not the database");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_moved_does_not_open() {
    let bench = Bench::new();
    let store = bench.open().await;
    let grant = owned(&store).await;
    store.commit(&grant, put("alice", "hers")).await.expect("committed");
    let sql = "UPDATE device_state SET name = 'mallory'";
    sqlx::query(sql).execute(&mut bench.beside().await).await.expect("an update");
    let result = store.read(&grant, Age(0), &[session("mallory")]).await;
    assert!(matches!(result, Err(DeviceStoreError::Damaged { .. })), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_told_after_the_commit_and_not_of_refusals() {
    let bench = Bench::new();
    let store = bench.open().await;
    let grant = owned(&store).await;
    let mut told = store.commits();
    let stale = Grant { epoch: roost_proto::id::Epoch(9), ..grant.clone() };
    store.commit(&stale, put("a", "x")).await.expect_err("fenced");
    store.commit(&grant, put("a", "y")).await.expect("committed");
    assert_eq!(told.recv().await.expect("told"), grant.key);
    assert!(told.try_recv().is_err(), "told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_beats_in_a_runtime_of_its_own() {
    let bench = Bench::new();
    let lone = Store::lone_ledger(&bench.options);
    assert!(lone.certify_death(&"n1".parse().map(life).expect("id")).await.is_err(), "no schema yet");
    let store = bench.open().await;
    let grant = owned(&store).await;
    let heart = store.heartbeat_ledger(None);
    let me = grant.life.clone();
    let beaten = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { heart.beat(&me, &1.into(), &Timing::FAST).await })
    });
    let beaten = beaten.join().expect("no panic").expect("an answer");
    assert!(matches!(beaten, Beaten::Renewed(view) if view.members[0].owned == 1));
    assert!(lone.certify_death(&grant.life).await.expect("an answer"), "once there is a schema");
}

fn life(node: roost_proto::id::NodeId) -> Life {
    Life { node, incarnation: roost_proto::id::Incarnation(1) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_file_is_reported_in_time_and_found_free_again() {
    let bench = Bench::new();
    let options = StoreOptions { statement_timeout: Duration::from_millis(200), ..bench.options.clone() };
    let store = Store::open(&options).await.expect("opens");
    let grant = owned(&store).await;
    let mut other = bench.beside().await;
    let hold = other.begin_with("BEGIN IMMEDIATE").await.expect("begun");
    let begun = Instant::now();
    let said = 1.into();
    let (write, beat) =
        tokio::join!(store.commit(&grant, put("a", "x")), store.beat(&grant.life, &said, &Timing::FAST));
    assert!(matches!(write, Err(DeviceStoreError::Unavailable(_))), "{write:?}");
    assert!(beat.is_err());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    // Readers are not disturbed.
    store.load(&grant).await.expect("loaded");
    hold.rollback().await.expect("rolled back");
    store.commit(&grant, put("a", "x")).await.expect("free again");
}
