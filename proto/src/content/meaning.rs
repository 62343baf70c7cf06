//! From WhatsApp's `Message` to what it means: something said, or something about an earlier message.

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{self, FutureProofMessage, pin_in_chat_message};
use waproto::whatsapp::{ContextInfo, KeepType, Message, MessageKey};

use super::concealed::{Concealed, concealed};
use super::{edits, polls, quotes, texts};
use crate::api;
use crate::api::message_received::Content;
use crate::e2e::PlaintextError;
use crate::media::{File, media_of};

/// The deepest nesting of envelopes that is looked into.
const DEPTH: usize = 5;

/// An earlier message, as the sender of the present one names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Its id.
    pub id: String,
    /// It is the sender's own, by his word.
    pub of_the_sender: bool,
    /// Who sent it: a JID, in groups.
    pub participant: String,
}

/// Something said.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What.
    pub content: Content,
    /// What goes with it; the quote in it is not yet known to be ours.
    pub context: Option<api::Context>,
    /// Whose message the quote in it is, when there is one.
    pub quoted: Option<String>,
}

/// What a message means.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// Something said.
    Said(Box<Statement>),
    /// New content for an earlier message.
    Edited {
        /// Which.
        message: Ref,
        /// The new content.
        content: api::message_edited::Content,
    },
    /// An earlier message is gone.
    Revoked(Ref),
    /// A reaction, empty to take it back.
    Reacted(Ref, String),
    /// A message is pinned for so many seconds; none: no longer.
    Pinned(Ref, Option<u32>),
    /// A disappearing message is kept; false: no longer.
    Kept(Ref, bool),
    /// Messages of the chat disappear after so many seconds; 0: no longer.
    Timer(u32),
    /// What the sender calls himself in the group; empty: nothing any more.
    Labelled(String),
    /// What is said in the chat may not be shared; false: it may again.
    SharingLimited(bool),
    /// A vote in a poll, still encrypted, and when it was cast by the clock of who votes: Unix milliseconds, 0 when
    /// that is not said.
    Voted(Ref, Sealed, i64),
    /// A poll has one more option.
    OptionAdded(Ref, String),
    /// An answer to an event, still encrypted.
    Answered(Ref, Sealed),
    /// An edit, a reaction or a comment, still encrypted.
    Concealed(Box<Concealed>),
    /// A comment.
    Commented(Ref, Box<Statement>),
    /// Nothing for the user: keys, synchronisation.
    Protocol,
}

/// Something that is encrypted under the secret of an earlier message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Ciphertext and tag.
    pub payload: Vec<u8>,
    /// 12 bytes.
    pub iv: Vec<u8>,
}

/// Reads an encoded message of a chat, where every file is encrypted: one that is not is no file.
///
/// # Errors
/// [`PlaintextError::Encoding`] when it is none.
pub fn read(bytes: &[u8]) -> Result<Meaning, PlaintextError> {
    read_where(bytes, |content| media_of(content).is_none_or(|media| File::of(media).is_some()))
}

/// Reads an encoded message of a newsletter, where nothing is encrypted.
///
/// # Errors
/// As [`read`].
pub fn read_in_newsletter(bytes: &[u8]) -> Result<Meaning, PlaintextError> {
    read_where(bytes, |_| true)
}

fn read_where(bytes: &[u8], fits: impl Fn(&Content) -> bool) -> Result<Meaning, PlaintextError> {
    let outer = Message::decode_from_slice(bytes).map_err(|_| PlaintextError::Encoding)?;
    let message = peel(&outer);
    if let Some(protocol) = message.protocol_message.as_option() {
        return Ok(protocol_of(protocol));
    }
    if let Some(about) = about(message, &outer) {
        return Ok(about);
    }
    let Some((content, info)) = content(message).filter(|(content, _)| fits(content)) else {
        let mut rest = outer.clone();
        rest.sender_key_distribution_message = MessageField::none();
        rest.message_context_info = MessageField::none();
        if rest == Message::default() {
            return Ok(Meaning::Protocol);
        }
        let content = Content::Raw(bytes.to_vec());
        return Ok(Meaning::Said(Box::new(Statement { content, context: None, quoted: None })));
    };
    let (context, quoted) = context(message, info, is_view_once(&outer));
    Ok(Meaning::Said(Box::new(Statement { content, context, quoted })))
}

/// What lies inside of envelopes: for disappearing and view-once messages, edits, captions, questions to bots.
pub(super) fn peel(message: &Message) -> &Message {
    let mut inner = message;
    for _ in 0..DEPTH {
        let envelopes: [&MessageField<FutureProofMessage>; 10] = [
            &inner.ephemeral_message,
            &inner.view_once_message,
            &inner.view_once_message_v2,
            &inner.view_once_message_v2_extension,
            &inner.document_with_caption_message,
            &inner.edited_message,
            &inner.associated_child_message,
            &inner.lottie_sticker_message,
            &inner.bot_invoke_message,
            &inner.poll_creation_message_v4,
        ];
        match envelopes.into_iter().find_map(|envelope| envelope.as_option()?.message.as_option()) {
            Some(next) => inner = next,
            None => break,
        }
    }
    inner
}

fn is_view_once(outer: &Message) -> bool {
    let outer = match outer.ephemeral_message.message.as_option() {
        Some(inner) => inner,
        None => outer,
    };
    [&outer.view_once_message, &outer.view_once_message_v2, &outer.view_once_message_v2_extension]
        .into_iter()
        .any(|envelope| envelope.is_set())
}

fn protocol_of(protocol: &message::ProtocolMessage) -> Meaning {
    match protocol.r#type {
        // The first value of the enumeration: absent means it too.
        None | Some(Type::REVOKE) if protocol.key.is_set() => Meaning::Revoked(reference(&protocol.key)),
        Some(Type::MESSAGE_EDIT) => {
            let new = &protocol.edited_message;
            Meaning::Edited { message: reference(&protocol.key), content: new_content(new) }
        }
        Some(Type::GROUP_MEMBER_LABEL_CHANGE) => Meaning::Labelled(owned(&protocol.member_label.label)),
        Some(Type::EPHEMERAL_SETTING) => Meaning::Timer(protocol.ephemeral_expiration.unwrap_or(0)),
        Some(Type::SHARE_PHONE_NUMBER) => {
            let content = Content::SharePhoneNumber(api::SharePhoneNumber {});
            Meaning::Said(Box::new(Statement { content, context: None, quoted: None }))
        }
        Some(Type::LIMIT_SHARING) if protocol.limit_sharing.is_set() => {
            Meaning::SharingLimited(protocol.limit_sharing.sharing_limited.unwrap_or(false))
        }
        _ => Meaning::Protocol,
    }
}

/// What a message becomes.
pub(super) fn new_content(new: &Message) -> api::message_edited::Content {
    let inner = peel(new);
    match (content(inner), edits::caption(inner)) {
        (_, Some(caption)) => api::message_edited::Content::Caption(caption),
        (Some((Content::Text(text), _)), None) => api::message_edited::Content::Text(text),
        _ => api::message_edited::Content::Raw(new.encode_to_vec()),
    }
}

fn about(message: &Message, outer: &Message) -> Option<Meaning> {
    if let Some(reaction) = message.reaction_message.as_option() {
        return Some(Meaning::Reacted(reference(&reaction.key), owned(&reaction.text)));
    }
    if let Some(pin) = message.pin_in_chat_message.as_option() {
        let pinned = pin.r#type == Some(pin_in_chat_message::Type::PIN_FOR_ALL);
        let info = if message.message_context_info.is_set() { message } else { outer };
        let lasting = info.message_context_info.message_add_on_duration_in_secs.unwrap_or(0);
        return Some(Meaning::Pinned(reference(&pin.key), pinned.then_some(lasting)));
    }
    if let Some(keep) = message.keep_in_chat_message.as_option() {
        return Some(Meaning::Kept(
            reference(&keep.key),
            keep.keep_type != Some(KeepType::UNDO_KEEP_FOR_ALL),
        ));
    }
    if let Some(update) = message.poll_update_message.as_option().filter(|update| update.vote.is_set()) {
        let sealed = Sealed { payload: bytes(&update.vote.enc_payload), iv: bytes(&update.vote.enc_iv) };
        let cast = update.sender_timestamp_ms.unwrap_or(0);
        return Some(Meaning::Voted(reference(&update.poll_creation_message_key), sealed, cast));
    }
    if let Some(concealed) = concealed(message, outer) {
        return Some(Meaning::Concealed(Box::new(concealed)));
    }
    let answer = message.enc_event_response_message.as_option()?;
    let sealed = Sealed { payload: bytes(&answer.enc_payload), iv: bytes(&answer.enc_iv) };
    Some(Meaning::Answered(reference(&answer.event_creation_message_key), sealed))
}

/// The kind that we read, with what WhatsApp puts beside it.
pub(super) fn content(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    if let Some(text) = &message.conversation {
        return Some((Content::Text(text.clone()), None));
    }
    if let Some(text) = message.extended_text_message.as_option() {
        return Some((Content::Text(text.text.clone()?), text.context_info.as_option()));
    }
    if let Some(at) = message.location_message.as_option() {
        // One that moves has a kind of its own, and this one no field for it.
        let moves = at.is_live == Some(true);
        return (!moves).then(|| (Content::Location(location(at)), at.context_info.as_option()));
    }
    if let Some(at) = message.live_location_message.as_option() {
        return Some((Content::LiveLocation(live_location(at)), at.context_info.as_option()));
    }
    let card = |contact: &message::ContactMessage| api::contacts::Contact {
        display_name: owned(&contact.display_name),
        vcard: owned(&contact.vcard),
        own: contact.is_self_contact == Some(true),
    };
    if let Some(contact) = message.contact_message.as_option() {
        let contacts = api::Contacts { contacts: vec![card(contact)] };
        return Some((Content::Contacts(contacts), contact.context_info.as_option()));
    }
    if let Some(many) = message.contacts_array_message.as_option() {
        let contacts = api::Contacts { contacts: many.contacts.iter().map(card).collect() };
        return Some((Content::Contacts(contacts), many.context_info.as_option()));
    }
    if let Some(creation) = polls::creation(message) {
        return Some((Content::Poll(polls::poll(creation)), creation.context_info.as_option()));
    }
    if let Some(event) = message.event_message.as_option() {
        return Some((Content::CalendarEvent(calendar_event(event)), event.context_info.as_option()));
    }
    if let Some(request) = message.request_phone_number_message.as_option() {
        let content = Content::RequestPhoneNumber(api::RequestPhoneNumber {});
        return Some((content, request.context_info.as_option()));
    }
    if let Some(found) = crate::media::read(message, message) {
        return Some(found);
    }
    super::shop::sold(message).or_else(|| super::interactive::interactive(message))
}

fn calendar_event(event: &message::EventMessage) -> api::CalendarEvent {
    api::CalendarEvent {
        name: owned(&event.name),
        description: owned(&event.description),
        location: event.location.as_option().map(location),
        join_link: owned(&event.join_link),
        start_time: event.start_time.map(time),
        end_time: event.end_time.map(time),
        canceled: event.is_canceled.unwrap_or(false),
        extra_guests_allowed: event.extra_guests_allowed.unwrap_or(false),
        call: event.is_schedule_call.unwrap_or(false),
        reminder: (event.has_reminder == Some(true))
            .then(|| api::Duration { seconds: event.reminder_offset_sec.unwrap_or(0), nanos: 0 }),
    }
}

fn live_location(at: &message::LiveLocationMessage) -> api::LiveLocation {
    api::LiveLocation {
        latitude: at.degrees_latitude.unwrap_or(0.0),
        longitude: at.degrees_longitude.unwrap_or(0.0),
        accuracy_meters: at.accuracy_in_meters.unwrap_or(0),
        speed_mps: at.speed_in_mps.unwrap_or(0.0),
        heading_degrees: at.degrees_clockwise_from_magnetic_north.unwrap_or(0),
        caption: owned(&at.caption),
        sequence: at.sequence_number.unwrap_or(0),
        offset: at.time_offset.map(span),
        thumbnail: bytes(&at.jpeg_thumbnail),
    }
}

fn location(at: &message::LocationMessage) -> api::Location {
    api::Location {
        latitude: at.degrees_latitude.unwrap_or(0.0),
        longitude: at.degrees_longitude.unwrap_or(0.0),
        name: owned(&at.name),
        address: owned(&at.address),
        url: owned(&at.url),
        comment: owned(&at.comment),
        thumbnail: bytes(&at.jpeg_thumbnail),
        accuracy_meters: at.accuracy_in_meters.unwrap_or(0),
    }
}

/// What goes with a message, and whose message its quote is.
fn context(
    message: &Message,
    info: Option<&ContextInfo>,
    view_once: bool,
) -> (Option<api::Context>, Option<String>) {
    let text = message.extended_text_message.as_option();
    let none = ContextInfo::default();
    let info = info.unwrap_or(&none);
    let quote = quotes::quote(info);
    // The first forward has a score of 0 from whatsapp-rust, and of 1 from Baileys.
    let score = info.forwarding_score.unwrap_or(0).max(u32::from(info.is_forwarded == Some(true)));
    let context = api::Context {
        mentions: info.mentioned_jid.clone(),
        quote,
        link_preview: text.and_then(texts::preview),
        forwarding_score: i32::try_from(score).unwrap_or(i32::MAX),
        expires_after: info.expiration.filter(|after| *after > 0).map(span),
        view_once,
        mentions_everybody: info.non_jid_mentions.unwrap_or(0) > 0,
        text_style: text.and_then(texts::style),
    };
    let quoted = context.quote.as_ref().and(info.participant.clone());
    ((context != api::Context::default()).then_some(context), quoted)
}

/// The text of a message, or what is said with its file.
pub(super) fn words(message: &Message) -> String {
    match content(message) {
        Some((Content::Text(text), _)) => text,
        _ => edits::caption(message).unwrap_or_default(),
    }
}

pub(super) fn reference(key: &MessageKey) -> Ref {
    Ref {
        id: owned(&key.id),
        of_the_sender: key.from_me.unwrap_or(false),
        participant: owned(&key.participant),
    }
}

pub(super) fn owned(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

pub(super) fn bytes(bytes: &Option<Vec<u8>>) -> Vec<u8> {
    bytes.clone().unwrap_or_default()
}

pub(super) fn time(seconds: i64) -> api::Timestamp {
    api::Timestamp { seconds, nanos: 0 }
}

fn span(seconds: u32) -> api::Duration {
    api::Duration { seconds: i64::from(seconds), nanos: 0 }
}
