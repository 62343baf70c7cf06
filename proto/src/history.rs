//! History: what a phone tells a new companion of the time before it, and of older times on request.
//!
//! It comes as one zlib stream, inside a message or as a file, with conversations and the messages in them.
//! What must hold: it is read with memory that does not grow with it ([`Survey`], [`Slices`]). A malformed
//! conversation or message is left out; it never hides the others.

mod past;
mod read;
mod slice;
mod walk;

use bytes::Bytes;
use prost::Message as _;
use waproto::buffa::Message as _;
use waproto::whatsapp::ExternalBlobReference;

use crate::media::{File, Hashes, MediaKey, MediaKind};
use crate::stanza::Jid;
pub use past::{AddOn, Beside, Past};
pub use read::{Outline, Outlined, Position, SLICE, Slice, Slices, Survey};
use slice::{ConversationSlice, HistorySlice, MessageSlice, PairSlice};

/// Why a piece of history cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// It is no zlib stream, or not the whole of one.
    #[error("the history cannot be inflated: {0}")]
    Packed(&'static str),
    /// The inflated bytes are no history.
    #[error("the history is malformed")]
    Malformed,
    /// It inflates to more than 8 GiB, or 64 MiB when it came with its message, or its names and chats take more than 16 MiB.
    #[error("the history is too large")]
    TooLarge,
}

/// A file that was too large for a message: where it is, and how it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob {
    /// 32 bytes, from which the keys of the file are derived.
    pub media_key: Vec<u8>,
    /// Path on any media host.
    pub direct_path: String,
    /// SHA-256 of the file.
    pub sha256: Vec<u8>,
    /// SHA-256 of what is stored.
    pub enc_sha256: Vec<u8>,
    /// Bytes of the file.
    pub size: u64,
    /// What goes with its deletion; empty when nothing was said. Of history alone.
    pub handle: String,
}

impl Blob {
    /// What is needed to fetch it; `None` when something of it is malformed.
    pub fn file(&self, kind: MediaKind) -> Option<File> {
        Some(File {
            kind,
            key: MediaKey::from_slice(&self.media_key)?,
            hashes: Hashes {
                plain: self.sha256.as_slice().try_into().ok()?,
                sealed: self.enc_sha256.as_slice().try_into().ok()?,
            },
            direct_path: Some(self.direct_path.clone()).filter(|path| path.starts_with('/'))?,
        })
    }

    /// The reference to a file of this many bytes.
    pub fn of_file(file: &File, size: u64) -> Blob {
        Blob {
            media_key: file.key.as_bytes().to_vec(),
            direct_path: file.direct_path.clone(),
            sha256: file.hashes.plain.to_vec(),
            enc_sha256: file.hashes.sealed.to_vec(),
            size,
            handle: String::new(),
        }
    }

    /// Reads an encoded `ExternalBlobReference`.
    pub fn read(bytes: &[u8]) -> Option<Blob> {
        ExternalBlobReference::decode_from_slice(bytes).ok().map(|reference| Blob::of_reference(&reference))
    }

    /// Its encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_reference().encode_to_vec()
    }

    pub(crate) fn to_reference(&self) -> ExternalBlobReference {
        ExternalBlobReference {
            media_key: Some(self.media_key.clone()),
            direct_path: Some(self.direct_path.clone()),
            file_sha256: Some(self.sha256.clone()),
            file_enc_sha256: Some(self.enc_sha256.clone()),
            file_size_bytes: Some(self.size),
            ..Default::default()
        }
    }

    pub(crate) fn of_reference(reference: &ExternalBlobReference) -> Blob {
        Blob {
            media_key: reference.media_key.clone().unwrap_or_default(),
            direct_path: reference.direct_path.clone().unwrap_or_default(),
            sha256: reference.file_sha256.clone().unwrap_or_default(),
            enc_sha256: reference.file_enc_sha256.clone().unwrap_or_default(),
            size: reference.file_size_bytes.unwrap_or(0),
            handle: String::new(),
        }
    }
}

/// Which part of the past it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The newest messages of the newest chats; always first.
    Bootstrap,
    /// Status messages.
    Status,
    /// All that there is.
    Full,
    /// The last weeks.
    Recent,
    /// Names of people.
    PushNames,
    /// Data that is not urgent.
    NonBlocking,
    /// What was asked for.
    OnDemand,
    /// Anything else, by WhatsApp's number.
    Other(i32),
}

impl From<i32> for Kind {
    fn from(number: i32) -> Kind {
        match number {
            0 => Kind::Bootstrap,
            1 => Kind::Status,
            2 => Kind::Full,
            3 => Kind::Recent,
            4 => Kind::PushNames,
            5 => Kind::NonBlocking,
            6 => Kind::OnDemand,
            other => Kind::Other(other),
        }
    }
}

impl From<Kind> for i32 {
    fn from(kind: Kind) -> i32 {
        match kind {
            Kind::Bootstrap => 0,
            Kind::Status => 1,
            Kind::Full => 2,
            Kind::Recent => 3,
            Kind::PushNames => 4,
            Kind::NonBlocking => 5,
            Kind::OnDemand => 6,
            Kind::Other(number) => number,
        }
    }
}

/// What holds status posts, as if they were a chat: in a piece they stand beside the chats.
pub const STATUSES: &str = "status@broadcast";

/// Packs what a phone has to tell.
pub fn pack(kind: Kind, progress: u32, conversations: &[Conversation], people: &People) -> Vec<u8> {
    let (statuses, chats): (Vec<&Conversation>, Vec<&Conversation>) =
        conversations.iter().partition(|one| one.about.jid.to_string() == STATUSES);
    let slice = HistorySlice {
        kind: kind.into(),
        conversations: chats.into_iter().map(Conversation::to_slice).collect(),
        statuses: statuses.into_iter().flat_map(|one| one.messages.clone()).collect(),
        order: Some(1),
        progress: Some(progress),
        push_names: pairs(&people.push_names),
        lids: pairs(&people.lids),
        salt: people.salt.clone(),
        nonce: people.nonce.clone(),
    };
    let plain = slice.encode_to_vec();
    let mut packed = vec![0; zlib_rs::compress_bound(plain.len())];
    let (packed, done) = zlib_rs::compress_slice(&mut packed, &plain, zlib_rs::DeflateConfig::default());
    assert_eq!(done, zlib_rs::ReturnCode::Ok, "the buffer has the bound that zlib names");
    packed.to_vec()
}

/// Names and identities of people, and what a companion shows to WhatsApp.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// JID and the name that its owner chose.
    pub push_names: Vec<(String, String)>,
    /// JID of the phone number and JID of the hidden identity.
    pub lids: Vec<(String, String)>,
    /// What tokens for strangers are made with ([`cstoken`](crate::cstoken::cstoken)), when the phone tells it.
    pub salt: Option<Bytes>,
    /// What the media hosts want to see when the companion deletes a file that has a handle; at most 256 bytes.
    pub nonce: Option<String>,
}

/// What is said of one chat of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// Which.
    pub jid: Jid,
    /// Its name, when it has one.
    pub name: String,
    /// Messages that nobody has read.
    pub unread: u32,
    /// It is put away.
    pub archived: bool,
    /// It stands at the top.
    pub pinned: bool,
    /// It is silent until then, in Unix milliseconds.
    pub muted_until: Option<i64>,
    /// The phone has nothing older.
    pub complete: bool,
    /// Phone number of the other side, if it was told.
    pub pn: Option<Jid>,
    /// Hidden identity of the other side, if it was told.
    pub lid: Option<Jid>,
    /// The trusted-contact token that the other side has given, and when, in Unix seconds.
    pub token: Option<(Bytes, u64)>,
    /// When the other side was given ours, in Unix seconds.
    pub token_issued: Option<u64>,
}

/// One chat of the past with messages, as a phone tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Which chat.
    pub about: Chat,
    /// Encoded `WebMessageInfo`s, newest first. [`Past::read`] reads one.
    pub messages: Vec<Bytes>,
}

impl Conversation {
    /// A chat with these messages and nothing else to say of it.
    pub fn new(jid: Jid, name: &str, messages: &[Past]) -> Conversation {
        let messages = messages.iter().map(|past| past.to_bytes(&jid)).collect();
        let about = Chat {
            jid,
            name: name.to_owned(),
            unread: 0,
            archived: false,
            pinned: false,
            muted_until: None,
            complete: true,
            pn: None,
            lid: None,
            token: None,
            token_issued: None,
        };
        Conversation { about, messages }
    }

    fn to_slice(&self) -> ConversationSlice {
        let about = &self.about;
        ConversationSlice {
            id: about.jid.to_string(),
            messages: self.messages.iter().map(|one| MessageSlice { message: Some(one.clone()) }).collect(),
            unread: Some(about.unread),
            end_of_transfer: Some(if about.complete { COMPLETE } else { 0 }),
            name: Some(about.name.clone()).filter(|name| !name.is_empty()),
            archived: Some(about.archived),
            pinned: Some(u32::from(about.pinned)),
            muted_until: about.muted_until.map(i64::unsigned_abs),
            token: about.token.as_ref().map(|(token, _)| token.clone()),
            token_given: about.token.as_ref().map(|(_, at)| *at),
            token_issued: about.token_issued,
            display_name: None,
            pn: about.pn.as_ref().map(ToString::to_string),
            lid: about.lid.as_ref().map(ToString::to_string),
        }
    }
}

impl ConversationSlice {
    /// What is said of the chat; `None` when nobody can tell which it is.
    fn about(self) -> Option<Chat> {
        Some(Chat {
            jid: self.id.parse().ok()?,
            name: self.name.or(self.display_name).unwrap_or_default(),
            unread: self.unread.unwrap_or(0),
            archived: self.archived.unwrap_or(false),
            pinned: self.pinned.unwrap_or(0) > 0,
            muted_until: self.muted_until.filter(|end| *end > 0).and_then(|end| i64::try_from(end).ok()),
            complete: self.end_of_transfer.is_some_and(|end| end == COMPLETE),
            pn: self.pn.and_then(|jid| jid.parse().ok()),
            lid: self.lid.and_then(|jid| jid.parse().ok()),
            token: self.token.filter(|token| !token.is_empty()).zip(self.token_given),
            token_issued: self.token_issued.filter(|at| *at > 0),
        })
    }
}

fn pairs(pairs: &[(String, String)]) -> Vec<PairSlice> {
    pairs.iter().map(|(one, other)| PairSlice { one: one.clone(), other: other.clone() }).collect()
}

/// `COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY`.
const COMPLETE: i32 = 1;
