//! `ContactService`: people on WhatsApp.

use std::collections::BTreeSet;

use roost_proto::api;
use roost_proto::api::contact_service_server::ContactService;
use roost_proto::ask::numbers::CheckNumbers;
use roost_proto::stanza::Jid;
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "ContactService";
/// Most numbers in one call.
const MAX_NUMBERS: usize = 256;

#[async_trait]
impl ContactService for Api {
    async fn check_numbers(
        &self,
        request: Request<api::CheckNumbersRequest>,
    ) -> Result<Response<api::CheckNumbersResponse>, Status> {
        self.unary(method(SERVICE, "CheckNumbers"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let digits = numbers("phone_numbers", &request.phone_numbers)?;
            let asked: BTreeSet<String> = digits.iter().cloned().collect();
            let answers =
                self.ask(&call, &key, &CheckNumbers { numbers: asked.into_iter().collect() }).await?;
            let numbers = digits.into_iter().zip(request.phone_numbers).map(|(digits, phone_number)| {
                let found = answers.iter().find(|answer| answer.number == digits);
                let account = found.and_then(|answer| answer.account.as_ref());
                api::NumberCheck {
                    phone_number,
                    on_whatsapp: account.is_some(),
                    person: account.map(|account| person(Some(&account.pn), account.lid.as_ref())),
                    business: account.is_some_and(|account| account.business),
                }
            });
            Ok(api::CheckNumbersResponse { numbers: numbers.collect() })
        })
        .await
    }
}

fn numbers(field: &str, texts: &[String]) -> Result<Vec<String>, ApiError> {
    if texts.is_empty() || texts.len() > MAX_NUMBERS {
        return Err(ApiError::field(
            field,
            format!("must be 1 to {MAX_NUMBERS} numbers, not {}", texts.len()),
        ));
    }
    let numbers = texts.iter().enumerate();
    numbers.map(|(place, text)| parse::phone_number(&format!("{field}[{place}]"), text)).collect()
}

/// A person by the JIDs that are known.
fn person(pn: Option<&Jid>, lid: Option<&Jid>) -> api::Person {
    let text = |jid: Option<&Jid>| jid.map(ToString::to_string).unwrap_or_default();
    api::Person { lid: text(lid), phone_number: text(pn) }
}
