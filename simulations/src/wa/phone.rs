//! The simulated phone: device 0 of an account, a complete Signal endpoint without a network of its own.
//!
//! What must hold: its ratchets are those of the real library, so that what it cannot read was really
//! broken. It publishes a fresh one-time prekey with every bundle. What it received and sent is kept for
//! the one who drives it, bounded. Who it talks to and through which stanza is the machine's business.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand::{CryptoRng, Rng};
use roost_proto::e2e::{self, DeviceSent};
use roost_proto::history::{Beside, Past};
use roost_proto::id::UnixMillis;
use roost_proto::media::{self, File};
use roost_proto::phone::PeerMessage;
use roost_proto::signal::{
    Address, Bundle, BundleError, Ciphertext, CiphertextKind, DecryptError, EncryptError, KeyPair, Keys,
    LivePeer, PublicSignedPrekey,
};
use serde::Serialize;

use super::account::DeviceRef;
use super::memory::Memory;

/// Received texts that are kept.
const INBOX: usize = 500;
/// Sent texts that are kept for those who ask again.
const SENT: usize = 200;
/// One-time prekeys that were given out and not used yet.
const ONE_TIME: usize = 300;

/// How often a message was asked for because a copy could not be read, and read after that.
#[derive(Debug, Default)]
struct Retries {
    asked: u32,
    read: u32,
    /// It had been read before, and only a later copy could not.
    had: bool,
}

/// The phone of one account.
pub struct Phone {
    keys: Keys,
    one_time: BTreeMap<u32, KeyPair>,
    next_one_time: u32,
    peers: BTreeMap<DeviceRef, LivePeer>,
    inbox: VecDeque<PhoneMessage>,
    sent: VecDeque<Sent>,
    retries: BTreeMap<(DeviceRef, String), Retries>,
    /// What it shares with its companions; a phone without it shares nothing.
    pub(super) memory: Option<Memory>,
    files: VecDeque<(String, File)>,
    /// What it has read, for companions that could not.
    read: VecDeque<Past>,
}

/// A message that the phone decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhoneMessage {
    /// Its id.
    pub id: String,
    /// The device that sent it.
    pub from: String,
    /// The chat, when it is a copy of what another device of the account sent.
    pub chat: Option<String>,
    /// The text, if it was one.
    pub text: Option<String>,
    /// Unix milliseconds.
    pub at: i64,
}

/// A message that the phone sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// To which account, as a JID.
    pub to: String,
    /// The encoded message.
    pub message: Vec<u8>,
    /// Only for one companion of its own account.
    pub peer: bool,
}

impl Phone {
    /// A phone with fresh keys.
    pub fn new<R: CryptoRng>(rng: &mut R) -> Self {
        Self::with_keys(Keys::generate(rng))
    }

    /// A phone that had these keys before; its ratchets start anew.
    pub fn with_keys(keys: Keys) -> Self {
        Self {
            keys,
            one_time: BTreeMap::new(),
            next_one_time: 1,
            peers: BTreeMap::new(),
            inbox: VecDeque::new(),
            sent: VecDeque::new(),
            retries: BTreeMap::new(),
            memory: None,
            files: VecDeque::new(),
            read: VecDeque::new(),
        }
    }

    /// Its long-lived keys, for a state file.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Its identity key, which is also the account's signature key.
    pub fn identity(&self) -> &[u8; 32] {
        self.keys.identity().public()
    }

    /// The pair behind it.
    pub fn identity_pair(&self) -> &KeyPair {
        self.keys.identity()
    }

    /// Its registration id.
    pub fn registration_id(&self) -> u32 {
        self.keys.registration_id()
    }

    /// Its signed prekey.
    pub fn signed_prekey(&self) -> PublicSignedPrekey {
        self.keys.signed_prekey()
    }

    /// A one-time prekey for one bundle.
    pub fn take_one_time<R: CryptoRng>(&mut self, rng: &mut R) -> (u32, [u8; 32]) {
        let id = self.next_one_time;
        self.next_one_time = if id >= roost_proto::signal::PREKEY_ID_MAX { 1 } else { id + 1 };
        let pair = KeyPair::generate(rng);
        let public = *pair.public();
        self.one_time.insert(id, pair);
        if self.one_time.len() > ONE_TIME {
            self.one_time.pop_first();
        }
        (id, public)
    }

    /// A bundle for another phone that wants to write to this one.
    pub fn bundle<R: CryptoRng>(&mut self, rng: &mut R) -> Bundle {
        Bundle {
            registration_id: self.registration_id(),
            identity: *self.identity(),
            signed_prekey: self.signed_prekey(),
            one_time: Some(self.take_one_time(rng)),
        }
    }

    /// Whether it has a ratchet with that device.
    pub fn knows(&self, device: DeviceRef) -> bool {
        self.peers.get(&device).is_some_and(LivePeer::is_open)
    }

    /// Drops its ratchet with that device.
    pub(super) fn forget(&mut self, device: DeviceRef) {
        self.peers.remove(&device);
    }

    /// Opens a ratchet, replacing an old one.
    ///
    /// # Errors
    /// [`BundleError`] when the device published unusable keys.
    pub fn open<R: CryptoRng>(
        &mut self,
        device: DeviceRef,
        bundle: &Bundle,
        rng: &mut R,
    ) -> Result<(), BundleError> {
        let peer = self.peers.entry(device).or_default();
        peer.establish(&self.keys, &address(device), bundle, rng).map(|_| ())
    }

    /// Encrypts an encoded message, padding it.
    ///
    /// # Errors
    /// [`EncryptError`] when there is no ratchet.
    pub fn encrypt<R: Rng>(
        &mut self,
        to: DeviceRef,
        message: &[u8],
        rng: &mut R,
    ) -> Result<Ciphertext, EncryptError> {
        let padded = e2e::pad(message, rng);
        self.peers.entry(to).or_default().encrypt(&self.keys, &address(to), &padded)
    }

    /// Decrypts what a device sent and puts a text into the inbox. Returns what is for the phone itself.
    ///
    /// # Errors
    /// [`DecryptError`]; a plaintext that is no message counts as decrypted.
    pub fn receive<R: CryptoRng>(
        &mut self,
        from: DeviceRef,
        id: &str,
        kind: CiphertextKind,
        ciphertext: &Bytes,
        at: i64,
        rng: &mut R,
    ) -> Result<Option<PeerMessage>, DecryptError> {
        let peer = self.peers.entry(from).or_default();
        let one_time = &self.one_time;
        let find = |id: u32| one_time.get(&id).cloned();
        let decrypted = peer.decrypt(&self.keys, &address(from), find, kind, ciphertext, rng)?;
        if let Some(id) = decrypted.consumed_prekey {
            self.one_time.remove(&id);
        }
        let Ok(message) = e2e::unpad(&decrypted.plaintext) else { return Ok(None) };
        if let Some(peer) = PeerMessage::read(message) {
            return Ok(Some(peer));
        }
        let copy = e2e::unwrap_device_sent(message).ok().flatten();
        let (chat, inner) = match &copy {
            Some(DeviceSent { destination, message }) => (Some(destination.clone()), message.as_slice()),
            None => (None, message),
        };
        if let Some(file) = media::file_in(inner) {
            self.files.push_back((id.to_owned(), file));
            if self.files.len() > INBOX {
                self.files.pop_front();
            }
        }
        self.read.push_back(Past {
            id: id.to_owned(),
            from_me: copy.is_some(),
            participant: None,
            at: UnixMillis(at),
            push_name: String::new(),
            content: Bytes::copy_from_slice(inner),
            beside: Beside::default(),
        });
        if self.read.len() > INBOX {
            self.read.pop_front();
        }
        let text = match e2e::content(inner) {
            Ok(e2e::Content::Text(text)) => Some(text),
            _ => None,
        };
        self.inbox.push_back(PhoneMessage { id: id.to_owned(), from: from.to_string(), chat, text, at });
        if self.inbox.len() > INBOX {
            self.inbox.pop_front();
        }
        Ok(None)
    }

    /// A message that it has read, or has sent itself.
    pub(super) fn has(&self, id: &str) -> Option<Past> {
        let read = self.read.iter().rev().find(|past| past.id == id).cloned();
        let sent = || {
            let sent = self.sent(id).filter(|sent| !sent.peer)?;
            Some(Past {
                id: sent.id.clone(),
                from_me: true,
                participant: None,
                at: UnixMillis(0),
                push_name: String::new(),
                content: sent.message.clone().into(),
                beside: Beside::default(),
            })
        };
        read.or_else(sent)
    }

    /// The file of a message that it has.
    pub fn file(&self, id: &str) -> Option<&File> {
        self.files.iter().rev().find(|(of, _)| of == id).map(|(_, file)| file)
    }

    /// Counts one more request for a message that it could not read.
    pub fn count_retry(&mut self, from: DeviceRef, id: &str) -> u32 {
        if self.retries.len() > SENT {
            self.retries.clear();
        }
        let inbox = &self.inbox;
        let retries = self.retries.entry((from, id.to_owned())).or_insert_with(|| {
            let sender = from.to_string();
            let had = inbox.iter().any(|message| message.id == id && message.from == sender);
            Retries { had, ..Retries::default() }
        });
        retries.asked += 1;
        retries.asked
    }

    /// A copy of a message could be read; whether that is news. Who has asked for it several times is answered as often,
    /// and keeps one; so does who asked for a copy that came late, under a ratchet that was gone. That the apps do is a
    /// guess.
    pub(super) fn is_news(&mut self, from: DeviceRef, id: &str) -> bool {
        let Some(retries) = self.retries.get_mut(&(from, id.to_owned())) else { return true };
        retries.read += 1;
        retries.read == 1 && !retries.had || retries.read > retries.asked
    }

    /// What it received, oldest first.
    pub fn inbox(&self) -> impl Iterator<Item = &PhoneMessage> {
        self.inbox.iter()
    }

    /// Remembers what it sent.
    pub fn remember(&mut self, sent: Sent) {
        self.sent.push_back(sent);
        if self.sent.len() > SENT {
            self.sent.pop_front();
        }
    }

    /// What it sent under an id.
    pub fn sent(&self, id: &str) -> Option<&Sent> {
        self.sent.iter().rev().find(|sent| sent.id == id)
    }
}

fn address(device: DeviceRef) -> Address {
    Address::new(device.pn.to_string(), device.device)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn who_asks_for_a_late_copy_of_what_was_read_has_read_it_once() {
        let mut phone = Phone::new(&mut StdRng::seed_from_u64(1));
        let from = DeviceRef { pn: 15550001002, device: 1 };
        let message = PhoneMessage { id: "a".into(), from: from.to_string(), chat: None, text: None, at: 1 };
        phone.inbox.push_back(message);
        assert_eq!(phone.count_retry(from, "a"), 1);
        assert_eq!([phone.is_news(from, "a"), phone.is_news(from, "a")], [false, true], "one was asked for");
    }

    #[test]
    fn who_asked_twice_and_is_answered_twice_has_read_it_once_and_a_third_copy_is_one_too_many() {
        let mut phone = Phone::new(&mut StdRng::seed_from_u64(1));
        let from = DeviceRef { pn: 15550001002, device: 1 };
        assert!([true, true].iter().all(|news| phone.is_news(from, "a") == *news), "nobody asked for it");
        assert_eq!([phone.count_retry(from, "b"), phone.count_retry(from, "b")], [1, 2]);
        let read: Vec<bool> = (0..3).map(|_| phone.is_news(from, "b")).collect();
        assert_eq!(read, [true, false, true]);
    }
}
