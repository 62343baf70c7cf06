//! Clocks of this machine, as values.
//!
//! What must hold: leases and permits are counted on `CLOCK_BOOTTIME`, which neither steps nor stops
//! while the machine sleeps; the wall clock is for people and for WhatsApp.

use std::sync::Arc;

use roost_actors::port::Clocks;
use roost_placement::lease::BootTime;
use roost_proto::id::{Age, UnixMillis};
use rustix::time::{ClockId, clock_gettime};

use super::permission::Permission;
use crate::outside::WallClock;

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
#[derive(Clone)]
pub struct NodeClocks {
    /// Whether the node may act, and the boot clock that this is counted on.
    pub permission: Arc<Permission>,
    /// The wall clock.
    pub wall: WallClock,
}

impl Clocks for NodeClocks {
    fn boot(&self) -> BootTime {
        (self.permission.clock())()
    }

    fn wall(&self) -> UnixMillis {
        (self.wall)()
    }

    fn may_act(&self) -> bool {
        self.permission.may_act()
    }

    fn age(&self) -> Age {
        self.permission.age()
    }

    fn trusted(&self) -> Age {
        self.permission.trusted()
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
