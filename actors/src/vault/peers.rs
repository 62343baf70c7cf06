//! Ratchets and identities of peer devices in memory, and the LIDs of phone numbers.
//!
//! What must hold: an entry leaves memory only when its last change is durable.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roost_proto::id::Age;
use roost_proto::signal::{Address, Peer};

use super::aged;
use crate::machine::{CryptoRequest, PeerName};
use crate::port::{StateChange, StateKey, StateKind};

/// Names of people that are remembered from one request to the next: a cache of rows, nothing more. One request may need more.
const NAMES: usize = 4096;

#[derive(Debug, Default)]
struct Cached {
    peer: Peer,
    /// Which of the two rows have been read.
    session_read: bool,
    identity_read: bool,
    used: u64,
    /// The request that changed it last; 0 when nothing did.
    changed: u64,
}

/// The entries.
#[derive(Debug)]
pub(super) struct Peers {
    cached: BTreeMap<Address, Cached>,
    /// LIDs of phone numbers, and the reverse; `None` when it is not known.
    lids: BTreeMap<String, Option<String>>,
    numbers: BTreeMap<String, Option<String>>,
    /// The request that learned a name last.
    learned: u64,
    /// Rows that were read to be looked at once.
    recalled: BTreeMap<StateKey, Option<Bytes>>,
    limit: usize,
    /// How old the database is, see `aged`.
    age: Age,
    token: u64,
    durable: u64,
}

impl Peers {
    pub(super) fn new(limit: usize, age: Age) -> Peers {
        Peers {
            cached: BTreeMap::new(),
            lids: BTreeMap::new(),
            numbers: BTreeMap::new(),
            learned: 0,
            recalled: BTreeMap::new(),
            limit,
            age,
            token: 0,
            durable: 0,
        }
    }

    /// What is durable is read again.
    pub(super) fn let_go(&mut self) {
        self.cached.retain(|_, cached| cached.changed > self.durable);
    }

    pub(super) fn live_in(&mut self, age: Age) {
        self.age = age;
    }

    /// Rows that a request needs and that are not in memory.
    pub(super) fn wanted(&self, request: &CryptoRequest, generation: u32) -> Vec<StateKey> {
        let mut wanted = BTreeSet::new();
        match request {
            CryptoRequest::Decrypt { from, to, .. } => {
                self.want(from, generation, &mut wanted);
                to.iter().for_each(|to| self.want_names(to, &mut wanted));
            }
            CryptoRequest::Forget { peer } => self.want(peer, generation, &mut wanted),
            CryptoRequest::Encrypt { targets, .. } => {
                for target in targets {
                    self.want(&target.peer, generation, &mut wanted);
                }
            }
            // Their addresses; who needs a ratchet is known later.
            CryptoRequest::EncryptForGroup { targets, .. } => {
                for pn in targets.iter().filter(|peer| peer.lid.is_none()).filter_map(|peer| peer.pn.as_ref())
                {
                    self.want_lid(pn, &mut wanted);
                }
            }
            CryptoRequest::Lid { pn } => self.want_lid(pn, &mut wanted),
            CryptoRequest::Lids(pns) => pns.iter().for_each(|pn| self.want_lid(pn, &mut wanted)),
            CryptoRequest::Recall { kind, names } => {
                let keys = names.iter().map(|name| StateKey { kind: *kind, name: name.clone() });
                wanted.extend(keys.filter(|key| !self.recalled.contains_key(key)));
            }
            CryptoRequest::Identities { user } => {
                self.want_names(user, &mut wanted);
            }
            CryptoRequest::Tokens { of } => of.iter().for_each(|user| self.want_names(user, &mut wanted)),
            CryptoRequest::KeepTokens(tokens) => {
                for (of, _) in tokens {
                    self.want_names(of, &mut wanted);
                }
            }
            CryptoRequest::Learn { pairs } => {
                for pair in pairs {
                    self.want_names(pair, &mut wanted);
                }
            }
            _ => {}
        }
        wanted.into_iter().collect()
    }

    /// Rows of the ratchets with these devices that are not in memory.
    pub(super) fn wanted_for(&self, peers: &[PeerName], generation: u32) -> Vec<StateKey> {
        let mut wanted = BTreeSet::new();
        for peer in peers {
            self.want(peer, generation, &mut wanted);
        }
        wanted.into_iter().collect()
    }

    fn want(&self, peer: &PeerName, generation: u32, wanted: &mut BTreeSet<StateKey>) {
        let before = wanted.len();
        self.want_names(peer, wanted);
        if wanted.len() > before {
            // The addresses are not known before that.
            return;
        }
        let address = self.address(peer);
        self.want_rows(&address, generation, wanted);
        // The ratchet may still be kept under the phone number.
        let without = self.cached.get(&address).is_some_and(|cached| cached.peer.session.is_none());
        if let (true, Some(old)) = (without, self.old_address(peer, &address)) {
            self.want_rows(&old, generation, wanted);
        }
    }

    /// What is known of the user beside its name.
    fn want_names(&self, peer: &PeerName, wanted: &mut BTreeSet<StateKey>) {
        if let Some(pn) = &peer.pn {
            self.want_lid(pn, wanted);
        }
        if let Some(lid) = peer.lid.as_ref().filter(|lid| !self.numbers.contains_key(*lid)) {
            wanted.insert(StateKey { kind: StateKind::Number, name: lid.clone() });
        }
    }

    fn want_lid(&self, pn: &str, wanted: &mut BTreeSet<StateKey>) {
        if !self.lids.contains_key(pn) {
            wanted.insert(StateKey { kind: StateKind::Lid, name: pn.to_owned() });
        }
    }

    fn want_rows(&self, address: &Address, generation: u32, wanted: &mut BTreeSet<StateKey>) {
        let cached = self.cached.get(address);
        if !cached.is_some_and(|cached| cached.session_read) {
            wanted.insert(row(StateKind::Session, address, generation));
        }
        if !cached.is_some_and(|cached| cached.identity_read) {
            wanted.insert(row(StateKind::Identity, address, generation));
        }
    }

    /// A row that was wanted.
    pub(super) fn give(&mut self, key: &StateKey, bytes: Option<Bytes>, generation: u32) {
        if let StateKind::Lid | StateKind::Number = key.kind {
            let names = if key.kind == StateKind::Lid { &mut self.lids } else { &mut self.numbers };
            let other = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            names.insert(key.name.clone(), other);
            return;
        }
        if let StateKind::MessageSecret | StateKind::SecretPage | StateKind::KnownChat = key.kind {
            self.recalled.insert(key.clone(), bytes);
            return;
        }
        let Some(address) = address_of(&key.name, generation) else { return };
        let used = self.token;
        let cached = self.cached.entry(address).or_default();
        cached.used = used;
        match key.kind {
            StateKind::Session if !cached.session_read => {
                cached.session_read = true;
                cached.peer.session = bytes.and_then(|row| aged::read(&row, self.age));
            }
            StateKind::Identity if !cached.identity_read => {
                cached.identity_read = true;
                cached.peer.identity = bytes.and_then(|bytes| bytes.as_ref().try_into().ok());
            }
            _ => {}
        }
    }

    /// A request begins; what nobody used lately may go.
    pub(super) fn begin(&mut self, token: u64) {
        self.token = token;
        // What one request needs stays until its end, however much that is; and what is not durable cannot be read again.
        if self.learned <= self.durable {
            [&mut self.lids, &mut self.numbers]
                .into_iter()
                .filter(|names| names.len() > NAMES)
                .for_each(BTreeMap::clear);
        }
        let surplus = self.cached.len().saturating_sub(self.limit);
        if surplus == 0 {
            return;
        }
        let durable = self.durable;
        let mut idle: Vec<(u64, Address)> = self
            .cached
            .iter()
            .filter(|(_, cached)| cached.changed <= durable)
            .map(|(address, cached)| (cached.used, address.clone()))
            .collect();
        idle.sort();
        for (_, address) in idle.into_iter().take(surplus) {
            self.cached.remove(&address);
        }
    }

    pub(super) fn durable(&mut self, token: u64) {
        self.durable = self.durable.max(token);
    }

    /// Under which address the ratchets with a device are kept.
    pub(super) fn address(&self, peer: &PeerName) -> Address {
        let known = peer.pn.as_ref().and_then(|pn| self.lids.get(pn).cloned().flatten());
        match (&peer.lid, known, &peer.pn) {
            (Some(bot), _, _) if bot.ends_with("@bot") => Address::new(bot.clone(), peer.device),
            (Some(lid), _, _) => Address::new(format!("{lid}@lid"), peer.device),
            (None, Some(lid), _) => Address::new(format!("{lid}@lid"), peer.device),
            (None, None, pn) => {
                Address::new(format!("{}@s.whatsapp.net", pn.as_deref().unwrap_or_default()), peer.device)
            }
        }
    }

    /// Takes note of the LID of a phone number, and moves the ratchet there that was kept under the number:
    /// moves, because an old copy of a ratchet must never be used.
    pub(super) fn learn(&mut self, peer: &PeerName, generation: u32) -> Vec<StateChange> {
        let mut changes = self.learn_pairs(std::slice::from_ref(peer));
        let address = self.address(peer);
        if let Some(old) = self.old_address(peer, &address)
            && self.get(&address).session.is_none()
        {
            let moved = self.get(&old);
            if moved.session.is_some() {
                let gone = Peer { session: None, identity: moved.identity };
                changes.extend(self.put(&old, &moved.clone(), gone, generation));
                changes.extend(self.put(&address, &self.get(&address), moved, generation));
            }
        }
        changes
    }

    /// Takes note of the pairs that are new; a name with only one half teaches nothing.
    pub(super) fn learn_pairs(&mut self, pairs: &[PeerName]) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for pair in pairs {
            let (Some(pn), Some(lid)) = (&pair.pn, &pair.lid) else { continue };
            if self.lids.get(pn).cloned().flatten().as_ref() != Some(lid) {
                self.lids.insert(pn.clone(), Some(lid.clone()));
                changes.push(lid_row(pn, lid));
            }
            if self.numbers.get(lid).cloned().flatten().as_ref() != Some(pn) {
                self.numbers.insert(lid.clone(), Some(pn.clone()));
                changes.push(number_row(lid, pn));
            }
        }
        if !changes.is_empty() {
            self.learned = self.token;
        }
        changes
    }

    /// The name with whatever is known of the user beside it.
    pub(super) fn complete(&self, peer: &PeerName) -> PeerName {
        let PeerName { pn, lid, device } = peer.clone();
        let known_pn = lid.as_ref().and_then(|lid| self.numbers.get(lid).cloned().flatten());
        let known_lid = pn.as_ref().and_then(|pn| self.lids.get(pn).cloned().flatten());
        PeerName { pn: pn.or(known_pn), lid: lid.or(known_lid), device }
    }

    /// Where the ratchet was kept before the LID was known.
    pub(super) fn old_address(&self, peer: &PeerName, address: &Address) -> Option<Address> {
        let pn = self.complete(peer).pn?;
        let old = Address::new(format!("{pn}@s.whatsapp.net"), peer.device);
        (old != *address).then_some(old)
    }

    /// What is known of a device.
    pub(super) fn get(&self, address: &Address) -> Peer {
        self.cached.get(address).map(|cached| cached.peer.clone()).unwrap_or_default()
    }

    /// Whether there is a ratchet with a device, under its LID or still under its phone number.
    pub(super) fn has_session(&self, peer: &PeerName) -> bool {
        let address = self.address(peer);
        let old = self.old_address(peer, &address);
        [Some(address), old].into_iter().flatten().any(|address| self.get(&address).session.is_some())
    }

    /// Remembers a new state and names the rows that changed.
    pub(super) fn put(
        &mut self,
        address: &Address,
        before: &Peer,
        after: Peer,
        generation: u32,
    ) -> Vec<StateChange> {
        let mut changes = Vec::new();
        let row_of = |kind| row(kind, address, generation);
        if before.session != after.session {
            let row = after.session.as_ref().map(|record| aged::written(record, self.age));
            changes.push((row_of(StateKind::Session), row));
        }
        let cached = self.cached.entry(address.clone()).or_default();
        if cached.peer.identity != after.identity {
            let bytes = after.identity.map(|key| Bytes::copy_from_slice(&key));
            changes.push((row_of(StateKind::Identity), bytes));
        }
        *cached = Cached {
            peer: after,
            session_read: true,
            identity_read: true,
            used: self.token,
            changed: self.token,
        };
        changes
    }

    /// The device has other keys: what it had with its peers is of no use any more.
    pub(super) fn forget_all(&mut self) {
        self.cached.clear();
        self.lids.clear();
        self.numbers.clear();
    }

    /// The ratchet with a device is of no use any more, and its next key is no news.
    pub(super) fn forget(&mut self, peer: &PeerName, generation: u32) -> Vec<StateChange> {
        let address = self.address(peer);
        let mut changes = Vec::new();
        for address in self.old_address(peer, &address).into_iter().chain([address]) {
            let before = self.get(&address);
            if before != Peer::default() {
                changes.extend(self.put(&address, &before, Peer::default(), generation));
            }
        }
        changes
    }

    /// The rows that there are under these names, in their order. None is kept: others may be written meanwhile.
    pub(super) fn recall(&mut self, kind: StateKind, names: &[String]) -> Vec<Bytes> {
        let mut rows = std::mem::take(&mut self.recalled);
        names
            .iter()
            .filter_map(|name| rows.remove(&StateKey { kind, name: name.clone() }).flatten())
            .collect()
    }

    /// The LID of a phone number.
    pub(super) fn lid(&self, pn: &str) -> Option<String> {
        self.lids.get(pn).cloned().flatten()
    }
}

/// The LID of a phone number, for the store.
pub(super) fn lid_row(pn: &str, lid: &str) -> StateChange {
    (StateKey { kind: StateKind::Lid, name: pn.to_owned() }, Some(Bytes::from(lid.to_owned())))
}

/// The reverse.
pub(super) fn number_row(lid: &str, pn: &str) -> StateChange {
    (StateKey { kind: StateKind::Number, name: lid.to_owned() }, Some(Bytes::from(pn.to_owned())))
}

/// Rows of the first keys of a device have the bare address as their name.
pub(super) fn row(kind: StateKind, address: &Address, generation: u32) -> StateKey {
    StateKey { kind, name: numbered(address.to_string(), generation) }
}

/// The name of a row that is of use only with the keys of this generation.
pub(crate) fn numbered(name: String, generation: u32) -> String {
    if generation == 0 { name } else { format!("{name}#{generation}") }
}

fn address_of(name: &str, generation: u32) -> Option<Address> {
    let (name, read) = match name.rsplit_once('#') {
        Some((name, generation)) => (name, generation.parse().ok()?),
        None => (name, 0),
    };
    let (user, device) = name.rsplit_once('.')?;
    (read == generation).then_some(Address::new(user, device.parse().ok()?))
}
