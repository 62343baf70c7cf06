//! Pairing with an account that has a passkey.

use serde_json::json;

use super::RealClient;
use crate::interop::InteropError;
use crate::interop::event::ClientEvent;

impl RealClient {
    /// Waits for the options that an authenticator has to answer, JSON.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn passkey(&mut self) -> Result<String, InteropError> {
        match self.wait("a passkey", |event| matches!(event, ClientEvent::Passkey { .. })).await? {
            ClientEvent::Passkey { options } => Ok(options),
            _ => unreachable!("the wait took the options of a passkey"),
        }
    }

    /// Hands in what the authenticator answered, JSON; does not wait for what comes of it.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn answer_passkey(&mut self, credential: &str) -> Result<(), InteropError> {
        self.command(json!({ "cmd": "passkey", "text": credential })).await
    }
    /// The code that the phone has to show, of a client that does not confirm by itself.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn passkey_code(&mut self) -> Result<String, InteropError> {
        match self.wait("a code", |event| matches!(event, ClientEvent::PairCode { .. })).await? {
            ClientEvent::PairCode { code } => Ok(code),
            _ => unreachable!("the wait took a code"),
        }
    }

    /// Says that the phone shows the same code.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn confirm_passkey(&mut self) -> Result<(), InteropError> {
        self.command(json!({ "cmd": "passkey" })).await
    }
}
