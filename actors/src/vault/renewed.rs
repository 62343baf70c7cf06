//! Devices that were seen to have new keys: an installation that begins anew under an old address has none of our chains.
//!
//! What must hold: each gets our chain again with the next message to every group in which it was given it, whoever owns the
//! device by then. In which groups that is need not be known: each list of holders says how far it has followed this one.

use std::collections::VecDeque;

use bytes::Bytes;
use roost_proto::signal::Address;

use super::Vault;
use super::peers::numbered;
use crate::port::StateChange;

/// So many are remembered. Who was forgotten before a group was written to gets the chain when he asks for it.
const KEPT: usize = 256;

/// Addresses in their order, each with a number that grows.
#[derive(Debug, Default)]
pub(super) struct Renewals(VecDeque<(u64, String)>);

impl Renewals {
    /// From their row: a number and an address in each line.
    fn read(row: &[u8]) -> Renewals {
        let text = String::from_utf8_lossy(row);
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Renewals(
            lines.filter_map(|(number, device)| Some((number.parse().ok()?, device.to_owned()))).collect(),
        )
    }

    fn written(&self) -> Bytes {
        let lines = self.0.iter().map(|(number, device)| format!("{number} {device}"));
        lines.collect::<Vec<_>>().join("\n").into()
    }

    fn add(&mut self, device: String) {
        let number = self.last() + 1;
        self.0.retain(|(_, other)| *other != device);
        self.0.push_back((number, device));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The number of the last one, or 0.
    pub(super) fn last(&self) -> u64 {
        self.0.back().map_or(0, |(number, _)| *number)
    }

    /// Those behind this number.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| *other > number).map(|(_, device)| device.as_str())
    }
}

impl Vault {
    /// The device at this address has new keys.
    pub(super) fn note_renewal(&mut self, address: &Address) -> Option<StateChange> {
        let mut renewals = self.renewals();
        renewals.add(address.to_string());
        let row = self.renewals_row();
        self.chains.put(row, Some(renewals.written()))
    }

    pub(super) fn renewals(&mut self) -> Renewals {
        let row = self.renewals_row();
        Renewals::read(&self.chains.get(&row).unwrap_or_default())
    }

    /// It stands beside our chains.
    pub(super) fn renewals_row(&self) -> String {
        numbered("renewed".to_owned(), self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_each_once() {
        let mut renewals = Renewals::read(b"");
        assert_eq!(renewals.last(), 0);
        for device in ["a", "b", "a"] {
            renewals.add(device.to_owned());
        }
        let mut renewals = Renewals::read(&renewals.written());
        assert_eq!(renewals.since(0).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(renewals.since(2).collect::<Vec<_>>(), ["a"]);
        assert_eq!(renewals.last(), 3);
        for device in 0..KEPT {
            renewals.add(device.to_string());
        }
        assert_eq!(renewals.since(0).count(), KEPT);
        assert_eq!(renewals.last(), 3 + KEPT as u64);
    }
}
