//! What `roost serve` says, and with which code it ends, when it cannot start: real processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use roost_node::store::KeyFile;
use roost_simulations::postgres::TempPostgres;
use roost_simulations::sightings;
use roost_simulations::world::{Plan, World};
use tokio::process::Command;

/// A start that fails does so within this time, also on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Ends of processes, as `sysexits` and README name them.
const UNAVAILABLE: i32 = 69;
const IN_USE: i32 = 75;
const APART: i32 = 76;
const CONFIGURATION: i32 = 78;

/// A folder with a key, and a configuration that would start but for what a test puts into it.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        let bench = Bench(tempfile::tempdir().expect("a folder"));
        KeyFile::create(&bench.path("kek")).expect("a key");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sqlite(&self) -> String {
        format!("sqlite://{}", self.path("roost.db").display())
    }

    fn config(&self, store_url: &str, kek: &Path, more: &str) -> String {
        format!(
            "[node]\nid = \"n1\"\n[listen]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [whatsapp]\nurl = \"ws://127.0.0.1:9\"\n[store]\nurl = \"{store_url}\"\nkek_file = \"{}\"\n{more}",
            kek.display()
        )
    }

    fn serve(&self, config: &str) -> Command {
        let file = self.path("roost.toml");
        std::fs::write(&file, config).expect("written");
        let mut serve = Command::new(env!("CARGO_BIN_EXE_roost"));
        serve.arg("serve").arg("--config").arg(&file).stdin(Stdio::null()).kill_on_drop(true);
        serve
    }

    /// Runs it to its end: the exit code and what it said.
    async fn refused(&self, config: &str) -> (Option<i32>, String) {
        let mut serve = self.serve(config);
        let ended = tokio::time::timeout(SOON, serve.output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("it still runs after {SOON:?}")).expect("it can be run");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

#[tokio::test]
async fn without_a_database_a_node_says_where_it_looked_and_ends_with_69() {
    let bench = Bench::new();
    // Nothing listens on port 1.
    let url = "postgres://roost:s3cret@127.0.0.1:1/roost";
    let (code, said) = bench.refused(&bench.config(url, &bench.path("kek"), "")).await;
    assert_eq!(code, Some(UNAVAILABLE), "{said}");
    assert!(said.contains("postgres://roost@127.0.0.1:1/roost cannot be reached"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let url = "sqlite:///no/such/folder/roost.db";
    let (code, said) = bench.refused(&bench.config(url, &bench.path("kek"), "")).await;
    assert_eq!(code, Some(UNAVAILABLE), "{said}");
    assert!(said.contains(url), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_or_never_answers_ends_the_start_with_69() {
    let bench = Bench::new();
    let server = TempPostgres::start().expect("PostgreSQL can be started");
    let (code, said) = bench.refused(&bench.config(&server.url("absent"), &bench.path("kek"), "")).await;
    assert_eq!(code, Some(UNAVAILABLE), "{said}");
    assert!(said.contains("refuses the connection") && said.contains("absent"), "{said}");
    let url = server.database("silent").expect("a database can be made");
    server.freeze();
    let (code, said) = bench.refused(&bench.config(&url, &bench.path("kek"), "")).await;
    server.thaw();
    assert_eq!(code, Some(UNAVAILABLE), "{said}");
    assert!(said.contains(&url) && said.contains("cannot be reached"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_while_it_waits_for_its_database_ends_with_0() {
    let bench = Bench::new();
    // A database that takes connections and says nothing.
    let database = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("postgres://roost@{}/roost", database.local_addr().expect("an address"));
    let mut serve = bench.serve(&bench.config(&url, &bench.path("kek"), "")).spawn().expect("it can be run");
    let (_asked, _) = tokio::time::timeout(SOON, database.accept()).await.expect("in time").expect("asked");
    let pid = serve.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::TERM).expect("told");
    let ended = tokio::time::timeout(SOON, serve.wait()).await.expect("it still runs").expect("waited for");
    assert_eq!(ended.code(), Some(0), "{ended}");
}

#[tokio::test]
async fn without_its_key_a_node_names_the_key_and_ends_with_78() {
    let bench = Bench::new();
    let config = bench.config(&bench.sqlite(), &bench.path("kek"), "");
    let without = config.lines().filter(|line| !line.starts_with("kek_file")).collect::<Vec<_>>().join("\n");
    let (code, said) = bench.refused(&without).await;
    assert_eq!(code, Some(CONFIGURATION), "{said}");
    assert!(said.contains("store.kek_file"), "{said}");
    let absent = bench.path("absent");
    let (code, said) = bench.refused(&bench.config(&bench.sqlite(), &absent, "")).await;
    assert_eq!(code, Some(CONFIGURATION), "{said}");
    assert!(said.contains(&absent.display().to_string()), "{said}");
    assert!(!bench.path("roost.db").exists(), "nothing was made");
}

#[tokio::test]
async fn another_key_than_the_databases_own_ends_the_start_with_78() {
    let bench = Bench::new();
    let kek = std::sync::Arc::new(KeyFile(bench.path("kek")));
    let options = roost_node::store::StoreOptions::new(bench.sqlite(), kek);
    drop(roost_node::store::Store::open(&options).await.expect("a new database"));
    KeyFile::create(&bench.path("other")).expect("a key");
    let (code, said) = bench.refused(&bench.config(&bench.sqlite(), &bench.path("other"), "")).await;
    assert_eq!(code, Some(CONFIGURATION), "{said}");
    assert!(said.contains("key-encryption key is not the one"), "{said}");
}

#[tokio::test]
async fn an_unknown_or_unusable_setting_is_named_and_ends_the_start_with_78() {
    let bench = Bench::new();
    let kek = bench.path("kek");
    for (more, named) in [
        ("max_conections = 4\n", "`max_conections` in section [store]"),
        ("[stroe]\n", "unknown section [stroe]"),
        ("max_connections = \"four\"\n", "store.max_connections"),
        ("[cluster]\nprofile = \"turbo\"\n", "cluster.profile"),
        ("url = 'hunter2\n", "line 11"),
    ] {
        let (code, said) = bench.refused(&bench.config(&bench.sqlite(), &kek, more)).await;
        assert_eq!(code, Some(CONFIGURATION), "{more:?}: {said}");
        assert!(said.contains(named) && !said.contains("hunter2"), "{more:?}: {said}");
    }
    assert!(!bench.path("roost.db").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_newer_than_the_program_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    let server = TempPostgres::start().expect("PostgreSQL can be started");
    let url = server.database("newer").expect("a database can be made");
    let kek = std::sync::Arc::new(KeyFile(bench.path("kek")));
    let options = roost_node::store::StoreOptions::new(url.clone(), kek);
    roost_node::store::Store::migrate(&options).await.expect("migrated");
    let rows =
        || server.sql("newer", "SELECT (SELECT max(version) FROM _sqlx_migrations), count(*) FROM member");
    server.sql("newer", "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").expect("an update");
    let (code, said) = bench.refused(&bench.config(&url, &bench.path("kek"), "")).await;
    assert_eq!(code, Some(UNAVAILABLE), "{said}");
    assert!(said.contains("schema is at version 9999") && said.contains("use a newer one"), "{said}");
    assert_eq!(rows().expect("an answer"), "9999|0", "nobody joined and nothing was migrated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_a_release_too_far_away_is_not_joined_and_the_start_ends_with_76() {
    let bench = Bench::new();
    let server = TempPostgres::start().expect("PostgreSQL can be started");
    let url = server.database("apart").expect("a database can be made");
    let kek = std::sync::Arc::new(KeyFile(bench.path("kek")));
    let options = roost_node::store::StoreOptions::new(url.clone(), kek);
    roost_node::store::Store::migrate(&options).await.expect("migrated");
    let other =
        "INSERT INTO member (node_id, incarnation, address, zone, weight, version, state, lease_until,
                   lease_since)
                 VALUES ('n9', 1, '127.0.0.1:9', '', 100, 9, 'active', now() + interval '1 hour', now())";
    server.sql("apart", other).expect("a member of another release");
    let (code, said) = bench.refused(&bench.config(&url, &bench.path("kek"), "")).await;
    assert_eq!(code, Some(APART), "{said}");
    assert!(said.contains("node n9 speaks version 9") && said.contains("one version at a time"), "{said}");
    let members = server.sql("apart", "SELECT string_agg(node_id, ' ') FROM member").expect("an answer");
    assert_eq!(members, "n9", "nobody joined");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_with_the_same_id_is_refused_with_75_and_disturbs_nobody() {
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
        store_url: None,
        nodes: 1,
        tenants: 1,
        devices_each: 2,
    };
    let world = World::build(&plan, |_| ()).await.expect("the world can be built");
    let connected = || async { sightings::connected(&world.sim) == world.speakers.len() };
    let settled = roost_simulations::world::until("both devices are connected", SOON, connected).await;
    settled.unwrap_or_else(|error| panic!("{error}\n{}", world.logs(40)));
    let before = (world.owners().await.expect("the API answers"), sightings::living(&world.sim));

    let mut site = world.site.clone();
    site.folder = world.site.folder.join("second");
    std::fs::create_dir(&site.folder).expect("a folder");
    std::fs::copy(world.site.folder.join("kek"), site.folder.join("kek")).expect("the same key");
    let mut second = site.start("node-1").expect("it can be run");
    let ended = second.ended(Duration::from_secs(40)).await.expect("it can be waited for");
    let said = second.log_tail(40);
    assert_eq!(ended.and_then(|status| status.code()), Some(IN_USE), "{said}");
    assert!(said.contains("node id node-1/") && said.contains("is in use"), "{said}");

    let after = (world.owners().await.expect("the API answers"), sightings::living(&world.sim));
    assert_eq!(after, before, "{}", world.logs(40));
}
