//! The symmetric state of one handshake: hash, chaining key, cipher key and nonce, on snow's primitives.
//!
//! The operations are those of the Noise specification (revision 34, section 5.2) by the same names. What
//! is mixed when is the caller's business; that is where WhatsApp differs from the specification.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver as _, DefaultResolver};
use snow::types::{Cipher, Hash};
use zeroize::{Zeroize as _, Zeroizing};

use super::HandshakeError;
use crate::frame::INTRO;

/// Names are padded to 32 bytes, which makes them the initial hash; longer ones are hashed.
pub(super) const XX: &str = "Noise_XX_25519_AESGCM_SHA256\0\0\0\0";
pub(super) const IK: &str = "Noise_IK_25519_AESGCM_SHA256\0\0\0\0";
pub(super) const XX_FALLBACK: &str = "Noise_XXfallback_25519_AESGCM_SHA256";

const TAG: usize = 16;

pub(super) struct Symmetric {
    hash: Box<dyn Hash>,
    cipher: Box<dyn Cipher>,
    h: [u8; 32],
    ck: [u8; 32],
    nonce: u64,
}

impl Symmetric {
    /// InitializeSymmetric, then the prologue.
    pub(super) fn new(name: &str) -> Self {
        let mut hash = DefaultResolver.resolve_hash(&HashChoice::SHA256).expect("snow is built with SHA-256");
        let cipher =
            DefaultResolver.resolve_cipher(&CipherChoice::AESGCM).expect("snow is built with AES-GCM");
        let mut h = [0; 32];
        match name.len() {
            32 => h.copy_from_slice(name.as_bytes()),
            _ => {
                hash.reset();
                hash.input(name.as_bytes());
                hash.result(&mut h);
            }
        }
        let mut this = Self { hash, cipher, h, ck: h, nonce: 0 };
        this.mix_hash(&INTRO);
        this
    }

    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        self.hash.reset();
        self.hash.input(&self.h);
        self.hash.input(data);
        self.hash.result(&mut self.h);
    }

    /// MixKey(DH(private, public)).
    pub(super) fn mix_dh(&mut self, private: &[u8; 32], public: &[u8; 32]) -> Result<(), HandshakeError> {
        let mut dh =
            DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow is built with Curve25519");
        dh.set(private);
        let mut secret = Zeroizing::new([0; 32]);
        dh.dh(public, secret.as_mut_slice()).map_err(|_| HandshakeError::WeakKey)?;
        if secret.iter().all(|b| *b == 0) {
            return Err(HandshakeError::WeakKey);
        }
        let (ck, key) = self.derive(secret.as_slice());
        self.ck = *ck;
        self.cipher.set(&key);
        self.nonce = 0;
        Ok(())
    }

    /// EncryptAndHash. Only ever called after a key was mixed.
    pub(super) fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut out = vec![0; plaintext.len() + TAG];
        let length = self.cipher.encrypt(self.nonce, &self.h, plaintext, &mut out);
        out.truncate(length);
        self.nonce += 1;
        self.mix_hash(&out);
        out
    }

    /// DecryptAndHash.
    pub(super) fn decrypt(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let Some(length) = ciphertext.len().checked_sub(TAG) else {
            return Err(HandshakeError::Decrypt);
        };
        // snow's ciphers decrypt in place, so the buffer must take the tag too.
        let mut out = vec![0; ciphertext.len()];
        self.cipher
            .decrypt(self.nonce, &self.h, ciphertext, &mut out)
            .map_err(|_| HandshakeError::Decrypt)?;
        out.truncate(length);
        self.nonce += 1;
        self.mix_hash(ciphertext);
        Ok(out)
    }

    /// A decrypted static key: 32 bytes.
    pub(super) fn decrypt_key(&mut self, ciphertext: &[u8]) -> Result<[u8; 32], HandshakeError> {
        self.decrypt(ciphertext)?
            .try_into()
            .map_err(|_| HandshakeError::Malformed("a static key must have 32 bytes"))
    }

    /// Split: the key client to server, then the key server to client.
    pub(super) fn split(mut self) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
        self.derive(&[])
    }

    fn derive(&mut self, input: &[u8]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
        let (mut first, mut second) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        self.hash.hkdf(&self.ck, input, 2, first.as_mut_slice(), second.as_mut_slice(), &mut []);
        (first, second)
    }
}

impl Drop for Symmetric {
    fn drop(&mut self) {
        self.ck.zeroize();
    }
}
