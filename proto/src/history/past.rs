//! One message of the past, and what others have made of it, as a phone tells it.
//!
//! Rules: what Baileys and the chat store of whatsapp-rust agree on: the key beside a reaction, a vote or an answer is that of
//! the message which brought it, so that its author stands there.

use bytes::Bytes;
use waproto::buffa::Message as _;
use waproto::whatsapp::message::EventResponseMessage;

use super::slice::{AnswerSlice, ChosenSlice, KeySlice, PastSlice, ReactionSlice, VoteSlice};
use crate::api::event_response::Answer;
use crate::content::{answer_of, answer_to};
use crate::id::UnixMillis;
use crate::stanza::Jid;

/// Longest id and longest emoji, in bytes: each is said again with all that belongs to it.
const MOST: usize = 256;

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
    /// What others have made of it.
    pub beside: Beside,
}

/// What stands beside a message of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// This account has marked it with a star.
    pub starred: bool,
    /// Emoji.
    pub reactions: Vec<AddOn<String>>,
    /// SHA-256 of the options that were chosen.
    pub votes: Vec<AddOn<Vec<Bytes>>>,
    /// Answers to an event, with the guests beside.
    pub answers: Vec<AddOn<(Answer, i32)>>,
    /// The secret of the message, where its content does not say it; 32 bytes.
    pub secret: Option<Bytes>,
}

/// What somebody has added to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddOn<T> {
    /// WhatsApp's id of the message that brought it; may be empty.
    pub id: String,
    /// It is of this account.
    pub from_me: bool,
    /// Whose it is, in a group.
    pub participant: Option<Jid>,
    /// When, if that was told.
    pub at: Option<UnixMillis>,
    /// What it says.
    pub says: T,
}

impl<T> AddOn<T> {
    fn read(key: Option<KeySlice>, millis: Option<i64>, says: Option<T>) -> Option<AddOn<T>> {
        let key = key?;
        Some(AddOn {
            id: short(key.id.unwrap_or_default())?,
            from_me: key.from_me.unwrap_or(false),
            participant: key.participant.and_then(|jid| jid.parse().ok()),
            at: millis.filter(|at| *at > 0).map(UnixMillis),
            says: says?,
        })
    }

    fn key(&self, chat: &Jid) -> Option<KeySlice> {
        Some(key_slice(chat, &self.id, self.from_me, self.participant.as_ref()))
    }

    fn millis(&self) -> Option<i64> {
        self.at.map(|at| at.0)
    }
}

impl Past {
    /// Reads an encoded `WebMessageInfo`; `None` when it is malformed.
    pub fn read(bytes: &Bytes) -> Option<Past> {
        Past::read_in_chat(bytes).map(|(_, past)| past)
    }

    /// The same, with the chat that its key names: beside other messages of the same id only that says which one it is.
    pub fn read_in_chat(bytes: &Bytes) -> Option<(Option<Jid>, Past)> {
        let slice = <PastSlice as prost::Message>::decode(bytes.clone()).ok()?;
        let key = slice.key?;
        let chat = key.chat.and_then(|jid| jid.parse().ok());
        let participant = slice.participant.or(key.participant);
        let past = Past {
            id: key.id.filter(|id| !id.is_empty()).and_then(short)?,
            from_me: key.from_me.unwrap_or(false),
            participant: participant.and_then(|jid| jid.parse().ok()),
            at: UnixMillis(i64::try_from(slice.seconds.unwrap_or(0)).ok()?.checked_mul(1000)?),
            push_name: slice.push_name.unwrap_or_default(),
            content: slice.message.unwrap_or_default(),
            beside: Beside {
                starred: slice.starred.unwrap_or(false),
                reactions: slice
                    .reactions
                    .into_iter()
                    .filter_map(|one| AddOn::read(one.key, one.millis, one.emoji.and_then(short)))
                    .collect(),
                votes: slice
                    .votes
                    .into_iter()
                    .filter_map(|one| AddOn::read(one.key, one.millis, one.vote.map(|vote| vote.options)))
                    .collect(),
                answers: slice
                    .answers
                    .into_iter()
                    .filter_map(|one| AddOn::read(one.key, one.millis, one.answer.and_then(said)))
                    .collect(),
                secret: slice.secret,
            },
        };
        Some((chat, past))
    }

    /// The encoded `WebMessageInfo` of a message in a chat.
    pub fn to_bytes(&self, chat: &Jid) -> Bytes {
        let Beside { starred, reactions, votes, answers, secret } = &self.beside;
        let slice = PastSlice {
            key: Some(key_slice(chat, &self.id, self.from_me, self.participant.as_ref())),
            message: Some(self.content.clone()),
            seconds: u64::try_from(self.at.0 / 1000).ok(),
            participant: self.participant.as_ref().map(ToString::to_string),
            starred: starred.then_some(true),
            push_name: Some(self.push_name.clone()).filter(|name| !name.is_empty()),
            reactions: reactions
                .iter()
                .map(|one| ReactionSlice {
                    key: one.key(chat),
                    emoji: Some(one.says.clone()),
                    millis: one.millis(),
                })
                .collect(),
            votes: votes
                .iter()
                .map(|one| VoteSlice {
                    key: one.key(chat),
                    vote: Some(ChosenSlice { options: one.says.clone() }),
                    millis: one.millis(),
                })
                .collect(),
            secret: secret.clone(),
            answers: answers
                .iter()
                .map(|one| AnswerSlice {
                    key: one.key(chat),
                    millis: one.millis(),
                    answer: Some(answer_to(one.says).encode_to_vec().into()),
                })
                .collect(),
        };
        prost::Message::encode_to_vec(&slice).into()
    }
}

fn short(text: String) -> Option<String> {
    Some(text).filter(|text| text.len() <= MOST)
}

/// What an encoded `EventResponseMessage` says.
fn said(bytes: Bytes) -> Option<(Answer, i32)> {
    EventResponseMessage::decode_from_slice(&bytes).ok().map(|answer| answer_of(&answer))
}

fn key_slice(chat: &Jid, id: &str, from_me: bool, participant: Option<&Jid>) -> KeySlice {
    KeySlice {
        chat: Some(chat.to_string()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        participant: participant.map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_of_the_past_reads_back_as_it_was_written() {
        let chat = Jid::pn("4915112345678");
        let past = Past {
            id: "3EB0".to_owned(),
            from_me: false,
            participant: None,
            at: UnixMillis(1_700_000_000_000),
            push_name: "Ada".to_owned(),
            content: crate::e2e::text("hello").into(),
            beside: Beside::default(),
        };
        assert_eq!(Past::read_in_chat(&past.to_bytes(&chat)), Some((Some(chat.clone()), past.clone())));
        let at = Some(UnixMillis(1_700_000_001_234));
        let (id, participant) = ("3EB1".to_owned(), Some(Jid::lid("77")));
        let beside = Beside {
            starred: true,
            reactions: vec![AddOn {
                id: id.clone(), from_me: false, participant, at, says: "👍".to_owned()
            }],
            votes: vec![AddOn {
                id: id.clone(),
                from_me: true,
                participant: None,
                at,
                says: vec![Bytes::from_static(&[7; 32])],
            }],
            answers: vec![AddOn { id, from_me: true, participant: None, at: None, says: (Answer::Maybe, 2) }],
            secret: Some(Bytes::from_static(&[9; 32])),
        };
        let past = Past { beside, ..past };
        assert_eq!(Past::read(&past.to_bytes(&chat)), Some(past));
        assert_eq!(Past::read(&Bytes::from_static(b"\x0a\x00")), None, "a message without an id");
    }

    #[test]
    fn what_would_be_said_again_and_again_is_short_or_left_out() {
        let chat = Jid::pn("4915112345678");
        let of = |id: usize, emoji: usize| {
            let (from_me, participant, at) = (false, None, None);
            let beside = Beside {
                reactions: vec![AddOn {
                    id: "B".repeat(id),
                    from_me,
                    participant,
                    at,
                    says: "x".repeat(emoji),
                }],
                ..Beside::default()
            };
            let (push_name, content, participant) = (String::new(), Bytes::new(), None);
            let id = "A".repeat(id.min(MOST + 1));
            let past = Past { id, from_me, participant, at: UnixMillis(0), push_name, content, beside };
            Past::read(&past.to_bytes(&chat)).map(|past| past.beside.reactions.len())
        };
        assert_eq!([of(MOST, MOST), of(MOST, MOST + 1), of(MOST + 1, 1)], [Some(1), Some(0), None]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            let _ = Past::read(&bytes.into());
        }
    }
}
