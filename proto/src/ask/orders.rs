//! What a customer has ordered from a business: namespace `fb:thrift_iq`.
//!
//! An order is opened by the token in the message that tells of it. Rules: what whatsmeow and Baileys agree on.

use super::business::text;
use super::{Question, get};
use crate::api;
use crate::api::order::Item;
use crate::stanza::{Builder, Missing, Read as _, Stanza};

/// The edge of the pictures that are asked for, in pixels.
const EDGE: &str = "100";
/// The most items that an answer is believed to have.
const MOST: usize = 1000;

/// Asks what was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOrder {
    /// Which.
    pub id: String,
    /// What opens it.
    pub token: String,
}

impl Question for GetOrder {
    type Answer = api::Order;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let leaf = |tag: &'static str, text: &str| Builder::new(tag).bytes(text.as_bytes()).build();
        let size = Builder::new("image_dimensions").children([leaf("width", EDGE), leaf("height", EDGE)]);
        let order = Builder::new("order")
            .attr("op", "get")
            .attr("id", self.id.clone())
            .children([size.build(), leaf("token", &self.token)]);
        get("fb:thrift_iq").attr("smax_id", "5").children([order.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<api::Order, Missing> {
        let order = answer.need_child("order")?;
        let price = order.need_child("price")?;
        let amount = |of: &Stanza, tag| text(of, tag).parse().unwrap_or(0);
        let items = order.all_named("product").take(MOST).map(|product| Item {
            product_id: text(product, "id"),
            title: text(product, "name"),
            price_thousandths: amount(product, "price"),
            currency: text(product, "currency"),
            quantity: text(product, "quantity").parse().unwrap_or(0),
            image_url: product.child("image").map(|image| text(image, "url")).unwrap_or_default(),
        });
        let made = order.number("creation_ts").and_then(|seconds| i64::try_from(seconds).ok());
        Ok(api::Order {
            order_id: self.id.clone(),
            create_time: made.map(|seconds| api::Timestamp { seconds, nanos: 0 }),
            subtotal_thousandths: amount(price, "subtotal"),
            total_thousandths: amount(price, "total"),
            currency: text(price, "currency"),
            items: items.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_with_what_it_costs() {
        let leaf = |tag: &'static str, text: &str| Builder::new(tag).bytes(text.as_bytes()).build();
        let ask = GetOrder { id: "1".to_owned(), token: "t".to_owned() };
        let token = ask.request().child("order").map(|order| text(order, "token"));
        assert_eq!(token.as_deref(), Some("t"));
        let price = [leaf("subtotal", "3000"), leaf("total", "3500"), leaf("currency", "EUR")];
        let price = Builder::new("price").children(price).build();
        let eggs = Builder::new("product").children([leaf("id", "7"), leaf("quantity", "2")]).build();
        let order = Builder::new("order").attr("creation_ts", 1_700_000_000u64);
        let whole = Builder::new("iq").children([order.children([price, eggs]).build()]).build();
        let read = ask.read(&whole).expect("complete");
        assert_eq!((read.subtotal_thousandths, read.total_thousandths), (3000, 3500));
        assert_eq!((read.items[0].product_id.as_str(), read.items[0].quantity), ("7", 2));
        assert_eq!(read.create_time.map(|time| time.seconds), Some(1_700_000_000));
        let bare = Builder::new("iq").children([Builder::new("order").build()]).build();
        assert!(ask.read(&bare).is_err(), "an order has a price");
    }
}
