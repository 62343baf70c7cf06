//! What a record says: the changes that people make to chats, contacts, labels and settings.
//!
//! The index of a record (a JSON array of texts) names what it is about, so that a later record about the
//! same replaces it. Names, versions and collections are those that WhatsApp Web, whatsmeow and Baileys
//! write. A record of a kind that is not read here is carried as bytes.

mod call;
mod wire;

use waproto::buffa::Message as _;
use waproto::whatsapp::SyncActionValue;

pub use call::Call;

use super::Collection;
use crate::id::UnixMillis;
use crate::stanza::Jid;

/// One message, as app state names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// Where.
    pub chat: Jid,
    /// WhatsApp's id.
    pub id: String,
    /// Sent by this account.
    pub from_me: bool,
    /// Who sent it, in a group and not by us.
    pub participant: Option<Jid>,
}

/// For how long a chat is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mute {
    /// It is not.
    Off,
    /// Until then.
    Until(UnixMillis),
    /// Until somebody changes it.
    Forever,
}

/// Up to which message an action counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Time of the last message; whole seconds.
    pub last: UnixMillis,
    /// The last message, when it is known.
    pub message: Option<MessageRef>,
}

/// What the address book says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The whole name.
    pub full_name: String,
    /// The first name.
    pub first_name: String,
    /// The hidden identity, as a JID; may be empty.
    pub lid: String,
    /// Whether it is in the phone's own address book too; nothing when it is not said.
    pub on_phone: Option<bool>,
}

/// A label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// Its text.
    pub name: String,
    /// Number of its colour, 0 to 19.
    pub color: i32,
    /// It is gone.
    pub deleted: bool,
    /// WhatsApp's number of a label that every account has from the beginning.
    pub predefined: Option<i32>,
}

/// A text that is kept for use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuickReply {
    /// What is typed to get it.
    pub shortcut: String,
    /// What is sent.
    pub message: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// It is gone.
    pub deleted: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A chat makes no sound.
    Mute {
        /// Which chat.
        chat: Jid,
        /// For how long.
        mute: Mute,
    },
    /// A chat stands at the top.
    Pin {
        /// Which chat.
        chat: Jid,
        /// Or not any more.
        pinned: bool,
    },
    /// A chat is put away.
    Archive {
        /// Which chat.
        chat: Jid,
        /// Or not any more.
        archived: bool,
        /// Up to where.
        range: Range,
    },
    /// A chat shows as read, or not.
    MarkRead {
        /// Which chat.
        chat: Jid,
        /// False shows it as unread.
        read: bool,
        /// Up to where.
        range: Range,
    },
    /// The messages of a chat are gone.
    ClearChat {
        /// Which chat.
        chat: Jid,
        /// Messages with a mark stay.
        keep_starred: bool,
        /// Files go too.
        delete_media: bool,
        /// Up to where.
        range: Range,
    },
    /// A chat is gone.
    DeleteChat {
        /// Which chat.
        chat: Jid,
        /// Files go too.
        delete_media: bool,
        /// Up to where.
        range: Range,
    },
    /// A message is marked.
    Star {
        /// Which message.
        message: MessageRef,
        /// Or not any more.
        starred: bool,
    },
    /// A message is gone for this account only.
    DeleteForMe {
        /// Which message.
        message: MessageRef,
        /// Files go too.
        delete_media: bool,
        /// When it was sent; whole seconds.
        sent: UnixMillis,
    },
    /// Somebody in the address book; `None` when taken out.
    Contact {
        /// Whom.
        jid: Jid,
        /// What is said of them.
        contact: Option<Contact>,
    },
    /// A label is made, changed or deleted.
    Label {
        /// Which.
        id: String,
        /// What it is now.
        label: Label,
    },
    /// A label on a chat.
    LabelChat {
        /// Which label.
        label: String,
        /// Which chat.
        chat: Jid,
        /// Or not any more.
        labeled: bool,
    },
    /// A label on a message.
    LabelMessage {
        /// Which label.
        label: String,
        /// Which message.
        message: MessageRef,
        /// Or not any more.
        labeled: bool,
    },
    /// The name that others see.
    PushName(String),
    /// A quick reply is made, changed or deleted.
    QuickReply {
        /// Which.
        id: String,
        /// What it says.
        reply: QuickReply,
    },
    /// Whether a new message takes a chat out of the archive.
    UnarchiveChats(bool),
    /// The status posts of somebody are out of sight.
    MuteStatus {
        /// Whose.
        user: Jid,
        /// Or not any more.
        muted: bool,
    },
    /// What tokens for strangers are made with; `None` when the phone takes it back.
    Salt(Option<Vec<u8>>),
    /// Whether no previews of links are made.
    NoLinkPreviews(bool),
    /// A call is in the account's list.
    Call {
        /// Who called.
        caller: Jid,
        /// Its id.
        id: String,
        /// The account itself called; only the name of the record says so.
        outgoing: bool,
        /// What is said of it.
        call: Box<Call>,
    },
    /// A record of any kind, to be written as it is. Read, it is its own kind or [`Action::Other`].
    Record {
        /// Where it is kept.
        collection: Collection,
        /// The version of its form.
        form: i32,
        /// What it is about.
        index: Vec<String>,
        /// An encoded `SyncActionValue`; `None` removes it.
        value: Option<Vec<u8>>,
    },
    /// Any other kind: its index, and its encoded `SyncActionValue`; `None` when removed.
    Other {
        /// What it is about.
        index: Vec<String>,
        /// An encoded `SyncActionValue`.
        value: Option<Vec<u8>>,
    },
}

/// Whether bytes are an encoded `SyncActionValue`.
pub fn is_value(bytes: &[u8]) -> bool {
    SyncActionValue::decode_from_slice(bytes).is_ok()
}

impl Action {
    /// Where it is kept. Other kinds are only read; they stay where they were.
    pub fn collection(&self) -> Collection {
        match self {
            Action::Mute { .. }
            | Action::ClearChat { .. }
            | Action::DeleteChat { .. }
            | Action::Star { .. }
            | Action::DeleteForMe { .. }
            | Action::MuteStatus { .. }
            | Action::Salt(_) => Collection::RegularHigh,
            Action::Pin { .. }
            | Action::Archive { .. }
            | Action::MarkRead { .. }
            | Action::UnarchiveChats(_)
            | Action::Other { .. } => Collection::RegularLow,
            Action::Contact { .. } => Collection::CriticalUnblockLow,
            Action::Label { .. }
            | Action::LabelChat { .. }
            | Action::LabelMessage { .. }
            | Action::QuickReply { .. }
            | Action::NoLinkPreviews(_)
            | Action::Call { .. } => Collection::Regular,
            Action::Record { collection, .. } => *collection,
            Action::PushName(_) => Collection::CriticalBlock,
        }
    }

    /// Whether it takes a record away instead of writing one.
    pub fn removes(&self) -> bool {
        matches!(
            self,
            Action::Contact { contact: None, .. }
                | Action::Salt(None)
                | Action::Record { value: None, .. }
                | Action::Other { value: None, .. }
        )
    }

    /// Whether a collection that has `kept` about the same says all of it already.
    pub fn is_settled(&self, kept: Option<&Action>) -> bool {
        match self {
            Action::Archive { archived, .. } => {
                matches!(kept, Some(Action::Archive { archived: before, .. }) if before == archived)
            }
            // These happen each time anew.
            Action::MarkRead { .. }
            | Action::ClearChat { .. }
            | Action::DeleteChat { .. }
            | Action::Other { .. } => false,
            Action::DeleteForMe { .. } => kept.is_some(),
            Action::Contact { contact: None, .. }
            | Action::Salt(None)
            | Action::Record { value: None, .. } => kept.is_none(),
            Action::Record { .. } => false,
            _ => kept == Some(self),
        }
    }

    /// What it is about.
    pub fn index(&self) -> Vec<String> {
        let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
        let mut index = Vec::new();
        let mut put = |parts: &[String]| index.extend_from_slice(parts);
        let chat = |name: &str, chat: &Jid| [name.to_owned(), chat.to_string()];
        let message = |message: &MessageRef| {
            let participant = message.participant.as_ref().map_or("0".to_owned(), ToString::to_string);
            [message.chat.to_string(), message.id.clone(), flag(message.from_me), participant]
        };
        match self {
            Action::Mute { chat: jid, .. } => put(&chat("mute", jid)),
            Action::Pin { chat: jid, .. } => put(&chat("pin_v1", jid)),
            Action::Archive { chat: jid, .. } => put(&chat("archive", jid)),
            Action::MarkRead { chat: jid, .. } => put(&chat("markChatAsRead", jid)),
            Action::ClearChat { chat: jid, keep_starred, delete_media, .. } => {
                put(&chat("clearChat", jid));
                put(&[flag(!keep_starred), flag(*delete_media)]);
            }
            Action::DeleteChat { chat: jid, delete_media, .. } => {
                put(&chat("deleteChat", jid));
                put(&[flag(*delete_media)]);
            }
            Action::Star { message: about, .. } => {
                put(&["star".to_owned()]);
                put(&message(about));
            }
            Action::DeleteForMe { message: about, .. } => {
                put(&["deleteMessageForMe".to_owned()]);
                put(&message(about));
            }
            Action::Contact { jid, .. } => put(&chat("contact", jid)),
            Action::Label { id, .. } => put(&["label_edit".to_owned(), id.clone()]),
            Action::LabelChat { label, chat, .. } => {
                put(&["label_jid".to_owned(), label.clone(), chat.to_string()]);
            }
            Action::LabelMessage { label, message: about, .. } => {
                put(&["label_message".to_owned(), label.clone()]);
                put(&message(about));
            }
            Action::PushName(_) => put(&["setting_pushName".to_owned()]),
            Action::QuickReply { id, .. } => put(&["quick_reply".to_owned(), id.clone()]),
            Action::MuteStatus { user, .. } => put(&chat("userStatusMute", user)),
            Action::UnarchiveChats(_) => put(&["setting_unarchiveChats".to_owned()]),
            Action::Salt(_) => put(&["nct_salt_sync".to_owned()]),
            Action::NoLinkPreviews(_) => put(&["setting_disableLinkPreviews".to_owned()]),
            Action::Call { caller, id, outgoing, .. } => {
                put(&chat("call_log", caller));
                put(&[id.clone(), flag(*outgoing)]);
            }
            Action::Record { index, .. } | Action::Other { index, .. } => put(index),
        }
        index
    }
}
