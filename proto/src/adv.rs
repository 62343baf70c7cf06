//! Signed device identities (ADV): how a phone vouches for its companions.
//!
//! The phone signs a [`DeviceIdentity`] and proves with an HMAC that it saw the secret of the QR code; the
//! companion checks both and adds its own signature; the server and every peer check that one. The same
//! phone key signs the list of companions that are valid now. Formats and prefixes are facts of the
//! protocol: `06 00` account, `06 01` device, `06 02` key-index list; of hosted devices `06 05` and `06 06`. A device
//! of our own is never hosted; those of peers may be.
//!
//! What must hold: nothing of our own account, and no key of a peer, is believed before its signature or MAC has been
//! checked, as far as there is a key to check it by.

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
/// Prefixes for account and device, of usual and of hosted companions.
const PREFIXES: [([u8; 2], [u8; 2]); 2] = [(ACCOUNT, DEVICE), (HOSTED_ACCOUNT, [6, 6])];
const HOSTED_ACCOUNT: [u8; 2] = [6, 5];

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
    sign(phone, companion_identity, adv_secret, (identity, false), rng)
}

/// The same for a hosted device.
pub fn sign_hosted<R: Rng + CryptoRng>(
    phone: &KeyPair,
    companion_identity: &[u8; 32],
    adv_secret: &[u8; 32],
    identity: &DeviceIdentity,
    rng: &mut R,
) -> Vec<u8> {
    sign(phone, companion_identity, adv_secret, (identity, true), rng)
}

fn sign<R: Rng + CryptoRng>(
    phone: &KeyPair,
    companion_identity: &[u8; 32],
    adv_secret: &[u8; 32],
    (identity, hosted): (&DeviceIdentity, bool),
    rng: &mut R,
) -> Vec<u8> {
    let kind = if hosted { ADVEncryptionType::HOSTED } else { ADVEncryptionType::E2EE };
    let details = ADVDeviceIdentity {
        raw_id: Some(identity.raw_id),
        timestamp: Some(identity.timestamp),
        key_index: Some(identity.key_index),
        account_type: Some(ADVEncryptionType::E2EE),
        device_type: Some(kind),
    }
    .encode_to_vec();
    let (prefix, _) = PREFIXES[usize::from(hosted)];
    let signature = phone.sign(&[&prefix, details.as_slice(), companion_identity].concat(), rng);
    let signed = ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(phone.public().to_vec()),
        account_signature: Some(signature.to_vec()),
        device_signature: None,
    }
    .encode_to_vec();
    let sealed = if hosted { [&HOSTED_ACCOUNT, signed.as_slice()].concat() } else { signed.clone() };
    ADVSignedDeviceIdentityHMAC {
        hmac: Some(mac(adv_secret, &sealed).finalize().into_bytes().to_vec()),
        details: Some(signed),
        account_type: hosted.then_some(kind),
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
    signed.device_signature = Some(companion.sign(&signed.device_input(companion.public(), &DEVICE), rng));
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
    let (by_account, by_device) = PREFIXES[usize::from(signed.hosted())];
    let identity = signed.identity(companion_identity, &by_account)?;
    signed.check_by(companion_identity, &by_device)?;
    Ok((identity, signed.encode(true)))
}

/// Server: a whole identity without the account's key, as it is put into bundles.
pub fn without_account_key(bytes: &[u8]) -> Result<Vec<u8>, AdvError> {
    Ok(decode_signed(bytes)?.encode(false))
}

/// A device of ours, or of whoever keeps the whole identity: checks it.
pub fn check_device(bytes: &[u8], companion_identity: &[u8; 32]) -> Result<DeviceIdentity, AdvError> {
    let signed = decode_signed(bytes)?;
    let identity = signed.check_account(companion_identity)?;
    signed.check_device(companion_identity)?;
    Ok(identity)
}

/// Peer: checks that a published `device-identity` binds a companion to its account. WhatsApp may leave the key of the
/// account out, which is the identity key of its phone: then `account_key` is taken, and without either there is nothing
/// to check by. (whatsapp-rust does the same, and knows both pairs of prefixes, too.)
///
/// # Errors
/// [`AdvError`]: it is forged, or no identity at all.
pub fn check_peer(
    bytes: &[u8],
    companion_identity: &[u8; 32],
    account_key: Option<&[u8; 32]>,
) -> Result<(), AdvError> {
    let mut wire = ADVSignedDeviceIdentity::decode_from_slice(bytes).map_err(|_| AdvError::Malformed)?;
    if wire.account_signature_key.as_ref().is_none_or(Vec::is_empty) {
        wire.account_signature_key = account_key.map(|key| key.to_vec());
    }
    if wire.account_signature_key.is_none() {
        return if wire.details.is_some() { Ok(()) } else { Err(AdvError::Malformed) };
    }
    let signed = Signed::of(wire)?;
    let by_device = signed.device_signature.ok_or(AdvError::Malformed)?;
    let input = |prefix: &[u8; 2], key: &[u8]| {
        [&prefix[..], &signed.details[..], &companion_identity[..], key].concat()
    };
    let fits = PREFIXES.iter().any(|(account, device)| {
        verify(&signed.account_key, &input(account, &[]), &signed.account_signature)
            && verify(companion_identity, &input(device, &signed.account_key), &by_device)
    });
    if fits { Ok(()) } else { Err(AdvError::AccountSignature) }
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

/// Peer: what a key-index list says, unchecked: as WhatsApp itself names the devices beside it, a signature would keep
/// nobody from adding one. It is for leaving out what is there no more. `None` when it cannot be read.
pub fn read_list(bytes: &[u8]) -> Option<KeyIndexList> {
    let signed = ADVSignedKeyIndexList::decode_from_slice(bytes).ok()?;
    decode_list(&signed.details?).ok()
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
    Ok((key, decode_list(&details)?))
}

fn decode_list(details: &[u8]) -> Result<KeyIndexList, AdvError> {
    let list = ADVKeyIndexList::decode_from_slice(details).map_err(|_| AdvError::Malformed)?;
    Ok(KeyIndexList {
        raw_id: list.raw_id.ok_or(AdvError::Malformed)?,
        timestamp: list.timestamp.unwrap_or(0),
        current_index: list.current_index.unwrap_or(0),
        valid_indexes: list.valid_indexes,
    })
}

impl KeyIndexList {
    /// Whether a companion with this key index belongs to the account: it is named, or newer than the list.
    pub fn has(&self, key_index: u32) -> bool {
        self.valid_indexes.contains(&key_index) || key_index > self.current_index
    }
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

    /// Whether it says that its device is hosted.
    fn hosted(&self) -> bool {
        ADVDeviceIdentity::decode_from_slice(&self.details)
            .is_ok_and(|identity| identity.device_type == Some(ADVEncryptionType::HOSTED))
    }

    /// Of a device that is not hosted.
    fn check_account(&self, companion: &[u8; 32]) -> Result<DeviceIdentity, AdvError> {
        let identity = self.identity(companion, &ACCOUNT)?;
        if self.hosted() { Err(AdvError::Hosted) } else { Ok(identity) }
    }

    fn identity(&self, companion: &[u8; 32], prefix: &[u8; 2]) -> Result<DeviceIdentity, AdvError> {
        let input = [prefix, self.details.as_slice(), companion].concat();
        if !verify(&self.account_key, &input, &self.account_signature) {
            return Err(AdvError::AccountSignature);
        }
        let identity =
            ADVDeviceIdentity::decode_from_slice(&self.details).map_err(|_| AdvError::Malformed)?;
        Ok(DeviceIdentity {
            raw_id: identity.raw_id.ok_or(AdvError::Malformed)?,
            timestamp: identity.timestamp.unwrap_or(0),
            key_index: identity.key_index.ok_or(AdvError::Malformed)?,
        })
    }

    fn check_device(&self, companion: &[u8; 32]) -> Result<(), AdvError> {
        self.check_by(companion, &DEVICE)
    }

    fn check_by(&self, companion: &[u8; 32], prefix: &[u8; 2]) -> Result<(), AdvError> {
        let signature = self.device_signature.ok_or(AdvError::Malformed)?;
        if verify(companion, &self.device_input(companion, prefix), &signature) {
            Ok(())
        } else {
            Err(AdvError::DeviceSignature)
        }
    }

    fn device_input(&self, companion: &[u8; 32], prefix: &[u8; 2]) -> Vec<u8> {
        [prefix, self.details.as_slice(), companion, &self.account_key].concat()
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
mod tests;
