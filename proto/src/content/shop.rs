//! What businesses sell, both ways: products, lists of them, and orders.
//!
//! What must hold: a message with a part that has no field in the schema is not read here, so that it is told as the
//! bytes that came.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::list_message::{self, ListType};
use waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};
use waproto::whatsapp::message::{self, product_message};
use waproto::whatsapp::{ContextInfo, Message};

use super::encode::said;
use super::meaning::{bytes, owned};
use crate::api;
use crate::api::message_received::Content;
use crate::api::order_message::Status;
use crate::media::{image, picture};

pub(super) fn a_product(product: &api::Product, with: MessageField<ContextInfo>) -> message::ProductMessage {
    message::ProductMessage {
        product: product_message::ProductSnapshot {
            product_image: product.picture.as_ref().map(image).into(),
            product_id: Some(product.product_id.clone()),
            title: Some(product.title.clone()),
            description: said(&product.description),
            currency_code: said(&product.currency),
            price_amount1000: Some(product.price_thousandths),
            retailer_id: said(&product.retailer_id),
            url: said(&product.url),
            product_image_count: (product.pictures > 0).then_some(product.pictures),
            first_image_id: said(&product.first_picture_id),
            sale_price_amount1000: product.sale_price_thousandths,
            signed_url: said(&product.signed_url),
        }
        .into(),
        business_owner_jid: Some(product.owner.clone()),
        body: said(&product.body),
        footer: said(&product.footer),
        context_info: with,
        ..Default::default()
    }
}

/// `None` when it shows a whole catalog, or has a picture that cannot be fetched.
fn product(offer: &message::ProductMessage) -> Option<api::Product> {
    let product = offer.product.as_option().filter(|_| !offer.catalog.is_set())?;
    let picture = match product.product_image.as_option() {
        Some(image) => Some(picture(image)?),
        None => None,
    };
    Some(api::Product {
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
        picture,
        pictures: product.product_image_count.unwrap_or(0),
        first_picture_id: owned(&product.first_image_id),
        sale_price_thousandths: product.sale_price_amount1000,
        signed_url: owned(&product.signed_url),
    })
}

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
    let of_products = list.products.is_some();
    message::ListMessage {
        title: said(&list.title),
        description: Some(list.text.clone()),
        button_text: Some(list.button.clone()),
        list_type: Some(if of_products { ListType::PRODUCT_LIST } else { ListType::SINGLE_SELECT }),
        sections: sections.collect(),
        product_list_info: list.products.as_ref().map(some_products).into(),
        footer_text: said(&list.footer),
        context_info: with,
    }
}

fn some_products(products: &api::list_message::Products) -> list_message::ProductListInfo {
    let section = |section: &api::list_message::ProductSection| list_message::ProductSection {
        title: said(&section.title),
        products: section
            .product_ids
            .iter()
            .map(|id| list_message::Product { product_id: Some(id.clone()) })
            .collect(),
    };
    let shown = list_message::ProductListHeaderImage {
        product_id: said(&products.shown_product_id),
        jpeg_thumbnail: Some(products.thumbnail.clone()).filter(|thumbnail| !thumbnail.is_empty()),
    };
    let is_shown = shown != list_message::ProductListHeaderImage::default();
    list_message::ProductListInfo {
        product_sections: products.sections.iter().map(section).collect(),
        header_image: is_shown.then_some(shown).into(),
        business_owner_jid: Some(products.owner.clone()),
    }
}

fn list(list: &message::ListMessage) -> api::ListMessage {
    let row = |row: &list_message::Row| api::list_message::Row {
        id: owned(&row.row_id),
        title: owned(&row.title),
        description: owned(&row.description),
    };
    let sections = list.sections.iter().map(|section| api::list_message::Section {
        title: owned(&section.title),
        rows: section.rows.iter().map(row).collect(),
    });
    let of_products = |section: &list_message::ProductSection| api::list_message::ProductSection {
        title: owned(&section.title),
        product_ids: section.products.iter().map(|product| owned(&product.product_id)).collect(),
    };
    let products = list.product_list_info.as_option().map(|info| api::list_message::Products {
        owner: owned(&info.business_owner_jid),
        sections: info.product_sections.iter().map(of_products).collect(),
        shown_product_id: owned(&info.header_image.product_id),
        thumbnail: bytes(&info.header_image.jpeg_thumbnail),
    });
    api::ListMessage {
        title: owned(&list.title),
        text: owned(&list.description),
        footer: owned(&list.footer_text),
        button: owned(&list.button_text),
        sections: sections.collect(),
        products,
    }
}

pub(super) fn an_order(order: &api::OrderMessage, with: MessageField<ContextInfo>) -> message::OrderMessage {
    let status = match order.status() {
        Status::Unspecified | Status::Inquiry => OrderStatus::INQUIRY,
        Status::Accepted => OrderStatus::ACCEPTED,
        Status::Declined => OrderStatus::DECLINED,
    };
    message::OrderMessage {
        order_id: Some(order.order_id.clone()),
        thumbnail: Some(order.thumbnail.clone()).filter(|thumbnail| !thumbnail.is_empty()),
        item_count: Some(order.item_count),
        status: Some(status),
        surface: Some(OrderSurface::CATALOG),
        message: said(&order.message),
        order_title: said(&order.title),
        seller_jid: Some(order.seller.clone()),
        token: Some(order.token.clone()),
        total_amount1000: Some(order.total_thousandths),
        total_currency_code: said(&order.currency),
        catalog_type: said(&order.catalog_type),
        context_info: with,
        ..Default::default()
    }
}

/// `None` when it answers a request for an order, which it names.
fn order(order: &message::OrderMessage) -> Option<api::OrderMessage> {
    if order.order_request_message_id.is_set() {
        return None;
    }
    let status = match order.status {
        Some(OrderStatus::INQUIRY) => Status::Inquiry,
        Some(OrderStatus::ACCEPTED) => Status::Accepted,
        Some(OrderStatus::DECLINED) => Status::Declined,
        None => Status::Unspecified,
    };
    Some(api::OrderMessage {
        order_id: owned(&order.order_id),
        token: owned(&order.token),
        seller: owned(&order.seller_jid),
        title: owned(&order.order_title),
        message: owned(&order.message),
        item_count: order.item_count.unwrap_or(0),
        total_thousandths: order.total_amount1000.unwrap_or(0),
        currency: owned(&order.total_currency_code),
        thumbnail: bytes(&order.thumbnail),
        status: status.into(),
        catalog_type: owned(&order.catalog_type),
    })
}

/// What a business shows or a customer orders, with what WhatsApp puts beside it.
pub(super) fn sold(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    if let Some(found) = message.list_message.as_option() {
        return Some((Content::List(list(found)), found.context_info.as_option()));
    }
    if let Some(offer) = message.product_message.as_option() {
        return Some((Content::Product(product(offer)?), offer.context_info.as_option()));
    }
    let found = message.order_message.as_option()?;
    Some((Content::Order(order(found)?), found.context_info.as_option()))
}

#[cfg(test)]
mod tests {
    use waproto::buffa::Message as _;

    use super::*;
    use crate::api::send_message_request::Content as Sent;
    use crate::content::{Meaning, MessageContent, Surroundings, encode, read};
    use crate::id::UnixMillis;
    use crate::media::{File, media_of};
    use crate::stanza::Jid;

    const OWNER: &str = "4915112345678@s.whatsapp.net";

    fn read_again(kind: Sent) -> Content {
        let (chat, own) = (Jid::lid("7654321"), Jid::lid("1234567"));
        let around =
            Surroundings { chat, own, now: UnixMillis(1_700_000_000_000), edited: None, secret: [7; 32] };
        as_told(&encode(&MessageContent { kind, context: api::Context::default() }, &around))
    }

    fn as_told(encoded: &[u8]) -> Content {
        match read(encoded) {
            Ok(Meaning::Said(said)) => said.content,
            other => panic!("nothing is said: {other:?}"),
        }
    }

    fn a_picture() -> api::Media {
        let file = api::WhatsAppFile {
            media_key: vec![3; 32],
            encrypted_sha256: vec![2; 32],
            direct_path: "/v/t62.7118-24/1".to_owned(),
            ..Default::default()
        };
        api::Media {
            kind: api::media::Kind::Image.into(),
            mime_type: "image/jpeg".to_owned(),
            size_bytes: 1234,
            sha256: vec![1; 32],
            width: 640,
            height: 480,
            thumbnail: vec![0xff, 0xd8],
            file: Some(file),
            ..Default::default()
        }
    }

    fn eggs() -> api::Product {
        api::Product {
            product_id: "7".to_owned(),
            owner: OWNER.to_owned(),
            title: "Eggs".to_owned(),
            currency: "EUR".to_owned(),
            price_thousandths: 1990,
            sale_price_thousandths: Some(990),
            picture: Some(a_picture()),
            pictures: 2,
            first_picture_id: "77".to_owned(),
            signed_url: "https://hens.example/eggs?signed".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_product_is_read_with_its_picture_and_what_it_costs_now() {
        let read = read_again(Sent::Product(eggs()));
        assert_eq!(read, Content::Product(eggs()));
        assert!(media_of(&read).and_then(File::of).is_some(), "its picture can be fetched");
    }

    #[test]
    fn what_shows_more_than_a_product_is_told_as_it_is() {
        let offer = |change: fn(&mut message::ProductMessage)| {
            let mut offer = a_product(&eggs(), MessageField::none());
            change(&mut offer);
            Message { product_message: offer.into(), ..Default::default() }.encode_to_vec()
        };
        let title = Some("All of it".to_owned());
        let catalog = product_message::CatalogSnapshot { title, ..Default::default() };
        let whole = Message {
            product_message: message::ProductMessage { catalog: catalog.into(), ..Default::default() }.into(),
            ..Default::default()
        };
        let bare = offer(|offer| {
            let image = message::ImageMessage { direct_path: None, ..(*offer.product.product_image).clone() };
            let product =
                product_message::ProductSnapshot { product_image: image.into(), ..(*offer.product).clone() };
            offer.product = product.into();
        });
        for raw in [whole.encode_to_vec(), bare] {
            assert_eq!(as_told(&raw), Content::Raw(raw));
        }
    }

    #[test]
    fn a_list_of_products_names_them() {
        let section = api::list_message::ProductSection {
            title: "Fresh".to_owned(),
            product_ids: vec!["7".to_owned(), "8".to_owned()],
        };
        let products = api::list_message::Products {
            owner: OWNER.to_owned(),
            sections: vec![section],
            shown_product_id: "7".to_owned(),
            thumbnail: vec![0xff, 0xd8],
        };
        let list = api::ListMessage {
            text: "Today".to_owned(),
            button: "See".to_owned(),
            products: Some(products),
            ..Default::default()
        };
        assert_eq!(read_again(Sent::List(list.clone())), Content::List(list));
    }

    #[test]
    fn an_order_is_read_with_what_opens_it() {
        let order = api::OrderMessage {
            order_id: "1".to_owned(),
            token: "T".to_owned(),
            seller: OWNER.to_owned(),
            title: "Hens".to_owned(),
            message: "soon, please".to_owned(),
            item_count: 2,
            total_thousandths: 3980,
            currency: "EUR".to_owned(),
            thumbnail: vec![0xff, 0xd8],
            status: Status::Accepted.into(),
            catalog_type: "native".to_owned(),
        };
        assert_eq!(read_again(Sent::Order(order.clone())), Content::Order(order.clone()));
        let unsaid = api::OrderMessage { status: Status::Unspecified.into(), ..order.clone() };
        let asked = api::OrderMessage { status: Status::Inquiry.into(), ..order.clone() };
        assert_eq!(read_again(Sent::Order(unsaid)), Content::Order(asked));
        let mut answer = an_order(&order, MessageField::none());
        let id = Some("3EB0".to_owned());
        answer.order_request_message_id = waproto::whatsapp::MessageKey { id, ..Default::default() }.into();
        let raw = Message { order_message: answer.into(), ..Default::default() }.encode_to_vec();
        assert_eq!(as_told(&raw), Content::Raw(raw));
    }
}
