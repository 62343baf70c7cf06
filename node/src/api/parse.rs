//! The edge: every text that a caller sends becomes a typed value here, or a refusal that names its field.
//!
//! What must hold: behind this file nothing checks the form of input again; every refusal is an
//! [`ApiError`] with the path of the field. It looks nothing up: whether a named thing exists is asked later.

pub mod business;
pub mod calls;
pub mod chats;
pub mod contacts;
pub mod groups;
mod ids;
pub mod imports;
pub mod polls;
pub mod protocol;
mod repeated;
pub mod statuses;

use roost_actors::device::{Make, Recipient};
use roost_actors::port::{ProxyError, ProxyUri, Terms};
use roost_placement::wish::{Pin, PinMode, Spreading};
use roost_proto::api;
use roost_proto::ask::making::New;
use roost_proto::content::{self, MessageContent};
use roost_proto::id::{BusinessId, ConsumerId, DeviceId, DeviceKey, NodeId};
use roost_proto::prost::Message;
use roost_proto::stanza::{Jid, Server};
use sha2::{Digest as _, Sha256};

use self::ids::{chosen_id, request_id};
use super::cursor::Scope;
use super::token::{self, Kind};
use crate::errors::ApiError;

/// Longest display name, in characters.
pub const MAX_DISPLAY_NAME: usize = 200;
/// Largest page; also what larger wishes become.
pub const MAX_PAGE: usize = 1000;
/// Page when nothing is said.
pub const DEFAULT_PAGE: usize = 100;
/// Largest window of a consumer.
pub const MAX_OUTSTANDING: usize = 10_000;
/// Window when nothing is said.
pub const DEFAULT_OUTSTANDING: usize = 1000;

/// Timers that WhatsApp knows, in seconds: off, a day, a week, 90 days.
const TIMERS: [i64; 4] = [0, 86_400, 604_800, 7_776_000];

/// A tenant, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// `tenants/{business_id}`.
    One(BusinessId),
    /// `tenants/-`.
    All,
}

/// Most people who are named for a status post.
pub const MAX_AUDIENCE: usize = 2000;

/// A send that is well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The sending device.
    pub key: DeviceKey,
    /// To whom.
    pub to: Recipient,
    /// What; it can be encoded.
    pub content: MessageContent,
    /// A UUID in its canonical form.
    pub request_id: String,
    /// SHA-256 of recipient, content, context and chosen id.
    pub request_hash: [u8; 32],
    /// WhatsApp's id, when the caller has chosen it.
    pub whatsapp_id: Option<String>,
    /// What to wait for; never unspecified.
    pub wait_for: api::send_message_request::WaitFor,
    /// What is allowed; no part of the hash.
    pub terms: Terms,
}

/// When messages disappear, in seconds; 0 for never.
pub fn timer(field: &str, timer: Option<&api::Duration>) -> Result<u32, ApiError> {
    let seconds = timer.map_or(0, |timer| timer.seconds);
    if !TIMERS.contains(&seconds) || timer.is_some_and(|timer| timer.nanos != 0) {
        return Err(ApiError::field(field, "must be 0, 24 hours, 7 days or 90 days"));
    }
    Ok(u32::try_from(seconds).expect("one of four small numbers"))
}

/// `tenants/{business_id}/devices/{device_id}`.
pub fn device(field: &str, name: &str) -> Result<DeviceKey, ApiError> {
    name.parse().map_err(|e| ApiError::field(field, format!("is not a device: {e}")))
}

/// `tenants/{business_id}`.
pub fn tenant(field: &str, name: &str) -> Result<BusinessId, ApiError> {
    match name.strip_prefix("tenants/") {
        Some(id) => id.parse().map_err(|e| ApiError::field(field, format!("is not a tenant: {e}"))),
        None => Err(ApiError::field(field, "must have the form tenants/{business_id}")),
    }
}

/// `tenants/{business_id}` or `tenants/-`.
pub fn parent(field: &str, name: &str) -> Result<Parent, ApiError> {
    match name {
        "tenants/-" => Ok(Parent::All),
        name => tenant(field, name).map(Parent::One),
    }
}

/// A tenant or a device, for reading their events.
pub fn scope(field: &str, name: &str) -> Result<Scope, ApiError> {
    match name.matches('/').count() {
        1 => tenant(field, name).map(Scope::Tenant),
        _ => device(field, name).map(Scope::Device),
    }
}

/// `tenants/{business_id}/devices/{device_id}/messages/{message_id}`; the id is 1 to 64 letters and digits.
pub fn message(field: &str, name: &str) -> Result<(DeviceKey, String), ApiError> {
    let form = || {
        let form = "must have the form tenants/{business_id}/devices/{device_id}/messages/{message_id}";
        ApiError::field(field, form)
    };
    let (key, id) = name.split_once("/messages/").ok_or_else(form)?;
    let well_formed = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !well_formed {
        return Err(form());
    }
    Ok((device(field, key)?, id.to_owned()))
}

/// The id of a tenant that is to be made.
pub fn business_id(field: &str, text: &str) -> Result<BusinessId, ApiError> {
    text.parse().map_err(|e| ApiError::field(field, format!("is not valid: {e}")))
}

/// The id of a device that is to be made; `None` lets the server choose.
pub fn device_id(field: &str, text: &str) -> Result<Option<DeviceId>, ApiError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|e| ApiError::field(field, format!("is not valid: {e}"))),
    }
}

/// A node id.
pub fn node(field: &str, text: &str) -> Result<NodeId, ApiError> {
    text.parse().map_err(|e| ApiError::field(field, format!("is not a node: {e}")))
}

/// A pin: a node, and how firmly.
pub fn pin(field: &str, pin: Option<&api::Pin>) -> Result<Pin, ApiError> {
    let pin = pin.ok_or_else(|| ApiError::field(field, "must be given"))?;
    let node = node(&format!("{field}.node"), &pin.node)?;
    let mode = match pin.mode() {
        api::pin::Mode::Require => PinMode::Require,
        api::pin::Mode::Prefer => PinMode::Prefer,
        api::pin::Mode::Unspecified => {
            return Err(ApiError::field(format!("{field}.mode"), "must be REQUIRE or PREFER"));
        }
    };
    Ok(Pin { node, mode })
}

/// How a tenant lies on the ring.
pub fn spread(field: &str, spread: api::tenant::Spread) -> Result<Spreading, ApiError> {
    match spread {
        api::tenant::Spread::Auto => Ok(Spreading::Auto),
        api::tenant::Spread::Devices => Ok(Spreading::Devices),
        api::tenant::Spread::Strict => Ok(Spreading::Strict),
        api::tenant::Spread::Unspecified => Err(ApiError::field(field, "must be AUTO, DEVICES or STRICT")),
    }
}

/// A consumer id.
pub fn consumer(field: &str, text: &str) -> Result<ConsumerId, ApiError> {
    text.parse().map_err(|e| ApiError::field(field, format!("is not valid: {e}")))
}

/// A name for people: at most [`MAX_DISPLAY_NAME`] characters, none of them a control character.
pub fn display_name(field: &str, text: &str) -> Result<String, ApiError> {
    if text.chars().count() > MAX_DISPLAY_NAME || text.chars().any(char::is_control) {
        let why = format!("must have at most {MAX_DISPLAY_NAME} characters and no control characters");
        return Err(ApiError::field(field, why));
    }
    Ok(text.to_owned())
}

/// A proxy; `None` when it is empty.
pub fn proxy(field: &str, text: &str) -> Result<Option<ProxyUri>, ApiError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|e: ProxyError| ApiError::field(field, e.to_string())),
    }
}

/// 0 means [`DEFAULT_PAGE`], more than [`MAX_PAGE`] means that.
pub fn page_size(field: &str, size: i32) -> Result<usize, ApiError> {
    match usize::try_from(size) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size) => Ok(size.min(MAX_PAGE)),
        Err(_) => Err(ApiError::field(field, "must not be negative")),
    }
}

/// The name after which a page begins; `None` for the first page.
pub fn page_token(field: &str, kind: Kind, query: &str, token: &str) -> Result<Option<String>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    let body = token::open(kind, query, token, 1024).map_err(|e| ApiError::field(field, e.to_string()))?;
    String::from_utf8(body)
        .map(Some)
        .map_err(|_| ApiError::field(field, token::TokenError::Garbage.to_string()))
}

/// A window of 1 to [`MAX_OUTSTANDING`]; 0 means [`DEFAULT_OUTSTANDING`].
pub fn max_outstanding(field: &str, window: i32) -> Result<usize, ApiError> {
    match usize::try_from(window) {
        Ok(0) => Ok(DEFAULT_OUTSTANDING),
        Ok(window) if window <= MAX_OUTSTANDING => Ok(window),
        _ => Err(ApiError::field(field, format!("must be 1 to {MAX_OUTSTANDING}, or 0 for the default"))),
    }
}

/// A whole `SendMessageRequest`.
pub fn send(request: &api::SendMessageRequest) -> Result<Send, ApiError> {
    let key = device("parent", &request.parent)?;
    let to = recipient(request.to.as_ref())?;
    let Some(kind) = request.content.clone() else {
        return Err(ApiError::field("content", "is required: text, or another kind"));
    };
    let content = MessageContent { kind, context: request.context.clone().unwrap_or_default() };
    content::check(&content).map_err(|invalid| ApiError::field(invalid.field, invalid.why))?;
    statuses::fits(&to, &content.kind)?;
    let to = statuses::whose(to, &content.kind)?;
    groups::fits(&to, &content.kind)?;
    super::newsletters::fits(&to, &content.context)?;
    let wait_for = match api::send_message_request::WaitFor::try_from(request.wait_for) {
        Ok(api::send_message_request::WaitFor::Unspecified) => api::send_message_request::WaitFor::ServerAck,
        Ok(wait_for) => wait_for,
        Err(_) => return Err(ApiError::field("wait_for", "has no such value")),
    };
    let request_id = request_id("request_id", &request.request_id)?;
    let whatsapp_id = chosen_id("whatsapp_id", &request.whatsapp_id)?;
    let request_hash = repeated::request_hash(&to, &content, whatsapp_id.as_deref());
    Ok(Send { key, to, content, request_id, request_hash, whatsapp_id, wait_for, terms: terms(request)? })
}

fn terms(request: &api::SendMessageRequest) -> Result<Terms, ApiError> {
    use api::send_message_request::OnIndeterminate;
    let expires =
        request.expire_time.as_ref().map(|at| chats::moment("expire_time", Some(at))).transpose()?;
    let once = match OnIndeterminate::try_from(request.on_indeterminate) {
        Ok(wanted) => wanted == OnIndeterminate::Report,
        Err(_) => return Err(ApiError::field("on_indeterminate", "has no such value")),
    };
    Ok(Terms { expires, once })
}

/// Something to make once. A caller without a request id of his own gets one; `said` is his request without it.
pub(super) fn make(what: New, id: &str, kind: &str, said: &impl Message) -> Result<Make, ApiError> {
    let request_id = match id {
        "" => uuid::Uuid::new_v4().to_string(),
        id => request_id("request_id", id)?,
    };
    let mut hash = Sha256::new();
    hash.update(format!("roost create {kind}\0"));
    hash.update(said.encode_to_vec());
    Ok(Make { what, request_id, request_hash: hash.finalize().into() })
}

/// The digits of an international phone number, with or without `+`.
pub fn phone_number(field: &str, text: &str) -> Result<String, ApiError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !(7..=15).contains(&digits.len()) || !is_number(digits) {
        let why = "must be 7 to 15 digits in international form, with or without '+'";
        return Err(ApiError::field(field, why));
    }
    Ok(digits.to_owned())
}

/// A user: an international phone number, `{digits}@lid`, or a JID without a device.
pub fn user(field: &str, text: &str) -> Result<Jid, ApiError> {
    match text.split_once('@') {
        Some((digits, "lid")) if (5..=20).contains(&digits.len()) && is_number(digits) => {
            Ok(Jid::lid(digits))
        }
        Some((digits, "s.whatsapp.net")) => phone_number(field, digits).map(Jid::pn),
        Some(_) => Err(ApiError::field(field, "must be a phone number, or {digits}@lid")),
        None => phone_number(field, text).map(Jid::pn),
    }
}

/// A user, or a group: `{id}@g.us`.
pub fn user_or_group(field: &str, text: &str) -> Result<Jid, ApiError> {
    match text.strip_suffix("@g.us") {
        Some(id) if (5..=40).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            Ok(Jid::new(id, Server::Group))
        }
        Some(_) => Err(ApiError::field(field, "must be the id of a group before @g.us")),
        None => user(field, text),
    }
}

/// `{digits}@newsletter`.
pub fn newsletter(field: &str, text: &str) -> Result<Jid, ApiError> {
    match text.strip_suffix("@newsletter") {
        Some(id) if (5..=40).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Jid::new(id, Server::Newsletter))
        }
        _ => Err(ApiError::field(field, "must be {digits}@newsletter")),
    }
}

fn recipient(to: Option<&api::Recipient>) -> Result<Recipient, ApiError> {
    match to.and_then(|to| to.to.as_ref()) {
        Some(api::recipient::To::PhoneNumber(number)) => {
            phone_number("to.phone_number", number).map(Recipient::Phone)
        }
        Some(api::recipient::To::Lid(lid)) => {
            let digits = lid.strip_suffix("@lid").unwrap_or(lid);
            if !(5..=20).contains(&digits.len()) || !is_number(digits) {
                return Err(ApiError::field("to.lid", "must be 5 to 20 digits, with or without @lid"));
            }
            Ok(Recipient::Lid(digits.to_owned()))
        }
        Some(api::recipient::To::Group(group)) => match Recipient::group(group) {
            Ok(group) => Ok(group),
            Err(error) => Err(ApiError::field("to.group", error.to_string())),
        },
        Some(api::recipient::To::Newsletter(id)) => {
            let id = if id.contains('@') { id.clone() } else { format!("{id}@newsletter") };
            newsletter("to.newsletter", &id).map(|jid| Recipient::Newsletter(jid.user.to_string()))
        }
        Some(api::recipient::To::Bot(bot)) => {
            let digits = bot.strip_suffix("@bot").unwrap_or(bot);
            if !(5..=20).contains(&digits.len()) || !is_number(digits) {
                return Err(ApiError::field("to.bot", "must be 5 to 20 digits, with or without @bot"));
            }
            Ok(Recipient::Bot(digits.to_owned()))
        }
        Some(api::recipient::To::Status(audience)) => statuses::audience(audience).map(Recipient::Status),
        None => {
            Err(ApiError::field("to", "is required: phone_number, lid, group, status, newsletter or bot"))
        }
    }
}

/// Digits that do not begin with 0: neither a country code nor a LID does.
fn is_number(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

#[cfg(test)]
mod tests;
