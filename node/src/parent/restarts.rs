//! Whether a worker that has ended is started again, and when. Pure.
//!
//! What must hold: a clean stop and an error that a restart cannot heal end the family; everything else
//! is tried again with growing, jittered pauses, within a budget, so that a node that cannot live does
//! not hide it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::EXIT_CONFIGURATION;

/// Exit codes that a new life cannot heal: wrong usage (`EX_USAGE`, and clap's 2), configuration.
const FINAL: [u8; 3] = [2, 64, EXIT_CONFIGURATION];

/// How often a failing worker is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartOptions {
    /// At most this many restarts within `window`.
    pub most: usize,
    /// The span that is looked at.
    pub window: Duration,
    /// The first pause; doubles with each restart in the window.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RestartOptions {
    fn default() -> RestartOptions {
        RestartOptions {
            most: 10,
            window: Duration::from_secs(120),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

/// What follows the end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Leave with this exit code.
    Leave(u8),
    /// Start a new life after this pause.
    Restart(Duration),
}

/// Remembers the restarts of one parent.
#[derive(Debug)]
pub(super) struct Restarts {
    options: RestartOptions,
    times: VecDeque<Duration>,
}

impl Restarts {
    pub(super) fn new(options: RestartOptions) -> Restarts {
        Restarts { options, times: VecDeque::new() }
    }

    /// A worker ended at `now` (since the parent began) with this exit code. `stopping`: it was asked to.
    /// `jitter` is 0 to 1.
    pub(super) fn next(&mut self, now: Duration, code: u8, stopping: bool, jitter: f64) -> Next {
        if stopping || code == 0 || FINAL.contains(&code) {
            return Next::Leave(code);
        }
        let RestartOptions { most, window, first, longest } = self.options;
        while self.times.front().is_some_and(|time| now.saturating_sub(*time) > window) {
            self.times.pop_front();
        }
        if self.times.len() >= most {
            return Next::Leave(code);
        }
        let doublings = u32::try_from(self.times.len()).unwrap_or(u32::MAX).min(16);
        self.times.push_back(now);
        Next::Restart((first * 2u32.pow(doublings)).min(longest).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts() -> Restarts {
        Restarts::new(RestartOptions { most: 3, ..RestartOptions::default() })
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_clean_stop_and_an_asked_for_end_are_final() {
        assert_eq!(restarts().next(secs(1), 0, false, 0.5), Next::Leave(0));
        assert_eq!(restarts().next(secs(1), 137, true, 0.5), Next::Leave(137));
    }

    #[test]
    fn what_a_restart_cannot_heal_is_final() {
        assert_eq!(restarts().next(secs(1), EXIT_CONFIGURATION, false, 0.5), Next::Leave(EXIT_CONFIGURATION));
    }

    #[test]
    fn pauses_grow_until_the_budget_is_spent() {
        let mut restarts = restarts();
        let pauses: Vec<Next> = (0..4).map(|n| restarts.next(secs(n), 137, false, 1.0)).collect();
        let pause = |millis| Next::Restart(Duration::from_millis(millis));
        assert_eq!(pauses, [pause(100), pause(200), pause(400), Next::Leave(137)]);
    }

    #[test]
    fn the_budget_comes_back_with_time() {
        let mut restarts = restarts();
        (0..3).for_each(|n| {
            restarts.next(secs(n), 1, false, 0.0);
        });
        assert_eq!(restarts.next(secs(500), 1, false, 0.0), Next::Restart(Duration::from_millis(50)));
    }
}
