//! What a process does for callers, consumers and peers, and what it passes on to its devices.
//!
//! What must hold: a call is answered by the owner of its device, after one look at the rows and one hop at
//! most, or refused; a consumer is given nothing that it has acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_node::directory::Directory as _;
use roost_placement::ledger::Ledger as _;
use roost_proto::id::{ConsumerId, DeviceKey, Sequence};

use super::callers::{CallerEvent, consumer};
use super::context::{Context, Host};
use super::core::now;
use super::input::{Call, Consume, Consumed, Input, Round, Told, Turn};
use super::process::Process;
use super::queue::Happening;
use crate::run::Database;

/// Events in one round at most.
const BATCH: usize = 100;

/// How long a process holds a consumer.
const HOLD: Duration = Duration::from_secs(5);

impl Process {
    pub(super) fn for_devices(&mut self, ctx: &mut Context, input: Input) {
        let core = &mut self.core;
        match input {
            Input::Gate => core.look_for_turns(ctx),
            Input::Turn(Turn::Warm(key)) => self.expected.turn(core, ctx, &key),
            Input::Turn(Turn::Device(key, number, link)) => {
                if let Some(device) = self.devices.get_mut(&key).filter(|device| device.number == number) {
                    device.turn(core, ctx, link);
                }
            }
            Input::Hello(link) => {
                let Some(key) = core.sockets.get(&link).cloned() else { return };
                if !self.expected.hello(core, ctx, &key, link)
                    && let Some(device) = self.devices.get_mut(&key)
                {
                    device.hello(core, ctx, link);
                }
            }
            Input::Frame(link, frame) => {
                let Some(key) = core.sockets.get(&link) else { return };
                if let Some(device) = self.devices.get_mut(key) {
                    device.came(core, ctx, link, Ok(frame));
                }
            }
            Input::Closed(link, why) => {
                let Some(key) = core.sockets.get(&link).cloned() else { return };
                if !self.expected.lost(core, ctx, &key, link)
                    && let Some(device) = self.devices.get_mut(&key)
                {
                    device.came(core, ctx, link, Err(why));
                }
            }
            Input::Device(key, number, what) => {
                if let Some(device) = self.devices.get_mut(&key).filter(|device| device.number == number) {
                    device.take(core, ctx, what);
                }
            }
            Input::Warm(key, warmth) => self.expected.prepare(core, ctx, key, warmth),
            Input::Cooled(key, link) => {
                self.expected.lost(core, ctx, &key, link);
            }
            Input::Call(call) => self.call(ctx, call),
            Input::Owned(call, owner) => {
                let place = owner.map(|life| Host::named(life.node.as_str()));
                let there = match place {
                    Some(Host::Node(place)) if place != self.core.place => ctx.running[place],
                    _ => None,
                };
                match (place, there) {
                    (Some(place), Some(process)) => {
                        let passed = Happening::Process(process, Input::Call(call));
                        ctx.send(Host::Node(self.core.place), place, None, passed);
                    }
                    _ => self.core.tell(ctx, call.number, Told::Unavailable),
                }
            }
            Input::Consume(round, what) => self.consume(ctx, round, what),
            Input::Consumed(round, what) => {
                let event = Happening::Caller(CallerEvent::Consumed(round, what));
                ctx.send(Host::Node(core.place), Host::Callers, None, event);
            }
            _ => unreachable!("the rest is the process's own"),
        }
    }

    fn call(&mut self, ctx: &mut Context, mut call: Call) {
        if let Some(device) = self.devices.get_mut(&call.key) {
            return device.call(&mut self.core, ctx, call);
        }
        if call.hops > 0 {
            return self.core.tell(ctx, call.number, Told::Unavailable);
        }
        call.hops += 1;
        let failed = call.clone();
        let statement = move |db: &Database| {
            let row = now(db.ownership(&call.key));
            Input::Owned(call, row.ok().flatten().and_then(|row| row.owner))
        };
        self.core.ask(ctx, statement, move || Input::Owned(failed, None));
    }

    fn consume(&mut self, ctx: &mut Context, round: Round, what: Consume) {
        let holder = self.core.id.to_string();
        let failed = round.clone();
        let statement = move |db: &Database| {
            let done = match what {
                Consume::Next => next(db, &round, &holder).map(Consumed::Events),
                Consume::Acknowledge(positions) => {
                    let done = now(db.acknowledge(&round.tenant, &consumer(), &holder, &positions));
                    done.ok().filter(|done| *done).map(|_| Consumed::Acknowledged(positions))
                }
            };
            Input::Consumed(round, done.unwrap_or(Consumed::Failed))
        };
        self.core.ask(ctx, statement, move || Input::Consumed(failed, Consumed::Failed));
    }
}

/// What a consumer has not acknowledged.
fn next(db: &Database, round: &Round, holder: &str) -> Option<Vec<(DeviceKey, Sequence)>> {
    let (tenant, consumer): (_, ConsumerId) = (&round.tenant, consumer());
    if !now(db.hold_consumer(tenant, &consumer, holder, HOLD)).ok()? {
        return None;
    }
    let positions: BTreeMap<_, _> = now(db.positions(tenant, &consumer)).ok()?.into_iter().collect();
    let mut next = Vec::new();
    for head in now(db.heads(tenant, None)).ok()? {
        let at = positions.get(&head.key).copied().unwrap_or(Sequence(0));
        if head.latest > at {
            let events = now(db.events(&head.key, at, BATCH)).ok()?;
            next.extend(events.into_iter().map(|event| (event.key, event.sequence)));
        }
    }
    Some(next)
}
