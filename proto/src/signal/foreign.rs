//! Ratchets and sender keys that other libraries have stored, as ours: whatsapp-rust's records, whatsmeow's and Baileys' JSON.
//!
//! What must hold: what comes out is a record that [`super::Peer`] takes, with the same keys at the same
//! counters and no reservation left in it; what cannot be read is refused whole, never repaired.

mod baileys;
mod chains;
mod whatsmeow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use libsignal_protocol::protocol::{
    LegacySessionInteropError, PreKeyRecord, PublicKey, SessionRecord, SessionRecordComponents,
    SignalProtocolError,
};

use super::keys::raw;

pub use baileys::ratchet as baileys_ratchet;
pub use chains::{baileys_chain, record_chain, whatsmeow_chain};
pub use whatsmeow::ratchet as whatsmeow_ratchet;

/// A ratchet that can go on here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratchet {
    /// For [`super::Peer::session`]. Secret.
    pub record: Bytes,
    /// The peer's identity key, 32 bytes.
    pub identity: [u8; 32],
}

/// Why a ratchet cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Not the JSON of a session.
    #[error("it is not a session as the library writes it")]
    Json(#[from] serde_json::Error),
    /// A key is missing or has a wrong length.
    #[error("{0} is missing or malformed")]
    Field(&'static str),
    /// There is no open session in it, only closed ones or none.
    #[error("it holds no open session")]
    Closed,
    /// There is no chain in it.
    #[error("it holds no chain")]
    Empty,
    /// Baileys' sessions do not fit together.
    #[error("its sessions contradict themselves")]
    Contradiction(#[from] LegacySessionInteropError),
    /// The Signal library refuses it.
    #[error("the Signal library refuses it")]
    Refused(#[from] SignalProtocolError),
}

/// Reads a record of the Signal library: what whatsapp-rust stores, and what an import carries. Counters that
/// it had reserved count as used.
///
/// # Errors
/// `Refused` when it is no record, `Closed` without an open session.
pub fn record_ratchet(bytes: &[u8]) -> Result<Ratchet, ForeignError> {
    // Through the components, because a record keeps even what it cannot use.
    finish(SessionRecord::deserialize(bytes)?.into_components()?)
}

/// The private half of a one-time prekey in a record of the Signal library.
pub fn record_prekey(bytes: &[u8]) -> Option<[u8; 32]> {
    let record = PreKeyRecord::deserialize(bytes).ok()?;
    Some(*record.private_key().ok()?.serialize())
}

fn finish(components: SessionRecordComponents) -> Result<Ratchet, ForeignError> {
    let current = components.current_session.as_ref().ok_or(ForeignError::Closed)?;
    if current.sender_chain.is_none() {
        return Err(ForeignError::Closed);
    }
    let identity = current.remote_identity_public.as_deref().ok_or(ForeignError::Field("remote identity"))?;
    let identity = match identity.len() {
        32 => PublicKey::from_djb_public_key_bytes(identity),
        _ => PublicKey::deserialize(identity),
    };
    let identity = raw(&identity.map_err(|_| ForeignError::Field("remote identity"))?);
    let mut record = SessionRecord::from_components(components)?;
    record.waive_counter_lease();
    let record = record.serialize()?;
    // What is written must be what is read later.
    SessionRecord::deserialize(&record)?;
    Ok(Ratchet { record: record.into(), identity })
}

fn base64(field: &'static str, text: &str) -> Result<Vec<u8>, ForeignError> {
    STANDARD.decode(text).map_err(|_| ForeignError::Field(field))
}

fn sized<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], ForeignError> {
    bytes.try_into().map_err(|_| ForeignError::Field(field))
}

#[cfg(test)]
mod tests;
