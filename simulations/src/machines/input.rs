//! What reaches a process: time, answers, its links, its peers, its callers.

use bytes::Bytes;
use roost_actors::device::{AcceptedSend, PairError, PairingUpdate, SendError, SendRequest};
use roost_actors::port::{self, Committed, DeviceStoreError, StateKey, StoredMessage};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Beaten, Grant, JoinError, Permit};
use roost_placement::machine;
use roost_proto::id::{BusinessId, DeviceKey, Life, Sequence};

use super::context::{LinkId, ProcessId};

/// Something that reaches a process.
pub(super) enum Input {
    /// Its attempt to join was answered.
    Joined(Option<Result<Life, JoinError>>),
    /// It tries to join again.
    Join,
    /// The machine hears that time has passed.
    Tick,
    /// The heartbeat looks at the clock.
    Pulse,
    /// A heartbeat that was sent then was answered, or not.
    Beaten(BootTime, Option<Beaten>),
    /// The ledger answered the placement machine.
    Placement(machine::Event),
    /// The probe of WhatsApp on this link has taken too long.
    ProbeLate(LinkId),
    /// The own row was ended, or not.
    RowClosed(bool),
    /// The gate looks whose turn it is.
    Gate,
    /// It is somebody's turn to log in.
    Turn(Turn),
    /// The server's half of a handshake came.
    Hello(LinkId),
    /// A frame came.
    Frame(LinkId, Bytes),
    /// A link is over.
    Closed(LinkId, &'static str),
    /// Something for one device, by the number of its opening.
    Device(DeviceKey, u64, ForDevice),
    /// A peer gives a device to this node.
    Adopt(DeviceKey),
    /// A peer is about to.
    Warm(DeviceKey, Warmth),
    /// A link for a device to come is too old.
    Cooled(DeviceKey, LinkId),
    /// A caller calls.
    Call(Call),
    /// The owner of a device that was asked for, as the rows say.
    Owned(Call, Option<Life>),
    /// A consumer's turn, or its word.
    Consume(Round, Consume),
    /// What goes back to a consumer.
    Consumed(Round, Consumed),
    /// An operator wants a device moved.
    Move(DeviceKey, roost_proto::id::NodeId),
    /// An operator wants this node drained.
    Drain,
}

/// Whose turn it is.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// A device of this node, by the number of its opening, for its link of that number.
    Device(DeviceKey, u64, u64),
    /// A device that is about to come.
    Warm(DeviceKey),
}

/// Who waits for this node to be prepared for a device.
#[derive(Debug, Clone)]
pub(super) struct Warmth {
    pub(super) from: ProcessId,
    pub(super) place: usize,
    pub(super) grant: Grant,
    pub(super) to: Life,
}

/// What reaches one device.
pub(super) enum ForDevice {
    /// Its state was read.
    Loaded(Result<Box<port::Loaded>, DeviceStoreError>),
    /// A commit was answered.
    /// With the age of the database that it was given in.
    Committed(Result<Committed, DeviceStoreError>),
    /// A lookup was answered.
    Found(u64, Result<Vec<StoredMessage>, DeviceStoreError>),
    /// Rows that crypto wanted.
    Rows(Vec<StateKey>, Result<Vec<Option<Bytes>>, DeviceStoreError>),
    /// The store is asked again for what it did not answer.
    StoreAgain,
    /// So are the rows.
    RowsAgain,
    /// A permit was asked for, for a link or only to know.
    Permit(Option<u64>, Ticket),
    /// A link has not come up in time.
    LinkLate(u64),
    /// A deadline of its machine.
    Wake,
}

/// What the gate says.
#[derive(Debug, Clone)]
pub(super) enum Ticket {
    /// A permit, and when it was asked for.
    Given(Permit, BootTime),
    /// The grant does not stand.
    Stale,
    /// No answer, or a lease that is about to end.
    None,
}

/// A call on its way.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) key: DeviceKey,
    pub(super) what: Asks,
    /// Nodes that have passed it on.
    pub(super) hops: u32,
}

/// What a caller asks of a device.
#[derive(Debug, Clone)]
pub(super) enum Asks {
    Send(Box<SendRequest>),
    Pair,
}

/// What a caller is told.
#[derive(Debug)]
pub(super) enum Told {
    Sent(Result<Box<AcceptedSend>, SendError>),
    Pairing(Result<(), PairError>),
    Update(PairingUpdate),
    /// Come back: nobody here can say.
    Unavailable,
}

/// A round of a consumer: whose, and which; an answer to an earlier one is of no use.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) tenant: BusinessId,
    pub(super) number: u64,
}

/// What a consumer asks for.
#[derive(Debug, Clone)]
pub(super) enum Consume {
    /// Events after its positions.
    Next,
    /// It has these.
    Acknowledge(Vec<(DeviceKey, Sequence)>),
}

/// What a consumer is told.
#[derive(Debug)]
pub(super) enum Consumed {
    /// Events, in order for each device.
    Events(Vec<(DeviceKey, Sequence)>),
    /// Its positions are durable.
    Acknowledged(Vec<(DeviceKey, Sequence)>),
    /// Another node.
    Failed,
}
