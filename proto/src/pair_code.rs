//! Pairing by a code that is typed on the phone: what the companion and the phone compute.
//!
//! Both sides send an ephemeral key, encrypted under a key that is stretched from the code; whoever knows
//! the code gets the keys through. The companion then sends a bundle of both identities and random bytes
//! under the shared secret, from which both derive the ADV secret; the rest is pairing as by QR code.
//! Lengths and constants: what whatsmeow and Baileys agree on.

use std::fmt;
use std::str::FromStr;

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key};
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::signal::{KeyPair, agree};

/// The characters of a code: without 0, I, O and U.
const ALPHABET: &[u8; 32] = b"123456789ABCDEFGHJKLMNPQRSTVWXYZ";
/// Characters of a code.
const LENGTH: usize = 8;
/// PBKDF2 rounds.
const ROUNDS: u32 = 1 << 17;
const SALT: usize = 32;
const IV: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Two identities and random bytes.
const BUNDLE: usize = 96;

/// A wrapped ephemeral key: salt, IV, and the encrypted key.
pub const WRAPPED: usize = SALT + IV + 32;

/// Why pairing by code does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairCodeError {
    /// Not eight characters of the alphabet.
    #[error("a pairing code has eight characters of 1-9 and A-Z without I, O and U")]
    Code,
    /// A part has another length than the protocol says.
    #[error("a part of the pairing has a wrong length")]
    Length,
    /// The other side has another code, or its bytes were changed.
    #[error("the other side does not know the code")]
    Mismatch,
}

/// A code. `Display` writes `XXXX-XXXX`; reading takes it with or without the dash, in any case.
#[derive(Clone, PartialEq, Eq)]
pub struct PairCode([u8; LENGTH]);

impl PairCode {
    /// A new one: 40 random bits.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> PairCode {
        let mut random = [0; LENGTH];
        rng.fill_bytes(&mut random);
        PairCode(random.map(|byte| ALPHABET[usize::from(byte % 32)]))
    }

    /// Forty bits as a code, the first bits first.
    pub(crate) fn of_bits(bits: [u8; 5]) -> PairCode {
        let all = bits.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        PairCode(std::array::from_fn(|at| ALPHABET[(all >> (35 - 5 * at)) as usize & 31]))
    }

    /// The key that wraps under this code: a tenth of a second of work.
    fn stretch(&self, salt: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&self.0, salt, ROUNDS, key.as_mut_slice());
        key
    }

    /// Encrypts the public half of an ephemeral key for who knows the code.
    pub fn wrap<R: CryptoRng>(&self, public: &[u8; 32], rng: &mut R) -> [u8; WRAPPED] {
        let mut wrapped = [0; WRAPPED];
        rng.fill_bytes(&mut wrapped[..SALT + IV]);
        wrapped[SALT + IV..].copy_from_slice(public);
        self.apply(&mut wrapped);
        wrapped
    }

    /// Decrypts what [`PairCode::wrap`] made. With another code the result is another key, and no error.
    ///
    /// # Errors
    /// [`PairCodeError::Length`].
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<[u8; 32], PairCodeError> {
        let mut wrapped: [u8; WRAPPED] = wrapped.try_into().map_err(|_| PairCodeError::Length)?;
        self.apply(&mut wrapped);
        Ok(wrapped[SALT + IV..].try_into().expect("32 bytes are left"))
    }

    fn apply(&self, wrapped: &mut [u8; WRAPPED]) {
        let (head, body) = wrapped.split_at_mut(SALT + IV);
        let key = self.stretch(&head[..SALT]);
        let iv: [u8; IV] = head[SALT..].try_into().expect("split at its length");
        ctr::Ctr128BE::<aes::Aes256>::new(&(*key).into(), &iv.into()).apply_keystream(body);
    }
}

impl fmt::Display for PairCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).expect("the alphabet is ASCII");
        write!(f, "{}-{}", &text[..4], &text[4..])
    }
}

impl fmt::Debug for PairCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairCode")
    }
}

impl FromStr for PairCode {
    type Err = PairCodeError;

    fn from_str(text: &str) -> Result<PairCode, PairCodeError> {
        let characters: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b'-')
            .take(LENGTH + 1)
            .map(|b| b.to_ascii_uppercase())
            .collect();
        let code: [u8; LENGTH] = characters.try_into().map_err(|_| PairCodeError::Code)?;
        match code.iter().all(|byte| ALPHABET.contains(byte)) {
            true => Ok(PairCode(code)),
            false => Err(PairCodeError::Code),
        }
    }
}

/// What the companion sends last, and what both sides know then.
pub struct Finish {
    /// Salt, nonce, encrypted bundle and tag: 156 bytes.
    pub bundle: Vec<u8>,
    /// The secret of the HMAC over the device identity.
    pub adv_secret: [u8; 32],
}

/// The companion's last step. `None` when a key of the phone gives no shared secret.
pub fn finish<R: CryptoRng>(
    ephemeral: &KeyPair,
    their_ephemeral: &[u8; 32],
    identity: &KeyPair,
    their_identity: &[u8; 32],
    rng: &mut R,
) -> Option<Finish> {
    let shared = Zeroizing::new(agree(ephemeral.private(), their_ephemeral)?);
    let identities = Zeroizing::new(agree(identity.private(), their_identity)?);
    let mut random = Zeroizing::new([0; 32]);
    rng.fill_bytes(random.as_mut_slice());
    let mut bundle = vec![0; SALT + NONCE];
    rng.fill_bytes(&mut bundle);
    bundle.extend([identity.public(), their_identity, &random].into_iter().flatten());
    let (head, body) = bundle.split_at_mut(SALT + NONCE);
    let nonce: [u8; NONCE] = head[SALT..].try_into().expect("split at its length");
    let tag = cipher(&shared, &head[..SALT]).encrypt_inout_detached(&nonce.into(), b"", body.into()).ok()?;
    bundle.extend_from_slice(&tag);
    Some(Finish { bundle, adv_secret: adv_secret(&shared, &identities, &random) })
}

/// The phone's last step: the ADV secret.
///
/// # Errors
/// [`PairCodeError::Mismatch`] when the companion has another code or another identity than it says.
pub fn accept(
    ephemeral: &KeyPair,
    their_ephemeral: &[u8; 32],
    identity: &KeyPair,
    their_identity: &[u8; 32],
    bundle: &[u8],
) -> Result<[u8; 32], PairCodeError> {
    if bundle.len() != SALT + NONCE + BUNDLE + TAG {
        return Err(PairCodeError::Length);
    }
    let mismatch = PairCodeError::Mismatch;
    let shared = Zeroizing::new(agree(ephemeral.private(), their_ephemeral).ok_or(mismatch)?);
    let identities = Zeroizing::new(agree(identity.private(), their_identity).ok_or(mismatch)?);
    let (salt, rest) = bundle.split_at(SALT);
    let (nonce, rest) = rest.split_at(NONCE);
    let (body, tag) = rest.split_at(BUNDLE);
    let nonce: [u8; NONCE] = nonce.try_into().expect("split at its length");
    let tag: [u8; TAG] = tag.try_into().expect("the length was checked");
    let mut plain = Zeroizing::new(body.to_vec());
    cipher(&shared, salt)
        .decrypt_inout_detached(&nonce.into(), b"", plain.as_mut_slice().into(), &tag.into())
        .map_err(|_| mismatch)?;
    let random: [u8; 32] = plain[64..].try_into().expect("three times 32 bytes");
    if plain[..32] != their_identity[..] || plain[32..64] != identity.public()[..] {
        return Err(mismatch);
    }
    Ok(adv_secret(&shared, &identities, &random))
}

fn cipher(shared: &[u8; 32], salt: &[u8]) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; 32]);
    let derive = Hkdf::<Sha256>::new(Some(salt), shared);
    let done = derive.expand(b"link_code_pairing_key_bundle_encryption_key", key.as_mut_slice());
    done.expect("32 bytes are within HKDF's limit");
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

fn adv_secret(shared: &[u8; 32], identities: &[u8; 32], random: &[u8; 32]) -> [u8; 32] {
    let input = Zeroizing::new([&shared[..], &identities[..], &random[..]].concat());
    let mut secret = [0; 32];
    let done = Hkdf::<Sha256>::new(None, input.as_slice()).expand(b"adv_secret", &mut secret);
    done.expect("32 bytes are within HKDF's limit");
    secret
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn both_sides_of_one_code_find_the_same_secret() {
        let mut rng = StdRng::seed_from_u64(1);
        let code = PairCode::generate(&mut rng);
        let [companion, phone, companion_identity, phone_identity] =
            std::array::from_fn(|_| KeyPair::generate(&mut rng));
        let typed: PairCode = code.to_string().to_lowercase().parse().expect("a code");
        let at_phone = typed.unwrap(&code.wrap(companion.public(), &mut rng)).expect("80 bytes");
        let at_companion = code.unwrap(&typed.wrap(phone.public(), &mut rng)).expect("80 bytes");
        assert_eq!((&at_phone, &at_companion), (companion.public(), phone.public()));
        let last = finish(&companion, &at_companion, &companion_identity, phone_identity.public(), &mut rng);
        let Finish { mut bundle, adv_secret } = last.expect("good keys");
        assert_eq!(bundle.len(), 156);
        let take =
            |bundle: &[u8], identity: &[u8; 32]| accept(&phone, &at_phone, &phone_identity, identity, bundle);
        assert_eq!(take(&bundle, companion_identity.public()), Ok(adv_secret));
        assert_eq!(take(&bundle, phone.public()), Err(PairCodeError::Mismatch), "another identity");
        assert_eq!(take(&bundle[1..], companion_identity.public()), Err(PairCodeError::Length));
        bundle[50] ^= 1;
        assert_eq!(take(&bundle, companion_identity.public()), Err(PairCodeError::Mismatch));
    }

    #[test]
    fn another_code_leads_to_another_key() {
        let mut rng = StdRng::seed_from_u64(2);
        let (code, other) = (PairCode::generate(&mut rng), PairCode::generate(&mut rng));
        let wrapped = code.wrap(&[7; 32], &mut rng);
        assert_ne!(other.unwrap(&wrapped).expect("80 bytes"), [7; 32]);
        assert_eq!(code.unwrap(&wrapped[1..]), Err(PairCodeError::Length));
    }

    #[test]
    fn forty_bits_are_a_code_of_eight_characters() {
        assert_eq!(PairCode::of_bits([0; 5]).to_string(), "1111-1111");
        assert_eq!(PairCode::of_bits([0, 0, 0, 0, 1]).to_string(), "1111-1112");
        assert_eq!(PairCode::of_bits([0b1111_1000, 0, 0, 0, 0]).to_string(), "Z111-1111");
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        let code: PairCode = "abcd-1234".parse().expect("a code");
        assert_eq!(code.to_string(), "ABCD-1234");
        for bad in ["", "ABCD-123", "ABCD-12345", "ABCD-123O", "ÄBCD1234"] {
            assert_eq!(bad.parse::<PairCode>(), Err(PairCodeError::Code), "{bad:?}");
        }
        assert!(!format!("{code:?}").contains("ABCD"));
    }
}
