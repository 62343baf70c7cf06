//! Devices of several pasts, from which a world begins.

use bytes::Bytes;
use roost_placement::ledger::Grant;
use roost_proto::id::{Epoch, Incarnation, Life};
use roost_proto::stanza::Jid;

use super::chains::sender_key;
use super::{BEGIN, World};
use crate::device::Limits;
use crate::machine::{Account, Loaded, Machine, Now};
use crate::port::{MessageState, StateKey, StateKind, StoredMessage, rank};

impl World {
    /// The next owner, who loads what the store has.
    pub(in crate::machine::tests) fn taken_over(self) -> World {
        let (account, Machine { limits, .. }) = (self.account(), self.machine);
        let rows = |kind| self.rows.iter().filter(move |(key, _)| key.kind == kind);
        let named = |kind| rows(kind).map(|(key, row)| (key.name.clone(), row.clone())).collect();
        let only = |kind| rows(kind).next().map(|(_, row)| row.clone());
        let waits = |stored: &&StoredMessage| rank(stored.state) <= rank(MessageState::Sending);
        let unsent = self.messages.values().filter(waits);
        let mut outbox: Vec<StoredMessage> = unsent.cloned().collect();
        outbox.sort_by_key(|stored| stored.ordinal);
        let loaded = Loaded {
            outbox,
            account,
            keys: true,
            awaited: named(StateKind::Retry),
            app_state: named(StateKind::AppStateHead),
            app_state_keys: rows(StateKind::AppStateKey).next().is_some(),
            presence: only(StateKind::Presence),
            pacing: only(StateKind::Pacing),
            tenure: only(StateKind::Tenure),
            leftovers: only(StateKind::Leftovers),
            posts: named(StateKind::StatusPost),
            makings: named(StateKind::Making),
            history: rows(StateKind::HistoryRange).map(|(key, row)| (key.clone(), row.clone())).collect(),
            secret_head: only(StateKind::SecretHead),
            ..Loaded::default()
        };
        let World { rows, messages, wires, now, .. } = self;
        let chain = rows.contains_key(&sender_key());
        World { rows, messages, wires, chain, ..World::begin(1, limits, now, loaded) }
    }

    pub(in crate::machine::tests) fn unpaired(seed: u64) -> World {
        World::begin(seed, Limits::default(), BEGIN, Loaded::default())
    }

    /// A device that its phone has unlinked.
    pub(in crate::machine::tests) fn unlinked(seed: u64) -> World {
        let account = Account { logged_out: true, ..ours() };
        let loaded = Loaded { account: Some(account.clone()), keys: true, ..Loaded::default() };
        World::begin(seed, Limits::default(), BEGIN, loaded).with_account(&account)
    }

    /// Loaded with an account, and dialling.
    pub(in crate::machine::tests) fn loaded(seed: u64) -> World {
        World::with_limits(seed, Limits::default())
    }

    pub(in crate::machine::tests) fn with_limits(seed: u64, limits: Limits) -> World {
        let loaded = Loaded { account: Some(ours()), keys: true, ..Loaded::default() };
        World::begin(seed, limits, BEGIN, loaded).with_account(&ours())
    }

    /// The store has it.
    fn with_account(mut self, account: &Account) -> World {
        let key = StateKey { kind: StateKind::Account, name: String::new() };
        self.rows.insert(key, account.to_bytes());
        self
    }

    pub(in crate::machine::tests) fn online(seed: u64) -> World {
        let mut world = World::loaded(seed);
        world.go_online();
        world
    }
}

/// One that has loaded nothing.
pub(super) fn machine(limits: Limits, seed: [u8; 32], now: Now) -> Machine {
    let key = "tenants/acme/devices/shop".parse().expect("an id");
    let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
    Machine::new(Grant { key, life, epoch: Epoch(1) }.into(), limits, seed, now)
}

/// The same with nothing around it.
pub(in crate::machine) fn alone() -> Machine {
    machine(Limits::default(), [1; 32], BEGIN)
}

fn ours() -> Account {
    Account {
        pn: Jid::pn_device("4915100000000", 1),
        lid: Some(Jid::lid_device("900000", 1)),
        identity: Bytes::from_static(b"identity"),
        push_name: String::new(),
        logged_out: false,
        without_history: false,
    }
}
