//! The row that says how far our copy of a collection is.
//!
//! What must hold: a copy belongs to one pairing; what another pairing left is not believed. That WhatsApp
//! has more is durable before the notification which said so is acknowledged.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::appstate::{Collection, Head};

use crate::machine::codec::{Reader, Writer};
use crate::port::{StateKey, StateKind};

/// First byte of a row.
const FORMAT: u8 = 1;
/// Ends the name of a row that says where WhatsApp is.
const KNOWN: &str = "/known";

/// Our copy of one collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) head: Head,
    /// WhatsApp is at least here.
    pub(super) known: u64,
}

impl Copy {
    /// Nothing is here yet, and something may be there.
    pub(super) const NONE: Copy = Copy { head: Head::EMPTY, known: 1 };

    /// Whether WhatsApp has more.
    pub(super) fn is_behind(&self) -> bool {
        self.head.version < self.known
    }

    pub(super) fn head_row(&self, collection: Collection, pairing: &str) -> (StateKey, Option<Bytes>) {
        row(collection.as_str().to_owned(), pairing, &self.head.to_bytes())
    }

    pub(super) fn known_row(&self, collection: Collection, pairing: &str) -> (StateKey, Option<Bytes>) {
        row(format!("{collection}{KNOWN}"), pairing, &self.known.to_be_bytes())
    }
}

fn row(name: String, pairing: &str, value: &[u8]) -> (StateKey, Option<Bytes>) {
    let mut out = Writer::new(FORMAT);
    out.text(pairing);
    out.bytes(value);
    (StateKey { kind: StateKind::AppStateHead, name }, Some(out.finish()))
}

/// Reads the rows of this pairing.
pub(super) fn read(rows: &[(String, Bytes)], pairing: &str) -> BTreeMap<Collection, Copy> {
    let mut copies = BTreeMap::new();
    for (name, row) in rows {
        let Some(value) = value(row, pairing) else { continue };
        let (name, known) = name.strip_suffix(KNOWN).map_or((name.as_str(), false), |name| (name, true));
        let Ok(collection) = name.parse::<Collection>() else { continue };
        let copy = copies.entry(collection).or_insert(Copy { head: Head::EMPTY, known: 0 });
        match known {
            true => copy.known = value.try_into().map(u64::from_be_bytes).unwrap_or(1),
            false => copy.head = Head::from_bytes(value).unwrap_or(Head::EMPTY),
        }
    }
    // The head may have come further than what was known by notifications alone. An empty copy is read anew,
    // unless WhatsApp has said that there is nothing.
    for copy in copies.values_mut() {
        copy.known = copy.known.max(copy.head.version);
    }
    copies
}

fn value<'a>(row: &'a [u8], pairing: &str) -> Option<&'a [u8]> {
    let mut rest = Reader::new(FORMAT, row)?;
    if rest.text()? != pairing {
        return None;
    }
    rest.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_reads_back_for_its_own_pairing_only() {
        let copy = Copy { head: Head { version: 3, hash: [7; 128] }, known: 5 };
        let rows = [copy.head_row(Collection::Regular, "1:2"), copy.known_row(Collection::Regular, "1:2")];
        let rows = rows.map(|(key, row)| (key.name, row.expect("it is written")));
        assert_eq!(read(&rows, "1:2"), BTreeMap::from([(Collection::Regular, copy)]));
        assert!(copy.is_behind());
        let further = read(&rows[..1], "1:2");
        assert!(!further[&Collection::Regular].is_behind(), "what it has is what it knows");
        assert_eq!(read(&rows, "1:3"), BTreeMap::new());
        let torn = [(rows[0].0.clone(), rows[0].1.slice(1..))];
        assert_eq!(read(&torn, "1:2"), BTreeMap::new());
    }
}
