//! Commands about status posts.

use serde_json::json;

use super::RealClient;
use crate::interop::InteropError;
use crate::interop::event::ClientEvent;

impl RealClient {
    /// Posts a text. `people` see it, where the library does not ask WhatsApp who shall. Returns its id.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn post(&mut self, text: &str, people: &[String]) -> Result<String, InteropError> {
        let command = json!({ "cmd": "send", "to": "status@broadcast", "text": text, "people": people });
        match self.ask("post", command).await? {
            ClientEvent::Sent { id, .. } => Ok(id),
            other => unreachable!("only a send is answered with the ref of a send: {other:?}"),
        }
    }

    /// Reacts to a post of one of these people.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn reacts_to_post(
        &mut self,
        id: &str,
        emoji: &str,
        people: &[String],
    ) -> Result<(), InteropError> {
        let command = json!({
            "cmd": "say", "to": "status@broadcast", "kind": "reaction", "text": emoji, "about": id, "people": people,
        });
        self.ask("react to a post", command).await.map(drop)
    }

    /// Takes a post back.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn takes_back(&mut self, id: &str, people: &[String]) -> Result<(), InteropError> {
        let command = json!({
            "cmd": "say", "to": "status@broadcast", "kind": "revoke", "text": "", "about": id, "people": people,
        });
        self.ask("take a post back", command).await.map(drop)
    }
}
