//! The lane: everything that must be committed in the order in which it began.
//!
//! What must hold: a slot is opened when a stanza arrives or crypto is asked to change state, and what
//! comes of it joins the batch only when all slots before it have joined. So events follow the order of
//! the server, and a ratchet that was advanced later is never overwritten by an earlier state of it.

use std::collections::VecDeque;

use super::Machine;
use super::commit::Pending;

/// One place in the lane.
#[derive(Debug)]
struct Slot {
    number: u64,
    /// The crypto request that changed state for it; 0 when none did.
    crypto: u64,
    outcome: Option<Pending>,
}

/// Slots in order.
#[derive(Debug, Default)]
pub(super) struct Lane {
    slots: VecDeque<Slot>,
    last: u64,
}

impl Lane {
    /// A slot at the end of the lane. It must be filled one day.
    pub(super) fn open(&mut self) -> u64 {
        self.last += 1;
        self.slots.push_back(Slot { number: self.last, crypto: 0, outcome: None });
        self.last
    }

    /// What has come of a slot.
    pub(super) fn fill(&mut self, slot: u64, outcome: Pending) {
        if let Some(place) = self.slots.iter_mut().find(|place| place.number == slot) {
            place.outcome = Some(outcome);
        }
    }

    /// Crypto has changed state for a slot.
    pub(super) fn note_crypto(&mut self, slot: u64, token: u64) {
        if let Some(place) = self.slots.iter_mut().find(|place| place.number == slot) {
            place.crypto = token;
        }
    }
}

impl Machine {
    pub(super) fn lane_advance(&mut self) {
        while self.lane.slots.front().is_some_and(|slot| slot.outcome.is_some()) {
            let Some(Slot { crypto, outcome: Some(outcome), .. }) = self.lane.slots.pop_front() else {
                return;
            };
            let Pending { batch, after, .. } = outcome;
            let gathering = self.commits.pending();
            gathering.crypto = gathering.crypto.max(crypto);
            gathering.batch.state.extend(batch.state);
            gathering.batch.accepts.extend(batch.accepts);
            gathering.batch.messages.extend(batch.messages);
            gathering.batch.events.extend(batch.events);
            gathering.batch.quarantine.extend(batch.quarantine);
            gathering.batch.status = batch.status.or(gathering.batch.status.take());
            gathering.after.extend(after);
        }
    }
}
