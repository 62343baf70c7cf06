//! Keys of app state: made by the phone, shared with its companions, named by an id.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wacore_appstate::{ExpandedAppStateKeys, expand_app_state_keys};
use zeroize::Zeroizing;

/// The longest id of a key that is believed; six bytes are usual.
const MAX_ID: usize = 64;

/// A key that a phone shared is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of app state has an id of 1 to 64 bytes and 32 bytes of data")]
pub struct KeyError;

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: Vec<u8>,
    data: Zeroizing<[u8; 32]>,
    /// When the phone made it; Unix milliseconds. The newest key encrypts.
    made: i64,
}

impl Key {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(id: &[u8], data: &[u8], made: i64) -> Result<Key, KeyError> {
        let data = Zeroizing::new(data.try_into().map_err(|_| KeyError)?);
        match id.len() {
            1..=MAX_ID => Ok(Key { id: id.to_vec(), data, made }),
            _ => Err(KeyError),
        }
    }

    /// How records name it.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Its id in hexadecimal.
    pub fn name(&self) -> String {
        hex::encode(&self.id)
    }

    /// The secret.
    pub fn data(&self) -> &[u8; 32] {
        &self.data
    }

    /// When the phone made it; Unix milliseconds.
    pub fn made(&self) -> i64 {
        self.made
    }

    /// 8 bytes of time, 32 of data, then the id.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.made.to_be_bytes()[..], &*self.data, &self.id].concat()
    }

    /// Reads what [`Key::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Key, KeyError> {
        let (made, rest) = bytes.split_first_chunk::<8>().ok_or(KeyError)?;
        let (data, id) = rest.split_first_chunk::<32>().ok_or(KeyError)?;
        Key::new(id, data, i64::from_be_bytes(*made))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex::encode(&self.id))
    }
}

/// The keys that a device has, ready for use.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<Vec<u8>, (Key, Arc<ExpandedAppStateKeys>)>,
}

impl Keyring {
    /// Adds a key; one with the same id is replaced.
    pub fn add(&mut self, key: Key) {
        let expanded = Arc::new(expand_app_state_keys(key.data()));
        self.keys.insert(key.id.clone(), (key, expanded));
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it has the key with this id.
    pub fn has(&self, id: &[u8]) -> bool {
        self.keys.contains_key(id)
    }

    /// The key with this id.
    pub fn get(&self, id: &[u8]) -> Option<&Key> {
        self.keys.get(id).map(|(key, _)| key)
    }

    /// All of them, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.values().map(|(key, _)| key)
    }

    /// The newest key.
    pub fn newest(&self) -> Option<&Key> {
        self.keys.values().map(|(key, _)| key).max_by_key(|key| (key.made, &key.id))
    }

    pub(super) fn expanded(&self, id: &[u8]) -> Option<&Arc<ExpandedAppStateKeys>> {
        self.keys.get(id).map(|(_, expanded)| expanded)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.values().map(|(key, _)| key)).finish()
    }
}
