//! How far a device's log and messages have come, as the node knows that writes for it.
//!
//! What must hold: numbers only grow under one grant. A number that comes a second time says that the database has lost
//! the first, and no later number hides that.

use roost_proto::id::Sequence;

use crate::ledger::{Grant, Posted};

/// What one run of a device was told that it has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads {
    event: i64,
    accepted: i64,
    set_back: bool,
}

impl Heads {
    /// A commit gave numbers to new events, or to newly accepted messages.
    pub fn wrote(
        &mut self,
        events: impl IntoIterator<Item = Sequence>,
        accepted: impl IntoIterator<Item = i64>,
    ) {
        for Sequence(event) in events {
            self.set_back |= event <= self.event;
            self.event = event;
        }
        for place in accepted {
            self.set_back |= place <= self.accepted;
            self.accepted = place;
        }
    }

    /// What to say of the device after the database has lost a tail. One that has written over what was lost says that
    /// it is further than any log.
    pub fn posted(&self, grant: &Grant) -> Posted {
        let head = if self.set_back { i64::MAX } else { self.event };
        Posted { grant: grant.clone(), head: Sequence(head), accepted: self.accepted }
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life};

    use super::*;

    fn posted(heads: Heads) -> (i64, i64) {
        let key = DeviceKey {
            business_id: "t1".parse().expect("a tenant"),
            device_id: "d1".parse().expect("a device"),
        };
        let life = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(1) };
        let posted = heads.posted(&Grant { key, life, epoch: Epoch(1) });
        (posted.head.0, posted.accepted)
    }

    #[test]
    fn the_last_numbers_are_posted() {
        let mut heads = Heads::default();
        heads.wrote([Sequence(7), Sequence(8)], []);
        heads.wrote([], [3]);
        assert_eq!(posted(heads), (8, 3));
    }

    #[test]
    fn a_log_that_was_written_over_is_posted_as_lost_however_long_it_grows() {
        let mut heads = Heads::default();
        heads.wrote([Sequence(75)], [21]);
        for lost in [([Sequence(75)].as_slice(), [].as_slice()), ([].as_slice(), [21].as_slice())] {
            let mut heads = heads;
            heads.wrote(lost.0.iter().copied(), lost.1.iter().copied());
            heads.wrote([Sequence(90)], [30]);
            assert_eq!(posted(heads).0, i64::MAX);
        }
    }
}
