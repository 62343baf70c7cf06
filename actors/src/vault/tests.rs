//! Sender keys between vaults: who can read, who cannot any more, and what a new owner goes on with; and
//! signed prekeys, old and new.

mod beside;
mod compared;
mod holders;
mod named;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::SeedableRng;
use roost_proto::id::Age;

use super::*;
use crate::machine::{GroupEncryption, Rotation};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const GROUP: &str = "120363000000000001@g.us";

/// A vault and its rows in a store.
struct Device {
    vault: Vault,
    rows: BTreeMap<StateKey, Bytes>,
    seed: u64,
    token: u64,
}

impl Device {
    fn new(seed: u64) -> Device {
        let (vault, _) =
            Vault::open(Vec::new(), 100, Age(0), StdRng::seed_from_u64(seed)).expect("nothing to read");
        let mut device = Device { vault, rows: BTreeMap::new(), seed, token: 0 };
        device.work(CryptoRequest::MakeKeys { now: NOW });
        device
    }

    fn name(&self) -> PeerName {
        PeerName { pn: None, lid: Some(self.seed.to_string()), device: 1 }
    }

    fn bundle(&self) -> (PeerName, Bundle) {
        let keys = self.vault.keys.as_ref().expect("made");
        let (identity, signed_prekey) = (*keys.identity().public(), keys.signed_prekey());
        let registration_id = keys.registration_id();
        (self.name(), Bundle { registration_id, identity, signed_prekey, one_time: None })
    }

    fn work(&mut self, request: CryptoRequest) -> Changed {
        self.token += 1;
        self.vault.begin(self.token);
        let changed = loop {
            match self.vault.work(&request) {
                Wants::Nothing(changed) => break changed,
                Wants::Rows(keys) => {
                    for key in keys {
                        let row = self.rows.get(&key).cloned();
                        self.vault.give(&key, row);
                    }
                }
            }
        };
        let changes = match &changed {
            Changed::Keys(changes)
            | Changed::State(changes)
            | Changed::Rotation(changes, _)
            | Changed::Prekeys(changes, _) => changes.clone(),
            Changed::Decrypted(decrypted) => decrypted.changes.clone(),
            Changed::Encrypted(Encryption::Done { changes, .. })
            | Changed::GroupEncrypted(GroupEncryption::Done { changes, .. }) => changes.clone(),
            _ => Vec::new(),
        };
        for (key, row) in changes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        changed
    }

    /// The next owner, who has the rows and nothing else.
    fn taken_over(self) -> Device {
        self.taken_over_at(0)
    }

    fn taken_over_at(self, age: u32) -> Device {
        let loaded = self.rows.iter().filter(|(key, _)| !StateKind::ON_DEMAND.contains(&key.kind));
        let loaded = loaded.map(|(key, row)| (key.clone(), row.clone())).collect();
        let (vault, _) =
            Vault::open(loaded, 100, Age(age.into()), StdRng::seed_from_u64(77 + u64::from(age)))
                .expect("our rows");
        Device { vault, ..self }
    }

    /// Encrypts for the group; the ciphertext, and the sender keys by the names that they are for.
    fn shout(&mut self, to: &[&Device]) -> (Bytes, Vec<(PeerName, signal::Ciphertext)>) {
        let request = CryptoRequest::EncryptForGroup {
            group: GROUP.to_owned(),
            bundles: to.iter().map(|device| device.bundle()).collect(),
            plaintext: Bytes::from_static(&[b'x', 1]),
            targets: to.iter().map(|device| device.name()).collect(),
            beside: None,
        };
        match self.work(request) {
            Changed::GroupEncrypted(GroupEncryption::Done { ciphertext, distributed, .. }) => {
                (ciphertext, distributed)
            }
            other => panic!("not encrypted: {other:?}"),
        }
    }

    /// What it made last for the group has reached nobody.
    fn ends_chain(&mut self) {
        self.work(CryptoRequest::EndChain { group: GROUP.to_owned() });
    }

    /// Encrypts for one device.
    fn whisper(&mut self, to: &Device, bundles: Vec<(PeerName, Bundle)>) -> signal::Ciphertext {
        let request = CryptoRequest::Encrypt {
            bundles,
            plaintexts: vec![Bytes::from_static(&[b'x', 1])],
            targets: vec![Target { peer: to.name(), plaintext: 0 }],
            lost: None,
        };
        match self.work(request) {
            Changed::Encrypted(Encryption::Done { mut ciphertexts, .. }) => {
                ciphertexts.pop().flatten().expect("a ciphertext")
            }
            other => panic!("not encrypted: {other:?}"),
        }
    }

    fn hears(&mut self, from: &PeerName, said: &(Bytes, Vec<(PeerName, signal::Ciphertext)>)) -> bool {
        let own = self.name();
        let single = said.1.iter().find(|(peer, _)| *peer == own);
        let single = single.map(|(_, made)| (made.kind, made.bytes.clone()));
        let group = Some(GroupCiphertext { group: GROUP.to_owned(), bytes: Some(said.0.clone()) });
        let request =
            CryptoRequest::Decrypt { from: from.clone(), to: None, single, group, asked_before: false };
        match self.work(request) {
            Changed::Decrypted(decrypted) => decrypted.result.is_ok(),
            other => panic!("not decrypted: {other:?}"),
        }
    }
}

fn three() -> (Device, Device, Device) {
    (Device::new(11_111), Device::new(22_222), Device::new(33_333))
}

#[test]
fn the_sender_key_goes_to_each_device_once() {
    let (mut ada, mut bob, mut eve) = three();
    let first = ada.shout(&[&bob, &eve]);
    assert_eq!(first.1.len(), 2);
    assert!(bob.hears(&ada.name(), &first) && eve.hears(&ada.name(), &first));
    let second = ada.shout(&[&bob, &eve]);
    assert!(second.1.is_empty(), "they have it");
    assert!(bob.hears(&ada.name(), &second) && eve.hears(&ada.name(), &second));
    assert!(!bob.hears(&ada.name(), &second), "and nothing is read twice");
}

#[test]
fn who_is_gone_reads_nothing_more_whoever_owns_the_device_then() {
    let (mut ada, mut bob, mut eve) = three();
    let first = ada.shout(&[&bob, &eve]);
    assert!(bob.hears(&ada.name(), &first) && eve.hears(&ada.name(), &first));
    let mut ada = ada.taken_over();
    let second = ada.shout(&[&bob]);
    assert_eq!(second.1.len(), 1, "bob needs the new key");
    assert!(bob.hears(&ada.name(), &second));
    assert!(!eve.hears(&ada.name(), &second));
}

#[test]
fn a_new_owner_goes_on_in_the_chain_and_uses_no_key_again() {
    let (mut ada, bob, eve) = three();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (ciphertext, _) = ada.shout(&[&bob, &eve]);
        keys.push(signal::group_key(&ciphertext).expect("readable"));
        ada = ada.taken_over();
    }
    assert_eq!(keys.iter().map(|key| key.iteration).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(keys.iter().all(|key| key.chain == keys[0].chain));
}

#[test]
fn who_has_lost_the_sender_key_gets_it_with_the_next_message() {
    let (mut ada, bob, eve) = three();
    ada.shout(&[&bob, &eve]);
    let resend = CryptoRequest::Encrypt {
        bundles: vec![bob.bundle()],
        plaintexts: vec![Bytes::from_static(&[b'x', 1])],
        targets: vec![Target { peer: bob.name(), plaintext: 0 }],
        lost: Some(GROUP.to_owned()),
    };
    ada.work(resend);
    let (_, distributed) = ada.shout(&[&bob, &eve]);
    assert_eq!(distributed.into_iter().map(|(peer, _)| peer).collect::<Vec<_>>(), [bob.name()]);
}

#[test]
fn after_the_database_has_lost_its_tail_no_key_is_used_again() {
    let (mut ada, bob, eve) = three();
    let (mut ratchets, mut chains) = (BTreeSet::new(), BTreeSet::new());
    let mut speaks = |ada: &mut Device, bundles: Vec<(PeerName, Bundle)>| {
        let note = ada.whisper(&bob, bundles);
        let key = signal::message_key(note.kind, &note.bytes).expect("ours");
        assert!(ratchets.insert(key), "{key:?} was used before");
        let (shout, _) = ada.shout(&[&bob, &eve]);
        let key = signal::group_key(&shout).expect("ours");
        assert!(chains.insert((key.chain, key.iteration)), "{key:?} was used before");
    };
    speaks(&mut ada, vec![bob.bundle()]);
    let standby = ada.rows.clone();
    (0..5).for_each(|_| speaks(&mut ada, Vec::new()));
    // What was written in one age is lost with its end, again and again.
    for age in 1..=3 {
        ada.rows = standby.clone();
        ada = ada.taken_over_at(age);
        (0..5).for_each(|_| speaks(&mut ada, Vec::new()));
    }
    // What the next owner in this age finds is as good as ever.
    let mut ada = ada.taken_over_at(3);
    let before = ada.whisper(&bob, Vec::new());
    let mut ada = ada.taken_over_at(3);
    let after = ada.whisper(&bob, Vec::new());
    let counter =
        |made: &signal::Ciphertext| signal::message_key(made.kind, &made.bytes).expect("ours").counter;
    assert_eq!(counter(&after), counter(&before) + 1, "nothing is passed over twice");
}

#[test]
fn who_runs_on_in_a_later_age_uses_no_key_again_of_what_left_its_memory() {
    let (mut ada, bob, _) = three();
    let mut used = BTreeSet::new();
    let mut whispers = |ada: &mut Device, bundles| {
        let note = ada.whisper(&bob, bundles);
        let key = signal::message_key(note.kind, &note.bytes).expect("ours");
        assert!(used.insert(key), "{key:?} was used before");
        key.counter
    };
    whispers(&mut ada, vec![bob.bundle()]);
    let standby = ada.rows.clone();
    let last = whispers(&mut ada, Vec::new());
    // The row is what it was before the last message, and memory has let go of the ratchet.
    ada.rows = standby;
    ada.vault.peers = Peers::new(100, Age(0));
    ada.vault.live_in(Age(1), Age(0));
    assert!(whispers(&mut ada, Vec::new()) > last);
    ada.vault.live_in(Age(0), Age(0));
    assert_eq!(ada.vault.age(), Age(1), "an age that is over does not come again");
    // What it remembers it goes on with, key by key, as long as nobody else can have done so.
    let last = whispers(&mut ada, Vec::new());
    ada.vault.live_in(Age(2), Age(0));
    assert_eq!(whispers(&mut ada, Vec::new()), last + 1);
    ada.vault.durable(ada.token);
    ada.vault.live_in(Age(3), Age(3));
    let passed = whispers(&mut ada, Vec::new()) - last;
    assert!(passed > 500, "{passed} keys were passed over");
}

#[test]
fn a_ratchet_goes_on_after_the_end_of_an_age_also_when_the_one_before_it_had_sent_far_more() {
    let (mut ada, bob, _) = three();
    ada.whisper(&bob, vec![bob.bundle()]);
    (0..2000).for_each(|_| drop(ada.whisper(&bob, Vec::new())));
    let last = ada.whisper(&bob, vec![bob.bundle()]);
    let mut ada = ada.taken_over_at(1);
    let next = ada.whisper(&bob, Vec::new());
    let key = |made: &signal::Ciphertext| signal::message_key(made.kind, &made.bytes).expect("ours");
    assert_eq!(key(&next).ratchet, key(&last).ratchet, "it is the same ratchet");
    let passed = key(&next).counter - key(&last).counter;
    assert!((512..1000).contains(&passed), "{passed} keys were passed over");
}

#[test]
fn after_the_database_has_lost_its_tail_no_prekey_id_is_given_to_another_key() {
    let mut ada = Device::new(44_449);
    let uploaded = |ada: &mut Device| match ada.work(CryptoRequest::Prekeys(4, 2)) {
        Changed::Prekeys(_, upload) => upload.keys.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
        other => panic!("no prekeys: {other:?}"),
    };
    ada.rotate(NOW);
    let (standby, mut one_time, mut signed) = (ada.rows.clone(), BTreeSet::new(), BTreeSet::new());
    for age in 0..4 {
        ada.rows = standby.clone();
        ada = ada.taken_over_at(age);
        assert!(uploaded(&mut ada).into_iter().all(|id| one_time.insert(id)), "a prekey in age {age}");
        let Rotation::Offer(offered) = ada.rotate(after(1)) else { panic!("due") };
        assert!(signed.insert(offered.id), "{} in age {age}", offered.id);
    }
}

/// As long as the clients have it.
const PERIOD: Duration = Duration::from_secs(27 * 24 * 3600);

/// A moment so many rotations after the device was made.
fn after(periods: i64) -> UnixMillis {
    UnixMillis(NOW.0 + periods * i64::try_from(PERIOD.as_millis()).expect("not long"))
}

impl Device {
    fn rotate(&mut self, now: UnixMillis) -> Rotation {
        match self.work(CryptoRequest::Rotate { now, period: PERIOD }) {
            Changed::Rotation(_, rotation) => rotation,
            other => panic!("not rotated: {other:?}"),
        }
    }

    /// What somebody else writes to this device with that bundle.
    fn written(&self, bundle: &(PeerName, Bundle)) -> (PeerName, CiphertextKind, Bytes) {
        let mut writer = Device::new(self.token + 500);
        let made = writer.work(CryptoRequest::Encrypt {
            bundles: vec![bundle.clone()],
            plaintexts: vec![Bytes::from_static(&[b'x', 1])],
            targets: vec![Target { peer: self.name(), plaintext: 0 }],
            lost: None,
        });
        match made {
            Changed::Encrypted(Encryption::Done { ciphertexts, .. }) => {
                let made = ciphertexts[0].clone().expect("a good bundle");
                (writer.name(), made.kind, made.bytes)
            }
            other => panic!("not encrypted: {other:?}"),
        }
    }

    fn reads(&mut self, (from, kind, bytes): (PeerName, CiphertextKind, Bytes)) -> bool {
        let single = Some((kind, bytes));
        let request = CryptoRequest::Decrypt { from, to: None, single, group: None, asked_before: false };
        matches!(self.work(request), Changed::Decrypted(decrypted) if decrypted.result.is_ok())
    }
}

#[test]
fn a_signed_prekey_is_replaced_when_its_time_is_over_and_not_before() {
    let mut ada = Device::new(44_444);
    assert_eq!(ada.rotate(NOW), Rotation::Due(PERIOD));
    let early = UnixMillis(after(1).0 - 1);
    assert_eq!(ada.rotate(early), Rotation::Due(Duration::from_millis(1)));
    assert!(matches!(ada.rotate(after(1)), Rotation::Offer(key) if key.id == 2));
    ada.work(CryptoRequest::Rotated { id: 2, taken: true, now: after(1) });
    assert_eq!(ada.bundle().1.signed_prekey.id, 2);
    assert_eq!(ada.rotate(after(1)), Rotation::Due(PERIOD));
}

#[test]
fn a_moment_that_lies_ahead_begins_a_new_term() {
    let mut ada = Device::new(44_445);
    let past = UnixMillis(NOW.0 - 1);
    assert_eq!(ada.rotate(past), Rotation::Due(PERIOD));
    assert_eq!(ada.rotate(UnixMillis(past.0 + 1)), Rotation::Due(PERIOD - Duration::from_millis(1)));
}

#[test]
fn an_offered_key_is_the_next_owners_too_and_reads_what_came_under_it() {
    let mut ada = Device::new(44_446);
    let Rotation::Offer(offered) = ada.rotate(after(1)) else { panic!("due") };
    let mut ada = ada.taken_over();
    assert_eq!(ada.rotate(after(1)), Rotation::Offer(offered.clone()));
    let (name, bundle) = ada.bundle();
    let written = ada.written(&(name, Bundle { signed_prekey: offered, ..bundle }));
    assert!(ada.reads(written), "WhatsApp may have taken it without our hearing of it");
}

#[test]
fn prekeys_that_are_uploaded_during_a_rotation_do_not_take_it_back() {
    let mut ada = Device::new(44_448);
    let uploaded = |ada: &mut Device| match ada.work(CryptoRequest::Prekeys(4, 2)) {
        Changed::Prekeys(_, upload) => upload.signed_prekey.id,
        other => panic!("no prekeys: {other:?}"),
    };
    assert_eq!(uploaded(&mut ada), 1);
    assert!(matches!(ada.rotate(after(1)), Rotation::Offer(_)));
    assert_eq!(uploaded(&mut ada), 2, "WhatsApp may have it already");
    ada.work(CryptoRequest::Rotated { id: 2, taken: false, now: after(1) });
    assert_eq!(uploaded(&mut ada), 1);
}

#[test]
fn a_message_under_a_replaced_key_is_read_until_two_more_have_come() {
    let mut ada = Device::new(44_447);
    let first = ada.bundle();
    for rotation in 1..=3 {
        assert!(matches!(ada.rotate(after(rotation)), Rotation::Offer(_)));
        let id = u32::try_from(rotation).expect("few") + 1;
        ada.work(CryptoRequest::Rotated { id, taken: true, now: after(rotation) });
        ada = ada.taken_over();
        let written = ada.written(&first);
        assert_eq!(ada.reads(written), rotation <= 2, "after {rotation} rotations");
    }
}
