//! Commands about people, pairing by a code, and unlinking.

use serde_json::json;

use super::RealClient;
use crate::interop::InteropError;
use crate::interop::event::ClientEvent;

impl RealClient {
    /// Carries out a command about people. Returns what it says.
    ///
    /// # Errors
    /// `Refused` with the library's words, or as [`Self::wait`].
    pub async fn people(&mut self, command: serde_json::Value) -> Result<serde_json::Value, InteropError> {
        let what = command.to_string();
        match self.ask(&what, command).await? {
            ClientEvent::Answer { value, .. } => Ok(value),
            other => unreachable!("it is answered with an answer: {other:?}"),
        }
    }

    /// The code that a phone shall type for this account: `wanted`, where that is given and the library can choose.
    pub async fn pair_code(&mut self, phone: &str, wanted: &str) -> Result<String, InteropError> {
        self.command(json!({ "cmd": "pair_code", "phone": phone, "text": wanted })).await?;
        match self.wait("a pairing code", |event| matches!(event, ClientEvent::PairCode { .. })).await? {
            ClientEvent::PairCode { code } => Ok(code),
            _ => unreachable!("the wait took a pairing code"),
        }
    }

    /// Unlinks the device and waits until that is done.
    pub async fn logout(&mut self) -> Result<(), InteropError> {
        self.command(json!({ "cmd": "logout" })).await?;
        self.disconnected("logged_out").await
    }
}
