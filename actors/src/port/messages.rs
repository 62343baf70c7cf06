//! Messages that were accepted, and what becomes of them.

use bytes::Bytes;
use roost_proto::api;
use roost_proto::id::UnixMillis;

/// An accepted send, before anything was encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Ours: a ULID. Part of the resource name.
    pub message_id: String,
    /// The caller's idempotency key, a UUID in its canonical form.
    pub request_id: String,
    /// SHA-256 of what was asked; tells a repetition from a reused key.
    pub request_hash: [u8; 32],
    /// The id that WhatsApp and the receivers will see. Reserved now, never changed.
    pub whatsapp_id: String,
    /// Recipient as the caller named it, in canonical JID form.
    pub chat: String,
    /// The plaintext to encrypt: an encoded `Message` of WhatsApp, without padding.
    pub content: Bytes,
    /// When it was accepted.
    pub accepted: UnixMillis,
    /// What its sender allows.
    pub terms: Terms,
}

/// What the sender of a message allows that is done with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What is not encrypted by then is never sent.
    pub expires: Option<UnixMillis>,
    /// What may have reached WhatsApp is not sent again: it ends as [`MessageState::Indeterminate`].
    pub once: bool,
}

/// State of a message. One of a higher [`rank`] never goes back to one of a lower.
pub type MessageState = api::message::State;

/// Place of a message state in its order, which no update lowers. From `Sent` on WhatsApp says it, against our verdict.
pub fn rank(state: MessageState) -> i16 {
    match state {
        MessageState::Unspecified => 0,
        MessageState::Accepted => 1,
        MessageState::Queued => 2,
        MessageState::Sending => 3,
        MessageState::Indeterminate => 4,
        MessageState::Failed | MessageState::Expired | MessageState::Cancelled => 5,
        MessageState::Sent => 6,
        MessageState::Delivered => 7,
        MessageState::Read => 8,
        MessageState::Played => 9,
    }
}

/// A change of a message row, in the same transaction as the ratchet that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageUpdate {
    /// Which message.
    pub message_id: String,
    /// Its new state; a row in a later state keeps it.
    pub state: MessageState,
    /// The exact bytes (a marshalled stanza) to put on the wire, once they exist.
    pub wire: Option<Bytes>,
    /// Why it failed, when it did: a reason of `product.md` section 6.
    pub failure: Option<String>,
    /// When.
    pub at: UnixMillis,
}

/// The most messages that are looked for in one question: as many as one receipt of WhatsApp Web names, and the one in
/// whose name it comes.
pub const SOUGHT: usize = 257;

/// A stored message.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMessage {
    /// As it was accepted.
    pub message: NewMessage,
    /// Its state.
    pub state: MessageState,
    /// The bytes for the wire, once encrypted.
    pub wire: Option<Bytes>,
    /// Position in the order of acceptance, per device.
    pub ordinal: i64,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was sent, acknowledged by WhatsApp, delivered, read; whatever is known.
    pub sent: Option<UnixMillis>,
    /// WhatsApp's acknowledgement.
    pub server_ack: Option<UnixMillis>,
    /// First delivery receipt.
    pub delivered: Option<UnixMillis>,
    /// First read receipt.
    pub read: Option<UnixMillis>,
}

impl StoredMessage {
    /// The row of a message that was accepted just now, at this place in the order of acceptance.
    pub fn accepted(message: NewMessage, ordinal: i64) -> StoredMessage {
        StoredMessage {
            message,
            state: MessageState::Accepted,
            wire: None,
            ordinal,
            failure: None,
            sent: None,
            server_ack: None,
            delivered: None,
            read: None,
        }
    }
}
