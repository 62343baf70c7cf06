//! The local side of a lease: until when this process may act, counted on a clock that neither steps
//! nor stops.
//!
//! What must hold: the deadline is counted from the moment the heartbeat was *sent*, never from its
//! answer (`ownership.md` section 3a), and it only moves forward. Reading it is one atomic load, so
//! every send, acknowledgement and write can afford to ask. It does not read a clock; the shell
//! passes `CLOCK_BOOTTIME` in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ledger::{Permit, Timing};
use crate::seeded::{self, Bug};

/// Nanoseconds of `CLOCK_BOOTTIME`. Compared only with itself, on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// This much later; saturates.
    pub fn plus(self, span: Duration) -> BootTime {
        BootTime(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// From which moment a lease counts that was asked for at `sent` and confirmed at `answered`: the earlier one, because
/// the database may have renewed it at once and said so late.
pub fn counts_from(sent: BootTime, answered: BootTime) -> BootTime {
    if seeded::on(Bug::DeadlineFromAnswer) { answered } else { sent }
}

/// The node's permission to act, shared by all its actors.
#[derive(Debug, Default)]
pub struct Lease {
    deadline: AtomicU64,
}

impl Lease {
    /// A lease that has not begun: nobody may act.
    pub fn new() -> Lease {
        Lease::default()
    }

    /// A heartbeat that was sent at `sent` has succeeded.
    pub fn renewed(&self, sent: BootTime, timing: &Timing) {
        let until = sent.plus(timing.ttl.saturating_sub(timing.margin));
        self.deadline.fetch_max(until.0, Ordering::AcqRel);
    }

    /// The row says dead: nobody may act any more.
    pub fn revoke(&self) {
        self.deadline.store(0, Ordering::Release);
    }

    /// Whether this process may send, acknowledge and write at `now`.
    pub fn may_act(&self, now: BootTime) -> bool {
        let deadline = self.deadline.load(Ordering::Acquire);
        now.0 < deadline || (seeded::on(Bug::NoLocalDeadline) && deadline > 0)
    }

    /// When the present permission ends.
    pub fn deadline(&self) -> BootTime {
        BootTime(self.deadline.load(Ordering::Acquire))
    }
}

/// The local cap of a dial permit: `sent + min(remaining − margin, 1 s)`.
pub fn permit_deadline(permit: &Permit, sent: BootTime, timing: &Timing) -> BootTime {
    let remaining = permit.remaining.saturating_sub(timing.margin);
    sent.plus(remaining.min(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_deadline_counts_from_the_send() {
        let lease = Lease::new();
        assert!(!lease.may_act(BootTime(1)));
        lease.renewed(BootTime(10 * SECOND), &Timing::FAST);
        assert!(lease.may_act(BootTime(11_699_999_999)));
        assert!(!lease.may_act(BootTime(11_700_000_000)));
    }

    #[test]
    fn an_answer_that_overtakes_another_never_shortens_the_lease() {
        let lease = Lease::new();
        lease.renewed(BootTime(10 * SECOND), &Timing::FAST);
        lease.renewed(BootTime(9 * SECOND), &Timing::FAST);
        assert_eq!(lease.deadline(), BootTime(11_700_000_000));
    }

    #[test]
    fn a_revoked_lease_ends_at_once() {
        let lease = Lease::new();
        lease.renewed(BootTime(10 * SECOND), &Timing::FAST);
        lease.revoke();
        assert!(!lease.may_act(BootTime(10 * SECOND)));
    }
}
