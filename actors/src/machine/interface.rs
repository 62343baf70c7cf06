//! What goes into the machine and what comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::appstate::Action;
use roost_proto::ask::making::Made;
use roost_proto::ask::media::MediaHosts;
use roost_proto::id::{Age, Sequence, UnixMillis};
use roost_proto::login::FullHistory;
use roost_proto::media::RetryAnswer;
use roost_proto::stanza::Stanza;
use roost_proto::version::ProtocolVersion;

use super::Account;
use super::crypto::{Changed, Request as CryptoRequest};
use super::files::{Fetched, Fetching};
use crate::device::{
    AcceptedSend, Appearance, AskError, Command, CommandError, Finished, Identities, MakeError, Pace,
    PairError, PairingUpdate, PasskeyError, SendError,
};
use crate::port::{
    Attempt, Batch, Committed, DeviceStatus, FileError, Reached, StateKey, StoredMessage, Unneeded, Urgency,
};

/// The moment at which an event is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For spans and deadlines.
    pub boot: BootTime,
    /// For what people and WhatsApp read.
    pub wall: UnixMillis,
    /// Whether the node's lease lets it act.
    pub may_act: bool,
    /// [`Clocks::age`](crate::port::Clocks::age).
    pub age: Age,
    /// [`Clocks::trusted`](crate::port::Clocks::trusted).
    pub trusted: Age,
}

/// What a new owner found in the store, without the secrets.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Who the device is, when it is paired.
    pub account: Option<Account>,
    /// Whether it has keys.
    pub keys: bool,
    /// The row of [`StateKind::Tenure`](crate::port::StateKind::Tenure).
    pub tenure: Option<Bytes>,
    /// The row of [`StateKind::Leftovers`](crate::port::StateKind::Leftovers).
    pub leftovers: Option<Bytes>,
    /// Accepted messages that WhatsApp has not acknowledged, in order.
    pub outbox: Vec<StoredMessage>,
    /// Rows of [`StateKind::Retry`](crate::port::StateKind::Retry) with their names.
    pub awaited: Vec<(String, Bytes)>,
    /// Rows of [`StateKind::AppStateHead`](crate::port::StateKind::AppStateHead) with their names.
    pub app_state: Vec<(String, Bytes)>,
    /// Whether the phone has shared a key of app state.
    pub app_state_keys: bool,
    /// History that has not been told to its end.
    pub history: Vec<(StateKey, Bytes)>,
    /// Rows of [`StateKind::StatusPost`](crate::port::StateKind::StatusPost) with their names.
    pub posts: Vec<(String, Bytes)>,
    /// Rows of [`StateKind::Making`](crate::port::StateKind::Making) with their names.
    pub makings: Vec<(String, Bytes)>,
    /// The row of [`StateKind::Presence`](crate::port::StateKind::Presence).
    pub presence: Option<Bytes>,
    /// The row of [`StateKind::Pacing`](crate::port::StateKind::Pacing).
    pub pacing: Option<Bytes>,
    /// The row of [`StateKind::SecretHead`](crate::port::StateKind::SecretHead).
    pub secret_head: Option<Bytes>,
    /// The row of [`StateKind::Salt`](crate::port::StateKind::Salt).
    pub salt: Option<Bytes>,
    /// The version of WhatsApp Web that was chosen for the device.
    pub version: ProtocolVersion,
    /// The status that the last owner left.
    pub status: Option<DeviceStatus>,
    /// When it last took part in a conversation, as far as that is known.
    pub active: Option<UnixMillis>,
}

/// What happens to a device.
#[derive(Debug)]
pub enum Event {
    /// Its state was read. Always the first.
    Loaded(Box<Loaded>),
    /// Noise is done; stanzas may flow.
    LinkUp {
        /// Which link.
        link: u64,
    },
    /// There is no link (any more).
    LinkDown {
        /// Which link.
        link: u64,
        /// Why, for a person.
        why: String,
        /// It never came up, and nothing but the way to WhatsApp is to blame.
        unreached: bool,
    },
    /// The grant does not stand any more.
    Stale,
    /// The answer to [`Effect::AskPermit`]: whether the store answered that the grant stands.
    PermitAnswered(bool),
    /// A frame was decrypted.
    Stanza {
        /// From which link.
        link: u64,
        /// The plaintext of the frame.
        raw: Bytes,
        /// The stanza in it, or why there is none.
        stanza: Result<Stanza, String>,
        /// It made a machine fail before: put it aside.
        poisonous: bool,
    },
    /// Crypto has done what was asked, in the order of asking.
    Crypto {
        /// Which request.
        token: u64,
        /// What came of it.
        changed: Changed,
    },
    /// The commit in flight is durable.
    Committed(Committed),
    /// The commit in flight may or may not have happened.
    CommitFailed,
    /// A write met a newer epoch.
    Fenced,
    /// The answer to a lookup.
    Found {
        /// Which lookup.
        token: u64,
        /// Those that are ours.
        messages: Vec<StoredMessage>,
    },
    /// The answer to [`Effect::Fetch`].
    Fetched {
        /// Which.
        token: u64,
        /// What has come, or why nothing has.
        outcome: Result<Fetched, FileError>,
    },
    /// A deadline has come.
    Tick,
    /// The version of WhatsApp Web that is chosen for the device now.
    Version(ProtocolVersion),
    /// From a handle.
    Command {
        /// For the reply.
        token: u64,
        /// What to do.
        command: Command,
    },
}

/// What a device asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Open a link.
    Dial {
        /// Its number; grows.
        link: u64,
        /// Log in as a paired device, or register to be paired.
        dial: DialAs,
        /// Where in WhatsApp, in its own words; at most [`MAX_ROUTING`](roost_proto::frame::MAX_ROUTING) bytes.
        routing: Option<Bytes>,
        /// As this version of WhatsApp Web.
        version: ProtocolVersion,
        /// Its place among the devices of this node that wait to log in.
        urgency: Urgency,
    },
    /// Close a link at once.
    Close {
        /// Which.
        link: u64,
    },
    /// Put one encoded stanza on the wire.
    Send {
        /// On which link.
        link: u64,
        /// What.
        bytes: Bytes,
    },
    /// Use keys.
    Crypto {
        /// For the answer.
        token: u64,
        /// What to do.
        request: CryptoRequest,
    },
    /// Write, all or nothing.
    Commit(Arc<Batch>),
    /// What crypto changed for requests up to this one is durable: it may leave memory.
    Durable(u64),
    /// Find messages that we sent.
    Lookup {
        /// For the answer.
        token: u64,
        /// WhatsApp's ids of them, at most [`SOUGHT`](crate::port::SOUGHT).
        whatsapp_ids: Vec<String>,
    },
    /// Fetch a file of WhatsApp, or read on in it.
    Fetch {
        /// For the answer.
        token: u64,
        /// Where files are, the best one first; empty when nobody could say.
        hosts: Vec<String>,
        /// What.
        what: Fetching,
    },
    /// Have a file of WhatsApp deleted, beside everything else.
    Delete {
        /// Where files are.
        hosts: MediaHosts,
        /// Which.
        file: Box<Unneeded>,
    },
    /// Ask the database whether the grant stands.
    AskPermit,
    /// What WhatsApp made of a login; the pace of others may depend on it.
    Report(Attempt),
    /// So many stanzas are settled: as many more may be read.
    Credit(usize),
    /// Show the status.
    Publish(DeviceStatus),
    /// How it gets through to WhatsApp has changed, or is known anew.
    Reached(Reached),
    /// The log of this device ends here now.
    Tail(Sequence),
    /// Answer a command.
    Reply {
        /// Which.
        token: u64,
        /// The answer.
        reply: Reply,
    },
    /// A message was held back for so long by the pace.
    Paced(Duration),
    /// Tell the followers of the pairing attempt.
    Pairing(PairingUpdate),
    /// End.
    Finish(Finished),
}

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialAs {
    /// A paired device comes online.
    Login(DialLogin),
    /// A device asks to be paired, will be shown like this, and may ask for all of the past.
    Pairing(Appearance, Option<FullHistory>),
}

/// How a paired device names itself when it logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialLogin {
    /// Phone number as a number.
    pub username: u64,
    /// Device number.
    pub device: u16,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To a send.
    Sent(Result<Box<AcceptedSend>, SendError>),
    /// To pairing: follow the attempt.
    Pairing(Result<(), PairError>),
    /// To the answer of a passkey.
    Passkey(Result<(), PasskeyError>),
    /// To a question: WhatsApp's good answer.
    Asked(Result<Box<Stanza>, AskError>),
    /// To making something: its JID.
    Made(Result<Made, MakeError>),
    /// What collections of app state say.
    Contents(Vec<Action>),
    /// The phone was asked, with the message of this id.
    AskedPhone(Result<String, CommandError>),
    /// To a part of an import.
    Imported(Result<(), PairError>),
    /// What the phone said of a file.
    Media(Result<RetryAnswer, CommandError>),
    /// What is known of a user.
    Identities(Result<Identities, AskError>),
    /// The pace.
    Pace(Result<Pace, CommandError>),
    /// To the others.
    Done(Result<(), CommandError>),
}
