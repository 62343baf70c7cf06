//! What the ledger keeps, as it is handed out.

use std::collections::{BTreeMap, VecDeque};

use roost_proto::noise::Pattern;
use serde::Serialize;

/// One message key that was seen with two different ciphertexts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyReuse {
    /// Who encrypted.
    pub sender: String,
    /// For whom: a device, or a group.
    pub receiver: String,
    /// The sender's ratchet key, or the number of its chain, hexadecimal.
    pub ratchet: String,
    /// The position in its chain.
    pub counter: u32,
    /// `msg`, `pkmsg` or `skmsg`, of the second ciphertext.
    pub kind: String,
    /// The first 8 bytes of SHA-256 of both ciphertexts, hexadecimal.
    pub ciphertexts: [String; 2],
    /// The message that the second one came with.
    pub message: String,
    /// Unix milliseconds.
    pub at: i64,
}

/// One connection of a device that was logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionRecord {
    /// Number of the connection, unique in one run of the server.
    pub connection: u64,
    /// Its handshake.
    pub handshake: Pattern,
    /// Login, Unix milliseconds.
    pub login_at: i64,
    /// End, Unix milliseconds; none while it lives.
    pub ended_at: Option<i64>,
    /// Why it ended, in a word.
    pub end: Option<String>,
}

/// What the server counted for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRecord {
    /// Accepted logins.
    pub logins: u64,
    /// Logins of which the device was refused.
    pub refused_logins: u64,
    /// Logins whose connection came where the one before was told to go.
    pub routed: u64,
    /// Connections that were ended because a newer one logged in.
    pub replaced: u64,
    /// Messages of it that would have begun a chat and were refused, because its account may not.
    pub refused_reach_outs: u64,
    /// Messages that it sent, resends included.
    pub messages_sent: u64,
    /// Messages that it sent again under an id that it had used.
    pub messages_repeated: u64,
    /// Ciphertexts that it sent.
    pub ciphertexts: u64,
    /// Messages that it sent without a ciphertext for every device of both accounts. Right after a device
    /// was linked that is normal; afterwards the sender works with an old list.
    pub incomplete_fanouts: u64,
    /// Messages written to its connections, repetitions included.
    pub messages_delivered: u64,
    /// Messages that it settled with a receipt or an ack.
    pub messages_settled: u64,
    /// Messages that were written after a login, because they came earlier or were not settled.
    pub messages_from_backlog: u64,
    /// Batches of its backlog that it asked for.
    pub batches: u64,
    /// Retry receipts that it sent.
    pub retries: u64,
    /// Retry receipts that it was sent.
    pub asked_again: u64,
    /// Stanzas of it that were refused.
    pub refused_stanzas: u64,
    /// Ciphertexts and sender keys of it for devices that are none of the chat or group.
    pub misdirected: u64,
    /// Its messages to groups under a sender key that it gave to somebody who is not in the group.
    pub old_chains: u64,
    /// Its messages that a phone has read, whose tokens to report them by were those of what they say.
    pub reportable: u64,
    /// Those whose tokens were others.
    pub falsely_reportable: u64,
    /// Deliveries that were dropped because its backlog was full.
    pub dropped: u64,
    /// Its last connections, oldest first.
    pub connections: VecDeque<ConnectionRecord>,
}

/// One message and where it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageRecord {
    /// The sending device.
    pub from: String,
    /// The chat that it named.
    pub to: String,
    /// First seen, Unix milliseconds.
    pub at: i64,
    /// Receivers by device.
    pub receivers: BTreeMap<String, Receiver>,
}

/// One receiver of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Receiver {
    /// How often it was written to a connection (the phone: handed over).
    pub delivered: u32,
    /// When it was first settled, Unix milliseconds.
    pub settled_at: Option<i64>,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalRecord {
    /// Unix milliseconds.
    pub at: i64,
    /// Who said it; none before the login.
    pub device: Option<String>,
    /// The tag of its stanza, or of the part of it that was refused; `login` or `registration` when a client was not let in,
    /// `connection` when what it wrote was no stanza.
    pub tag: String,
    /// The id of its stanza, if it has one.
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

/// Counts over all devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Message keys seen with two ciphertexts.
    pub key_reuses: u64,
    /// Ciphertexts seen.
    pub ciphertexts: u64,
    /// Ciphertexts seen again, byte for byte.
    pub repeated_ciphertexts: u64,
    /// Ciphertexts whose outer form could not be read.
    pub unreadable_ciphertexts: u64,
    /// Message keys that are still remembered.
    pub keys_remembered: u64,
    /// Accepted logins.
    pub logins: u64,
    /// Messages accepted from devices.
    pub messages: u64,
    /// Refusals seen.
    pub refusals: u64,
}
