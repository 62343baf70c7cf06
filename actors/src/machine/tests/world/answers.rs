//! The store and crypto of the world, and WhatsApp's answers.

use std::time::Duration;

use bytes::Bytes;
use roost_proto::adv::{AdvError, DeviceIdentity};
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::e2e;
use roost_proto::id::{Sequence, UnixMillis};
use roost_proto::signal::{Ciphertext, CiphertextKind, PublicSignedPrekey};
use roost_proto::stanza::{self, Builder, Jid, Read, Stanza};

use super::chains::sender_key;
use super::kept::mark;
use super::{Step, World};
use crate::device::Part;
use crate::machine::*;
use crate::port::{Accepted, Batch, Committed, StateKey, StateKind, StoredMessage, rank};

impl World {
    pub(super) fn commit_done(&mut self) -> Vec<Effect> {
        let Some(batch) = self.flying.take() else { return Vec::new() };
        let committed = self.write(&batch);
        self.feed(Event::Committed(committed))
    }

    /// What the store does with a batch, the first time or again.
    pub(super) fn write(&mut self, batch: &Batch) -> Committed {
        let again = std::mem::take(&mut self.unheard);
        for (key, bytes) in &batch.state {
            if key.kind == StateKind::Session
                && let Some(bytes) = bytes
            {
                let version = u64::from_be_bytes(bytes.as_ref().try_into().expect("ours"));
                assert!(again || version > self.kept, "a ratchet went back from {} to {version}", self.kept);
                self.kept = version;
            }
            match bytes {
                Some(bytes) => self.rows.insert(key.clone(), bytes.clone()),
                None => self.rows.remove(key),
            };
        }
        let swept = batch.sweep.map(|sweep| self.sweep(sweep));
        let mut committed = Committed { swept, ..Committed::default() };
        for accept in &batch.accepts {
            let mut known = self.messages.values();
            if let Some(stored) = known.find(|stored| stored.message.request_id == accept.request_id) {
                committed.accepts.push(match stored.message.request_hash == accept.request_hash {
                    true => Accepted::Repeated(Box::new(stored.clone())),
                    false => Accepted::KeyReused,
                });
                continue;
            }
            let chosen = batch.chosen.iter().find(|chosen| chosen.message_id == accept.message_id);
            let mut ids = self.messages.values().map(|stored| &stored.message.whatsapp_id);
            let is_taken = |taken_by: &[String]| taken_by.iter().any(|key| self.events.contains(key));
            if chosen.is_some_and(|it| ids.any(|id| *id == accept.whatsapp_id) || is_taken(&it.taken_by)) {
                committed.accepts.push(Accepted::IdTaken);
                continue;
            }
            let ordinal = i64::try_from(self.messages.len()).expect("few") + 1;
            let stored = StoredMessage::accepted(accept.clone(), ordinal);
            self.messages.insert(accept.message_id.clone(), stored);
            committed.accepts.push(Accepted::New { ordinal });
        }
        for update in &batch.messages {
            let stored = self.messages.get_mut(&update.message_id).expect("it was accepted");
            stored.state = std::cmp::max_by_key(stored.state, update.state, |state| rank(*state));
            stored.wire = update.wire.clone().or(stored.wire.take());
            self.wires.extend(update.wire.clone());
        }
        for cast in &batch.votes {
            let told = |payload: &Payload| matches!(payload, Payload::PollVoteReceived(_));
            let with_its_event = batch.events.iter().any(|event| told(&event.payload));
            assert!(cast.vote.said.from_me || with_its_event, "a vote is kept with its event");
            self.votes.push(cast.clone());
        }
        for event in &batch.events {
            let new = self.events.insert(event.dedupe.clone());
            let sequence = Sequence(i64::try_from(self.events.len()).expect("few"));
            committed.events.push(new.then_some(sequence));
            self.payloads.push(event.payload.clone());
            match &event.payload {
                Payload::MessageReceived(message) => _ = self.received.insert(message.whatsapp_id.clone()),
                Payload::ReactionReceived(api::ReactionReceived { said: Some(said), .. })
                | Payload::PollVoteReceived(api::PollVoteReceived { said: Some(said), .. })
                | Payload::PollOptionAdded(api::PollOptionAdded { said: Some(said), .. }) => {
                    self.received.insert(said.whatsapp_id.clone());
                }
                Payload::StatusReceived(api::StatusReceived { message: Some(post) }) => {
                    self.received.insert(post.whatsapp_id.clone());
                }
                _ => {}
            }
        }
        committed
    }

    /// Crypto answers the oldest request. One row stands for all ratchets: its value counts the changes.
    pub(super) fn answer_crypto(&mut self) -> Vec<Effect> {
        let Some((token, request)) = self.crypto.pop_front() else { return Vec::new() };
        let changed = match request {
            CryptoRequest::Decrypt { from, to, single, group, asked_before } => {
                let bytes = group.and_then(|group| group.bytes).or(single.map(|(_, bytes)| bytes));
                let id = String::from_utf8(bytes.expect("a ciphertext").to_vec()).expect("ours");
                let result = if self.unreadable.contains(&id) {
                    Err(DecryptFailure::Undecryptable {
                        why: "test".to_owned(),
                        registration_id: 7,
                        keys: asked_before.then(|| {
                            Box::new(RetryKeys { identity: [1; 32], signed_prekey: prekey(), one_time: None })
                        }),
                    })
                } else if self.decrypted.insert(id.clone()) {
                    let mut plaintext = self.said.get(&id).cloned().unwrap_or_else(|| e2e::text(&id));
                    plaintext.push(1);
                    Ok((plaintext, false))
                } else {
                    Err(DecryptFailure::Duplicate)
                };
                let changes = if result.is_ok() { vec![self.change()] } else { Vec::new() };
                let spoken_lid = to.and_then(|to| self.named(to).lid);
                let lid = from.lid.or(Some("800000".to_owned()));
                Changed::Decrypted(Box::new(Decrypted { changes, lid, spoken_lid, result }))
            }
            CryptoRequest::Encrypt { bundles, targets, .. } => {
                if bundles.is_empty() && self.made == 0 {
                    Changed::Encrypted(Encryption::Missing(vec![targets[0].peer.clone()]))
                } else {
                    let changes = vec![self.change()];
                    let made = |_: &Target| {
                        Some(Ciphertext { kind: CiphertextKind::Msg, bytes: Bytes::from(vec![3; 40]) })
                    };
                    let ciphertexts = targets.iter().map(made).collect();
                    // All others have the keys that WhatsApp answers with.
                    let renewed = bundles.into_iter().filter(|(_, bundle)| bundle.identity != [1; 32]);
                    let renewed = renewed.map(|(peer, _)| peer).collect();
                    Changed::Encrypted(Encryption::Done { changes, ciphertexts, renewed })
                }
            }
            CryptoRequest::EncryptForGroup { bundles, targets, beside, .. } => {
                Changed::GroupEncrypted(if bundles.is_empty() && self.made == 0 {
                    GroupEncryption::Missing(vec![targets[0].clone()])
                } else {
                    self.chain = true;
                    GroupEncryption::Done {
                        changes: vec![self.change(), (sender_key(), Some(Bytes::from_static(b"chain")))],
                        ciphertext: Bytes::from(vec![4; 40]),
                        distributed: Vec::new(),
                        beside: beside.map(|_| Ciphertext {
                            kind: CiphertextKind::Msg,
                            bytes: Bytes::from(vec![5; 40]),
                        }),
                        renewed: Vec::new(),
                    }
                })
            }
            CryptoRequest::EndChain { .. } => {
                self.chain = false;
                Changed::State(vec![(sender_key(), None)])
            }
            CryptoRequest::Recall { kind, names } => {
                let row = |name: &String| self.rows.get(&StateKey { kind, name: name.clone() }).cloned();
                Changed::Recalled(names.iter().filter_map(row).collect())
            }
            CryptoRequest::Prekeys(..) => {
                let upload = PrekeyUpload {
                    pages: vec![0],
                    registration_id: 7,
                    identity: [1; 32],
                    signed_prekey: prekey(),
                    keys: vec![(1, [2; 32])],
                };
                let key = StateKey { kind: StateKind::Prekeys, name: "0".to_owned() };
                Changed::Prekeys(vec![(key, Some(Bytes::from_static(b"page")))], Box::new(upload))
            }
            CryptoRequest::CompareKeys(digest) => Changed::Compared(match digest.registration_id {
                7 => KeysCompared::Ours { one_time: digest.one_time.len() as u64 },
                _ => KeysCompared::Differ,
            }),
            CryptoRequest::Identities { user } => Changed::Identities(self.named(user)),
            CryptoRequest::Lids(pns) => {
                let lid = |pn: String| {
                    let name = PeerName { pn: Some(pn.clone()), ..PeerName::default() };
                    Some((pn, self.named(name).lid?))
                };
                Changed::Lids(pns.into_iter().filter_map(lid).collect())
            }
            CryptoRequest::Learn { pairs } => {
                let row = |pair: PeerName| {
                    let key = StateKey { kind: StateKind::Lid, name: pair.pn.expect("a pair") };
                    (key, pair.lid.map(Bytes::from))
                };
                Changed::State(pairs.into_iter().map(row).collect())
            }
            CryptoRequest::Rotate { now, period } => self.rotation(now, period),
            CryptoRequest::Rotated { taken, now, .. } => {
                let word = if taken { "taken" } else { "withdrawn" };
                Changed::State(vec![credentials(&format!("{word} {}", now.0))])
            }
            CryptoRequest::Uploaded { .. } | CryptoRequest::Forget { .. } => Changed::State(Vec::new()),
            CryptoRequest::Import(import) => {
                let whole = matches!(import.part, Part::Device(_));
                Changed::State(whole.then(|| mark(import.generation)).into_iter().collect())
            }
            CryptoRequest::Lid { pn } => {
                let known = self.rows.get(&StateKey { kind: StateKind::Lid, name: pn });
                Changed::Lid(known.map(|lid| String::from_utf8(lid.to_vec()).expect("a LID")))
            }
            CryptoRequest::Tokens { of } => {
                let kept = |of| self.tokens_kept.get(&user_of(of)).cloned().unwrap_or_default();
                Changed::Tokens(of.iter().map(kept).collect())
            }
            CryptoRequest::KeepTokens(tokens) => Changed::State(self.keep_tokens(tokens)),
            CryptoRequest::AppState(work) => Changed::AppState(match *work {
                Work::Encode { .. } => Worked::Encoded(Bytes::from_static(b"patch")),
                _ => Worked::NoKey,
            }),
            CryptoRequest::MakeKeys { .. } => Changed::Keys(Vec::new()),
            CryptoRequest::RenewSecret => Changed::Keys(vec![credentials("renewed")]),
            CryptoRequest::Qr { reference } => Changed::Qr(reference),
            CryptoRequest::PairHello(_) => Changed::PairHello(Some(PairHello {
                code: "ABCD-1234".to_owned(),
                wrapped: [4; 80],
                noise: [5; 32],
                platform: Default::default(),
            })),
            CryptoRequest::PairFinish { .. } => Changed::PairFinish(Some(PairFinish {
                changes: Vec::new(),
                bundle: vec![6; 156],
                identity: [7; 32],
            })),
            CryptoRequest::Passkey(step) => Changed::Passkey(Some(match step {
                PasskeyStep::Prologue { prove, .. } => {
                    PasskeyMade::Prologue { prologue: vec![8; 80], proof: prove.then_some([9; 32]) }
                }
                PasskeyStep::Meet { .. } => PasskeyMade::Met { nonce: [1; 32], code: "ABCD-1234".to_owned() },
                PasskeyStep::Seal => {
                    PasskeyMade::Sealed { changes: vec![credentials("sealed")], sealed: vec![2; 100] }
                }
            })),
            CryptoRequest::AcceptDevice { bytes } if bytes.as_ref() == b"signed" => {
                let identity = DeviceIdentity { raw_id: 1, timestamp: 1_700_000_000, key_index: 1 };
                Changed::Device(Ok((identity, b"whole".to_vec(), b"reply".to_vec())))
            }
            CryptoRequest::AcceptDevice { .. } => Changed::Device(Err(AdvError::Hmac)),
        };
        self.feed(Event::Crypto { token, changed })
    }

    /// Somebody in both forms, as far as the rows say.
    fn named(&self, PeerName { pn, lid, device }: PeerName) -> PeerName {
        let mut pairs = self.rows.iter().filter(|(key, _)| key.kind == StateKind::Lid);
        let is_it = |(key, row): &(&StateKey, &Bytes)| {
            Some(&key.name) == pn.as_ref() || lid.as_deref().map(str::as_bytes) == Some(row)
        };
        let pair = pairs.find(is_it);
        let known_lid = pair.map(|(_, row)| String::from_utf8(row.to_vec()).expect("a LID"));
        let known_pn = pair.map(|(key, _)| key.name.clone());
        PeerName { pn: pn.or(known_pn), lid: lid.or(known_lid), device }
    }

    /// The store knows of this pair.
    pub(in crate::machine::tests) fn knows(&mut self, pn: &str, lid: &str) {
        let key = StateKey { kind: StateKind::Lid, name: pn.to_owned() };
        self.rows.insert(key, Bytes::copy_from_slice(lid.as_bytes()));
    }

    /// Tokens are known at once, and rows with the commit.
    fn keep_tokens(&mut self, tokens: Vec<(PeerName, Token)>) -> Vec<crate::port::StateChange> {
        let mut changes = Vec::new();
        for (of, token) in tokens {
            let known = self.tokens_kept.remove(&user_of(&of)).unwrap_or_default().with(token);
            let key = StateKey { kind: StateKind::ContactToken, name: user_of(&of) };
            changes.push((key, Some(known.to_bytes())));
            self.tokens_kept.insert(user_of(&of), known);
        }
        changes
    }

    /// The phone gives a salt with history; it is in the store by then.
    pub(in crate::machine::tests) fn phone_salts(&mut self, salt: &'static [u8]) {
        self.machine.learn_salt(&Bytes::from_static(salt));
        self.take(Step::Time(1));
        self.commit_everything();
        let key = StateKey { kind: StateKind::Salt, name: String::new() };
        assert_eq!(self.rows.get(&key).map(Bytes::as_ref), Some(salt));
    }

    /// The row of the device's own keys.
    pub(in crate::machine::tests) fn credentials(&self) -> Option<&str> {
        let key = StateKey { kind: StateKind::Credentials, name: String::new() };
        self.rows.get(&key).map(|row| std::str::from_utf8(row).expect("ours"))
    }

    pub(in crate::machine::tests) fn account(&self) -> Option<Account> {
        let key = StateKey { kind: StateKind::Account, name: String::new() };
        self.rows.get(&key).and_then(|bytes| Account::from_bytes(bytes))
    }

    /// The row of the keys says what was done last, and when.
    fn rotation(&self, now: UnixMillis, period: Duration) -> Changed {
        let done = self.credentials().and_then(|row| row.split_once(' ')?.1.parse::<i64>().ok());
        let age = done.map(|at| Duration::from_millis((now.0 - at).unsigned_abs()));
        match age.filter(|age| *age < period) {
            Some(age) => Changed::Rotation(Vec::new(), Rotation::Due(period - age)),
            None => Changed::Rotation(vec![credentials("offered")], Rotation::Offer(prekey())),
        }
    }

    pub(super) fn change(&mut self) -> crate::port::StateChange {
        self.made += 1;
        let key = StateKey { kind: StateKind::Session, name: "ratchet".to_owned() };
        (key, Some(Bytes::copy_from_slice(&self.made.to_be_bytes())))
    }
}

/// A contact by the hidden identity, if that is known.
fn user_of(peer: &PeerName) -> String {
    peer.lid.clone().or(peer.pn.clone()).unwrap_or_default()
}

fn credentials(text: &str) -> crate::port::StateChange {
    let key = StateKey { kind: StateKind::Credentials, name: String::new() };
    (key, Some(Bytes::copy_from_slice(text.as_bytes())))
}

fn prekey() -> PublicSignedPrekey {
    PublicSignedPrekey { id: 1, public: [2; 32], signature: [3; 64] }
}

/// A good answer to any request of a device.
pub(super) fn answer(request: &Stanza) -> Stanza {
    let result = stanza::iq::result(request);
    if let Some(usync) = request.child("usync") {
        let asked = usync.child("list").map(Read::all).unwrap_or_default();
        let users = asked.iter().filter_map(|user| user.jid("jid")).map(|jid| {
            let device = |id: u64| Builder::new("device").attr("id", id).build();
            let list = Builder::new("device-list").children([device(0), device(1)]).build();
            let devices = Builder::new("devices").children([list]).build();
            let mut children = vec![devices];
            if jid.is_pn() {
                children.push(Builder::new("lid").attr("val", Jid::lid("800000")).build());
            }
            Builder::new("user").attr("jid", jid).children(children).build()
        });
        let list = Builder::new("list").children(users).build();
        return result.children([Builder::new("usync").children([list]).build()]).build();
    }
    if request.child("query").is_some() {
        let member = |lid: &str| Builder::new("participant").attr("jid", Jid::lid(lid)).build();
        let group = Builder::new("group").attr("addressing_mode", "lid");
        return result.children([group.children([member("800000"), member("900000")]).build()]).build();
    }
    if let Some(keys) = request.child("key") {
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let users = keys.all().iter().filter_map(|user| user.jid("jid")).map(|jid| {
            let signed =
                [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
            let children = [
                leaf("registration", vec![0, 0, 0, 9]),
                leaf("identity", vec![1; 32]),
                Builder::new("skey").children(signed).build(),
            ];
            Builder::new("user").attr("jid", jid).children(children).build()
        });
        return result.children([Builder::new("list").children(users).build()]).build();
    }
    if request.child("count").is_some() {
        return result.children([Builder::new("count").attr("value", 100u64).build()]).build();
    }
    result.build()
}
