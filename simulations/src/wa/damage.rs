//! Bytes on a connection that no client can take, as a broken network or proxy hands them through.
//!
//! What must hold: they come between whole frames, so that only what is said here is wrong. What was not
//! delivered because of them is in the backlog.

use bytes::Bytes;
use roost_proto::frame::{self, FrameError};
use roost_proto::noise::{Sealer, TransportError};
use serde::{Deserialize, Serialize};

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// A frame that ends before its announced length, with the connection.
    Torn,
    /// A whole frame that does not decrypt.
    Garbage,
    /// A WebSocket message longer than any frame can be.
    Oversized,
    /// A frame that decrypts to something that is no stanza.
    NotAStanza,
}

/// Why there are no such bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum DamageError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Seal(#[from] TransportError),
}

impl Damage {
    /// Whether the connection ends right behind it.
    pub(super) fn ends(self) -> bool {
        self == Damage::Torn
    }

    /// The WebSocket message.
    pub(super) fn message(self, sealer: &mut Sealer) -> Result<Bytes, DamageError> {
        let mut framed = Vec::new();
        match self {
            Damage::Torn => {
                frame::encode(&[0x5a; 1000], &mut framed)?;
                framed.truncate(100);
            }
            Damage::Garbage => frame::encode(&[0x5a; 100], &mut framed)?,
            Damage::Oversized => framed.resize(frame::MAX_PAYLOAD + 1024, 0x5a),
            Damage::NotAStanza => framed = sealer.seal(&[0, 0xf8, 0x09, 0xff, 0xff])?,
        }
        Ok(framed.into())
    }
}
