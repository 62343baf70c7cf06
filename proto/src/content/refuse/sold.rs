//! Lists, products and orders: which of them can be sent.

use super::{Checked, MAX_NAME, MAX_TEXT, count, invalid, jid, length, thumbnail};
use crate::api;

/// Most products in one section of a list: a guess, as no client shows what WhatsApp takes.
const MAX_PRODUCTS: usize = 30;

pub(super) fn product(product: &api::Product) -> Checked {
    length("product.product_id", &product.product_id, 1, MAX_NAME)?;
    length("product.title", &product.title, 1, MAX_NAME)?;
    if product.picture.as_ref().is_some_and(|picture| picture.name.is_empty()) {
        return invalid("product.picture.name", "is required: upload the file first");
    }
    jid("product.owner", &product.owner)
}

pub(super) fn order(order: &api::OrderMessage) -> Checked {
    length("order.order_id", &order.order_id, 1, MAX_NAME)?;
    length("order.token", &order.token, 1, MAX_NAME)?;
    length("order.title", &order.title, 0, MAX_NAME)?;
    length("order.message", &order.message, 0, MAX_TEXT)?;
    thumbnail("order.thumbnail", &order.thumbnail)?;
    if order.item_count < 0 {
        return invalid("order.item_count", "must not be negative");
    }
    if api::order_message::Status::try_from(order.status).is_err() {
        return invalid("order.status", "has no such value");
    }
    jid("order.seller", &order.seller)
}

pub(super) fn list(list: &api::ListMessage) -> Checked {
    length("list.text", &list.text, 1, MAX_TEXT)?;
    length("list.button", &list.button, 1, MAX_NAME)?;
    if let Some(products) = &list.products {
        if !list.sections.is_empty() {
            return invalid("list.sections", "must be empty in a list of products");
        }
        return some_products(products);
    }
    count("list.sections", list.sections.len(), 1, 10)?;
    for (at, section) in list.sections.iter().enumerate() {
        count(&format!("list.sections[{at}].rows"), section.rows.len(), 1, 10)?;
        for (row_at, row) in section.rows.iter().enumerate() {
            let field = format!("list.sections[{at}].rows[{row_at}]");
            length(format!("{field}.id"), &row.id, 1, MAX_NAME)?;
            length(format!("{field}.title"), &row.title, 1, MAX_NAME)?;
        }
    }
    Ok(())
}

fn some_products(products: &api::list_message::Products) -> Checked {
    jid("list.products.owner", &products.owner)?;
    thumbnail("list.products.thumbnail", &products.thumbnail)?;
    count("list.products.sections", products.sections.len(), 1, 10)?;
    for (at, section) in products.sections.iter().enumerate() {
        let field = format!("list.products.sections[{at}].product_ids");
        count(&field, section.product_ids.len(), 1, MAX_PRODUCTS)?;
        for (id_at, id) in section.product_ids.iter().enumerate() {
            length(format!("{field}[{id_at}]"), id, 1, MAX_NAME)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(checked: Checked) -> String {
        checked.expect_err("it cannot be sent").field
    }

    #[test]
    fn an_order_names_what_opens_it_and_who_sells() {
        let good = api::OrderMessage {
            order_id: "1".into(),
            token: "T".into(),
            seller: "4915112345678@s.whatsapp.net".into(),
            ..Default::default()
        };
        assert_eq!(order(&good), Ok(()));
        let bad = [
            (api::OrderMessage { order_id: String::new(), ..good.clone() }, "order.order_id"),
            (api::OrderMessage { token: String::new(), ..good.clone() }, "order.token"),
            (api::OrderMessage { seller: "somebody".into(), ..good.clone() }, "order.seller"),
            (api::OrderMessage { item_count: -1, ..good.clone() }, "order.item_count"),
            (api::OrderMessage { status: 9, ..good.clone() }, "order.status"),
            (api::OrderMessage { thumbnail: vec![0; 65_537], ..good }, "order.thumbnail"),
        ];
        for (wrong, field) in bad {
            assert_eq!(refused(order(&wrong)), field);
        }
    }

    #[test]
    fn a_list_has_rows_or_products_and_a_picture_is_named() {
        let owner = || "4915112345678@s.whatsapp.net".to_owned();
        let section = |ids: &[&str]| api::list_message::ProductSection {
            title: String::new(),
            product_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let of = |sections| api::ListMessage {
            text: "Today".into(),
            button: "See".into(),
            products: Some(api::list_message::Products { owner: owner(), sections, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(list(&of(vec![section(&["7"])])), Ok(()));
        assert_eq!(refused(list(&of(Vec::new()))), "list.products.sections");
        assert_eq!(refused(list(&of(vec![section(&[])]))), "list.products.sections[0].product_ids");
        assert_eq!(refused(list(&of(vec![section(&[""])]))), "list.products.sections[0].product_ids[0]");
        let both = api::ListMessage { sections: vec![Default::default()], ..of(vec![section(&["7"])]) };
        assert_eq!(refused(list(&both)), "list.sections");
        let nobodys = api::list_message::Products { sections: vec![section(&["7"])], ..Default::default() };
        let nobodys = api::ListMessage { products: Some(nobodys), ..of(Vec::new()) };
        assert_eq!(refused(list(&nobodys)), "list.products.owner");
        let unnamed = api::Product {
            product_id: "7".into(),
            owner: owner(),
            title: "Eggs".into(),
            picture: Some(api::Media::default()),
            ..Default::default()
        };
        assert_eq!(refused(product(&unnamed)), "product.picture.name");
    }
}
