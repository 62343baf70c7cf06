//! What companion and phone agree on behind an assertion, both sides of it.
//!
//! What must hold: the companion shows its nonce only after it has the phone's key, and the phone checks the
//! nonce against the commitment that came before; so neither can choose the code that people compare. Nothing
//! is decrypted that was not sealed under the shared key.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use waproto::buffa::{Enumeration as _, Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::device_props::PlatformType;
use zeroize::Zeroizing;

use crate::pair_code::PairCode;
use crate::signal::{KeyPair, agree};

const HANDOFF: &[u8] = b"shortcake-passkey-handoff-v1";
const SEALING: &[u8] = b"Pairing Information Encryption Key";
const IV: usize = 12;
const TAG: usize = 16;
/// Random bits of a code: 8 characters.
const CODE: usize = 5;

/// Why the other side's part is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// Bytes of another shape, or a part of another length.
    #[error("the {0} is malformed")]
    Malformed(&'static str),
    /// A key that gives no shared secret.
    #[error("the other side's key gives no shared secret")]
    Key,
    /// It was not sealed under the shared key, or was changed.
    #[error("the pairing request is not sealed under the shared key")]
    Sealed,
}

/// The companion's side, from the assertion on.
pub struct Companion {
    ephemeral: KeyPair,
    nonce: [u8; 32],
    /// Number of the platform in `DeviceProps.PlatformType`; both sides derive their key with it.
    platform: i32,
    reference: String,
}

impl Companion {
    /// `platform` is the one that the device registers with; `reference` is WhatsApp's name for the attempt.
    pub fn new<R: CryptoRng>(platform: i32, reference: String, rng: &mut R) -> Companion {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        Companion { ephemeral: KeyPair::generate(rng), nonce, platform, reference }
    }

    /// What goes with the assertion: our ephemeral key, and the commitment to a nonce.
    pub fn prologue(&self) -> Vec<u8> {
        let identity = wa::CompanionEphemeralIdentity {
            public_key: Some(self.ephemeral.public().to_vec()),
            device_type: PlatformType::from_i32(self.platform),
            r#ref: Some(self.reference.clone()),
        }
        .encode_to_vec();
        let commitment = wa::CompanionCommitment { hash: Some(commitment(&identity, &self.nonce).to_vec()) };
        let prologue = wa::ProloguePayload {
            companion_ephemeral_identity: Some(identity),
            commitment: MessageField::some(commitment),
        };
        prologue.encode_to_vec()
    }

    /// The nonce that was committed to. To be shown once the phone's key is here.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The phone's key and nonce have come.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub fn meet(&self, primary: &[u8]) -> Result<Met, AgreementError> {
        let malformed = AgreementError::Malformed("phone's identity");
        let primary = wa::PrimaryEphemeralIdentity::decode_from_slice(primary).map_err(|_| malformed)?;
        let (public, nonce) = (exact(primary.public_key, malformed)?, exact(primary.nonce, malformed)?);
        let shared = agree(self.ephemeral.private(), &public).ok_or(AgreementError::Key)?;
        Ok(Met::new(&shared, self.platform, &self.reference, &self.nonce, &public, &nonce))
    }
}

/// What a companion has sent with its assertion, as the phone reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prologue {
    identity: Vec<u8>,
    public: [u8; 32],
    /// Number of the platform in `DeviceProps.PlatformType`.
    pub platform: i32,
    /// Which attempt it belongs to.
    pub reference: String,
    commitment: [u8; 32],
}

impl Prologue {
    /// Reads it.
    ///
    /// # Errors
    /// [`AgreementError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Prologue, AgreementError> {
        let malformed = AgreementError::Malformed("prologue");
        let payload = wa::ProloguePayload::decode_from_slice(bytes).map_err(|_| malformed)?;
        let commitment = payload.commitment.as_option().and_then(|commitment| commitment.hash.clone());
        let identity = payload.companion_ephemeral_identity.ok_or(malformed)?;
        let read = wa::CompanionEphemeralIdentity::decode_from_slice(&identity).map_err(|_| malformed)?;
        Ok(Prologue {
            public: exact(read.public_key, malformed)?,
            platform: read.device_type.ok_or(malformed)? as i32,
            reference: read.r#ref.ok_or(malformed)?,
            commitment: exact(commitment, malformed)?,
            identity,
        })
    }

    /// Whether this is the nonce that it commits to.
    pub fn is_kept_by(&self, nonce: &[u8; 32]) -> bool {
        commitment(&self.identity, nonce) == self.commitment
    }
}

/// The phone's side.
pub struct Primary {
    ephemeral: KeyPair,
    nonce: [u8; 32],
}

impl Primary {
    /// A new one for each attempt.
    pub fn new<R: CryptoRng>(rng: &mut R) -> Primary {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        Primary { ephemeral: KeyPair::generate(rng), nonce }
    }

    /// What goes to the companion.
    pub fn identity(&self) -> Vec<u8> {
        let identity = wa::PrimaryEphemeralIdentity {
            public_key: Some(self.ephemeral.public().to_vec()),
            nonce: Some(self.nonce.to_vec()),
        };
        identity.encode_to_vec()
    }

    /// The companion has shown its nonce, which [`Prologue::is_kept_by`] has checked.
    ///
    /// # Errors
    /// [`AgreementError::Key`].
    pub fn meet(&self, prologue: &Prologue, nonce: &[u8; 32]) -> Result<Met, AgreementError> {
        let shared = agree(self.ephemeral.private(), &prologue.public).ok_or(AgreementError::Key)?;
        let Prologue { platform, reference, .. } = prologue;
        Ok(Met::new(&shared, *platform, reference, nonce, self.ephemeral.public(), &self.nonce))
    }
}

/// What both sides have once each knows the other's key and nonce.
#[derive(Clone)]
pub struct Met {
    /// For people to compare: the same on both screens, unless somebody stands between.
    pub code: PairCode,
    key: Zeroizing<[u8; 32]>,
}

/// The companion's keys and its new secret: what the phone signs, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRequest {
    /// Noise key.
    pub noise: [u8; 32],
    /// Identity key.
    pub identity: [u8; 32],
    /// Secret of the HMAC over the device identity.
    pub adv_secret: [u8; 32],
}

impl Met {
    fn new(
        shared: &[u8; 32],
        platform: i32,
        reference: &str,
        companion_nonce: &[u8; 32],
        primary: &[u8; 32],
        primary_nonce: &[u8; 32],
    ) -> Met {
        let salt = format!("Companion Pairing {platform} with ref {reference}");
        let mut key = Zeroizing::new([0; 32]);
        let done = Hkdf::<Sha256>::new(Some(salt.as_bytes()), shared).expand(SEALING, key.as_mut_slice());
        done.expect("32 bytes are within HKDF's limit");
        let digest = Sha256::new().chain_update(companion_nonce).chain_update(primary).finalize();
        let bits: [u8; CODE] = std::array::from_fn(|at| primary_nonce[at] ^ digest[at]);
        Met { code: PairCode::of_bits(bits), key }
    }

    /// The companion's last part.
    pub fn seal<R: CryptoRng>(&self, request: &PairingRequest, rng: &mut R) -> Vec<u8> {
        let request = wa::PairingRequest {
            companion_public_key: Some(request.noise.to_vec()),
            companion_identity_key: Some(request.identity.to_vec()),
            adv_secret: Some(request.adv_secret.to_vec()),
        };
        let mut sealed = request.encode_to_vec();
        let mut iv = [0; IV];
        rng.fill_bytes(&mut iv);
        let tag = self.cipher().encrypt_inout_detached(&iv.into(), b"", sealed.as_mut_slice().into());
        sealed.extend_from_slice(&tag.expect("a hundred bytes are within the limit of GCM"));
        let out = wa::EncryptedPairingRequest { encrypted_payload: Some(sealed), iv: Some(iv.to_vec()) };
        out.encode_to_vec()
    }

    /// The phone opens what [`Met::seal`] made.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub fn open(&self, bytes: &[u8]) -> Result<PairingRequest, AgreementError> {
        let malformed = AgreementError::Malformed("pairing request");
        let sealed = wa::EncryptedPairingRequest::decode_from_slice(bytes).map_err(|_| malformed)?;
        let mut plain = Zeroizing::new(sealed.encrypted_payload.ok_or(malformed)?);
        let iv: [u8; IV] = sealed.iv.and_then(|iv| iv.try_into().ok()).ok_or(malformed)?;
        let body = plain.len().checked_sub(TAG).ok_or(malformed)?;
        let tag: [u8; TAG] = plain[body..].try_into().expect("split at its length");
        plain.truncate(body);
        self.cipher()
            .decrypt_inout_detached(&iv.into(), b"", plain.as_mut_slice().into(), &tag.into())
            .map_err(|_| AgreementError::Sealed)?;
        let request = wa::PairingRequest::decode_from_slice(&plain).map_err(|_| malformed)?;
        Ok(PairingRequest {
            noise: exact(request.companion_public_key, malformed)?,
            identity: exact(request.companion_identity_key, malformed)?,
            adv_secret: exact(request.adv_secret, malformed)?,
        })
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.key))
    }
}

/// Proves that this prologue is from whoever showed the code with `adv_secret`: the phone that scanned it need
/// not have people compare codes.
pub fn handoff_proof(adv_secret: &[u8; 32], prologue: &[u8]) -> [u8; 32] {
    handoff(adv_secret, prologue).finalize().into_bytes().into()
}

/// Checks what [`handoff_proof`] made.
pub fn is_handoff_proof(proof: &[u8], adv_secret: &[u8; 32], prologue: &[u8]) -> bool {
    handoff(adv_secret, prologue).verify_slice(proof).is_ok()
}

fn handoff(adv_secret: &[u8; 32], prologue: &[u8]) -> Hmac<Sha256> {
    let mut key = Zeroizing::new([0; 32]);
    let done = Hkdf::<Sha256>::new(None, adv_secret).expand(HANDOFF, key.as_mut_slice());
    done.expect("32 bytes are within HKDF's limit");
    let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes any length");
    mac.chain_update(prologue)
}

fn commitment(identity: &[u8], nonce: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(identity).chain_update(nonce).finalize().into()
}

fn exact<E>(bytes: Option<Vec<u8>>, otherwise: E) -> Result<[u8; 32], E> {
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(otherwise)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const REQUEST: PairingRequest = PairingRequest { noise: [1; 32], identity: [2; 32], adv_secret: [3; 32] };

    #[test]
    fn both_sides_see_one_code_and_only_they_can_open_the_request() {
        let mut rng = StdRng::seed_from_u64(1);
        let companion = Companion::new(1, "2@ref".to_owned(), &mut rng);
        let prologue = Prologue::read(&companion.prologue()).expect("well formed");
        assert_eq!((prologue.platform, prologue.reference.as_str()), (1, "2@ref"));
        let phone = Primary::new(&mut rng);
        let ours = companion.meet(&phone.identity()).expect("good keys");
        assert!(prologue.is_kept_by(companion.nonce()) && !prologue.is_kept_by(&[0; 32]));
        let theirs = phone.meet(&prologue, companion.nonce()).expect("good keys");
        assert_eq!(ours.code, theirs.code);
        let sealed = ours.seal(&REQUEST, &mut rng);
        assert_eq!(theirs.open(&sealed), Ok(REQUEST));

        let between = Primary::new(&mut rng).meet(&prologue, companion.nonce()).expect("good keys");
        assert_ne!(between.code, ours.code);
        assert_eq!(between.open(&sealed), Err(AgreementError::Sealed));
        let elsewhere = Prologue { reference: "2@other".to_owned(), ..prologue };
        let elsewhere = phone.meet(&elsewhere, companion.nonce()).expect("good keys");
        assert_eq!(elsewhere.open(&sealed), Err(AgreementError::Sealed), "another attempt");
        assert_eq!(theirs.open(&sealed[3..]), Err(AgreementError::Malformed("pairing request")));
    }

    #[test]
    fn a_proof_holds_for_one_secret_and_one_prologue() {
        let proof = handoff_proof(&[7; 32], b"prologue");
        assert!(is_handoff_proof(&proof, &[7; 32], b"prologue"));
        assert!(!is_handoff_proof(&proof, &[8; 32], b"prologue"));
        assert!(!is_handoff_proof(&proof, &[7; 32], b"prologues"));
        assert!(!is_handoff_proof(&proof[1..], &[7; 32], b"prologue"));
    }

    #[test]
    fn parts_of_another_length_are_refused() {
        let mut rng = StdRng::seed_from_u64(2);
        let companion = Companion::new(1, "2@ref".to_owned(), &mut rng);
        let short = wa::PrimaryEphemeralIdentity { public_key: Some(vec![1; 31]), nonce: Some(vec![1; 32]) };
        for bytes in [short.encode_to_vec(), vec![0xff], Vec::new()] {
            assert!(matches!(companion.meet(&bytes), Err(AgreementError::Malformed(_))), "{bytes:?}");
        }
        assert_eq!(Prologue::read(b""), Err(AgreementError::Malformed("prologue")));
    }
}
