//! The keys and ratchets of one device in memory, and what is done with them. Synchronous and without a
//! store: it says which rows it needs, is given them, and says which rows changed.
//!
//! What must hold: a ratchet that has changed and is not durable yet never leaves memory, because what
//! the store has of it would use message keys again; on a failed operation nothing has changed.

mod aged;
pub(crate) mod collections;
mod groups;
mod handshake;
mod holders;
mod import;
mod pairing;
mod passkey;
mod peers;
mod prekeys;
mod renewed;
mod rotation;
mod tokens;

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use roost_proto::appstate::Key;
use roost_proto::id::{Age, UnixMillis};
use roost_proto::login::Platform;
use roost_proto::pair_code::PairCode;
use roost_proto::signal::{self, Address, Bundle, CiphertextKind, GroupError, KeyPair, Keys, PrekeyPage};

use crate::machine::{
    Account, Changed, CryptoRequest, DecryptFailure, Decrypted, Encryption, GroupCiphertext, PeerName,
    RetryKeys, Target,
};
use crate::port::{StateChange, StateKey, StateKind};
use collections::Collections;
use groups::Chains;
use import::leftovers;
use peers::Peers;
pub(crate) use peers::numbered;
use tokens::Tokens;

/// A stored row that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stored {what} cannot be read: {why}")]
pub struct Damage {
    what: &'static str,
    why: String,
}

/// The keys of a device.
pub struct Vault {
    keys: Option<Keys>,
    /// Counts how often the device was given new keys; ratchets of older keys are of no use.
    generation: u32,
    /// How old the database is, see `aged`.
    age: Age,
    pages: BTreeMap<u32, PrekeyPage>,
    peers: Peers,
    collections: Collections,
    chains: Chains,
    tokens: Tokens,
    /// The code of the pairing attempt that runs, and our key in it.
    pairing: Option<(PairCode, KeyPair)>,
    passkey: passkey::Agreement,
    /// What the device said it is when it last asked to be paired.
    platform: Platform,
    rng: StdRng,
}

/// The row of a device's own keys.
fn credentials(generation: u32, keys: &Keys) -> StateChange {
    let mut bytes = generation.to_be_bytes().to_vec();
    bytes.extend(keys.to_bytes());
    (StateKey { kind: StateKind::Credentials, name: String::new() }, Some(bytes.into()))
}

/// Why an answer must wait.
pub enum Wants {
    /// These rows must be read first.
    Rows(Vec<StateKey>),
    /// Nothing: this is the answer.
    Nothing(Changed),
}

impl Vault {
    /// Reads what the store has, apart from what is read on demand. `age` is the store's:
    /// [`Loaded::age`](crate::port::Loaded::age).
    pub fn open(
        state: Vec<(StateKey, Bytes)>,
        ratchets: usize,
        age: Age,
        rng: StdRng,
    ) -> Result<(Vault, Option<Account>), Damage> {
        let damage = |what, why: String| Damage { what, why };
        let mut vault = Vault {
            keys: None,
            generation: 0,
            age,
            pages: BTreeMap::new(),
            peers: Peers::new(ratchets, age),
            collections: Collections::default(),
            chains: Chains::new(age),
            tokens: Tokens::default(),
            pairing: None,
            passkey: passkey::Agreement::default(),
            platform: Platform::default(),
            rng,
        };
        let mut account = None;
        for (key, bytes) in state {
            match key.kind {
                StateKind::Credentials => {
                    let (generation, keys) = bytes
                        .split_first_chunk::<4>()
                        .ok_or_else(|| damage("keys", "they are too short".to_owned()))?;
                    vault.generation = u32::from_be_bytes(*generation);
                    vault.keys =
                        Some(Keys::from_bytes(keys).map_err(|error| damage("keys", error.to_string()))?);
                }
                StateKind::Account => {
                    let read = Account::from_bytes(&bytes);
                    account = Some(read.ok_or_else(|| damage("account", "it is malformed".to_owned()))?);
                }
                StateKind::Prekeys => {
                    let page = PrekeyPage::from_bytes(&bytes)
                        .map_err(|error| damage("prekeys", error.to_string()))?;
                    vault.pages.insert(page.number(), page);
                }
                StateKind::AppStateKey => {
                    let key = Key::from_bytes(&bytes);
                    vault
                        .collections
                        .add(key.map_err(|error| damage("a key of app state", error.to_string()))?);
                }
                _ => {}
            }
        }
        Ok((vault, account))
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The age of the database that rows must be read in.
    pub fn age(&self) -> Age {
        self.age
    }

    /// The database is in this age, or in a later one that the vault has heard of before. Rows that are read from now on
    /// may be older than what was sent with them; what is in memory only when it is from before the age that is
    /// trusted.
    pub fn live_in(&mut self, age: Age, trusted: Age) {
        if age > self.age {
            if trusted > self.age {
                self.peers.let_go();
                self.chains.let_go();
            }
            self.age = age;
            self.peers.live_in(age);
            self.chains.live_in(age);
        }
    }

    /// A row that was asked for.
    pub fn give(&mut self, key: &StateKey, bytes: Option<Bytes>) {
        match key.kind {
            StateKind::AppStatePage => self.collections.give(&key.name, bytes),
            StateKind::SenderKey => self.chains.give(&key.name, bytes),
            StateKind::ContactToken => self.tokens.give(&key.name, bytes.as_ref()),
            _ => self.peers.give(key, bytes, self.generation),
        }
    }

    /// Changes up to this request are durable.
    pub fn durable(&mut self, token: u64) {
        self.peers.durable(token);
        self.chains.durable(token);
        self.tokens.durable(token);
    }

    /// A request begins.
    pub fn begin(&mut self, token: u64) {
        self.peers.begin(token);
        self.collections.begin();
        self.chains.begin(token);
        self.tokens.begin(token);
    }

    /// Does what is asked, or says which rows it needs for it.
    pub fn work(&mut self, request: &CryptoRequest) -> Wants {
        // Addresses first, then what is kept under them.
        let mut wanted = match request {
            CryptoRequest::AppState(work) => self.collections.wanted(work),
            request => self.peers.wanted(request, self.generation),
        };
        if wanted.is_empty() {
            wanted = self.wanted_chains(request);
        }
        if wanted.is_empty() {
            wanted = self.wanted_tokens(request);
        }
        if wanted.is_empty() {
            wanted = self.wanted_ratchets(request);
        }
        if !wanted.is_empty() {
            return Wants::Rows(wanted);
        }
        Wants::Nothing(match request {
            CryptoRequest::MakeKeys { now } => Changed::Keys(self.make_keys(*now)),
            CryptoRequest::Import(import) => Changed::State(self.import(import)),
            CryptoRequest::Qr { reference } => Changed::Qr(self.qr(reference)),
            CryptoRequest::PairHello(wanted) => Changed::PairHello(self.pair_hello(wanted.as_ref())),
            CryptoRequest::RenewSecret => Changed::Keys(self.renew_secret()),
            CryptoRequest::PairFinish { wrapped, identity } => {
                Changed::PairFinish(self.pair_finish(wrapped, identity))
            }
            CryptoRequest::Passkey(step) => Changed::Passkey(self.passkey(step)),
            CryptoRequest::AcceptDevice { bytes } => Changed::Device(self.accept_device(bytes)),
            CryptoRequest::Decrypt { from, to, single, group, asked_before } => {
                let mut decrypted = self.decrypt(from, single.as_ref(), group.as_ref());
                decrypted.spoken_lid = to.as_ref().and_then(|to| self.peers.complete(to).lid);
                if *asked_before {
                    self.add_keys(&mut decrypted);
                }
                Changed::Decrypted(Box::new(decrypted))
            }
            CryptoRequest::Encrypt { bundles, plaintexts, targets, lost } => {
                Changed::Encrypted(self.encrypt(bundles, plaintexts, targets, lost.as_deref()))
            }
            CryptoRequest::EncryptForGroup { group, bundles, plaintext, targets, beside } => {
                let beside = beside.as_ref();
                let made = self.encrypt_for_group(group, bundles, plaintext, targets, beside);
                Changed::GroupEncrypted(made)
            }
            CryptoRequest::EndChain { group } => Changed::State(self.end_chain(group)),
            CryptoRequest::Prekeys(first, more) => {
                let (changes, upload) = self.prekeys(*first, *more);
                Changed::Prekeys(changes, Box::new(upload))
            }
            CryptoRequest::CompareKeys(digest) => Changed::Compared(self.compare_keys(digest)),
            CryptoRequest::Rotate { now, period } => {
                let (changes, rotation) = self.rotate(*now, *period);
                Changed::Rotation(changes, rotation)
            }
            CryptoRequest::Rotated { id, taken, now } => Changed::State(self.rotated(*id, *taken, *now)),
            CryptoRequest::Uploaded { pages } => Changed::State(self.uploaded(pages)),
            CryptoRequest::Forget { peer } => {
                let mut changes = self.peers.forget(peer, self.generation);
                if !changes.is_empty() {
                    changes.extend(self.note_renewal(&self.peers.address(peer)));
                }
                Changed::State(changes)
            }
            CryptoRequest::Lid { pn } => Changed::Lid(self.peers.lid(pn)),
            CryptoRequest::Lids(pns) => {
                let pairs = pns.iter().filter_map(|pn| Some((pn.clone(), self.peers.lid(pn)?)));
                Changed::Lids(pairs.collect())
            }
            CryptoRequest::AppState(work) => Changed::AppState(self.collections.work(work, &mut self.rng)),
            CryptoRequest::Recall { kind, names } => Changed::Recalled(self.peers.recall(*kind, names)),
            CryptoRequest::Identities { user } => Changed::Identities(self.peers.complete(user)),
            CryptoRequest::Learn { pairs } => Changed::State(self.peers.learn_pairs(pairs)),
            CryptoRequest::Tokens { of } => Changed::Tokens(of.iter().map(|of| self.token(of)).collect()),
            CryptoRequest::KeepTokens(tokens) => Changed::State(self.keep_tokens(tokens)),
        })
    }

    /// Adds keys for the sender to a decryption that failed.
    fn add_keys(&mut self, decrypted: &mut Decrypted) {
        let Err(DecryptFailure::Undecryptable { keys, .. }) = &mut decrypted.result else { return };
        let Some(ours) = &self.keys else { return };
        let (identity, signed_prekey) = (*ours.identity().public(), ours.signed_prekey());
        let one_time = self.single_prekey(&mut decrypted.changes);
        *keys = Some(Box::new(RetryKeys { identity, signed_prekey, one_time }));
    }

    fn make_keys(&mut self, now: UnixMillis) -> Vec<StateChange> {
        let again = self.keys.is_some();
        if again {
            self.generation = self.generation.wrapping_add(1);
            self.peers.forget_all();
            self.tokens.forget_all();
        }
        let mut keys = Keys::generate(&mut self.rng);
        keys.signed_prekeys().0.set_since(now);
        let mut changes = self.drop_pages();
        changes.extend(self.collections.forget_keys());
        changes.push(credentials(self.generation, &keys));
        changes.extend(again.then(|| leftovers(self.generation)));
        self.keys = Some(keys);
        changes
    }

    /// Decrypts what is for this device alone, takes in the sender key in it, and decrypts what is for the
    /// group, whichever of the two there is. The content is in the latter when there are both.
    fn decrypt(
        &mut self,
        from: &PeerName,
        single: Option<&(CiphertextKind, Bytes)>,
        group: Option<&GroupCiphertext>,
    ) -> Decrypted {
        let changes = self.peers.learn(from, self.generation);
        let address = self.peers.address(from);
        let lid = address.name().strip_suffix("@lid").map(str::to_owned);
        let result = Err(self.undecryptable("it carries no ciphertext".to_owned()));
        let mut decrypted = Decrypted { changes, lid, spoken_lid: None, result };
        if let Some((kind, bytes)) = single {
            decrypted.result = self.open_single(&address, *kind, bytes, &mut decrypted.changes);
            if let (Ok((plaintext, _)), Some(group)) = (&decrypted.result, group) {
                let learned = self.take_in(&group.group, from, plaintext);
                decrypted.changes.extend(learned);
            }
        }
        if let Some(GroupCiphertext { group, bytes: Some(bytes) }) = group {
            let renewed = matches!(decrypted.result, Ok((_, true)));
            decrypted.result = match self.open_group(group, from, bytes) {
                Ok((plaintext, changes)) => {
                    decrypted.changes.extend(changes);
                    Ok((plaintext, renewed))
                }
                Err(GroupError::Duplicate) => Err(DecryptFailure::Duplicate),
                Err(error) => Err(self.undecryptable(error.to_string())),
            };
        }
        decrypted
    }

    fn undecryptable(&self, why: String) -> DecryptFailure {
        let registration_id = self.keys.as_ref().map_or(0, Keys::registration_id);
        DecryptFailure::Undecryptable { why, registration_id, keys: None }
    }

    fn open_single(
        &mut self,
        address: &Address,
        kind: CiphertextKind,
        bytes: &[u8],
        changes: &mut Vec<StateChange>,
    ) -> Result<(Vec<u8>, bool), DecryptFailure> {
        let Some(keys) = &self.keys else {
            return Err(self.undecryptable("the device has no keys".to_owned()));
        };
        let mut peer = self.peers.get(address);
        let before = peer.clone();
        let pages = &self.pages;
        let find = |id| pages.values().find_map(|page| page.get(id)).cloned();
        match signal::decrypt(keys, address, &mut peer, find, kind, bytes, &mut self.rng) {
            Ok(decrypted) => {
                changes.extend(self.peers.put(address, &before, peer, self.generation));
                if decrypted.identity_changed {
                    changes.extend(self.note_renewal(address));
                }
                if let Some(id) = decrypted.consumed_prekey {
                    changes.extend(self.consume_prekey(id));
                }
                Ok((decrypted.plaintext, decrypted.identity_changed))
            }
            Err(signal::DecryptError::Duplicate) => Err(DecryptFailure::Duplicate),
            Err(error) => Err(self.undecryptable(error.to_string())),
        }
    }

    fn encrypt(
        &mut self,
        bundles: &[(PeerName, Bundle)],
        plaintexts: &[Bytes],
        targets: &[Target],
        lost: Option<&str>,
    ) -> Encryption {
        let Some(keys) = self.keys.clone() else {
            return Encryption::Done {
                changes: Vec::new(),
                ciphertexts: vec![None; targets.len()],
                renewed: Vec::new(),
            };
        };
        let bundles = self.by_address(bundles);
        let missing = self.without_ratchet(&bundles, targets.iter().map(|target| &target.peer));
        if !missing.is_empty() {
            return Encryption::Missing(missing);
        }
        let (mut changes, mut ciphertexts, mut renewed) = (Vec::new(), Vec::new(), Vec::new());
        for Target { peer, plaintext } in targets {
            let plaintext = plaintexts.get(*plaintext).map(Bytes::as_ref).unwrap_or_default();
            let made = self.encrypt_one(&keys, &bundles, peer, plaintext, &mut changes, &mut renewed);
            changes.extend(lost.and_then(|group| self.lost_by(group, peer)));
            ciphertexts.push(made);
        }
        Encryption::Done { changes, ciphertexts, renewed }
    }
}

#[cfg(test)]
mod tests;
