//! What businesses sell and customers order: sending it, and putting what was received into words.

use whatsapp_rust::prelude::*;
use whatsapp_rust::waproto::whatsapp::message::{
    ListMessage, OrderMessage, ProductMessage, list_message, order_message, product_message,
};

use crate::Command;
use crate::kinds::Words;

/// What is sold, by `own`, as it travels; none for a kind of another file.
pub fn message(command: &Command, own: Option<&Jid>) -> Option<wa::Message> {
    let (kind, text) = (command.kind.as_str(), command.text.as_str());
    let (said, own) = (Some(text.to_owned()), own.map(|own| own.to_non_ad().to_string()));
    let mut message = wa::Message::default();
    match kind {
        "product" => {
            let product_id = Some("1".to_owned());
            let product = product_message::ProductSnapshot { product_id, title: said, ..Default::default() };
            message.product_message = MessageField::some(ProductMessage {
                product: MessageField::some(product),
                business_owner_jid: own,
                ..Default::default()
            });
        }
        "product_list" => {
            let section = list_message::ProductSection {
                title: Some("fresh".to_owned()),
                products: vec![list_message::Product { product_id: Some("7".to_owned()) }],
            };
            let info = list_message::ProductListInfo {
                product_sections: vec![section],
                business_owner_jid: own,
                ..Default::default()
            };
            message.list_message = MessageField::some(ListMessage {
                description: said,
                button_text: Some("see".to_owned()),
                list_type: Some(list_message::ListType::PRODUCT_LIST),
                product_list_info: MessageField::some(info),
                ..Default::default()
            });
        }
        "order" => {
            let (id, token) = command.about.split_once(' ').unwrap_or(("1", "opens"));
            message.order_message = MessageField::some(OrderMessage {
                order_id: Some(id.to_owned()),
                token: Some(token.to_owned()),
                message: said,
                item_count: Some(2),
                seller_jid: own,
                total_amount1000: Some(3980),
                total_currency_code: Some("EUR".to_owned()),
                status: Some(order_message::OrderStatus::INQUIRY),
                surface: Some(order_message::OrderSurface::CATALOG),
                ..Default::default()
            });
        }
        _ => return None,
    }
    Some(message)
}

/// A product of `own` with this picture, as it travels.
pub fn pictured(
    picture: MessageField<wa::message::ImageMessage>,
    command: &Command,
    own: Option<&Jid>,
) -> wa::Message {
    let product = product_message::ProductSnapshot {
        product_image: picture,
        product_id: Some("1".to_owned()),
        title: Some(command.text.clone()),
        ..Default::default()
    };
    let product = ProductMessage {
        product: MessageField::some(product),
        business_owner_jid: own.map(|own| own.to_non_ad().to_string()),
        ..Default::default()
    };
    wa::Message { product_message: MessageField::some(product), ..Default::default() }
}

/// A received message of this file in words.
pub fn describe(message: &wa::Message) -> Option<Words> {
    let words = |kind, said: &Option<String>| {
        Some(Words { kind, text: said.clone().unwrap_or_default(), about: String::new() })
    };
    if let Some(product) = message.product_message.as_option() {
        return words("product", &product.product.as_option().and_then(|product| product.title.clone()));
    }
    if let Some(order) = message.order_message.as_option() {
        return words("order", &order.message);
    }
    let list = message.list_message.as_option()?;
    words("product_list", &list.product_list_info.as_option().and(list.description.clone()))
        .filter(|_| list.product_list_info.is_set())
}

/// What it says beside its text.
pub fn detail(message: &wa::Message) -> Option<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some(product) = message.product_message.as_option() {
        let id = product.product.as_option().and_then(|product| product.product_id.clone());
        return Some(format!("{} of {}", id.unwrap_or_default(), text(&product.business_owner_jid)));
    }
    if let Some(order) = message.order_message.as_option() {
        let (id, token, seller) = (text(&order.order_id), text(&order.token), text(&order.seller_jid));
        let (count, total) =
            (order.item_count.unwrap_or_default(), order.total_amount1000.unwrap_or_default());
        let currency = text(&order.total_currency_code);
        return Some(format!("{id} {token} of {seller}: {count}, {total} {currency}"));
    }
    let list = message.list_message.as_option()?;
    let info = list.product_list_info.as_option()?;
    let mut parts = vec![text(&list.button_text)];
    for section in &info.product_sections {
        let title = text(&section.title);
        parts
            .extend(section.products.iter().map(|product| format!("{title}: {}", text(&product.product_id))));
    }
    Some(format!("{} of {}", parts.join("; "), text(&info.business_owner_jid)))
}
