//! Key agreements in a process that is both ends of every conversation: a simulation.
//!
//! What must hold: an agreement is what X25519 says, byte for byte, and is only computed once for both ends of it.
//! Threads share nothing, and what is remembered is bounded. It remembers secrets: it is not for a node.

use std::cell::RefCell;
use std::collections::HashMap;

use libsignal_protocol::crypto::{
    CryptoProviderError, RustCryptoProvider, SignalCryptoProvider, set_crypto_provider,
};

use super::keys::KeyPair;

/// Agreements, and pairs of keys, that a thread remembers; then it forgets all of them.
const REMEMBERED: usize = 4096;

/// From now on, each thread of this process remembers its agreements. Returns whether it does: not when the
/// process has agreed on something before.
pub fn remember_agreements() -> bool {
    set_crypto_provider(Remembering).is_ok()
}

/// The agreements of one thread.
#[derive(Default)]
struct Agreements {
    /// Public halves of private keys.
    publics: HashMap<[u8; 32], [u8; 32]>,
    /// What comes out between two public keys, the smaller one first.
    shared: HashMap<[[u8; 32]; 2], [u8; 32]>,
}

impl Agreements {
    fn agree(&mut self, private: &[u8; 32], theirs: &[u8; 32]) -> Result<[u8; 32], CryptoProviderError> {
        if self.publics.len() >= REMEMBERED || self.shared.len() >= REMEMBERED {
            *self = Agreements::default();
        }
        let public = || *KeyPair::from_private(*private).public();
        let ours = *self.publics.entry(*private).or_insert_with(public);
        let between = if ours <= *theirs { [ours, *theirs] } else { [*theirs, ours] };
        if let Some(shared) = self.shared.get(&between) {
            return Ok(*shared);
        }
        let shared = RustCryptoProvider.x25519_agreement(private, theirs)?;
        self.shared.insert(between, shared);
        Ok(shared)
    }
}

thread_local! {
    static AGREEMENTS: RefCell<Agreements> = RefCell::default();
}

struct Remembering;

impl SignalCryptoProvider for Remembering {
    fn x25519_agreement(
        &self,
        private_key: &[u8; 32],
        their_public_key: &[u8; 32],
    ) -> Result<[u8; 32], CryptoProviderError> {
        AGREEMENTS.with_borrow_mut(|agreements| agreements.agree(private_key, their_public_key))
    }

    fn aes_256_cbc_encrypt(
        &self,
        key: &[u8; 32],
        iv: &[u8; 16],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        RustCryptoProvider.aes_256_cbc_encrypt(key, iv, plaintext, out)
    }

    fn aes_256_cbc_decrypt(
        &self,
        key: &[u8; 32],
        iv: &[u8; 16],
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        RustCryptoProvider.aes_256_cbc_decrypt(key, iv, ciphertext, out)
    }

    fn aes_256_gcm_encrypt(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        RustCryptoProvider.aes_256_gcm_encrypt(key, nonce, aad, plaintext, out)
    }

    fn aes_256_gcm_decrypt(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext_with_tag: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        RustCryptoProvider.aes_256_gcm_decrypt(key, nonce, aad, ciphertext_with_tag, out)
    }

    fn hmac_sha256(&self, key: &[u8], input: &[u8]) -> [u8; 32] {
        RustCryptoProvider.hmac_sha256(key, input)
    }

    fn hmac_sha256_two_part(&self, key: &[u8], first: &[u8], second: &[u8]) -> [u8; 32] {
        RustCryptoProvider.hmac_sha256_two_part(key, first, second)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn plain(private: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
        RustCryptoProvider.x25519_agreement(private, public).expect("it cannot fail")
    }

    #[test]
    fn what_is_remembered_is_what_comes_out_at_either_end_and_for_any_bytes() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut agreements = Agreements::default();
        for _ in 0..50 {
            let (one, other) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
            let expected = plain(one.private(), other.public());
            for (private, public) in [(&one, &other), (&other, &one), (&one, &other)] {
                let agreed = agreements.agree(private.private(), public.public());
                assert_eq!(agreed.expect("it cannot fail"), expected);
            }
            let (private, public): ([u8; 32], [u8; 32]) = (rng.random(), rng.random());
            let agreed = agreements.agree(&private, &public).expect("it cannot fail");
            assert_eq!(agreed, plain(&private, &public));
        }
        assert_eq!((agreements.shared.len(), agreements.publics.len()), (100, 150));
    }

    #[test]
    fn what_a_thread_remembers_is_bounded() {
        let full = (0..REMEMBERED as u64).map(|n| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            ([key, key], [0; 32])
        });
        let mut agreements = Agreements { shared: full.collect(), ..Agreements::default() };
        agreements.agree(&[7; 32], &[9; 32]).expect("it cannot fail");
        assert_eq!((agreements.shared.len(), agreements.publics.len()), (1, 1));
    }
}
