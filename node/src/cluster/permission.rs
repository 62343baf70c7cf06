//! Whether this node may act, as one question that every send, acknowledgement and write can afford.
//!
//! What must hold: the answer is no past the local deadline, and stays no after a lapse until the
//! machine has seen that the epochs stand, even when the lease runs again. Shared by the heartbeat's
//! thread, the driver and all devices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use roost_placement::lease::{BootTime, Lease, counts_from};
use roost_placement::ledger::Timing;
use roost_proto::id::Age;

use super::clock::BootClock;

/// The node's permission to act.
pub struct Permission {
    lease: Lease,
    suspended: AtomicBool,
    age: AtomicI64,
    trusted: AtomicI64,
    clock: BootClock,
}

impl std::fmt::Debug for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permission").field("lease", &self.lease).field("suspended", &self.suspended).finish()
    }
}

impl Permission {
    /// No permission yet.
    pub fn new(clock: BootClock) -> Arc<Permission> {
        let [age, trusted] = [AtomicI64::new(0), AtomicI64::new(0)];
        Arc::new(Permission { lease: Lease::new(), suspended: AtomicBool::new(true), age, trusted, clock })
    }

    /// Whether devices may send, acknowledge and write now.
    pub fn may_act(&self) -> bool {
        !self.suspended.load(Ordering::Acquire) && self.lease.may_act((self.clock)())
    }

    /// The age of the database that this node knows of. When it grows, nothing acts before all that is owned has been
    /// posted.
    pub fn age(&self) -> Age {
        Age(self.age.load(Ordering::Acquire))
    }

    /// The first age whose memory is to be believed.
    pub fn trusted(&self) -> Age {
        Age(self.trusted.load(Ordering::Acquire))
    }

    /// The database is in this age. In doubt others may have owned meanwhile what this node owns.
    pub fn aged(&self, age: Age, doubtful: bool) {
        if doubtful {
            self.trusted.store(age.0, Ordering::Release);
        }
        self.age.store(age.0, Ordering::Release);
    }

    /// How long this node may act without another heartbeat; zero when it may not.
    pub fn remaining(&self) -> Duration {
        if self.suspended.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        self.lease.deadline().since((self.clock)())
    }

    /// The clock that it is counted on.
    pub fn clock(&self) -> &BootClock {
        &self.clock
    }

    /// A heartbeat that was sent at `sent` has succeeded. After a lapse the devices stay suspended.
    pub fn renewed(&self, sent: BootTime, timing: &Timing) {
        let now = (self.clock)();
        if !self.lease.may_act(now) {
            self.suspended.store(true, Ordering::Release);
        }
        self.lease.renewed(counts_from(sent, now), timing);
    }

    /// Devices must not act, whatever the lease says, until [`Permission::resume`].
    pub fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
    }

    /// Devices may act again, as far as the lease goes.
    pub fn resume(&self) {
        self.suspended.store(false, Ordering::Release);
    }

    /// The life is over: devices must not act ever again.
    pub fn revoke(&self) {
        self.suspend();
        self.lease.revoke();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(millis * 1_000_000)
    }

    #[test]
    fn after_a_lapse_a_renewed_lease_alone_is_not_enough() {
        let now = Arc::new(AtomicU64::new(at(0).0));
        let read = now.clone();
        let permission = Permission::new(Arc::new(move || BootTime(read.load(Ordering::Relaxed))));
        permission.renewed(at(0), &Timing::FAST);
        assert!(!permission.may_act(), "nobody has looked at the rows yet");
        permission.resume();
        assert!(permission.may_act());
        permission.renewed(at(400), &Timing::FAST);
        assert!(permission.may_act(), "without a lapse it goes on");
        now.store(at(2100).0, Ordering::Relaxed);
        assert!(!permission.may_act());
        permission.renewed(at(2100), &Timing::FAST);
        assert!(!permission.may_act(), "the lease had lapsed");
        permission.resume();
        assert!(permission.may_act());
        assert_eq!(permission.remaining(), Duration::from_millis(1700));
    }
}
