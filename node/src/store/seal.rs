//! Sealing: what may be private is encrypted before it reaches the database.
//!
//! What must hold: a sealed value opens only at the place it was made for (tenant, device, column,
//! row), so a copied or swapped row is noticed; each tenant has a data key of its own, and data keys
//! are stored only wrapped by the key-encryption key. XChaCha20-Poly1305 with a random nonce of 24
//! bytes, which is long enough never to repeat. It does not rotate keys and does not hide lengths.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng;
use roost_proto::id::BusinessId;
use zeroize::Zeroizing;

/// First byte of everything sealed; another layout would get another number.
const LAYOUT: u8 = 1;
const NONCE: usize = 24;

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key file {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("the key file {} is open to others (mode {mode:03o}); chmod 600 it", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds neither 32 bytes nor 64 hexadecimal digits.
    #[error("the key file {} must hold 32 raw bytes or 64 hexadecimal digits, not {found} bytes", path.display())]
    WrongLength {
        /// Which file.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
}

/// Where the key-encryption key (32 bytes) comes from: a file, or later a key service.
pub trait KeySource: Send + Sync + 'static {
    /// Reads the key. Called once, when the store opens.
    fn key(&self) -> Result<Zeroizing<[u8; 32]>, KeyError>;
}

/// A key in a file: 32 raw bytes, or 64 hexadecimal digits with or without a line end. Refused when
/// group or others may read it.
#[derive(Debug, Clone)]
pub struct KeyFile(pub PathBuf);

impl KeyFile {
    /// Writes a new random key in hexadecimal, readable by the owner only. Fails if the file exists.
    pub fn create(path: &Path) -> std::io::Result<KeyFile> {
        let text = Zeroizing::new(hex::encode(random::<32>()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(KeyFile(path.to_owned()))
    }
}

impl KeySource for KeyFile {
    fn key(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let path = self.0.clone();
        let unreadable = |source| KeyError::Unreadable { path: self.0.clone(), source };
        let mode = fs::metadata(&path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path, mode });
        }
        let raw = Zeroizing::new(fs::read(&path).map_err(unreadable)?);
        let mut key = Zeroizing::new([0; 32]);
        if raw.len() == 32 {
            key.copy_from_slice(&raw);
            return Ok(key);
        }
        match hex::decode_to_slice(raw.trim_ascii_end(), &mut key[..]) {
            Ok(()) => Ok(key),
            Err(_) => Err(KeyError::WrongLength { path, found: raw.len() }),
        }
    }
}

/// Where a sealed value stands; part of what is authenticated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) business_id: &'a str,
    pub(super) device_id: &'a str,
    /// `table.column`.
    pub(super) column: &'static str,
    /// Which row among those of the device.
    pub(super) row: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        for part in [self.business_id, self.device_id, self.column, self.row] {
            // A length before each part: no two places have the same bytes.
            out.extend_from_slice(&(part.len() as u64).to_le_bytes());
            out.extend_from_slice(part.as_bytes());
        }
        out
    }
}

/// A value that does not open: damaged, moved, or sealed under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged, stands in the wrong place, or was sealed with another key")]
pub(super) struct Unsealable;

/// A key that seals and opens. Wiped when dropped.
#[derive(Clone)]
pub(super) struct SealKey(XChaCha20Poly1305);

impl SealKey {
    pub(super) fn new(key: &[u8; 32]) -> SealKey {
        SealKey(XChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// Layout byte, nonce, ciphertext with tag: 41 bytes longer than `plain`.
    pub(super) fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE>();
        let aad = place.bytes();
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .expect("XChaCha20-Poly1305 takes up to 256 GiB");
        let mut out = Vec::with_capacity(1 + NONCE + sealed.len());
        out.push(LAYOUT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    pub(super) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (&LAYOUT, rest) = sealed.split_first().ok_or(Unsealable)? else {
            return Err(Unsealable);
        };
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(Unsealable)?;
        let aad = place.bytes();
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &aad }).map_err(|_| Unsealable)
    }

    /// Makes a data key for a tenant; returns it wrapped by this key.
    pub(super) fn new_data_key(&self, tenant: &BusinessId) -> Vec<u8> {
        let key = Zeroizing::new(random::<32>());
        self.seal(&data_key_place(tenant), &key[..])
    }

    /// Opens a tenant's wrapped data key.
    pub(super) fn unwrap(&self, tenant: &BusinessId, wrapped: &[u8]) -> Result<SealKey, Unsealable> {
        let raw = Zeroizing::new(self.open(&data_key_place(tenant), wrapped)?);
        let key: &[u8; 32] = raw.as_slice().try_into().map_err(|_| Unsealable)?;
        Ok(SealKey::new(key))
    }
}

fn data_key_place(tenant: &BusinessId) -> Place<'_> {
    Place { business_id: tenant.as_str(), device_id: "", column: "tenant.data_key", row: "" }
}

fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    rand::rng().fill_bytes(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> =
        Place { business_id: "acme", device_id: "shop", column: "device_state.value", row: "session/1" };

    #[test]
    fn a_sealed_value_opens_at_its_place_only() {
        let key = SealKey::new(&[7; 32]);
        let sealed = key.seal(&PLACE, b"ratchet");
        assert_eq!(key.open(&PLACE, &sealed).expect("its place"), b"ratchet");
        let others = [
            Place { business_id: "acne", ..PLACE },
            Place { device_id: "shoq", ..PLACE },
            Place { column: "message.content", ..PLACE },
            Place { row: "session/2", ..PLACE },
            // The same text, cut elsewhere.
            Place { business_id: "acmes", device_id: "hop", ..PLACE },
        ];
        for other in others {
            assert_eq!(key.open(&other, &sealed), Err(Unsealable), "{other:?}");
        }
        assert_eq!(SealKey::new(&[8; 32]).open(&PLACE, &sealed), Err(Unsealable));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = SealKey::new(&[7; 32]);
        let sealed = key.seal(&PLACE, b"x");
        for at in 0..sealed.len() {
            let mut torn = sealed.clone();
            torn[at] ^= 1;
            assert_eq!(key.open(&PLACE, &torn), Err(Unsealable));
            assert_eq!(key.open(&PLACE, &sealed[..at]), Err(Unsealable));
        }
    }

    #[test]
    fn a_data_key_opens_for_its_tenant_only() {
        let kek = SealKey::new(&[1; 32]);
        let (acme, zoo) = ("acme".parse().expect("id"), "zoo".parse().expect("id"));
        let wrapped = kek.new_data_key(&acme);
        assert!(kek.unwrap(&acme, &wrapped).is_ok());
        assert!(kek.unwrap(&zoo, &wrapped).is_err());
        assert!(SealKey::new(&[2; 32]).unwrap(&acme, &wrapped).is_err());
    }

    #[test]
    fn a_key_file_is_read_raw_or_in_hexadecimal_and_refused_otherwise() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8], mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
            KeyFile(path)
        };
        assert_eq!(*write("raw", &[9; 32], 0o600).key().expect("raw"), [9; 32]);
        let digits = format!("{}\n", hex::encode([9; 32]));
        assert_eq!(*write("hex", digits.as_bytes(), 0o400).key().expect("hex"), [9; 32]);
        assert!(matches!(write("open", &[9; 32], 0o640).key(), Err(KeyError::TooOpen { mode: 0o640, .. })));
        assert!(matches!(
            write("short", &[9; 31], 0o600).key(),
            Err(KeyError::WrongLength { found: 31, .. })
        ));
        assert!(matches!(write("empty", &[], 0o600).key(), Err(KeyError::WrongLength { found: 0, .. })));
        let absent = KeyFile(dir.path().join("absent"));
        assert!(matches!(absent.key(), Err(KeyError::Unreadable { .. })));

        let made = KeyFile::create(&dir.path().join("made")).expect("created");
        made.key().expect("readable");
        assert!(KeyFile::create(&made.0).is_err(), "never overwritten");
    }
}
