//! The temporary server's standby itself: that a failover keeps or loses a tail as it is told to.

use roost_simulations::postgres::TempPostgres;

const DATABASE: &str = "standby";

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
