//! What all parts of one process share: its clocks, its permission to act, its questions, its fate.
//!
//! What must hold: each question is answered once, by the database or by its own patience; a process that has
//! ended or stands still does nothing, wherever it was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use roost_actors::machine::Now;
use roost_node::cluster::{BootClock, Permission};
use roost_node::outside::WallClock;
use roost_placement::lease::BootTime;
use roost_placement::ledger::Unavailable;
use roost_placement::machine;
use roost_proto::id::{DeviceKey, Life};

use super::callers::CallerEvent;
use super::context::{Context, Host, LinkId, ProcessId, micros};
use super::director::Later;
use super::gate::Gate;
use super::input::{Input, Told};
use super::odds::Strike;
use super::queue::{Asked, Happening};
use super::whatsapp::Up;
use crate::history::What;
use crate::run::{Boot, Database};

/// How long a call of the database may take in all, as the adapters of real databases bound it.
const BOUND: Duration = Duration::from_secs(3);

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs.
    Runs,
    /// Its machine stands still.
    Frozen,
    /// It was killed in the middle of something.
    Crashed,
    /// It has ended in order.
    Ended,
}

/// The core of one process.
pub(super) struct Core {
    pub(super) id: ProcessId,
    pub(super) place: usize,
    /// Who it is, once it has joined.
    pub(super) life: Option<Life>,
    pub(super) boot: Boot,
    pub(super) clock: BootClock,
    pub(super) wall: WallClock,
    pub(super) permission: Arc<Permission>,
    pub(super) rng: StdRng,
    pub(super) gate: Gate,
    pub(super) fate: Fate,
    /// Which device each link is for.
    pub(super) sockets: BTreeMap<LinkId, DeviceKey>,
    /// What the placement machine is to hear.
    pub(super) mail: VecDeque<machine::Event>,
    /// Devices that have ended.
    pub(super) gone: VecDeque<DeviceKey>,
    questions: BTreeMap<u64, Box<dyn FnOnce() -> Input>>,
    last_question: u64,
}

impl Core {
    pub(super) fn new(ctx: &Context, id: ProcessId, place: usize, boot: Boot, rng: StdRng) -> Core {
        let clock = boot.clock();
        let now = clock();
        Core {
            id,
            place,
            life: None,
            wall: ctx.time.wall(ctx.plan.clocks[place].0),
            permission: Permission::new(clock.clone()),
            gate: Gate::new(ctx.plan.logins_per_second, now),
            boot,
            clock,
            rng,
            fate: Fate::Runs,
            sockets: BTreeMap::new(),
            mail: VecDeque::new(),
            gone: VecDeque::new(),
            questions: BTreeMap::new(),
            last_question: 0,
        }
    }

    pub(super) fn boot(&self) -> BootTime {
        (self.clock)()
    }

    /// The moment, as devices see it.
    pub(super) fn now(&self) -> Now {
        let (age, trusted) = (self.permission.age(), self.permission.trusted());
        Now { boot: self.boot(), wall: (self.wall)(), may_act: self.permission.may_act(), age, trusted }
    }

    pub(super) fn life(&self) -> &Life {
        self.life.as_ref().expect("only a process that has joined does this")
    }

    /// Whether it goes on.
    pub(super) fn runs(&self) -> bool {
        self.fate == Fate::Runs
    }

    /// Between two steps: a fault may strike here. True when the process does not go on.
    pub(super) fn struck(&mut self, ctx: &mut Context, login: bool) -> bool {
        match ctx.odds.strike(&mut ctx.rng, login) {
            None => {}
            Some(Strike::Crash) => {
                ctx.record.fault(format!("n{} is killed in the middle of a step", self.place + 1));
                ctx.record.rarely("killed within a step");
                self.fate = Fate::Crashed;
            }
            Some(Strike::Freeze(span)) => {
                ctx.record.rarely(if login { "frozen before a login" } else { "frozen within a step" });
                let clock_stops = ctx.rng.random_bool(ctx.odds.clock_stops);
                self.freeze(ctx, span, clock_stops);
            }
        }
        !self.runs()
    }

    /// The machine stands still for so long; its clock may miss the time.
    pub(super) fn freeze(&mut self, ctx: &mut Context, span: Duration, clock_stops: bool) {
        if self.fate != Fate::Runs {
            return;
        }
        self.fate = Fate::Frozen;
        if clock_stops {
            self.boot.pause();
        }
        if let Some(life) = self.life.clone() {
            ctx.record.fact(What::Frozen { life, clock_stops });
        }
        ctx.after(span, Happening::Later(Later::Thaw(self.id)));
    }

    /// This process hears something a little later.
    pub(super) fn wake(&self, ctx: &mut Context, after: Duration, input: Input) {
        ctx.after(after, Happening::Process(self.id, input));
    }

    /// Asks the database; hears `failed` when the call fails or takes too long.
    pub(super) fn ask(
        &mut self,
        ctx: &mut Context,
        statement: impl FnOnce(&Database) -> Input + 'static,
        failed: impl FnOnce() -> Input + 'static,
    ) {
        self.ask_within(ctx, BOUND, statement, failed);
    }

    /// The same with this patience.
    pub(super) fn ask_within(
        &mut self,
        ctx: &mut Context,
        patience: Duration,
        statement: impl FnOnce(&Database) -> Input + 'static,
        failed: impl FnOnce() -> Input + 'static,
    ) {
        self.last_question += 1;
        let question = self.last_question;
        self.questions.insert(question, Box::new(failed));
        let until = ctx.now() + micros(patience);
        let asked = Asked { by: self.id, place: self.place, question, until };
        ctx.ask(asked, Box::new(statement));
    }

    /// What the placement machine asks.
    pub(super) fn ask_ledger<T: 'static>(
        &mut self,
        ctx: &mut Context,
        question: impl FnOnce(&Database) -> Result<T, Unavailable> + 'static,
        event: impl FnOnce(machine::Answer<T>) -> machine::Event + Clone + 'static,
    ) {
        let none = event.clone();
        self.ask(
            ctx,
            move |db| Input::Placement(event(question(db).map_err(|_| machine::NoAnswer))),
            move || Input::Placement(none(Err(machine::NoAnswer))),
        );
    }

    /// What an answer to a question is; nothing when nobody waits for it any more.
    pub(super) fn answered(&mut self, question: u64, answer: Option<Box<Input>>) -> Option<Input> {
        let failed = self.questions.remove(&question)?;
        Some(answer.map_or_else(failed, |answer| *answer))
    }

    /// Something leaves on a link.
    pub(super) fn up(&self, ctx: &mut Context, link: LinkId, up: Up) {
        ctx.send(Host::Node(self.place), Host::WhatsApp, Some(link), Happening::WhatsApp(link, up));
    }

    /// A new link is dialled.
    pub(super) fn dial(&mut self, ctx: &mut Context, key: &DeviceKey) -> LinkId {
        let link = ctx.id();
        self.sockets.insert(link, key.clone());
        self.up(ctx, link, Up::Dial { by: self.id, place: self.place });
        link
    }

    /// This end of a link is closed.
    pub(super) fn hang_up(&mut self, ctx: &mut Context, link: LinkId) {
        if self.sockets.remove(&link).is_some() {
            self.up(ctx, link, Up::Gone);
        }
    }

    /// A caller is told.
    pub(super) fn tell(&self, ctx: &mut Context, call: u64, told: Told) {
        let event = Happening::Caller(CallerEvent::Told(call, told));
        ctx.send(Host::Node(self.place), Host::Callers, None, event);
    }
}

/// The answer of the model, which waits for nothing.
pub(super) fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("the model waits for nothing")
}
