//! In which phase a device of this node is, and what it is on its way to.
//!
//! What must hold: every phase but running and idle awaits exactly one answer. Data only; the moves
//! between phases are in `holdings`.

use roost_proto::id::{Epoch, Life};

use crate::lease::BootTime;
use crate::ledger::Grant;
use crate::plan::Reason;

/// Why and whereto a device is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gift {
    pub(super) to: Life,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A caller asked for it and waits.
    Requested,
    /// This node drains.
    Drain,
    /// A plan moves it, for the good of the others or because it is pinned.
    Rebalance(Reason),
}

/// What follows when a device has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    Give(Gift),
    Release,
    /// The grant is gone: nothing to give.
    Forget,
    /// A newer grant was found: run under it.
    Replace(Grant),
    /// Run again under the same grant, from what the database has.
    Restart,
}

/// Where a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Still running, while the target prepares for it.
    Warming(Gift),
    Stopping(Then),
    /// Stopped and still ours: a drain has to find a place for it.
    Idle,
    Giving(Gift),
    Releasing,
    /// The outcome of this is unknown: the row is read at that time, or is being read.
    Asking(Then, Option<BootTime>),
}

/// One device.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    pub(super) phase: Phase,
    /// When the present stop was ordered.
    pub(super) stopped: BootTime,
    /// When it came here.
    pub(super) since: BootTime,
    /// Lists and looks of a lower number may not know this grant.
    pub(super) number: u64,
    /// Refused targets of the present drain.
    pub(super) tries: u32,
}

impl Held {
    /// Whether it runs on this node: it has not been told to stop.
    pub(super) fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Warming(_))
    }

    /// Whether a caller waits for the hand-off that is being prepared.
    pub(super) fn is_requested(&self) -> bool {
        matches!(&self.phase, Phase::Warming(gift) if gift.why == Why::Requested)
    }
}

/// Under which circumstances rows are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) me: &'a Life,
    pub(super) now: BootTime,
    /// Number of the list or look that was answered.
    pub(super) number: u64,
    /// Number that the next list or look will have.
    pub(super) newest: u64,
    /// Devices may be started.
    pub(super) run: bool,
    /// Devices are taken only to be passed on: the node drains.
    pub(super) passing_on: bool,
    /// Only rows above it are started: they were granted after the database had lost a tail.
    pub(super) floor: Epoch,
}
