//! The lane: everything that must be committed in the order in which it began.
//!
//! What must hold: a slot is opened when a stanza arrives or crypto is asked to change state, and what
//! comes of it joins the batch only when all slots before it have joined. So events follow the order of
//! the server, and a ratchet that was advanced later is never overwritten by an earlier state of it. What one
//! stanza carries joins together with it: it is settled behind all of that.

use std::collections::VecDeque;

use super::Machine;
use super::commit::Pending;

/// One place in the lane.
#[derive(Debug)]
struct Slot {
    number: u64,
    /// The slot that it joins together with; its own number when that is none.
    with: u64,
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
        self.open_at(self.slots.len(), self.last + 1)
    }

    /// A slot before all others: for what stands in no order with anything, and shall be durable no later than they are.
    pub(super) fn open_first(&mut self) -> u64 {
        self.open_at(0, self.last + 1)
    }

    /// A slot for something that the stanza of `slot` carries: it joins right behind it, in the same batch.
    pub(super) fn open_with(&mut self, slot: u64) -> u64 {
        let behind = self.slots.iter().rposition(|place| place.with == slot);
        match behind {
            Some(behind) => self.open_at(behind + 1, slot),
            None => self.open(),
        }
    }

    fn open_at(&mut self, place: usize, with: u64) -> u64 {
        self.last += 1;
        self.slots.insert(place, Slot { number: self.last, with, crypto: 0, outcome: None });
        self.last
    }

    /// The oldest slot, once it and all that joins with it have an outcome.
    fn next(&mut self) -> Option<(u64, Pending)> {
        let with = self.slots.front()?.with;
        let mut together = self.slots.iter().take_while(|slot| slot.with == with);
        if together.any(|slot| slot.outcome.is_none()) {
            return None;
        }
        let Slot { crypto, outcome, .. } = self.slots.pop_front()?;
        outcome.map(|outcome| (crypto, outcome))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
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
        while let Some((crypto, outcome)) = self.lane.next() {
            let Pending { batch, after, .. } = outcome;
            let gathering = self.commits.pending();
            gathering.crypto = gathering.crypto.max(crypto);
            gathering.batch.state.extend(batch.state);
            gathering.batch.accepts.extend(batch.accepts);
            gathering.batch.messages.extend(batch.messages);
            gathering.batch.votes.extend(batch.votes);
            gathering.batch.events.extend(batch.events);
            gathering.batch.quarantine.extend(batch.quarantine);
            gathering.batch.status = batch.status.or(gathering.batch.status.take());
            gathering.after.extend(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stanza_carries_joins_right_behind_it_and_never_without_it() {
        let mut lane = Lane::default();
        let stanza = lane.open();
        let later = lane.open();
        let carried = [lane.open_with(stanza), lane.open_with(stanza)];
        let order: Vec<u64> = lane.slots.iter().map(|slot| slot.number).collect();
        assert_eq!(order, [stanza, carried[0], carried[1], later]);

        for slot in [later, stanza, carried[0]] {
            lane.fill(slot, Pending::default());
            assert!(lane.next().is_none(), "something of the stanza is missing");
        }
        lane.fill(carried[1], Pending::default());
        assert_eq!(std::iter::from_fn(|| lane.next()).count(), 4);
    }
}
