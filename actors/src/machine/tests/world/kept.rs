//! What the machine of a world knows of its account, how many chats it may begin, and rows of keys that are gone.

use bytes::Bytes;
use roost_proto::api;

use super::World;
use crate::device::Command;
use crate::machine::Reply;
use crate::port::{StateChange, StateKey, StateKind, Sweep};

impl World {
    /// What the store does with a sweep: how many rows it has removed.
    pub(super) fn sweep(&mut self, sweep: Sweep) -> usize {
        let stale: Vec<_> =
            self.rows.keys().filter(|key| sweep.takes(key)).take(Sweep::ROWS).cloned().collect();
        stale.iter().for_each(|key| _ = self.rows.remove(key));
        stale.len()
    }

    pub(in crate::machine::tests) fn health(&self) -> &api::AccountHealth {
        &self.machine.health.now
    }

    pub(in crate::machine::tests) fn reach_outs_left(&mut self) -> Option<u32> {
        let (token, _) = self.command(Command::Pace);
        match self.replies.get(&token) {
            Some(Reply::Pace(Ok(pace))) => pace.reach_outs_left,
            other => panic!("it is told at once: {other:?}"),
        }
    }
}

/// The mark that crypto makes with keys of this number.
pub(super) fn mark(number: u32) -> StateChange {
    let key = StateKey { kind: StateKind::Leftovers, name: String::new() };
    (key, Some(Bytes::copy_from_slice(&number.to_be_bytes())))
}
