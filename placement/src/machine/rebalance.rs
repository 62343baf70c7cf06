//! Sending some devices away: to where they are pinned, for a strict spread, or because this node has
//! more than its share.
//!
//! What must hold: nothing moves here during a take-over, a drain, a quarantine, an upgrade or an
//! operator's freeze, nor shortly after a change of members; a share that is merely uneven must have
//! been so for `Pace::uneven`; in no minute go more devices than `Pace` allows. Which ones, the plan
//! decides on a fresh survey: the idle first, none that was given a moment ago.

use std::time::Duration;

use roost_proto::id::DeviceKey;

use super::phase::{Gift, Why};
use super::step::{Answer, Effect};
use super::{Machine, MemberState};
use crate::lease::BootTime;
use crate::ledger::Ownership;
use crate::load;
use crate::plan::{self, Move, Policy};
use crate::wish::{Spreading, Surveyed, Wish};

/// After the store did not answer, the survey is asked for again this much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Strictly spread tenants are looked at this often: no load tells that one lies unevenly.
const STRICT: Duration = Duration::from_secs(30);

const MINUTE: Duration = Duration::from_secs(60);

/// What leads to a rebalance, and when the next may be.
#[derive(Debug)]
pub(super) struct Rebalance {
    /// Not before.
    next: BootTime,
    strict_next: BootTime,
    /// Since when some member has had clearly more than its share.
    uneven_since: Option<BootTime>,
    surveying: bool,
}

impl Rebalance {
    pub(super) fn new(now: BootTime) -> Rebalance {
        Rebalance { next: now, strict_next: now, uneven_since: None, surveying: false }
    }
}

impl Machine {
    /// A new view has come.
    pub(super) fn watch_evenness(&mut self, now: BootTime) {
        let even = plan::overloaded(&self.view, self.config.policy.even_percent).is_empty();
        self.rebalance.uneven_since = match even {
            true => None,
            false => self.rebalance.uneven_since.or(Some(now)),
        };
    }

    /// The rows of this node, as a whole list shows them.
    pub(super) fn learn_wishes(&mut self, rows: &[Ownership]) {
        let wished = rows.iter().filter(|row| row.wish != Wish::default());
        self.wishes = wished.map(|row| (row.key.clone(), row.wish.clone())).collect();
    }

    /// Asks for a survey when something here may have to move and the cluster is calm.
    pub(super) fn begin_rebalance(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.rebalance.surveying || now < self.rebalance.next || !self.is_calm(now) {
            return;
        }
        let strict = now >= self.rebalance.strict_next
            && self.wishes.values().any(|wish| wish.spread == Spreading::Strict);
        if strict || self.has_too_much(now) || self.holds_others_pins() {
            if strict {
                self.rebalance.strict_next = now.plus(STRICT);
            }
            self.rebalance.surveying = true;
            out.push(Effect::Survey);
        }
    }

    /// Sends the next devices on their way.
    pub(super) fn surveyed(&mut self, answer: Answer<Vec<Surveyed>>, now: BootTime, out: &mut Vec<Effect>) {
        self.rebalance.surveying = false;
        let Ok(rows) = answer else {
            self.rebalance.next = now.plus(AGAIN);
            return;
        };
        self.rebalance.next = now.plus(self.config.pace.rebalance);
        if self.quiesced || !self.is_calm(now) {
            return;
        }
        let pace = self.config.pace;
        let a_minute = pace.rebalance_moves.max(self.holdings.len() / 100).max(1);
        let mut moves = self.plan_away(&rows, now);
        moves.truncate((a_minute / 10).max(1));
        let count = u32::try_from(moves.len()).unwrap_or(u32::MAX);
        let span = MINUTE.saturating_mul(count) / u32::try_from(a_minute).unwrap_or(u32::MAX);
        self.rebalance.next = self.rebalance.next.max(now.plus(span));
        for line in moves {
            *self.given.entry(line.to.node.clone()).or_default() += 1;
            let gift = Gift { to: line.to, why: Why::Rebalance(line.reason) };
            let warm = self.warm(now);
            self.holdings.hand(&line.key, gift, warm, now, out);
        }
    }

    /// The lines of the plan that begin here, on devices that run.
    fn plan_away(&self, rows: &[Surveyed], now: BootTime) -> Vec<Move> {
        let policy = Policy {
            spread: self.spread.clone(),
            even: self.is_uneven(now),
            cooldown: self.config.pace.cooldown,
            ..self.config.policy.clone()
        };
        let mut plan = plan::plan_on(&self.ring, &self.view_with_gifts(), &policy, rows).moves;
        let here = |key: &DeviceKey| self.holdings.is_running(key);
        plan.retain(|line| line.from.as_ref() == Some(&self.config.me) && here(&line.key));
        plan
    }

    fn is_calm(&self, now: BootTime) -> bool {
        let pace = self.config.pace;
        let members = &self.view.members;
        self.config.policy.rebalance
            && !self.view.frozen
            && !self.round.is_blocked(now)
            && now.since(self.calm_since) >= pace.calm
            && now.since(self.run_since) >= self.config.timing.quarantine()
            && self.orphans.len() == 0
            && self.holdings.moving() == 0
            && members.iter().all(|m| m.state == MemberState::Active || m.cut_off && m.owned == 0)
            && members.iter().all(|m| !m.remaining.is_zero())
            && members.windows(2).all(|pair| pair[0].version == pair[1].version)
    }

    fn is_uneven(&self, now: BootTime) -> bool {
        self.rebalance.uneven_since.is_some_and(|since| now.since(since) >= self.config.pace.uneven)
    }

    fn has_too_much(&self, now: BootTime) -> bool {
        let policy = &self.config.policy;
        let percent = if self.is_uneven(now) { policy.even_percent } else { policy.bound_percent };
        plan::overloaded(&self.view, percent).contains(&self.config.me.node)
    }

    /// Whether a device here is pinned to another node that can take it.
    fn holds_others_pins(&self) -> bool {
        let pins = self.wishes.values().filter_map(|wish| wish.pin.as_ref());
        let mut others = pins.filter(|pin| pin.node != self.config.me.node);
        others.any(|pin| load::active(&self.view).any(|member| member.life.node == pin.node))
    }
}
