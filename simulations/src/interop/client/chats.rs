//! Changes of chats and of settings of the account: its own, and what it sees others change.

use serde_json::json;

use super::RealClient;
use crate::interop::InteropError;
use crate::interop::event::ClientEvent;

fn change(what: &str, chat: &str, on: bool, text: &str) -> ClientEvent {
    ClientEvent::Chat { what: what.into(), chat: chat.into(), on, text: text.into() }
}

impl RealClient {
    /// Changes a chat or a setting of the account, as [`ClientEvent::Chat`] reports it to others.
    pub async fn change(&mut self, what: &str, chat: &str, on: bool, text: &str) -> Result<(), InteropError> {
        let said = format!("change {what} of {chat:?} to {on} {text:?}");
        let command = json!({ "cmd": "change", "what": what, "chat": chat, "on": on, "text": text });
        self.ask(&said, command).await.map(drop)
    }

    /// Waits until somebody has changed a chat or a setting of the account like this.
    pub async fn sees(&mut self, what: &str, chat: &str, on: bool, text: &str) -> Result<(), InteropError> {
        let wanted = change(what, chat, on, text);
        self.wait(&format!("{wanted:?}"), |event| *event == wanted).await.map(drop)
    }

    /// Whether it has told of such a change that no wait took.
    pub fn has_seen(&self, what: &str, chat: &str, on: bool, text: &str) -> bool {
        self.said.lock().fresh.contains(&change(what, chat, on, text))
    }
}
