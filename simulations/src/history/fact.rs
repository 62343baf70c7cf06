//! The facts: everything that an invariant may have to know.
//!
//! What must hold: a fact says what happened, never what should have; whoever records it has seen it (the
//! database, the simulated WhatsApp, the node's loop), so a bug in the code under test cannot hide one.

use roost_placement::ledger::{Desired, Grant, MemberState};
use roost_proto::id::{BusinessId, ConsumerId, DeviceKey, Epoch, Life, NodeId, Sequence};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fact {
    /// Microseconds since the run began, by a clock that no fault touches.
    pub at: u64,
    /// What.
    pub what: What,
}

/// How a device changed hands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum How {
    /// Nobody held it.
    Claim,
    /// This life held it, which was said to be over.
    TakeOver(Life),
    /// This life gave it.
    Give(Life),
    /// This life let it go.
    Release(Life),
    /// It was deleted.
    Delete,
    /// The database had lost the tail in which it was granted; whoever runs it keeps it.
    Attach,
}

/// What a stanza on the wire was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WireKind {
    /// A message, first time or again.
    Message,
    /// A receipt or an acknowledgement that settles something.
    Settle,
    /// Everything else: questions, also those that the own phone is to answer, pings, presence.
    Other,
}

/// One event that a commit put into the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Logged {
    /// Its place.
    pub sequence: Sequence,
    /// The received message that it holds, when it holds one: WhatsApp's id.
    pub message: Option<String>,
}

/// A transaction on the state of one device that became visible.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Under which grant it was written.
    pub grant: Grant,
    /// New events, in order.
    pub events: Vec<Logged>,
    /// WhatsApp's ids of received messages that the log holds now because of it, or held before:
    /// events, repetitions and stanzas put aside.
    pub holds: Vec<String>,
    /// WhatsApp's ids of messages that could not be read: they are kept until they have come again.
    pub awaits: Vec<String>,
    /// Ratchets that it wrote, with the version that each has now.
    pub ratchets: Vec<(String, u64)>,
    /// Digests of stanzas that it made durable for the wire, with WhatsApp's id of the message.
    pub wires: Vec<(String, u64)>,
    /// Requests that it accepted as new, with the id under which WhatsApp will know the message.
    pub accepts: Vec<(String, String)>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "fields are named by their types and by what is said of each fact")]
pub enum What {
    // Seen by the database. Its own clock, in Unix milliseconds, is `clock`.
    /// A life took its slot.
    Joined { life: Life, clock: i64, lease_until: i64 },
    /// A heartbeat renewed a lease.
    Beaten { life: Life, clock: i64, lease_until: i64, lease_since: i64 },
    /// A member changed its own state.
    Stood { life: Life, state: MemberState },
    /// A life was declared dead because its lease was over.
    Buried { victim: Life, by: Life, clock: i64 },
    /// A life was declared dead because its process had exited.
    Certified { victim: Life },
    /// A device changed hands; the epoch began with it.
    Granted { key: DeviceKey, epoch: Epoch, owner: Option<Life>, how: How },
    /// What the tenant wants of a device changed.
    Desired { key: DeviceKey, desired: Desired },
    /// A device must be on this node and on no other, or may be anywhere again.
    Required { key: DeviceKey, node: Option<NodeId> },
    /// A write on device state became visible.
    Committed(Box<Commit>),
    /// A write on device state was refused, because its grant does not stand.
    Fenced(Grant),
    /// A new owner's state was read for it.
    Loaded(Grant),
    /// A dial permit was granted.
    Permitted(Grant),
    /// Somebody asked for the ownership row of this grant's device.
    AskedStanding(Grant),
    /// The database's clock was set by so many milliseconds.
    ClockStepped { millis: i64 },
    /// From here on the standby of the database hears nothing more.
    StandbyBehind,
    /// That standby took over: what the database took since that microsecond is undone.
    TailLost { since: u64 },

    // Seen by the loop that runs the nodes.
    /// A process began its cluster part.
    Started(Life),
    /// A process is gone, its sockets with it.
    Exited(Life),
    /// A life heard that its lease was renewed.
    HeardRenewed(Life),
    /// A node stopped acting.
    Quiesced(Life),
    /// A node acts again.
    Resumed(Life),
    /// A process stands still, and so does its clock or not.
    Frozen { life: Life, clock_stops: bool },
    /// It runs again.
    Thawed(Life),
    /// A device was opened under this grant.
    Opened(Grant),
    /// Nothing of the device acts any more at this node, so it was said.
    Stopped(Grant),
    /// A device was told that another connection replaced its own.
    HeardReplaced(Grant),
    /// The last look at permit and lease before the last handshake message.
    CheckedPermit(Grant),
    /// The last handshake message left.
    SentLogin(Grant),
    /// A device changed something or sent something: it acts.
    Wired { grant: Grant, kind: WireKind, id: String, digest: u64, keys: Vec<(String, u64)> },

    // Seen by WhatsApp.
    /// A device is logged in. `grant` is whose socket it is.
    Online { grant: Grant, connection: u64 },
    /// A connection is over.
    Offline { key: DeviceKey, connection: u64, why: String },
    /// A message was written to a device for the first time or again.
    Delivered { key: DeviceKey, message: String },
    /// A device settled a message: it will not be delivered again.
    Settled { key: DeviceKey, message: String },
    /// A phone tells one of its own devices something in a message that is for no log, and there these messages,
    /// which the device has asked for.
    Told { key: DeviceKey, message: String, carries: Vec<String> },
    /// A ciphertext passed: between whom, under which message key, what.
    Ciphertext { from: String, to: String, key: u64, digest: u64 },
    /// A device uploaded a one-time prekey: its id, and a digest of the public key.
    Prekey { key: DeviceKey, id: u32, public: u64 },
    /// A device gave a signed prekey to be handed out: its id, and a digest of the public key.
    SignedPrekey { key: DeviceKey, id: u32, public: u64 },
    /// A message reached somebody who could read it: receiver, sender, id, digest of the content.
    Reached { receiver: String, sender: String, message: String, content: u64 },

    // Seen by callers and consumers.
    /// A caller asked for a message to be sent.
    Asked { tenant: BusinessId, key: DeviceKey, request: String, content: u64 },
    /// It was told that the message is accepted, under this id of WhatsApp.
    Accepted { tenant: BusinessId, key: DeviceKey, request: String, message: String },
    /// It was told no, or to come back.
    Refused { request: String, why: &'static str },
    /// An event was offered to a consumer of this tenant.
    Offered { tenant: BusinessId, consumer: ConsumerId, key: DeviceKey, sequence: Sequence },
    /// A consumer said that it has everything up to this event.
    Acknowledged { tenant: BusinessId, consumer: ConsumerId, key: DeviceKey, sequence: Sequence },

    // Said by whoever directs the run.
    /// A fault begins, in words.
    Fault(String),
    /// A fault begins that lasts until this microsecond, at one node or everywhere, in words.
    Spell { words: String, node: Option<NodeId>, until: u64 },
    /// Whom a node would have try for a tenant's devices, in order.
    Preferred { by: NodeId, tenant: BusinessId, order: Vec<NodeId> },
    /// All faults are over, and what they broke works again: liveness is owed from here.
    Healed,
    /// The end of the time that liveness was given.
    Due,
}

impl Fact {
    /// Whose fact it is: devices, lives and nodes by name.
    pub fn subjects(&self) -> impl Iterator<Item = String> {
        let (device, lives) = self.what.about();
        device
            .map(|key| key.device_id.to_string())
            .into_iter()
            .chain(lives.into_iter().map(|life| life.to_string()))
    }

    /// Whether a story needs it: heartbeats and keepalives tell nothing.
    pub fn is_weighty(&self) -> bool {
        !matches!(
            self.what,
            What::Beaten { .. }
                | What::HeardRenewed(_)
                | What::Wired { kind: WireKind::Other, .. }
                | What::AskedStanding(_)
        )
    }
}

/// Whether the receiver of a message is a device of ours: its name has slashes, a phone's is a number.
pub(crate) fn is_ours(receiver: &str) -> bool {
    receiver.contains('/')
}

impl What {
    /// Whether the database took it, so that it is gone when its tail is lost.
    pub fn is_stored(&self) -> bool {
        match self {
            What::Joined { .. }
            | What::Beaten { .. }
            | What::Stood { .. }
            | What::Buried { .. }
            | What::Certified { .. }
            | What::Granted { .. }
            | What::Desired { .. }
            | What::Required { .. }
            | What::Committed(_) => true,
            // What a device of ours has is its log.
            What::Reached { receiver, .. } => is_ours(receiver),
            _ => false,
        }
    }

    /// The device and the lives that a fact is about.
    fn about(&self) -> (Option<&DeviceKey>, Vec<&Life>) {
        match self {
            What::Joined { life, .. } | What::Beaten { life, .. } | What::Stood { life, .. } => {
                (None, vec![life])
            }
            What::Buried { victim, by, .. } => (None, vec![victim, by]),
            What::Certified { victim } => (None, vec![victim]),
            What::Granted { key, owner, .. } => (Some(key), owner.iter().collect()),
            What::Started(life)
            | What::Exited(life)
            | What::HeardRenewed(life)
            | What::Quiesced(life)
            | What::Resumed(life)
            | What::Frozen { life, .. }
            | What::Thawed(life) => (None, vec![life]),
            What::Committed(commit) => (Some(&commit.grant.key), vec![&commit.grant.life]),
            What::Fenced(grant)
            | What::Loaded(grant)
            | What::Permitted(grant)
            | What::AskedStanding(grant)
            | What::Opened(grant)
            | What::Stopped(grant)
            | What::HeardReplaced(grant)
            | What::CheckedPermit(grant)
            | What::SentLogin(grant)
            | What::Wired { grant, .. }
            | What::Online { grant, .. } => (Some(&grant.key), vec![&grant.life]),
            What::Desired { key, .. }
            | What::Required { key, .. }
            | What::Offline { key, .. }
            | What::Delivered { key, .. }
            | What::Settled { key, .. }
            | What::Told { key, .. }
            | What::Prekey { key, .. }
            | What::SignedPrekey { key, .. }
            | What::Asked { key, .. }
            | What::Accepted { key, .. }
            | What::Offered { key, .. }
            | What::Acknowledged { key, .. } => (Some(key), Vec::new()),
            What::ClockStepped { .. }
            | What::StandbyBehind
            | What::TailLost { .. }
            | What::Ciphertext { .. }
            | What::Reached { .. }
            | What::Refused { .. }
            | What::Fault(_)
            | What::Spell { .. }
            | What::Preferred { .. }
            | What::Healed
            | What::Due => (None, Vec::new()),
        }
    }
}
