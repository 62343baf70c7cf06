//! Two parties that keep their records as a store would: as bytes, loaded anew for every operation.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::signal::PrekeyPage;

struct Party {
    address: Address,
    keys: Keys,
    page: PrekeyPage,
    peer: Peer,
    rng: StdRng,
}

impl Party {
    fn new(name: &str, seed: u64) -> Party {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys = Keys::generate(&mut rng);
        let page = PrekeyPage::generate(0, &mut rng);
        Party { address: Address::new(format!("{name}@lid"), 1), keys, page, peer: Peer::default(), rng }
    }

    fn bundle(&self) -> Bundle {
        Bundle {
            registration_id: self.keys.registration_id(),
            identity: *self.keys.identity().public(),
            signed_prekey: self.keys.signed_prekey(),
            one_time: self.page.publics().next(),
        }
    }

    fn send(&mut self, to: &Address, plaintext: &[u8]) -> Ciphertext {
        encrypt(&self.keys, to, &mut self.peer, plaintext).expect("there is a ratchet")
    }

    fn receive(&mut self, from: &Address, message: &Ciphertext) -> Result<Decrypted, DecryptError> {
        let page = &self.page;
        let find = |id| page.get(id).cloned();
        decrypt(&self.keys, from, &mut self.peer, find, message.kind, &message.bytes, &mut self.rng)
    }
}

fn pair() -> (Party, Party) {
    let (mut alice, bob) = (Party::new("1", 1), Party::new("2", 2));
    let changed = establish(&alice.keys, &bob.address, &mut alice.peer, &bob.bundle(), &mut alice.rng);
    assert!(!changed.expect("a good bundle"));
    (alice, bob)
}

#[test]
fn the_first_message_opens_a_ratchet_and_names_the_prekey_it_used() {
    let (mut alice, mut bob) = pair();
    let first = alice.send(&bob.address.clone(), b"hello");
    assert_eq!(first.kind, CiphertextKind::Pkmsg);
    let got = bob.receive(&alice.address.clone(), &first).expect("readable");
    assert_eq!((got.plaintext.as_slice(), got.consumed_prekey), (&b"hello"[..], Some(1)));
    let back = bob.send(&alice.address.clone(), b"hi");
    assert_eq!(back.kind, CiphertextKind::Msg);
    assert_eq!(alice.receive(&bob.address.clone(), &back).expect("readable").plaintext, b"hi");
    assert_eq!(alice.send(&bob.address.clone(), b"so").kind, CiphertextKind::Msg);
}

#[test]
fn a_record_does_not_grow_and_no_counter_is_skipped() {
    let (mut alice, mut bob) = pair();
    for expected in 0..200 {
        let message = alice.send(&bob.address.clone(), b"x");
        let key = message_key(message.kind, &message.bytes).expect("our own ciphertext");
        assert_eq!(key.counter, expected);
        bob.receive(&alice.address.clone(), &message).expect("readable");
    }
    assert!(bob.peer.session.as_ref().expect("a ratchet").len() < 2000);
}

#[test]
fn a_peer_that_opens_ratchet_after_ratchet_and_leaves_gaps_costs_a_bounded_record() {
    let (mut alice, mut bob) = pair();
    let (to, from) = (bob.address.clone(), alice.address.clone());
    let mut sizes = Vec::new();
    for _ in 0..4 {
        establish(&alice.keys, &to, &mut alice.peer, &bob.bundle(), &mut alice.rng).expect("a good bundle");
        let sent: Vec<Ciphertext> = (0..2000).map(|_| alice.send(&to, b"x")).collect();
        bob.receive(&from, &sent[1999]).expect("readable");
        sizes.push(bob.peer.session.as_ref().expect("a ratchet").len());
        bob.receive(&from, &sent[7]).expect("what is missing may still come");
    }
    assert!(sizes[0] > 64 << 10, "the keys of what is missing are kept: {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= crate::signal::stores::MOST), "{sizes:?}");
}

#[test]
fn a_message_that_comes_twice_is_a_duplicate_and_changes_nothing() {
    let (mut alice, mut bob) = pair();
    let message = alice.send(&bob.address.clone(), b"once");
    bob.receive(&alice.address.clone(), &message).expect("readable");
    bob.page.remove(1);
    let before = bob.peer.clone();
    let again = bob.receive(&alice.address.clone(), &message);
    assert!(matches!(again, Err(DecryptError::Duplicate)), "{again:?}");
    assert_eq!(bob.peer, before);
}

#[test]
fn a_used_prekey_is_reported_as_unknown() {
    let (mut alice, mut bob) = pair();
    bob.page.remove(1);
    let message = alice.send(&bob.address.clone(), b"late");
    let result = bob.receive(&alice.address.clone(), &message);
    assert!(matches!(result, Err(DecryptError::UnknownPrekey(Some(1)))), "{result:?}");
}

#[test]
fn without_a_ratchet_nothing_is_encrypted_or_decrypted() {
    let (mut alice, mut bob) = pair();
    let stranger = Party::new("3", 3);
    let none = encrypt(&stranger.keys, &bob.address, &mut Peer::default(), b"x");
    assert!(matches!(none, Err(EncryptError::NoSession(_))));
    let first = alice.send(&bob.address.clone(), b"1");
    bob.receive(&alice.address.clone(), &first).expect("readable");
    let reply = bob.send(&alice.address.clone(), b"2");
    alice.peer = Peer::default();
    let lost = alice.receive(&bob.address.clone(), &reply);
    assert!(matches!(lost, Err(DecryptError::NoSession(_))), "{lost:?}");
}

#[test]
fn a_bent_ciphertext_and_a_bent_bundle_are_refused_without_a_trace() {
    let (mut alice, mut bob) = pair();
    let message = alice.send(&bob.address.clone(), b"x");
    let mut bytes = message.bytes.to_vec();
    // The middle: the registration id at the end is outside of the MAC.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bent = Ciphertext { kind: message.kind, bytes: bytes.into() };
    assert!(bob.receive(&alice.address.clone(), &bent).is_err());
    assert_eq!(bob.peer, Peer::default());
    let mut bundle = bob.bundle();
    bundle.signed_prekey.signature[0] ^= 1;
    let before = alice.peer.clone();
    let refused = establish(&alice.keys, &bob.address, &mut alice.peer, &bundle, &mut alice.rng);
    assert!(matches!(refused, Err(BundleError::Signature)));
    assert_eq!(alice.peer, before);
}

#[test]
fn a_live_peer_reads_and_writes_as_a_stored_one_and_is_as_it_was_after_every_refusal() {
    let (mut alice, bob) = pair();
    let (mut live, prekey) = (LivePeer::default(), bob.page.get(1).cloned());
    let (to_alice, to_bob) = (alice.address.clone(), bob.address.clone());
    let mut rng = StdRng::seed_from_u64(3);
    let record = |live: &mut LivePeer| live.session.bytes().expect("a record");
    for round in 0..6u8 {
        let sent = alice.send(&to_bob, &[round]);
        let mut bent = sent.bytes.to_vec();
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        let before = record(&mut live);
        let mut receive =
            |bytes: &[u8]| live.decrypt(&bob.keys, &to_alice, |_| prekey.clone(), sent.kind, bytes, &mut rng);
        assert!(receive(&bent).is_err());
        assert!(record(&mut live) == before, "round {round}: bent");
        let mut receive =
            |bytes: &[u8]| live.decrypt(&bob.keys, &to_alice, |_| prekey.clone(), sent.kind, bytes, &mut rng);
        assert_eq!(receive(&sent.bytes).expect("readable").plaintext, [round]);
        let again = receive(&sent.bytes);
        assert!(matches!(again, Err(DecryptError::Duplicate)), "{again:?}");
        if round % 2 == 0 {
            let answer = live.encrypt(&bob.keys, &to_alice, b"heard").expect("there is a ratchet");
            assert_eq!(alice.receive(&to_bob, &answer).expect("readable").plaintext, b"heard");
        }
    }
    let mut bad = alice.bundle();
    bad.signed_prekey.signature[0] ^= 1;
    let before = record(&mut live);
    assert!(before.is_some() && live.establish(&bob.keys, &to_alice, &bad, &mut rng).is_err());
    assert!(record(&mut live) == before, "a bad bundle changes nothing");
}

#[test]
fn a_new_identity_is_reported_and_a_message_on_the_old_ratchet_still_reads() {
    let (mut alice, mut bob) = pair();
    let first = alice.send(&bob.address.clone(), b"1");
    bob.receive(&alice.address.clone(), &first).expect("readable");
    let late = alice.send(&bob.address.clone(), b"late");
    let mut newborn = Party::new("1", 99);
    newborn.address = alice.address.clone();
    establish(&newborn.keys, &bob.address, &mut newborn.peer, &bob.bundle(), &mut newborn.rng).expect("good");
    let message = newborn.send(&bob.address.clone(), b"new phone");
    assert!(bob.receive(&alice.address.clone(), &message).expect("readable").identity_changed);
    assert_eq!(bob.receive(&alice.address.clone(), &late).expect("readable").plaintext, b"late");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the order of sends, deliveries and losses, what arrives is what was sent, and no message
    /// key is used for two ciphertexts.
    #[test]
    fn talk_in_any_order_never_reuses_a_message_key(steps in prop::collection::vec((any::<bool>(), 0u8..4), 1..60)) {
        let (mut alice, mut bob) = pair();
        let opening = alice.send(&bob.address.clone(), b"open");
        bob.receive(&alice.address.clone(), &opening).expect("readable");
        let mut used = BTreeSet::from([message_key(opening.kind, &opening.bytes).expect("ours")]);
        let mut flying: [Vec<(u32, Ciphertext)>; 2] = Default::default();
        for (number, (from_alice, what)) in steps.into_iter().enumerate() {
            let number = u32::try_from(number).expect("few");
            let (me, other, lane) = if from_alice { (&mut alice, &mut bob, 0) } else { (&mut bob, &mut alice, 1) };
            match what {
                0 | 1 => {
                    let message = me.send(&other.address.clone(), &number.to_be_bytes());
                    prop_assert!(used.insert(message_key(message.kind, &message.bytes).expect("ours")));
                    flying[lane].push((number, message));
                }
                2 => {
                    // The newest first: out of order.
                    if let Some((number, message)) = flying[lane].pop() {
                        let got = other.receive(&me.address.clone(), &message).expect("readable");
                        prop_assert_eq!(got.plaintext, number.to_be_bytes());
                    }
                }
                _ => {
                    flying[lane].pop();
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, prekey: bool) {
        let kind = if prekey { CiphertextKind::Pkmsg } else { CiphertextKind::Msg };
        let _ = message_key(kind, &bytes);
        let mut bob = Party::new("2", 2);
        let result = bob.receive(&Address::new("1@lid", 0), &Ciphertext { kind, bytes: bytes.into() });
        prop_assert!(result.is_err());
    }
}

#[test]
fn a_ratchet_from_before_its_last_messages_uses_no_message_key_twice_once_it_has_skipped_ahead() {
    let (mut alice, mut bob) = pair();
    let (to_bob, to_alice) = (bob.address.clone(), alice.address.clone());
    let first = alice.send(&to_bob, b"first");
    bob.receive(&to_alice, &first).expect("readable");
    let answer = bob.send(&to_alice, b"answer");
    alice.receive(&to_bob, &answer).expect("readable");
    let stored = alice.peer.clone();
    let mut used = BTreeSet::new();
    for n in 0..20 {
        let lost = alice.send(&to_bob, b"after the store's last moment");
        assert!(used.insert(message_key(lost.kind, &lost.bytes).expect("ours")));
        if n % 2 == 0 {
            bob.receive(&to_alice, &lost).expect("readable");
        }
    }
    alice.peer = stored;
    let session = alice.peer.session.take().expect("a ratchet");
    alice.peer.session = Some(skip_ahead(&session, 512).expect("a good record"));
    for _ in 0..20 {
        let message = alice.send(&to_bob, b"by the next owner");
        assert!(
            used.insert(message_key(message.kind, &message.bytes).expect("ours")),
            "a key was used twice"
        );
        bob.receive(&to_alice, &message).expect("readable");
        let answer = bob.send(&to_alice, b"heard");
        alice.receive(&to_bob, &answer).expect("what comes in is read as before");
    }
}
