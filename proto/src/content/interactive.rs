//! Lists, buttons, their answers, and products: kinds that ask for a tap, both ways.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::{self, buttons_message, list_message};
use waproto::whatsapp::{ContextInfo, Message};

use super::encode::said;
use super::meaning::{owned, time};
use crate::api;
use crate::api::message_received::Content;

pub(super) fn a_list(list: &api::ListMessage, with: MessageField<ContextInfo>) -> message::ListMessage {
    let row = |row: &api::list_message::Row| list_message::Row {
        title: Some(row.title.clone()),
        description: said(&row.description),
        row_id: Some(row.id.clone()),
    };
    let sections = list.sections.iter().map(|section| list_message::Section {
        title: said(&section.title),
        rows: section.rows.iter().map(row).collect(),
    });
    message::ListMessage {
        title: said(&list.title),
        description: Some(list.text.clone()),
        button_text: Some(list.button.clone()),
        list_type: Some(list_message::ListType::SINGLE_SELECT),
        sections: sections.collect(),
        footer_text: said(&list.footer),
        context_info: with,
        ..Default::default()
    }
}

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
        header_type: Some(buttons_message::HeaderType::EMPTY),
        buttons: buttons.buttons.iter().map(button).collect(),
        context_info: with,
        ..Default::default()
    }
}

pub(super) fn a_product(product: &api::Product, with: MessageField<ContextInfo>) -> message::ProductMessage {
    message::ProductMessage {
        product: message::product_message::ProductSnapshot {
            product_id: Some(product.product_id.clone()),
            title: Some(product.title.clone()),
            description: said(&product.description),
            currency_code: said(&product.currency),
            price_amount1000: Some(product.price_thousandths),
            retailer_id: said(&product.retailer_id),
            url: said(&product.url),
            ..Default::default()
        }
        .into(),
        business_owner_jid: Some(product.owner.clone()),
        body: said(&product.body),
        footer: said(&product.footer),
        context_info: with,
        ..Default::default()
    }
}

/// The kind that asks for a tap, with what WhatsApp puts beside it.
pub(super) fn interactive(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    if let Some(list) = message.list_message.as_option() {
        let row = |row: &message::list_message::Row| api::list_message::Row {
            id: owned(&row.row_id),
            title: owned(&row.title),
            description: owned(&row.description),
        };
        let sections = list.sections.iter().map(|section| api::list_message::Section {
            title: owned(&section.title),
            rows: section.rows.iter().map(row).collect(),
        });
        let read = api::ListMessage {
            title: owned(&list.title),
            text: owned(&list.description),
            footer: owned(&list.footer_text),
            button: owned(&list.button_text),
            sections: sections.collect(),
        };
        return Some((Content::List(read), list.context_info.as_option()));
    }
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
        let read = api::ButtonsMessage {
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
    if let Some(offer) = message.product_message.as_option() {
        let product = &offer.product;
        let read = api::Product {
            product_id: owned(&product.product_id),
            owner: owned(&offer.business_owner_jid),
            title: owned(&product.title),
            description: owned(&product.description),
            currency: owned(&product.currency_code),
            price_thousandths: product.price_amount1000.unwrap_or(0),
            url: owned(&product.url),
            retailer_id: owned(&product.retailer_id),
            body: owned(&offer.body),
            footer: owned(&offer.footer),
        };
        return Some((Content::Product(read), offer.context_info.as_option()));
    }
    let invite = message.group_invite_message.as_option()?;
    let read = api::GroupInvite {
        group: owned(&invite.group_jid),
        code: owned(&invite.invite_code),
        group_name: owned(&invite.group_name),
        caption: owned(&invite.caption),
        expire_time: invite.invite_expiration.map(time),
    };
    Some((Content::GroupInvite(read), invite.context_info.as_option()))
}
