//! Rows of a device that another library has paired.
//!
//! What must hold: the rows of ratchets, identity keys and chains are under the generation of the import, which nobody
//! reads before the device's own keys name it; these and the prekeys change together. A row marks that an import may
//! not be finished, or that the keys were others before. LIDs and phone numbers are the same whoever's keys are in use, so
//! their rows have no generation, and stay.

use bytes::Bytes;
use roost_proto::signal::{Keys, PrekeyPage};

use super::groups::chain_row;
use super::peers::{lid_row, number_row, numbered, row};
use super::{Vault, credentials};
use crate::device::{Import, ImportedDevice, ImportedPeers, Part};
use crate::port::{StateChange, StateKey, StateKind};

/// The mark of rows that have other numbers than the device's keys.
pub(super) fn leftovers(generation: u32) -> StateChange {
    let key = StateKey { kind: StateKind::Leftovers, name: String::new() };
    (key, Some(Bytes::copy_from_slice(&generation.to_be_bytes())))
}

impl Vault {
    pub(super) fn import(&mut self, import: &Import) -> Vec<StateChange> {
        match &import.part {
            Part::Peers(peers) => {
                let mut changes = of_peers(peers, import.generation);
                // It may never be finished.
                let marked = (!changes.is_empty()).then(|| leftovers(self.generation));
                changes.extend(marked);
                changes
            }
            Part::Device(device) => self.become_imported(device, import.generation),
        }
    }

    fn become_imported(&mut self, device: &ImportedDevice, generation: u32) -> Vec<StateChange> {
        let keys = Keys::from_bytes(&device.keys.0).expect("an import carries what was written as keys");
        self.generation = generation;
        self.peers.forget_all();
        self.tokens.forget_all();
        let mut changes = self.drop_pages();
        changes.extend(self.collections.forget_keys());
        for page in &device.pages {
            let page = PrekeyPage::from_bytes(&page.0).expect("an import carries what was written as pages");
            changes.push(self.keep(page));
        }
        changes.extend([credentials(generation, &keys), leftovers(generation)]);
        self.keys = Some(keys);
        changes
    }
}

fn of_peers(peers: &ImportedPeers, generation: u32) -> Vec<StateChange> {
    let mut changes = Vec::new();
    for (address, record, identity) in &peers.ratchets {
        changes.push((row(StateKind::Session, address, generation), Some(record.0.clone())));
        changes.push((row(StateKind::Identity, address, generation), Some(Bytes::copy_from_slice(identity))));
    }
    for (address, identity) in &peers.identities {
        changes.push((row(StateKind::Identity, address, generation), Some(Bytes::copy_from_slice(identity))));
    }
    for (group, sender, chain) in &peers.chains {
        let name = chain_row(group, sender, generation);
        changes.push((StateKey { kind: StateKind::SenderKey, name }, Some(chain.0.clone())));
    }
    for (contact, token) in &peers.tokens {
        let name = numbered(contact.clone(), generation);
        changes.push((StateKey { kind: StateKind::ContactToken, name }, Some(token.0.clone())));
        // Whoever has a token has a chat with us: what is sent to him begins none.
        let name = numbered(contact.clone(), generation);
        let known = StateKey { kind: StateKind::KnownChat, name };
        changes.push((known, Some(Bytes::from_static(&[1]))));
    }
    for (pn, lid) in &peers.lids {
        changes.extend([lid_row(pn, lid), number_row(lid, pn)]);
    }
    changes
}
