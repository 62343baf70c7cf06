//! The way of one device to another node: the target prepares, the device stops, the row is given.
//!
//! What must hold: while the target prepares, the device runs here as if nothing were planned; only after
//! it has stopped is it given; whatever becomes of the preparation, the hand-off goes on or is called off,
//! and a caller who waits for it is told. Exclusivity does not rest on any of this but on the give itself.

use std::time::Duration;

use roost_proto::id::{DeviceKey, Life};

use super::holdings::Holdings;
use super::phase::{Gift, Phase, Then, Why};
use super::step::{Answer, Effect, HandOffError, HandedOff};
use crate::lease::BootTime;
use crate::ledger::Grant;
use crate::plan::Reason;

impl Holdings {
    /// Begins to give a running device away: lets the target prepare within this time, or stops it now.
    pub(super) fn hand(
        &mut self,
        key: &DeviceKey,
        gift: Gift,
        warm: Option<Duration>,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        if !self.is_running(key) {
            return;
        }
        let grant = self.grant(key).cloned();
        match warm.zip(grant) {
            Some((within, grant)) => {
                out.push(Effect::Warm(grant, gift.to.clone(), within));
                self.set(key, Phase::Warming(gift));
            }
            None => self.stop(key, Then::Give(gift), now, out),
        }
    }

    /// The target has prepared, or could not. `go_on`: it can still take the device, and this node may act.
    pub(super) fn warmed(&mut self, grant: &Grant, go_on: bool, now: BootTime, out: &mut Vec<Effect>) {
        let Some(Phase::Warming(gift)) = self.current(grant).map(|held| held.phase.clone()) else { return };
        let requested = gift.why == Why::Requested;
        self.set(&grant.key, Phase::Running);
        if go_on {
            self.stop(&grant.key, Then::Give(gift), now, out);
        } else if requested {
            out.push(Effect::HandedOff(grant.key.clone(), Err(HandOffError::TargetRefused)));
        }
    }

    /// Finds a place for an idle device: gives it, or frees it when there is no target.
    pub(super) fn settle(&mut self, key: &DeviceKey, to: Option<Life>, number: u64, out: &mut Vec<Effect>) {
        if self.idle().any(|(grant, _)| grant.key == *key) {
            let then = to.map_or(Then::Release, |to| Then::Give(Gift { to, why: Why::Drain }));
            self.after(key, then, number, out);
        }
    }

    /// The ledger's answer to a give.
    pub(super) fn given(
        &mut self,
        grant: &Grant,
        answer: Answer<Option<Grant>>,
        now: BootTime,
        number: u64,
        out: &mut Vec<Effect>,
    ) {
        let Some(held) = self.current(grant) else { return };
        let Phase::Giving(gift) = held.phase.clone() else { return };
        match answer {
            Ok(Some(theirs)) => self.gone_to(theirs, &gift, now, number, out),
            Ok(None) | Err(_) => self.set(&grant.key, Phase::Asking(Then::Give(gift), Some(now))),
        }
    }

    /// The row names the target now.
    pub(super) fn gone_to(
        &mut self,
        theirs: Grant,
        gift: &Gift,
        now: BootTime,
        number: u64,
        out: &mut Vec<Effect>,
    ) {
        let key = theirs.key.clone();
        let pause = self.pause(&key, now);
        self.let_go(&key, number);
        out.push(Effect::Hint(gift.to.clone(), key.clone(), theirs.epoch, pause));
        match gift.why {
            Why::Requested => {
                out.push(Effect::HandedOff(key, Ok(HandedOff { grant: theirs, pause })));
            }
            Why::Drain => out.push(Effect::Left(key, Reason::Drain)),
            Why::Rebalance(reason) => out.push(Effect::Left(key, reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Incarnation, Life};

    use super::super::{Config, Event, Machine, Pace};
    use super::*;
    use crate::ledger::{Beaten, Timing, View};
    use crate::plan::Policy;

    #[test]
    fn a_refusal_because_the_lease_is_over_does_not_keep_that_from_the_devices() {
        let me = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(1) };
        let (timing, policy, pace) = (Timing::FAST, Policy::default(), Pace::default());
        let mut machine = Machine::new(Config { me, timing, policy, pace }, BootTime(0));
        let beaten = Event::Beaten { sent: BootTime(0), answer: Beaten::Renewed(View::default()) };
        for effect in machine.handle(BootTime(0), beaten) {
            if let Effect::ListMine(number) = effect {
                machine.handle(BootTime(0), Event::Mine(number, Ok(Vec::new())));
            }
        }
        assert!(!machine.quiesced());
        let over = BootTime(0).plus(Timing::FAST.ttl);
        let key = "tenants/t1/devices/d1".parse().expect("a key");
        let refused = machine.hand_off(&key, &"n2".parse().expect("a label"), over);
        assert_eq!(refused, Err(HandOffError::Suspended));
        assert!(machine.handle(over, Event::Tick).contains(&Effect::Quiesce));
    }
}
