//! One device of a process: the device machine, and what carries out its effects. What the ractor shells do in
//! four actors is done here in steps: connection in `link`, crypto and store in `stores`.
//!
//! What must hold: effects are carried out in their order, and between any two of them a fault may strike; when
//! it has said that the device ended, nothing of it sends, dials or writes any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_actors::device::{Command, Finished, Opening, PairMethod, PairingUpdate};
use roost_actors::machine::{CryptoRequest, Effect, Event, Machine, Reply};
use roost_actors::port::{FileError, Reached};
use roost_actors::vault::Vault;
use roost_placement::egress::Reach;
use roost_placement::heads::{self, Heads};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Grant, Posted};
use roost_placement::seeded::{self, Bug};
use roost_proto::api::device::State;
use roost_proto::id::DeviceKey;

use super::context::{Context, LinkId};
use super::core::Core;
use super::input::{Asks, Call, ForDevice, Input, Told};
use super::link::Link;
use super::stores::Work;
use crate::run::limits;

/// Something that is to be done.
pub(super) enum Todo {
    /// What the machine asks for.
    Effect(Box<Effect>),
    /// The last handshake message leaves: the permit was looked at just before.
    Login,
}

/// One device.
pub(super) struct Device {
    pub(super) number: u64,
    pub(super) grant: Grant,
    pub(super) machine: Machine,
    pub(super) vault: Option<Vault>,
    pub(super) seed: [u8; 32],
    pub(super) mail: VecDeque<Event>,
    pub(super) todo: VecDeque<Todo>,
    pub(super) crypto: VecDeque<(u64, CryptoRequest)>,
    /// Crypto waits for rows.
    pub(super) reading: bool,
    pub(super) work: VecDeque<Work>,
    /// The store has been asked and has not answered.
    pub(super) storing: bool,
    /// The last event and the last accepted message that were committed.
    pub(super) heads: Option<Heads>,
    /// Before the store, and before the rows, are asked again.
    pub(super) pauses: (Duration, Duration),
    pub(super) link: Option<Link>,
    /// A link that was half open before the device was opened.
    pub(super) warm: Option<LinkId>,
    /// Stanzas that may be read.
    pub(super) room: usize,
    armed: Option<BootTime>,
    calls: BTreeMap<u64, u64>,
    last_token: u64,
    /// Who follows the pairing.
    follower: Option<u64>,
    state: State,
    reached: Reached,
    /// It ends as soon as nothing of it is under way.
    pub(super) ending: bool,
    /// It was told to.
    pub(super) told: bool,
}

impl Device {
    /// Opens a device; its state is asked for.
    pub(super) fn open(core: &mut Core, ctx: &mut Context, opening: Opening, warm: Option<LinkId>) -> Device {
        let grant = opening.grant.clone();
        let mut device = Device {
            number: ctx.id(),
            grant,
            machine: Machine::new(opening, limits(), core.rng.random(), core.now()),
            vault: None,
            seed: core.rng.random(),
            mail: VecDeque::new(),
            todo: VecDeque::new(),
            crypto: VecDeque::new(),
            reading: false,
            work: VecDeque::from([Work::Load]),
            storing: false,
            heads: None,
            pauses: (Duration::ZERO, Duration::ZERO),
            link: None,
            warm,
            room: limits().inbound,
            armed: None,
            calls: BTreeMap::new(),
            last_token: 0,
            follower: None,
            state: State::Starting,
            reached: Reached::default(),
            ending: false,
            told: false,
        };
        device.store(core, ctx);
        device
    }

    /// Randomness of its crypto.
    pub(super) fn rng(&self) -> StdRng {
        StdRng::from_seed(self.seed)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state == State::Online
    }

    /// Something reaches it.
    pub(super) fn take(&mut self, core: &mut Core, ctx: &mut Context, what: ForDevice) {
        match what {
            ForDevice::Wake => {
                self.armed = None;
                self.mail.push_back(Event::Tick);
            }
            ForDevice::Permit(link, ticket) => self.permit(core, ctx, link, ticket),
            ForDevice::LinkLate(link) => self.link_late(core, ctx, link),
            stored => self.stored(core, ctx, stored),
        }
        self.run(core, ctx);
    }

    /// A caller's call.
    pub(super) fn call(&mut self, core: &mut Core, ctx: &mut Context, call: Call) {
        let Call { number, what, .. } = call;
        if self.ending || self.calls.len() >= limits().commands {
            return core.tell(ctx, number, Told::Unavailable);
        }
        let command = match what {
            Asks::Send(request) => Command::Send(request),
            Asks::Pair => {
                self.follower = Some(number);
                Command::Pair(Box::new(PairMethod::Qr.into()))
            }
        };
        let token = self.command(command);
        self.calls.insert(token, number);
        self.run(core, ctx);
    }

    fn command(&mut self, command: Command) -> u64 {
        self.last_token += 1;
        let token = self.last_token;
        self.mail.push_back(Event::Command { token, command });
        token
    }

    /// The node may not act, or may again.
    pub(super) fn quiesce(&mut self, core: &mut Core, ctx: &mut Context, quiet: bool) {
        self.command(if quiet { Command::Quiesce } else { Command::Resume });
        self.run(core, ctx);
    }

    /// Ends it because the process was told to.
    pub(super) fn stop(&mut self, core: &mut Core, ctx: &mut Context) {
        self.told = true;
        if seeded::on(Bug::LeftRunning) {
            return core.gone.push_back(self.grant.key.clone());
        }
        self.end(core, ctx);
    }

    /// Goes on until there is nothing left to do, or the process is struck.
    pub(super) fn run(&mut self, core: &mut Core, ctx: &mut Context) {
        while core.runs() && !self.ending {
            if matches!(self.todo.front(), Some(Todo::Login)) && core.struck(ctx, true) {
                return;
            }
            if let Some(todo) = self.todo.pop_front() {
                self.carry_out(core, ctx, todo);
            } else if let Some(event) = self.mail.pop_front() {
                let effects = self.machine.handle(core.now(), event);
                self.todo.extend(effects.into_iter().map(|effect| Todo::Effect(Box::new(effect))));
                if self.todo.is_empty() {
                    continue;
                }
            } else if !self.think(core, ctx) && !self.write_held(core, ctx) && !self.read(core, ctx) {
                break;
            }
            if core.struck(ctx, false) {
                return;
            }
        }
        self.arm(core, ctx);
    }

    fn carry_out(&mut self, core: &mut Core, ctx: &mut Context, todo: Todo) {
        let effect = match todo {
            Todo::Login => return self.log_in(core, ctx),
            Todo::Effect(effect) => *effect,
        };
        match effect {
            Effect::Dial { link, dial, urgency, .. } => self.dial(core, ctx, link, dial, urgency),
            Effect::Close { link } => self.close(core, ctx, link),
            Effect::Send { link, bytes } => self.write(core, ctx, link, bytes),
            Effect::Crypto { token, request } => self.crypto.push_back((token, request)),
            Effect::Commit(batch) => {
                self.work.push_back(Work::Commit(batch));
                self.store(core, ctx);
            }
            Effect::Durable(token) => {
                if let Some(vault) = &mut self.vault {
                    vault.durable(token);
                }
            }
            Effect::Lookup { token, whatsapp_ids } => {
                self.work.push_back(Work::Lookup(token, whatsapp_ids));
                self.store(core, ctx);
            }
            // Phones here share nothing, so nobody has a file for us.
            Effect::Fetch { token, .. } => {
                let outcome = Err(FileError::Unavailable("there are no files".to_owned()));
                self.mail.push_back(Event::Fetched { token, outcome });
            }
            Effect::AskPermit => core.ask_permit(ctx, self.number, None, &self.grant),
            Effect::Credit(places) => self.room += places,
            Effect::Publish(status) => self.state = status.state,
            Effect::Reached(reached) => self.reached = reached,
            Effect::Delete { .. } | Effect::Tail(_) | Effect::Report(_) | Effect::Paced(_) => {}
            Effect::Reply { token, reply } => self.reply(core, ctx, token, reply),
            Effect::Pairing(update) => self.show_pairing(core, ctx, update),
            Effect::Finish(why) => {
                if let Finished::Broken(why) = &why {
                    ctx.record.fault(format!("a device of ours is broken: {why}"));
                }
                self.end(core, ctx);
            }
        }
    }

    fn reply(&mut self, core: &mut Core, ctx: &mut Context, token: u64, reply: Reply) {
        let Some(call) = self.calls.remove(&token) else { return };
        let told = match reply {
            Reply::Sent(result) => Told::Sent(result),
            Reply::Pairing(result) => Told::Pairing(result),
            Reply::Asked(_)
            | Reply::Made(_)
            | Reply::Imported(_)
            | Reply::Contents(_)
            | Reply::AskedPhone(_)
            | Reply::Passkey(_)
            | Reply::Media(_)
            | Reply::Identities(_)
            | Reply::Pace(_)
            | Reply::Done(_) => Told::Unavailable,
        };
        core.tell(ctx, call, told);
    }

    fn show_pairing(&mut self, core: &mut Core, ctx: &mut Context, update: PairingUpdate) {
        if let Some(follower) = self.follower {
            core.tell(ctx, follower, Told::Update(update));
        }
    }

    /// Wakes the machine at its earliest deadline.
    fn arm(&mut self, core: &mut Core, ctx: &mut Context) {
        let Some(deadline) = self.machine.deadline() else { return };
        if self.ending || self.armed.is_some_and(|at| at <= deadline) {
            return;
        }
        self.armed = Some(deadline);
        let pause = deadline.since(core.boot()) + Duration::from_millis(1);
        let wake = Input::Device(self.grant.key.clone(), self.number, ForDevice::Wake);
        core.wake(ctx, pause, wake);
    }

    /// Ends it. What the store was asked is awaited.
    pub(super) fn end(&mut self, core: &mut Core, ctx: &mut Context) {
        if !self.ending {
            self.ending = true;
            self.hang_up(core, ctx);
            if let Some(link) = self.warm.take() {
                core.hang_up(ctx, link);
            }
            for call in std::mem::take(&mut self.calls).into_values() {
                core.tell(ctx, call, Told::Unavailable);
            }
            if let Some(follower) = self.follower.take() {
                core.tell(ctx, follower, Told::Unavailable);
            }
            if !self.storing {
                core.gone.push_back(self.grant.key.clone());
            }
        }
    }
}

/// What a process says of devices that it runs, as far as it has heard what was committed.
pub(super) fn posts(grants: &[Grant], devices: &BTreeMap<DeviceKey, Device>) -> Vec<Posted> {
    let post = |grant: &Grant| {
        let device = devices.get(&grant.key).filter(|device| device.grant == *grant);
        heads::posted(grant, device.and_then(|device| device.heads))
    };
    grants.iter().map(post).collect()
}

/// How the devices of a process get through to WhatsApp.
pub(super) fn reach(devices: &BTreeMap<DeviceKey, Device>, now: BootTime) -> Reach {
    let mut reach = Reach::default();
    for device in devices.values() {
        let Reached { heard, failing, .. } = device.reached;
        reach.count(device.is_connected(), heard, failing, now);
    }
    reach
}
