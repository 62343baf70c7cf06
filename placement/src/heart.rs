//! When to beat: the pure half of the heartbeat, which the shell runs on a thread of its own.
//!
//! What must hold: a beat goes out only while the rest of the process makes progress, so that a hung
//! process loses its lease; a failed beat is tried again soon and without growing delays, so that after
//! an outage all nodes are back well within the quarantine. It does not judge the answer: the lease
//! counts from the send (`lease`), the machine reads the view (`machine`).

use std::time::Duration;

use crate::lease::BootTime;
use crate::ledger::Timing;

/// Without progress of the runtime for this long, no beat goes out.
pub const PROGRESS_LIMIT: Duration = Duration::from_secs(1);

/// After a failure the next beat follows this soon.
const RETRY: Duration = Duration::from_millis(250);

/// How often a withheld beat is considered again.
const WITHHELD: Duration = Duration::from_millis(50);

/// What the heartbeat thread shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Send a heartbeat now, read the clock before, and report how it went with [`Heart::answered`].
    Beat,
    /// Come back after this long.
    Wait(Duration),
}

/// Decides about the heartbeats of one life.
#[derive(Debug)]
pub struct Heart {
    timing: Timing,
    next: BootTime,
    progress: u64,
    moved: BootTime,
}

impl Heart {
    /// Begins with a beat at once. `progress` is the runtime's counter as it is now.
    pub fn new(timing: Timing, now: BootTime, progress: u64) -> Heart {
        Heart { timing, next: now, progress, moved: now }
    }

    /// What to do at `now`, when the runtime's counter stands at `progress`.
    pub fn poll(&mut self, now: BootTime, progress: u64) -> Pulse {
        if progress != self.progress {
            (self.progress, self.moved) = (progress, now);
        }
        if now < self.next {
            return Pulse::Wait(self.next.since(now).min(WITHHELD));
        }
        if now.since(self.moved) > PROGRESS_LIMIT {
            return Pulse::Wait(WITHHELD);
        }
        Pulse::Beat
    }

    /// A beat sent at `sent` was answered, or failed. `jitter` is 0 to 1; the next beat follows within
    /// 10 % of the period.
    pub fn answered(&mut self, sent: BootTime, now: BootTime, renewed: bool, jitter: f64) {
        self.next = if renewed {
            sent.plus(self.timing.beat.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0)))
        } else {
            now.plus(RETRY.min(self.timing.beat))
        };
    }

    /// How long a beat may take before it counts as failed: two must fit before the deadline.
    pub fn patience(&self) -> Duration {
        (self.timing.ttl - self.timing.margin) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    #[test]
    fn beats_follow_each_other_within_a_tenth_of_the_period() {
        let mut heart = Heart::new(Timing::FAST, at(0), 0);
        assert_eq!(heart.poll(at(0), 1), Pulse::Beat);
        heart.answered(at(0), at(5), true, 0.0);
        assert!(matches!(heart.poll(at(359), 2), Pulse::Wait(_)));
        assert_eq!(heart.poll(at(360), 3), Pulse::Beat);
        heart.answered(at(360), at(365), true, 1.0);
        assert!(matches!(heart.poll(at(799), 4), Pulse::Wait(_)));
        assert_eq!(heart.poll(at(800), 5), Pulse::Beat);
    }

    #[test]
    fn a_hung_process_does_not_beat_until_it_moves_again() {
        let mut heart = Heart::new(Timing::FAST, at(0), 7);
        assert_eq!(heart.poll(at(1000), 7), Pulse::Beat);
        assert!(matches!(heart.poll(at(1001), 7), Pulse::Wait(_)));
        assert!(matches!(heart.poll(at(9000), 7), Pulse::Wait(_)));
        assert_eq!(heart.poll(at(9001), 8), Pulse::Beat);
    }

    #[test]
    fn a_failed_beat_is_tried_again_soon_however_often_it_fails() {
        let mut heart = Heart::new(Timing::PATIENT, at(0), 0);
        for round in 1..100 {
            heart.answered(at(0), at(round * 1000), false, 0.5);
            assert!(matches!(heart.poll(at(round * 1000 + 249), round), Pulse::Wait(_)));
            assert_eq!(heart.poll(at(round * 1000 + 250), round), Pulse::Beat);
        }
    }
}
