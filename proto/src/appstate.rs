//! App state: what the devices of one account know in common about chats, contacts, labels and settings.
//!
//! It is five collections of encrypted records. Each change is a patch with the next version number; a hash
//! over all records (`LTHash`) and two MACs tie a patch to everything before it. The arithmetic is
//! wacore-appstate's; this module is its edge: the generated types of WhatsApp's schema do not leave it.
//!
//! What must hold: nothing is applied that does not verify in full: every record, the patch, and the hash of
//! the whole collection after it. Version 1 is applied to the empty collection and to nothing else.

mod action;
mod amend;
mod key;
mod patch;
mod recovery;

pub use action::{Action, Call, Contact, Label, MessageRef, Mute, QuickReply, Range, is_value};
pub use key::{Key, KeyError, Keyring};
pub use patch::{
    Applied, ApplyError, Mutation, Patch, PatchError, Record, apply, apply_snapshot, encode, index_of,
    snapshot_of,
};

pub use recovery::{Recovery, recover};

use std::fmt;
use std::str::FromStr;

/// One of the five sets of records, each with a version of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// What a device must know before it may do anything: push name, locale.
    CriticalBlock,
    /// Contacts.
    CriticalUnblockLow,
    /// Mute, star, clear and delete.
    RegularHigh,
    /// Labels and quick replies.
    Regular,
    /// Pin, archive, read.
    RegularLow,
}

/// There is no such collection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a collection of app state")]
pub struct UnknownCollection(String);

impl Collection {
    /// All, in the order in which a new device reads them.
    pub const ALL: [Collection; 5] = [
        Collection::CriticalBlock,
        Collection::CriticalUnblockLow,
        Collection::RegularHigh,
        Collection::Regular,
        Collection::RegularLow,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Collection::CriticalBlock => "critical_block",
            Collection::CriticalUnblockLow => "critical_unblock_low",
            Collection::RegularHigh => "regular_high",
            Collection::Regular => "regular",
            Collection::RegularLow => "regular_low",
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Collection {
    type Err = UnknownCollection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Collection::ALL.into_iter().find(|collection| collection.as_str() == text);
        found.ok_or_else(|| UnknownCollection(text.chars().take(40).collect()))
    }
}

/// How far a copy of a collection is: its version, and the hash over all records at that version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the last patch; 0 is the empty collection.
    pub version: u64,
    /// 64 little-endian 16-bit sums.
    pub hash: [u8; 128],
}

impl Head {
    /// The empty collection.
    pub const EMPTY: Head = Head { version: 0, hash: [0; 128] };

    /// 136 bytes: the version, big-endian, and the hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.version.to_be_bytes()[..], &self.hash].concat()
    }

    /// Reads what [`Head::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Head> {
        let (version, hash) = bytes.split_first_chunk::<8>()?;
        Some(Head { version: u64::from_be_bytes(*version), hash: hash.try_into().ok()? })
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({}, …{})", self.version, hex::encode(&self.hash[124..]))
    }
}

#[cfg(test)]
mod tests;
