//! Commands about businesses. Each is answered by one `answer` line, in words that are the same from every driver.

use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use whatsapp_rust::MexRequest;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::iq::mex_operations::{biz_query_order, query_catalog, query_product_collections};

use crate::Command;
use crate::driver::jid;

/// How much is asked for.
const MOST: u8 = 10;

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, or what the library says.
pub async fn business(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let answer = match command.cmd.as_str() {
        "business_profile" => json!(profile(client, &jid(&command.to)?).await?),
        "catalog" => json!(catalog(client, &command.to).await?),
        "collections" => json!(collections(client, &command.to).await?),
        "order" => json!(order(client, &command.to, &command.about, &command.text).await?),
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// `ADDRESS, EMAIL, ZONE, DAY MODE OPEN-CLOSE …`.
async fn profile(client: &Client, of: &Jid) -> anyhow::Result<String> {
    let profile = client.get_business_profile(of).await?.context("no business")?;
    let hours = profile.business_hours;
    let mut words = vec![
        profile.address.unwrap_or_default(),
        profile.email.unwrap_or_default(),
        hours.timezone.unwrap_or_default(),
    ];
    words.extend(hours.business_config.unwrap_or_default().into_iter().map(|day| {
        let minute = |minute: Option<u32>| minute.map(|minute| minute.to_string()).unwrap_or_default();
        let (open, close) = (minute(day.open_time), minute(day.close_time));
        format!("{} {} {open}-{close}", day.day_of_week.as_str(), day.mode.as_str())
    }));
    Ok(words.join(", "))
}

async fn catalog(client: &Client, of: &str) -> anyhow::Result<Vec<String>> {
    use query_catalog::{DOC_ID, NAME, ProductCatalog, Request, Response, Variables};
    let (jid, limit) = (Some(of.to_owned()), Some(MOST.into()));
    let product_catalog = Some(ProductCatalog { jid, limit, ..Default::default() });
    let asked = Variables { request: Some(Request { product_catalog }) };
    let told: Response = ask(client, NAME, DOC_ID, asked).await?;
    let found = told.xwa_product_catalog_get_product_catalog.and_then(|found| found.product_catalog);
    let products = found.context("no catalog")?.products.unwrap_or_default();
    Ok(products.into_iter().map(|product| in_words(product.name, product.price, product.currency)).collect())
}

async fn collections(client: &Client, of: &str) -> anyhow::Result<Vec<String>> {
    use query_product_collections::{Collections, DOC_ID, NAME, Request, Response, Variables};
    let (biz_jid, most) = (Some(of.to_owned()), Some(MOST.to_string()));
    let (collection_limit, item_limit) = (most.clone(), most);
    let collections = Some(Collections { biz_jid, collection_limit, item_limit, ..Default::default() });
    let asked = Variables { request: Some(Request { collections }) };
    let told: Response = ask(client, NAME, DOC_ID, asked).await?;
    let found = told.xwa_product_catalog_get_collections.and_then(|found| found.collections);
    let words = found.context("no collections")?.into_iter().map(|collection| {
        let products = collection.products.unwrap_or_default().into_iter();
        let products = products.map(|product| in_words(product.name, product.price, product.currency));
        format!("{}: {}", collection.name.unwrap_or_default(), products.collect::<Vec<_>>().join(", "))
    });
    Ok(words.collect())
}

async fn order(client: &Client, seller: &str, id: &str, token: &str) -> anyhow::Result<String> {
    use biz_query_order::{DOC_ID, NAME, Order, Request, Response, Token, Variables};
    let token = Some(Token { sensitive_string_value: Some(token.to_owned()) });
    let (jid, id) = (Some(seller.to_owned()), Some(id.to_owned()));
    let order = Some(Order { jid, id, token, ..Default::default() });
    let asked = Variables { request: Some(Request { order }) };
    let told: Response = ask(client, NAME, DOC_ID, asked).await?;
    let order = told.xwa_checkout_get_order_info.and_then(|found| found.order).context("no order")?;
    let price = order.price_details.context("no price")?;
    let products = order.products.unwrap_or_default().into_iter().map(|product| {
        format!("{} x{}", product.name.unwrap_or_default(), product.quantity.unwrap_or_default())
    });
    let (total, currency) = (price.total_amount.unwrap_or_default(), price.currency.unwrap_or_default());
    Ok(format!("{total} {currency}: {}", products.collect::<Vec<_>>().join(", ")))
}

async fn ask<Q: Serialize, A: DeserializeOwned>(
    client: &Client,
    name: &'static str,
    id: &'static str,
    variables: Q,
) -> anyhow::Result<A> {
    let answer = client.mex().query(MexRequest::new(name, id, variables)).await?;
    Ok(serde_json::from_value(answer.data.context("an answer without data")?)?)
}

fn in_words(name: Option<String>, price: Option<String>, currency: Option<String>) -> String {
    [name, price, currency].map(Option::unwrap_or_default).join(" ")
}
