//! The gate of a process: turns at the login rate, and permits.
//!
//! What must hold: who may go when is `cluster::Turns` and `cluster::Throttle`; what a permit is worth is the
//! database's to say. This file only keeps who waits.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use roost_actors::port::Urgency;
use roost_node::cluster::{Throttle, Turns};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Grant, Ledger as _};
use roost_proto::id::BusinessId;

use super::context::Context;
use super::core::{Core, now};
use super::input::{ForDevice, Input, Ticket, Turn};

/// Jitter within a slot never delays a login by more than this.
const LONGEST_JITTER: Duration = Duration::from_millis(250);

/// A permit that takes longer to get is worth nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Logins at once.
const BURST: u32 = 10;

/// Who waits for a turn.
pub(super) struct Gate {
    turns: Turns,
    throttle: Throttle,
    waiting: BTreeMap<u64, Turn>,
    last: u64,
    /// It will look again.
    looks: bool,
}

impl Gate {
    pub(super) fn new(per_second: f64, now: BootTime) -> Gate {
        Gate {
            turns: Turns::new(per_second, BURST, now),
            throttle: Throttle::new(per_second, None, now),
            waiting: BTreeMap::new(),
            last: 0,
            looks: false,
        }
    }
}

impl Core {
    /// Takes a place in the line; [`Input::Turn`] ends the wait.
    pub(super) fn wait_for_turn(
        &mut self,
        ctx: &mut Context,
        tenant: &BusinessId,
        urgency: Urgency,
        turn: Turn,
    ) -> u64 {
        self.gate.last += 1;
        let waiter = self.gate.last;
        self.gate.waiting.insert(waiter, turn);
        self.gate.turns.wait(tenant, waiter, urgency);
        self.call_turns(ctx);
        waiter
    }

    /// Gives a place up.
    pub(super) fn give_up_turn(&mut self, tenant: &BusinessId, waiter: u64) {
        self.gate.turns.give_up(tenant, waiter);
        self.gate.waiting.remove(&waiter);
    }

    /// It looks again.
    pub(super) fn look_for_turns(&mut self, ctx: &mut Context) {
        self.gate.looks = false;
        self.call_turns(ctx);
    }

    /// Calls those whose turn it is.
    fn call_turns(&mut self, ctx: &mut Context) {
        let boot = self.boot();
        let rate = self.gate.throttle.rate(boot);
        self.gate.turns.set_rate(rate, boot);
        for waiter in self.gate.turns.due(boot) {
            if let Some(turn) = self.gate.waiting.remove(&waiter) {
                let jitter = self.gate.turns.slot().min(LONGEST_JITTER).mul_f64(self.rng.random());
                self.wake(ctx, jitter, Input::Turn(turn));
            }
        }
        if let Some(next) = self.gate.turns.next(boot).filter(|_| !self.gate.looks) {
            self.gate.looks = true;
            let pause = next.clamp(Duration::from_millis(1), Duration::from_secs(1));
            self.wake(ctx, pause, Input::Gate);
        }
    }

    /// Asks the database whether this device may log in, for a link or only to know that the grant stands.
    pub(super) fn ask_permit(&mut self, ctx: &mut Context, number: u64, link: Option<u64>, grant: &Grant) {
        let (sent, age) = (self.boot(), self.permission.age());
        let (margin, grant, key) = (ctx.plan.timing.margin, grant.clone(), grant.key.clone());
        let hears = move |ticket| Input::Device(key, number, ForDevice::Permit(link, ticket));
        let none = hears.clone();
        let statement = move |db: &crate::run::Database| {
            let permits = now(db.permit(std::slice::from_ref(&grant), age, margin));
            let Ok(permits) = permits else { return hears(Ticket::None) };
            hears(match permits.into_iter().next() {
                Some(permit) => Ticket::Given(permit, sent),
                // The grant has gone, or it stands under a lease that has too little left.
                None => match now(db.ownership(&grant.key)) {
                    Ok(Some(row)) if row.stands(&grant) => Ticket::None,
                    Ok(_) => Ticket::Stale,
                    Err(_) => Ticket::None,
                },
            })
        };
        self.ask_within(ctx, PATIENCE, statement, move || none(Ticket::None));
    }
}
