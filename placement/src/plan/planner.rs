//! How a plan is made: devices without a place are placed; then pins, strict spread and relief take
//! turns on what that gives, until none of them moves anything.
//!
//! What must hold: loads and counts follow every step, so each step sees the result of those before;
//! a device that is moved twice on the way appears once, from its owner to its last target.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::{BusinessId, Life, NodeId};

use super::{Load, Move, Plan, Policy, Reason};
use crate::choice::{Choice, Domain};
use crate::ledger::{Member, MemberState, View};
use crate::load;
use crate::ring::{Ring, Spread};
use crate::wish::{Spreading, Surveyed};

/// The steps of a rebalance take turns at most this often; what is left is for the next plan.
const TURNS: usize = 8;

/// A member that takes devices.
struct Taker {
    life: Life,
    weight: u32,
    before: u64,
    devices: u64,
}

/// Where a device is, and where it came to be there by this plan.
struct Place<'a> {
    line: &'a Surveyed,
    /// The taker that has it now, if any.
    at: Option<&'a NodeId>,
    /// State of who has it; dead also when nobody does.
    state: MemberState,
    /// Its owner keeps it: it is no load that the takers share.
    kept: bool,
    /// Why it was moved, and the number of the step.
    moved: Option<(Reason, usize)>,
}

/// A strictly spread tenant.
#[derive(Default)]
struct Strict<'a> {
    devices: u64,
    in_domain: BTreeMap<Domain<'a>, u64>,
}

pub(super) struct Planner<'a> {
    policy: &'a Policy,
    choice: Choice<'a>,
    takers: BTreeMap<&'a NodeId, Taker>,
    places: Vec<Place<'a>>,
    strict: BTreeMap<&'a BusinessId, Strict<'a>>,
    /// What the takers share between them, by their weights.
    total: u64,
    weights: u64,
    steps: usize,
    /// Devices that were moved at least once.
    changed: usize,
}

/// The tenants that are hashed by device in this plan.
pub(super) fn spread(view: &View, policy: &Policy, rows: &[&Surveyed]) -> Spread {
    let living: BTreeSet<&Life> = view.members.iter().map(|member| &member.life).collect();
    let orphans =
        rows.iter().filter(|line| line.row.owner.as_ref().is_none_or(|life| !living.contains(life)));
    let total = load::total(view, orphans.count());
    let mut spread = policy.spread.clone();
    spread.add_large(rows.iter().map(|line| &line.row.key), total, load::active(view).count());
    spread
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        ring: &'a Ring,
        view: &'a View,
        policy: &'a Policy,
        spread: &'a Spread,
        rows: &[&'a Surveyed],
    ) -> Planner<'a> {
        let members: BTreeMap<&Life, &Member> =
            view.members.iter().map(|member| (&member.life, member)).collect();
        let mut shown: BTreeMap<&Life, u64> = BTreeMap::new();
        let mut orphans = 0;
        for line in rows {
            match line.row.owner.as_ref().filter(|owner| members.contains_key(owner)) {
                Some(owner) => *shown.entry(owner).or_default() += 1,
                None => orphans += 1,
            }
        }
        let devices = |member: &Member| {
            u64::from(member.owned).max(shown.get(&member.life).copied().unwrap_or_default())
        };
        let shared = view.members.iter().filter(|member| !load::keeps(member));
        let total = orphans + shared.map(devices).sum::<u64>();
        let weights = load::weights(load::active(view));
        let taker = |member: &'a Member| {
            let (life, weight, devices) = (member.life.clone(), member.weight.max(1), devices(member));
            (&member.life.node, Taker { life, weight, before: devices, devices })
        };
        let takers: BTreeMap<&NodeId, Taker> = load::active(view).map(taker).collect();
        let place = |line: &&'a Surveyed| {
            let member = line.row.owner.as_ref().and_then(|owner| members.get(owner).copied());
            let at = member.map(|member| &member.life.node).filter(|node| takers.contains_key(node));
            let state = member.map_or(MemberState::Dead, |member| member.state);
            Place { line, at, state, kept: member.is_some_and(load::keeps), moved: None }
        };
        let places = rows.iter().map(place).collect();
        let choice = Choice::new(ring, view, spread);
        let strict = BTreeMap::new();
        let mut planner =
            Planner { policy, choice, takers, places, strict, total, weights, steps: 0, changed: 0 };
        planner.count_strict();
        planner
    }

    pub(super) fn has_takers(&self) -> bool {
        !self.takers.is_empty()
    }

    /// Finds a place for every device whose owner is in this state.
    pub(super) fn place_all(&mut self, state: MemberState, reason: Reason) {
        for index in 0..self.places.len() {
            if self.places[index].state == state
                && let Some(target) = self.target(index, reason)
            {
                self.give(index, target, reason);
            }
        }
    }

    /// Pins, strict spread and relief, until nothing moves any more.
    pub(super) fn rebalance(&mut self) {
        for _ in 0..TURNS {
            let before = self.steps;
            self.follow_pins();
            self.spread_strictly();
            self.relieve();
            if self.steps == before {
                break;
            }
        }
    }

    pub(super) fn finish(self) -> Plan {
        let mut moves: Vec<(usize, Move)> = Vec::new();
        for place in &self.places {
            let Some((reason, step)) = place.moved else { continue };
            let to = &self.takers[place.at.expect("what was moved is somewhere")].life;
            let row = &place.line.row;
            if row.owner.as_ref() != Some(to) {
                let line = Move { key: row.key.clone(), from: row.owner.clone(), to: to.clone(), reason };
                moves.push((step, line));
            }
        }
        moves.sort_by_key(|(step, _)| *step);
        let load = |taker: &Taker| {
            let bound = self.bound(taker, self.policy.bound_percent);
            Load { before: taker.before, after: taker.devices, bound }
        };
        let loads = self.takers.iter().map(|(node, taker)| ((*node).clone(), load(taker))).collect();
        Plan { moves: moves.into_iter().map(|(_, line)| line).collect(), loads }
    }

    /// Devices whose pin names a taker that does not have them go there: always when they require it,
    /// within its bound when they prefer it.
    fn follow_pins(&mut self) {
        for index in 0..self.places.len() {
            let place = &self.places[index];
            let Some(pin) = &place.line.row.wish.pin else { continue };
            let keeps = matches!(place.state, MemberState::Active | MemberState::Joining);
            if !keeps || place.at == Some(&pin.node) {
                continue;
            }
            let Some((node, taker)) = self.takers.get_key_value(&pin.node) else { continue };
            let required = place.line.row.wish.required().is_some();
            if required || taker.devices < self.bound(taker, self.policy.bound_percent) {
                self.give(index, node, Reason::Pin);
            }
        }
    }

    /// Moves what a strictly spread tenant has too much of in one failure domain.
    fn spread_strictly(&mut self) {
        let tenants: Vec<&BusinessId> = self.strict.keys().copied().collect();
        for tenant in tenants {
            for index in self.idle_first(|place| place.line.row.key.business_id == *tenant) {
                let (place, strict) = (&self.places[index], &self.strict[tenant]);
                let Some(domain) = place.at.map(|node| self.choice.domain(node)) else { continue };
                let too_many = strict.in_domain.get(&domain).is_some_and(|n| *n > strict.limit());
                if too_many
                    && let Some(target) = self.target(index, Reason::Spread)
                    && self.choice.domain(target) != domain
                {
                    self.give(index, target, Reason::Spread);
                }
            }
        }
    }

    /// Takes devices from members above their limit, the idle first and then those that are not at home,
    /// and only to members that stay within relief.
    fn relieve(&mut self) {
        let policy = self.policy;
        let limit = if policy.even { policy.even_percent } else { policy.bound_percent };
        let over = self.takers.iter().filter(|(_, taker)| taker.devices > self.bound(taker, limit));
        let over: Vec<&NodeId> = over.map(|(node, _)| *node).collect();
        for node in over {
            for index in self.idle_first(|place| place.at == Some(node)) {
                let here = &self.takers[node];
                if here.devices <= self.bound(here, policy.relief_percent) {
                    break;
                }
                let row = &self.places[index].line.row;
                let order = self.choice.order(&row.key, &row.wish);
                let room = |to: &&NodeId| {
                    let taker = self.takers.get(*to);
                    *to != node
                        && taker.is_some_and(|taker| taker.devices < self.bound(taker, policy.relief_percent))
                        && self.spread_allows(index, to)
                };
                if let Some(target) = order.into_iter().find(room) {
                    self.give(index, target, Reason::Rebalance);
                }
            }
        }
    }

    /// Devices that may be moved for the common good, of those that `which` picks: not pinned where they
    /// are, not given a moment ago.
    fn idle_first(&self, which: impl Fn(&Place<'a>) -> bool) -> Vec<usize> {
        let free = |place: &&Place<'a>| {
            let pinned = place.line.row.wish.pin.as_ref().map(|pin| &pin.node);
            let rested = place.line.given.is_none_or(|ago| ago >= self.policy.cooldown);
            place.at.is_some() && place.at != pinned && rested
        };
        let mut found: Vec<_> = (self.places.iter().enumerate())
            .filter(|(_, place)| which(place) && free(place))
            .map(|(index, place)| {
                let row = &place.line.row;
                let at_home = self.choice.home(&row.key, &row.wish) == place.at;
                (place.line.active, at_home, &row.key, index)
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(.., index)| index).collect()
    }

    /// Who should take a device that has to leave or has no owner: the first in order with room, and when
    /// nobody has any, the one that is the least above its bound. What a drain gives away moves in any case, so
    /// it goes first to those below their share: then, when members restart one after the other, the
    /// devices of each go to the one that has just come back, and rest there.
    fn target(&self, index: usize, reason: Reason) -> Option<&'a NodeId> {
        let row = &self.places[index].line.row;
        let mut order = self.choice.order(&row.key, &row.wish);
        order.retain(|node| self.takers.contains_key(*node));
        if order.iter().any(|node| self.spread_allows(index, node)) {
            order.retain(|node| self.spread_allows(index, node));
        }
        // The bounds leave room for everything that the loads count; a view that is behind may not.
        let over = |node: &NodeId, percent: u32| {
            let taker = &self.takers[node];
            (taker.devices + 1).saturating_sub(self.bound(taker, percent))
        };
        order.into_iter().min_by_key(|node| {
            let over_share = reason == Reason::Drain && over(node, 100) > 0;
            (over(node, self.policy.bound_percent), self.choice.version(node), over_share)
        })
    }

    /// Whether a strictly spread tenant leaves room for this device in the domain of `to`.
    fn spread_allows(&self, index: usize, to: &'a NodeId) -> bool {
        let place = &self.places[index];
        let Some(strict) = self.strict.get(&place.line.row.key.business_id) else { return true };
        let domain = self.choice.domain(to);
        place.at.is_some_and(|at| self.choice.domain(at) == domain)
            && strict.in_domain.get(&domain).is_some_and(|n| *n <= strict.limit())
            || strict.in_domain.get(&domain).copied().unwrap_or_default() < strict.limit()
    }

    /// Counts the strictly spread tenants, if there is more than one failure domain to spread over.
    fn count_strict(&mut self) {
        let domains: BTreeSet<Domain<'_>> = self.takers.keys().map(|node| self.choice.domain(node)).collect();
        if domains.len() < 2 {
            return;
        }
        for place in &self.places {
            let row = &place.line.row;
            if row.wish.spread == Spreading::Strict {
                let strict = self.strict.entry(&row.key.business_id).or_default();
                strict.devices += 1;
                if let Some(node) = place.at {
                    *strict.in_domain.entry(self.choice.domain(node)).or_default() += 1;
                }
            }
        }
    }

    fn bound(&self, taker: &Taker, percent: u32) -> u64 {
        load::bound(self.total, taker.weight, self.weights, percent)
    }

    fn give(&mut self, index: usize, target: &'a NodeId, reason: Reason) {
        let place = &mut self.places[index];
        if place.moved.is_none() {
            if self.changed >= self.policy.max_moves {
                return;
            }
            self.changed += 1;
        }
        let from = place.at.replace(target);
        place.state = MemberState::Active;
        if std::mem::take(&mut place.kept) {
            self.total += 1;
        }
        if !matches!(place.moved, Some((Reason::TakeOver | Reason::Drain, _))) {
            place.moved = Some((reason, self.steps));
        }
        self.steps += 1;
        let strict = self.strict.get_mut(&place.line.row.key.business_id);
        if let Some(strict) = strict {
            if let Some(from) = from {
                *strict.in_domain.entry(self.choice.domain(from)).or_default() -= 1;
            }
            *strict.in_domain.entry(self.choice.domain(target)).or_default() += 1;
        }
        if let Some(from) = from.and_then(|from| self.takers.get_mut(from)) {
            from.devices = from.devices.saturating_sub(1);
        }
        self.takers.get_mut(target).expect("targets are takers").devices += 1;
    }
}

impl Strict<'_> {
    /// The most that one failure domain may have.
    fn limit(&self) -> u64 {
        self.devices.div_ceil(2)
    }
}
