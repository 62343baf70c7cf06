//! The two ciphers of an established connection, one for each direction, to be owned by whoever reads and
//! whoever writes.
//!
//! AES-256-GCM per frame, empty associated data, nonce = 8 zero bytes and a 32-bit big-endian counter from
//! 0. Not snow's transport state, which ends at 65,535 bytes; frames reach 2^24 - 1. A counter is never
//! reused: after 2^32 frames the half refuses.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};

use crate::frame;

/// Why a frame was not sealed or opened. The connection is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// A frame did not authenticate: changed, lost or reordered bytes.
    #[error("a frame did not decrypt")]
    Decrypt,
    /// All 2^32 counters of this direction are used.
    #[error("this direction has used all its counters")]
    Exhausted,
    /// The plaintext is longer than a frame can carry, or the frame is shorter than its tag.
    #[error("a frame cannot have this length")]
    Length,
}

const TAG: usize = 16;

/// Both directions of a connection, until they are taken apart.
#[derive(Debug)]
pub struct Transport {
    /// Encrypts what we send.
    pub sealer: Sealer,
    /// Decrypts what we receive.
    pub opener: Opener,
}

impl Transport {
    pub(super) fn new(send: &[u8; 32], receive: &[u8; 32]) -> Self {
        Self { sealer: Sealer(Half::new(send)), opener: Opener(Half::new(receive)) }
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Sealer(Half);

/// The receiving half.
#[derive(Debug)]
pub struct Opener(Half);

impl Sealer {
    /// Encrypts one plaintext ([`crate::stanza::encode`]) and returns it as a complete frame, length
    /// included. The frames must reach the wire in the order in which they were sealed.
    ///
    /// # Errors
    /// [`TransportError::Length`] or [`TransportError::Exhausted`]; no counter was used.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, TransportError> {
        let length = plaintext.len() + TAG;
        if length > frame::MAX_PAYLOAD {
            return Err(TransportError::Length);
        }
        let nonce = self.0.next_nonce()?;
        let mut out = Vec::with_capacity(3 + length);
        out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
        out.extend_from_slice(plaintext);
        let tag = self
            .0
            .cipher
            .encrypt_inout_detached(&nonce, b"", (&mut out[3..]).into())
            .map_err(|_| TransportError::Length)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }
}

impl Opener {
    /// Decrypts the payload of one frame (without its length).
    ///
    /// # Errors
    /// [`TransportError`]: close the connection; no later frame can be read.
    pub fn open(&mut self, payload: &[u8]) -> Result<Vec<u8>, TransportError> {
        let length = payload.len().checked_sub(TAG).ok_or(TransportError::Length)?;
        let nonce = self.0.next_nonce()?;
        let (body, tag) = payload.split_at(length);
        let tag: [u8; TAG] = tag.try_into().expect("split at the tag's length");
        let mut out = body.to_vec();
        self.0
            .cipher
            .decrypt_inout_detached(&nonce, b"", out.as_mut_slice().into(), &tag.into())
            .map_err(|_| TransportError::Decrypt)?;
        Ok(out)
    }
}

struct Half {
    cipher: Aes256Gcm,
    /// The next counter; above `u32::MAX` when all are used.
    counter: u64,
}

impl Half {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)), counter: 0 }
    }

    fn next_nonce(&mut self) -> Result<Nonce<aes_gcm::aead::consts::U12>, TransportError> {
        let counter = u32::try_from(self.counter).map_err(|_| TransportError::Exhausted)?;
        self.counter += 1;
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&counter.to_be_bytes());
        Ok(nonce.into())
    }
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Half").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counter_is_used_once_and_never_wraps() {
        let mut transport = Transport::new(&[1; 32], &[1; 32]);
        transport.sealer.0.counter = u64::from(u32::MAX);
        transport.opener.0.counter = u64::from(u32::MAX);
        let frame = transport.sealer.seal(b"last").expect("one left");
        assert_eq!(transport.opener.open(&frame[3..]), Ok(b"last".to_vec()));
        assert_eq!(transport.sealer.seal(b"over"), Err(TransportError::Exhausted));
        assert_eq!(transport.opener.open(&frame[3..]), Err(TransportError::Exhausted));
    }

    #[test]
    fn a_payload_shorter_than_a_tag_is_refused() {
        let mut transport = Transport::new(&[1; 32], &[1; 32]);
        assert_eq!(transport.opener.open(&[0; 15]), Err(TransportError::Length));
    }
}
