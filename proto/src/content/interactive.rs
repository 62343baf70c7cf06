//! Buttons, answers to them and to lists, and invites: kinds that ask for a tap, both ways.
//!
//! What must hold: a message with a part that has no field in the schema is not read here, so that it is told as the
//! bytes that came.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::buttons_message::{Header, HeaderType, button};
use waproto::whatsapp::message::group_invite_message::GroupType;
use waproto::whatsapp::message::{self, buttons_message};
use waproto::whatsapp::{ContextInfo, Message};

use super::encode::said;
use super::meaning::{bytes, owned, time};
use crate::api;
use crate::api::message_received::Content;

pub(super) fn some_buttons(
    buttons: &api::ButtonsMessage,
    with: MessageField<ContextInfo>,
) -> message::ButtonsMessage {
    let button = |button: &api::buttons_message::Button| buttons_message::Button {
        button_id: Some(button.id.clone()),
        button_text: buttons_message::button::ButtonText { display_text: Some(button.text.clone()) }.into(),
        r#type: Some(buttons_message::button::Type::RESPONSE),
        ..Default::default()
    };
    message::ButtonsMessage {
        content_text: Some(buttons.text.clone()),
        footer_text: said(&buttons.footer),
        header_type: Some(if buttons.header.is_empty() { HeaderType::EMPTY } else { HeaderType::TEXT }),
        header: said(&buttons.header).map(Header::Text),
        buttons: buttons.buttons.iter().map(button).collect(),
        context_info: with,
    }
}

pub(super) fn an_invite(
    invite: &api::GroupInvite,
    with: MessageField<ContextInfo>,
) -> message::GroupInviteMessage {
    message::GroupInviteMessage {
        group_jid: Some(invite.group.clone()),
        invite_code: Some(invite.code.clone()),
        group_name: said(&invite.group_name),
        caption: said(&invite.caption),
        invite_expiration: invite.expire_time.map(|time| time.seconds),
        jpeg_thumbnail: Some(invite.thumbnail.clone()).filter(|thumbnail| !thumbnail.is_empty()),
        group_type: invite.community.then_some(GroupType::PARENT),
        context_info: with,
    }
}

/// The kind that asks for a tap, with what WhatsApp puts beside it.
pub(super) fn interactive(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    if let Some(answer) = message.list_response_message.as_option() {
        let read = api::ListAnswer {
            row_id: owned(&answer.single_select_reply.selected_row_id),
            title: owned(&answer.title),
            description: owned(&answer.description),
        };
        return Some((Content::ListAnswer(read), answer.context_info.as_option()));
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        let button = |button: &message::buttons_message::Button| api::buttons_message::Button {
            id: owned(&button.button_id),
            text: owned(&button.button_text.display_text),
        };
        let header = match &buttons.header {
            Some(Header::Text(text)) => text.clone(),
            Some(_) => return None,
            None => String::new(),
        };
        let flows = |it: &buttons_message::Button| {
            it.native_flow_info.is_set() || it.r#type == Some(button::Type::NATIVE_FLOW)
        };
        if buttons.buttons.iter().any(flows) {
            return None;
        }
        let read = api::ButtonsMessage {
            header,
            text: owned(&buttons.content_text),
            footer: owned(&buttons.footer_text),
            buttons: buttons.buttons.iter().map(button).collect(),
        };
        return Some((Content::Buttons(read), buttons.context_info.as_option()));
    }
    if let Some(answer) = message.buttons_response_message.as_option() {
        let text = match &answer.response {
            Some(message::buttons_response_message::Response::SelectedDisplayText(text)) => text.clone(),
            None => String::new(),
        };
        let read = api::ButtonAnswer { id: owned(&answer.selected_button_id), text };
        return Some((Content::ButtonAnswer(read), answer.context_info.as_option()));
    }
    let invite = message.group_invite_message.as_option()?;
    let read = api::GroupInvite {
        group: owned(&invite.group_jid),
        code: owned(&invite.invite_code),
        group_name: owned(&invite.group_name),
        caption: owned(&invite.caption),
        expire_time: invite.invite_expiration.map(time),
        thumbnail: bytes(&invite.jpeg_thumbnail),
        community: invite.group_type == Some(GroupType::PARENT),
    };
    Some((Content::GroupInvite(read), invite.context_info.as_option()))
}
