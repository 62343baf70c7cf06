//! Giving devices to others while the own way to WhatsApp is broken, and taking devices again.
//!
//! What must hold: nothing changes while the node may not act, drains for good, or a database's lost tail is being
//! sorted out; what cannot go elsewhere runs on here; targets are members that are known to reach WhatsApp. Whether
//! the way is broken is `egress`'s to say.

use std::time::Duration;

use roost_proto::id::DeviceKey;

use super::phase::{Gift, Why};
use super::step::Effect;
use super::{Machine, MemberState};
use crate::egress::{self, Reach, Report};
use crate::lease::BootTime;
use crate::plan::{self, Reason};

/// Between two plans: a plan costs more than a wait for a few more free slots.
const PLANS: Duration = Duration::from_secs(1);

impl Machine {
    /// How the devices here get through to WhatsApp, counted at `now`.
    pub fn see_reach(&mut self, reach: Reach, now: BootTime) {
        self.egress.see(reach, now);
    }

    /// What the next heartbeat says.
    pub fn report(&self, now: BootTime) -> Report {
        Report { owned: self.holdings.count(), reach: self.egress.reach(now), cut_off: self.is_cut_off() }
    }

    /// Whether the node drains because its way to WhatsApp is broken.
    pub(super) fn is_cut_off(&self) -> bool {
        self.egress.is_away() && !self.leaving
    }

    /// Looks at the own way, changes the goal by it, and sends the next devices on their way.
    pub(super) fn mind_egress(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        if self.leaving || self.standing == MemberState::Joining || self.round.is_blocked(now) {
            return;
        }
        let (node, pace) = (&self.config.me.node, self.config.pace);
        if self.egress.weigh(&self.view, node, &self.config.timing, &pace.egress, now) {
            self.goal = if self.egress.is_away() { MemberState::Draining } else { MemberState::Active };
            self.orphans.clear();
        }
        if self.egress.probe(&self.view, node, &pace.egress, now) {
            out.push(Effect::Probe);
        }
        if self.egress.is_away() && self.standing == MemberState::Draining && now >= self.egress_next {
            self.egress_next = now.plus(PLANS);
            self.send_away(now, out);
        }
    }

    fn send_away(&mut self, now: BootTime, out: &mut Vec<Effect>) {
        let slots = self.config.pace.hand_offs.saturating_sub(self.holdings.moving());
        let bound = |key: &DeviceKey| self.wishes.get(key).is_some_and(|wish| wish.required().is_some());
        let running = self.holdings.running_since_before(now).map(|grant| &grant.key);
        let keys: Vec<DeviceKey> = running.filter(|key| !bound(key)).take(slots).cloned().collect();
        let mut view = self.view_with_gifts();
        let within = self.egress.within(&self.config.timing, now);
        for member in &mut view.members {
            member.cordoned |= !egress::is_well(member, within);
        }
        for line in plan::plan(&view, &self.leaving_policy(), &self.own_rows(&keys)).moves {
            *self.given.entry(line.to.node.clone()).or_default() += 1;
            let gift = Gift { to: line.to, why: Why::Rebalance(Reason::Egress) };
            let warm = self.warm(now);
            self.holdings.hand(&line.key, gift, warm, now, out);
        }
    }
}
