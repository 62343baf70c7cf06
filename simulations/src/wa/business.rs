//! Businesses: what an account shows and sells as one, and what was ordered from it.
//!
//! What must hold: ids of products are never given twice; an order keeps what a product cost when it was made.
//! Nobody reviews anything here: every product is `APPROVED`. How a collection or an order is made no client shows,
//! so tests make them.

use std::collections::BTreeMap;

use rand::RngExt as _;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Stanza};
use roost_proto::verified::certificate;
use serde_json::{Value, json};

use super::account::{Account, Pn, seconds};
use super::machine::Machine;

/// A business.
#[derive(Debug, Clone, Default)]
pub struct Business {
    pub(super) verified_name: String,
    /// What its profile says, by the names of the elements.
    pub(super) texts: BTreeMap<&'static str, String>,
    pub(super) websites: Vec<String>,
    pub(super) hours: Option<Stanza>,
    /// The number of the picture above its profile.
    pub cover: Option<String>,
    /// What it sells, by id.
    pub products: BTreeMap<u64, Product>,
    last_id: u64,
    collections: Vec<(String, Vec<u64>)>,
    orders: BTreeMap<u64, Order>,
}

/// Something that is sold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// What it says, by the names of the elements: `name`, `price`, ….
    pub texts: BTreeMap<&'static str, String>,
    /// Where its pictures are.
    pub images: Vec<String>,
    /// Customers do not see it.
    pub hidden: bool,
}

/// What somebody has bought.
#[derive(Debug, Clone)]
pub(super) struct Order {
    token: String,
    made_s: u64,
    items: Vec<(u64, Product, u32)>,
}

/// Products that are shown together.
pub(super) struct Collection<'a> {
    pub(super) number: usize,
    pub(super) title: &'a str,
    pub(super) products: Vec<(u64, &'a Product)>,
}

impl Business {
    /// `<verified_name>`: a certificate with the name. Nobody has signed it; no client looks.
    pub(super) fn verified(&self) -> Stanza {
        let name = Builder::new("verified_name").attr("v", 1u8).attr("verified_level", "unknown");
        name.bytes(certificate(&self.verified_name)).build()
    }

    /// `<profile>`.
    pub(super) fn profile(&self, of: roost_proto::stanza::Jid) -> Stanza {
        let texts = self.texts.iter().map(|(name, text)| leaf(name, text));
        let sites = self.websites.iter().map(|site| leaf("website", site));
        let parts = texts.chain(sites).chain(self.hours.clone());
        Builder::new("profile").attr("jid", of).children(parts).build()
    }

    /// Takes a new product. Returns its id.
    pub(super) fn add(&mut self, product: Product) -> u64 {
        self.last_id += 1;
        self.products.insert(self.last_id, product);
        self.last_id
    }

    /// `<collection>` of each, with at most so many products.
    pub(super) fn collections(&self, most: usize, items: usize, own: bool) -> Vec<Stanza> {
        let collections = self.collected(most, items, own).into_iter().map(|found| {
            let parts = [leaf("id", &found.number.to_string()), leaf("name", found.title), approved()];
            let products = found.products.iter().map(|(id, product)| product.element(*id));
            Builder::new("collection").children(parts.into_iter().chain(products)).build()
        });
        collections.collect()
    }

    /// The first collections, each with at most so many products.
    pub(super) fn collected(&self, most: usize, items: usize, own: bool) -> Vec<Collection<'_>> {
        let collections = self.collections.iter().enumerate().take(most);
        let collections = collections.map(|(before, (title, ids))| {
            let products = ids.iter().filter_map(|id| Some((*id, self.products.get(id)?)));
            let products = products.filter(|(_, product)| own || !product.hidden).take(items);
            Collection { number: before + 1, title, products: products.collect() }
        });
        collections.collect()
    }

    /// An order, if the token opens it; `Some(None)` when it does not.
    pub(super) fn order(&self, id: u64, token: &str) -> Option<Option<&Order>> {
        let order = self.orders.get(&id)?;
        Some((order.token == token).then_some(order))
    }
}

impl Account {
    /// What goes with all that a business says. (That it goes with everything is a guess.)
    pub(super) fn certified(&self) -> Option<Stanza> {
        self.profile.business.as_ref().map(Business::verified)
    }
}

impl Product {
    pub(super) fn element(&self, id: u64) -> Stanza {
        let texts = self.texts.iter().map(|(name, text)| leaf(name, text));
        let images = self.images.iter().map(|url| {
            let urls = ["request_image_url", "original_image_url"].map(|tag| leaf(tag, url));
            Builder::new("image").children(urls).build()
        });
        let media = Builder::new("media").children(images).build();
        let parts = std::iter::once(leaf("id", &id.to_string())).chain(texts).chain([media, approved()]);
        let hidden = if self.hidden { "true" } else { "false" };
        Builder::new("product").attr("is_hidden", hidden).children(parts).build()
    }

    /// The same for `w:mex`.
    pub(super) fn json(&self, id: u64) -> Value {
        let image = |(at, url)| json!({ "id": at, "request_image_url": url, "original_image_url": url });
        let images: Vec<Value> = (1..).map(|at: u32| at.to_string()).zip(&self.images).map(image).collect();
        let mut product = json!(self.texts);
        product["id"] = json!(id.to_string());
        product["is_hidden"] = json!(self.hidden);
        product["media"] = json!({ "images": images });
        product["status_info"] = json!({ "status": "APPROVED", "can_appeal": false });
        product
    }

    fn text(&self, name: &'static str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

impl Order {
    /// What it costs, and in which currency.
    fn cost(&self) -> (String, &str) {
        let cost = |(_, product, count): &(u64, Product, u32)| {
            product.text("price").parse::<u64>().unwrap_or(0) * u64::from(*count)
        };
        let total = self.items.iter().map(cost).sum::<u64>().to_string();
        let currency = self.items.first().map_or("", |(_, product, _)| product.text("currency"));
        (total, currency)
    }

    pub(super) fn element(&self, id: u64) -> Stanza {
        let (total, currency) = self.cost();
        let price = [leaf("subtotal", &total), leaf("total", &total), leaf("currency", currency)];
        let items = self.items.iter().map(|(id, product, count)| {
            let named = ["name", "price", "currency"].map(|name| leaf(name, product.text(name)));
            let image = product
                .images
                .first()
                .map(|url| Builder::new("image").children([leaf("id", "1"), leaf("url", url)]).build());
            let numbers = [leaf("id", &id.to_string()), leaf("quantity", &count.to_string())];
            Builder::new("product").children(numbers.into_iter().chain(named).chain(image)).build()
        });
        let price = Builder::new("price").children(price).build();
        let order = Builder::new("order").attr("id", id.to_string()).attr("creation_ts", self.made_s);
        order.children(std::iter::once(price).chain(items)).build()
    }

    /// The same for `w:mex`.
    pub(super) fn json(&self) -> Value {
        let (total, currency) = self.cost();
        let products = self.items.iter().map(|(id, product, count)| {
            let images = product.images.first().map(|url| json!({ "id": "1", "request_image_url": url }));
            json!({
                "id": id.to_string(),
                "name": product.text("name"),
                "price": product.text("price"),
                "currency": product.text("currency"),
                "quantity": count.to_string(),
                "media": { "images": Vec::from_iter(images) },
            })
        });
        json!({
            "creation_time_stamp": self.made_s.to_string(),
            "price_details": { "subtotal_amount": total, "total_amount": total, "currency": currency },
            "products": products.collect::<Vec<Value>>(),
        })
    }
}

impl Machine {
    /// Makes an account a business of this name.
    pub fn make_business(&mut self, pn: Pn, verified_name: &str) {
        if let Some(account) = self.accounts.get_mut(&pn) {
            let verified_name = verified_name.chars().take(25).collect();
            account.profile.business = Some(Business { verified_name, ..Default::default() });
        }
    }

    /// Puts products of a business into a collection.
    pub fn collect(&mut self, pn: Pn, title: &str, products: &[u64]) {
        let account = self.accounts.get_mut(&pn);
        if let Some(business) = account.and_then(|account| account.profile.business.as_mut()) {
            business.collections.push((title.to_owned(), products.to_vec()));
        }
    }

    /// Somebody orders so many of each product of a business. Returns the id of the order and the token that opens it;
    /// `None` when it does not sell them.
    pub fn order(&mut self, now: UnixMillis, pn: Pn, wanted: &[(u64, u32)]) -> Option<(String, String)> {
        let (id, token): (u64, u64) = (self.rng.random(), self.rng.random());
        let business = self.accounts.get_mut(&pn)?.profile.business.as_mut()?;
        let items = wanted.iter().map(|(id, count)| Some((*id, business.products.get(id)?.clone(), *count)));
        let order = Order {
            token: format!("{token:016x}=="),
            made_s: seconds(now),
            items: items.collect::<Option<_>>()?,
        };
        let told = (id.to_string(), order.token.clone());
        business.orders.insert(id, order);
        Some(told)
    }
}

fn approved() -> Stanza {
    Builder::new("status_info").children([leaf("status", "APPROVED"), leaf("can_appeal", "false")]).build()
}

fn leaf(tag: &'static str, text: &str) -> Stanza {
    Builder::new(tag).bytes(text.as_bytes()).build()
}
