//! The deterministic simulation at *stack* depth: the production shells of a whole cluster in one process,
//! in virtual time, on a simulated network.
//!
//! What must hold: everything between the caller's gRPC client and WhatsApp's socket is the production code;
//! the database is the model behind links that can fail; one seed draws topology, workload and faults, and
//! one process runs one seed, so that the hash of the history is the same for ever. Facts come from the
//! database, from WhatsApp and from callers, never from a node.

mod backend;
mod database;
mod director;
pub mod fan;
mod network;
mod node;
mod resets;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

use self::backend::{Backend, Stage};
use self::database::Link;
use self::director::Director;
use self::node::{Order, Place};
use crate::history::{History, What};
use crate::model::Model;
use crate::run::{Boot, Database, EPOCH, Record, Time, name};
use crate::wa::SimServer;

pub use crate::run::{Outcome, Plan, Size, Trouble};

/// One step of the simulated hosts.
const TICK: Duration = Duration::from_millis(4);

/// How long everything may take to be made and paired.
const SETTING: Duration = Duration::from_secs(120);

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The simulated WhatsApp did not start.
    #[error("the simulated WhatsApp did not start")]
    WhatsApp(#[from] crate::wa::StartError),
    /// A host failed.
    #[error("a simulated host failed: {0}")]
    Host(String),
    /// Nothing was paired in time, without any fault.
    #[error("the devices were not paired within {SETTING:?}")]
    Unset,
}

/// Runs one plan. For a hash that can be compared, nothing else may have run in this process before.
///
/// # Errors
/// [`RunError`]; a broken invariant is none.
pub fn run(plan: &Plan, history: History) -> Result<Outcome, RunError> {
    let (time, plan) = (Time::of_hosts(), Arc::new(plan.clone()));
    let mut rng = StdRng::seed_from_u64(plan.seed ^ 0x57ac);
    let steps = Arc::new(AtomicI64::new(0));
    let record = Record::new(time.clone(), history);
    let model = Model::new(time.database(steps.clone()));
    let database = Database::new(model.clone(), record.clone());
    let observer = record.clone();
    let observer = Box::new(move |seen| observer.seen(seen));
    let whatsapp = Arc::new(SimServer::apart(rng.next_u64(), time.wall(0), observer)?);
    let places: Vec<Place> = (0..plan.nodes)
        .map(|number| {
            let (skew, drift) = plan.clocks[number];
            Place {
                number,
                timing: plan.timing,
                logins_per_second: plan.logins_per_second,
                pace: plan.pace,
                link: Link::new(database.clone(), plan.database, rng.next_u64()),
                boot: Boot::new(time.clone(), 1000 * (1 + number as u64), drift),
                skew,
                time: time.clone(),
                root: whatsapp.root(),
                rng: Arc::new(Mutex::new(StdRng::seed_from_u64(rng.next_u64()))),
                orders: watch::Sender::new(Order::Run),
                record: record.clone(),
            }
        })
        .collect();
    let backend = Backend::new(plan.clone(), whatsapp.clone(), record.clone());

    let epoch = u64::try_from(EPOCH).expect("it is after 1970");
    let mut hosts = turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(epoch))
        .simulation_duration(Duration::from_secs(24 * 3600))
        .tick_duration(TICK)
        .min_message_latency(plan.network.0)
        .max_message_latency(plan.network.1)
        .tcp_capacity(4096)
        .rng_seed(rng.next_u64())
        .build();
    let server = whatsapp.clone();
    hosts.host("whatsapp", move || serve_whatsapp(server.clone()));
    for place in &places {
        let place = place.clone();
        hosts.host(name(place.number), move || place.clone().live());
    }
    hosts.client("callers", backend.clone().run());

    let mut run = Run {
        director: Director::new(places, backend.clone(), whatsapp, model, record.clone(), steps),
        hosts,
        time,
    };
    run.play(&plan, &backend, &record)?;
    let virtual_time = run.hosts.elapsed();
    Ok(Outcome::of(&record, virtual_time))
}

struct Run<'a> {
    director: Director,
    hosts: turmoil::Sim<'a>,
    time: Time,
}

impl Run<'_> {
    fn play(&mut self, plan: &Plan, backend: &Backend, record: &Record) -> Result<(), RunError> {
        let set = || *backend.stage().borrow() >= Stage::Set;
        while !set() {
            self.step()?;
            if self.hosts.elapsed() > SETTING {
                return Err(RunError::Unset);
            }
        }
        backend.stage().send_replace(Stage::Talking);
        let begin = self.hosts.elapsed();
        for (at, trouble) in &plan.troubles {
            self.until(begin + *at, record)?;
            self.director.begin(trouble, &mut self.hosts);
        }
        self.until(begin + plan.under_faults, record)?;
        backend.stage().send_replace(Stage::Hushed);
        self.director.heal(&mut self.hosts);
        let owed = self.hosts.elapsed() + plan.owed();
        self.until(owed, record)?;
        record.fact(What::Due);
        backend.stage().send_replace(Stage::Over);
        let end = self.time.now();
        record.with(|history| history.end(end));
        Ok(())
    }

    /// Steps until then, or until an invariant is broken.
    fn until(&mut self, then: Duration, record: &Record) -> Result<(), RunError> {
        while self.hosts.elapsed() < then && record.with(|history| history.violation().is_none()) {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), RunError> {
        self.time.reached(self.hosts.elapsed());
        self.director.tick(&mut self.hosts);
        self.hosts.step().map(drop).map_err(|error| RunError::Host(error.to_string()))
    }
}

/// The host of the simulated WhatsApp.
async fn serve_whatsapp(server: Arc<SimServer>) -> turmoil::Result {
    use futures_util::StreamExt as _;
    let mut incoming = std::pin::pin!(network::listen(network::WHATSAPP).await?);
    while let Some(accepted) = incoming.next().await {
        tokio::spawn(server.serve(accepted?));
    }
    Ok(())
}
