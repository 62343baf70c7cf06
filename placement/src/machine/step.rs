//! What goes into the placement machine and what comes out: events and effects.
//!
//! What must hold: each effect that asks the ledger or the hosting side is answered by exactly one event
//! that repeats what was asked; no answer from the store is an answer too ([`NoAnswer`]), and means that
//! the outcome is unknown. Effects of one step are carried out in their order.

use std::time::Duration;

use roost_proto::id::{Age, DeviceKey, Epoch, Life, NodeId};

use crate::lease::BootTime;
use crate::ledger::{Attached, Beaten, Grant, MemberState, Ownership};
use crate::plan::Reason;
use crate::wish::Surveyed;

/// The store did not answer; what was asked may or may not have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// What the store said, if it did.
pub type Answer<T> = Result<T, NoAnswer>;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time passed. At least every 100 ms.
    Tick,
    /// A heartbeat that was sent at `sent` was answered.
    Beaten {
        /// When it left, read before.
        sent: BootTime,
        /// What came back.
        answer: Beaten,
    },
    /// Answers [`Effect::SetState`].
    StateSet(MemberState, Answer<bool>),
    /// Answers [`Effect::Bury`].
    Buried(Life, Answer<bool>),
    /// Answers [`Effect::ListClaimable`].
    Claimable(Answer<Vec<Ownership>>),
    /// Answers [`Effect::Claim`] with the former owner and the keys that were asked for.
    Claimed(Option<Life>, Vec<DeviceKey>, Answer<Vec<Grant>>),
    /// Answers [`Effect::ListMine`] of that number.
    Mine(u64, Answer<Vec<Ownership>>),
    /// Answers [`Effect::Survey`].
    Surveyed(Answer<Vec<Surveyed>>),
    /// Answers [`Effect::Reattach`] in that cluster epoch, with the grants that were posted.
    Reattached(i64, Vec<Grant>, Answer<Vec<Attached>>),
    /// Answers [`Effect::Look`].
    Row(DeviceKey, Answer<Option<Ownership>>),
    /// Answers [`Effect::Warm`]: the target is as ready as it will get in time, or there is none.
    Warmed(Grant, Life),
    /// Answers [`Effect::Stop`]: nothing of this device sends, dials or writes any more.
    Stopped(Grant),
    /// A device ended without being told to: its budget is spent, or a write was fenced.
    Ended(Grant),
    /// Answers [`Effect::Give`].
    Given(Grant, Life, Answer<Option<Grant>>),
    /// Answers [`Effect::Release`].
    Released(Grant, Answer<bool>),
    /// A hint that the row of this device has changed in a way that concerns this node.
    Adopt(DeviceKey),
    /// A hint that there is something to claim.
    Sweep,
    /// Answers [`Effect::Probe`]: whether WhatsApp was reached.
    Probed(bool),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Change the own state in the ledger.
    SetState(MemberState),
    /// Ask the ledger to bury this life.
    Bury(Life),
    /// List at most this many claimable devices.
    ListClaimable(usize),
    /// Claim these, in order of key, at most 500, from this life or from nobody.
    Claim(Option<Life>, Vec<DeviceKey>),
    /// List everything that this node owns. The number comes back with the answer.
    ListMine(u64),
    /// Survey everything that this node owns (`Ledger::survey`, without a limit).
    Survey,
    /// Ask which of these, at most 500, this node keeps in this cluster epoch.
    Reattach(i64, Vec<Grant>),
    /// Read one ownership row.
    Look(DeviceKey),
    /// Run this device under this grant.
    Start(Grant, Origin),
    /// Stop it, within a bound of time, and answer when nothing of it acts any more.
    Stop(Grant),
    /// Let the node to which this device will be given prepare for it, within this time. It runs on
    /// meanwhile. A target that cannot is no reason to wait longer: the hand-off goes on cold.
    Warm(Grant, Life, Duration),
    /// Give it away. It has stopped.
    Give(Grant, Life),
    /// Free it. It has stopped.
    Release(Grant),
    /// Tell the new owner to look at the row now, and for how long the device has been stopped. May be
    /// lost.
    Hint(Life, DeviceKey, Epoch, Duration),
    /// A requested hand-off is over.
    HandedOff(DeviceKey, Result<HandedOff, HandOffError>),
    /// Try, within a bound of time, whether WhatsApp can be reached from here; nobody logs in.
    Probe,
    /// A device that ran here under this grant has another row, and this node has neither given nor freed it. Its
    /// history says whether somebody took it from a living owner. For metrics.
    Overtaken(Grant),
    /// A device went to another node, or back to the pool, for this reason. For logs and metrics.
    Left(DeviceKey, Reason),
    /// No device may act any more: no sends, acknowledgements, writes. Sockets stay open and unread.
    Quiesce,
    /// Devices may act again.
    Resume,
    /// The database is in this age, as a view has shown first: what was read and written in an earlier one may be lost.
    /// In doubt so may be what another node did with the devices of this one, after it had buried it.
    Aged(Age, bool),
    /// This life is over: close everything. Nothing follows.
    Die,
    /// The drain is over, the node owns nothing and its row can be ended. Nothing follows.
    Drained,
}

/// How a grant came to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody held the device.
    Claimed,
    /// It was held by this life, which is over.
    TakenOver(Life),
    /// Another node gave it.
    Given,
    /// It was here all the time: a hand-off did not come about.
    Again,
    /// It was here all the time: the database has lost what was written last.
    Reattached,
}

/// A hand-off that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOff {
    /// The grant of the new owner.
    pub grant: Grant,
    /// From the order to stop until the new grant: nobody acted for at most this long.
    pub pause: Duration,
}

/// Why a hand-off did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOffError {
    /// This node does not own the device.
    #[error("this node does not own the device")]
    NotOwner,
    /// The device is being stopped, given or released already.
    #[error("the device is already being handed off or stopped")]
    Busy,
    /// No such member.
    #[error("there is no member {0}")]
    UnknownTarget(NodeId),
    /// The member does not take devices.
    #[error("member {0} is not active")]
    TargetNotActive(NodeId),
    /// The member takes nothing new.
    #[error("member {0} is cordoned")]
    TargetCordoned(NodeId),
    /// The target owns it already: it is this node.
    #[error("the device is on this node already")]
    AlreadyHere,
    /// This node's lease has run out, or it is stopping.
    #[error("this node may not act at the moment")]
    Suspended,
    /// The target's lease was too short or its state had changed; the device goes on here.
    #[error("the target could not take the device")]
    TargetRefused,
    /// The row changed meanwhile; somebody else decides about it.
    #[error("the device was lost while it was being handed off")]
    Lost,
}

/// The node is draining, or over, already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is draining already")]
pub struct AlreadyDraining;
