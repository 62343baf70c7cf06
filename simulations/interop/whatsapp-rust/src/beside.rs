//! What goes with a message (mentions, a preview of a link, a forward, a time after which it disappears), what keeps
//! messages or lets them disappear, and answers to messages that ask for one.

use anyhow::Context as _;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::proto_helpers::build_quote_context;
use whatsapp_rust::wacore::secret_enc_addon::{AddonContext, ModificationType, encrypt_addon};
use whatsapp_rust::waproto::buffa::Message as _;
use whatsapp_rust::waproto::whatsapp::message::buttons_response_message::{self, Response};
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use whatsapp_rust::waproto::whatsapp::message::{
    AlbumMessage, ButtonsResponseMessage, ExtendedTextMessage, GroupInviteMessage, KeepInChatMessage,
    ListResponseMessage, PollAddOptionMessage, PollCreationMessage, ProtocolMessage, SecretEncryptedMessage,
    extended_text_message, list_response_message, poll_creation_message,
};

use crate::Command;
use crate::details::{first_button, first_row};
use crate::kinds::{Words, id};

/// What is previewed.
const LINK: &str = "https://hens.example";
/// After which a message disappears: a day, in seconds.
const DAY: u32 = 86_400;
/// Where status posts are.
const STATUS: &str = "status@broadcast";

/// The message that a command of this file says; none for another kind. `key` names what it is about.
///
/// # Errors
/// A message that was never received, or a time that is no number.
pub fn message(
    command: &Command,
    heard: Option<&InboundMessage>,
    key: &wa::MessageKey,
) -> anyhow::Result<Option<wa::Message>> {
    let (text, about) = (command.text.as_str(), command.about.as_str());
    let received = || heard.with_context(|| format!("{about:?} was not received"));
    let quoting = || {
        let quoted = received()?;
        let author = quoted.info.source.sender.to_non_ad().to_string();
        anyhow::Ok(build_quote_context(about, author, &quoted.message))
    };
    let mut message = wa::Message::default();
    match command.kind.as_str() {
        "quote" => message = wa::Message::text_with_context(text, quoting()?),
        "reply" => {
            let remote_jid = Some(STATUS.to_owned());
            message = wa::Message::text_with_context(text, wa::ContextInfo { remote_jid, ..quoting()? });
        }
        "mention" => {
            let context = wa::ContextInfo { mentioned_jid: vec![about.to_owned()], ..Default::default() };
            message = wa::Message::text_with_context(text, context);
        }
        "disappearing" => {
            let context = wa::ContextInfo { expiration: Some(DAY), ..Default::default() };
            message = wa::Message::text_with_context(text, context);
        }
        "link_preview" => {
            message.extended_text_message = MessageField::some(ExtendedTextMessage {
                text: Some(LINK.to_owned()),
                matched_text: Some(LINK.to_owned()),
                title: Some(text.to_owned()),
                ..Default::default()
            });
        }
        "styled" => {
            message.extended_text_message = MessageField::some(ExtendedTextMessage {
                text: Some(text.to_owned()),
                background_argb: Some(0xff1e_6e4f),
                text_argb: Some(0xffff_ffff),
                font: Some(extended_text_message::FontType::FB_SCRIPT),
                ..Default::default()
            });
        }
        "forward" => message = *received()?.message.prepare_for_forward(),
        "keep" => {
            let undo = text == "undo";
            let kind = if undo { wa::KeepType::UNDO_KEEP_FOR_ALL } else { wa::KeepType::KEEP_FOR_ALL };
            message.keep_in_chat_message = MessageField::some(KeepInChatMessage {
                key: MessageField::some(key.clone()),
                keep_type: Some(kind),
                timestamp_ms: Some(crate::chats::now()),
            });
        }
        "timer" => {
            message.protocol_message = MessageField::some(ProtocolMessage {
                r#type: Some(Type::EPHEMERAL_SETTING),
                ephemeral_expiration: Some(text.parse()?),
                ..Default::default()
            });
        }
        "list_answer" => {
            let selected_row_id = first_row(received()?.message.get_base_message());
            let reply = list_response_message::SingleSelectReply { selected_row_id };
            message.list_response_message = MessageField::some(ListResponseMessage {
                title: Some(text.to_owned()),
                list_type: Some(list_response_message::ListType::SINGLE_SELECT),
                single_select_reply: MessageField::some(reply),
                context_info: MessageField::some(quoting()?),
                ..Default::default()
            });
        }
        "button_answer" => {
            message.buttons_response_message = MessageField::some(ButtonsResponseMessage {
                selected_button_id: first_button(received()?.message.get_base_message()),
                r#type: Some(buttons_response_message::Type::DISPLAY_TEXT),
                response: Some(Response::SelectedDisplayText(text.to_owned())),
                context_info: MessageField::some(quoting()?),
            });
        }
        "group_invite" => {
            message.group_invite_message = MessageField::some(GroupInviteMessage {
                group_jid: Some("120363000000000001@g.us".to_owned()),
                invite_code: Some("HENS".to_owned()),
                group_name: Some("Hens".to_owned()),
                caption: Some(text.to_owned()),
                ..Default::default()
            });
        }
        "album" => {
            let expected_image_count = Some(text.parse()?);
            message.album_message =
                MessageField::some(AlbumMessage { expected_image_count, ..Default::default() });
        }
        _ => return Ok(None),
    }
    Ok(Some(message))
}

/// A poll to which everybody may add options, or one that ends and hides who votes, as it travels; votes in it are
/// encrypted under this secret.
///
/// # Errors
/// An end that is no number.
pub fn poll(command: &Command, secret: &[u8]) -> anyhow::Result<wa::Message> {
    let ends = command.kind == "ending_poll";
    let option = |name: &str| {
        let option_name = Some(name.to_owned());
        poll_creation_message::Option { option_name, ..Default::default() }
    };
    let poll = PollCreationMessage {
        name: Some(command.text.clone()),
        options: ["yes", "no"].map(option).to_vec(),
        selectable_options_count: Some(1),
        allow_add_option: (!ends).then_some(true),
        end_time: if ends { Some(command.about.parse()?) } else { None },
        hide_participant_name: ends.then_some(true),
        ..Default::default()
    };
    let info = wa::MessageContextInfo { message_secret: Some(secret.to_vec()), ..Default::default() };
    Ok(wa::Message {
        poll_creation_message_v3: MessageField::some(poll),
        message_context_info: MessageField::some(info),
        ..Default::default()
    })
}

/// One more option of a poll, as it travels: encrypted under the secret of the poll, from its author and who adds it.
///
/// # Errors
/// A secret of another length.
pub fn poll_option(
    poll: wa::MessageKey,
    (author, by): (&str, &str),
    secret: &[u8],
    name: &str,
) -> anyhow::Result<wa::Message> {
    let option = poll_creation_message::Option { option_name: Some(name.to_owned()), ..Default::default() };
    let added = PollAddOptionMessage {
        poll_creation_message_key: MessageField::some(poll.clone()),
        add_option: MessageField::some(option),
        ..Default::default()
    };
    let plain = wa::Message { poll_add_option_message: MessageField::some(added), ..Default::default() }
        .encode_to_vec();
    let context = AddonContext {
        stanza_id: poll.id.as_deref().unwrap_or_default(),
        parent_msg_original_sender: author,
        modification_sender: by,
        modification_type: ModificationType::PollAddOption,
    };
    let (payload, iv) = encrypt_addon(&plain, secret, &context)?;
    let sealed = SecretEncryptedMessage {
        target_message_key: MessageField::some(poll),
        enc_payload: Some(payload),
        enc_iv: Some(iv.to_vec()),
        secret_enc_type: Some(SecretEncType::POLL_ADD_OPTION),
        ..Default::default()
    };
    Ok(wa::Message { secret_encrypted_message: MessageField::some(sealed), ..Default::default() })
}

/// A received message of this file in words.
pub fn describe(message: &wa::Message) -> Option<Words> {
    let quoted = |context: &MessageField<wa::ContextInfo>| {
        context.as_option().and_then(|context| context.stanza_id.clone()).unwrap_or_default()
    };
    let words = |kind, text: &str, about: String| Some(Words { kind, text: text.to_owned(), about });
    if let Some(keep) = message.keep_in_chat_message.as_option() {
        let undone = keep.keep_type == Some(wa::KeepType::UNDO_KEEP_FOR_ALL);
        return words("keep", if undone { "undo" } else { "" }, id(keep.key.as_option()));
    }
    if let Some(answer) = message.list_response_message.as_option() {
        let title = answer.title.as_deref().unwrap_or_default();
        return words("list_answer", title, quoted(&answer.context_info));
    }
    if let Some(answer) = message.buttons_response_message.as_option() {
        let text = match &answer.response {
            Some(Response::SelectedDisplayText(text)) => text.as_str(),
            None => "",
        };
        return words("button_answer", text, quoted(&answer.context_info));
    }
    if let Some(added) = message.poll_add_option_message.as_option() {
        let option = added.add_option.as_option().and_then(|option| option.option_name.as_deref());
        let poll = id(added.poll_creation_message_key.as_option());
        return words("poll_option", option.unwrap_or_default(), poll);
    }
    if let Some(invite) = message.group_invite_message.as_option() {
        return words("group_invite", invite.caption.as_deref().unwrap_or_default(), String::new());
    }
    if let Some(album) = message.album_message.as_option() {
        let images = album.expected_image_count.unwrap_or_default();
        return words("album", &images.to_string(), String::new());
    }
    let text = message.extended_text_message.as_option()?;
    let said = text.text.as_deref().unwrap_or_default();
    if let Some(title) = &text.title {
        return words("link_preview", title, text.matched_text.clone().unwrap_or_default());
    }
    if text.background_argb.is_some() {
        return words("styled", said, String::new());
    }
    let context = text.context_info.as_option()?;
    if context.is_forwarded == Some(true) {
        let score = context.forwarding_score.unwrap_or_default();
        return words("forward", &format!("{said}; {score}"), String::new());
    }
    if let Some(who) = context.mentioned_jid.first() {
        return words("mention", said, who.clone());
    }
    if let Some(after) = context.expiration.filter(|after| *after > 0) {
        return words("disappearing", &format!("{said}; {after}"), String::new());
    }
    let kind = match () {
        () if context.remote_jid.as_deref() == Some(STATUS) => "reply",
        () if context.quoted_message.location_message.is_set() => "quote_place",
        () => "quote",
    };
    words(kind, said, context.stanza_id.clone()?)
}
