//! WhatsApp's Noise: the handshakes of both roles, and the ciphers that they end in.
//!
//! It is Noise over 25519, AES-GCM and SHA-256 with one deviation that keeps stock libraries out: message 1
//! mixes no empty payload into the hash. So snow lends its primitives and the symmetric state is ours
//! ([`symmetric`]). The client speaks XX; the server answers XX, accepts IK, and falls back from IK to
//! XXfallback. Parts travel in protobuf `HandshakeMessage`s, one frame each.
//!
//! What must hold: no key is used before the server's certificate chain was verified against the root key
//! that the caller passed ([`VerifiedServer`] is the proof); the last client message exists only after the
//! separate call [`VerifiedServer::finish`], because it is what logs the device in. No I/O, no clock, no
//! randomness of its own.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on.

mod client;
mod responder;
mod symmetric;
mod transport;

pub use client::{ClientHandshake, VerifiedServer};
pub use responder::{Accepted, AwaitsFinish, Pattern, Responder, ServerStep};
pub use transport::{Opener, Sealer, Transport, TransportError};

use waproto::buffa::Message as _;
use waproto::whatsapp::HandshakeMessage;

use crate::cert::CertError;

/// Why a handshake ended. Nothing was agreed and the connection is of no use.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's bytes are not the handshake message that is due now.
    #[error("the peer sent a malformed handshake message: {0}")]
    Malformed(&'static str),
    /// A part did not decrypt: another key, or changed bytes.
    #[error("a handshake part did not decrypt")]
    Decrypt,
    /// The peer's public key has small order: no secret can be agreed with it.
    #[error("the peer sent a public key of small order")]
    WeakKey,
    /// The server is not certified by the root key that we trust.
    #[error("the server's certificate chain is not valid")]
    Certificate(#[from] CertError),
}

/// The longest handshake message that is parsed: a registration payload is about 600 bytes.
const MAX_HANDSHAKE: usize = 64 * 1024;

fn parse(bytes: &[u8]) -> Result<HandshakeMessage, HandshakeError> {
    if bytes.len() > MAX_HANDSHAKE {
        return Err(HandshakeError::Malformed("too long"));
    }
    HandshakeMessage::decode_from_slice(bytes)
        .map_err(|_| HandshakeError::Malformed("not a handshake message"))
}

fn public(bytes: Option<&[u8]>) -> Result<[u8; 32], HandshakeError> {
    bytes
        .unwrap_or_default()
        .try_into()
        .map_err(|_| HandshakeError::Malformed("an ephemeral key must have 32 bytes"))
}

#[cfg(test)]
mod tests;
