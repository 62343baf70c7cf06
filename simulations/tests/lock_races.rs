//! The two races that decide how the ownership statements are written, each with the statement that looks
//! right and is wrong, and with ours: interleaved by locks on a real PostgreSQL, so they end the same way
//! every time.
//!
//! A weaker fence lets a stale write land behind a take-over; a claim through an anti-join steals from a
//! living owner. When a statement here stops failing, the reason for ours has to be found anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roost_node::directory::Directory;
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_placement::ledger::{Candidate, Grant, Ledger, MemberState, Timing};
use roost_proto::id::{DeviceKey, Life};
use roost_simulations::postgres::{Session, TempPostgres};

const LONG: Timing = Timing { ttl: Duration::from_secs(600), ..Timing::PATIENT };
const DATABASE: &str = "races";
/// Number of the advisory lock that holds statements back.
const BRAKE: u32 = 7;

struct Scene {
    server: TempPostgres,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Scene {
        let server = TempPostgres::start().expect("a server");
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyFile::create(&folder.path().join("kek")).expect("a key");
        let url = server.database(DATABASE).expect("a database");
        let patience = Duration::from_secs(20);
        let options = StoreOptions { statement_timeout: patience, ..StoreOptions::new(url, Arc::new(key)) };
        let store = Store::open(&options).await.expect("the database opens");
        store.create_tenant(&"acme".parse().expect("id"), "Acme").await.expect("made");
        Scene { server, store, _folder: folder }
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

    fn session(&self, name: &str) -> Session {
        self.server.session(DATABASE, name).expect("a session")
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(DATABASE, statement).expect("an answer")
    }

    /// Waits until the session of this name waits for a lock.
    fn waits(&self, name: &str) {
        let waits = format!(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE NOT l.granted AND a.application_name = '{name}'"
        );
        let begun = Instant::now();
        while self.sql(&waits) == "0" {
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} waits for nothing");
        }
    }
}

/// What a fence may look like, with the device that it is tried on; the last is ours, and
/// `store_postgres` shows that the store has it.
const FENCES: [(&str, &str); 3] = [("no-lock", ""), ("key-share", "FOR KEY SHARE"), ("share", OURS)];
const OURS: &str = "FOR SHARE";

/// What the two sides of a race do to one device.
struct Race {
    check: String,
    take: String,
    write: String,
    /// What the new owner reads as its first act, and what is there in the end.
    read: String,
}

impl Race {
    async fn on(scene: &Scene, me: &Life, device: &str, lock: &str) -> Race {
        let grant = scene.owned(me, device).await;
        Race {
            check: format!(
                "BEGIN; SELECT 'stands' FROM ownership
                 WHERE device_id = '{device}' AND epoch = {} {lock};",
                grant.epoch
            ),
            take: format!(
                "UPDATE ownership SET owner_node = 'n2', epoch = epoch + 1 WHERE device_id = '{device}';"
            ),
            write: format!(
                "INSERT INTO device_state (business_id, device_id, kind, name, value)
                 VALUES ('acme', '{device}', 'session', 'peer', 'stale'); COMMIT;"
            ),
            read: format!("SELECT count(*) FROM device_state WHERE device_id = '{device}'"),
        }
    }
}

const NOTHING: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weaker_fence_lets_a_write_land_behind_the_take_over_that_overtook_it() {
    let scene = Scene::new().await;
    let me = scene.active("n1").await;
    for (device, lock) in FENCES {
        let race = Race::on(&scene, &me, device, lock).await;
        let (mut writer, mut taker) = (scene.session("writer"), scene.session("taker"));
        assert_eq!(writer.run(&race.check), ["stands"], "{device}");
        taker.ask(&race.take);
        if lock == OURS {
            scene.waits("taker");
            assert_eq!(writer.run(&race.write), NOTHING);
            assert_eq!(taker.answer(), NOTHING);
            assert_eq!(scene.sql(&race.read), "1", "the new owner begins with what the old one wrote");
        } else {
            assert_eq!(taker.answer(), NOTHING, "{device}: the take-over waits for nobody");
            assert_eq!(scene.sql(&race.read), "0", "{device}: the new owner has read its state");
            assert_eq!(writer.run(&race.write), NOTHING, "{device}");
            assert_eq!(scene.sql(&race.read), "1", "{device}: the write landed behind its back");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weaker_fence_passes_while_a_take_over_is_about_to_commit() {
    let scene = Scene::new().await;
    let me = scene.active("n1").await;
    for (device, lock) in FENCES {
        let race = Race::on(&scene, &me, device, lock).await;
        let (mut writer, mut taker) = (scene.session("writer"), scene.session("taker"));
        assert_eq!(taker.run(&format!("BEGIN; {}", race.take)), NOTHING);
        writer.ask(&race.check);
        if lock == OURS {
            scene.waits("writer");
            assert_eq!(taker.run("COMMIT;"), NOTHING);
            assert_eq!(writer.answer(), NOTHING, "looked at again, the row is another's");
        } else {
            assert_eq!(writer.answer(), ["stands"], "{device}: what is about to commit is not seen");
            assert_eq!(taker.run("COMMIT;"), NOTHING);
            assert_eq!(scene.sql(&race.read), "0", "{device}");
            assert_eq!(writer.run(&race.write), NOTHING, "{device}");
            assert_eq!(scene.sql(&race.read), "1", "{device}: a stale write landed");
        }
    }
}

/// Looks right: whoever has no living owner is free.
const ANTI_JOIN: &str = "LEFT JOIN member m ON m.node_id = o.owner_node AND m.incarnation = o.owner_inc
                           AND m.state <> 'dead'
                         WHERE m.node_id IS NULL";

/// The same, written in the other way.
const NOT_EXISTS: &str = "WHERE NOT EXISTS (SELECT 1 FROM member m WHERE m.node_id = o.owner_node
                            AND m.incarnation = o.owner_inc AND m.state <> 'dead')";

/// A device of the dead `n1`, which the living `n2` and `n3` want.
struct Contest {
    scene: Scene,
    grant: Grant,
    dead: Life,
    late: Life,
    brake: Session,
}

impl Contest {
    /// From here on, every look at the ownership rows holds still between its snapshot and the row.
    async fn new() -> Contest {
        let scene = Scene::new().await;
        let dead = scene.active("n1").await;
        let late = scene.active("n3").await;
        scene.active("n2").await;
        let grant = scene.owned(&dead, "d1").await;
        assert!(scene.store.certify_death(&dead).await.expect("an answer"));
        scene.sql(&format!(
            "CREATE FUNCTION passes() RETURNS boolean VOLATILE LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_advisory_xact_lock_shared({BRAKE}); RETURN true; END $$;
             ALTER TABLE ownership RENAME TO ownership_rows;
             CREATE VIEW ownership AS SELECT * FROM ownership_rows WHERE passes()"
        ));
        let mut brake = scene.session("brake");
        brake.run(&format!("SELECT pg_advisory_lock({BRAKE});"));
        Contest { scene, grant, dead, late, brake }
    }

    /// While the session of this name holds still, `n2` claims the device and commits.
    fn overtake(&mut self, name: &str) {
        self.scene.waits(name);
        let claimed = self.scene.sql(
            "UPDATE ownership_rows SET owner_node = 'n2', epoch = epoch + 1
             WHERE owner_node = 'n1' AND owner_inc = 1 RETURNING 'claimed'",
        );
        assert_eq!(claimed, "claimed");
        self.brake.run(&format!("SELECT pg_advisory_unlock({BRAKE});"));
    }

    fn owner(&self) -> String {
        self.scene.sql("SELECT owner_node, epoch FROM ownership_rows")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_through_an_anti_join_steals_from_a_living_owner() {
    for without_owner in [ANTI_JOIN, NOT_EXISTS] {
        let mut contest = Contest::new().await;
        let mut late = contest.scene.session("late");
        late.ask(&format!(
            "WITH pick AS (SELECT o.business_id, o.device_id FROM ownership o {without_owner}
               AND o.desired = 'online' ORDER BY 1, 2 FOR UPDATE OF o SKIP LOCKED)
             UPDATE ownership d SET owner_node = 'n3', owner_inc = 1, epoch = d.epoch + 1
             FROM pick WHERE d.business_id = pick.business_id AND d.device_id = pick.device_id
             RETURNING 'stolen';"
        ));
        contest.overtake("late");
        assert_eq!(late.answer(), ["stolen"], "{without_owner}");
        assert_eq!(contest.owner(), "n3|3", "{without_owner}: n2 was alive, and owned it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_on_the_literal_owner_leaves_a_living_owner_alone() {
    let mut contest = Contest::new().await;
    let (store, late, dead) = (contest.scene.store.clone(), contest.late.clone(), contest.dead.clone());
    let key = contest.grant.key.clone();
    let claim = tokio::spawn(async move { store.claim(&late, Some(&dead), &[key]).await });
    contest.overtake("roost");
    assert_eq!(claim.await.expect("no panic").expect("an answer"), []);
    assert_eq!(contest.owner(), "n2|2");
}
