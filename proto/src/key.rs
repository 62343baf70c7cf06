//! Curve25519 keys in the two roles WhatsApp gives them: X25519 agreement and XEdDSA signatures.
//!
//! What must hold: a private key is wiped when it is dropped and never printed. The arithmetic is the
//! Signal library's; this file only gives it fixed-size types. It knows nothing of identities or prekeys.

use std::fmt;

use libsignal_protocol::core::curve::{PrivateKey, PublicKey};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// A Curve25519 public key: 32 bytes, without Signal's leading type byte 0x05.
pub type Public = [u8; 32];

/// An XEdDSA signature: 64 bytes.
pub type Signature = [u8; 64];

/// A Curve25519 key pair that can agree (X25519) and sign (XEdDSA).
#[derive(Clone)]
pub struct KeyPair {
    private: Zeroizing<[u8; 32]>,
    public: Public,
}

impl KeyPair {
    /// A fresh pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut private = Zeroizing::new([0; 32]);
        rng.fill_bytes(private.as_mut_slice());
        Self::from_private(*private)
    }

    /// The pair that belongs to 32 private bytes. They are clamped, so every 32 bytes are a key.
    pub fn from_private(private: [u8; 32]) -> Self {
        let key = PrivateKey::deserialize(&private).expect("32 bytes are a private key");
        let public = key.public_key().expect("every private key has a public key");
        Self { private: Zeroizing::new(*key.serialize()), public: public_bytes(&public) }
    }

    /// The public half, 32 bytes.
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// The private half, 32 bytes, clamped: for sealing and for storing, never for printing.
    pub fn private(&self) -> &[u8; 32] {
        &self.private
    }

    /// Signs the concatenation of `parts` with XEdDSA; `rng` makes the signature's nonce.
    pub fn sign<R: CryptoRng + ?Sized>(&self, parts: &[&[u8]], rng: &mut R) -> Signature {
        let key = PrivateKey::deserialize(self.private.as_slice()).expect("32 bytes are a private key");
        let mut rng = rng;
        key.calculate_signature_for_multipart_message(parts, &mut rng).expect("Curve25519 keys sign")
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", hex::encode(self.public))
    }
}

/// Whether `signature` is `signer`'s XEdDSA signature over the concatenation of `parts`.
pub fn verify(signer: &Public, parts: &[&[u8]], signature: &Signature) -> bool {
    match PublicKey::from_djb_public_key_bytes(signer) {
        Ok(key) => key.verify_signature_for_multipart_message(parts, signature),
        Err(_) => false,
    }
}

fn public_bytes(key: &PublicKey) -> Public {
    key.public_key_bytes().try_into().expect("a Curve25519 public key has 32 bytes")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng() -> rand::rngs::StdRng {
        rand::rngs::StdRng::seed_from_u64(1)
    }

    #[test]
    fn a_signature_binds_signer_and_message() {
        let mut rng = rng();
        let (ours, other) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let signature = ours.sign(&[b"ab", b"c"], &mut rng);
        assert!(verify(ours.public(), &[b"a", b"bc"], &signature));
        assert!(!verify(ours.public(), &[b"abd"], &signature));
        assert!(!verify(other.public(), &[b"abc"], &signature));
    }

    #[test]
    fn a_pair_reads_back_from_its_private_bytes() {
        let pair = KeyPair::generate(&mut rng());
        assert_eq!(KeyPair::from_private(*pair.private()).public(), pair.public());
    }

    #[test]
    fn printing_a_pair_does_not_print_the_private_half() {
        let pair = KeyPair::generate(&mut rng());
        assert!(!format!("{pair:?}").contains(&hex::encode(pair.private())));
    }
}
