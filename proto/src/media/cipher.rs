//! Encrypting and decrypting a blob in pieces.
//!
//! What must hold: at most one block and a MAC are held back, whatever the size of the file and of the pieces; a blob
//! that ends anywhere but behind its MAC, or differs from its hashes, is refused.

use aes::Aes256;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::keys::{MediaKey, MediaKind};
use super::sidecar::Sidecar;

const BLOCK: usize = 16;
const MAC: usize = 10;

/// SHA-256 of the file and of its blob, as a message carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// Of the file.
    pub plain: [u8; 32],
    /// Of the blob with its MAC.
    pub sealed: [u8; 32],
}

/// What came out of encrypting a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Of both sides.
    pub hashes: Hashes,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of the blob with its MAC.
    pub sealed_length: u64,
    /// Of films and sound: a MAC of each part, see [`Sidecar`].
    pub sidecar: Vec<u8>,
}

/// Why a blob is not the file that its message speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// It is cut short, or is no whole number of blocks and a MAC.
    #[error("the blob is not whole")]
    Length,
    /// Other bytes than were uploaded.
    #[error("the blob differs from its hash")]
    SealedHash,
    /// Not encrypted under this key.
    #[error("the blob has a wrong MAC")]
    Mac,
    /// Its last block is not padded as it must be.
    #[error("the blob is badly padded")]
    Padding,
    /// Decrypted, it is not the file that the message names.
    #[error("the file differs from its hash")]
    PlainHash,
}

/// Encrypts one file.
pub struct Encryptor {
    cbc: cbc::Encryptor<Aes256>,
    mac: Hmac<Sha256>,
    plain: Sha256,
    sealed: Sha256,
    /// The beginning of a block.
    rest: Vec<u8>,
    length: u64,
    sealed_length: u64,
    sidecar: Option<Sidecar>,
}

impl Encryptor {
    /// For a file of this kind; a key is for one file only.
    pub fn new(key: &MediaKey, kind: MediaKind) -> Encryptor {
        let keys = key.blob(kind);
        Encryptor {
            cbc: cbc::Encryptor::new(&(*keys.cipher).into(), &keys.iv.into()),
            mac: authenticator(&keys.mac, &keys.iv),
            plain: Sha256::new(),
            sealed: Sha256::new(),
            rest: Vec::with_capacity(BLOCK),
            length: 0,
            sealed_length: 0,
            sidecar: matches!(kind, MediaKind::Video | MediaKind::Audio).then(|| Sidecar::new(*keys.mac)),
        }
    }

    /// Takes a piece of the file and appends what it makes of the blob.
    pub fn update(&mut self, plain: &[u8], blob: &mut Vec<u8>) {
        self.plain.update(plain);
        self.length += plain.len() as u64;
        let from = blob.len();
        blob.append(&mut self.rest);
        blob.extend_from_slice(plain);
        let whole = (blob.len() - from) / BLOCK * BLOCK;
        self.rest.extend(blob.drain(from + whole..));
        self.seal(&mut blob[from..]);
    }

    /// Appends the end of the blob.
    pub fn finish(mut self, blob: &mut Vec<u8>) -> Sealed {
        let from = blob.len();
        let padding = BLOCK - self.rest.len();
        blob.append(&mut self.rest);
        blob.resize(from + BLOCK, u8::try_from(padding).expect("at most a block"));
        self.seal(&mut blob[from..]);
        let mac = self.mac.finalize().into_bytes();
        self.sealed.update(&mac[..MAC]);
        blob.extend_from_slice(&mac[..MAC]);
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.update(&mac[..MAC]);
        }
        let sidecar = self.sidecar.map(Sidecar::finish).unwrap_or_default();
        let hashes = Hashes { plain: self.plain.finalize().into(), sealed: self.sealed.finalize().into() };
        let sealed_length = self.sealed_length + MAC as u64;
        Sealed { hashes, length: self.length, sealed_length, sidecar }
    }

    fn seal(&mut self, blocks: &mut [u8]) {
        let (whole, rest) = Array::slice_as_chunks_mut(blocks);
        debug_assert!(rest.is_empty(), "only whole blocks are encrypted");
        self.cbc.encrypt_blocks(whole);
        self.mac.update(blocks);
        self.sealed.update(&*blocks);
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.update(blocks);
        }
        self.sealed_length += blocks.len() as u64;
    }
}

/// Decrypts one blob.
pub struct Decryptor {
    cbc: cbc::Decryptor<Aes256>,
    mac: Hmac<Sha256>,
    plain: Sha256,
    sealed: Sha256,
    /// What may be the last block and the MAC.
    held: Vec<u8>,
    length: u64,
}

impl Decryptor {
    /// For a blob of this kind.
    pub fn new(key: &MediaKey, kind: MediaKind) -> Decryptor {
        let keys = key.blob(kind);
        Decryptor {
            cbc: cbc::Decryptor::new(&(*keys.cipher).into(), &keys.iv.into()),
            mac: authenticator(&keys.mac, &keys.iv),
            plain: Sha256::new(),
            sealed: Sha256::new(),
            held: Vec::with_capacity(BLOCK + MAC),
            length: 0,
        }
    }

    /// Takes a piece of the blob and appends what it holds of the file, which is not verified yet.
    pub fn update(&mut self, blob: &[u8], plain: &mut Vec<u8>) {
        self.sealed.update(blob);
        let from = plain.len();
        plain.append(&mut self.held);
        plain.extend_from_slice(blob);
        // The last block has the padding, and the MAC is behind it: both stay until more has come.
        let sure = (plain.len() - from).saturating_sub(BLOCK + MAC) / BLOCK * BLOCK;
        self.held.extend(plain.drain(from + sure..));
        self.open(&mut plain[from..]);
        self.plain.update(&plain[from..]);
        self.length += sure as u64;
    }

    /// Checks everything and appends the end of the file. Returns the length of the file in bytes.
    pub fn finish(mut self, expected: &Hashes, plain: &mut Vec<u8>) -> Result<u64, SealedError> {
        if self.held.len() != BLOCK + MAC {
            return Err(SealedError::Length);
        }
        let mut block = std::mem::take(&mut self.held);
        let theirs = block.split_off(BLOCK);
        self.open(&mut block);
        if <[u8; 32]>::from(self.sealed.finalize()) != expected.sealed {
            return Err(SealedError::SealedHash);
        }
        self.mac.verify_truncated_left(&theirs).map_err(|_| SealedError::Mac)?;
        let padding = usize::from(block[BLOCK - 1]);
        let good = (1..=BLOCK).contains(&padding)
            && block[BLOCK - padding..].iter().all(|byte| usize::from(*byte) == padding);
        if !good {
            return Err(SealedError::Padding);
        }
        block.truncate(BLOCK - padding);
        self.plain.update(&block);
        if <[u8; 32]>::from(self.plain.finalize()) != expected.plain {
            return Err(SealedError::PlainHash);
        }
        plain.extend_from_slice(&block);
        Ok(self.length + block.len() as u64)
    }

    fn open(&mut self, blocks: &mut [u8]) {
        self.mac.update(blocks);
        let (whole, rest) = Array::slice_as_chunks_mut(blocks);
        debug_assert!(rest.is_empty(), "only whole blocks are decrypted");
        self.cbc.decrypt_blocks(whole);
    }
}

fn authenticator(key: &[u8; 32], iv: &[u8; 16]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(iv);
    mac
}

#[cfg(test)]
mod tests;
