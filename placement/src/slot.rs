//! A slot that somebody holds: since when a candidate for it has seen its holder stand still.
//!
//! What must hold: a candidate calls a holder silent only after it has seen the count of its heartbeats unchanged
//! for a lease and the grace, on its own clock. By then a holder that lives but reaches no database has been quiet for the
//! margin and the grace, whatever the database's clock did meanwhile. The ledger compares the count once more, on the
//! row itself; a row that says dead needs no witness.

use std::time::Duration;

use crate::lease::BootTime;
use crate::ledger::{Holder, Timing};

/// What a candidate has seen of the holder of its slot.
#[derive(Debug, Clone, Default)]
pub struct Standstill {
    seen: Option<(Holder, BootTime)>,
}

impl Standstill {
    /// A join was refused because of this holder; the answer was read at `now`.
    pub fn refused(&mut self, holder: Holder, now: BootTime) {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != holder) {
            self.seen = Some((holder, now));
        }
    }

    /// The holder that has stood still for long enough at `now`: what the next join may rest on.
    pub fn silent(&self, now: BootTime, timing: &Timing) -> Option<&Holder> {
        self.left(now, timing).is_zero().then_some(&self.seen.as_ref()?.0)
    }

    /// How long the holder has to stand still from `now` on; the whole time when none was seen.
    pub fn left(&self, now: BootTime, timing: &Timing) -> Duration {
        let stood = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| now.since(*since));
        timing.quarantine().saturating_sub(stood)
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{Incarnation, Life};

    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    fn holder(incarnation: i64, beats: i64) -> Holder {
        let life = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(incarnation) };
        Holder { life, beats }
    }

    #[test]
    fn a_holder_is_silent_after_a_lease_and_the_grace_from_the_first_look() {
        let mut standstill = Standstill::default();
        assert_eq!(standstill.silent(at(90_000), &Timing::FAST), None, "nobody was seen");
        standstill.refused(holder(1, 7), at(1000));
        standstill.refused(holder(1, 7), at(3000));
        assert_eq!(standstill.silent(at(3199), &Timing::FAST), None);
        assert_eq!(standstill.left(at(3199), &Timing::FAST), Duration::from_millis(1));
        assert_eq!(standstill.silent(at(3200), &Timing::FAST), Some(&holder(1, 7)));
    }

    #[test]
    fn a_beat_or_another_life_begins_it_anew() {
        for other in [holder(1, 8), holder(2, 7)] {
            let mut standstill = Standstill::default();
            standstill.refused(holder(1, 7), at(1000));
            standstill.refused(other.clone(), at(3100));
            assert_eq!(standstill.silent(at(5299), &Timing::FAST), None);
            assert_eq!(standstill.silent(at(5300), &Timing::FAST), Some(&other));
        }
    }
}
