//! What keys leave behind that the device has no more: ratchets, identity keys, chains and tokens under their number, and
//! those of imports that were not finished. Chats of the accounts before go with them.
//!
//! What must hold: nothing goes before the device is online with its keys, so that no import is under way; the mark is
//! durable with the first row that is to go, and goes behind the last, so the next owner goes on.

use bytes::Bytes;

use super::Machine;
use crate::port::{StateChange, StateKey, StateKind, Sweep};

/// Whether something is left.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Of all keys but those of this number.
    beside: Option<u32>,
    /// A piece is on its way out.
    busy: bool,
}

impl Machine {
    /// The mark that the last owner has left.
    pub(super) fn leftovers_load(&mut self, row: Option<Bytes>) {
        self.leftovers.beside = row.and_then(|row| Some(u32::from_be_bytes(row.as_ref().try_into().ok()?)));
    }

    /// Crypto has written rows under another number, or its keys have another number now.
    pub(super) fn note_leftovers(&mut self, changes: &[StateChange]) {
        let mark = changes.iter().find(|(key, _)| key.kind == StateKind::Leftovers);
        if let Some((_, row)) = mark {
            self.leftovers_load(row.clone());
        }
    }

    /// Lets the next piece go.
    pub(super) fn sweep_pump(&mut self) {
        let fit = self.connection.online().is_some() && self.may_act() && !self.commits.failing();
        let Some(keys) = self.leftovers.beside.filter(|_| fit && !self.leftovers.busy) else { return };
        self.leftovers.busy = true;
        let chats = self.tenure.as_ref().map_or(0, |tenure| tenure.number);
        self.commits.pending().batch.sweep = Some(Sweep { keys, chats });
    }

    /// A piece is gone.
    pub(super) fn swept(&mut self, rows: usize) {
        self.leftovers.busy = false;
        if rows < Sweep::ROWS {
            self.leftovers.beside = None;
            let key = StateKey { kind: StateKind::Leftovers, name: String::new() };
            self.commits.pending().batch.state.push((key, None));
        }
    }
}
