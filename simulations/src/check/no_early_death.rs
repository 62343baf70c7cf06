//! no-early-death (I4, I8): nobody is buried, replaced or robbed before its time; the dead stay dead.
//!
//! Needs Joined, Beaten, Buried, Certified, ClockStepped, Granted and, as evidence for a certificate, Exited.

use std::collections::BTreeMap;

use roost_placement::ledger::{MemberState, Timing};
use roost_proto::id::{DeviceKey, Life};

use super::members::Members;
use super::{Check, hold, micros, millis};
use crate::history::{Fact, How, What};

/// The checker.
#[derive(Debug, Clone)]
pub(super) struct NoEarlyDeath {
    timing: Timing,
    members: Members,
    exited: Vec<Life>,
    owners: BTreeMap<DeviceKey, Life>,
}

impl NoEarlyDeath {
    pub(super) fn new(timing: Timing) -> NoEarlyDeath {
        NoEarlyDeath { timing, members: Members::new(timing), exited: Vec::new(), owners: BTreeMap::new() }
    }

    fn alive(&self, life: &Life, does: &str) -> Result<(), String> {
        hold(!self.members.is_dead(life), || format!("{life} is dead and {does}"))
    }

    /// The lease of this life and what must be waited for after it are over.
    fn lapsed(&self, life: &Life, wait: i64, clock: i64, does: &str) -> Result<(), String> {
        let until = self.members.get(life).map_or(i64::MIN, |standing| standing.lease_until);
        hold(until.saturating_add(wait) < clock, || {
            format!("{does} {life} {} ms before its time", until + wait - clock)
        })
    }

    fn joined(&self, life: &Life, clock: i64, at: u64) -> Result<(), String> {
        for (other, standing) in self.members.of_node(life) {
            hold(other.incarnation < life.incarnation, || format!("{life} begins after {other} had begun"))?;
            if !standing.dead {
                let wait = millis(self.timing.grace + self.timing.quarantine());
                self.lapsed(other, wait, clock, "a new life replaces")?;
                // Whatever the database's clock did: whoever joins has seen it stand still, by a clock that may run
                // one per cent fast.
                let silent = at - standing.renewed;
                hold(100 * silent >= 99 * micros(self.timing.quarantine()), || {
                    format!("a new life replaces {other}, which has beaten {} ms ago", silent / 1000)
                })?;
            }
        }
        Ok(())
    }

    fn granted(&mut self, key: &DeviceKey, owner: Option<&Life>, how: &How) -> Result<(), String> {
        let before = match owner {
            Some(owner) => self.owners.insert(key.clone(), owner.clone()),
            None => self.owners.remove(key),
        };
        if let Some(owner) = owner {
            self.alive(owner, "is granted a device")?;
        }
        match how {
            How::Claim | How::TakeOver(_) => {
                let robbed = before.filter(|before| !self.members.is_dead(before));
                let owner = owner.map(ToString::to_string).unwrap_or_default();
                hold(robbed.is_none(), || {
                    format!("{owner} took {key} from {}, which lives", robbed.expect("it was robbed"))
                })
            }
            How::Give(by) | How::Release(by) => {
                self.alive(by, "lets go of a device")?;
                let held = before.as_ref() == Some(by);
                hold(held, || format!("{by} lets go of {key} that it does not own"))
            }
            How::Delete | How::Attach => Ok(()),
        }
    }
}

impl Check for NoEarlyDeath {
    fn name(&self) -> &'static str {
        "no-early-death"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Joined { life, clock, .. } => self.joined(life, *clock, fact.at)?,
            What::Beaten { life, .. } => self.alive(life, "renews its lease")?,
            What::Stood { life, state } if *state != MemberState::Dead => self.alive(life, "stands again")?,
            What::Buried { victim, by, clock } => {
                self.alive(by, "buries")?;
                self.alive(victim, "is buried again")?;
                self.lapsed(victim, millis(self.timing.grace), *clock, "a burial comes to")?;
            }
            What::Exited(life) => self.exited.push(life.clone()),
            What::Certified { victim } => {
                hold(self.exited.contains(victim), || format!("{victim} is certified dead and runs"))?;
            }
            What::Granted { key, owner, how, .. } => self.granted(key, owner.as_ref(), how)?,
            _ => {}
        }
        self.members.see(fact);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{beaten, buried, grant, granted, joined, judge, life};
    use super::*;

    fn after_joining(facts: impl IntoIterator<Item = What>) -> Option<String> {
        let mut history = vec![joined(&life(1, 1), 1000), joined(&life(2, 1), 1000)];
        history.extend(facts);
        judge(NoEarlyDeath::new(Timing::FAST), history)
    }

    #[test]
    fn a_burial_before_lease_and_grace_are_over_is_seen() {
        assert!(after_joining([buried(&life(1, 1), &life(2, 1), 3200)]).is_some());
        assert_eq!(after_joining([buried(&life(1, 1), &life(2, 1), 3201)]), None);
    }

    #[test]
    fn a_lease_that_was_cut_after_the_clock_went_back_ends_as_it_was_cut() {
        let facts = [
            beaten(&life(1, 1), 100_000),
            What::ClockStepped { millis: -90_000 },
            beaten(&life(2, 1), 11_000),
            buried(&life(1, 1), &life(2, 1), 13_300),
        ];
        assert_eq!(after_joining(facts), None);
    }

    #[test]
    fn the_dead_do_nothing() {
        let death = || vec![buried(&life(1, 1), &life(2, 1), 4000)];
        let gift = How::Give(life(1, 1));
        for deed in [
            beaten(&life(1, 1), 4500),
            granted(&grant(1, 1), How::Claim),
            granted(&grant(2, 1), gift),
            buried(&life(2, 1), &life(1, 1), 9000),
        ] {
            assert!(after_joining(death().into_iter().chain([deed])).is_some());
        }
        assert_eq!(after_joining(death().into_iter().chain([beaten(&life(2, 1), 4500)])), None);
    }

    #[test]
    fn an_incarnation_is_taken_once_and_after_its_time() {
        assert!(after_joining([joined(&life(1, 1), 90_000)]).is_some());
        assert!(after_joining([What::Healed, joined(&life(1, 2), 5400)]).is_some());
        assert_eq!(after_joining([What::Healed, joined(&life(1, 2), 5401)]), None);
    }

    #[test]
    fn a_jump_of_the_clock_frees_no_slot_whose_holder_has_just_beaten() {
        let jumped = || vec![beaten(&life(1, 1), 3000), What::ClockStepped { millis: 90_000 }];
        let joined = [joined(&life(1, 2), 95_000)];
        assert!(after_joining(jumped().into_iter().chain(joined.clone())).is_some());
        let later = jumped().into_iter().chain([What::Healed]).chain(joined);
        assert_eq!(after_joining(later), None);
    }

    #[test]
    fn a_living_owner_is_not_robbed_and_a_dead_one_is_followed() {
        let claim = || granted(&grant(1, 1), How::Claim);
        let robbed = [claim(), granted(&grant(2, 2), How::Claim)];
        assert!(after_joining(robbed).is_some());
        let taken = granted(&grant(2, 2), How::TakeOver(life(1, 1)));
        assert_eq!(after_joining([claim(), buried(&life(1, 1), &life(2, 1), 4000), taken]), None);
    }

    #[test]
    fn only_an_exit_is_certified() {
        let certified = || What::Certified { victim: life(1, 1) };
        assert!(after_joining([certified()]).is_some());
        assert_eq!(after_joining([What::Exited(life(1, 1)), certified()]), None);
    }
}
