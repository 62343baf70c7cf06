//! One process of a node: the placement machine, the heartbeat and the devices. What `roost_node::cluster` does
//! in tasks is done here in steps.
//!
//! What must hold: effects are carried out in their order, starts and stops of one device in theirs; between
//! any two steps a fault may strike, and then nothing more is done. It decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_placement::heart::{Heart, Pulse};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Beaten, Candidate, Grant, JoinError, Ledger as _};
use roost_placement::machine::{Config, Effect, Event, Machine, Origin};
use roost_placement::plan::Policy;
use roost_placement::slot::Standstill;
use roost_proto::id::{DeviceKey, Life};

use super::context::{Context, LinkId, ProcessId};
use super::core::{Core, Fate, now};
use super::device::{Device, reach};
use super::input::Input;
use super::warm::Expected;
use crate::history::What;
use crate::run::{Boot, name};

/// How often the machine hears that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// Between two attempts to join, and to close the own row.
const AGAIN: Duration = Duration::from_millis(250);

/// One process.
pub(super) struct Process {
    pub(super) core: Core,
    pub(super) devices: BTreeMap<DeviceKey, Device>,
    pub(super) expected: Expected,
    pub(super) machine: Option<Machine>,
    heart: Option<Heart>,
    /// What it has seen of who holds its slot, before it has joined.
    standstill: Standstill,
    /// A heartbeat is under way.
    beating: bool,
    progress: u64,
    todo: VecDeque<Effect>,
    /// Starts that wait for the end of a stop.
    pub(super) starts: BTreeMap<DeviceKey, (Grant, Origin)>,
    /// Attempts to close the own row.
    pub(super) closings: u32,
    pub(super) drained: bool,
    /// The link that tries whether WhatsApp is reached.
    pub(super) probe: Option<LinkId>,
    /// What has come while the machine stood still.
    stalled: VecDeque<Input>,
}

impl Process {
    /// A process that begins to join.
    pub(super) fn begin(ctx: &mut Context, id: ProcessId, place: usize) -> Process {
        let boot = Boot::new(ctx.time.clone(), 1000 * (1 + place as u64), ctx.plan.clocks[place].1);
        let rng = StdRng::seed_from_u64(ctx.rng.random());
        let process = Process {
            core: Core::new(ctx, id, place, boot, rng),
            devices: BTreeMap::new(),
            expected: Expected::default(),
            machine: None,
            heart: None,
            standstill: Standstill::default(),
            beating: false,
            progress: 0,
            todo: VecDeque::new(),
            starts: BTreeMap::new(),
            closings: 0,
            drained: false,
            probe: None,
            stalled: VecDeque::new(),
        };
        process.core.wake(ctx, Duration::ZERO, Input::Join);
        process
    }

    /// Something reaches it.
    pub(super) fn take(&mut self, ctx: &mut Context, input: Input) {
        if !self.core.runs() {
            self.stalled.push_back(input);
            return;
        }
        self.handle(ctx, input);
        self.run(ctx);
    }

    /// The answer to a question reaches it.
    pub(super) fn answered(&mut self, ctx: &mut Context, question: u64, answer: Option<Box<Input>>) {
        if let Some(input) = self.core.answered(question, answer) {
            self.take(ctx, input);
        }
    }

    /// Its machine runs again: first it goes on where it stood, then it sees what has come meanwhile.
    pub(super) fn thaw(&mut self, ctx: &mut Context) {
        if self.core.fate != Fate::Frozen {
            return;
        }
        self.core.fate = Fate::Runs;
        self.core.boot.go_on();
        if let Some(life) = self.core.life.clone() {
            ctx.record.fact(What::Thawed(life));
        }
        for device in self.devices.values_mut() {
            device.run(&mut self.core, ctx);
        }
        self.run(ctx);
        while self.core.runs()
            && let Some(input) = self.stalled.pop_front()
        {
            self.handle(ctx, input);
            self.run(ctx);
        }
    }

    fn handle(&mut self, ctx: &mut Context, input: Input) {
        match input {
            Input::Join => self.join(ctx),
            Input::Joined(answer) => self.joined(ctx, answer),
            Input::Tick => {
                self.core.mail.push_back(Event::Tick);
                self.core.wake(ctx, TICK, Input::Tick);
            }
            Input::Pulse => self.pulse(ctx),
            Input::Beaten(sent, answer) => self.beaten(ctx, sent, answer),
            Input::Placement(event) => self.core.mail.push_back(event),
            Input::Hello(link) if self.probed(ctx, link, true) => {}
            Input::ProbeLate(link) => {
                self.probed(ctx, link, false);
            }
            Input::RowClosed(done) => self.row_closed(ctx, done),
            Input::Adopt(key) => self.core.mail.push_back(Event::Adopt(key)),
            Input::Drain => {
                // A second order to drain changes nothing.
                if let Some(machine) = &mut self.machine
                    && machine.drain().is_ok()
                {
                    self.core.mail.push_back(Event::Tick);
                }
            }
            Input::Move(key, to) => {
                let boot = self.core.boot();
                // It may be refused for many good reasons.
                if let Some(Ok(effects)) = self.machine.as_mut().map(|m| m.hand_off(&key, &to, boot)) {
                    self.todo.extend(effects);
                }
            }
            other => self.for_devices(ctx, other),
        }
    }

    /// Goes on until there is nothing left to do, or it is struck.
    fn run(&mut self, ctx: &mut Context) {
        while self.core.runs() {
            self.bury_ended(ctx);
            if let Some(effect) = self.todo.pop_front() {
                self.carry_out(ctx, effect);
            } else if let Some(event) = self.core.mail.pop_front() {
                self.progress += 1;
                let boot = self.core.boot();
                let Some(machine) = &mut self.machine else { continue };
                self.todo.extend(machine.handle(boot, event));
            } else {
                return;
            }
            if self.core.struck(ctx, false) {
                return;
            }
        }
    }

    /// Removes devices that have ended, and tells the machine.
    fn bury_ended(&mut self, ctx: &mut Context) {
        while let Some(key) = self.core.gone.pop_front() {
            let Some(device) = self.devices.remove(&key) else { continue };
            let (grant, told) = (device.grant.clone(), device.told);
            if told && !device.ending {
                // A planted defect has left it running.
                self.devices.insert(key.clone(), device);
            }
            ctx.record.fact(What::Stopped(grant.clone()));
            self.core.mail.push_back(if told { Event::Stopped(grant) } else { Event::Ended(grant) });
            if let Some((grant, origin)) = self.starts.remove(&key) {
                self.start(ctx, grant, &origin);
            }
        }
    }

    fn join(&mut self, ctx: &mut Context) {
        let candidate = Candidate {
            node: name(self.core.place).parse().expect("a name of ours is an id"),
            address: name(self.core.place),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let timing = ctx.plan.timing;
        let silent = self.standstill.silent(self.core.boot(), &timing).cloned();
        let statement = move |db: &crate::run::Database| {
            Input::Joined(Some(now(db.join(&candidate, silent.as_ref(), &timing))))
        };
        self.core.ask(ctx, statement, || Input::Joined(None));
    }

    fn joined(&mut self, ctx: &mut Context, answer: Option<Result<Life, JoinError>>) {
        if let Some(Err(JoinError::InUse { holder, .. })) = &answer {
            self.standstill.refused(holder.clone(), self.core.boot());
        }
        let Some(Ok(life)) = answer else { return self.core.wake(ctx, AGAIN, Input::Join) };
        ctx.record.fact(What::Started(life.clone()));
        let (boot, timing) = (self.core.boot(), ctx.plan.timing);
        let (policy, pace) = (Policy::default(), ctx.plan.pace);
        self.machine = Some(Machine::new(Config { me: life.clone(), timing, policy, pace }, boot));
        self.heart = Some(Heart::new(timing, boot, self.progress));
        self.core.life = Some(life);
        self.core.wake(ctx, Duration::ZERO, Input::Tick);
        self.core.wake(ctx, Duration::ZERO, Input::Pulse);
    }

    fn pulse(&mut self, ctx: &mut Context) {
        let Some(heart) = &mut self.heart else { return };
        if self.beating || self.drained {
            return;
        }
        let boot = self.core.boot();
        match heart.poll(boot, self.progress) {
            Pulse::Wait(span) => self.core.wake(ctx, span.max(Duration::from_micros(100)), Input::Pulse),
            Pulse::Beat => {
                self.beating = true;
                let reach = reach(&self.devices, boot);
                let said = self.machine.as_mut().map(|machine| {
                    machine.see_reach(reach, boot);
                    machine.report(boot)
                });
                let said = said.unwrap_or_default();
                if said.cut_off {
                    ctx.record.rarely("egress drained");
                }
                let (me, timing, patience) = (self.core.life().clone(), ctx.plan.timing, heart.patience());
                let statement = move |db: &crate::run::Database| {
                    Input::Beaten(boot, now(db.beat(&me, &said, &timing)).ok())
                };
                self.core.ask_within(ctx, patience, statement, move || Input::Beaten(boot, None));
            }
        }
    }

    fn beaten(&mut self, ctx: &mut Context, sent: BootTime, answer: Option<Beaten>) {
        self.beating = false;
        let Some(heart) = &mut self.heart else { return };
        let renewed = matches!(answer, Some(Beaten::Renewed(_)));
        heart.answered(sent, self.core.boot(), renewed, self.core.rng.random());
        match &answer {
            Some(Beaten::Renewed(_)) => {
                ctx.record.fact(What::HeardRenewed(self.core.life().clone()));
                self.core.permission.renewed(sent, &ctx.plan.timing);
            }
            Some(Beaten::Dead) => self.core.permission.revoke(),
            None => {}
        }
        let over = answer == Some(Beaten::Dead);
        self.core.mail.extend(answer.map(|answer| Event::Beaten { sent, answer }));
        if !over {
            self.pulse(ctx);
        }
    }

    /// The life is over: nothing of it goes on.
    pub(super) fn leave(&mut self, ctx: &mut Context) {
        self.core.permission.revoke();
        for link in std::mem::take(&mut self.core.sockets).into_keys() {
            self.core.up(ctx, link, super::whatsapp::Up::Gone);
        }
        self.core.fate = Fate::Ended;
    }

    /// The machine, for those who look.
    pub(super) fn grant(&self, key: &DeviceKey) -> Option<&Grant> {
        self.machine.as_ref()?.grant(key)
    }
}
