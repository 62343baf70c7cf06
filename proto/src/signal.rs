//! The Signal protocol as WhatsApp speaks it: keys, one-time prekeys, and ratchets with one peer
//! device at a time. A thin, synchronous adapter over the Signal crate.
//!
//! What must hold: nothing is stored here. A caller brings the state that an operation needs (its own
//! [`Keys`], the [`Peer`] record of the other device, one-time prekeys by number) and takes the changed
//! state away. It must make that state durable before a ciphertext leaves and before a plaintext is
//! acknowledged: the counter reservation of the library is waived on every load, so a record that is
//! lost after its ciphertext was sent would use one message key twice.
//!
//! It knows nothing of stanzas, JIDs or padding, and it trusts an identity key on first sight; a later
//! change is reported, not refused, as WhatsApp's own clients do.

mod agreements;
mod digest;
pub mod foreign;
mod group;
mod keys;
mod prekeys;
mod ratchet;
mod signed_prekeys;
mod stores;

use std::fmt;

pub use agreements::remember_agreements;
pub use digest::KeyDigest;
pub use group::{
    Chain, GroupError, GroupKey, decrypt_from_group, distribution, encrypt_for_group, group_key, learn,
};
pub use keys::{Born, KeyPair, Keys, KeysError, agree, verify};
pub use prekeys::{PREKEY_ID_MAX, PrekeyPage, PrekeyPageError};
pub use ratchet::{
    Bundle, BundleError, Ciphertext, DecryptError, Decrypted, EncryptError, LivePeer, MessageKey, Peer,
    SKIPPED, decrypt, encrypt, establish, message_key, skip_ahead,
};
pub use signed_prekeys::{PublicSignedPrekey, SignedPrekeys};

/// One device of one user, as ratchets name it. The text is `name.device`, for example `1234@lid.7`.
///
/// The name is the JID without a device number: WhatsApp's clients keep one-to-one ratchets under the
/// hidden identity (LID), and under the phone number only while no LID is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    name: String,
    device: u16,
}

impl Address {
    /// `name` is the bare JID (`1234@lid`), `device` 0 for the phone.
    pub fn new(name: impl Into<String>, device: u16) -> Address {
        Address { name: name.into(), device }
    }

    /// The bare JID.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device number; 0 is the phone.
    pub fn device(&self) -> u16 {
        self.device
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.device)
    }
}

/// The two kinds of one-to-one ciphertext, as the `type` attribute of `<enc>` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CiphertextKind {
    /// `msg`: an established ratchet.
    Msg,
    /// `pkmsg`: opens a ratchet from a prekey bundle.
    Pkmsg,
}

impl CiphertextKind {
    /// The text of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            CiphertextKind::Msg => "msg",
            CiphertextKind::Pkmsg => "pkmsg",
        }
    }

    /// Reads the attribute; `None` for kinds that are not one-to-one (`skmsg`, …).
    pub fn parse(text: &str) -> Option<CiphertextKind> {
        match text {
            "msg" => Some(CiphertextKind::Msg),
            "pkmsg" => Some(CiphertextKind::Pkmsg),
            _ => None,
        }
    }
}

impl fmt::Display for CiphertextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
