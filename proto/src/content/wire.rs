//! What WhatsApp's server is told about a message: kind, edit, and what a receiver shows that cannot
//! decrypt it. All of it follows from the message.
//!
//! Rules: what whatsmeow and Baileys agree on. Where they differ, the code says whom it follows.

use waproto::buffa::Message as _;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;

use super::business::Business;
use super::meaning::peel;
use super::polls;
use super::report::Reportable;
use crate::id::UnixMillis;
use crate::stanza::{Builder, Jid, Stanza};

/// Attributes and children for the stanza of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// `type` of the stanza.
    pub kind: &'static str,
    /// `edit` of the stanza.
    pub edit: Option<&'static str>,
    /// `mediatype` of every `<enc>`.
    pub media: Option<&'static str>,
    /// `decrypt-fail=hide` at every `<enc>`: nothing is to be shown for it.
    pub hidden: bool,
    /// Attributes and values of `<meta>`.
    meta: &'static [(&'static str, &'static str)],
    /// What `<biz>` says.
    business: Option<Business>,
    /// What a receiver can report of it.
    reportable: Option<Reportable>,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire {
            kind: "text",
            edit: None,
            media: None,
            hidden: false,
            meta: &[],
            business: None,
            reportable: None,
        }
    }
}

impl Wire {
    /// Of an encoded message; of one that cannot be read, those of a text.
    pub fn of(message: &[u8]) -> Wire {
        let Ok(decoded) = Message::decode_from_slice(message) else { return Wire::default() };
        Wire { reportable: Reportable::of(message, &decoded), ..of(&decoded) }
    }

    /// The token by which WhatsApp can tell that a message that is reported was sent as it is shown; 16 bytes. Of the
    /// message with this id, from an account to a chat, in the address form of the chat. `None` for a message that
    /// has no secret.
    pub fn report_token(&self, id: &str, sender: &Jid, chat: &Jid) -> Option<[u8; 16]> {
        Some(self.reportable.as_ref()?.token(id, sender, chat))
    }

    /// The same as a child of the stanza.
    pub fn reporting(&self, id: &str, sender: &Jid, chat: &Jid) -> Option<Stanza> {
        let token = self.report_token(id, sender, chat)?;
        let token = Builder::new("reporting_token").attr("v", "2").bytes(token).build();
        Some(Builder::new("reporting").children([token]).build())
    }

    /// Attributes for an `<enc>`.
    pub fn mark(&self, enc: Builder) -> Builder {
        let enc = match self.media {
            Some(media) => enc.attr("mediatype", media),
            None => enc,
        };
        if self.hidden { enc.attr("decrypt-fail", "hide") } else { enc }
    }

    /// Children of the stanza beside the ciphertexts, when it is sent now, to one person or to many.
    pub fn children(&self, now: UnixMillis, to_one: bool) -> Vec<Stanza> {
        let with = |meta: Builder, (key, value): &(&'static str, &'static str)| meta.attr(key, *value);
        let meta = self.meta.iter().fold(Builder::new("meta"), with).build();
        let meta = (!self.meta.is_empty()).then_some(meta);
        let business = self.business.map(|business| business.elements(now, to_one));
        meta.into_iter().chain(business.into_iter().flatten()).collect()
    }
}

fn of(message: &Message) -> Wire {
    let message = peel(message);
    let media = media(message);
    let poll = polls::creation(message).is_some();
    let vote = message.poll_update_message.is_set();
    let concealed = message.secret_encrypted_message.secret_enc_type;
    let event_edit = concealed == Some(SecretEncType::EVENT_EDIT);
    // As whatsapp-rust has them; it says nothing else of them beside.
    let poll_change = matches!(concealed, Some(SecretEncType::POLL_EDIT | SecretEncType::POLL_ADD_OPTION));
    let event = message.event_message.is_set() || message.enc_event_response_message.is_set() || event_edit;
    let reaction = message.reaction_message.is_set() || message.enc_reaction_message.is_set();
    let kind = match () {
        () if reaction => "reaction",
        () if poll || vote || poll_change => "poll",
        () if event => "event",
        () if media.is_some() => "media",
        () => "text",
    };
    let label = &message.protocol_message.member_label;
    let meta: &[_] = match () {
        () if poll => &[("polltype", "creation")],
        () if vote => &[("polltype", "vote")],
        () if message.event_message.is_set() => &[("event_type", "creation")],
        () if message.enc_event_response_message.is_set() => &[("event_type", "response")],
        () if event_edit => &[("event_type", "edit")],
        () if label.label.as_deref().is_some_and(|label| !label.is_empty()) => {
            &[("appdata", "member_tag"), ("tag_reason", "user_update")]
        }
        () if label.is_set() => &[("appdata", "member_tag"), ("tag_reason", "user_delete")],
        () => &[],
    };
    let business = Business::of(message);
    let edit = edit(message);
    // A revocation is no such thing, though whatsmeow hides it: whatsapp-rust says that WhatsApp Web never does, and that the
    // server drops one that is hidden.
    let changes = matches!(edit, Some("1" | "2"));
    let response = message.enc_event_response_message.is_set();
    let hidden = changes || reaction || vote || poll_change || response;
    Wire { kind, edit, media, hidden, meta, business, reportable: None }
}

fn edit(message: &Message) -> Option<&'static str> {
    if let Some(protocol) = message.protocol_message.as_option().filter(|protocol| protocol.key.is_set()) {
        return match protocol.r#type {
            Some(Type::MESSAGE_EDIT) if protocol.edited_message.is_set() => Some("1"),
            Some(Type::REVOKE) if protocol.key.from_me == Some(true) => Some("7"),
            Some(Type::REVOKE) => Some("8"),
            _ => None,
        };
    }
    if let Some(SecretEncType::MESSAGE_EDIT | SecretEncType::EVENT_EDIT) =
        message.secret_encrypted_message.secret_enc_type
    {
        return Some("1");
    }
    if message.pin_in_chat_message.is_set() {
        return Some("2");
    }
    let reaction = message.reaction_message.as_option();
    reaction.is_some_and(|reaction| reaction.text.as_deref().unwrap_or_default().is_empty()).then_some("7")
}

fn media(message: &Message) -> Option<&'static str> {
    Some(match () {
        // whatsmeow calls a text with a preview a medium; Baileys does not, and the server takes both.
        () if message.extended_text_message.title.is_some() => "url",
        () if message.image_message.is_set() => "image",
        () if message.sticker_message.is_set() => "sticker",
        () if message.sticker_pack_message.is_set() => "sticker_pack",
        () if message.document_message.is_set() => "document",
        () if message.audio_message.is_set() && message.audio_message.ptt == Some(true) => "ptt",
        () if message.audio_message.is_set() => "audio",
        () if message.video_message.is_set() && message.video_message.gif_playback == Some(true) => "gif",
        () if message.video_message.is_set() => "video",
        () if message.ptv_message.is_set() => "ptv",
        () if message.contact_message.is_set() => "vcard",
        () if message.contacts_array_message.is_set() => "contact_array",
        () if message.live_location_message.is_set() => "livelocation",
        () if message.list_message.is_set() => "list",
        () if message.list_response_message.is_set() => "list_response",
        () if message.buttons_response_message.is_set() => "buttons_response",
        () if message.order_message.is_set() => "order",
        () if message.product_message.is_set() => "product",
        () if message.interactive_response_message.is_set() => "native_flow_response",
        () if message.group_invite_message.is_set() => "url",
        () => return None,
    })
}
