//! Namespaces `w:biz`, `w:biz:catalog` and `fb:thrift_iq`: profiles of businesses, catalogs, orders.
//!
//! What must hold: a business changes what is its own; a hidden product is shown to nobody else; a picture is shown
//! only when it was uploaded. With which code the real server refuses is a guess, and that an account which is no
//! business may change nothing.

use roost_proto::stanza::{Builder, Jid, Read as _, Stanza};

use super::super::account::{DeviceRef, Pn};
use super::super::business::{Business, Order, Product};
use super::super::machine::Machine;
use super::{Answer, Refused, refuse};

/// The most products of a catalog, and the largest page. (Guesses.)
const MOST: usize = 500;
/// What a profile says in words.
const TEXTS: [&str; 3] = ["address", "description", "email"];
const WEBSITES: usize = 2;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_PER_DAY: u64 = 1440;
/// What a product says in words.
const WORDS: [&str; 5] = ["name", "description", "retailer_id", "price", "currency"];

/// Some of a catalog.
pub(super) struct Page<'a> {
    pub(super) products: Vec<(u64, &'a Product)>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

impl Machine {
    pub(super) fn business(&mut self, device: DeviceRef, set: bool, stanza: &Stanza) -> Answer {
        let asked = stanza.all().first().ok_or_else(|| refuse(400, "nothing is asked"))?;
        match (&*asked.tag, set) {
            ("business_profile", false) => self.business_profile(asked),
            ("business_profile", true) => self.change_business(device.pn, asked),
            ("product_catalog", false) => self.catalog(device.pn, asked),
            ("collections", false) => {
                let (own, business) = self.business_at(device.pn, asked.jid("biz_jid"))?;
                let (most, items) = (number(asked, "collection_limit")?, number(asked, "item_limit")?);
                let collections = business.collections(most, items, own);
                Ok(vec![Builder::new("collections").children(collections).build()])
            }
            ("product_catalog_add" | "product_catalog_edit", true) => self.change_product(device.pn, asked),
            ("product_catalog_delete", true) => {
                let business = self.own_business(device.pn)?;
                let before = business.products.len();
                for product in asked.all_named("product") {
                    business.products.remove(&id_of(product)?);
                }
                let deleted = (before - business.products.len()).to_string();
                Ok(vec![Builder::new("product_catalog_delete").attr("deleted_count", deleted).build()])
            }
            ("order", false) => {
                let id = asked.number("id").ok_or_else(|| refuse(400, "no order is named"))?;
                let token = asked.child("token").and_then(|token| token.leaf_text());
                Ok(vec![self.order_of(id, token)?.element(id)])
            }
            _ => Err(refuse(501, format!("an unknown request of a business: <{}>", asked.tag))),
        }
    }

    fn business_profile(&self, asked: &Stanza) -> Answer {
        let of = asked
            .child("profile")
            .and_then(|profile| profile.jid("jid"))
            .ok_or_else(|| refuse(400, "no business is named"))?;
        let business = self.account_of(&of).and_then(|account| account.profile.business.as_ref());
        let profile = business.map(|business| business.profile(of));
        Ok(vec![Builder::new("business_profile").children(profile).build()])
    }

    fn own_business(&mut self, pn: Pn) -> Result<&mut Business, Refused> {
        self.account_mut(pn)
            .profile
            .business
            .as_mut()
            .ok_or_else(|| refuse(403, "the account is no business"))
    }

    /// The business that a question names, and whether it is the one who asks.
    pub(super) fn business_at(&self, asking: Pn, of: Option<Jid>) -> Result<(bool, &Business), Refused> {
        let of = of.ok_or_else(|| refuse(400, "no business is named"))?;
        let account = self.account_of(&of).ok_or_else(|| refuse(404, "nobody has this address"))?;
        let business =
            account.profile.business.as_ref().ok_or_else(|| refuse(404, "the account is no business"))?;
        Ok((account.pn == asking, business))
    }

    fn change_business(&mut self, pn: Pn, asked: &Stanza) -> Answer {
        let form = (asked.text("v"), asked.text("mutation_type"));
        if (form.0.as_deref(), form.1.as_deref()) != (Some("3"), Some("delta")) {
            return Err(refuse(400, "a change of another form than the third, by delta"));
        }
        let mut changed = self.own_business(pn)?.clone();
        let sites: Vec<&Stanza> = asked.all_named("website").collect();
        if sites.len() > WEBSITES {
            return Err(refuse(406, "too many websites"));
        }
        if !sites.is_empty() {
            let sites = sites.iter().filter_map(|site| site.leaf_text()).filter(|site| !site.is_empty());
            changed.websites = sites.map(str::to_owned).collect();
        }
        for part in asked.all() {
            match &*part.tag {
                "website" => {}
                "business_hours" => {
                    check_hours(part)?;
                    changed.hours = Some(part.clone());
                }
                "cover_photo" => changed.cover = self.cover(&changed, part)?,
                tag => {
                    let name = TEXTS
                        .into_iter()
                        .find(|name| *name == tag)
                        .ok_or_else(|| refuse(400, "an unknown part of a profile"))?;
                    changed.texts.insert(name, part.leaf_text().unwrap_or_default().to_owned());
                }
            }
        }
        *self.own_business(pn)? = changed;
        Ok(vec![])
    }

    fn cover(&self, business: &Business, part: &Stanza) -> Result<Option<String>, Refused> {
        let id = part.text("id").ok_or_else(|| refuse(400, "a cover without an id"))?.into_owned();
        match part.text("op").as_deref() {
            Some("update") => {
                let (Some(token), Some(at)) = (part.text("token"), part.number("ts")) else {
                    return Err(refuse(400, "a cover without its token and time"));
                };
                match self.media.is_cover(&id, &token, at) {
                    true => Ok(Some(id)),
                    false => Err(refuse(406, "the cover was not uploaded with this token")),
                }
            }
            Some("delete") if business.cover.as_ref() == Some(&id) => Ok(None),
            Some("delete") => Err(refuse(404, "the business has another cover, or none")),
            _ => Err(refuse(400, "a cover is neither updated nor deleted")),
        }
    }

    fn catalog(&self, asking: Pn, asked: &Stanza) -> Answer {
        let after = asked.child("after").and_then(|after| after.leaf_text());
        let page = self.page(asking, asked.jid("jid"), number(asked, "limit")?, after)?;
        let next = page.next.map(|next| {
            let after = Builder::new("after").bytes(next.into_bytes()).build();
            Builder::new("paging").children([after]).build()
        });
        let products = page.products.iter().map(|(id, product)| product.element(*id)).chain(next);
        Ok(vec![Builder::new("product_catalog").children(products).build()])
    }

    /// At most so many products of a business, after those that were shown.
    pub(super) fn page(
        &self,
        asking: Pn,
        of: Option<Jid>,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<'_>, Refused> {
        let (own, business) = self.business_at(asking, of)?;
        let after = after.map(|text| text.strip_prefix("after-").and_then(|id| id.parse::<u64>().ok()));
        let after = match after {
            Some(None) => return Err(refuse(400, "an unknown place to go on from")),
            after => after.flatten().unwrap_or(0),
        };
        let shown = business.products.iter().map(|(id, product)| (*id, product));
        let shown = shown.filter(|(id, product)| *id > after && (own || !product.hidden));
        let mut products: Vec<_> = shown.take(limit + 1).collect();
        let more = products.len() > limit;
        products.truncate(limit);
        let next = products.last().filter(|_| more).map(|(id, _)| format!("after-{id}"));
        Ok(Page { products, next })
    }

    fn change_product(&mut self, pn: Pn, asked: &Stanza) -> Answer {
        let part = asked.child("product").ok_or_else(|| refuse(400, "no product"))?;
        let (tag, id) = match &*asked.tag {
            "product_catalog_edit" => ("product_catalog_edit", Some(id_of(part)?)),
            _ => ("product_catalog_add", None),
        };
        let business = self.own_business(pn)?;
        let mut product = match id {
            Some(id) => {
                business.products.get(&id).ok_or_else(|| refuse(404, "there is no such product"))?.clone()
            }
            None if business.products.len() >= MOST => return Err(refuse(419, "too many products")),
            None => Product::default(),
        };
        for word in WORDS {
            if let Some(text) = part.child(word).and_then(|part| part.leaf_text()) {
                product.texts.insert(word, text.to_owned());
            }
        }
        if let Some(media) = part.child("media") {
            let urls = media.all_named("image").map(|image| image.child("url")?.leaf_text());
            let urls =
                urls.collect::<Option<Vec<&str>>>().ok_or_else(|| refuse(400, "a picture without a URL"))?;
            if !urls.iter().all(|url| self.media.shows(url)) {
                return Err(refuse(406, "a picture that was not uploaded for a catalog"));
            }
            product.images = urls.into_iter().map(str::to_owned).collect();
        }
        if let Some(hidden) = part.text("is_hidden") {
            product.hidden = hidden == "true";
        }
        let named = product.texts.get("name").is_some_and(|name| !name.is_empty());
        if !named || product.images.is_empty() {
            return Err(refuse(406, "a product without a name or a picture"));
        }
        let business = self.own_business(pn)?;
        let id = match id {
            Some(id) => {
                business.products.insert(id, product.clone());
                id
            }
            None => business.add(product.clone()),
        };
        Ok(vec![Builder::new(tag).children([product.element(id)]).build()])
    }

    /// The order that this token opens.
    pub(super) fn order_of(&self, id: u64, token: Option<&str>) -> Result<&Order, Refused> {
        let token = token.ok_or_else(|| refuse(400, "an order without its token"))?;
        let businesses = self.accounts.values().filter_map(|account| account.profile.business.as_ref());
        match businesses.filter_map(|business| business.order(id, token)).next() {
            Some(Some(order)) => Ok(order),
            Some(None) => Err(refuse(401, "the token is not that of the order")),
            None => Err(refuse(404, "there is no such order")),
        }
    }
}

fn check_hours(hours: &Stanza) -> Result<(), Refused> {
    for range in hours.all_named("business_hours_config") {
        let day = range.text("day_of_week").ok_or_else(|| refuse(400, "hours without a day"))?;
        let minute = |key| range.number(key).filter(|minute| *minute < MINUTES_PER_DAY);
        let both = minute("open_time").is_some() && minute("close_time").is_some();
        let fits = match range.text("mode").as_deref() {
            Some("specific_hours") => both,
            Some("open_24h" | "appointment_only") => range.text("open_time").is_none(),
            _ => false,
        };
        if !fits || !DAYS.contains(&&*day) {
            return Err(refuse(406, "hours that fit no day"));
        }
    }
    Ok(())
}

fn number(asked: &Stanza, tag: &str) -> Result<usize, Refused> {
    count(asked.child(tag).and_then(|part| part.leaf_text()), tag)
}

/// How many are asked for.
pub(super) fn count(text: Option<&str>, name: &str) -> Result<usize, Refused> {
    text.and_then(|text| text.parse().ok())
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| refuse(400, format!("no good <{name}>")))
}

fn id_of(product: &Stanza) -> Result<u64, Refused> {
    let id = product.child("id").and_then(|id| id.leaf_text());
    id.and_then(|id| id.parse().ok()).ok_or_else(|| refuse(400, "no product is named"))
}
