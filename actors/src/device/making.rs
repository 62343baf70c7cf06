//! What a device makes at WhatsApp once, however often it is asked for.

use std::time::Duration;

use roost_proto::ask::making::{Made, New};

use super::{Answer, AskError, Command, DeviceHandle};

/// Something to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// What.
    pub what: New,
    /// The caller's idempotency key: a UUID in its canonical form.
    pub request_id: String,
    /// SHA-256 of what was asked: tells a repetition from a reused key.
    pub request_hash: [u8; 32],
}

/// Why nothing is known to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The request id was used for something else.
    #[error("the request id was used for something else")]
    KeyReused,
    /// There is no good answer. Whoever repeats the request gets what was made by it, if anything was.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl DeviceHandle {
    /// Makes something, or finds what the same request has made within the last day; waits at most this long for each
    /// of WhatsApp's answers (and at most [`Limits::request`](super::Limits::request)). Returns what was made.
    pub async fn make(&self, make: Make, patience: Duration) -> Result<Made, MakeError> {
        if self.inner.watched.finished.borrow().is_some() {
            return Err(AskError::Unavailable.into());
        }
        let permit = self.permit().ok_or(AskError::Busy)?;
        match self.ask_actor(Command::Make { make: Box::new(make), patience }, permit).await {
            Ok(Answer::Made(result)) => result,
            Ok(_) => unreachable!("making is answered as making"),
            Err(_) => Err(AskError::Lost.into()),
        }
    }
}
