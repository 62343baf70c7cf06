//! A device that another library has paired, on its way into Roost, in parts.
//!
//! What must hold: secrets never appear in debug output.

use std::fmt;

use bytes::Bytes;
use roost_proto::signal::Address;

use crate::machine::Account;

/// One part of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The same for all parts of one import, and for no other of this device: ratchets, identity keys, chains, tokens and
    /// chats of an import that was not finished are under its number, where nobody looks. What is true under any keys has no
    /// number: LIDs of phone numbers.
    pub generation: u32,
    /// What is imported.
    pub part: Part,
}

/// What one part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Some of the peers.
    Peers(ImportedPeers),
    /// The device itself. The last part.
    Device(Box<ImportedDevice>),
}

/// What is known of peer devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedPeers {
    /// Ratchets, in the form of [`roost_proto::signal::Peer::session`], with the peers' identity keys.
    pub ratchets: Vec<(Address, Secret, [u8; 32])>,
    /// Identity keys of others.
    pub identities: Vec<(Address, [u8; 32])>,
    /// Chains of senders in groups, in the form of [`roost_proto::signal::Chain`].
    pub chains: Vec<(String, Address, Secret)>,
    /// Phone numbers and their LIDs, digits.
    pub lids: Vec<(String, String)>,
    /// Tokens by bare JIDs of contacts, in the form of [`crate::machine::Token`].
    pub tokens: Vec<(String, Secret)>,
}

/// The device itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedDevice {
    /// [`roost_proto::signal::Keys`] as stored.
    pub keys: Secret,
    /// Each a [`roost_proto::signal::PrekeyPage`] as stored.
    pub pages: Vec<Secret>,
    /// What pairing gave it.
    pub account: Account,
    /// What tokens for strangers are made with; empty where the phone has not told it.
    pub salt: Secret,
    /// The library that it comes from.
    pub source: String,
}

/// Bytes that are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Bytes);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}
