//! The long-lived keys of one device: identity, signed prekeys, Noise key, ADV secret.
//!
//! What must hold: they are made from randomness that is passed in, and read back exactly. Key
//! material is wiped when a value is dropped and never appears in debug output.

use std::fmt;

use libsignal_protocol::protocol::{
    IdentityKey, IdentityKeyPair, KeyPair as CurvePair, PrivateKey, PublicKey,
};
use prost::Message as _;
use rand::{CryptoRng, Rng};
use zeroize::Zeroize;

use super::signed_prekeys::{PublicSignedPrekey, SignedPrekey, SignedPrekeys, StoredRotation};

/// Why stored keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Not an encoding of keys.
    #[error("stored keys cannot be decoded")]
    Encoding(#[source] prost::DecodeError),
    /// Written by a later release.
    #[error("stored keys have format {0}, which this release does not know")]
    Format(u32),
    /// A field has the wrong length.
    #[error("stored key field {0} has a wrong length")]
    Length(&'static str),
}

/// An X25519 key pair. The private half is wiped on drop.
#[derive(Clone)]
pub struct KeyPair {
    private: [u8; 32],
    public: [u8; 32],
}

impl KeyPair {
    /// A new pair.
    pub fn generate<R: Rng + CryptoRng>(rng: &mut R) -> KeyPair {
        let pair = CurvePair::generate(rng);
        KeyPair::of(&pair)
    }

    /// The pair of a stored private key (32 bytes, any value: X25519 clamps).
    pub fn from_private(private: [u8; 32]) -> KeyPair {
        let key = PrivateKey::deserialize(&private).expect("32 bytes are a private key");
        let public = key.public_key().expect("every private key has a public key");
        KeyPair { private, public: raw(&public) }
    }

    /// The pair of halves that were stored together.
    pub(super) fn of_halves(private: [u8; 32], public: [u8; 32]) -> KeyPair {
        KeyPair { private, public }
    }

    fn of(pair: &CurvePair) -> KeyPair {
        KeyPair { private: *pair.private_key.serialize(), public: raw(&pair.public_key) }
    }

    /// 32 bytes; secret.
    pub fn private(&self) -> &[u8; 32] {
        &self.private
    }

    /// 32 bytes, without the type byte 05.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// XEdDSA signature over `message`.
    pub fn sign<R: Rng + CryptoRng>(&self, message: &[u8], rng: &mut R) -> [u8; 64] {
        self.curve().private_key.calculate_signature(message, rng).expect("a valid private key signs")
    }

    pub(super) fn curve(&self) -> CurvePair {
        let private = PrivateKey::deserialize(&self.private).expect("32 bytes are a private key");
        let public = PublicKey::from_djb_public_key_bytes(&self.public).expect("32 bytes are a public key");
        CurvePair::new(public, private)
    }
}

impl Drop for KeyPair {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", hex::encode(self.public))
    }
}

/// Checks an XEdDSA signature. `public` is 32 bytes, without the type byte.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    PublicKey::from_djb_public_key_bytes(public).is_ok_and(|key| key.verify_signature(message, signature))
}

/// X25519. `None` when the peer's key gives no shared secret.
pub fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
    let private = PrivateKey::deserialize(private).ok()?;
    let public = PublicKey::from_djb_public_key_bytes(public).ok()?;
    private.calculate_agreement(&public).ok()
}

/// The parts of [`Keys`] that were made elsewhere.
#[derive(Debug, Clone)]
pub struct Born {
    /// The identity key pair.
    pub identity: KeyPair,
    /// The Noise key pair.
    pub noise: KeyPair,
    /// Any 32 bits.
    pub registration_id: u32,
    /// Id (24 bits), pair, and the signature by the identity key over `05 ‖ public`.
    pub signed_prekey: (u32, KeyPair, [u8; 64]),
    /// Secret of the pairing HMAC.
    pub adv_secret: [u8; 32],
}

/// The keys that a device is born with.
#[derive(Clone)]
pub struct Keys {
    identity: KeyPair,
    registration_id: u32,
    signed_prekeys: SignedPrekeys,
    noise: KeyPair,
    adv_secret: [u8; 32],
}

impl Keys {
    /// New keys; the signed prekey has id 1.
    pub fn generate<R: Rng + CryptoRng>(rng: &mut R) -> Keys {
        let identity = KeyPair::generate(rng);
        let signed_prekeys = SignedPrekeys::new(SignedPrekey::generate(1, &identity, rng));
        let mut adv_secret = [0; 32];
        rng.fill_bytes(&mut adv_secret);
        // 1 to 16380, as Signal's clients choose it.
        let registration_id = rng.next_u32() % 16380 + 1;
        Keys { identity, registration_id, signed_prekeys, noise: KeyPair::generate(rng), adv_secret }
    }

    /// The keys of a device that was born elsewhere. `None` when the signed prekey is not signed by the
    /// identity key.
    pub fn restore(born: Born) -> Option<Keys> {
        let Born { identity, noise, signed_prekey: (id, pair, signature), .. } = born;
        let good = verify(identity.public(), &typed(pair.public()), &signature);
        good.then_some(Keys {
            identity,
            registration_id: born.registration_id,
            signed_prekeys: SignedPrekeys::new(SignedPrekey { id, pair, signature }),
            noise,
            adv_secret: born.adv_secret,
        })
    }

    /// The identity key pair.
    pub fn identity(&self) -> &KeyPair {
        &self.identity
    }

    /// The Noise static key pair: the login credential of the device.
    pub fn noise(&self) -> &KeyPair {
        &self.noise
    }

    /// Secret of the pairing HMAC; 32 bytes, shown to the phone in the QR code.
    pub fn adv_secret(&self) -> &[u8; 32] {
        &self.adv_secret
    }

    /// Replaces the secret by the one that was agreed with the phone.
    pub fn set_adv_secret(&mut self, secret: [u8; 32]) {
        self.adv_secret = secret;
    }

    /// 1 to 16380.
    pub fn registration_id(&self) -> u32 {
        self.registration_id
    }

    /// The public half of the signed prekey that WhatsApp hands out, as far as we know.
    pub fn signed_prekey(&self) -> PublicSignedPrekey {
        self.signed_prekeys.current().public()
    }

    /// The public half of the newest signed prekey: the offered one while there is one. Whatever gives WhatsApp a
    /// signed prekey beside its rotation gives this, so that it never takes back what was offered.
    pub fn newest_signed_prekey(&self) -> PublicSignedPrekey {
        self.signed_prekeys.offered().unwrap_or_else(|| self.signed_prekey())
    }

    /// The signed prekeys, to rotate them; and the identity key, which signs them.
    pub fn signed_prekeys(&mut self) -> (&mut SignedPrekeys, &KeyPair) {
        (&mut self.signed_prekeys, &self.identity)
    }

    /// The signed prekey with this id, if we have it (still).
    pub(super) fn find_signed_prekey(&self, id: u32) -> Option<&SignedPrekey> {
        self.signed_prekeys.find(id)
    }

    pub(super) fn identity_pair(&self) -> IdentityKeyPair {
        let pair = self.identity.curve();
        IdentityKeyPair::new(IdentityKey::new(pair.public_key), pair.private_key)
    }

    /// For the store. Secret: seal it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let current = self.signed_prekeys.current();
        StoredKeys {
            format: FORMAT,
            identity: self.identity.private.to_vec(),
            registration_id: self.registration_id,
            signed_prekey_id: current.id,
            signed_prekey: current.pair.private.to_vec(),
            signature: current.signature.to_vec(),
            noise: self.noise.private.to_vec(),
            adv_secret: self.adv_secret.to_vec(),
            rotation: Some(self.signed_prekeys.to_stored()),
        }
        .encode_to_vec()
    }

    /// Reads what [`Keys::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Keys, KeysError> {
        let stored = StoredKeys::decode(bytes).map_err(KeysError::Encoding)?;
        if stored.format != FORMAT {
            return Err(KeysError::Format(stored.format));
        }
        let pair = |field, bytes: &[u8]| sized(field, bytes).map(KeyPair::from_private);
        let current = SignedPrekey {
            id: stored.signed_prekey_id,
            pair: pair("signed prekey", &stored.signed_prekey)?,
            signature: sized("signature", &stored.signature)?,
        };
        Ok(Keys {
            identity: pair("identity", &stored.identity)?,
            registration_id: stored.registration_id,
            signed_prekeys: SignedPrekeys::from_stored(current, stored.rotation.unwrap_or_default())?,
            noise: pair("noise", &stored.noise)?,
            adv_secret: sized("adv secret", &stored.adv_secret)?,
        })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.adv_secret.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.identity)
    }
}

const FORMAT: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct StoredKeys {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(bytes = "vec", tag = "2")]
    identity: Vec<u8>,
    #[prost(uint32, tag = "3")]
    registration_id: u32,
    #[prost(uint32, tag = "4")]
    signed_prekey_id: u32,
    #[prost(bytes = "vec", tag = "5")]
    signed_prekey: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    noise: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    adv_secret: Vec<u8>,
    /// Absent in rows from before signed prekeys were rotated.
    #[prost(message, optional, tag = "9")]
    rotation: Option<StoredRotation>,
}

pub(super) fn sized<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], KeysError> {
    bytes.try_into().map_err(|_| KeysError::Length(field))
}

/// Curve type byte and key, as Signal signs and hashes public keys.
pub(super) fn typed(public: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [5; 33];
    bytes[1..].copy_from_slice(public);
    bytes
}

pub(super) fn raw(key: &PublicKey) -> [u8; 32] {
    key.public_key_bytes().try_into().expect("a curve key has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn keys_read_back_as_they_were_made() {
        let keys = Keys::generate(&mut StdRng::seed_from_u64(1));
        let again = Keys::from_bytes(&keys.to_bytes()).expect("own encoding");
        assert_eq!(again.to_bytes(), keys.to_bytes());
        assert_eq!(again.identity().public(), keys.identity().public());
        assert_eq!(again.signed_prekey(), keys.signed_prekey());
    }

    #[test]
    fn a_signed_prekey_carries_the_identitys_signature() {
        let keys = Keys::generate(&mut StdRng::seed_from_u64(2));
        let signed = keys.signed_prekey();
        assert!(verify(keys.identity().public(), &typed(&signed.public), &signed.signature));
        assert!(!verify(keys.noise().public(), &typed(&signed.public), &signed.signature));
    }

    #[test]
    fn damaged_keys_are_refused() {
        let bytes = Keys::generate(&mut StdRng::seed_from_u64(3)).to_bytes();
        assert!(Keys::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(matches!(Keys::from_bytes(&[]), Err(KeysError::Format(0))));
        assert!(matches!(Keys::from_bytes(&[8, 2]), Err(KeysError::Format(2))));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let keys = Keys::generate(&mut StdRng::seed_from_u64(4));
        let text = format!("{keys:?} {:?}", keys.noise());
        assert!(!text.contains(&hex::encode(keys.identity().private())));
        assert!(!text.contains(&hex::encode(keys.noise().private())));
    }
}
