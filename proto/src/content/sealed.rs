//! Votes, answers to events, concealed reactions, comments and edits: encrypted once more, under the secret of what
//! they are about.
//!
//! What must hold: each is sealed to who answers and to what is answered, so that one cannot be shown as
//! another. Rules: what whatsmeow and Baileys agree on: HKDF-SHA-256 over id, author, answerer and use;
//! AES-256-GCM with the id and the answerer as associated data.

use std::collections::BTreeSet;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use waproto::buffa::Message as _;
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{self, EventResponseMessage, PollVoteMessage};
use waproto::whatsapp::{Message, MessageContextInfo};

use super::concealed::{COMMENT, EDIT, POLL_OPTION, REACTION};
use super::edits::{an_edit, edited};
use super::encode::{context, message_key};
use super::meaning::{Sealed, peel};
use super::{MessageContent, Surroundings, polls};
use crate::api;
use crate::api::event_response::Answer;
use crate::api::send_message_request::Content;

const VOTE: &str = "Poll Vote";
const ANSWER: &str = "Event Response";

/// What answers to a message are encrypted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// 32 bytes.
    pub key: Vec<u8>,
    /// The poll; none for any other message.
    pub poll: Option<api::Poll>,
    /// Of a poll or an event: answers may come at any time.
    pub lasting: bool,
}

impl Secret {
    /// Of a message that is neither poll nor event: 32 bytes.
    pub fn bare(key: Vec<u8>) -> Secret {
        Secret { key, poll: None, lasting: false }
    }

    /// Of a message that carries one.
    pub fn of(bytes: &[u8]) -> Option<Secret> {
        Secret::of_past(bytes, None)
    }

    /// The same of a message of the past, beside which its secret may stand.
    pub fn of_past(bytes: &[u8], beside: Option<&[u8]>) -> Option<Secret> {
        let outer = Message::decode_from_slice(bytes).ok()?;
        let inner = peel(&outer);
        let poll = polls::creation(inner).map(polls::poll);
        let contexts = [&inner.message_context_info, &outer.message_context_info];
        let key = contexts.into_iter().find_map(|context| context.message_secret.clone());
        let key = key.or_else(|| beside.map(<[u8]>::to_vec))?;
        // The secret beside an edit is that of another message.
        let own = inner.secret_encrypted_message.is_unset();
        let lasting = poll.is_some() || inner.event_message.is_set();
        (own && key.len() == 32).then_some(Secret { key, poll, lasting })
    }
}

/// Who made what is answered, who answers, and which message it is.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// Id of the poll or event.
    pub id: &'a str,
    /// Who sent it: JIDs without device number, every form that is known.
    pub author: &'a [String],
    /// Who answers, likewise.
    pub answerer: &'a [String],
}

/// The options of a vote: by name, and the hashes of those that the poll does not have. `None` when it
/// cannot be opened.
pub fn open_vote(
    sealed: &Sealed,
    secret: &Secret,
    parties: Parties<'_>,
) -> Option<(Vec<String>, Vec<Vec<u8>>)> {
    let opened = open(sealed, secret, parties, VOTE)?;
    let vote = PollVoteMessage::decode_from_slice(&opened).ok()?;
    let options: Vec<String> = secret.poll.iter().flat_map(polls::options_of).cloned().collect();
    Some(chosen(&options, vote.selected_options))
}

/// As many options of a poll are looked at; WhatsApp's clients allow 12.
pub const MOST_OPTIONS: usize = 64;

/// Options of a poll by their SHA-256: by name, and the hashes of those that it does not have. Nothing is said twice, and of
/// neither are more than [`MOST_OPTIONS`] looked at.
pub fn chosen(options: &[String], hashes: Vec<Vec<u8>>) -> (Vec<String>, Vec<Vec<u8>>) {
    let digest = |name: &String| Sha256::digest(name).to_vec();
    let named: Vec<_> = options.iter().take(MOST_OPTIONS).map(|name| (digest(name), name)).collect();
    let (mut names, mut unknown) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for hash in hashes.into_iter().take(MOST_OPTIONS).filter(|hash| seen.insert(hash.clone())) {
        match named.iter().find(|(digest, _)| *digest == hash) {
            Some((_, name)) => names.push((*name).clone()),
            None => unknown.push(hash),
        }
    }
    (names, unknown)
}

/// The answer to an event and the guests beside. `None` when it cannot be opened.
pub fn open_answer(sealed: &Sealed, secret: &Secret, parties: Parties<'_>) -> Option<(Answer, i32)> {
    let opened = open(sealed, secret, parties, ANSWER)?;
    EventResponseMessage::decode_from_slice(&opened).ok().map(|answer| answer_of(&answer))
}

/// What an answer to an event says.
pub(crate) fn answer_of(answer: &EventResponseMessage) -> (Answer, i32) {
    let said = match answer.response {
        Some(EventResponseType::GOING) => Answer::Going,
        Some(EventResponseType::NOT_GOING) => Answer::NotGoing,
        Some(EventResponseType::MAYBE) => Answer::Maybe,
        _ => Answer::Unspecified,
    };
    (said, answer.extra_guest_count.unwrap_or(0))
}

/// The answer that says this.
pub(crate) fn answer_to((said, guests): (Answer, i32)) -> EventResponseMessage {
    let response = match said {
        Answer::Going => EventResponseType::GOING,
        Answer::NotGoing => EventResponseType::NOT_GOING,
        Answer::Maybe => EventResponseType::MAYBE,
        Answer::Unspecified => EventResponseType::UNKNOWN,
    };
    EventResponseMessage { response: Some(response), extra_guest_count: Some(guests), ..Default::default() }
}

/// Which message a content needs the secret of; `None` for kinds that need none.
pub fn answered(content: &MessageContent) -> Option<api::MessageRef> {
    match &content.kind {
        Content::PollVote(vote) => vote.poll.clone(),
        Content::PollOption(added) => added.poll.clone(),
        Content::EventResponse(response) => response.event.clone(),
        Content::Reaction(reaction) if reaction.concealed => reaction.message.clone(),
        Content::Comment(comment) => comment.message.clone(),
        Content::Edit(edit) if edit.encrypted => Some(edited(edit)),
        _ => None,
    }
}

/// The encoded `Message` of such a content. `iv` must be random. `None` for every other kind.
pub fn seal(
    content: &MessageContent,
    around: &Surroundings,
    secret: &Secret,
    author: &str,
    iv: [u8; 12],
) -> Option<Vec<u8>> {
    let about = answered(content)?;
    let answerer = around.own.to_string();
    // Who edits is the author, under the name that the chat knows.
    let author = if matches!(content.kind, Content::Edit(_)) { &answerer } else { author };
    let sealed = |plaintext: &[u8], usage: &str| {
        encrypt(plaintext, secret, (&about.whatsapp_id, author, &answerer, usage), iv)
    };
    let mut out = Message::default();
    match &content.kind {
        Content::PollVote(vote) => {
            let selected_options =
                vote.options.iter().map(|option| Sha256::digest(option).to_vec()).collect();
            let plain = PollVoteMessage { selected_options }.encode_to_vec();
            out.poll_update_message = message::PollUpdateMessage {
                poll_creation_message_key: message_key(Some(&about), around),
                vote: message::PollEncValue {
                    enc_payload: Some(sealed(&plain, VOTE)?),
                    enc_iv: Some(iv.to_vec()),
                }
                .into(),
                sender_timestamp_ms: Some(around.now.0),
                ..Default::default()
            }
            .into();
        }
        Content::PollOption(added) => {
            let option_name = Some(added.option.clone());
            let option = message::poll_creation_message::Option { option_name, ..Default::default() };
            let added = message::PollAddOptionMessage {
                poll_creation_message_key: message_key(Some(&about), around),
                add_option: option.into(),
                ..Default::default()
            };
            let plain = Message { poll_add_option_message: added.into(), ..Default::default() };
            out.secret_encrypted_message = message::SecretEncryptedMessage {
                target_message_key: message_key(Some(&about), around),
                enc_payload: Some(sealed(&plain.encode_to_vec(), POLL_OPTION)?),
                enc_iv: Some(iv.to_vec()),
                secret_enc_type: Some(SecretEncType::POLL_ADD_OPTION),
                ..Default::default()
            }
            .into();
        }
        Content::EventResponse(response) => {
            let said = match response.answer() {
                Answer::Going => EventResponseType::GOING,
                Answer::NotGoing => EventResponseType::NOT_GOING,
                Answer::Maybe => EventResponseType::MAYBE,
                Answer::Unspecified => EventResponseType::UNKNOWN,
            };
            let plain = EventResponseMessage {
                response: Some(said),
                timestamp_ms: Some(around.now.0),
                extra_guest_count: Some(response.extra_guests),
            }
            .encode_to_vec();
            out.enc_event_response_message = message::EncEventResponseMessage {
                event_creation_message_key: message_key(Some(&about), around),
                enc_payload: Some(sealed(&plain, ANSWER)?),
                enc_iv: Some(iv.to_vec()),
            }
            .into();
        }
        Content::Reaction(reaction) => {
            let plain = message::ReactionMessage {
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(around.now.0),
                ..Default::default()
            };
            out.enc_reaction_message = message::EncReactionMessage {
                target_message_key: message_key(Some(&about), around),
                enc_payload: Some(sealed(&plain.encode_to_vec(), REACTION)?),
                enc_iv: Some(iv.to_vec()),
            }
            .into();
        }
        Content::Comment(comment) => {
            let plain = Message { conversation: Some(comment.text.clone()), ..Default::default() };
            out.enc_comment_message = message::EncCommentMessage {
                target_message_key: message_key(Some(&about), around),
                enc_payload: Some(sealed(&plain.encode_to_vec(), COMMENT)?),
                enc_iv: Some(iv.to_vec()),
            }
            .into();
        }
        Content::Edit(edit) => {
            let plain = an_edit(edit, around, context(&content.context, around));
            out.secret_encrypted_message = message::SecretEncryptedMessage {
                target_message_key: message_key(Some(&about), around),
                enc_payload: Some(sealed(&plain.encode_to_vec(), EDIT)?),
                enc_iv: Some(iv.to_vec()),
                secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
                ..Default::default()
            }
            .into();
            // Who has lost the secret of the message, or came later, finds it beside.
            let beside =
                MessageContextInfo { message_secret: Some(secret.key.clone()), ..Default::default() };
            out.message_context_info = beside.into();
        }
        _ => return None,
    }
    Some(out.encode_to_vec())
}

/// Clients name the two sides by number or by hidden identity, and do not say which: all are tried.
pub(super) fn open(sealed: &Sealed, secret: &Secret, parties: Parties<'_>, usage: &str) -> Option<Vec<u8>> {
    let iv: [u8; 12] = sealed.iv.as_slice().try_into().ok()?;
    parties.author.iter().find_map(|author| {
        parties.answerer.iter().find_map(|answerer| {
            let (key, aad) = derive(secret, parties.id, author, answerer, usage)?;
            key.decrypt(&Nonce::from(iv), Payload { msg: &sealed.payload, aad: &aad }).ok()
        })
    })
}

/// Encrypts under the id of a message, its author, who answers, and the word for the use.
pub(super) fn encrypt(
    plaintext: &[u8],
    secret: &Secret,
    (id, author, answerer, usage): (&str, &str, &str, &str),
    iv: [u8; 12],
) -> Option<Vec<u8>> {
    let (key, aad) = derive(secret, id, author, answerer, usage)?;
    key.encrypt(&Nonce::from(iv), Payload { msg: plaintext, aad: &aad }).ok()
}

fn derive(
    secret: &Secret,
    id: &str,
    author: &str,
    answerer: &str,
    usage: &str,
) -> Option<(Aes256Gcm, Vec<u8>)> {
    let mut key = [0; 32];
    let info = [id, author, answerer, usage].concat();
    Hkdf::<Sha256>::new(None, &secret.key).expand(info.as_bytes(), &mut key).ok()?;
    let cipher = Aes256Gcm::new_from_slice(&key).ok()?;
    // What a bot says has no word for its use.
    let bound = matches!(usage, VOTE | ANSWER | "");
    let aad = bound.then(|| format!("{id}\0{answerer}").into_bytes());
    Some((cipher, aad.unwrap_or_default()))
}
