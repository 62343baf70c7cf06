//! The director: begins and ends the faults of a run, and starts processes that have ended.
//!
//! What must hold: after [`World::heal`] nothing of any fault is left, and what is still to end changes nothing
//! any more.

use std::time::Duration;

use rand::RngExt as _;
use roost_node::directory::Directory as _;
use roost_placement::ledger::Ledger as _;
use roost_placement::wish::{Pin, PinMode};
use roost_proto::id::Life;

use super::World;
use super::context::{Context, Host, ProcessId, Way, micros};
use super::core::{Fate, now};
use super::input::Input;
use super::process::Process;
use super::queue::Happening;
use super::strange::Strange;
use super::whatsapp::Up;
use crate::history::What;
use crate::run::{Trouble, name};
use crate::wa::Fault;

/// From the exit of a process until its parent has said so.
const CERTIFIED_AFTER: Duration = Duration::from_millis(5);

/// From the end of a process until its parent starts the next.
pub(super) const RESTART: Duration = Duration::from_millis(500);

/// A fault ends, or a process begins.
pub(super) enum Later {
    /// A process begins on a node, unless one runs there.
    Begin(usize),
    /// A parent says that this life has exited.
    Certify(Life),
    /// Messages pass again.
    Mend(Host, Host),
    /// A machine runs again.
    Thaw(ProcessId),
    /// A node has its database again, as far as this fault goes.
    Reach(usize),
    /// Answers come again.
    Answer(usize),
    /// Answers come as quickly as ever.
    Prompt(usize),
    /// The primary of the database is gone, for so long.
    PrimaryGone(Duration),
    /// The standby of the database has taken over.
    Promoted,
    /// WhatsApp is as quick as ever.
    Quick,
    /// An operator takes a wish back.
    Uncordon(usize),
    Unpin(usize),
    Unfreeze,
}

impl World {
    pub(super) fn later(&mut self, later: Later) {
        let ctx = &mut self.ctx;
        match later {
            Later::Begin(place) if ctx.running[place].is_none() => self.begin_process(place),
            Later::Begin(_) => {}
            Later::Certify(life) => {
                // The parent's link never fails: the call is over at once.
                let _ = now(ctx.database.certify_death(&life));
            }
            Later::Mend(from, to) => ctx.mend(from, to),
            Later::Thaw(process) => {
                if let Some(process) = self.processes.get_mut(&process) {
                    process.thaw(ctx);
                }
                self.look_after(process);
            }
            Later::Reach(place) => {
                let Way { lost, late, .. } = ctx.ways[place];
                let way = Way { lost, late, ..Way::default() };
                ctx.set_way(place, way);
            }
            Later::Answer(place) => ctx.ways[place].lost = 0,
            Later::Prompt(place) => ctx.ways[place].late = 0,
            Later::Promoted => {
                ctx.record.fault("the standby of the database takes over");
                let standby = self.standby.take();
                if let Some((since, _)) = &standby {
                    ctx.record.fact(What::TailLost { since: *since });
                    ctx.record.rarely("tail lost");
                }
                ctx.database.model.fail_over(standby.map(|(_, rows)| rows));
                (0..ctx.plan.nodes).for_each(|place| ctx.set_way(place, Way::default()));
            }
            // Once faults are over the primary stays.
            Later::PrimaryGone(away) if self.standby.is_some() => primary_gone(ctx, away),
            Later::PrimaryGone(_) => {}
            Later::Quick => self.whatsapp.commit(ctx, &Fault::Delay { device: None, ms: 0 }),
            Later::Uncordon(place) => {
                let node = name(place).parse().expect("a name of ours is an id");
                let _ = now(ctx.database.cordon(&node, false));
            }
            Later::Unpin(device) => {
                let _ = now(ctx.database.pin(&self.callers.speakers[device].key, None));
            }
            Later::Unfreeze => {
                let _ = now(ctx.database.freeze(false));
            }
        }
    }

    /// Begins one fault of the plan.
    pub(super) fn begin(&mut self, trouble: &Trouble) {
        let ctx = &mut self.ctx;
        match trouble {
            Trouble::Crash { node, certified, lasting } => {
                ctx.record.fault(format!("{} is killed", name(*node)));
                if let Some(process) = ctx.running[*node] {
                    self.kill(process, *certified, *lasting);
                }
            }
            Trouble::Cut { from, to, both, lasting } => {
                let back = if *both { ", nor back" } else { "" };
                ctx.record.spell(format!("{from} does not reach {to}{back}"), None, *lasting);
                let (from, to) = (Host::named(from), Host::named(to));
                let mut ways = vec![(from, to)];
                ways.extend(both.then_some((to, from)));
                for (from, to) in ways {
                    ctx.cut(from, to);
                    ctx.after(*lasting, Happening::Later(Later::Mend(from, to)));
                }
            }
            Trouble::Freeze { node, lasting, clock_stops } => {
                let process = ctx.running[*node].and_then(|process| self.processes.get_mut(&process));
                if let Some(process) = process {
                    process.core.freeze(ctx, *lasting, *clock_stops);
                }
            }
            Trouble::Unreached { node, silent, lasting } => {
                ctx.record.spell("it does not reach the database", Some(*node), *lasting);
                unreached(ctx, *node, *silent, *lasting);
            }
            Trouble::Outage { silent, lasting } => {
                ctx.record.spell("the database is away", None, *lasting);
                (0..ctx.plan.nodes).for_each(|node| unreached(ctx, node, *silent, *lasting));
            }
            Trouble::LostAnswers { node, per_mille, lasting } => {
                ctx.record.spell("answers of the database to it get lost", Some(*node), *lasting);
                ctx.ways[*node].lost = *per_mille;
                ctx.after(*lasting, Happening::Later(Later::Answer(*node)));
            }
            Trouble::Late { node, by, lasting } => {
                ctx.record.spell("the database answers it late", Some(*node), *lasting);
                ctx.ways[*node].late = micros(*by);
                ctx.after(*lasting, Happening::Later(Later::Prompt(*node)));
            }
            Trouble::Deaf { node, lasting } => {
                ctx.record.spell("the database does not hear it", Some(*node), *lasting);
                let way = Way { deaf: true, ..ctx.ways[*node] };
                ctx.set_way(*node, way);
                ctx.after(*lasting, Happening::Later(Later::Reach(*node)));
            }
            Trouble::Step { millis } => {
                self.steps.fetch_add(*millis, std::sync::atomic::Ordering::Relaxed);
                ctx.record.fact(What::ClockStepped { millis: *millis });
            }
            Trouble::Drain { node } => {
                ctx.record.fault(format!("{} is told to drain", name(*node)));
                if let Some(process) = ctx.running[*node] {
                    ctx.after(Duration::ZERO, Happening::Process(process, Input::Drain));
                }
            }
            Trouble::Move { device, to } => self.move_device(*device, *to),
            Trouble::Drop => self.whatsapp.commit(ctx, &Fault::DropConnection { device: None }),
            Trouble::LostAcks { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::LoseServerAcks { device, count });
            }
            Trouble::Twice { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::DuplicateDeliveries { device, count });
            }
            Trouble::TakePrekeys { device, leave } => {
                let leave = *leave;
                self.at_device(*device, |device| Fault::TakePrekeys { device, leave });
            }
        }
    }

    /// Begins one that only this depth has.
    pub(super) fn begin_strange(&mut self, strange: &Strange) {
        let ctx = &mut self.ctx;
        match strange {
            Strange::Twin { node } => {
                ctx.record.fault(format!("another process begins as {}", name(*node)));
                self.begin_process(*node);
            }
            Strange::FailOver { away, lost: None } => primary_gone(ctx, *away),
            Strange::FailOver { away, lost: Some(lost) } => {
                // One after the other.
                if self.standby.is_none() {
                    self.standby = Some((ctx.now(), ctx.database.model.checkpoint()));
                    ctx.record.fact(What::StandbyBehind);
                    ctx.after(*lost, Happening::Later(Later::PrimaryGone(*away)));
                }
            }
            Strange::Unavailable { lasting, existing } => {
                let ms = u32::try_from(lasting.as_millis()).unwrap_or(u32::MAX);
                self.whatsapp.commit(ctx, &Fault::Unavailable { ms, existing: *existing });
            }
            Strange::Replaced { device } => {
                self.at_device(*device, |device| Fault::StreamError { device, code: 440 });
            }
            Strange::DeafToAcks { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::LoseDeviceAcks { device, count });
            }
            Strange::Slow { by, lasting } => {
                let ms = u32::try_from(by.as_millis()).unwrap_or(u32::MAX);
                self.whatsapp.commit(ctx, &Fault::Delay { device: None, ms });
                ctx.after(*lasting, Happening::Later(Later::Quick));
            }
            Strange::Refused { device, count } => {
                let count = *count;
                self.at_device(*device, |device| Fault::LoginFailure { device, reason: 503, count });
            }
            Strange::Cordon { node, lasting } => {
                ctx.record.spell("it is cordoned", Some(*node), *lasting);
                let id = name(*node).parse().expect("a name of ours is an id");
                let _ = now(ctx.database.cordon(&id, true));
                ctx.after(*lasting, Happening::Later(Later::Uncordon(*node)));
            }
            Strange::Pin { device, node, required, lasting } => {
                let key = &self.callers.speakers[*device].key;
                ctx.record.spell(format!("{} is pinned here", key.device_id), Some(*node), *lasting);
                let mode = if *required { PinMode::Require } else { PinMode::Prefer };
                let pin = Pin { node: name(*node).parse().expect("a name of ours is an id"), mode };
                let _ = now(ctx.database.pin(key, Some(&pin)));
                ctx.after(*lasting, Happening::Later(Later::Unpin(*device)));
            }
            Strange::Still { lasting } => {
                ctx.record.spell("nothing is rebalanced", None, *lasting);
                let _ = now(ctx.database.freeze(true));
                ctx.after(*lasting, Happening::Later(Later::Unfreeze));
            }
            Strange::Burst { device, count } => {
                let to = self.callers.speakers[*device].pn;
                let friend = self.callers.friend();
                for number in 0..*count {
                    self.whatsapp.phone_says(ctx, friend, to, &format!("burst {number}"));
                }
            }
        }
    }

    /// Ends every fault at once and lets what they broke begin again.
    pub(super) fn heal(&mut self) {
        let ctx = &mut self.ctx;
        ctx.odds.end();
        self.standby = None;
        for place in 0..ctx.plan.nodes {
            ctx.set_way(place, Way::default());
            ctx.after(RESTART, Happening::Later(Later::Begin(place)));
        }
        ctx.mend_all();
        self.whatsapp.heal(ctx);
        let speakers = 0..self.callers.speakers.len();
        let wishes = (0..ctx.plan.nodes).map(Later::Uncordon).chain(speakers.map(Later::Unpin));
        let frozen: Vec<Later> = self.processes.keys().copied().map(Later::Thaw).collect();
        for later in wishes.chain([Later::Unfreeze]).chain(frozen).collect::<Vec<_>>() {
            self.later(later);
        }
        self.callers.hush();
        self.ctx.record.fact(What::Healed);
    }

    fn begin_process(&mut self, place: usize) {
        let ctx = &mut self.ctx;
        let id = ctx.id();
        let process = Process::begin(ctx, id, place);
        self.processes.insert(id, process);
        ctx.running[place] = Some(id);
    }

    /// A process has done something: it may be over with it.
    pub(super) fn look_after(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        let ctx = &mut self.ctx;
        match process.core.fate {
            Fate::Runs | Fate::Frozen => {}
            Fate::Crashed => {
                let certified = ctx.rng.random_bool(ctx.odds.certified);
                let lasting = Duration::from_secs_f64(0.3 * 30f64.powf(ctx.rng.random()));
                self.kill(id, certified, lasting);
            }
            Fate::Ended => self.gone(id, RESTART),
        }
    }

    /// A process is killed, or its whole machine is.
    fn kill(&mut self, id: ProcessId, certified: bool, lasting: Duration) {
        let ctx = &mut self.ctx;
        let Some(process) = self.processes.get(&id) else { return };
        if certified || !ctx.rng.random_bool(ctx.odds.silent) {
            // Its kernel is left and closes its sockets.
            for link in process.core.sockets.keys() {
                process.core.up(ctx, *link, Up::Gone);
            }
        }
        if let Some(life) = process.core.life.clone().filter(|_| certified) {
            ctx.after(CERTIFIED_AFTER, Happening::Later(Later::Certify(life)));
        }
        self.gone(id, lasting);
    }

    fn gone(&mut self, id: ProcessId, lasting: Duration) {
        let Some(process) = self.processes.remove(&id) else { return };
        let (ctx, place) = (&mut self.ctx, process.core.place);
        if let Some(life) = process.core.life {
            ctx.record.fact(What::Exited(life));
        }
        if ctx.running[place] == Some(id) {
            // A twin may be there.
            let others = self.processes.iter().filter(|(_, other)| other.core.place == place);
            ctx.running[place] = others.map(|(id, _)| *id).next_back();
        }
        if ctx.running[place].is_none() {
            ctx.after(lasting, Happening::Later(Later::Begin(place)));
        }
    }

    fn move_device(&mut self, device: usize, to: usize) {
        let ctx = &mut self.ctx;
        let key = &self.callers.speakers[device].key;
        ctx.record.fault(format!("{key} is to move to {}", name(to)));
        let owner = self.processes.iter().find(|(_, process)| process.grant(key).is_some());
        if let Some((process, _)) = owner {
            let to = name(to).parse().expect("a name of ours is an id");
            ctx.after(Duration::ZERO, Happening::Process(*process, Input::Move(key.clone(), to)));
        }
    }

    /// A fault of WhatsApp at the companion of one of our devices.
    fn at_device(&mut self, device: usize, fault: impl FnOnce(String) -> Fault) {
        let pn = self.callers.speakers[device].pn;
        let account = self.whatsapp.machine.accounts().get(&pn);
        if let Some(number) = account.and_then(|account| account.companions.keys().next()) {
            let fault = fault(format!("{pn}:{number}"));
            self.whatsapp.commit(&mut self.ctx, &fault);
        }
    }
}

/// The primary of the database is gone, and its standby takes over after that.
fn primary_gone(ctx: &mut Context, away: Duration) {
    ctx.record.spell("the primary of the database is gone", None, away);
    (0..ctx.plan.nodes).for_each(|node| unreached(ctx, node, true, away));
    ctx.after(away, Happening::Later(Later::Promoted));
}

/// A node has no database for a while.
fn unreached(ctx: &mut Context, place: usize, silent: bool, lasting: Duration) {
    let before = ctx.ways[place];
    let one_way = ctx.rng.random_bool(ctx.odds.one_way);
    let deaf_only = ctx.rng.random_bool(0.5);
    let way = Way {
        refused: !silent,
        deaf: silent && (!one_way || deaf_only),
        mute: silent && (!one_way || !deaf_only),
        ..before
    };
    ctx.set_way(place, way);
    ctx.after(lasting, Happening::Later(Later::Reach(place)));
}
