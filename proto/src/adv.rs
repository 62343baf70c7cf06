//! Signed device identities (ADV): how a phone vouches for its companions.
//!
//! The phone signs a [`DeviceIdentity`] and proves with an HMAC that it saw the secret of the QR code; the
//! companion checks both and adds its own signature; the server and every peer check that one. The same
//! phone key signs the list of companions that are valid now. Formats and prefixes are facts of the
//! protocol: `06 00` account, `06 01` device, `06 02` key-index list. Hosted accounts are not supported.
//!
//! What must hold: nothing is believed before its signature or MAC has been checked.

use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, Rng};
use sha2::Sha256;
use waproto::buffa::Message as _;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVKeyIndexList, ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC, ADVSignedKeyIndexList,
};

use crate::signal::{KeyPair, verify};

const ACCOUNT: [u8; 2] = [6, 0];
const DEVICE: [u8; 2] = [6, 1];
const KEY_INDEX_LIST: [u8; 2] = [6, 2];

/// Why a device identity or a list was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvError {
    /// Not an encoding of the expected structure, or a part of it is missing.
    #[error("the device identity cannot be decoded")]
    Malformed,
    /// The HMAC does not fit the secret that was shown in the QR code.
    #[error("the HMAC of the device identity does not fit")]
    Hmac,
    /// The phone's signature does not fit.
    #[error("the account signature of the device identity does not fit")]
    AccountSignature,
    /// The companion's signature does not fit.
    #[error("the device signature of the device identity does not fit")]
    DeviceSignature,
    /// The account is of a kind that we do not support (hosted).
    #[error("the account is hosted, which is not supported")]
    Hosted,
}

/// What a phone says of one companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Constant per account.
    pub raw_id: u32,
    /// Unix seconds.
    pub timestamp: u64,
    /// Unique per companion, at least 1, never used again.
    pub key_index: u32,
}

/// Which companions of an account are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIndexList {
    /// Constant per account.
    pub raw_id: u32,
    /// Unix seconds; grows with each change.
    pub timestamp: u64,
    /// The highest key index given so far.
    pub current_index: u32,
    /// Key indexes of the valid companions.
    pub valid_indexes: Vec<u32>,
}

/// What a companion takes from a pairing that it has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What the phone says.
    pub identity: DeviceIdentity,
    /// The phone's identity key, 32 bytes.
    pub account_key: [u8; 32],
    /// The whole signed identity, for `<device-identity>` in our own stanzas.
    pub full: Vec<u8>,
    /// The same without the account key, as `pair-device-sign` wants it.
    pub reply: Vec<u8>,
}

/// Phone: signs the identity of a companion and seals it with the secret of its QR code. Returns an
/// encoded `ADVSignedDeviceIdentityHMAC`, the content of `<device-identity>` in `pair-success`.
pub fn sign_device<R: Rng + CryptoRng>(
    phone: &KeyPair,
    companion_identity: &[u8; 32],
    adv_secret: &[u8; 32],
    identity: &DeviceIdentity,
    rng: &mut R,
) -> Vec<u8> {
    let details = ADVDeviceIdentity {
        raw_id: Some(identity.raw_id),
        timestamp: Some(identity.timestamp),
        key_index: Some(identity.key_index),
        account_type: Some(ADVEncryptionType::E2EE),
        device_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let signature = phone.sign(&[&ACCOUNT, details.as_slice(), companion_identity].concat(), rng);
    let signed = ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(phone.public().to_vec()),
        account_signature: Some(signature.to_vec()),
        device_signature: None,
    }
    .encode_to_vec();
    ADVSignedDeviceIdentityHMAC {
        hmac: Some(mac(adv_secret, &signed).finalize().into_bytes().to_vec()),
        details: Some(signed),
        account_type: None,
    }
    .encode_to_vec()
}

/// Companion: checks what [`sign_device`] made and adds its own signature.
pub fn accept_device<R: Rng + CryptoRng>(
    bytes: &[u8],
    companion: &KeyPair,
    adv_secret: &[u8; 32],
    rng: &mut R,
) -> Result<Accepted, AdvError> {
    let sealed = ADVSignedDeviceIdentityHMAC::decode_from_slice(bytes).map_err(|_| AdvError::Malformed)?;
    if sealed.account_type == Some(ADVEncryptionType::HOSTED) {
        return Err(AdvError::Hosted);
    }
    let (Some(details), Some(hmac)) = (sealed.details, sealed.hmac) else {
        return Err(AdvError::Malformed);
    };
    mac(adv_secret, &details).verify_slice(&hmac).map_err(|_| AdvError::Hmac)?;
    let mut signed = decode_signed(&details)?;
    let identity = signed.check_account(companion.public())?;
    signed.device_signature = Some(companion.sign(&signed.device_input(companion.public()), rng));
    Ok(Accepted {
        identity,
        account_key: signed.account_key,
        full: signed.encode(true),
        reply: signed.encode(false),
    })
}

/// Server: checks the answer of a companion (with or without the account key in it) and returns the whole
/// encoded `ADVSignedDeviceIdentity` to publish in its bundles.
pub fn check_reply(
    bytes: &[u8],
    account_key: &[u8; 32],
    companion_identity: &[u8; 32],
) -> Result<(DeviceIdentity, Vec<u8>), AdvError> {
    let mut reply = ADVSignedDeviceIdentity::decode_from_slice(bytes).map_err(|_| AdvError::Malformed)?;
    reply.account_signature_key = Some(account_key.to_vec());
    let signed = Signed::of(reply)?;
    let identity = signed.check_account(companion_identity)?;
    signed.check_device(companion_identity)?;
    Ok((identity, signed.encode(true)))
}

/// Peer: checks a published `device-identity` of a companion.
pub fn check_device(bytes: &[u8], companion_identity: &[u8; 32]) -> Result<DeviceIdentity, AdvError> {
    let signed = decode_signed(bytes)?;
    let identity = signed.check_account(companion_identity)?;
    signed.check_device(companion_identity)?;
    Ok(identity)
}

/// An encoded `ADVSignedDeviceIdentity` of its parts, as other libraries keep them: details, the account's key,
/// and the signatures of account and device. [`check_device`] says whether it is good.
pub fn signed_identity(
    details: Vec<u8>,
    account_key: Vec<u8>,
    account_signature: Vec<u8>,
    device_signature: Vec<u8>,
) -> Vec<u8> {
    ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(account_key),
        account_signature: Some(account_signature),
        device_signature: Some(device_signature),
    }
    .encode_to_vec()
}

/// Phone: signs the list of its companions. Returns an encoded `ADVSignedKeyIndexList`.
pub fn sign_list<R: Rng + CryptoRng>(phone: &KeyPair, list: &KeyIndexList, rng: &mut R) -> Vec<u8> {
    let details = ADVKeyIndexList {
        raw_id: Some(list.raw_id),
        timestamp: Some(list.timestamp),
        current_index: Some(list.current_index),
        valid_indexes: list.valid_indexes.clone(),
        account_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let signature = phone.sign(&[&KEY_INDEX_LIST, details.as_slice()].concat(), rng);
    ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature.to_vec()),
        account_signature_key: Some(phone.public().to_vec()),
    }
    .encode_to_vec()
}

/// Peer: checks a key-index list by the key inside it, and returns that key with the list.
pub fn check_list(bytes: &[u8]) -> Result<([u8; 32], KeyIndexList), AdvError> {
    let signed = ADVSignedKeyIndexList::decode_from_slice(bytes).map_err(|_| AdvError::Malformed)?;
    let details = signed.details.ok_or(AdvError::Malformed)?;
    let signature: [u8; 64] = sized(signed.account_signature)?;
    let key: [u8; 32] = sized(signed.account_signature_key)?;
    if !verify(&key, &[&KEY_INDEX_LIST, details.as_slice()].concat(), &signature) {
        return Err(AdvError::AccountSignature);
    }
    let list = ADVKeyIndexList::decode_from_slice(&details).map_err(|_| AdvError::Malformed)?;
    let list = KeyIndexList {
        raw_id: list.raw_id.ok_or(AdvError::Malformed)?,
        timestamp: list.timestamp.unwrap_or(0),
        current_index: list.current_index.unwrap_or(0),
        valid_indexes: list.valid_indexes,
    };
    Ok((key, list))
}

struct Signed {
    details: Vec<u8>,
    account_key: [u8; 32],
    account_signature: [u8; 64],
    device_signature: Option<[u8; 64]>,
}

impl Signed {
    fn of(wire: ADVSignedDeviceIdentity) -> Result<Signed, AdvError> {
        Ok(Signed {
            details: wire.details.ok_or(AdvError::Malformed)?,
            account_key: sized(wire.account_signature_key)?,
            account_signature: sized(wire.account_signature)?,
            device_signature: wire.device_signature.map(|bytes| sized(Some(bytes))).transpose()?,
        })
    }

    fn check_account(&self, companion: &[u8; 32]) -> Result<DeviceIdentity, AdvError> {
        let input = [&ACCOUNT, self.details.as_slice(), companion].concat();
        if !verify(&self.account_key, &input, &self.account_signature) {
            return Err(AdvError::AccountSignature);
        }
        let identity =
            ADVDeviceIdentity::decode_from_slice(&self.details).map_err(|_| AdvError::Malformed)?;
        if identity.device_type == Some(ADVEncryptionType::HOSTED) {
            return Err(AdvError::Hosted);
        }
        Ok(DeviceIdentity {
            raw_id: identity.raw_id.ok_or(AdvError::Malformed)?,
            timestamp: identity.timestamp.unwrap_or(0),
            key_index: identity.key_index.ok_or(AdvError::Malformed)?,
        })
    }

    fn check_device(&self, companion: &[u8; 32]) -> Result<(), AdvError> {
        let signature = self.device_signature.ok_or(AdvError::Malformed)?;
        if verify(companion, &self.device_input(companion), &signature) {
            Ok(())
        } else {
            Err(AdvError::DeviceSignature)
        }
    }

    fn device_input(&self, companion: &[u8; 32]) -> Vec<u8> {
        [&DEVICE, self.details.as_slice(), companion, &self.account_key].concat()
    }

    fn encode(&self, with_account_key: bool) -> Vec<u8> {
        ADVSignedDeviceIdentity {
            details: Some(self.details.clone()),
            account_signature_key: with_account_key.then(|| self.account_key.to_vec()),
            account_signature: Some(self.account_signature.to_vec()),
            device_signature: self.device_signature.map(|signature| signature.to_vec()),
        }
        .encode_to_vec()
    }
}

fn decode_signed(bytes: &[u8]) -> Result<Signed, AdvError> {
    Signed::of(ADVSignedDeviceIdentity::decode_from_slice(bytes).map_err(|_| AdvError::Malformed)?)
}

fn mac(secret: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac
}

fn sized<const N: usize>(bytes: Option<Vec<u8>>) -> Result<[u8; N], AdvError> {
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(AdvError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const IDENTITY: DeviceIdentity = DeviceIdentity { raw_id: 9, timestamp: 1_700_000_000, key_index: 3 };

    struct Scene {
        phone: KeyPair,
        companion: KeyPair,
        secret: [u8; 32],
        rng: StdRng,
    }

    fn scene() -> Scene {
        let mut rng = StdRng::seed_from_u64(7);
        let (phone, companion) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        Scene { phone, companion, secret: [4; 32], rng }
    }

    impl Scene {
        fn offer(&mut self) -> Vec<u8> {
            sign_device(&self.phone, self.companion.public(), &self.secret, &IDENTITY, &mut self.rng)
        }

        fn accept(&mut self, offer: &[u8]) -> Result<Accepted, AdvError> {
            accept_device(offer, &self.companion, &self.secret, &mut self.rng)
        }
    }

    #[test]
    fn phone_companion_server_and_peer_agree() {
        let mut scene = scene();
        let offer = scene.offer();
        let accepted = scene.accept(&offer).expect("both know the secret");
        assert_eq!(accepted.identity, IDENTITY);
        let (identity, published) =
            check_reply(&accepted.reply, scene.phone.public(), scene.companion.public()).expect("signed");
        assert_eq!(identity, IDENTITY);
        assert_eq!(published, accepted.full);
        assert_eq!(check_device(&published, scene.companion.public()), Ok(IDENTITY));
    }

    #[test]
    fn the_reply_leaves_the_account_key_out_and_the_server_takes_both_forms() {
        let mut scene = scene();
        let offer = scene.offer();
        let accepted = scene.accept(&offer).expect("valid");
        assert_eq!(check_device(&accepted.reply, scene.companion.public()), Err(AdvError::Malformed));
        assert!(check_reply(&accepted.full, scene.phone.public(), scene.companion.public()).is_ok());
    }

    #[test]
    fn another_secret_another_companion_and_another_phone_are_refused() {
        let mut scene = scene();
        let offer = scene.offer();
        let stranger = KeyPair::generate(&mut scene.rng);
        let wrong_secret = accept_device(&offer, &scene.companion, &[5; 32], &mut scene.rng);
        assert_eq!(wrong_secret, Err(AdvError::Hmac));
        let wrong_companion = accept_device(&offer, &stranger, &scene.secret, &mut scene.rng);
        assert_eq!(wrong_companion, Err(AdvError::AccountSignature));
        let accepted = scene.accept(&offer).expect("valid");
        let wrong_phone = check_reply(&accepted.reply, stranger.public(), scene.companion.public());
        assert_eq!(wrong_phone, Err(AdvError::AccountSignature));
    }

    #[test]
    fn a_companion_that_did_not_sign_is_refused() {
        let mut scene = scene();
        let offer = scene.offer();
        let accepted = scene.accept(&offer).expect("valid");
        let mut forged = ADVSignedDeviceIdentity::decode_from_slice(&accepted.full).expect("own encoding");
        forged.device_signature = Some(vec![1; 64]);
        let result = check_device(&forged.encode_to_vec(), scene.companion.public());
        assert_eq!(result, Err(AdvError::DeviceSignature));
    }

    #[test]
    fn a_list_is_checked_by_the_key_inside_it() {
        let mut scene = scene();
        let list = KeyIndexList { raw_id: 9, timestamp: 5, current_index: 4, valid_indexes: vec![1, 4] };
        let bytes = sign_list(&scene.phone, &list, &mut scene.rng);
        assert_eq!(check_list(&bytes), Ok((*scene.phone.public(), list)));
        let mut bent = bytes.clone();
        bent[5] ^= 1;
        assert!(check_list(&bent).is_err());
    }

    #[test]
    fn garbage_is_an_error() {
        let mut scene = scene();
        for bytes in [&b""[..], b"\xff\xff", &[0x0a, 0x7f]] {
            assert_eq!(scene.accept(bytes), Err(AdvError::Malformed));
            assert_eq!(check_list(bytes), Err(AdvError::Malformed));
        }
    }
}
