//! What the machine asks crypto for, so that it knows what to make of each answer.

use crate::device::ImportedDevice;
use crate::machine::commit::Pending;
use crate::machine::identities::Wanted;
use crate::machine::{ask, history, inbound, outbound, pairing, peer, retry, secrets, tokens};

/// What an answer is for.
#[derive(Debug)]
pub(in crate::machine) enum Purpose {
    Keys {
        slot: u64,
        /// The account that was unlinked goes with its keys.
        anew: bool,
    },
    Qr {
        attempt: u64,
    },
    AcceptDevice {
        attempt: u64,
        slot: u64,
        link: u64,
        iq: String,
        device: Box<pairing::PairedAs>,
    },
    Inbound {
        slot: u64,
        message: Box<inbound::Inbound>,
    },
    Outgoing {
        slot: u64,
        ordinal: i64,
    },
    Resend {
        slot: u64,
        job: Box<retry::Job>,
    },
    /// Whether a phone number has this LID, so that its device may have a message again.
    ResendRight(String, Box<retry::Job>),
    Prekeys {
        slot: u64,
    },
    CompareKeys,
    Rotation {
        slot: u64,
    },
    State {
        slot: u64,
    },
    Import {
        slot: u64,
        token: u64,
        device: Option<Box<ImportedDevice>>,
        /// What becomes of what was another account's.
        parted: Box<Pending>,
    },
    Lid {
        pn: String,
    },
    /// Whether what a receipt says comes from those for whom the message was.
    Receipt(Box<crate::machine::receipts::Waiting>),
    /// People of the past who are named by their numbers alone.
    Past(Box<history::Unnamed>),
    /// Polls of the past to which options may have been added.
    PastPolls(Box<history::Unnamed>),
    /// Something that has come, or is to be sent, needs the secret of a message.
    Secret(Box<secrets::Sought>),
    /// A message waits to be sent, and may begin a chat.
    KnownChat {
        ordinal: i64,
    },
    /// A message is to be accepted, and new chats are barred.
    Admission(Box<outbound::Admission>),
    AppState {
        slot: u64,
    },
    ReadAppState {
        token: u64,
    },
    Peer {
        slot: u64,
        job: Box<peer::Job>,
    },
    PairHello {
        attempt: u64,
    },
    PairFinish {
        slot: u64,
        link: u64,
        attempt: u64,
    },
    /// A step behind a passkey; the last one, which changes keys, with its slot and link.
    Passkey {
        attempt: u64,
        sealing: Option<(u64, u64)>,
    },
    Identities(Wanted),
    Token(tokens::For),
    /// People are to be brought into a group.
    Showing(Box<ask::Showing>),
}

impl Purpose {
    /// The slot that commits what it changed, if it changes something. Who only reads must name none: what was changed
    /// for later slots in between would count as durable with this one.
    pub(in crate::machine) fn slot(&self) -> Option<u64> {
        match self {
            Purpose::Qr { .. }
            | Purpose::CompareKeys
            | Purpose::PairHello { .. }
            | Purpose::Lid { .. }
            | Purpose::Receipt(_)
            | Purpose::Past(_)
            | Purpose::PastPolls(_)
            | Purpose::ResendRight(..)
            | Purpose::ReadAppState { .. }
            | Purpose::Identities(Wanted::Caller { .. } | Wanted::Given(_) | Wanted::Viewer(_))
            | Purpose::Identities(Wanted::Chat { .. })
            | Purpose::Token(_)
            | Purpose::Showing(_)
            | Purpose::KnownChat { .. }
            | Purpose::Admission(_)
            | Purpose::Secret(_) => None,
            Purpose::Passkey { sealing, .. } => sealing.map(|(slot, _)| slot),
            Purpose::Keys { slot, .. }
            | Purpose::AcceptDevice { slot, .. }
            | Purpose::PairFinish { slot, .. }
            | Purpose::Inbound { slot, .. }
            | Purpose::Outgoing { slot, .. }
            | Purpose::Resend { slot, .. }
            | Purpose::Prekeys { slot }
            | Purpose::Rotation { slot }
            | Purpose::AppState { slot }
            | Purpose::Peer { slot, .. }
            | Purpose::Import { slot, .. }
            | Purpose::State { slot }
            | Purpose::Identities(Wanted::Profile { slot, .. }) => Some(*slot),
        }
    }
}
