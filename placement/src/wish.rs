//! What operators wish of placement: pins, spread tenants. Data only; `choice` and `plan` heed it.
//!
//! What must hold: a required pin also stands in the predicates of claim and give, so that a node with
//! old news cannot break it; everything else here is a wish that costs balance when it is missed.

use std::time::Duration;

use roost_proto::id::{NodeId, UnixMillis};

use crate::ledger::Ownership;

/// How firmly a device is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinMode {
    /// That node or none: without it the device waits.
    Require,
    /// That node first, others when it cannot.
    Prefer,
}

/// A device that belongs to one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin {
    /// Which node, in whatever life.
    pub node: NodeId,
    /// How firmly.
    pub mode: PinMode,
}

/// How the devices of a tenant lie on the ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spreading {
    /// Together while the tenant is small, by device when it is large.
    #[default]
    Auto,
    /// By device.
    Devices,
    /// By device, and not more than half of them (rounded up) in one failure domain: a zone when
    /// devices can be taken in several, otherwise a node.
    Strict,
}

/// Everything that is wished for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its own pin.
    pub pin: Option<Pin>,
    /// Its tenant's spread.
    pub spread: Spreading,
}

impl Wish {
    /// Whether this node may own the device at all.
    pub fn allows(&self, node: &NodeId) -> bool {
        self.required().is_none_or(|pinned| pinned == node)
    }

    /// The only node that may own the device, if there is one.
    pub fn required(&self) -> Option<&NodeId> {
        self.pin.as_ref().filter(|pin| pin.mode == PinMode::Require).map(|pin| &pin.node)
    }
}

/// A device as a survey shows it: its row, and what a plan weighs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The row.
    pub row: Ownership,
    /// When something was last written for it (an event, an accepted message), by the database's clock.
    /// 0: never.
    pub active: UnixMillis,
    /// How long ago its owner was given it by another; `None` when it came by claim or take-over.
    pub given: Option<Duration>,
}

impl From<Ownership> for Surveyed {
    /// A row of which no more is known.
    fn from(row: Ownership) -> Surveyed {
        Surveyed { row, active: UnixMillis(0), given: None }
    }
}
