//! Chats, contacts, labels, settings and history as text.

use roost_proto::api;
use serde_json::{Value, json};

use super::clean;

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

/// A piece of history, in a line.
pub(super) fn history(chunk: &api::HistoryChunk) -> String {
    let kind = chunk.kind().as_str_name();
    let (chats, messages) = (chunk.chats.len(), chunk.messages);
    let failed = if chunk.failure.is_empty() { "" } else { ": " };
    let failure = clean(&chunk.failure);
    format!("history {kind}: {chats} chats, {messages} messages, {} %{failed}{failure}", chunk.progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_changed() {
        let change = api::chat_changed::Change::Pinned(true);
        let payload =
            api::ChatChanged { chat: "1@lid".to_owned(), change: Some(change), ..Default::default() };
        let payload = Some(api::event::Payload::ChatChanged(payload));
        let event = super::super::event(&api::Event { payload, ..Default::default() });
        let told = json!({"chat": "1@lid", "pinned": true, "keepStarred": false, "deleteMedia": false});
        assert_eq!(event["chatChanged"], told);
    }
}
