//! What crypto has made of messages and keys.

use bytes::Bytes;
use roost_proto::signal::{Ciphertext, PublicSignedPrekey};

use super::PeerName;
use crate::port::StateChange;

/// A message that was decrypted, or not.
#[derive(Debug)]
pub struct Decrypted {
    /// State that changed, also when the message could not be decrypted (prekeys for a retry).
    pub changes: Vec<StateChange>,
    /// LID of the sender, when it is known.
    pub lid: Option<String>,
    /// LID of whom another device of our account has sent it to, when it is known.
    pub spoken_lid: Option<String>,
    /// The padded plaintext, and whether the sender has a new identity key.
    pub result: Result<(Vec<u8>, bool), DecryptFailure>,
}

/// Why there is no plaintext.
#[derive(Debug, PartialEq, Eq)]
pub enum DecryptFailure {
    /// It was decrypted before.
    Duplicate,
    /// The sender must encrypt it anew.
    Undecryptable {
        /// Why, for a person.
        why: String,
        /// Our registration id.
        registration_id: u32,
        /// Keys for the sender, when it was asked before.
        keys: Option<Box<RetryKeys>>,
    },
}

/// Keys that let a sender open a new ratchet with us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryKeys {
    /// Identity key.
    pub identity: [u8; 32],
    /// Signed prekey.
    pub signed_prekey: PublicSignedPrekey,
    /// A one-time prekey that was given to nobody else.
    pub one_time: Option<(u32, [u8; 32])>,
}

/// What came of encrypting.
#[derive(Debug)]
pub enum Encryption {
    /// One ciphertext per target, in order, `None` where the bundle was refused.
    Done {
        /// State that changed.
        changes: Vec<StateChange>,
        /// The ciphertexts.
        ciphertexts: Vec<Option<Ciphertext>>,
        /// Devices with another identity key than before.
        renewed: Vec<PeerName>,
    },
    /// Nothing was done: there is no ratchet with these.
    Missing(Vec<PeerName>),
}

/// What came with a message in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCiphertext {
    /// JID of the group.
    pub group: String,
    /// What is encrypted under the sender key; none when everything is for this device alone.
    pub bytes: Option<Bytes>,
}

/// What came of encrypting for a group.
#[derive(Debug)]
pub enum GroupEncryption {
    /// It can be sent.
    Done {
        /// State that changed.
        changes: Vec<StateChange>,
        /// The message, under our sender key.
        ciphertext: Bytes,
        /// Our sender key, for those who lacked it.
        distributed: Vec<(PeerName, Ciphertext)>,
        /// For the device beside, unless its bundle was refused.
        beside: Option<Ciphertext>,
        /// Devices with another identity key than before.
        renewed: Vec<PeerName>,
    },
    /// Nothing was done: there is no ratchet with these.
    Missing(Vec<PeerName>),
    /// Nothing was done: there are no usable keys.
    Failed,
}

/// What came of comparing our keys with what WhatsApp has of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysCompared {
    /// They are ours.
    Ours {
        /// How many of the one-time prekeys there: it may have others that are of no use to us.
        one_time: u64,
    },
    /// They are not.
    Differ,
}
