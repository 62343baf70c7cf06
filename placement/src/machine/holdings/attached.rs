//! The devices of this node after the database has lost a tail: which are kept, and how they go on.
//!
//! What must hold: a device whose row and log are as this node knows them runs on untouched; one whose row
//! knew nothing of its grant begins anew under a newer one; one whose log ends early begins anew under the
//! same; all others stop.

use super::{BootTime, Effect, Grant, Held, Holdings, Phase, Seen, Then};
use crate::ledger::Attached;

impl Holdings {
    /// What runs here or waits for a place: what this node would keep.
    pub(in crate::machine) fn kept(&self) -> impl Iterator<Item = &Grant> {
        let kept = |held: &&Held| held.runs() || held.phase == Phase::Idle;
        self.held.values().filter(kept).map(|held| &held.grant)
    }

    /// The database has lost a tail. Lists and looks of a lower number say nothing any more; newer ones say all: what
    /// this node has let go may be its own again, under the old epoch.
    pub(in crate::machine) fn outdate(&mut self, number: u64) {
        self.outdated = number;
        self.left.clear();
        self.held.values_mut().for_each(|held| held.number = held.number.max(number));
    }

    /// The node keeps a device that was posted: as it is, or from what the database has left of it.
    pub(in crate::machine) fn attached(
        &mut self,
        posted: &Grant,
        kept: &Attached,
        now: BootTime,
        out: &mut Vec<Effect>,
    ) {
        let Some(held) = self.held.get_mut(&posted.key).filter(|held| held.grant == *posted) else { return };
        let newer = kept.grant.epoch > posted.epoch;
        if held.phase == Phase::Idle {
            held.grant = kept.grant.clone();
        } else if newer {
            self.stop(&posted.key, Then::Replace(kept.grant.clone()), now, out);
        } else if kept.behind {
            self.stop(&posted.key, Then::Restart, now, out);
        }
    }

    /// The node does not keep a device that was posted.
    pub(in crate::machine) fn detached(&mut self, posted: &Grant, seen: Seen<'_>, out: &mut Vec<Effect>) {
        if self.current(posted).is_some() {
            self.not_mine(&posted.key, &seen, out);
        }
    }
}
