//! Giving everything away, when the node drains.
//!
//! What must hold: at most `Pace::hand_offs` devices are on their way at once; targets come from the
//! plan, on the last view plus what was given since; nothing is sent to a member whose lease is over; a
//! device that two targets refused, or that has no target, is freed, so a drain ends even alone.

use std::time::Duration;

use roost_proto::id::{DeviceKey, Life};

use super::phase::{Gift, Then, Why};
use super::step::{AlreadyDraining, Effect};
use super::{Machine, MemberState};
use crate::lease::BootTime;
use crate::ledger::{Desired, Grant, Member, Ownership, View};
use crate::load;
use crate::plan::{self, Policy};
use crate::wish::Surveyed;

/// After this many refused targets a device of a draining node is freed.
const REFUSALS: u32 = 2;

impl Machine {
    /// Begins to give everything away. Follow it with [`Event::Tick`]; [`Effect::Drained`] ends it.
    pub fn drain(&mut self) -> Result<(), AlreadyDraining> {
        if self.over || self.leaving {
            return Err(AlreadyDraining);
        }
        (self.leaving, self.goal) = (true, MemberState::Draining);
        // It may have drained before, without a will to leave.
        self.standing_since = self.ticked;
        self.orphans.clear();
        Ok(())
    }

    /// Whether a drain was asked for.
    pub fn draining(&self) -> bool {
        self.leaving
    }

    /// Sends the next devices of a drain on their way.
    pub(super) fn drain_on(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.standing != MemberState::Draining || !self.leaving {
            return;
        }
        let slots = self.config.pace.hand_offs.saturating_sub(self.holdings.moving());
        // One plan for several free slots; a plan costs more than a wait for a few more.
        if self.holdings.len() == 0 || slots * 4 < self.config.pace.hand_offs {
            return;
        }
        // A member that is about to be active is worth a short wait; nobody is worth a long one.
        let nobody = load::active(&self.view).next().is_none();
        let soon = self.view.members.iter().any(|member| member.state == MemberState::Joining);
        if nobody && soon && now.since(self.standing_since) < self.config.timing.ttl {
            return;
        }
        let mut idle: Vec<(DeviceKey, u32)> =
            self.holdings.idle().map(|(grant, tries)| (grant.key.clone(), tries)).collect();
        idle.truncate(slots);
        let mut keys: Vec<DeviceKey> = idle.iter().map(|(key, _)| key.clone()).collect();
        let running = self.holdings.running_since_before(now).map(|grant| grant.key.clone());
        keys.extend(running.take(slots - keys.len()));
        let (view, policy) = (self.view_with_gifts(), self.leaving_policy());
        let moves = plan::plan_on(&self.ring, &view, &policy, &self.own_rows(&keys)).moves;
        let target = |key: &DeviceKey| moves.iter().find(|line| line.key == *key).map(|line| line.to.clone());
        let tries = |key: &DeviceKey| idle.iter().find(|(idle, _)| idle == key).map(|(_, tries)| *tries);
        let early = now.since(self.standing_since) < self.config.timing.ttl;
        for key in &keys {
            let to = target(key).filter(|_| tries(key).is_none_or(|tries| tries < REFUSALS));
            // One whose lease is over beats again soon, or is buried, and the next plan knows.
            if early && to.as_ref().is_some_and(|to| !self.takes(to)) {
                continue;
            }
            let to = to.filter(|to| self.takes(to));
            if let Some(to) = &to {
                *self.given.entry(to.node.clone()).or_default() += 1;
            }
            if tries(key).is_some() {
                self.holdings.settle(key, to, self.lists.newest(), out);
            } else {
                let warm = self.warm(now);
                match to {
                    Some(to) => self.holdings.hand(key, Gift { to, why: Why::Drain }, warm, now, out),
                    None => self.holdings.stop(key, Then::Release, now, out),
                }
            }
        }
    }

    /// How long a target may take to prepare; `None` when there is no time for it.
    pub(super) fn warm(&self, now: BootTime) -> Option<Duration> {
        let pace = &self.config.pace;
        let late = self.leaving && now.since(self.standing_since) >= pace.warm_drain;
        (!late && !pace.warm.is_zero()).then_some(pace.warm)
    }

    /// The target of a hand-off has prepared as far as it could.
    pub(super) fn warmed(&mut self, grant: &Grant, to: &Life, now: BootTime, out: &mut Vec<Effect>) {
        let go_on = self.takes(to) && !self.quiesced;
        self.holdings.warmed(grant, go_on, now, out);
    }

    /// Whether a life takes devices, as far as the last view shows.
    fn takes(&self, life: &Life) -> bool {
        let takes = |member: &Member| member.state == MemberState::Active && !member.remaining.is_zero();
        self.view.members.iter().any(|member| member.life == *life && takes(member))
    }

    /// What plans follow that only find places for devices that go.
    pub(super) fn leaving_policy(&self) -> Policy {
        Policy { spread: self.spread.clone(), rebalance: false, ..self.config.policy.clone() }
    }

    /// The rows of some of the own devices, as far as a plan needs them.
    pub(super) fn own_rows(&self, keys: &[DeviceKey]) -> Vec<Surveyed> {
        let row = |key: &DeviceKey| {
            let grant = self.holdings.grant(key)?;
            let wish = self.wishes.get(key).cloned().unwrap_or_default();
            let owner: Option<Life> = Some(self.config.me.clone());
            let (epoch, desired) = (grant.epoch, Desired::Online);
            Some(Ownership { key: key.clone(), owner, epoch, desired, wish }.into())
        };
        keys.iter().filter_map(row).collect()
    }

    /// The last view, with the devices that this node gave away since.
    pub(super) fn view_with_gifts(&self) -> View {
        let mut view = self.view.clone();
        for member in &mut view.members {
            member.owned += self.given.get(&member.life.node).copied().unwrap_or_default();
            if member.life == self.config.me {
                member.owned = self.holdings.count();
            }
        }
        view
    }
}
