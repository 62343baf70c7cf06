//! What can be asked of a device, what it answers, and the ways in which it refuses.

use std::time::Duration;

use roost_proto::appstate::{Action, Collection};
use roost_proto::ask::making::Made;
use roost_proto::content::MessageContent;
use roost_proto::id::UnixMillis;
use roost_proto::media::RetryAnswer;
use roost_proto::phone::WantHistory;
use roost_proto::stanza::iq::Refused;
use roost_proto::stanza::{Jid, Missing, Stanza};
use tokio::sync::watch;

use super::health::{Bar, Pace, PacingPolicy};
use super::import::Import;
use super::making::{Make, MakeError};
use super::media::LostMedia;
use super::pairing::{PairError, Pairing, PairingUpdate, PasskeyAnswer, PasskeyError};
use super::people::{Identities, Typing};
use super::reading::MarkRead;
use crate::port::{StoredMessage, Terms};

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// By phone number: 7 to 15 digits.
    Phone(String),
    /// By hidden identity: digits.
    Lid(String),
    /// A group: digits, in old ones with a dash.
    Group(String),
    /// A status post for these people, by bare JIDs.
    Status(Vec<Jid>),
    /// A newsletter: digits.
    Newsletter(String),
    /// A bot of WhatsApp: digits.
    Bot(String),
}

/// Why a text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Not an international phone number.
    #[error("a phone number has 7 to 15 digits, with or without a leading '+'")]
    Phone,
    /// Not a hidden identity.
    #[error("a lid has 5 to 20 digits, with or without '@lid'")]
    Lid,
    /// Not a group.
    #[error("a group has 10 to 40 digits and dashes, with or without '@g.us'")]
    Group,
}

impl Recipient {
    /// Reads an international phone number, with or without `+`.
    pub fn phone(text: &str) -> Result<Recipient, RecipientError> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let good = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if good { Ok(Recipient::Phone(digits.to_owned())) } else { Err(RecipientError::Phone) }
    }

    /// Reads `{digits}@lid`, or only the digits.
    pub fn lid(text: &str) -> Result<Recipient, RecipientError> {
        let digits = text.strip_suffix("@lid").unwrap_or(text);
        let good = (5..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if good { Ok(Recipient::Lid(digits.to_owned())) } else { Err(RecipientError::Lid) }
    }

    /// Reads `{digits}@g.us`, or only the digits; old groups have a dash between them.
    pub fn group(text: &str) -> Result<Recipient, RecipientError> {
        let id = text.strip_suffix("@g.us").unwrap_or(text);
        let good = (10..=40).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_digit() || b == b'-')
            && !id.starts_with('-')
            && !id.ends_with('-');
        if good { Ok(Recipient::Group(id.to_owned())) } else { Err(RecipientError::Group) }
    }

    /// The JID, without a device number.
    pub fn jid(&self) -> String {
        match self {
            Recipient::Phone(digits) => format!("{digits}@s.whatsapp.net"),
            Recipient::Lid(digits) => format!("{digits}@lid"),
            Recipient::Group(id) => format!("{id}@g.us"),
            Recipient::Newsletter(id) => format!("{id}@newsletter"),
            Recipient::Bot(digits) => format!("{digits}@bot"),
            Recipient::Status(_) => "status@broadcast".to_owned(),
        }
    }
}

/// A message to accept.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRequest {
    /// To whom.
    pub to: Recipient,
    /// What; the edge has checked it.
    pub content: MessageContent,
    /// The caller's idempotency key: a UUID in its canonical form.
    pub request_id: String,
    /// SHA-256 of what was asked: tells a repetition from a reused key.
    pub request_hash: [u8; 32],
    /// WhatsApp's id, when the caller has chosen it; the edge has checked its form.
    pub whatsapp_id: Option<String>,
    /// What is allowed.
    pub terms: Terms,
}

/// A message that is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedSend {
    /// As it stands now.
    pub message: StoredMessage,
    /// The same request was accepted before.
    pub repeated: bool,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The device was never paired.
    #[error("the device is not paired")]
    NotPaired,
    /// WhatsApp has unlinked the device.
    #[error("the device was logged out")]
    LoggedOut,
    /// Something outside of the cluster uses the device's keys.
    #[error("another connection with the keys of this device is in use")]
    Conflict,
    /// The account is temporarily banned, until then if WhatsApp said so.
    #[error("the account is restricted")]
    Restricted(Option<UnixMillis>),
    /// WhatsApp refuses this version of the client.
    #[error("WhatsApp refuses this version of the client")]
    Outdated,
    /// It would begin a chat, which WhatsApp does not allow the account now.
    #[error("WhatsApp allows this account no new chats now")]
    Barred(Bar),
    /// Too many commands or messages wait already.
    #[error("too much waits for this device already")]
    Busy,
    /// The store does not answer, or the node may not act just now. The message may have been accepted:
    /// ask again with the same request id.
    #[error("the device cannot accept messages just now")]
    Unavailable,
    /// Another node owns the device.
    #[error("another node owns the device")]
    OwnershipLost,
    /// The request id was used for another message.
    #[error("the request id was used for another message")]
    KeyReused,
    /// The id that the caller has chosen is that of another message.
    #[error("there is a message with this id of WhatsApp already")]
    IdTaken,
    /// The poll takes neither votes nor options any more.
    #[error("the poll has ended")]
    PollEnded,
    /// The poll does not take the option: it has it already, is closed to others, or is full.
    #[error("the poll does not take this option")]
    OptionRefused,
    /// The poll or event that it answers, or the post that it takes back, is not known to this device.
    #[error("the message that it is about is not known to this device")]
    UnknownMessage,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The device is not paired, or logged out.
    #[error("the device is not paired")]
    NotPaired,
    /// It needs a connection, and there is none.
    #[error("the device is not connected")]
    NotConnected,
    /// It needs a connection, and the account is temporarily banned, until then if WhatsApp said so.
    #[error("the account is restricted")]
    Restricted(Option<UnixMillis>),
    /// WhatsApp refused it with this code.
    #[error("WhatsApp refused it with code {0}")]
    Refused(u16),
    /// WhatsApp, or the phone through it, did not answer in time.
    #[error("WhatsApp did not answer in time")]
    Silent,
    /// WhatsApp's answer lacks what the protocol promises.
    #[error("WhatsApp's answer cannot be read: {0}")]
    Unreadable(Missing),
    /// Too many commands wait already.
    #[error("too much waits for this device already")]
    Busy,
    /// The store does not answer, or the node may not act just now.
    #[error("the device cannot do it just now")]
    Unavailable,
    /// What the devices of the account know in common cannot be changed just now: the phone has not shared a
    /// key, or our copy is being read anew.
    #[error("the device is not in step with its phone")]
    NotInStep,
    /// Another node owns the device.
    #[error("another node owns the device")]
    OwnershipLost,
}

impl CommandError {
    /// By the code of a request without a good answer: 0 when the link was lost, 408 when none came in time.
    pub(crate) fn of(code: u16) -> CommandError {
        match code {
            0 => CommandError::NotConnected,
            408 => CommandError::Silent,
            code => CommandError::Refused(code),
        }
    }
}

/// Why there is no good answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The device was never paired.
    #[error("the device is not paired")]
    NotPaired,
    /// WhatsApp has unlinked the device.
    #[error("the device was logged out")]
    LoggedOut,
    /// It needs a connection, and there is none. Nothing was asked.
    #[error("the device is not connected")]
    NotConnected,
    /// The account is temporarily banned, until then if WhatsApp said so. Nothing was asked.
    #[error("the account is restricted")]
    Restricted(Option<UnixMillis>),
    /// Too many questions wait already. Nothing was asked.
    #[error("too much waits for this device already")]
    Busy,
    /// The node may not act just now. Nothing was asked.
    #[error("the device cannot ask just now")]
    Unavailable,
    /// WhatsApp has refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection, or the device, ended before an answer came.
    #[error("the connection was lost before WhatsApp answered")]
    Lost,
    /// No answer in time.
    #[error("WhatsApp did not answer in time")]
    Late,
    /// WhatsApp's answer lacks what the protocol promises.
    #[error("WhatsApp's answer cannot be read: {0}")]
    Unreadable(#[from] Missing),
}

/// A command, on its way to the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// See [`super::DeviceHandle::send`].
    Send(Box<SendRequest>),
    /// See [`super::DeviceHandle::cancel`].
    Cancel {
        /// Which.
        message_id: String,
    },
    /// See [`super::DeviceHandle::mark_read`].
    MarkRead(MarkRead),
    /// See [`super::DeviceHandle::pair`].
    Pair(Box<Pairing>),
    /// See [`super::DeviceHandle::answer_passkey`].
    AnswerPasskey(Box<PasskeyAnswer>),
    /// See [`super::DeviceHandle::import`].
    Import(Box<Import>),
    /// See [`super::DeviceHandle::ask_for_media`].
    AskForMedia(Box<LostMedia>),
    /// See [`super::DeviceHandle::logout`].
    Logout,
    /// See [`super::DeviceHandle::ask`].
    Ask {
        /// The `<iq>` without an id.
        request: Box<Stanza>,
        /// How long the caller waits.
        patience: Duration,
    },
    /// See [`super::DeviceHandle::make`].
    Make {
        /// What, and by which request.
        make: Box<Make>,
        /// How long the caller waits for each answer.
        patience: Duration,
    },
    /// See [`super::DeviceHandle::change`].
    Change(Vec<Action>),
    /// See [`super::DeviceHandle::contents`].
    Contents(Vec<Collection>),
    /// See [`super::DeviceHandle::want_history`].
    WantHistory {
        /// The messages before one.
        wanted: WantHistory,
        /// And on to this moment.
        since: Option<UnixMillis>,
    },
    /// See [`super::DeviceHandle::identities`].
    Identities {
        /// By phone number or LID.
        user: Jid,
    },
    /// See [`super::DeviceHandle::set_presence`].
    SetPresence {
        /// Show, or hide.
        available: bool,
    },
    /// See [`super::DeviceHandle::watch_presence`].
    WatchPresence {
        /// Whose.
        user: Jid,
        /// Watch, or do not any more.
        watch: bool,
    },
    /// See [`super::DeviceHandle::send_typing`].
    Typing {
        /// The chat.
        to: Jid,
        /// What we do.
        typing: Typing,
    },
    /// See [`super::DeviceHandle::set_pacing`].
    SetPacing(PacingPolicy),
    /// See [`super::DeviceHandle::pace`].
    Pace,
    /// See [`super::DeviceHandle::refresh_health`].
    RefreshHealth,
    /// See [`super::DeviceHandle::quiesce`].
    Quiesce,
    /// See [`super::DeviceHandle::resume`].
    Resume,
}

/// The answer to a command.
#[derive(Debug)]
pub enum Answer {
    /// To a send.
    Sent(Result<Box<AcceptedSend>, SendError>),
    /// To pairing.
    Pairing(Result<watch::Receiver<PairingUpdate>, PairError>),
    /// To the answer of a passkey.
    Passkey(Result<(), PasskeyError>),
    /// To a question.
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

#[cfg(test)]
mod tests;
