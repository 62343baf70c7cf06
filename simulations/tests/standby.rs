//! The temporary server's standby itself: that a failover keeps or loses a tail as it is told to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_placement::egress::Report;
use roost_placement::ledger::{Beaten, Candidate, Ledger, Timing};
use roost_simulations::postgres::TempPostgres;
use tokio::net::{TcpListener, TcpStream};

const DATABASE: &str = "standby";

fn candidate() -> Candidate {
    let (node, address) = ("n1".parse().expect("an id"), "n1:7000".to_owned());
    Candidate { node, address, zone: String::new(), weight: 100, version: 1 }
}

/// A name of the database: each connection goes to the server that it means at that moment, and stays there.
struct Name {
    address: SocketAddr,
    port: Arc<AtomicU16>,
}

impl Name {
    async fn of(server: &TempPostgres) -> Name {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let port = Arc::new(AtomicU16::new(port(server)));
        let meant = port.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = (Ipv4Addr::LOCALHOST, meant.load(Ordering::SeqCst));
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Name { address, port }
    }

    fn means(&self, server: &TempPostgres) {
        self.port.store(port(server), Ordering::SeqCst);
    }

    fn url(&self) -> String {
        format!("postgres://roost@{}/{DATABASE}", self.address)
    }
}

fn port(server: &TempPostgres) -> u16 {
    let url = server.url("");
    let port = url.trim_end_matches('/').rsplit(':').next().expect("a port");
    port.parse().expect("a number")
}

#[test]
fn a_standby_that_was_cut_off_lacks_the_tail_and_is_on_a_new_time_line() {
    let primary = TempPostgres::start().expect("a server");
    let url = primary.database(DATABASE).expect("a database");
    let time_line = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
    let before = primary.sql(DATABASE, time_line).expect("a time-line");
    let mut standby = primary.standby().expect("a standby");
    primary.wait_for_standbys(true).expect("commits wait");
    primary.sql(DATABASE, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").expect("written");
    primary.wait_for_standbys(false).expect("commits do not wait");
    standby.cut_off().expect("cut off");
    primary.sql(DATABASE, "INSERT INTO t VALUES (2)").expect("written");
    standby.take_the_place_of(primary).expect("promoted");
    assert_eq!(standby.url(DATABASE), url, "clients find it where the other was");
    assert_eq!(standby.sql(DATABASE, "SELECT n FROM t").expect("a table"), "1");
    assert_ne!(standby.sql(DATABASE, time_line).expect("a time-line"), before);
    standby.sql(DATABASE, "INSERT INTO t VALUES (3)").expect("it takes writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_which_nothing_is_left_keeps_its_cluster_epoch_for_itself() {
    let primary = TempPostgres::start().expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
    let url = primary.database(DATABASE).expect("a database");
    let store = Store::open(&StoreOptions::new(url, Arc::new(key))).await.expect("the database opens");
    let life = store.join(&candidate(), None, &Timing::FAST).await.expect("the slot is free");

    let mut first = primary.standby().expect("a standby");
    first.take_the_place_of(primary).expect("promoted");
    let mut second = first.standby().expect("a standby");
    // What a heartbeat would have written here is in the tail that the second failover loses.
    second.take_the_place_of(first).expect("promoted");
    let mut beaten = store.beat(&life, &Report::default(), &Timing::FAST).await;
    for _ in 0..20 {
        // The connections of before are gone.
        if beaten.is_ok() {
            break;
        }
        beaten = store.beat(&life, &Report::default(), &Timing::FAST).await;
    }
    let Ok(Beaten::Renewed(view)) = beaten else { panic!("{beaten:?}") };
    assert_eq!(view.cluster_epoch, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_a_stale_name_has_led_to_a_standby_is_not_kept() {
    let primary = TempPostgres::start().expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
    let url = primary.database(DATABASE).expect("a database");
    let options = StoreOptions::new(url, Arc::new(key));
    let store = Store::open(&options).await.expect("the database opens");
    let timing = Timing { ttl: std::time::Duration::from_secs(600), ..Timing::PATIENT };
    let life = store.join(&candidate(), None, &timing).await.expect("the slot is free");

    let standby = primary.standby().expect("a standby");
    let name = Name::of(&standby).await;
    let heart = Store::lone_ledger(&StoreOptions { url: name.url(), ..options });
    let refused = heart.beat(&life, &Report::default(), &timing).await.expect_err("it takes no writes");
    assert!(format!("{refused:?}").contains("25006"), "{refused:?}");
    name.means(&primary);
    let beaten = heart.beat(&life, &Report::default(), &timing).await.expect("it has connected anew");
    assert!(matches!(beaten, Beaten::Renewed(_)), "{beaten:?}");
}

#[test]
fn a_killed_server_leaves_no_process_behind_and_comes_back() {
    let mut server = TempPostgres::start().expect("a server");
    for _ in 0..5 {
        let pids = server.sql("postgres", "SELECT pid FROM pg_stat_activity").expect("it answers");
        let others: Vec<_> =
            (0..20).map(|_| server.session("postgres", "idle").expect("a session")).collect();
        server.kill();
        // A process that nobody has waited for yet has no command line any more.
        let lives = |pid: &&str| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"postgres"))
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while pids.lines().any(|pid| lives(&pid)) && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        let left: Vec<_> = pids.lines().filter(lives).collect();
        assert!(left.is_empty(), "{left:?}");
        drop(others);
        server.resume().expect("it recovers");
    }
}
