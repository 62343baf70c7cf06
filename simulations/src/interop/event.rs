//! What a driver says, as types. The lines are described in `simulations/interop/README.md`; fields that no
//! test reads are left out. A line of another shape is not an event and ends the client that said it.

use serde::Deserialize;

/// What a driver says, one line each. JIDs are texts as the library writes them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEvent {
    /// The first line.
    Ready {
        /// Name of the library.
        client: String,
    },
    /// A phone may scan this now.
    Qr {
        /// The text behind the QR code.
        code: String,
    },
    /// The answer to a command about people.
    Answer {
        /// What the command carried.
        r#ref: String,
        /// In a shape of its own for each command.
        value: serde_json::Value,
    },
    /// Somebody whose presence was asked for.
    Presence {
        /// Who.
        from: String,
        /// Is there, or is not.
        available: bool,
    },
    /// Somebody types.
    Typing {
        /// Who.
        from: String,
        /// `composing`, `recording` or `paused`.
        state: String,
    },
    /// A call rings, or does not any more.
    Call {
        /// Its id.
        id: String,
        /// Whose.
        from: String,
        /// `offer`, `terminate`, …
        what: String,
    },
    /// Somebody changed what he shows.
    Contact {
        /// Who.
        from: String,
        /// `picture`, or `about` and the text.
        what: String,
    },
    /// A phone may enter this now.
    PairCode {
        /// Eight characters, with or without a dash.
        code: String,
    },
    /// The account has a passkey: an authenticator has to answer.
    Passkey {
        /// `PublicKeyCredentialRequestOptions`, JSON.
        options: String,
    },
    /// The phone has accepted.
    Paired {
        /// Own JID of the phone number, with the device number.
        pn: String,
        /// Own hidden identity, with the device number.
        lid: String,
    },
    /// Logged in and able to send.
    Connected {
        /// Own JID of the phone number, with the device number.
        pn: String,
        /// Own hidden identity, with the device number.
        lid: String,
    },
    /// A text, decrypted.
    Message(ReceivedMessage),
    /// A message of another kind than text, or one about an earlier message.
    Said(Said),
    /// The file of a message, fetched and verified by the library.
    File(ReceivedFile),
    /// A message could not be decrypted; the library asks its sender again.
    Undecryptable {
        /// Its id.
        id: String,
        /// Where.
        chat: String,
        /// From whom.
        sender: String,
    },
    /// A send was handed over.
    Sent {
        /// What the command carried.
        r#ref: String,
        /// Id that WhatsApp and the receivers know.
        id: String,
    },
    /// A peer has received or read.
    Receipt {
        /// Which messages.
        ids: Vec<String>,
        /// `delivered`, `inactive`, `read`, `retry`, …
        r#type: String,
        /// Where.
        chat: String,
        /// Whose.
        sender: String,
    },
    /// Stanzas were read and written again by the library.
    Recoded {
        /// What the command carried.
        r#ref: String,
        /// Hexadecimal, in order; or `error: …`.
        trees: Vec<String>,
    },
    /// A group was made.
    Group {
        /// What the command carried.
        r#ref: String,
        /// Its JID.
        jid: String,
        /// Its subject.
        subject: String,
    },
    /// A change was made.
    Changed {
        /// What the command carried.
        r#ref: String,
    },
    /// Somebody has changed a chat or a setting of the account.
    Chat {
        /// `mute`, `pin`, `archive`, `read`, `star`, `push_name`, …
        what: String,
        /// Where, or which label or quick reply; empty for a setting.
        chat: String,
        /// Done or undone.
        on: bool,
        /// Id of a message, a label, or a name.
        text: String,
    },
    /// The phone has told of the past.
    History {
        /// Chats in this piece.
        chats: usize,
        /// Messages in them.
        messages: usize,
    },
    /// The connection is gone.
    Disconnected {
        /// `closed` (it reconnects), `asked`, `replaced`, `logged_out`, `forbidden`.
        reason: String,
    },
    /// A command or a connection failed.
    Error {
        /// What the command carried.
        #[serde(default)]
        r#ref: String,
        /// The library's words.
        message: String,
    },
}

/// What a real client received beside texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// Id that WhatsApp and the receivers know; empty where the library does not tell.
    pub id: String,
    /// One word: `poll`, `reaction`, …
    pub kind: String,
    /// Its text, as far as it has one.
    pub text: String,
    /// Id of the message that it is about; empty when it is about none.
    pub about: String,
    /// What else it says, in the words of `simulations/interop/README.md`; empty where its kind has no more.
    #[serde(default)]
    pub detail: String,
    /// Where.
    pub chat: String,
    /// From whom.
    pub sender: String,
}

/// A file that a real client received.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedFile {
    /// Id of its message.
    pub id: String,
    /// `image`, `video`, `note`, `audio`, `voice`, `document`, `sticker`, or `view_once`: an image to look at once.
    pub kind: String,
    /// Its type.
    pub mime: String,
    /// What was said with it.
    pub caption: String,
    /// In bytes.
    pub size: u64,
    /// In hex.
    pub sha256: String,
    /// The album that a picture belongs to; empty for none.
    pub about: String,
    /// Where.
    pub chat: String,
    /// What the message says of it.
    pub shown: Shown,
}

/// What can be shown of a file before it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Shown {
    /// How long it lasts; 0 when that is not said.
    pub seconds: u32,
    /// In pixels; 0 when that is not said.
    pub width: u32,
    /// In pixels; 0 when that is not said.
    pub height: u32,
    /// In hex.
    pub waveform: String,
    /// That a part of a picture leads to: latitude, longitude and name; empty for none.
    pub place: String,
}

/// A text that a real client received.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedMessage {
    /// Id that WhatsApp and the receivers know.
    pub id: String,
    /// The text.
    pub text: String,
    /// A copy of what another device of the same account sent.
    pub from_me: bool,
    /// Where.
    pub chat: String,
    /// From whom.
    pub sender: String,
    /// The sender's other address; for a copy, the chat's.
    pub alt: String,
    /// The name of a business, as WhatsApp has certified it.
    pub verified: String,
}
