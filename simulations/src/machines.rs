//! The deterministic simulation at *machines* depth: the pure code of a whole cluster in virtual time, stepped
//! by an event loop of its own. No runtime, no task, no thread, no socket; one history after the other in one
//! process.
//!
//! What is production code here: the placement machine with its heartbeat, lease, ring and plan; the device
//! machine and the vault with its ratchets; turns, throttle and permits. What the shells around them do (ractor
//! actors, driver, gRPC) is done by the files of `machines/` in steps, and between any two steps a fault may
//! strike. WhatsApp is the pure half of the simulated one, the database is the model of the store.
//!
//! What must hold: a run depends on its plan alone, shares nothing with another, and runs in the thread that asks
//! for it; facts are recorded by this world and never by the code under test.

mod callers;
mod calls;
mod context;
mod core;
mod device;
mod director;
mod effects;
mod gate;
mod input;
mod link;
pub mod many;
mod odds;
mod process;
mod queue;
mod stores;
mod strange;
mod warm;
mod whatsapp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_placement::ring::RingKey;
use roost_proto::id::BusinessId;

use self::callers::Callers;
use self::context::{Context, ProcessId, micros};
use self::director::Later;
use self::odds::Odds;
use self::process::Process;
use self::queue::Happening;
use self::strange::Strange;
use self::whatsapp::WhatsApp;
use crate::history::{History, What};
use crate::model::{Checkpoint, Model};
use crate::run::{Database, Outcome, Plan, Record, Time, tenant_id};

/// How long everything may take to be paired, without any fault.
const SETTING: Duration = Duration::from_secs(120);

/// Tenants for which nodes are asked whom they prefer: more than any plan has.
const ASKED: usize = 40;

/// More than this does not happen within one microsecond: somebody goes round in circles.
const AT_ONCE: u32 = 100_000;

/// Everything that there is.
struct World {
    ctx: Context,
    processes: BTreeMap<ProcessId, Process>,
    whatsapp: WhatsApp,
    callers: Callers,
    /// A standby of the database that hears nothing more: since when, and what it has.
    standby: Option<(u64, Checkpoint)>,
    /// Steps of the database's clock so far, in milliseconds.
    steps: Arc<AtomicI64>,
}

/// Runs one plan. The same plan has the same history, whatever ran before.
pub fn run(plan: &Plan, history: History) -> Outcome {
    let (time, plan) = (Time::default(), Arc::new(plan.clone()));
    let mut rng = StdRng::seed_from_u64(plan.seed ^ 0x3ac4);
    let record = Record::new(time.clone(), history);
    let steps = Arc::new(AtomicI64::new(0));
    let database = Database::new(Model::new(time.database(steps.clone())), record.clone());
    let odds = Odds::draw(&mut rng);
    let strange = Strange::draw(&plan, &mut rng);
    let mut whatsapp = WhatsApp::new(rng.random());
    let mut ctx = Context::new(plan.clone(), time.clone(), rng, record.clone(), database, odds);
    let callers = Callers::new(&mut ctx, &mut whatsapp);
    let mut world = World { ctx, processes: BTreeMap::new(), whatsapp, callers, standby: None, steps };
    world.play(&plan, strange);
    let end = time.now();
    record.with(|history| history.end(end));
    Outcome::of(&record, Duration::from_micros(end))
}

impl World {
    fn play(&mut self, plan: &Plan, strange: Vec<(Duration, Strange)>) {
        // Nothing strikes before everything is paired.
        let odds = self.ctx.odds;
        self.ctx.odds.end();
        for place in 0..plan.nodes {
            self.later(Later::Begin(place));
        }
        self.callers.pair(&mut self.ctx);
        while !self.callers.are_set() {
            if self.ctx.record.with(|history| history.violation().is_some()) {
                return;
            }
            let late = self.ctx.now() > micros(SETTING);
            assert!(!late, "seed {}: the devices were not paired within {SETTING:?}", plan.seed);
            self.until(self.ctx.now() + 100_000);
        }
        self.ctx.odds = odds;
        self.callers.talk(&mut self.ctx);
        let begin = self.ctx.now();
        let mut troubles = plan.troubles.iter().peekable();
        let mut strange = strange.into_iter().peekable();
        loop {
            let next = troubles.peek().map(|(at, _)| *at);
            let stranger = strange.peek().map(|(at, _)| *at);
            let Some(at) = next.into_iter().chain(stranger).min() else { break };
            self.until(begin + micros(at));
            if next == Some(at) {
                let (_, trouble) = troubles.next().expect("it was looked at");
                self.begin(trouble);
            } else if let Some((_, strange)) = strange.next() {
                self.begin_strange(&strange);
            }
        }
        self.until(begin + micros(plan.under_faults));
        self.heal();
        self.until(self.ctx.now() + micros(plan.owed()));
        self.ask_preferences();
        self.ctx.record.fact(What::Due);
    }

    /// Whom each node would have try for each tenant, and for some that are not there, now that all have seen the
    /// same for long.
    fn ask_preferences(&self) {
        let tenants = (0..ASKED).map(|number| tenant_id(number).parse().expect("an id"));
        for tenant in tenants.collect::<Vec<BusinessId>>() {
            for process in self.processes.values() {
                let Some(machine) = process.machine.as_ref().filter(|_| process.core.runs()) else {
                    continue;
                };
                let order =
                    machine.ring().preference(RingKey::Tenant(&tenant)).into_iter().cloned().collect();
                let (by, tenant) = (process.core.life().node.clone(), tenant.clone());
                self.ctx.record.fact(What::Preferred { by, tenant, order });
            }
        }
    }

    /// Steps until then, or until an invariant is broken.
    fn until(&mut self, then: u64) {
        let (mut last, mut at_once) = (0, 0);
        while self.ctx.record.with(|history| history.violation().is_none()) {
            let Some((at, what)) = self.ctx.next(then) else { break };
            at_once = if at == last { at_once + 1 } else { 0 };
            last = at;
            assert!(at_once < AT_ONCE, "time stands still at {:.3} s", at as f64 / 1e6);
            self.ctx.time.reached(Duration::from_micros(at));
            self.happen(what);
        }
        self.ctx.time.reached(Duration::from_micros(then));
    }

    fn happen(&mut self, what: Happening) {
        let ctx = &mut self.ctx;
        match what {
            Happening::Process(id, input) => {
                if let Some(process) = self.processes.get_mut(&id) {
                    process.take(ctx, input);
                    self.look_after(id);
                }
            }
            Happening::Statement(asked, statement) => ctx.execute(asked, statement),
            Happening::Answer(asked, answer) => {
                if let Some(answer) = ctx.returns(asked, answer)
                    && let Some(process) = self.processes.get_mut(&asked.by)
                {
                    process.answered(ctx, asked.question, answer);
                    self.look_after(asked.by);
                }
            }
            Happening::Late(asked) => {
                if let Some(process) = self.processes.get_mut(&asked.by) {
                    process.answered(ctx, asked.question, None);
                    self.look_after(asked.by);
                }
            }
            Happening::WhatsApp(link, up) => self.whatsapp.take(ctx, link, up),
            Happening::Caller(event) => self.callers.take(ctx, &mut self.whatsapp, event),
            Happening::Later(later) => self.later(later),
        }
    }
}
