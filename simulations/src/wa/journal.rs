//! What the simulated WhatsApp sees, told while it happens, for whoever records a history.
//!
//! The ledger counts and judges; the journal only tells. It is kept when somebody has asked for it.

use roost_proto::signal::PublicSignedPrekey;

use super::account::DeviceRef;
use super::ledger::Ledger;
use super::machine::ConnectionId;

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A device is logged in on a connection.
    Login {
        /// Which device.
        device: DeviceRef,
        /// On which connection.
        connection: ConnectionId,
    },
    /// The connection of a device that was logged in is over.
    Ended {
        /// Which device.
        device: DeviceRef,
        /// Which connection.
        connection: ConnectionId,
        /// In a word.
        why: String,
    },
    /// A message was written to a device.
    Delivered {
        /// To whom.
        to: DeviceRef,
        /// The message.
        id: String,
    },
    /// A device has settled a message: it is not delivered again.
    Settled {
        /// Who.
        by: DeviceRef,
        /// The message.
        id: String,
    },
    /// A phone tells one of its devices something: a message that is for no log.
    Told {
        /// To whom.
        to: DeviceRef,
        /// The message.
        id: String,
        /// The messages in it, which the device has asked for.
        carries: Vec<String>,
    },
    /// A ciphertext passed.
    Ciphertext {
        /// Who encrypted.
        from: DeviceRef,
        /// For whom.
        to: DeviceRef,
        /// Digest of sender, receiver, ratchet key and counter.
        key: [u8; 16],
        /// Digest of the ciphertext.
        digest: [u8; 8],
    },
    /// A device uploaded a one-time prekey.
    Prekey {
        /// Whose.
        device: DeviceRef,
        /// Its id.
        id: u32,
        /// Its public key.
        public: [u8; 32],
    },
    /// A device gave a signed prekey to be handed out.
    SignedPrekey {
        /// Whose.
        device: DeviceRef,
        /// Its id.
        id: u32,
        /// Its public key.
        public: [u8; 32],
    },
    /// A phone has read a message.
    Read {
        /// Whose phone.
        by: DeviceRef,
        /// From whom.
        from: DeviceRef,
        /// The message.
        id: String,
    },
}

impl Ledger {
    /// Keeps a journal from now on.
    pub(super) fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// What was seen since it was last asked, in order.
    pub(super) fn take_journal(&mut self) -> Vec<Seen> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn tell(&mut self, seen: impl FnOnce() -> Seen) {
        if let Some(journal) = &mut self.journal {
            journal.push(seen());
        }
    }

    /// A device uploaded a one-time prekey.
    pub(super) fn note_prekey(&mut self, device: DeviceRef, id: u32, public: &[u8; 32]) {
        self.tell(|| Seen::Prekey { device, id, public: *public });
    }

    /// A device gave a signed prekey to be handed out.
    pub(super) fn note_signed_prekey(&mut self, device: DeviceRef, key: &PublicSignedPrekey) {
        self.tell(|| Seen::SignedPrekey { device, id: key.id, public: key.public });
    }

    /// A phone has read a message.
    pub(super) fn read(&mut self, by: DeviceRef, from: DeviceRef, id: &str) {
        self.tell(|| Seen::Read { by, from, id: id.to_owned() });
    }
}
