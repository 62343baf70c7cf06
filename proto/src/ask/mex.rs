//! Queries by `w:mex`: named by numbers that WhatsApp changes from time to time, with variables and answers in JSON.

use serde_json::{Value, json};

use super::get;
use crate::stanza::{Builder, Missing, Read, Stanza};

/// The `<iq>` of a query with these variables, without an id.
pub(super) fn query(number: &'static str, variables: Value) -> Stanza {
    let body = json!({ "variables": variables }).to_string();
    let query = Builder::new("query").attr("query_id", number).bytes(body.into_bytes()).build();
    get("w:mex").children([query]).build()
}

/// What an answer has under a name. WhatsApp also refuses inside of a good answer.
pub(super) fn data(answer: &Stanza, name: &'static str) -> Result<Value, Missing> {
    let missing = |what| Missing { tag: "result".to_owned(), what };
    let bytes = answer.need_child("result")?.leaf().ok_or_else(|| missing("JSON"))?;
    let body: Value = serde_json::from_slice(bytes).map_err(|_| missing("JSON"))?;
    let refused = body["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    match body["data"].get(name) {
        Some(data) if !refused && !data.is_null() => Ok(data.clone()),
        _ => Err(missing(name)),
    }
}
