//! The callers: a backend that has phones scan, sends, and consumes events, over calls that may be lost.
//!
//! What must hold: it only does what a careful backend would do, through any node; every send has a request id
//! and is repeated under it until its outcome is known; what it asked for and what it was told is recorded when
//! it happens.

mod consuming;
mod sending;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_actors::device::{PairError, PairingUpdate};
use roost_node::directory::Directory as _;
use roost_proto::id::{ConsumerId, DeviceKey};

use self::consuming::Consumer;
use self::sending::Sending;
use super::context::{Context, Host};
use super::core::now;
use super::input::{Asks, Call, Consumed, Input, Round, Told};
use super::queue::Happening;
use super::whatsapp::WhatsApp;
use crate::run::tenant_id;
use crate::wa::Pn;

/// Whoever is refused waits a little.
const AGAIN: Duration = Duration::from_millis(200);

/// How long one attempt to pair may take.
const PAIRING: Duration = Duration::from_secs(30);

/// Something that reaches the callers.
pub(super) enum CallerEvent {
    /// What became of a call.
    Told(u64, Told),
    /// A call has not been answered.
    Late(u64, u32),
    /// It is called again.
    Again(u64),
    /// A sender has something to say.
    Say(usize),
    /// An answer to a consumer.
    Consumed(Round, Consumed),
    /// A consumer's next round, unless it is over already.
    Round(usize, u64),
    /// A consumer has taken what it was given.
    Taken(usize, u64),
}

/// A device of ours and its number.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) key: DeviceKey,
    pub(super) pn: Pn,
    paired: bool,
}

/// What a call is for.
enum Purpose {
    /// A device is paired; whether its present code was scanned.
    Pairing(usize, bool),
    Sending(Box<Sending>),
}

/// A call that has no outcome yet.
struct Open {
    purpose: Purpose,
    tries: u32,
    /// The node that was asked last.
    place: usize,
    /// It was refused and waits a little.
    waits: bool,
}

/// The backend of a run.
pub(super) struct Callers {
    pub(super) speakers: Vec<Speaker>,
    rng: StdRng,
    friend: Pn,
    open: BTreeMap<u64, Open>,
    consumers: Vec<Consumer>,
    /// Messages of each sender so far.
    said: Vec<u64>,
    /// Nothing new is said.
    hushed: bool,
}

impl Callers {
    /// Makes tenants, devices and accounts; nothing is paired.
    pub(super) fn new(ctx: &mut Context, whatsapp: &mut WhatsApp) -> Callers {
        let mut speakers = Vec::new();
        let mut consumers = Vec::new();
        for tenant in 0..ctx.plan.tenants {
            let id = tenant_id(tenant).parse().expect("a name of ours is an id");
            now(ctx.database.create_tenant(&id, "")).expect("the database is well");
            consumers.push(Consumer::new(id));
            for device in 0..ctx.plan.devices {
                let name = format!("tenants/{}/devices/t{}d{}", tenant_id(tenant), tenant + 1, device + 1);
                let key: DeviceKey = name.parse().expect("a name of ours is a key");
                now(ctx.database.create_device(&key, "", None)).expect("the database is well");
                let pn = whatsapp.account(ctx, &name);
                ctx.record.number(pn, &key);
                speakers.push(Speaker { key, pn, paired: false });
            }
        }
        Callers {
            speakers,
            rng: StdRng::seed_from_u64(ctx.rng.random()),
            friend: whatsapp.account(ctx, "a friend"),
            open: BTreeMap::new(),
            consumers,
            said: vec![0; ctx.plan.senders],
            hushed: false,
        }
    }

    /// The account that writes to everybody.
    pub(super) fn friend(&self) -> Pn {
        self.friend
    }

    /// Begins to pair every device.
    pub(super) fn pair(&mut self, ctx: &mut Context) {
        for speaker in 0..self.speakers.len() {
            self.open(ctx, Purpose::Pairing(speaker, false));
        }
    }

    /// Whether every device is paired.
    pub(super) fn are_set(&self) -> bool {
        self.speakers.iter().all(|speaker| speaker.paired)
    }

    /// Begins to talk and to consume.
    pub(super) fn talk(&mut self, ctx: &mut Context) {
        for sender in 0..self.said.len() {
            self.next_words(ctx, sender);
        }
        for consumer in 0..self.consumers.len() {
            ctx.after(AGAIN, Happening::Caller(CallerEvent::Round(consumer, 0)));
        }
    }

    /// Says nothing new; whatever was accepted may arrive.
    pub(super) fn hush(&mut self) {
        self.hushed = true;
    }

    pub(super) fn take(&mut self, ctx: &mut Context, whatsapp: &mut WhatsApp, event: CallerEvent) {
        match event {
            CallerEvent::Told(call, told) => self.told(ctx, whatsapp, call, told),
            CallerEvent::Late(call, tries) => {
                if self.open.get(&call).is_some_and(|open| open.tries == tries && !open.waits) {
                    self.again(ctx, call);
                }
            }
            CallerEvent::Again(call) => {
                if self.open.contains_key(&call) {
                    self.place_call(ctx, call);
                }
            }
            CallerEvent::Say(sender) => self.say(ctx, whatsapp, sender),
            CallerEvent::Consumed(round, consumed) => self.consumed(ctx, round, consumed),
            CallerEvent::Round(consumer, after) => self.next_round(ctx, consumer, after),
            CallerEvent::Taken(consumer, round) => self.taken(ctx, consumer, round),
        }
    }

    fn open(&mut self, ctx: &mut Context, purpose: Purpose) {
        let call = ctx.id();
        let place = self.rng.random_range(0..ctx.plan.nodes);
        self.open.insert(call, Open { purpose, tries: 0, place, waits: false });
        self.place_call(ctx, call);
    }

    /// Calls the next node that is there at all.
    fn place_call(&mut self, ctx: &mut Context, call: u64) {
        let Some(open) = self.open.get_mut(&call) else { return };
        open.tries += 1;
        open.waits = false;
        let nodes = ctx.plan.nodes;
        let others = (1..=nodes).map(|step| (open.place + step) % nodes);
        let Some((place, process)) = others.into_iter().find_map(|place| Some((place, ctx.running[place]?)))
        else {
            return self.again(ctx, call);
        };
        open.place = place;
        let (patience, key, what) = match &open.purpose {
            Purpose::Pairing(speaker, _) => (PAIRING, self.speakers[*speaker].key.clone(), Asks::Pair),
            Purpose::Sending(sending) => sending.asks(),
        };
        let tries = open.tries;
        let input = Input::Call(Call { number: call, key, what, hops: 0 });
        ctx.send(Host::Callers, Host::Node(place), None, Happening::Process(process, input));
        ctx.after(patience, Happening::Caller(CallerEvent::Late(call, tries)));
    }

    /// It calls again in a while, unless it has lost its patience.
    fn again(&mut self, ctx: &mut Context, call: u64) {
        let Some(open) = self.open.get_mut(&call) else { return };
        if let Purpose::Sending(sending) = &open.purpose
            && sending.is_over(ctx)
        {
            return self.refused(ctx, call, "no answer");
        }
        if !std::mem::replace(&mut open.waits, true) {
            ctx.after(AGAIN, Happening::Caller(CallerEvent::Again(call)));
        }
    }

    fn told(&mut self, ctx: &mut Context, whatsapp: &mut WhatsApp, call: u64, told: Told) {
        let Some(open) = self.open.get_mut(&call) else { return };
        match (&mut open.purpose, told) {
            (Purpose::Sending(_), Told::Sent(Ok(accepted))) => self.accepted(ctx, call, &accepted),
            (Purpose::Sending(_), Told::Sent(Err(error))) => self.sending_refused(ctx, call, &error),
            (Purpose::Pairing(speaker, _), Told::Pairing(Err(PairError::AlreadyPaired)))
            | (Purpose::Pairing(speaker, _), Told::Update(PairingUpdate::Paired { .. })) => {
                self.speakers[*speaker].paired = true;
                self.open.remove(&call);
            }
            (Purpose::Pairing(speaker, scanned), Told::Update(PairingUpdate::Code { payload, .. })) => {
                if !std::mem::replace(scanned, true) {
                    let pn = self.speakers[*speaker].pn;
                    whatsapp.scan(ctx, &payload, pn);
                }
            }
            (Purpose::Pairing(..), Told::Pairing(Ok(())))
            | (Purpose::Pairing(..), Told::Update(PairingUpdate::Connecting | PairingUpdate::Reconnecting)) =>
                {}
            (Purpose::Pairing(_, scanned), _) => {
                *scanned = false;
                self.again(ctx, call);
            }
            (Purpose::Sending(_), _) => self.again(ctx, call),
        }
    }
}

/// The consumer of each tenant.
pub(super) fn consumer() -> ConsumerId {
    "ledger".parse().expect("a name of ours is an id")
}
