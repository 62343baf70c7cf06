//! Chats, contacts, labels, settings and history as text.

use roost_proto::api;
use roost_proto::api::event::Payload;
use serde_json::{Value, json};

use super::{base64, clean, json_time};

/// A chat.
pub(in crate::cli) fn chat(chat: &api::Chat) -> Value {
    json!({
        "jid": chat.jid,
        "mute": mute(chat.mute.as_ref()),
        "pinned": chat.pinned,
        "archived": chat.archived,
        "markedUnread": chat.marked_unread,
        "labels": chat.labels,
    })
}

fn mute(mute: Option<&api::Mute>) -> Value {
    use api::mute::Until;
    match mute.map(|mute| mute.until.as_ref()) {
        None => Value::Null,
        Some(None) => json!({}),
        Some(Some(Until::Time(at))) => json!({ "time": at.to_string() }),
        Some(Some(Until::Forever(forever))) => json!({ "forever": forever }),
    }
}

fn key(key: Option<&api::MessageKey>) -> Value {
    key.map_or(Value::Null, |key| {
        json!({
            "chat": key.chat,
            "whatsappId": key.whatsapp_id,
            "fromMe": key.from_me,
            "sender": key.sender,
        })
    })
}

fn label(label: Option<&api::Label>) -> Value {
    label.map_or(
        Value::Null,
        |label| json!({"id": label.id, "name": label.name, "color": label.color, "deleted": label.deleted}),
    )
}

/// An event about one of these; `None` when it is about something else.
pub(super) fn event(payload: &Payload) -> Option<(&'static str, Value)> {
    use api::chat_changed::Change;
    use api::label_assigned::To;
    use api::setting_changed::Setting;
    Some(match payload {
        Payload::ChatChanged(changed) => {
            let mut body = json!({ "chat": changed.chat });
            match &changed.change {
                Some(Change::Mute(until)) => body["mute"] = mute(Some(until)),
                Some(Change::Pinned(on)) => body["pinned"] = json!(on),
                Some(Change::Archived(on)) => body["archived"] = json!(on),
                Some(Change::Read(on)) => body["read"] = json!(on),
                Some(Change::Cleared(on)) => body["cleared"] = json!(on),
                Some(Change::Deleted(on)) => body["deleted"] = json!(on),
                None => {}
            }
            ("chatChanged", body)
        }
        Payload::MessageStarred(starred) => {
            ("messageStarred", json!({"message": key(starred.message.as_ref()), "starred": starred.starred}))
        }
        Payload::MessageDeletedForMe(deleted) => {
            ("messageDeletedForMe", json!({"message": key(deleted.message.as_ref())}))
        }
        Payload::ContactChanged(changed) => {
            let entry = changed.contact.clone().unwrap_or_default();
            let contact =
                json!({"jid": entry.jid, "fullName": entry.full_name, "firstName": entry.first_name});
            ("contactChanged", json!({"contact": contact, "removed": changed.removed}))
        }
        Payload::LabelChanged(changed) => ("labelChanged", json!({"label": label(changed.label.as_ref())})),
        Payload::LabelAssigned(assigned) => {
            let mut body = json!({"label": assigned.label, "assigned": assigned.assigned});
            match &assigned.to {
                Some(To::Chat(chat)) => body["chat"] = json!(chat),
                Some(To::Message(message)) => body["message"] = key(Some(message)),
                None => {}
            }
            ("labelAssigned", body)
        }
        Payload::QuickReplyChanged(changed) => {
            let reply = changed.quick_reply.clone().unwrap_or_default();
            let reply = json!({
                "id": reply.id,
                "shortcut": reply.shortcut,
                "message": reply.message,
                "keywords": reply.keywords,
                "deleted": reply.deleted,
            });
            ("quickReplyChanged", json!({ "quickReply": reply }))
        }
        Payload::SettingChanged(changed) => {
            let body = match &changed.setting {
                Some(Setting::PushName(name)) => json!({ "pushName": name }),
                Some(Setting::UnarchiveChats(on)) => json!({ "unarchiveChats": on }),
                Some(Setting::Record(record)) => json!({ "record": {
                    "collection": record.collection,
                    "index": record.index,
                    "value": base64(&record.value),
                    "removed": record.removed,
                }}),
                None => json!({}),
            };
            ("settingChanged", body)
        }
        Payload::AppStateResynced(resynced) => {
            ("appStateResynced", json!({"collection": resynced.collection, "reason": resynced.reason}))
        }
        Payload::HistoryChunk(chunk) => ("historyChunk", history(chunk)),
        _ => return None,
    })
}

fn history(chunk: &api::HistoryChunk) -> Value {
    let chats = chunk.chats.iter().map(|chat| {
        json!({
            "jid": chat.jid,
            "name": chat.name,
            "unread": chat.unread,
            "archived": chat.archived,
            "pinned": chat.pinned,
            "mutedUntil": json_time(chat.muted_until.as_ref()),
            "complete": chat.complete,
            "messages": chat.messages,
        })
    });
    json!({
        "kind": chunk.kind().as_str_name(),
        "order": chunk.order,
        "progress": chunk.progress,
        "chats": chats.collect::<Vec<_>>(),
        "pushNames": chunk.push_names,
        "lids": chunk.lids,
        "request": chunk.request,
        "failure": chunk.failure,
        "messages": chunk.messages.to_string(),
    })
}

/// An event about one of these, in a line; `None` when it is about something else.
pub(super) fn line(payload: &Payload) -> Option<String> {
    if let Payload::HistoryChunk(chunk) = payload {
        let kind = chunk.kind().as_str_name();
        let (chats, messages) = (chunk.chats.len(), chunk.messages);
        let failed = if chunk.failure.is_empty() { "" } else { ": " };
        let failure = clean(&chunk.failure);
        return Some(format!(
            "history {kind}: {chats} chats, {messages} messages, {} %{failed}{failure}",
            chunk.progress
        ));
    }
    event(payload).map(|(name, body)| format!("{name} {}", clean(&body.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_say_what_changed_and_nothing_else() {
        let changed = |change| {
            let payload =
                Payload::ChatChanged(api::ChatChanged { chat: "1@lid".to_owned(), change: Some(change) });
            event(&payload).expect("it is about a chat")
        };
        let (name, body) = changed(api::chat_changed::Change::Pinned(true));
        assert_eq!((name, body), ("chatChanged", json!({"chat": "1@lid", "pinned": true})));
        let off = changed(api::chat_changed::Change::Mute(api::Mute { until: None })).1;
        assert_eq!(off["mute"], json!({}), "not muted is said, not left out");
        assert_eq!(event(&Payload::StanzaQuarantined(api::StanzaQuarantined::default())), None);
    }
}
