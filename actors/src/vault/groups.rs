//! Sender keys: our chain in each group, who was given it, and the chains of others.
//!
//! What must hold: an entry leaves memory only when its last change is durable. As soon as somebody who was
//! given our chain is no longer among those who shall read, the chain ends and another begins: so removal
//! of a member or of a device is never forgotten, whoever owns the device then.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roost_proto::e2e;
use roost_proto::id::Age;
use roost_proto::signal::{self, Address, Bundle, Chain, CiphertextKind, GroupError, Keys};

use super::Vault;
use super::holders::Holders;
use super::peers::numbered;
use crate::machine::{CryptoRequest, GroupEncryption, PeerName};
use crate::port::{StateChange, StateKey, StateKind};

/// Rows that are kept in memory; more only while they are not durable.
const KEPT: usize = 512;

/// Bundles by the addresses of their ratchets.
type Bundles<'a> = BTreeMap<Address, &'a Bundle>;

#[derive(Debug, Default)]
struct Cached {
    row: Option<Bytes>,
    used: u64,
    /// The request that changed it last; 0 when nothing did.
    changed: u64,
}

/// Rows of sender keys by name.
#[derive(Debug, Default)]
pub(super) struct Chains {
    cached: BTreeMap<String, Cached>,
    /// How old the database is, see `aged`.
    age: Age,
    token: u64,
    durable: u64,
}

impl Chains {
    pub(super) fn new(age: Age) -> Chains {
        Chains { age, ..Chains::default() }
    }

    /// What is durable is read again.
    pub(super) fn let_go(&mut self) {
        self.cached.retain(|_, cached| cached.changed > self.durable);
    }

    pub(super) fn live_in(&mut self, age: Age) {
        self.age = age;
    }

    pub(super) fn begin(&mut self, token: u64) {
        self.token = token;
        let surplus = self.cached.len().saturating_sub(KEPT);
        if surplus == 0 {
            return;
        }
        let idle = self.cached.iter().filter(|(_, cached)| cached.changed <= self.durable);
        let mut idle: Vec<(u64, String)> = idle.map(|(name, cached)| (cached.used, name.clone())).collect();
        idle.sort();
        for (_, name) in idle.into_iter().take(surplus) {
            self.cached.remove(&name);
        }
    }

    pub(super) fn durable(&mut self, token: u64) {
        self.durable = self.durable.max(token);
    }

    pub(super) fn give(&mut self, name: &str, row: Option<Bytes>) {
        let used = self.token;
        self.cached.entry(name.to_owned()).or_insert(Cached { row, used, changed: 0 });
    }

    fn missing<'a>(&self, names: impl IntoIterator<Item = String> + 'a) -> Vec<StateKey> {
        let missing = names.into_iter().filter(|name| !self.cached.contains_key(name));
        missing.map(|name| StateKey { kind: StateKind::SenderKey, name }).collect()
    }

    /// Whether it is known that there is no such row.
    fn lacks(&self, name: &str) -> bool {
        self.cached.get(name).is_some_and(|cached| cached.row.is_none())
    }

    pub(super) fn get(&mut self, name: &str) -> Option<Bytes> {
        let used = self.token;
        let cached = self.cached.get_mut(name)?;
        cached.used = used;
        cached.row.clone()
    }

    pub(super) fn put(&mut self, name: String, row: Option<Bytes>) -> Option<StateChange> {
        let (used, changed) = (self.token, self.token);
        let before = self.cached.insert(name.clone(), Cached { row: row.clone(), used, changed });
        let same = before.as_ref().is_some_and(|before| before.row == row);
        if let (true, Some(before), Some(now)) = (same, before, self.cached.get_mut(&name)) {
            now.changed = before.changed;
        }
        (!same).then_some((StateKey { kind: StateKind::SenderKey, name }, row))
    }
}

impl Vault {
    /// Rows of sender keys that a request needs and that are not in memory. Addresses are known by now.
    pub(super) fn wanted_chains(&self, request: &CryptoRequest) -> Vec<StateKey> {
        let mut wanted = match request {
            CryptoRequest::Decrypt { from, group: Some(group), .. } => {
                let sender = self.peers.address(from);
                let name = self.theirs(&group.group, &sender);
                match self.peers.old_address(from, &sender) {
                    // The chain may still be kept under the phone number.
                    Some(old) if self.chains.lacks(&name) => {
                        self.chains.missing([self.theirs(&group.group, &old)])
                    }
                    _ => self.chains.missing([name]),
                }
            }
            CryptoRequest::EncryptForGroup { group, .. } => {
                self.chains.missing([self.ours(group), self.holders_row(group)])
            }
            CryptoRequest::Encrypt { lost: Some(group), .. } => {
                self.chains.missing([self.holders_row(group)])
            }
            _ => Vec::new(),
        };
        let renewals = match request {
            CryptoRequest::Decrypt { single, .. } => {
                single.as_ref().is_some_and(|(kind, _)| *kind == CiphertextKind::Pkmsg)
            }
            CryptoRequest::Encrypt { bundles, lost, .. } => !bundles.is_empty() || lost.is_some(),
            CryptoRequest::EncryptForGroup { .. } | CryptoRequest::Forget { .. } => true,
            _ => false,
        };
        if renewals {
            wanted.extend(self.chains.missing([self.renewals_row()]));
        }
        wanted
    }

    /// Rows of the ratchets that a distribution to a group needs.
    pub(super) fn wanted_ratchets(&mut self, request: &CryptoRequest) -> Vec<StateKey> {
        let CryptoRequest::EncryptForGroup { group, targets, beside, .. } = request else {
            return Vec::new();
        };
        let (mut lacking, _) = self.lacking(group, targets);
        lacking.extend(beside.iter().map(|(peer, _)| peer.clone()));
        self.peers.wanted_for(&lacking, self.generation)
    }

    /// What a peer has sent with a message: the key of its chain, when it is for this group.
    pub(super) fn take_in(&mut self, group: &str, sender: &PeerName, plaintext: &[u8]) -> Vec<StateChange> {
        let Ok(message) = e2e::unpad(plaintext) else { return Vec::new() };
        let Some((named, distribution)) = e2e::sender_key(message) else { return Vec::new() };
        if named != group {
            return Vec::new();
        }
        let (names, mut chain) = self.chain_of(group, sender);
        match signal::learn(&mut chain, &distribution) {
            Ok(_) => self.keep_chain(names, chain),
            Err(_) => Vec::new(),
        }
    }

    /// Decrypts what was sent to a group.
    pub(super) fn open_group(
        &mut self,
        group: &str,
        sender: &PeerName,
        bytes: &[u8],
    ) -> Result<(Vec<u8>, Vec<StateChange>), GroupError> {
        let (names, mut chain) = self.chain_of(group, sender);
        let plaintext = signal::decrypt_from_group(&mut chain, bytes)?;
        Ok((plaintext, self.keep_chain(names, chain)))
    }

    /// The chain of a sender, which may still be kept under his phone number: then its row is named too, and goes
    /// when the chain is kept, because an old copy of a chain must never be used.
    fn chain_of(&mut self, group: &str, sender: &PeerName) -> ((String, Option<String>), Chain) {
        let address = self.peers.address(sender);
        let name = self.theirs(group, &address);
        let chain = self.chains.get(&name);
        let old = self.peers.old_address(sender, &address).filter(|_| chain.is_none());
        let old = old.map(|old| self.theirs(group, &old));
        match old.and_then(|old| Some((self.chains.get(&old)?, old))) {
            Some((chain, old)) => ((name, Some(old)), Chain(Some(chain))),
            None => ((name, None), Chain(chain)),
        }
    }

    fn keep_chain(&mut self, (name, old): (String, Option<String>), chain: Chain) -> Vec<StateChange> {
        let kept = self.chains.put(name, chain.0);
        let gone = old.and_then(|old| self.chains.put(old, None));
        kept.into_iter().chain(gone).collect()
    }

    /// Encrypts once for all, and the key for those who lack it; and something for one device beside.
    pub(super) fn encrypt_for_group(
        &mut self,
        group: &str,
        bundles: &[(PeerName, Bundle)],
        plaintext: &[u8],
        targets: &[PeerName],
        beside: Option<&(PeerName, Bytes)>,
    ) -> GroupEncryption {
        let Some(keys) = self.keys.clone() else { return GroupEncryption::Failed };
        let (lacking, anew) = self.lacking(group, targets);
        let bundles = self.by_address(bundles);
        let missing = self.without_ratchet(&bundles, lacking.iter().chain(beside.map(|(peer, _)| peer)));
        if !missing.is_empty() {
            return GroupEncryption::Missing(missing);
        }
        let ours = self.ours(group);
        let mut chain = if anew { Chain::default() } else { Chain(self.chains.get(&ours)) };
        let Ok(distribution) = signal::distribution(&mut chain, &mut self.rng) else {
            // A chain that cannot be used is dropped; the next try begins another.
            let row = self.holders_row(group);
            self.chains.put(row, None);
            self.chains.put(ours, None);
            return GroupEncryption::Failed;
        };
        let Ok(ciphertext) = signal::encrypt_for_group(&mut chain, plaintext, &mut self.rng) else {
            return GroupEncryption::Failed;
        };
        let mut changes: Vec<StateChange> = self.chains.put(ours, chain.0).into_iter().collect();
        let mut holders = if anew { Holders::default() } else { self.holders(group) };
        let message = e2e::pad(&e2e::distribute(group, &distribution), &mut self.rng);
        let (mut distributed, mut renewed) = (Vec::new(), Vec::new());
        for peer in lacking {
            let made = self.encrypt_one(&keys, &bundles, &peer, &message, &mut changes, &mut renewed);
            if let Some(made) = made {
                holders.give(self.peers.address(&peer).to_string());
                distributed.push((peer, made));
            }
        }
        let row = self.holders_row(group);
        holders.has_followed(&self.renewals());
        changes.extend(self.chains.put(row, Some(holders.written())));
        let beside = beside.and_then(|(peer, plaintext)| {
            self.encrypt_one(&keys, &bundles, peer, plaintext, &mut changes, &mut renewed)
        });
        GroupEncryption::Done { changes, ciphertext, distributed, beside, renewed }
    }

    /// Our chain in a group is left: the next message begins another one, which everybody is given.
    pub(super) fn end_chain(&mut self, group: &str) -> Vec<StateChange> {
        let rows = [self.ours(group), self.holders_row(group)];
        rows.into_iter().filter_map(|row| self.chains.put(row, None)).collect()
    }

    /// A device has shown that it does not have our chain.
    pub(super) fn lost_by(&mut self, group: &str, peer: &PeerName) -> Option<StateChange> {
        let row = self.holders_row(group);
        self.chains.get(&row)?;
        let mut holders = self.holders(group);
        holders.lose(&self.peers.address(peer).to_string());
        self.chains.put(row, Some(holders.written()))
    }

    /// Who among the targets needs our chain, and whether it must be another one.
    fn lacking(&mut self, group: &str, targets: &[PeerName]) -> (Vec<PeerName>, bool) {
        let addresses: BTreeSet<String> =
            targets.iter().map(|peer| self.peers.address(peer).to_string()).collect();
        let ours = self.ours(group);
        let holders = self.holders(group);
        let anew = self.chains.get(&ours).is_none() || !holders.are_all_among(&addresses);
        let lacks = |peer: &&PeerName| anew || !holders.can_read(&self.peers.address(peer).to_string());
        (targets.iter().filter(lacks).cloned().collect(), anew)
    }

    fn holders(&mut self, group: &str) -> Holders {
        let row = self.holders_row(group);
        let mut holders = Holders::read(&self.chains.get(&row).unwrap_or_default());
        holders.follow(&self.renewals());
        holders
    }

    /// A chain from an earlier age may have gone further than is known: it is left, and another begins.
    fn ours(&self, group: &str) -> String {
        let own = match self.chains.age {
            Age(0) => format!("{group}/own"),
            Age(age) => format!("{group}/own@{age}"),
        };
        numbered(own, self.generation)
    }

    fn holders_row(&self, group: &str) -> String {
        numbered(format!("{group}/holders"), self.generation)
    }

    fn theirs(&self, group: &str, sender: &Address) -> String {
        chain_row(group, sender, self.generation)
    }

    /// Bundles by the addresses of their ratchets; of several for one, the first.
    pub(super) fn by_address<'a>(&self, bundles: &'a [(PeerName, Bundle)]) -> Bundles<'a> {
        let named = bundles.iter().rev();
        named.map(|(peer, bundle)| (self.peers.address(peer), bundle)).collect()
    }

    /// Those without a ratchet and without a bundle for one.
    pub(super) fn without_ratchet<'a>(
        &self,
        bundles: &Bundles<'_>,
        peers: impl Iterator<Item = &'a PeerName>,
    ) -> Vec<PeerName> {
        let lacks = |peer: &&PeerName| {
            !bundles.contains_key(&self.peers.address(peer)) && !self.peers.has_session(peer)
        };
        peers.filter(lacks).cloned().collect()
    }

    /// Encrypts for one device, opening a ratchet when there is a bundle. `None` when it cannot be.
    pub(super) fn encrypt_one(
        &mut self,
        keys: &Keys,
        bundles: &Bundles<'_>,
        to: &PeerName,
        plaintext: &[u8],
        changes: &mut Vec<StateChange>,
        renewed: &mut Vec<PeerName>,
    ) -> Option<signal::Ciphertext> {
        changes.extend(self.peers.learn(to, self.generation));
        let address = self.peers.address(to);
        let before = self.peers.get(&address);
        let mut peer = before.clone();
        if let Some(bundle) = bundles.get(&address) {
            match signal::establish(keys, &address, &mut peer, bundle, &mut self.rng) {
                Ok(true) => {
                    renewed.push(to.clone());
                    changes.extend(self.note_renewal(&address));
                }
                Ok(false) => {}
                Err(_) => return None,
            }
        }
        let made = signal::encrypt(keys, &address, &mut peer, plaintext).ok();
        if made.is_none() {
            // A ratchet that cannot be used is dropped; the next message opens a new one.
            peer = before.clone();
            peer.session = None;
        }
        changes.extend(self.peers.put(&address, &before, peer, self.generation));
        made
    }
}

/// The row of the chain of a sender in a group.
pub(super) fn chain_row(group: &str, sender: &Address, generation: u32) -> String {
    numbered(format!("{group}/{sender}"), generation)
}
