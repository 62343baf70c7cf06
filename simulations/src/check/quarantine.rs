//! quarantine (I13): after a gap of the whole cluster, a jump of the database's clock or a change of its
//! time-line nobody is buried for the period.
//!
//! Needs Joined, Beaten, Buried and ClockStepped. The rule that gives all of it: whoever buries has renewed its
//! own lease without a gap for the whole period, by the clock as it has been read, and so after the gap.

use roost_placement::ledger::Timing;

use super::members::Members;
use super::{Check, hold, millis};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Clone)]
pub(super) struct Quarantine {
    timing: Timing,
    members: Members,
}

impl Quarantine {
    pub(super) fn new(timing: Timing) -> Quarantine {
        Quarantine { timing, members: Members::new(timing) }
    }
}

impl Check for Quarantine {
    fn name(&self) -> &'static str {
        "quarantine"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        if let What::Buried { victim, by, clock } = &fact.what
            && let Some(standing) = self.members.get(by)
        {
            let period = millis(self.timing.quarantine());
            let unbroken = standing.since + period < *clock && standing.lease_until > *clock;
            hold(unbroken, || {
                format!("{by} buries {victim} {} ms after a gap of its own", clock - standing.since)
            })?;
        }
        self.members.see(fact);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{beaten, buried, joined, judge, life};
    use super::*;

    fn history(facts: impl IntoIterator<Item = What>) -> Option<String> {
        let mut history = vec![joined(&life(1, 1), 1000), joined(&life(2, 1), 1000)];
        history.extend(facts);
        judge(Quarantine::new(Timing::FAST), history)
    }

    #[test]
    fn a_burial_soon_after_a_gap_or_a_jump_of_the_clock_is_seen() {
        let gap = [beaten(&life(2, 1), 9000), buried(&life(1, 1), &life(2, 1), 10_000)];
        assert!(history(gap).is_some());
        let jump = [
            beaten(&life(2, 1), 2000),
            beaten(&life(2, 1), 3500),
            What::ClockStepped { millis: 10_000 },
            beaten(&life(2, 1), 14_000),
            buried(&life(1, 1), &life(2, 1), 15_000),
        ];
        assert!(history(jump).is_some());
    }

    #[test]
    fn a_burial_after_the_period_is_fine() {
        let facts =
            [beaten(&life(2, 1), 2000), beaten(&life(2, 1), 3500), buried(&life(1, 1), &life(2, 1), 4000)];
        assert_eq!(history(facts), None);
    }
}
