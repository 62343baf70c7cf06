//! Troubles that come together, on real nodes and PostgreSQL: an owner dies while the database or WhatsApp
//! is away, everybody dies at once, a drain begins during an outage. Nothing is lost, doubled, out of
//! order or encrypted twice.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use roost_simulations::postgres::TempPostgres;
use roost_simulations::wa::Fault;
use roost_simulations::world::{Plan, World, until};
use roost_simulations::{sightings, trouble};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    world: World,
    server: TempPostgres,
}

impl Stage {
    async fn new() -> Stage {
        let server = TempPostgres::start().expect("PostgreSQL can be started");
        let database = server.database("combined").expect("a database can be made");
        let plan = Plan {
            program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
            store_url: Some(database),
            nodes: 3,
            tenants: 3,
            devices_each: 2,
        };
        Stage { world: World::build(&plan, |_| ()).await.expect("the world can be built"), server }
    }

    fn commit(&self, fault: &Fault) {
        self.world.sim.commit(fault).expect("the devices are known");
    }

    async fn busiest(&self) -> usize {
        self.world.busiest(None).await.expect("somebody owns devices")
    }

    async fn lasting(&self, span: Duration) {
        let began = Instant::now();
        until("time passes", PATIENCE, || async { began.elapsed() >= span }).await.expect("it does");
    }

    fn signal_workers(&self, signal: Signal) {
        for node in &self.world.nodes {
            node.signal_worker(signal).expect("a signal");
        }
    }

    /// Everybody is there again, and what is said now arrives.
    async fn heals(&self, after: &str) {
        let began = Instant::now();
        let failed = |error| -> () { panic!("after {after}: {error}\n{}", self.world.logs(60)) };
        self.world.all_active(PATIENCE).await.unwrap_or_else(failed);
        let all = self.world.speakers.len();
        let connected = || async { sightings::connected(&self.world.sim) == all };
        until("all devices are connected", PATIENCE, connected).await.unwrap_or_else(failed);
        let sent = self.world.books.with(|tally| tally.sent_count());
        let more = || async { self.world.books.with(|tally| tally.sent_count()) > sent + 2 * all };
        until("conversations go on", PATIENCE, more).await.unwrap_or_else(failed);
        println!("{after}: healed after {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_that_come_together_lose_and_double_nothing() {
    let mut stage = Stage::new().await;
    let mut talk = stage.world.talk(6, Duration::from_millis(30));
    stage.heals("the beginning").await;

    let victim = stage.busiest().await;
    stage.server.stop();
    trouble::kill(&stage.world, victim).expect("there is a worker");
    stage.lasting(Duration::from_secs(1)).await;
    stage.server.resume().expect("the server starts again");
    stage.heals("a kill while the database was away").await;

    let victim = stage.busiest().await;
    trouble::freeze(&stage.world, victim).await.expect("there is a worker");
    stage.server.stop();
    stage.lasting(Duration::from_secs(4)).await;
    stage.server.resume().expect("the server starts again");
    trouble::wake(&stage.world, victim).expect("there is a worker");
    stage.heals("a freeze across a long outage").await;

    stage.signal_workers(Signal::KILL);
    stage.heals("the death of all workers").await;

    for place in 0..stage.world.nodes.len() {
        trouble::kill_whole(&stage.world, place).expect("it runs");
    }
    for node in &mut stage.world.nodes {
        node.ended(PATIENCE).await.expect("it can be waited for").expect("it ends");
        node.spawn().expect("it starts again");
    }
    stage.heals("the death of all nodes").await;

    stage.commit(&Fault::Unavailable { ms: 1500, existing: true });
    trouble::kill(&stage.world, stage.busiest().await).expect("there is a worker");
    stage.heals("a kill while WhatsApp was away").await;

    for speaker in &stage.world.speakers {
        let device = format!("{}:1", speaker.phone_number);
        stage.commit(&Fault::LoseDeviceAcks { device: device.clone(), count: 20 });
        stage.commit(&Fault::LoseServerAcks { device: device.clone(), count: 5 });
        stage.commit(&Fault::DuplicateDeliveries { device: device.clone(), count: 5 });
        stage.commit(&Fault::CorruptDeliveries { device, count: 2 });
    }
    stage.lasting(Duration::from_millis(500)).await;
    stage.commit(&Fault::DropConnection { device: None });
    trouble::kill(&stage.world, stage.busiest().await).expect("there is a worker");
    stage.heals("lost acks, doubles, damage, dropped connections and a kill").await;

    let victim = stage.busiest().await;
    stage.server.stop();
    stage.world.nodes[victim].signal_parent(Signal::TERM).expect("a signal");
    stage.lasting(Duration::from_secs(1)).await;
    stage.server.resume().expect("the server starts again");
    let left = stage.world.nodes[victim].ended(PATIENCE).await.expect("it can be waited for");
    assert!(left.is_some_and(|status| status.success()), "{left:?}\n{}", stage.world.logs(60));
    stage.world.nodes[victim].spawn().expect("it starts again");
    stage.heals("a drain that began during an outage").await;

    let refused = talk.hush().await;
    assert!(refused.is_empty(), "{refused:?}\n{}", stage.world.logs(40));
    let arrived = talk.all_arrived(&stage.world.books, PATIENCE).await;
    let balance = stage.world.books.with(|tally| tally.balance());
    println!("{balance:?}, key reuse {}", sightings::key_reuse(&stage.world.sim));
    assert!(arrived, "{balance:?}\n{}", stage.world.logs(40));
    assert_eq!(balance.once, balance.sent, "{balance:?}");
    assert!(balance.faults.is_empty(), "{balance:?}");
    assert_eq!(sightings::key_reuse(&stage.world.sim), 0);
}
