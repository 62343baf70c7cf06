//! What a business sells: products and the collections that they are in, namespace `w:biz:catalog`.
//!
//! The requests are those of Baileys. WhatsApp Web itself has gone over to `w:mex` for reading, by names that change
//! with its releases; for changing a catalog no other form is known.

use super::business::text;
use super::{Question, get, set};
use crate::api;
use crate::api::list_collections_response::Collection;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// The edge of the pictures that are asked for, in pixels.
const EDGE: &str = "100";
/// The most products, or collections, that an answer is believed to have.
const MOST: usize = 1000;

/// Asks for a page of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListProducts {
    /// Whose.
    pub of: Jid,
    /// The most products.
    pub limit: usize,
    /// Where the page begins, as the page before has said.
    pub after: Option<String>,
}

impl Question for ListProducts {
    /// The products, and where the next page begins.
    type Answer = (Vec<api::CatalogProduct>, Option<String>);

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let mut wanted = vec![leaf("limit", &self.limit.to_string())];
        wanted.extend(picture_size());
        wanted.extend(self.after.as_ref().map(|after| leaf("after", after)));
        let catalog = Builder::new("product_catalog")
            .attr("jid", self.of.clone())
            .attr("allow_shop_source", "true")
            .children(wanted);
        get("w:biz:catalog").children([catalog.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let catalog = answer.need_child("product_catalog")?;
        let next = catalog.child("paging").map(|paging| text(paging, "after"));
        Ok((products(catalog), next.filter(|next| !next.is_empty())))
    }
}

/// Asks for the collections of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCollections {
    /// Whose.
    pub of: Jid,
    /// The most collections, and the most products of each.
    pub limit: usize,
}

impl Question for ListCollections {
    type Answer = Vec<Collection>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let limit = self.limit.to_string();
        let wanted = [leaf("collection_limit", &limit), leaf("item_limit", &limit)];
        let wanted = wanted.into_iter().chain(picture_size());
        let collections = Builder::new("collections").attr("biz_jid", self.of.clone()).children(wanted);
        get("w:biz:catalog").attr("smax_id", "35").children([collections.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<Collection>, Missing> {
        let collections = answer.need_child("collections")?.all_named("collection").take(MOST);
        let collections = collections.map(|collection| Collection {
            id: text(collection, "id"),
            title: text(collection, "name"),
            products: products(collection),
            review: review(collection),
        });
        Ok(collections.collect())
    }
}

/// What a product shall be; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductChange {
    /// What it is called.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What it costs, in thousandths of the currency.
    pub price: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// What the seller calls it.
    pub retailer_id: Option<String>,
    /// It is not shown to customers.
    pub hidden: Option<bool>,
    /// Where its pictures are on WhatsApp's media hosts; none leaves them as they are.
    pub images: Vec<String>,
}

impl ProductChange {
    fn element(&self, id: Option<&str>, origin: Option<&str>) -> Stanza {
        let price = self.price.map(|price| price.to_string());
        let image = |url: &String| Builder::new("image").children([leaf("url", url)]).build();
        let media = Builder::new("media").children(self.images.iter().map(image)).build();
        let origin = origin.filter(|code| !code.is_empty()).map(|code| {
            Builder::new("compliance_info").children([leaf("country_code_origin", code)]).build()
        });
        let parts = [
            id.map(|id| leaf("id", id)),
            self.title.as_ref().map(|title| leaf("name", title)),
            self.description.as_ref().map(|text| leaf("description", text)),
            self.retailer_id.as_ref().map(|id| leaf("retailer_id", id)),
            (!self.images.is_empty()).then_some(media),
            price.map(|price| leaf("price", &price)),
            self.currency.as_ref().map(|currency| leaf("currency", currency)),
            origin,
        ];
        let mut product = Builder::new("product");
        if let Some(hidden) = self.hidden {
            product = product.attr("is_hidden", if hidden { "true" } else { "false" });
        }
        product.children(parts.into_iter().flatten()).build()
    }
}

/// Puts a product into the catalog of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProduct {
    /// What it is.
    pub product: ProductChange,
    /// ISO 3166: where it comes from; empty when nobody need say.
    pub origin: String,
}

impl Question for CreateProduct {
    /// As it is now.
    type Answer = api::CatalogProduct;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mut product = self.product.element(None, Some(&self.origin));
        if self.origin.is_empty() {
            product.attrs.insert("compliance_category", "COUNTRY_ORIGIN_EXEMPT");
        }
        change("product_catalog_add", product)
    }

    fn read(&self, answer: &Stanza) -> Result<api::CatalogProduct, Missing> {
        changed(answer, "product_catalog_add")
    }
}

/// Changes a product of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProduct {
    /// Which.
    pub id: String,
    /// What it shall be.
    pub product: ProductChange,
}

impl Question for UpdateProduct {
    /// As it is now.
    type Answer = api::CatalogProduct;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        change("product_catalog_edit", self.product.element(Some(&self.id), None))
    }

    fn read(&self, answer: &Stanza) -> Result<api::CatalogProduct, Missing> {
        changed(answer, "product_catalog_edit")
    }
}

/// Takes products out of the catalog of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteProducts {
    /// Which.
    pub ids: Vec<String>,
}

impl Question for DeleteProducts {
    /// How many there were.
    type Answer = u32;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let products = self.ids.iter().map(|id| Builder::new("product").children([leaf("id", id)]).build());
        let deleted = Builder::new("product_catalog_delete").attr("v", "1").children(products);
        set("w:biz:catalog").children([deleted.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<u32, Missing> {
        let deleted = answer.need_child("product_catalog_delete")?.number("deleted_count");
        Ok(deleted.and_then(|count| count.try_into().ok()).unwrap_or(0))
    }
}

fn change(tag: &'static str, product: Stanza) -> Stanza {
    let parts = std::iter::once(product).chain(picture_size());
    set("w:biz:catalog").children([Builder::new(tag).attr("v", "1").children(parts).build()]).build()
}

fn changed(answer: &Stanza, tag: &'static str) -> Result<api::CatalogProduct, Missing> {
    let product = answer.need_child(tag)?.need_child("product")?;
    read(product).ok_or(Missing { tag: "product".to_owned(), what: "id" })
}

/// Those that have an id.
fn products(within: &Stanza) -> Vec<api::CatalogProduct> {
    within.all_named("product").filter_map(read).take(MOST).collect()
}

fn read(product: &Stanza) -> Option<api::CatalogProduct> {
    let id = Some(text(product, "id")).filter(|id| !id.is_empty())?;
    let image = product.child("media").and_then(|media| media.child("image"));
    let url = |tag| image.map(|image| text(image, tag)).filter(|url| !url.is_empty());
    Some(api::CatalogProduct {
        id,
        title: text(product, "name"),
        description: text(product, "description"),
        price_thousandths: text(product, "price").parse().unwrap_or(0),
        currency: text(product, "currency"),
        url: text(product, "url"),
        retailer_id: text(product, "retailer_id"),
        hidden: product.text("is_hidden").as_deref() == Some("true"),
        image_url: url("original_image_url").or_else(|| url("request_image_url")).unwrap_or_default(),
        review: review(product),
    })
}

fn review(of: &Stanza) -> String {
    of.child("status_info").map(|info| text(info, "status")).unwrap_or_default()
}

fn leaf(tag: &'static str, text: &str) -> Stanza {
    Builder::new(tag).bytes(text.as_bytes()).build()
}

fn picture_size() -> [Stanza; 2] {
    [leaf("width", EDGE), leaf("height", EDGE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eggs() -> Stanza {
        let image = Builder::new("image").children([leaf("original_image_url", "https://a/b.jpg")]);
        let media = Builder::new("media").children([image.build()]).build();
        let review = Builder::new("status_info").children([leaf("status", "APPROVED")]).build();
        let parts = [leaf("id", "7"), leaf("name", "Eggs"), leaf("price", "1990"), leaf("currency", "EUR")];
        Builder::new("product")
            .attr("is_hidden", "true")
            .children(parts.into_iter().chain([media, review]))
            .build()
    }

    fn answer(child: Builder) -> Stanza {
        Builder::new("iq").children([child.build()]).build()
    }

    #[test]
    fn a_page_of_products_is_read_and_one_without_an_id_is_left_out() {
        let list = ListProducts { of: Jid::pn("4915"), limit: 5, after: None };
        let paging = Builder::new("paging").children([leaf("after", "next")]).build();
        let nameless = Builder::new("product").children([leaf("name", "x")]).build();
        let page = answer(Builder::new("product_catalog").children([eggs(), nameless, paging]));
        let (products, next) = list.read(&page).expect("complete");
        assert_eq!((products.len(), next.as_deref()), (1, Some("next")));
        let read = &products[0];
        assert_eq!((read.title.as_str(), read.price_thousandths, read.hidden), ("Eggs", 1990, true));
        assert_eq!((read.image_url.as_str(), read.review.as_str()), ("https://a/b.jpg", "APPROVED"));
        let last = answer(Builder::new("product_catalog").children([eggs()]));
        assert_eq!(list.read(&last).expect("complete").1, None);
        assert!(list.read(&Builder::new("iq").build()).is_err());
    }

    #[test]
    fn collections_have_their_products() {
        let list = ListCollections { of: Jid::pn("4915"), limit: 5 };
        let one =
            Builder::new("collection").children([leaf("id", "1"), leaf("name", "Farm"), eggs()]).build();
        let read = list.read(&answer(Builder::new("collections").children([one]))).expect("complete");
        assert_eq!((read[0].title.as_str(), read[0].products.len()), ("Farm", 1));
        assert!(list.read(&Builder::new("iq").build()).is_err());
    }

    #[test]
    fn a_product_is_made_with_its_origin_or_with_the_word_that_it_needs_none() {
        let product = ProductChange { title: Some("Eggs".into()), hidden: Some(false), ..Default::default() };
        let made = |origin: &str| {
            let request = CreateProduct { product: product.clone(), origin: origin.to_owned() }.request();
            request.child("product_catalog_add").and_then(|add| add.child("product")).expect("one").clone()
        };
        let (free, from) = (made(""), made("DE"));
        assert_eq!(free.text("compliance_category").as_deref(), Some("COUNTRY_ORIGIN_EXEMPT"));
        assert!(free.child("compliance_info").is_none() && free.child("media").is_none());
        let origin = from.child("compliance_info").map(|info| text(info, "country_code_origin"));
        assert_eq!((origin.as_deref(), from.text("compliance_category")), (Some("DE"), None));
    }

    #[test]
    fn a_change_of_a_product_names_it_and_what_changes() {
        let product = ProductChange { price: Some(5), ..Default::default() };
        let request = UpdateProduct { id: "7".to_owned(), product }.request();
        let edit = request.child("product_catalog_edit").and_then(|edit| edit.child("product")).expect("one");
        assert_eq!((text(edit, "id"), text(edit, "price")), ("7".to_owned(), "5".to_owned()));
        assert_eq!((edit.all().len(), edit.text("is_hidden")), (2, None));
    }

    #[test]
    fn what_was_deleted_is_counted() {
        let delete = DeleteProducts { ids: vec!["7".to_owned()] };
        let told = answer(Builder::new("product_catalog_delete").attr("deleted_count", 1u32));
        assert_eq!(delete.read(&told), Ok(1));
        assert!(delete.read(&Builder::new("iq").build()).is_err());
    }
}
