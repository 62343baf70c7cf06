//! From a message to send to WhatsApp's `Message`.
//!
//! Votes and answers to events, and whatever else is encrypted once more under the secret of what it is about, is
//! not made here but under [`super::seal`]. What is said carries a secret, under which others may answer.

use bytes::Bytes;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::limit_sharing::TriggerType;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{self, pin_in_chat_message};
use waproto::whatsapp::{ContextInfo, KeepType, LimitSharing, MemberLabel, Message};
use waproto::whatsapp::{MessageContextInfo, MessageKey};

use super::edits::an_edit;
use super::interactive::{an_invite, some_buttons};
use super::shop::{a_list, a_product, an_order};
use super::texts::{extended, is_plain};
use super::{MessageContent, bots, plain::carried, polls, quotes, report};
use crate::api;
use crate::api::send_message_request::Content;
use crate::id::UnixMillis;
use crate::media;
use crate::stanza::Jid;

/// What a message says beside what the caller said.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where it goes, as the caller named it, without a device number.
    pub chat: Jid,
    /// Our account in the address form of the chat, without a device number.
    pub own: Jid,
    /// When.
    pub now: UnixMillis,
    /// The message of ours that is edited, as it is stored, when there is one.
    pub edited: Option<Bytes>,
    /// Random: what votes, answers and comments will be encrypted under, and what makes the token of a report.
    pub secret: [u8; 32],
}

/// An encoded `Message`, without padding. Expects what [`super::check`] has let pass; of anything else
/// something harmless is left out.
pub fn encode(content: &MessageContent, around: &Surroundings) -> Vec<u8> {
    if let Content::Raw(raw) = &content.kind {
        return raw.clone();
    }
    let mut message = body(content, around);
    report::add_secret(&mut message, content, around);
    message = bots::calling(message, content, around);
    if content.context.view_once {
        let context = message.message_context_info.clone();
        message = Message {
            view_once_message: envelope(message),
            message_context_info: context,
            ..Default::default()
        };
    }
    carried(&content.kind, &around.chat, message.encode_to_vec())
}

pub(super) fn body(content: &MessageContent, around: &Surroundings) -> Message {
    let with = context(&content.context, around);
    let key = |message: &Option<api::MessageRef>| message_key(message.as_ref(), around);
    let mut out = Message::default();
    match &content.kind {
        Content::Text(text) if with.is_unset() && is_plain(&content.context) => {
            out.conversation = Some(text.clone());
        }
        Content::Text(text) => out.extended_text_message = extended(text, &content.context, with).into(),
        Content::Location(at) => {
            out.location_message = message::LocationMessage { context_info: with, ..location(at) }.into();
        }
        Content::LiveLocation(at) => {
            out.live_location_message = message::LiveLocationMessage {
                degrees_latitude: Some(at.latitude),
                degrees_longitude: Some(at.longitude),
                accuracy_in_meters: Some(at.accuracy_meters),
                speed_in_mps: Some(at.speed_mps),
                degrees_clockwise_from_magnetic_north: Some(at.heading_degrees),
                caption: said(&at.caption),
                sequence_number: Some(at.sequence),
                time_offset: at.offset.map(|offset| seconds(&offset)),
                jpeg_thumbnail: Some(at.thumbnail.clone()).filter(|thumbnail| !thumbnail.is_empty()),
                context_info: with,
            }
            .into();
        }
        Content::Contacts(contacts) => contact_cards(&mut out, contacts, with),
        Content::Poll(poll) => {
            let creation = message::PollCreationMessage { context_info: with, ..polls::message(poll) };
            // One choice is the third version of the same message; WhatsApp's clients show it differently.
            match poll.selectable {
                1 => out.poll_creation_message_v3 = creation.into(),
                _ => out.poll_creation_message = creation.into(),
            }
        }
        Content::CalendarEvent(event) => {
            out.event_message = message::EventMessage {
                context_info: with,
                is_canceled: Some(event.canceled),
                name: Some(event.name.clone()),
                description: said(&event.description),
                location: event.location.as_ref().map(location).into(),
                join_link: said(&event.join_link),
                start_time: event.start_time.map(|time| time.seconds),
                end_time: event.end_time.map(|time| time.seconds),
                extra_guests_allowed: Some(event.extra_guests_allowed),
                is_schedule_call: event.call.then_some(true),
                has_reminder: event.reminder.map(|_| true),
                reminder_offset_sec: event.reminder.map(|before| before.seconds),
            }
            .into();
        }
        Content::List(list) => out.list_message = a_list(list, with).into(),
        Content::ListAnswer(answer) => {
            out.list_response_message = message::ListResponseMessage {
                title: said(&answer.title),
                description: said(&answer.description),
                list_type: Some(message::list_response_message::ListType::SINGLE_SELECT),
                single_select_reply: message::list_response_message::SingleSelectReply {
                    selected_row_id: Some(answer.row_id.clone()),
                }
                .into(),
                context_info: with,
            }
            .into();
        }
        Content::Buttons(buttons) => out.buttons_message = some_buttons(buttons, with).into(),
        Content::ButtonAnswer(answer) => {
            out.buttons_response_message = message::ButtonsResponseMessage {
                selected_button_id: Some(answer.id.clone()),
                r#type: Some(message::buttons_response_message::Type::DISPLAY_TEXT),
                response: Some(message::buttons_response_message::Response::SelectedDisplayText(
                    answer.text.clone(),
                )),
                context_info: with,
            }
            .into();
        }
        Content::Product(product) => out.product_message = a_product(product, with).into(),
        Content::Order(order) => out.order_message = an_order(order, with).into(),
        Content::GroupInvite(invite) => out.group_invite_message = an_invite(invite, with).into(),
        Content::Reaction(reaction) => {
            out.reaction_message = message::ReactionMessage {
                key: key(&reaction.message),
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(around.now.0),
                ..Default::default()
            }
            .into();
        }
        Content::Edit(edit) if edit.encrypted => {}
        Content::Edit(edit) => out.edited_message = envelope(an_edit(edit, around, with)),
        Content::Revoke(revoke) => {
            out.protocol_message = message::ProtocolMessage {
                key: key(&revoke.message),
                r#type: Some(Type::REVOKE),
                ..Default::default()
            }
            .into();
        }
        Content::Pin(pin) => {
            let kind = match pin.duration {
                Some(_) => pin_in_chat_message::Type::PIN_FOR_ALL,
                None => pin_in_chat_message::Type::UNPIN_FOR_ALL,
            };
            out.pin_in_chat_message = message::PinInChatMessage {
                key: key(&pin.message),
                r#type: Some(kind),
                sender_timestamp_ms: Some(around.now.0),
            }
            .into();
            let lasting = pin.duration.map(|duration| MessageContextInfo {
                message_add_on_duration_in_secs: Some(seconds(&duration)),
                ..Default::default()
            });
            out.message_context_info = lasting.into();
        }
        Content::Keep(keep) => {
            let kind = if keep.undo { KeepType::UNDO_KEEP_FOR_ALL } else { KeepType::KEEP_FOR_ALL };
            out.keep_in_chat_message = message::KeepInChatMessage {
                key: key(&keep.message),
                keep_type: Some(kind),
                timestamp_ms: Some(around.now.0),
            }
            .into();
        }
        Content::DisappearingTimer(timer) => {
            out.protocol_message = message::ProtocolMessage {
                r#type: Some(Type::EPHEMERAL_SETTING),
                ephemeral_expiration: Some(timer.duration.as_ref().map_or(0, seconds)),
                ephemeral_setting_timestamp: Some(around.now.0 / 1000),
                ..Default::default()
            }
            .into();
        }
        Content::MemberLabel(member) => {
            let label_timestamp = Some(around.now.0 / 1000);
            let label = MemberLabel { label: Some(member.label.clone()), label_timestamp };
            out.protocol_message = message::ProtocolMessage {
                r#type: Some(Type::GROUP_MEMBER_LABEL_CHANGE),
                member_label: label.into(),
                ..Default::default()
            }
            .into();
        }
        Content::SharePhoneNumber(_) => {
            let r#type = Some(Type::SHARE_PHONE_NUMBER);
            out.protocol_message = message::ProtocolMessage { r#type, ..Default::default() }.into();
        }
        Content::RequestPhoneNumber(_) => {
            out.request_phone_number_message =
                message::RequestPhoneNumberMessage { context_info: with }.into();
        }
        Content::LimitSharing(limit) => {
            let sharing = LimitSharing {
                sharing_limited: Some(limit.limited),
                trigger: Some(TriggerType::CHAT_SETTING),
                limit_sharing_setting_timestamp: Some(around.now.0),
                initiated_by_me: Some(true),
            };
            let (r#type, limit_sharing) = (Some(Type::LIMIT_SHARING), sharing.into());
            let protocol = message::ProtocolMessage { r#type, limit_sharing, ..Default::default() };
            out.protocol_message = protocol.into();
        }
        // Made under a secret, or not here at all.
        Content::Image(_)
        | Content::Video(_)
        | Content::Audio(_)
        | Content::Document(_)
        | Content::Sticker(_)
        | Content::StickerPack(_)
        | Content::Album(_) => {
            media::put(&mut out, &content.kind, with, &around.chat, content.context.view_once);
        }
        Content::PollVote(_)
        | Content::PollOption(_)
        | Content::EventResponse(_)
        | Content::Comment(_)
        | Content::Raw(_) => {}
    }
    out
}

fn contact_cards(out: &mut Message, contacts: &api::Contacts, with: MessageField<ContextInfo>) {
    let card = |contact: &api::contacts::Contact| message::ContactMessage {
        display_name: Some(contact.display_name.clone()),
        vcard: Some(contact.vcard.clone()),
        is_self_contact: contact.own.then_some(true),
        ..Default::default()
    };
    match &contacts.contacts[..] {
        [one] => out.contact_message = message::ContactMessage { context_info: with, ..card(one) }.into(),
        many => {
            out.contacts_array_message = message::ContactsArrayMessage {
                display_name: Some(format!("{} contacts", many.len())),
                contacts: many.iter().map(card).collect(),
                context_info: with,
            }
            .into();
        }
    }
}

/// What goes with a message of any kind; unset when nothing does.
pub(super) fn context(context: &api::Context, around: &Surroundings) -> MessageField<ContextInfo> {
    let quote = context.quote.as_ref();
    let quoted = quote.and_then(|quote| quote.message.as_ref());
    let info = ContextInfo {
        stanza_id: quoted.map(|quoted| quoted.whatsapp_id.clone()),
        participant: quote.filter(|_| quoted.is_some()).map(|quote| quotes::author(quote, around)),
        quoted_message: quote.map(|quote| quotes::message(quote, around)).into(),
        remote_jid: quote.and_then(|quote| said(&quote.chat)),
        mentioned_jid: context.mentions.clone(),
        forwarding_score: u32::try_from(context.forwarding_score).ok().filter(|score| *score > 0),
        is_forwarded: (context.forwarding_score > 0).then_some(true),
        expiration: context.expires_after.as_ref().map(seconds),
        non_jid_mentions: context.mentions_everybody.then_some(1),
        ..Default::default()
    };
    if info == ContextInfo::default() { MessageField::none() } else { info.into() }
}

/// How a message is named to others. In groups its author is part of the name, unless it is us.
pub(super) fn message_key(
    message: Option<&api::MessageRef>,
    around: &Surroundings,
) -> MessageField<MessageKey> {
    let Some(message) = message else { return MessageField::none() };
    let in_group = !around.chat.is_pn() && !around.chat.is_lid();
    MessageKey {
        remote_jid: Some(around.chat.to_string()),
        from_me: Some(message.from_me),
        id: Some(message.whatsapp_id.clone()),
        participant: (in_group && !message.from_me).then(|| message.sender.clone()),
    }
    .into()
}

fn location(at: &api::Location) -> message::LocationMessage {
    message::LocationMessage {
        degrees_latitude: Some(at.latitude),
        degrees_longitude: Some(at.longitude),
        name: said(&at.name),
        address: said(&at.address),
        url: said(&at.url),
        comment: said(&at.comment),
        jpeg_thumbnail: Some(at.thumbnail.clone()).filter(|thumbnail| !thumbnail.is_empty()),
        accuracy_in_meters: (at.accuracy_meters > 0).then_some(at.accuracy_meters),
        ..Default::default()
    }
}

fn envelope(message: Message) -> MessageField<message::FutureProofMessage> {
    message::FutureProofMessage { message: message.into() }.into()
}

pub(super) fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn seconds(duration: &api::Duration) -> u32 {
    u32::try_from(duration.seconds).unwrap_or(0)
}
