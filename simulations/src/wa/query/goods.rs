//! Catalogs, collections and orders by `w:mex`: the same as by `w:biz:catalog` and `fb:thrift_iq`, in JSON.
//!
//! The numbers and names are those that whatsapp-rust has from WhatsApp Web. Guesses: that refusals have the codes of the
//! other form, and that an order beside which another business is named than the seller is not found.

use serde_json::{Value, json};

use super::super::account::Pn;
use super::super::business::Product;
use super::super::machine::Machine;
use super::business::count;
use super::{Answer, refuse, told};

const CATALOG: &str = "9916553288394782";
const COLLECTIONS: &str = "9430970660362540";
const ORDER: &str = "26593811266898374";

impl Machine {
    /// What a business sells and has sold; `None` for a query about something else.
    pub(super) fn goods_query(&self, asking: Pn, number: &str, variables: &Value) -> Option<Answer> {
        let request = &variables["request"];
        match number {
            CATALOG => Some(self.catalog_json(asking, &request["product_catalog"])),
            COLLECTIONS => Some(self.collections_json(asking, &request["collections"])),
            ORDER => Some(self.order_json(asking, &request["order"])),
            _ => None,
        }
    }

    fn catalog_json(&self, asking: Pn, asked: &Value) -> Answer {
        let limit = asked["limit"].as_u64().map(|limit| limit.to_string());
        let limit = count(limit.as_deref(), "limit")?;
        let of = asked["jid"].as_str().and_then(|jid| jid.parse().ok());
        let page = self.page(asking, of, limit, asked["after"].as_str())?;
        let catalog = json!({ "products": products(&page.products), "paging": { "after": page.next } });
        told("xwa_product_catalog_get_product_catalog", &json!({ "product_catalog": catalog }))
    }

    fn collections_json(&self, asking: Pn, asked: &Value) -> Answer {
        let of = asked["biz_jid"].as_str().and_then(|jid| jid.parse().ok());
        let (own, business) = self.business_at(asking, of)?;
        let limit = |name: &str| count(asked[name].as_str(), name);
        let found = business.collected(limit("collection_limit")?, limit("item_limit")?, own);
        let found = found.into_iter().map(|collection| {
            json!({
                "id": collection.number.to_string(),
                "name": collection.title,
                "status_info": { "status": "APPROVED", "can_appeal": false },
                "products": products(&collection.products),
            })
        });
        let collections: Vec<Value> = found.collect();
        told("xwa_product_catalog_get_collections", &json!({ "collections": collections }))
    }

    /// A business that is named beside the order has to be that which it is from. Nobody has to name one: the token is
    /// what opens an order.
    fn order_json(&self, asking: Pn, asked: &Value) -> Answer {
        let id = asked["id"].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| refuse(400, "no order is named"))?;
        let token = asked["token"]["sensitive_string_value"].as_str();
        let order = self.order_of(id, token)?;
        if let Some(seller) = asked["jid"].as_str() {
            let (_, business) = self.business_at(asking, seller.parse().ok())?;
            business
                .order(id, token.unwrap_or_default())
                .ok_or_else(|| refuse(404, "another business has sold it"))?;
        }
        told("xwa_checkout_get_order_info", &json!({ "order": order.json() }))
    }
}

fn products(products: &[(u64, &Product)]) -> Vec<Value> {
    products.iter().map(|(id, product)| product.json(*id)).collect()
}
