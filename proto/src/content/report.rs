//! The token by which WhatsApp can tell, when a receiver reports a message, that it says what he shows.
//!
//! It is a MAC over some fields of the message, under a key from the secret that only the two sides know. Which
//! fields, and the form of the key: what WhatsApp Web, whatsmeow and Baileys do. Whose address stands for the sender
//! differs among clients; this is whatsmeow's way. Of messages in envelopes it and Baileys count nothing, and whatsapp-rust
//! what counts of any message, which is done here.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use waproto::whatsapp::Message;

use super::bots::{called, for_bots};
use super::{MessageContent, Surroundings};
use crate::api::send_message_request::Content;
use crate::stanza::{Jid, Server};

/// The version of the tokens.
const VERSION: i32 = 2;

/// What the key is for.
const USE: &[u8] = b"Report Token";
/// The deepest nesting of messages that is looked into.
const DEPTH: usize = 16;

/// What counts of a field.
enum Part {
    /// All of it.
    Whole,
    /// It is a message itself.
    Nested,
    /// These fields of it.
    Of(&'static [(u64, Part)]),
}

use Part::{Nested, Of, Whole};

/// Of `ContextInfo`: how often it was forwarded.
const FORWARDED: Part = Of(&[(21, Whole), (22, Whole)]);
/// A message in an envelope.
const ENVELOPE: Part = Of(&[(1, Nested)]);
const OPTION: Part = Of(&[(1, Whole), (2, Whole)]);
const POLL: Part = Of(&[(2, Whole), (3, OPTION), (5, FORWARDED), (8, OPTION)]);
const VIDEO: Part = Of(&[(2, Whole), (6, Whole), (7, Whole), (13, Whole), (17, FORWARDED), (20, Whole)]);

/// What counts of a message, by the numbers of its fields.
const MESSAGE: &[(u64, Part)] = &[
    (1, Whole),
    // Image, contact, location, text, document, audio, video.
    (3, Of(&[(2, Whole), (3, Whole), (8, Whole), (11, Whole), (17, FORWARDED), (25, Whole)])),
    (4, Of(&[(1, Whole), (16, Whole), (17, FORWARDED)])),
    (5, Of(&[(3, Whole), (4, Whole), (5, Whole), (16, Whole), (17, FORWARDED)])),
    (6, Of(&[(1, Whole), (17, FORWARDED), (30, Whole)])),
    (7, Of(&[(2, Whole), (7, Whole), (10, Whole), (17, FORWARDED), (20, Whole)])),
    (8, Of(&[(2, Whole), (7, Whole), (9, Whole), (17, FORWARDED), (21, Whole)])),
    (9, VIDEO),
    // Edits and what else the protocol itself says.
    (12, Of(&[(1, Whole), (2, Whole), (14, Nested), (15, Whole)])),
    // Live location, sticker, invitation.
    (18, Of(&[(6, Whole), (16, Whole), (17, FORWARDED)])),
    (26, Of(&[(4, Whole), (5, Whole), (8, Whole), (13, Whole), (17, FORWARDED)])),
    (28, Of(&[(1, Whole), (2, Whole), (4, Whole), (5, Whole), (6, Whole), (7, FORWARDED)])),
    (37, ENVELOPE),
    (49, POLL),
    (53, ENVELOPE),
    (55, ENVELOPE),
    (58, ENVELOPE),
    (59, ENVELOPE),
    (60, POLL),
    (64, POLL),
    (66, VIDEO),
    (74, ENVELOPE),
    (87, ENVELOPE),
    (88, Of(&[(1, Whole), (2, Of(&[(1, Whole)])), (3, FORWARDED)])),
    (92, ENVELOPE),
    (93, ENVELOPE),
    (94, ENVELOPE),
];

/// Adds the secret that goes with a message: votes, answers, edits and comments are encrypted under it, and its token is
/// made with it.
pub(super) fn add_secret(message: &mut Message, content: &MessageContent, around: &Surroundings) {
    if !has_secret(&content.kind, around) {
        return;
    }
    let to_a_bot = around.chat.server == Server::Bot || called(content, around).is_some();
    let bot = to_a_bot.then(for_bots);
    // The album of a picture may stand there already.
    let beside = message.message_context_info.get_or_insert_default();
    beside.message_secret = Some(around.secret.to_vec());
    beside.reporting_token_version = Some(VERSION);
    beside.bot_metadata = bot.into();
}

/// Whether others may answer to a message under a secret of it. What goes to a newsletter is read by everybody, so
/// only polls and events have one there, without which they are none.
fn has_secret(kind: &Content, around: &Surroundings) -> bool {
    match kind {
        Content::Poll(_) | Content::CalendarEvent(_) => true,
        Content::PollVote(_)
        | Content::EventResponse(_)
        | Content::Reaction(_)
        | Content::Comment(_)
        | Content::Edit(_)
        | Content::Revoke(_)
        | Content::Pin(_)
        | Content::Keep(_)
        | Content::DisappearingTimer(_)
        | Content::MemberLabel(_)
        | Content::SharePhoneNumber(_)
        | Content::LimitSharing(_)
        | Content::Raw(_) => false,
        _ => around.chat.server != Server::Newsletter,
    }
}

/// What of a message its token is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reportable {
    secret: [u8; 32],
    fields: Vec<u8>,
}

impl Reportable {
    /// Of an encoded message; `None` for one without a secret, or that answers another.
    pub(super) fn of(bytes: &[u8], message: &Message) -> Option<Reportable> {
        let answers = message.reaction_message.is_set()
            || message.enc_reaction_message.is_set()
            || message.enc_event_response_message.is_set()
            || message.poll_update_message.is_set()
            || message.secret_encrypted_message.is_set();
        let secret = message.message_context_info.message_secret.as_deref().filter(|_| !answers)?;
        let mut fields = Vec::new();
        pick(bytes, MESSAGE, DEPTH, &mut fields)?;
        Some(Reportable { secret: secret.try_into().ok()?, fields })
    }

    /// The token of the message with this id, from an account to a chat.
    pub(super) fn token(&self, id: &str, sender: &Jid, chat: &Jid) -> [u8; 16] {
        let (sender, chat) = (sender.to_non_ad().to_string(), chat.to_non_ad().to_string());
        let info = [id.as_bytes(), sender.as_bytes(), chat.as_bytes(), USE];
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, &self.secret)
            .expand_multi_info(&info, &mut key)
            .expect("32 bytes are less than HKDF gives");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        mac.update(&self.fields);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        full.first_chunk().copied().expect("16 of 32 bytes")
    }
}

/// Appends what counts of an encoding, in the order of field numbers. `None` when it is malformed.
fn pick(bytes: &[u8], wanted: &[(u64, Part)], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let whole = rest;
        let tag = varint(&mut rest)?;
        let body = match tag & 7 {
            0 => {
                varint(&mut rest)?;
                None
            }
            1 => take(&mut rest, 8).map(|_| None)?,
            2 => {
                let length = varint(&mut rest)?;
                Some(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| None)?,
            _ => return None,
        };
        let number = tag >> 3;
        let Some((_, part)) = wanted.iter().find(|(wanted, _)| *wanted == number) else { continue };
        let mut kept = Vec::new();
        match (part, body) {
            (Nested, Some(body)) => pick(body, MESSAGE, depth, &mut kept)?,
            (Of(fields), Some(body)) => pick(body, fields, depth, &mut kept)?,
            (Whole, _) | (_, None) => {
                found.push((number, whole[..whole.len() - rest.len()].to_vec()));
                continue;
            }
        }
        if !kept.is_empty() {
            let mut field = Vec::with_capacity(kept.len() + 8);
            prost::encoding::encode_varint(tag, &mut field);
            prost::encoding::encode_varint(kept.len() as u64, &mut field);
            field.extend(kept);
            found.push((number, field));
        }
    }
    // In order of their numbers; those of one number as they came.
    found.sort_by_key(|(number, _)| *number);
    out.extend(found.into_iter().flat_map(|(_, field)| field));
    Some(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use waproto::buffa::Message as _;
    use waproto::whatsapp::message::ExtendedTextMessage;
    use waproto::whatsapp::{ContextInfo, MessageContextInfo};

    use super::*;

    fn message(text: &str, thumbnail: &[u8]) -> Message {
        let context =
            ContextInfo { is_forwarded: Some(true), stanza_id: Some("A".into()), ..Default::default() };
        let text = ExtendedTextMessage {
            text: Some(text.to_owned()),
            jpeg_thumbnail: Some(thumbnail.to_vec()),
            context_info: context.into(),
            ..Default::default()
        };
        let secret = MessageContextInfo { message_secret: Some(vec![7; 32]), ..Default::default() };
        Message {
            extended_text_message: text.into(),
            message_context_info: secret.into(),
            ..Default::default()
        }
    }

    fn token(message: &Message) -> [u8; 16] {
        let reportable = Reportable::of(&message.encode_to_vec(), message).expect("it has a secret");
        reportable.token("3EB0", &Jid::lid_device("1", 4), &Jid::lid("2"))
    }

    #[test]
    fn a_token_is_of_what_was_said_and_not_of_what_came_with_it() {
        let first = token(&message("hello", b"one"));
        // HKDF and HMAC of Python's standard library.
        assert_eq!(hex::encode(first), "84ab0a0afbfc08d9da7c75a4decc614e");
        assert_eq!(first, token(&message("hello", b"two")), "a thumbnail does not count");
        assert_ne!(first, token(&message("hullo", b"one")));
        let reportable = Reportable::of(&message("hello", b"one").encode_to_vec(), &message("hello", b"one"));
        // Field 6 with its text, and its context with the mark of a forwarded message alone.
        let expected = b"\x32\x0d\x0a\x05hello\x8a\x01\x03\xb0\x01\x01";
        assert_eq!(reportable.expect("it has a secret").fields, expected);
    }

    #[test]
    fn what_has_no_secret_or_is_cut_short_has_no_token() {
        let whole = message("hello", b"");
        let bytes = whole.encode_to_vec();
        assert_eq!(Reportable::of(&bytes[..bytes.len() - 1], &whole), None);
        let bare = Message { message_context_info: Default::default(), ..whole };
        assert_eq!(Reportable::of(&bare.encode_to_vec(), &bare), None);
    }
}
