//! How far a device's log and messages have come, as the node knows that writes for it.
//!
//! What must hold: the numbers are those of the last load and of what was committed after it; after the database has lost
//! a tail, a run that has read more than is there begins anew, and so does one that has not read anything yet: what it
//! is about to be told may be from before.

use roost_proto::id::Sequence;

use crate::ledger::{Grant, Posted};

/// What one run of a device was told of its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last event of its log.
    pub event: i64,
    /// The last place that an accepted message has.
    pub accepted: i64,
}

impl Heads {
    /// A commit gave numbers to new events, or to newly accepted messages.
    pub fn wrote(
        &mut self,
        events: impl IntoIterator<Item = Sequence>,
        accepted: impl IntoIterator<Item = i64>,
    ) {
        self.event = events.into_iter().fold(self.event, |last, Sequence(event)| last.max(event));
        self.accepted = accepted.into_iter().fold(self.accepted, i64::max);
    }
}

/// What to say of a device after the database has lost a tail. One whose rows have not been read is further than any.
pub fn posted(grant: &Grant, heads: Option<Heads>) -> Posted {
    let Heads { event, accepted } = heads.unwrap_or(Heads { event: i64::MAX, accepted: 0 });
    Posted { grant: grant.clone(), head: Sequence(event), accepted }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life};

    use super::*;

    #[test]
    fn what_was_read_and_written_last_is_posted_and_what_was_not_read_is_past_every_end() {
        let key = DeviceKey {
            business_id: "t1".parse().expect("a tenant"),
            device_id: "d1".parse().expect("a device"),
        };
        let life = Life { node: "n1".parse().expect("a label"), incarnation: Incarnation(1) };
        let grant = Grant { key, life, epoch: Epoch(1) };
        let mut heads = Heads { event: 6, accepted: 2 };
        heads.wrote([Sequence(7), Sequence(8)], []);
        heads.wrote([], [3]);
        let said = |heads| {
            let Posted { head, accepted, .. } = posted(&grant, heads);
            (head.0, accepted)
        };
        assert_eq!(said(Some(heads)), (8, 3));
        assert_eq!(said(None).0, i64::MAX);
    }
}
