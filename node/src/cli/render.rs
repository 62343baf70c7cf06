//! Answers as text: JSON by protobuf's mapping, and columns for people.
//!
//! What must hold: field names and the texts of enums are those of the schema; 64-bit numbers are JSON
//! strings, as the mapping says; text of other people is printed without control characters, because it
//! goes to a terminal.

pub(super) mod chats;
mod people;

use roost_proto::api;
use serde_json::{Value, json};

use super::media;

/// RFC 3339, or `-` when there is none.
pub(super) fn time(at: Option<&api::Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), api::Timestamp::to_string)
}

/// Foreign text without control characters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Rows under headings, each column as wide as its widest cell.
pub(super) fn columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

pub(super) fn json_time(at: Option<&api::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_string()))
}

fn json_identity(identity: Option<&api::Identity>) -> Value {
    identity.map_or(
        Value::Null,
        |who| json!({"lid": who.lid, "phoneNumber": who.phone_number, "pushName": who.push_name}),
    )
}

pub(super) fn json_person(person: Option<&api::Person>) -> Value {
    person.map_or(Value::Null, |who| json!({"lid": who.lid, "phoneNumber": who.phone_number}))
}

/// A tenant.
pub(super) fn tenant(tenant: &api::Tenant) -> Value {
    json!({
        "name": tenant.name,
        "displayName": tenant.display_name,
        "createTime": json_time(tenant.create_time.as_ref()),
        "spread": tenant.spread().as_str_name(),
    })
}

/// Who holds a device.
pub(super) fn ownership(ownership: Option<&api::Ownership>) -> Value {
    ownership.map_or(Value::Null, |row| {
        json!({
            "node": row.node,
            "incarnation": row.incarnation.to_string(),
            "epoch": row.epoch.to_string(),
        })
    })
}

/// Where a device belongs.
pub(super) fn pin(pin: Option<&api::Pin>) -> Value {
    pin.map_or(Value::Null, |pin| json!({"node": pin.node, "mode": pin.mode().as_str_name()}))
}

/// A device.
pub(super) fn device(device: &api::Device) -> Value {
    json!({
        "name": device.name,
        "displayName": device.display_name,
        "state": device.state().as_str_name(),
        "stateReason": device.state_reason,
        "stateCode": device.state_code,
        "account": json_identity(device.account.as_ref()),
        "ownership": ownership(device.ownership.as_ref()),
        "createTime": json_time(device.create_time.as_ref()),
        "updateTime": json_time(device.update_time.as_ref()),
        "pin": pin(device.pin.as_ref()),
        "proxyUri": device.proxy_uri,
    })
}

/// A message.
pub(super) fn message(message: &api::Message) -> Value {
    json!({
        "name": message.name,
        "whatsappId": message.whatsapp_id,
        "state": message.state().as_str_name(),
        "ordinal": message.ordinal.to_string(),
        "failure": message.failure,
        "to": message.to,
        "requestId": message.request_id,
        "acceptTime": json_time(message.accept_time.as_ref()),
        "sendTime": json_time(message.send_time.as_ref()),
        "serverAckTime": json_time(message.server_ack_time.as_ref()),
        "deliveredTime": json_time(message.delivered_time.as_ref()),
        "readTime": json_time(message.read_time.as_ref()),
        "expireTime": json_time(message.expire_time.as_ref()),
    })
}

/// Messages, a line each.
pub(super) fn messages(messages: &[api::Message]) -> String {
    let row = |message: &api::Message| {
        let state = message.state().as_str_name().to_owned();
        vec![message.name.clone(), state, message.whatsapp_id.clone(), message.failure.clone()]
    };
    let rows: Vec<_> = messages.iter().map(row).collect();
    columns(&["MESSAGE", "STATE", "WHATSAPP ID", "FAILURE"], &rows)
}

/// A member of the cluster.
pub(super) fn node(node: &api::Node) -> Value {
    json!({
        "name": node.name,
        "incarnation": node.incarnation.to_string(),
        "address": node.address,
        "zone": node.zone,
        "weight": node.weight,
        "state": node.state().as_str_name(),
        "owned": node.owned,
        "leaseRemaining": node.lease_remaining.as_ref().map(api::Duration::to_string),
        "version": node.version,
        "cordoned": node.cordoned,
        "cutOff": node.cut_off,
        "unreachable": node.unreachable,
        "connected": node.connected,
        "waiting": node.waiting,
    })
}

/// An event.
pub(super) fn event(event: &api::Event) -> Value {
    roost_proto::json::of("Event", event).unwrap_or_default()
}

/// What an event says, in one line for people.
pub(super) fn event_line(event: &api::Event) -> String {
    use api::event::Payload;
    let what = match &event.payload {
        Some(Payload::MessageReceived(message)) => {
            let text = match &message.content {
                Some(api::message_received::Content::Text(text)) => clean(text),
                Some(api::message_received::Content::Raw(raw)) => format!("({} bytes)", raw.len()),
                Some(content) if !media::line(content).is_empty() => clean(&media::line(content)),
                Some(_) => {
                    let said =
                        api::MessageReceived { content: message.content.clone(), ..Default::default() };
                    let said = roost_proto::json::of("MessageReceived", &said).unwrap_or_default();
                    let kind = said.as_object().and_then(|said| said.iter().find(|(_, is)| is.is_object()));
                    kind.map(|(name, is)| clean(&format!("{name} {is}"))).unwrap_or_default()
                }
                None => String::new(),
            };
            let direction = if message.from_me { "to" } else { "from" };
            let other = if message.from_me { message.chat.as_ref() } else { message.sender.as_ref() };
            format!("message {direction} {}: {text}", clean(&person(other)))
        }
        Some(Payload::MessageStateChanged(change)) => {
            let id = change.message.rsplit('/').next().unwrap_or_default();
            format!("message {id} is {} {}", change.state().as_str_name(), change.failure)
        }
        Some(Payload::DeviceStateChanged(change)) => {
            format!("device is {}: {}", change.state().as_str_name(), clean(&change.reason))
        }
        Some(Payload::Undecryptable(lost)) => {
            format!("message {} cannot be decrypted: {}", clean(&lost.whatsapp_id), clean(&lost.reason))
        }
        Some(Payload::StanzaQuarantined(aside)) => {
            format!("stanza {} put aside: {}", clean(&aside.stanza_id), clean(&aside.reason))
        }
        Some(Payload::OwnershipChanged(change)) => {
            let (from, to) = (name_of(&change.from_node), name_of(&change.to_node));
            format!("owner {from} -> {to}, epoch {}, {}", change.epoch, change.reason)
        }
        Some(Payload::Paired(paired)) => {
            let account = paired.account.clone().unwrap_or_default();
            format!("paired as {}", clean(&account.phone_number))
        }
        Some(Payload::IdentityChanged(change)) => {
            format!("identity key of {} changed", clean(&person(change.person.as_ref())))
        }
        Some(
            payload @ (Payload::IdentityMapped(_)
            | Payload::PresenceChanged(_)
            | Payload::ChatStateChanged(_)
            | Payload::CallIncoming(_)
            | Payload::CallEnded(_)
            | Payload::ProfileChanged(_)),
        ) => people::line(payload),
        Some(Payload::HistoryChunk(chunk)) => chats::history(chunk),
        Some(_) => {
            // What is new, in the words of the schema.
            let alone = api::Event { payload: event.payload.clone(), ..Default::default() };
            let body = self::event(&alone).as_object().and_then(|fields| {
                let payload = fields.iter().find(|(_, value)| value.is_object());
                payload.map(|(name, value)| format!("{name} {value}"))
            });
            clean(&body.unwrap_or_default())
        }
        None => "of a kind that this command does not know".to_owned(),
    };
    format!("{} {} #{} {what}", time(event.commit_time.as_ref()), event.device, event.sequence)
}

/// A person by the name that people know.
pub(super) fn person(who: Option<&api::Person>) -> String {
    let who = who.cloned().unwrap_or_default();
    if who.phone_number.is_empty() { who.lid } else { who.phone_number }
}

fn name_of(node: &str) -> &str {
    if node.is_empty() { "nobody" } else { node }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "22".to_owned()]];
        assert_eq!(columns(&["ID", "N"], &rows), "ID    N\na     1\nlong  22\n");
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor_of_a_terminal() {
        let event = api::Event {
            payload: Some(api::event::Payload::MessageReceived(api::MessageReceived {
                content: Some(api::message_received::Content::Text("a\u{1b}[2Jb\n".into())),
                ..Default::default()
            })),
            ..Default::default()
        };
        assert!(!event_line(&event).chars().any(char::is_control));
    }

    #[test]
    fn json_says_the_names_and_enums_of_the_schema() {
        let device = api::Device {
            name: "tenants/acme/devices/shop".into(),
            state: api::device::State::LoggedOut as i32,
            ownership: Some(api::Ownership { node: "n1".into(), incarnation: 2, epoch: 3 }),
            ..Default::default()
        };
        let shown = super::device(&device);
        assert_eq!(shown["state"], "LOGGED_OUT");
        assert_eq!(shown["ownership"]["epoch"], "3");
        assert!(shown["account"].is_null());
    }
}
