//! A process that stops in the middle of a fenced transaction, with its connections open, and a survivor
//! that takes its device over: how long PostgreSQL lets the silent one hold the row.
//!
//! The process is a store behind a relay of bytes that stands still on command: to the server that looks
//! like a frozen process, whose kernel still answers, or a line into a black hole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roost_actors::port::{Batch, DeviceStore, NewEvent, NewMessage};
use roost_node::directory::Directory;
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_placement::ledger::{Candidate, Grant, Ledger, MemberState, Timing};
use roost_proto::id::{DeviceKey, Life, UnixMillis};
use roost_simulations::postgres::TempPostgres;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const LONG: Timing = Timing { ttl: Duration::from_secs(600), ..Timing::PATIENT };
const DATABASE: &str = "silent";

/// Far more than a limit of one or two seconds needs on a busy machine, far less than TCP's patience.
const BOUND: Duration = Duration::from_secs(8);

/// Passes bytes between clients and a port, as long as it moves.
struct Relay {
    port: u16,
    moves: watch::Sender<bool>,
}

impl Relay {
    async fn to(server: u16) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let moves = watch::Sender::new(true);
        let watched = moves.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, watched.clone()));
                tokio::spawn(pass(from_server, to_client, watched.clone()));
            }
        });
        Relay { port, moves }
    }

    fn stand_still(&self) {
        self.moves.send_replace(false);
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut moves: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    // Ends with either side, or with the relay.
    while moves.wait_for(|moves| *moves).await.is_ok() {
        let still = async { moves.clone().wait_for(|moves| !moves).await.is_ok() };
        let read = tokio::select! {
            biased;
            _ = still => continue,
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(n) if n > 0 && to.write_all(&buffer[..n]).await.is_ok() => {}
            _ => return,
        }
    }
}

struct Scene {
    server: TempPostgres,
    survivor: Arc<Store>,
    /// The store of the process that will stand still, and what it does last.
    silent: Arc<Store>,
    relay: Relay,
    grant: Grant,
    taker: Life,
    _folder: tempfile::TempDir,
}

async fn active(store: &Store, node: &str) -> Life {
    let candidate = Candidate {
        node: node.parse().expect("id"),
        address: "127.0.0.1:1".to_owned(),
        zone: String::new(),
        weight: 100,
        version: 1,
    };
    let life = store.join(&candidate, None, &LONG).await.expect("joined");
    assert!(store.set_state(&life, MemberState::Active).await.expect("an answer"));
    life
}

impl Scene {
    /// `named`: whether the sessions of the silent process carry its name, so that they can be ended.
    async fn new(named: bool) -> Scene {
        let server = TempPostgres::start().expect("a server");
        let folder = tempfile::tempdir().expect("a folder");
        let key = Arc::new(KeyFile::create(&folder.path().join("kek")).expect("a key"));
        let url = server.database(DATABASE).expect("a database");
        let survivor = Store::open(&StoreOptions::new(url.clone(), key.clone())).await.expect("opens");
        survivor.create_tenant(&"acme".parse().expect("id"), "Acme").await.expect("made");
        let (me, taker) = (active(&survivor, "n1").await, active(&survivor, "n2").await);
        let device: DeviceKey = "tenants/acme/devices/d1".parse().expect("a key");
        survivor.create_device(&device, "", None).await.expect("made");
        let grant = survivor.claim(&me, None, &[device]).await.expect("an answer").remove(0);

        let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split_once('/')).expect("a port").0;
        let relay = Relay::to(port.parse().expect("a port")).await;
        let url = url.replacen(port, &relay.port.to_string(), 1);
        let application = named.then_some(me);
        let options = StoreOptions { application, ..StoreOptions::new(url, key) };
        let silent = Store::open(&options).await.expect("opens");
        Scene { server, survivor, silent, relay, grant, taker, _folder: folder }
    }

    fn sql(&self, statements: &str) -> String {
        self.server.sql(DATABASE, statements).expect("an answer")
    }

    fn count(&self, what: &str) -> String {
        self.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE {what}"))
    }

    /// Waits until a session is like this.
    fn until_one(&self, what: &str) {
        let begun = Instant::now();
        while self.count(what) == "0" {
            if begun.elapsed() > Duration::from_secs(10) {
                let all = "SELECT application_name, state, wait_event, query FROM pg_stat_activity";
                panic!("no session: {what}\n{}", self.sql(all));
            }
        }
    }

    /// The silent process stops in the middle of this batch, after the fence, where this lock holds it
    /// back: in a transaction that waits for its client.
    async fn stop_in(&self, batch: Batch, lock: &str, waiting: &str) {
        let mut brake = self.server.session(DATABASE, "brake").expect("a session");
        assert_eq!(brake.run(&format!("BEGIN; {lock};")), Vec::<String>::new());
        let (silent, grant) = (self.silent.clone(), self.grant.clone());
        tokio::spawn(async move { silent.commit(&grant, batch).await });
        self.until_one("wait_event_type = 'Lock'");
        self.relay.stand_still();
        brake.run("COMMIT;");
        self.until_one(waiting);
    }

    /// Declares the silent process dead and takes its device over; returns how long the device was kept.
    async fn take_over(&self) -> Duration {
        assert!(self.survivor.certify_death(&self.grant.life).await.expect("an answer"));
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let keys = std::slice::from_ref(&self.grant.key);
        let take = async {
            loop {
                let won = self.survivor.claim(&self.taker, Some(&self.grant.life), keys).await;
                if won.is_ok_and(|won| !won.is_empty()) {
                    return begun.elapsed();
                }
                tick.tick().await;
            }
        };
        timeout(BOUND, take)
            .await
            .expect("the take-over is held up for no longer than the limits of a session")
    }
}

fn event() -> Batch {
    let event = NewEvent {
        dedupe: "e".to_owned(),
        occurred: UnixMillis(1),
        origin: roost_proto::api::event::Origin::Live,
        payload: roost_proto::api::event::Payload::MessageReceived(Default::default()),
    };
    Batch { events: vec![event], ..Batch::default() }
}

fn accept() -> Batch {
    let message = NewMessage {
        message_id: "m".to_owned(),
        request_id: "r".to_owned(),
        request_hash: [0; 32],
        whatsapp_id: "3EB0".to_owned(),
        chat: "491701234567@s.whatsapp.net".to_owned(),
        content: Bytes::from_static(b"text"),
        accepted: UnixMillis(1),
        terms: Default::default(),
    };
    Batch { accepts: vec![message], ..Batch::default() }
}

const IDLE: &str = "state = 'idle in transaction' AND wait_event = 'ClientRead'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_ends_with_the_burial_of_its_life() {
    let scene = Scene::new(true).await;
    scene.stop_in(event(), "LOCK TABLE event_head", IDLE).await;
    let kept = scene.take_over().await;
    println!("kept for {kept:?}");
    let named = format!("application_name = 'roost/{}'", scene.grant.life);
    assert_eq!(scene.count(&named), "0", "all sessions of the dead are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_that_nobody_may_end_ends_by_itself() {
    let scene = Scene::new(false).await;
    scene.stop_in(event(), "LOCK TABLE event_head", IDLE).await;
    println!("kept for {:?}", scene.take_over().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_does_not_hold_the_row() {
    let scene = Scene::new(false).await;
    scene.silent.commit(&scene.grant, accept()).await.expect("committed");
    // More than all buffers on the way hold, and held back when it is read, not when it is parsed.
    scene.sql(
        "UPDATE message SET content = decode(repeat('00', 16 * 1024 * 1024), 'hex');
         CREATE FUNCTION passes() RETURNS boolean VOLATILE LANGUAGE plpgsql AS
           $$ BEGIN LOCK TABLE quarantine IN ACCESS SHARE MODE; RETURN true; END $$;
         ALTER TABLE message RENAME TO message_rows;
         CREATE VIEW message AS SELECT * FROM message_rows WHERE passes()",
    );
    scene.stop_in(accept(), "LOCK TABLE quarantine", "wait_event = 'ClientWrite'").await;
    println!("kept for {:?}", scene.take_over().await);
}
