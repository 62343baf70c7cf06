//! Clocks of this machine, as values.
//!
//! What must hold: leases and permits are counted on `CLOCK_BOOTTIME`, which neither steps nor stops
//! while the machine sleeps; the wall clock is for people and for WhatsApp.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use roost_actors::port::Clocks;
use roost_placement::lease::BootTime;
use roost_proto::id::UnixMillis;
use rustix::time::{ClockId, clock_gettime};

use super::permission::Permission;

/// Reads the boot clock; simulations pass their own.
pub type BootClock = Arc<dyn Fn() -> BootTime + Send + Sync>;

/// `CLOCK_BOOTTIME` of this machine.
pub fn boot_clock() -> BootClock {
    Arc::new(|| {
        let now = clock_gettime(ClockId::Boottime);
        // Both are never negative on this clock.
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
        BootTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    })
}

/// The clocks that devices see.
#[derive(Debug, Clone)]
pub struct NodeClocks(pub Arc<Permission>);

impl Clocks for NodeClocks {
    fn boot(&self) -> BootTime {
        (self.0.clock())()
    }

    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn may_act(&self) -> bool {
        self.0.may_act()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_moves_forward() {
        let clock = boot_clock();
        let first = clock();
        assert!(first.0 > 0);
        assert!(clock() >= first);
    }
}
