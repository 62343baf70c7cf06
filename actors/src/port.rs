//! What a device needs from outside: its state in the store, a link to WhatsApp, a permit to dial,
//! and clocks.
//!
//! What must hold in every adapter: `commit` is one transaction whose first statement is the fence,
//! all of a batch or nothing of it; reads happen under the same epoch. The ports know nothing of
//! ratchets or stanzas: state is opaque bytes here and sealed below.

mod files;
mod kind;
mod link;
mod messages;
mod proxy;
mod sweep;
mod votes;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use roost_placement::heads::Heads;
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Grant, Unavailable};
use roost_placement::seeded::{self, Bug};
use roost_proto::api;
use roost_proto::id::{Age, DeviceKey, Sequence, UnixMillis};

pub use files::{FetchedFile, FileError, Files, Unneeded};
pub use kind::StateKind;
pub use link::{Dialer, LinkError, LinkSink, LinkSource};
pub use messages::{MessageState, MessageUpdate, NewMessage, SOUGHT, StoredMessage, Terms, rank};
pub use proxy::{ProxyError, ProxyKind, ProxyUri};
pub use sweep::Sweep;
pub use votes::{CastVote, Vote};

/// Name of one piece of device state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// What it is.
    pub kind: StateKind,
    /// Which one; empty where there is only one.
    pub name: String,
}

/// A change of device state: new bytes, or `None` to remove.
pub type StateChange = (StateKey, Option<Bytes>);

/// An event for the log. `dedupe` is unique per device for ever: a second with the same one is left out, without a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// At most 300 bytes.
    pub dedupe: String,
    /// When it happened, by WhatsApp's clock where it gives one.
    pub occurred: UnixMillis,
    /// Live, or from the backlog.
    pub origin: api::event::Origin,
    /// What happened.
    pub payload: api::event::Payload,
}

/// A stanza that kept failing: its bytes are kept, the line goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedStanza {
    /// Unique per device; a second one with the same key is left out.
    pub dedupe: String,
    /// The decrypted frame as it came.
    pub raw: Bytes,
    /// Why, for a person.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

/// What the device row shows to callers.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceStatus {
    /// State machine of `product.md` section 3.
    pub state: api::device::State,
    /// A sentence that a support agent can read.
    pub reason: String,
    /// WhatsApp's code behind it, 0 when there is none.
    pub code: u32,
    /// Phone-number JID of the account with our device number, once paired.
    pub pn: Option<String>,
    /// LID of the account with our device number, once paired.
    pub lid: Option<String>,
    /// The name that others see; empty while the phone has not told it.
    pub push_name: String,
    /// When.
    pub at: UnixMillis,
    /// How WhatsApp judges the account; without a field where nothing is known.
    pub health: api::AccountHealth,
}

/// How a device gets through to WhatsApp. Of this owner, and of the moment: nothing of it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// When WhatsApp last completed a handshake or answered a sign of life.
    pub heard: Option<BootTime>,
    /// Since when all attempts have ended on the way to WhatsApp, without a word of it.
    pub failing: Option<BootTime>,
    /// It goes through a proxy of its own, so that it says nothing of its node's way.
    pub apart: bool,
}

/// An id of WhatsApp that the sender of a message has chosen: the accept that it belongs to is refused when it is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChosenId {
    /// Of which accept in the same batch, by our id.
    pub message_id: String,
    /// Dedupe keys that say it is taken; the first becomes one with the accept, so that the id stays taken when the row
    /// of its message is gone.
    pub taken_by: Vec<String>,
}

/// Everything that one transaction writes for one device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The age of the database that its writer knows of.
    pub age: Age,
    /// Changes of state, in order; later ones win.
    pub state: Vec<StateChange>,
    /// Accepted sends.
    pub accepts: Vec<NewMessage>,
    /// Which of them have an id that must not be taken.
    pub chosen: Vec<ChosenId>,
    /// Changes of message rows.
    pub messages: Vec<MessageUpdate>,
    /// Votes, in any order.
    pub votes: Vec<CastVote>,
    /// Events, in the order they must have in the log.
    pub events: Vec<NewEvent>,
    /// Stanzas put aside.
    pub quarantine: Vec<QuarantinedStanza>,
    /// New status of the device row.
    pub status: Option<DeviceStatus>,
    /// What is to go of the rows that are of no use any more.
    pub sweep: Option<Sweep>,
}

/// What became of one accept.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// A new row.
    New {
        /// Its place in the order of acceptance.
        ordinal: i64,
    },
    /// The same request was accepted before: its row as it is now.
    Repeated(Box<StoredMessage>),
    /// The request id belongs to other content. Nothing was written for it.
    KeyReused,
    /// The id that its sender has chosen is taken. Nothing was written for it.
    IdTaken,
}

/// What a committed batch has become.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// One per accept, in order.
    pub accepts: Vec<Accepted>,
    /// One per event, in order: its sequence, `None` when it was in the log before.
    pub events: Vec<Option<Sequence>>,
    /// How many rows the sweep has removed, if there was one; fewer than it may are the last.
    pub swept: Option<usize>,
}

/// Why device state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DeviceStoreError {
    /// The epoch is old: stop, close, never try again.
    #[error("the epoch of this device has moved on")]
    Fenced,
    /// No answer. A commit may or may not have happened; the same batch may be committed again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A stored row cannot be opened or read: damaged, or sealed under another key.
    #[error("stored state {what} cannot be read: {why}")]
    Damaged {
        /// Which row.
        what: String,
        /// Why.
        why: String,
    },
}

/// What a new owner begins with.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// All state but the kinds on demand.
    pub state: Vec<(StateKey, Bytes)>,
    /// Accepted messages that WhatsApp has not acknowledged, in order of acceptance.
    pub outbox: Vec<StoredMessage>,
    /// The status that the last owner left.
    pub status: Option<DeviceStatus>,
    /// When the last event was committed that Roost did not make itself, as far as the end of the log
    /// says. A hint for the order of logins.
    pub active: Option<UnixMillis>,
    /// The age of the database that this was read in: ratchets that were written in an earlier one may be older than
    /// what was sent with them.
    pub age: Age,
    /// How far the log and the messages have come.
    pub heads: Heads,
    /// The proxy through which it connects; `None` for its node's own way.
    pub proxy: Option<ProxyUri>,
}

/// The device's share of the store.
#[async_trait]
pub trait DeviceStore: Send + Sync + 'static {
    /// Reads what a new owner begins with, under its epoch.
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError>;

    /// Reads pieces of state under the epoch; one answer per key, in order. Unavailable while the database is not in
    /// this age.
    async fn read(
        &self,
        grant: &Grant,
        age: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError>;

    /// Finds messages that this device sent, by WhatsApp's ids: those that there are, each once, in the order in which they
    /// were accepted; of those that share an id the first. Ids beyond [`SOUGHT`] are not looked for.
    async fn sent_messages(
        &self,
        grant: &Grant,
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError>;

    /// Writes a batch under the fence, unless the database is in another age than the batch. All or nothing. Safe to
    /// repeat with the same batch after [`DeviceStoreError::Unavailable`].
    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError>;
}

/// A permit to finish one login, valid until a moment of the boot clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialPermit {
    /// What it is for.
    pub grant: Grant,
    /// Directly before the last handshake message, `Clocks::boot()` must be less than this.
    pub expires: BootTime,
}

impl DialPermit {
    /// The last look before the last handshake message: whether this permit lets the holder of `grant` log in
    /// at `now`, on a node that may act or not.
    pub fn lets(&self, grant: &Grant, now: BootTime, may_act: bool) -> bool {
        seeded::on(Bug::NoPermit) || (self.grant == *grant && now < self.expires && may_act)
    }
}

/// Why there is no permit.
#[derive(Debug, thiserror::Error)]
pub enum PermitRefused {
    /// The database answered without this grant: stop.
    #[error("the grant does not stand any more")]
    Stale,
    /// No answer: wait and ask again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How soon a device should have its turn to log in. Earlier ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Somebody waits for it: accepted messages to send, or a pairing.
    Urgent,
    /// It was in use not long ago.
    Recent,
    /// Nothing is known to wait for it.
    Idle,
    /// It is still connected through another node, which is about to hand it off.
    Warm,
}

/// What became of an attempt to connect, or of the connection that came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The handshake came as far as the last message within this time.
    Answered(Duration),
    /// WhatsApp accepted the login.
    Accepted,
    /// WhatsApp refused the login because the client is too old: 405.
    Outdated,
    /// WhatsApp asked for less: 429, 500, 503, or an end of the stream that says so.
    PushedBack,
    /// WhatsApp ended it for another connection of the device: one of the device's next owner, by the permit
    /// that was refused since, or (`false`) one from outside of the cluster.
    Replaced {
        /// Whether that other one is ours.
        ours: bool,
    },
}

/// Where permits come from.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// A message was held back for so long by the pace of its device.
    fn paced(&self, _waited: Duration) {}
    /// Waits for this device's turn under the node's login rate.
    async fn turn(&self, key: &DeviceKey, urgency: Urgency);
    /// What WhatsApp made of an attempt to connect; the pace of the others may depend on it.
    fn report(&self, _outcome: Attempt) {}
    /// Asks the database now.
    async fn permit(&self, grant: &Grant) -> Result<DialPermit, PermitRefused>;
}

/// Time, as values.
pub trait Clocks: Send + Sync + 'static {
    /// `CLOCK_BOOTTIME`.
    fn boot(&self) -> BootTime;
    /// Wall clock.
    fn wall(&self) -> UnixMillis;
    /// Whether this node may act now: its lease, by the local deadline.
    fn may_act(&self) -> bool;
    /// The age of the database that this node knows of. While it may act, everything that it owned before has been
    /// posted in it.
    fn age(&self) -> Age;
    /// The first age whose memory is to be believed: in those before it others may have owned what this node owns,
    /// and all that they did is lost.
    fn trusted(&self) -> Age;
}
