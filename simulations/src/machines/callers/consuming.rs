//! Consumers: one for each tenant, which acknowledges what it was given, quickly or slowly.
//!
//! What must hold: one question at a time; an answer to a question that it has given up changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::id::{BusinessId, DeviceKey, Sequence};

use super::super::context::{Context, Host};
use super::super::input::{Consume, Consumed, Input, Round};
use super::super::queue::Happening;
use super::{CallerEvent, Callers, consumer};
use crate::history::What;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(700);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// One consumer.
pub(super) struct Consumer {
    tenant: BusinessId,
    /// The number of its present question.
    round: u64,
    place: usize,
    /// What it was given and has not acknowledged.
    has: BTreeMap<DeviceKey, Sequence>,
}

impl Consumer {
    pub(super) fn new(tenant: BusinessId) -> Consumer {
        Consumer { tenant, round: 0, place: 0, has: BTreeMap::new() }
    }
}

impl Callers {
    /// A round of a consumer is over, or has taken too long: the next one begins.
    pub(super) fn next_round(&mut self, ctx: &mut Context, number: usize, after: u64) {
        if self.consumers[number].round == after {
            self.ask(ctx, number, Consume::Next);
        }
    }

    fn ask(&mut self, ctx: &mut Context, number: usize, what: Consume) {
        let consumer = &mut self.consumers[number];
        consumer.round += 1;
        let round = Round { tenant: consumer.tenant.clone(), number: consumer.round };
        if let Some(process) = ctx.running[consumer.place] {
            let input = Input::Consume(round, what);
            ctx.send(Host::Callers, Host::Node(consumer.place), None, Happening::Process(process, input));
        } else {
            consumer.place = (consumer.place + 1) % ctx.plan.nodes;
        }
        ctx.after(PATIENCE, Happening::Caller(CallerEvent::Round(number, consumer.round)));
    }

    pub(super) fn consumed(&mut self, ctx: &mut Context, round: Round, consumed: Consumed) {
        let found = self.consumers.iter().position(|consumer| consumer.tenant == round.tenant);
        let Some(number) = found.filter(|number| self.consumers[*number].round == round.number) else {
            return;
        };
        let tenant = round.tenant;
        match consumed {
            Consumed::Events(events) if events.is_empty() => self.rest(ctx, number),
            Consumed::Events(events) => {
                let has = &mut self.consumers[number].has;
                has.clear();
                for (key, sequence) in events {
                    has.insert(key.clone(), sequence);
                    let (tenant, consumer) = (tenant.clone(), consumer());
                    ctx.record.fact(What::Offered { tenant, consumer, key, sequence });
                }
                // Slowness is a fault too: it is over when faults are.
                let slow = if self.hushed { Duration::ZERO } else { ctx.plan.slowness };
                ctx.after(slow, Happening::Caller(CallerEvent::Taken(number, round.number)));
            }
            Consumed::Acknowledged(positions) => {
                for (key, sequence) in positions {
                    let (tenant, consumer) = (tenant.clone(), consumer());
                    ctx.record.fact(What::Acknowledged { tenant, consumer, key, sequence });
                }
                self.rest(ctx, number);
            }
            Consumed::Failed => {
                let consumer = &mut self.consumers[number];
                consumer.place = (consumer.place + 1) % ctx.plan.nodes;
                self.rest(ctx, number);
            }
        }
    }

    fn rest(&mut self, ctx: &mut Context, number: usize) {
        let round = self.consumers[number].round;
        ctx.after(PAUSE, Happening::Caller(CallerEvent::Round(number, round)));
    }

    /// It has taken what it was given, and says so.
    pub(super) fn taken(&mut self, ctx: &mut Context, number: usize, round: u64) {
        if self.consumers[number].round == round {
            let has = std::mem::take(&mut self.consumers[number].has);
            self.ask(ctx, number, Consume::Acknowledge(has.into_iter().collect()));
        }
    }
}
