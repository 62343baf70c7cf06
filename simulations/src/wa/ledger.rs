//! What the simulated WhatsApp saw, for checkers: connections, message keys, deliveries, settlements.
//!
//! What must hold: a violation that was seen is never forgotten (they are counted without end and kept up
//! to a limit); everything else is bounded, oldest first, so that a run of days does not grow. It judges one
//! thing itself, because it cannot be judged later: one message key with two ciphertexts.

mod chains;
mod records;

use std::collections::{BTreeMap, HashMap, VecDeque};

use roost_proto::id::UnixMillis;
use roost_proto::noise::Pattern;
use roost_proto::signal::{CiphertextKind, MessageKey};
use sha2::{Digest as _, Sha256};

use super::account::{DeviceRef, Pn};
use super::groups::Group;
use super::journal::Seen;
use chains::Chains;

pub use records::{ConnectionRecord, DeviceRecord, KeyReuse, MessageRecord, Receiver, RefusalRecord, Totals};

/// Message keys that are remembered. One that comes back after this many others goes unnoticed.
const KEYS: usize = 500_000;
/// Messages whose receivers are remembered.
const MESSAGES: usize = 20_000;
/// Connections that are remembered for each device.
const CONNECTIONS: usize = 200;
/// Refusals that are remembered, and how many characters of what a client wrote in them.
const REFUSALS: usize = 500;
const WORDS: usize = 500;
/// Violations that are kept in full.
const VIOLATIONS: usize = 1_000;

/// The whole ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    devices: BTreeMap<DeviceRef, DeviceRecord>,
    // Looked up, never iterated: its order cannot decide anything.
    keys: HashMap<[u8; 16], [u8; 8]>,
    key_order: VecDeque<[u8; 16]>,
    key_reuses: Vec<KeyReuse>,
    totals: Totals,
    messages: BTreeMap<(DeviceRef, String), MessageRecord>,
    message_order: VecDeque<(DeviceRef, String)>,
    refusals: VecDeque<RefusalRecord>,
    chains: Chains,
    /// What was not told yet; none when nobody listens.
    pub(super) journal: Option<Vec<Seen>>,
}

impl Ledger {
    /// One device's counts, made on first use.
    pub(super) fn device(&mut self, device: DeviceRef) -> &mut DeviceRecord {
        self.devices.entry(device).or_default()
    }

    pub(super) fn login(&mut self, device: DeviceRef, connection: u64, handshake: Pattern, now: UnixMillis) {
        self.totals.logins += 1;
        self.tell(|| Seen::Login { device, connection });
        let record = self.device(device);
        record.logins += 1;
        let login = ConnectionRecord { connection, handshake, login_at: now.0, ended_at: None, end: None };
        record.connections.push_back(login);
        if record.connections.len() > CONNECTIONS {
            record.connections.pop_front();
        }
    }

    pub(super) fn end(&mut self, device: DeviceRef, connection: u64, why: &str, now: UnixMillis) {
        let record = self.device(device);
        let open = record.connections.iter_mut().rev().find(|c| c.connection == connection);
        if let Some(open) = open.filter(|open| open.ended_at.is_none()) {
            open.ended_at = Some(now.0);
            open.end = Some(why.to_owned());
            self.tell(|| Seen::Ended { device, connection, why: why.to_owned() });
        }
    }

    /// Records that something was refused.
    pub(super) fn refused(
        &mut self,
        device: Option<DeviceRef>,
        (tag, id): (&str, Option<&str>),
        reason: &str,
        now: UnixMillis,
    ) {
        self.totals.refusals += 1;
        let short = |text: &str| text.chars().take(WORDS).collect();
        self.refusals.push_back(RefusalRecord {
            at: now.0,
            device: device.map(|device| device.to_string()),
            tag: short(tag),
            id: id.map(short),
            reason: short(reason),
        });
        if self.refusals.len() > REFUSALS {
            self.refusals.pop_front();
        }
    }

    /// The last refusals, oldest first.
    pub fn refusals(&self) -> impl DoubleEndedIterator<Item = &RefusalRecord> {
        self.refusals.iter()
    }

    /// Records a message that a device sent. Returns whether its id was seen before.
    pub(super) fn message(&mut self, from: DeviceRef, id: &str, to: String, now: UnixMillis) -> bool {
        self.totals.messages += 1;
        let key = (from, id.to_owned());
        let repeated = self.messages.contains_key(&key);
        let record = self.device(from);
        record.messages_sent += 1;
        record.messages_repeated += u64::from(repeated);
        if !repeated {
            let message = MessageRecord { from: from.to_string(), to, at: now.0, receivers: BTreeMap::new() };
            self.messages.insert(key.clone(), message);
            self.message_order.push_back(key);
            if self.message_order.len() > MESSAGES
                && let Some(oldest) = self.message_order.pop_front()
            {
                self.messages.remove(&oldest);
            }
        }
        repeated
    }

    /// The counts of a device, named like `15550001000:1`.
    pub fn of(&self, device: &str) -> Option<&DeviceRecord> {
        let found = self.devices.iter().find(|(known, _)| known.to_string() == device);
        found.map(|(_, record)| record)
    }

    /// A phone has compared the token of a message with what the message says.
    pub(super) fn compared(&mut self, from: DeviceRef, fits: bool) {
        let record = self.device(from);
        let count = if fits { &mut record.reportable } else { &mut record.falsely_reportable };
        *count += 1;
    }

    /// Records one ciphertext on its way.
    pub(super) fn ciphertext(
        &mut self,
        (sender, receiver): (DeviceRef, DeviceRef),
        message: &str,
        kind: CiphertextKind,
        bytes: &[u8],
        now: UnixMillis,
    ) {
        self.totals.ciphertexts += 1;
        self.device(sender).ciphertexts += 1;
        let Ok(key) = roost_proto::signal::message_key(kind, bytes) else {
            self.totals.unreadable_ciphertexts += 1;
            return;
        };
        let name = name_of(sender, receiver, &key);
        let digest: [u8; 8] = short(Sha256::digest(bytes).as_slice());
        self.tell(|| Seen::Ciphertext { from: sender, to: receiver, key: name, digest });
        self.note_key(name, digest, |ciphertexts| KeyReuse {
            sender: sender.to_string(),
            receiver: receiver.to_string(),
            ratchet: hex::encode(key.ratchet),
            counter: key.counter,
            kind: kind.as_str().to_owned(),
            ciphertexts,
            message: message.to_owned(),
            at: now.0,
        });
    }

    /// Records one ciphertext for all of a group. Returns the number of its chain, if it is a new one that can be read.
    pub(super) fn group_ciphertext(
        &mut self,
        sender: DeviceRef,
        group: &str,
        message: &str,
        bytes: &[u8],
        now: UnixMillis,
    ) -> Option<u32> {
        self.totals.ciphertexts += 1;
        self.device(sender).ciphertexts += 1;
        let Ok(key) = roost_proto::signal::group_key(bytes) else {
            self.totals.unreadable_ciphertexts += 1;
            return None;
        };
        let mut hash = Sha256::new();
        hash.update(b"group\0");
        hash.update(sender.pn.to_be_bytes());
        hash.update(sender.device.to_be_bytes());
        hash.update(group);
        hash.update(key.chain.to_be_bytes());
        hash.update(key.iteration.to_be_bytes());
        let name = short(hash.finalize().as_slice());
        let digest: [u8; 8] = short(Sha256::digest(bytes).as_slice());
        let is_new = !self.keys.contains_key(&name);
        self.note_key(name, digest, |ciphertexts| KeyReuse {
            sender: sender.to_string(),
            receiver: format!("{group}@g.us"),
            ratchet: hex::encode(key.chain.to_be_bytes()),
            counter: key.iteration,
            kind: "skmsg".to_owned(),
            ciphertexts,
            message: message.to_owned(),
            at: now.0,
        });
        is_new.then_some(key.chain)
    }

    /// A device says something new in a group, under the chain of this number.
    pub(super) fn speaks(&mut self, sender: DeviceRef, group: &Group, chain: u32) {
        if self.chains.speaks(sender, group, chain) {
            self.device(sender).old_chains += 1;
        }
    }

    /// A device gives its sender key in a group to one of this account.
    pub(super) fn key_given(&mut self, sender: DeviceRef, group: &Group, to: Pn) {
        self.chains.given(sender, group, to);
    }

    /// A message key was used for this ciphertext.
    fn note_key(&mut self, name: [u8; 16], digest: [u8; 8], reuse: impl FnOnce([String; 2]) -> KeyReuse) {
        match self.keys.get(&name) {
            Some(before) if *before == digest => self.totals.repeated_ciphertexts += 1,
            Some(before) => {
                self.totals.key_reuses += 1;
                if self.key_reuses.len() < VIOLATIONS {
                    self.key_reuses.push(reuse([hex::encode(before), hex::encode(digest)]));
                }
            }
            None => {
                self.keys.insert(name, digest);
                self.key_order.push_back(name);
                if self.key_order.len() > KEYS
                    && let Some(oldest) = self.key_order.pop_front()
                {
                    self.keys.remove(&oldest);
                }
            }
        }
        self.totals.keys_remembered = self.keys.len() as u64;
    }

    pub(super) fn delivered(&mut self, from: DeviceRef, id: &str, to: DeviceRef) {
        self.device(to).messages_delivered += 1;
        self.tell(|| Seen::Delivered { to, id: id.to_owned() });
        if let Some(receiver) = self.receiver(from, id, to) {
            receiver.delivered += 1;
        }
    }

    pub(super) fn settled(&mut self, from: DeviceRef, id: &str, to: DeviceRef, now: UnixMillis) {
        self.device(to).messages_settled += 1;
        self.tell(|| Seen::Settled { by: to, id: id.to_owned() });
        if let Some(receiver) = self.receiver(from, id, to) {
            receiver.settled_at.get_or_insert(now.0);
        }
    }

    fn receiver(&mut self, from: DeviceRef, id: &str, to: DeviceRef) -> Option<&mut Receiver> {
        let message = self.messages.get_mut(&(from, id.to_owned()))?;
        Some(message.receivers.entry(to.to_string()).or_default())
    }

    /// Message keys that were seen with two ciphertexts, as far as they are kept.
    pub fn key_reuses(&self) -> &[KeyReuse] {
        &self.key_reuses
    }

    /// Counts over all devices.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What was counted for each device.
    pub fn devices(&self) -> &BTreeMap<DeviceRef, DeviceRecord> {
        &self.devices
    }

    /// The last messages by sender and id.
    pub fn messages(&self) -> &BTreeMap<(DeviceRef, String), MessageRecord> {
        &self.messages
    }

    /// Everything as JSON; messages only when asked for, because they are many.
    pub fn to_json(&self, with_messages: bool) -> serde_json::Value {
        let devices: BTreeMap<String, &DeviceRecord> =
            self.devices.iter().map(|(device, record)| (device.to_string(), record)).collect();
        let messages: Vec<_> = self
            .messages
            .iter()
            .filter(|_| with_messages)
            .map(|((_, id), record)| serde_json::json!({ "id": id, "message": record }))
            .collect();
        serde_json::json!({
            "totals": self.totals,
            "key_reuses": self.key_reuses,
            "refusals": self.refusals,
            "devices": devices,
            "messages": messages,
        })
    }
}

fn name_of(sender: DeviceRef, receiver: DeviceRef, key: &MessageKey) -> [u8; 16] {
    let mut hash = Sha256::new();
    for device in [sender, receiver] {
        hash.update(device.pn.to_be_bytes());
        hash.update(device.device.to_be_bytes());
    }
    hash.update(key.ratchet);
    hash.update(key.counter.to_be_bytes());
    short(hash.finalize().as_slice())
}

fn short<const N: usize>(digest: &[u8]) -> [u8; N] {
    digest[..N].try_into().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::phone::Phone;
    use super::*;

    const NOW: UnixMillis = UnixMillis(1);

    #[test]
    fn two_ciphertexts_of_one_message_key_are_a_violation_and_a_repetition_is_not() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut ada, mut bob) = (Phone::new(&mut rng), Phone::new(&mut rng));
        let (a, b) = (DeviceRef { pn: 1, device: 0 }, DeviceRef { pn: 2, device: 0 });
        let bundle = bob.bundle(&mut rng);
        ada.open(b, &bundle, &mut rng).expect("a good bundle");
        let mut twin = Phone::with_keys(ada.keys().clone());
        std::mem::swap(&mut twin, &mut ada);
        let mut ledger = Ledger::default();
        let first = twin.encrypt(b, b"one", &mut rng).expect("a ratchet");
        ledger.ciphertext((a, b), "A", first.kind, &first.bytes, NOW);
        ledger.ciphertext((a, b), "A", first.kind, &first.bytes, NOW);
        assert_eq!((ledger.totals.key_reuses, ledger.totals.repeated_ciphertexts), (0, 1));
        let mut forged = first.bytes.to_vec();
        let end = forged.len() - 3;
        forged[end] ^= 1;
        ledger.ciphertext((a, b), "B", first.kind, &forged, NOW);
        assert_eq!(ledger.key_reuses().len(), 1);
        assert_eq!(ledger.key_reuses()[0].message, "B");
    }

    #[test]
    fn another_receiver_may_see_the_same_counter() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut ada, mut bob) = (Phone::new(&mut rng), Phone::new(&mut rng));
        let (a, b, c) =
            (DeviceRef { pn: 1, device: 0 }, DeviceRef { pn: 2, device: 0 }, DeviceRef { pn: 3, device: 0 });
        let mut ledger = Ledger::default();
        for to in [b, c] {
            let bundle = bob.bundle(&mut rng);
            ada.open(to, &bundle, &mut rng).expect("a good bundle");
            let sent = ada.encrypt(to, b"one", &mut rng).expect("a ratchet");
            ledger.ciphertext((a, to), "A", sent.kind, &sent.bytes, NOW);
        }
        assert_eq!(ledger.totals.key_reuses, 0);
        assert_eq!(ledger.totals.keys_remembered, 2);
    }

    #[test]
    fn receivers_are_counted_by_delivery_and_settlement() {
        let (a, b) = (DeviceRef { pn: 1, device: 1 }, DeviceRef { pn: 2, device: 1 });
        let mut ledger = Ledger::default();
        assert!(!ledger.message(a, "A", "2@s.whatsapp.net".into(), NOW));
        assert!(ledger.message(a, "A", "2@s.whatsapp.net".into(), NOW));
        ledger.delivered(a, "A", b);
        ledger.delivered(a, "A", b);
        ledger.settled(a, "A", b, UnixMillis(7));
        let receiver = &ledger.messages()[&(a, "A".to_owned())].receivers["2:1"];
        assert_eq!(receiver, &Receiver { delivered: 2, settled_at: Some(7) });
    }
}
