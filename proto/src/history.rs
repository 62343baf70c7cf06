//! History: what a phone tells a new companion of the time before it, and of older times on request.
//!
//! It comes as one zlib stream, inside a message or as a file, with conversations and the messages in them.
//! What must hold: it is read without ever holding more than the inflated bytes themselves: conversations and
//! messages are slices of them, decoded one at a time. A malformed conversation or message is left out; it
//! never hides the others.

mod slice;

use bytes::Bytes;
use prost::Message as _;
use waproto::whatsapp::ExternalBlobReference;

use crate::id::UnixMillis;
use crate::stanza::Jid;
use slice::{ConversationSlice, HistorySlice, KeySlice, MessageSlice, PairSlice, PastSlice};

/// The most bytes that one piece of history may inflate to.
pub const MAX_HISTORY: usize = 64 * 1024 * 1024;

/// Why a piece of history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It does not inflate within [`MAX_HISTORY`].
    #[error("the history does not inflate within its limit")]
    Inflate(#[source] std::io::Error),
    /// The inflated bytes are no history.
    #[error("the history is malformed")]
    Malformed,
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
}

impl Blob {
    pub(crate) fn of_reference(reference: &ExternalBlobReference) -> Blob {
        Blob {
            media_key: reference.media_key.clone().unwrap_or_default(),
            direct_path: reference.direct_path.clone().unwrap_or_default(),
            sha256: reference.file_sha256.clone().unwrap_or_default(),
            enc_sha256: reference.file_enc_sha256.clone().unwrap_or_default(),
            size: reference.file_size_bytes.unwrap_or(0),
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

/// A piece of history that has been inflated.
#[derive(Debug, Clone)]
pub struct History {
    slice: HistorySlice,
}

impl History {
    /// Inflates and reads a piece.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn open(packed: &[u8]) -> Result<History, HistoryError> {
        let inflated = wacore_binary::zlib_pool::decompress_zlib_pooled(packed, MAX_HISTORY as u64);
        let inflated = Bytes::from(inflated.map_err(HistoryError::Inflate)?);
        let slice = HistorySlice::decode(inflated).map_err(|_| HistoryError::Malformed)?;
        Ok(History { slice })
    }

    /// Packs what a phone has to tell.
    pub fn pack(kind: Kind, progress: u32, conversations: &[Conversation], people: &People) -> Vec<u8> {
        let slice = HistorySlice {
            kind: kind.into(),
            conversations: conversations.iter().map(|one| one.to_slice().encode_to_vec().into()).collect(),
            order: Some(1),
            progress: Some(progress),
            push_names: pairs(&people.push_names),
            lids: pairs(&people.lids),
        };
        let plain = slice.encode_to_vec();
        let mut packed = vec![0; zlib_rs::compress_bound(plain.len())];
        let (packed, done) = zlib_rs::compress_slice(&mut packed, &plain, zlib_rs::DeflateConfig::default());
        assert_eq!(done, zlib_rs::ReturnCode::Ok, "the buffer has the bound that zlib names");
        packed.to_vec()
    }

    /// Which part it is.
    pub fn kind(&self) -> Kind {
        self.slice.kind.into()
    }

    /// How much has been told with it, in per cent.
    pub fn progress(&self) -> u32 {
        self.slice.progress.unwrap_or(0)
    }

    /// How many conversations it has.
    pub fn len(&self) -> usize {
        self.slice.conversations.len()
    }

    /// Whether it has no conversation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One conversation; `None` when it is malformed or there is none.
    pub fn conversation(&self, at: usize) -> Option<Conversation> {
        let slice = ConversationSlice::decode(self.slice.conversations.get(at)?.clone()).ok()?;
        Some(Conversation {
            chat: slice.id.parse().ok()?,
            name: slice.name.or(slice.display_name).unwrap_or_default(),
            unread: slice.unread.unwrap_or(0),
            archived: slice.archived.unwrap_or(false),
            pinned: slice.pinned.unwrap_or(0) > 0,
            muted_until: slice.muted_until.filter(|end| *end > 0).and_then(|end| i64::try_from(end).ok()),
            complete: slice.end_of_transfer.is_some_and(|end| end == COMPLETE),
            pn: slice.pn.and_then(|jid| jid.parse().ok()),
            lid: slice.lid.and_then(|jid| jid.parse().ok()),
            messages: slice.messages.into_iter().filter_map(|one| one.message).collect(),
        })
    }

    /// Names and identities of people.
    pub fn people(&self) -> People {
        let read = |pairs: &[PairSlice]| {
            pairs.iter().map(|pair| (pair.one.clone(), pair.other.clone())).collect::<Vec<_>>()
        };
        People { push_names: read(&self.slice.push_names), lids: read(&self.slice.lids) }
    }
}

/// Names and identities of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// JID and the name that its owner chose.
    pub push_names: Vec<(String, String)>,
    /// JID of the phone number and JID of the hidden identity.
    pub lids: Vec<(String, String)>,
}

/// One chat of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Which.
    pub chat: Jid,
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
    /// Encoded `WebMessageInfo`s, newest first. [`Past::read`] reads one.
    pub messages: Vec<Bytes>,
}

impl Conversation {
    /// A chat with these messages and nothing else to say of it.
    pub fn new(chat: Jid, name: &str, messages: &[Past]) -> Conversation {
        Conversation {
            messages: messages.iter().map(|past| past.to_bytes(&chat)).collect(),
            chat,
            name: name.to_owned(),
            unread: 0,
            archived: false,
            pinned: false,
            muted_until: None,
            complete: true,
            pn: None,
            lid: None,
        }
    }

    fn to_slice(&self) -> ConversationSlice {
        ConversationSlice {
            id: self.chat.to_string(),
            messages: self.messages.iter().map(|one| MessageSlice { message: Some(one.clone()) }).collect(),
            unread: Some(self.unread),
            end_of_transfer: Some(if self.complete { COMPLETE } else { 0 }),
            name: Some(self.name.clone()).filter(|name| !name.is_empty()),
            archived: Some(self.archived),
            pinned: Some(u32::from(self.pinned)),
            muted_until: self.muted_until.map(i64::unsigned_abs),
            display_name: None,
            pn: self.pn.as_ref().map(ToString::to_string),
            lid: self.lid.as_ref().map(ToString::to_string),
        }
    }
}

/// One message of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// WhatsApp's id.
    pub id: String,
    /// Sent by this account.
    pub from_me: bool,
    /// Who sent it, in a group.
    pub participant: Option<Jid>,
    /// When; whole seconds.
    pub at: UnixMillis,
    /// The name that its sender had.
    pub push_name: String,
    /// An encoded `Message`; empty when the content is gone.
    pub content: Bytes,
}

impl Past {
    /// Reads an encoded `WebMessageInfo`; `None` when it is malformed.
    pub fn read(bytes: &Bytes) -> Option<Past> {
        let slice = PastSlice::decode(bytes.clone()).ok()?;
        let key = slice.key?;
        let participant = slice.participant.or(key.participant);
        Some(Past {
            id: key.id.filter(|id| !id.is_empty())?,
            from_me: key.from_me.unwrap_or(false),
            participant: participant.and_then(|jid| jid.parse().ok()),
            at: UnixMillis(i64::try_from(slice.seconds.unwrap_or(0)).ok()?.checked_mul(1000)?),
            push_name: slice.push_name.unwrap_or_default(),
            content: slice.message.unwrap_or_default(),
        })
    }

    fn to_bytes(&self, chat: &Jid) -> Bytes {
        let key = KeySlice {
            chat: Some(chat.to_string()),
            from_me: Some(self.from_me),
            id: Some(self.id.clone()),
            participant: self.participant.as_ref().map(ToString::to_string),
        };
        let slice = PastSlice {
            key: Some(key),
            message: Some(self.content.clone()),
            seconds: u64::try_from(self.at.0 / 1000).ok(),
            participant: self.participant.as_ref().map(ToString::to_string),
            push_name: Some(self.push_name.clone()).filter(|name| !name.is_empty()),
        };
        slice.encode_to_vec().into()
    }
}

fn pairs(pairs: &[(String, String)]) -> Vec<PairSlice> {
    pairs.iter().map(|(one, other)| PairSlice { one: one.clone(), other: other.clone() }).collect()
}

/// `COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY`.
const COMPLETE: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waproto::buffa::Message as _;
    use waproto::whatsapp::HistorySync;

    fn sample() -> (Conversation, Past, Vec<u8>) {
        let past = Past {
            id: "3EB0".to_owned(),
            from_me: false,
            participant: None,
            at: UnixMillis(1_700_000_000_000),
            push_name: "Ada".to_owned(),
            content: crate::e2e::text("hello").into(),
        };
        let chat = "4915112345678@s.whatsapp.net".parse().expect("a JID");
        let conversation = Conversation::new(chat, "Ada", std::slice::from_ref(&past));
        let people = People {
            push_names: vec![("1@lid".to_owned(), "Ada".to_owned())],
            lids: vec![("4915112345678@s.whatsapp.net".to_owned(), "1@lid".to_owned())],
        };
        let packed = History::pack(Kind::Recent, 50, std::slice::from_ref(&conversation), &people);
        (conversation, past, packed)
    }

    #[test]
    fn history_reads_back_as_it_was_packed() {
        let (conversation, past, packed) = sample();
        let history = History::open(&packed).expect("opens");
        assert_eq!((history.kind(), history.progress(), history.len()), (Kind::Recent, 50, 1));
        assert_eq!(history.conversation(0), Some(conversation.clone()));
        assert_eq!(history.conversation(1), None);
        assert_eq!(Past::read(&conversation.messages[0]), Some(past));
        assert_eq!(history.people().lids[0].1, "1@lid");
    }

    #[test]
    fn the_full_schema_reads_what_is_packed() {
        let packed = sample().2;
        let plain = wacore_binary::zlib_pool::decompress_zlib_pooled(&packed, 1 << 20).expect("inflates");
        let sync = HistorySync::decode_from_slice(&plain).expect("the full schema reads it");
        let message = &sync.conversations[0].messages[0].message;
        assert_eq!(message.key.id.as_deref(), Some("3EB0"));
        assert_eq!(message.message.conversation.as_deref(), Some("hello"));
        assert_eq!(sync.pushnames[0].pushname.as_deref(), Some("Ada"));
    }

    #[test]
    fn what_is_not_history_is_refused() {
        let packed = sample().2;
        assert!(matches!(History::open(&packed[..packed.len() / 2]), Err(HistoryError::Inflate(_))));
        assert!(matches!(History::open(b""), Err(HistoryError::Inflate(_))));
        assert_eq!(Past::read(&Bytes::from_static(b"\x0a\x00")), None, "a message without an id");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            let _ = History::open(&bytes);
            let _ = Past::read(&bytes.into());
        }
    }
}
