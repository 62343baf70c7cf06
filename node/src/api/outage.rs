//! Calls that fail because the store is away, told in few lines: every call of every client fails then, and the
//! metrics count them one by one.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// What was told and what was not.
#[derive(Debug, Default)]
pub(super) struct Outage {
    told: Option<Instant>,
    untold: u64,
}

impl Outage {
    /// A call has failed. Returns how many have since the last line, if it is time for the next.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_at_once_and_the_others_by_their_number() {
        let mut outage = Outage::default();
        let begin = Instant::now();
        assert_eq!(outage.failed(begin), Some(1));
        for n in 0..500 {
            assert_eq!(outage.failed(begin + PAUSE * n / 500), None);
        }
        assert_eq!(outage.failed(begin + PAUSE), Some(501));
        assert_eq!(outage.failed(begin + PAUSE * 9), Some(1));
    }
}
