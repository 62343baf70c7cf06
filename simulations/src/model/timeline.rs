//! A failover of the modelled database to a standby that may lack the tail, and what the ledger does then.
//!
//! What must hold: on a time-line that no heartbeat has seen every call but a heartbeat and a join is
//! refused, as on PostgreSQL; the checkpoint is the whole database.

use std::time::Duration;

use roost_placement::ledger::{Attached, Desired, Posted, Timing, Unavailable};
use roost_proto::id::{Age, Life};

use super::Model;
use super::ledger::millis;
use super::tables::{MemberRow, Tables};

/// The database refuses what depends on rows that may lack their tail.
#[derive(Debug, thiserror::Error)]
#[error("the database is on a time-line that the cluster has not seen")]
pub(super) struct Unsettled;

/// Everything that was committed at one moment.
#[derive(Debug, Clone)]
pub struct Checkpoint(Tables);

impl Model {
    /// What a standby has that hears nothing from now on.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.lock().tables.clone())
    }

    /// A standby takes over: with everything, or with what it had at the checkpoint.
    pub fn fail_over(&self, to: Option<Checkpoint>) {
        let mut inner = self.lock();
        inner.time_line += 1;
        if let Some(Checkpoint(tables)) = to {
            inner.tables = tables;
        }
    }

    /// Goes over to a time-line that nobody has seen yet.
    pub(super) fn follow(&self, timing: &Timing) {
        let mut inner = self.lock();
        let (actual, now) = (inner.time_line, (self.clock)().0);
        if inner.down || inner.tables.time_line == actual {
            return;
        }
        let tables = &mut inner.tables;
        tables.time_line = actual;
        tables.cluster_epoch = (tables.cluster_epoch + 1).max(i64::try_from(actual).unwrap_or(i64::MAX));
        tables.view_epoch += 1;
        let until = now + millis(timing.quarantine());
        tables.takeover_blocked_until = tables.takeover_blocked_until.max(until);
    }
}

/// Whoever knows of another age has not posted yet what it owns, or was told before the tail was lost.
#[derive(Debug, thiserror::Error)]
#[error("the database is in another age than {0}")]
struct AnotherAge(i64);

impl Tables {
    /// Whether the database is in this age.
    pub(super) fn in_age(&self, Age(age): Age) -> Result<(), Unavailable> {
        if age != self.cluster_epoch {
            return Err(Unavailable(Box::new(AnotherAge(age))));
        }
        Ok(())
    }

    /// What a heartbeat does about a gap of everybody, and about leases from before the clock went back.
    pub(super) fn look_around(&mut self, now: i64, life: &Life, lapsed: bool, timing: &Timing) {
        let back = |row: &MemberRow| 2 * (row.lease_until - row.lease_since) >= 3 * row.granted;
        let me_back = self.living(life).is_some_and(|row| back(row));
        let mut others: Vec<_> = self.living_others(life).collect();
        let all_back = me_back && others.iter().all(|row| row.lease_until >= now && back(row));
        let late = others.iter().filter(|row| row.lease_until < now).count();
        let all = others.len();
        for row in &mut others {
            if row.lease_until > now + 2 * row.granted {
                row.lease_until = now + row.granted;
            }
        }
        if lapsed && all > 0 && late == all {
            self.hold_off_until = now + millis(timing.quarantine().max(Duration::from_secs(10)));
        } else if all_back {
            self.hold_off_until = 0;
        }
    }

    pub(super) fn attach(&mut self, now: i64, me: &Life, posts: &[Posted]) -> Vec<Attached> {
        let may_win =
            self.takeover_blocked_until > now && self.living(me).is_some_and(|row| row.lease_until > now);
        let mut kept = Vec::new();
        for post in posts {
            let grant = &post.grant;
            let Some(row) = self.ownership.get(&grant.key) else { continue };
            if row.desired != Desired::Online {
                continue;
            }
            let older = row.epoch < grant.epoch;
            if self.stands(grant) {
                let device = self.devices.get(&grant.key);
                let (last, accepted) = device.map_or((0, 0), |device| (device.last_seq, device.last_ordinal));
                let behind = last < post.head.0 || accepted < post.accepted;
                kept.push(Attached { grant: grant.clone(), behind });
            } else if older && may_win {
                let epoch = self.hand(&grant.key, Some(me), "re-attach", now);
                let mut newer = grant.clone();
                newer.epoch = epoch;
                kept.push(Attached { grant: newer, behind: true });
            }
        }
        kept
    }
}
