//! What whoever runs a simulation may see of the modelled database, past its ports.

use roost_proto::id::Life;

use super::Model;

/// Lease times of a member, in Unix milliseconds of the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// When it ends.
    pub until: i64,
    /// Since when it was renewed without a break.
    pub since: i64,
}

impl Model {
    /// The database's clock and the lease of this very life, dead or alive; `None` when its row is another's.
    pub fn lease(&self, life: &Life) -> Option<(i64, LeaseTimes)> {
        let clock = (self.clock)().0;
        let inner = self.lock();
        let row = inner.tables.members.get(&life.node)?;
        (row.incarnation == life.incarnation)
            .then_some((clock, LeaseTimes { until: row.lease_until, since: row.lease_since }))
    }
}
