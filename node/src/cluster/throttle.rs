//! How fast this node may log in: its own limit, its share of the cluster's, less after push-back. Pure.
//!
//! What must hold: the rate is never above either limit; one wave of refusals halves it once, however many
//! refusals it has; it comes back by steps, never at once (additive increase, multiplicative decrease:
//! `ownership.md` section 11). Time is passed in.

use std::time::Duration;

use roost_placement::lease::BootTime;

/// Refusals within this time belong to one wave.
const WAVE: Duration = Duration::from_secs(2);

/// What comes back each second, as a part of the full rate.
const STEP: f64 = 0.02;

/// However much it is pushed back, this part of the full rate remains: it is how the end is noticed.
const LEAST: f64 = 1.0 / 64.0;

/// The limits and what is left of them.
#[derive(Debug)]
pub struct Throttle {
    own: f64,
    cluster: Option<f64>,
    sharers: usize,
    factor: f64,
    lowered: Option<BootTime>,
    at: BootTime,
}

impl Throttle {
    /// Logins per second of this node and, where there is such a limit, of all nodes together.
    pub fn new(own: f64, cluster: Option<f64>, now: BootTime) -> Throttle {
        Throttle { own, cluster, sharers: 1, factor: 1.0, lowered: None, at: now }
    }

    /// So many nodes share the cluster's rate, this one among them.
    pub fn share(&mut self, sharers: usize) {
        self.sharers = sharers.max(1);
    }

    /// WhatsApp has asked for less.
    pub fn pushed_back(&mut self, now: BootTime) {
        self.recover(now);
        if self.lowered.is_none_or(|lowered| now.since(lowered) >= WAVE) {
            self.lowered = Some(now);
            self.factor = (self.factor / 2.0).max(LEAST);
        }
    }

    /// Logins per second from now on.
    pub fn rate(&mut self, now: BootTime) -> f64 {
        self.recover(now);
        let share = self.cluster.map_or(f64::INFINITY, |rate| rate / self.sharers as f64);
        self.own.min(share) * self.factor
    }

    fn recover(&mut self, now: BootTime) {
        let begin = self.lowered.map_or(self.at, |lowered| self.at.max(lowered.plus(WAVE)));
        self.factor = (self.factor + now.since(begin).as_secs_f64() * STEP).min(1.0);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    #[test]
    fn the_clusters_rate_is_shared_and_never_raises_the_own_limit() {
        let mut throttle = Throttle::new(50.0, Some(90.0), at(0));
        assert_eq!(throttle.rate(at(0)), 50.0);
        throttle.share(3);
        assert_eq!(throttle.rate(at(0)), 30.0);
        throttle.share(0);
        assert_eq!(throttle.rate(at(0)), 50.0, "a node that sees nobody is alone");
    }

    #[test]
    fn a_wave_of_refusals_halves_the_rate_once_and_it_comes_back_by_steps() {
        let mut throttle = Throttle::new(40.0, None, at(0));
        (0..100).for_each(|n| throttle.pushed_back(at(10 * n)));
        assert_eq!(throttle.rate(at(1000)), 20.0);
        assert_eq!(throttle.rate(at(2000)), 20.0, "the wave may not be over");
        let later = throttle.rate(at(12_000));
        assert!((later - 28.0).abs() < 0.001, "{later}");
        assert_eq!(throttle.rate(at(600_000)), 40.0);
    }

    #[test]
    fn waves_without_end_leave_a_little() {
        let mut throttle = Throttle::new(64.0, None, at(0));
        (0..1000).for_each(|n| throttle.pushed_back(at(2000 * n)));
        let rate = throttle.rate(at(2_000_000));
        assert!((1.0..2.0).contains(&rate), "{rate}");
    }
}
