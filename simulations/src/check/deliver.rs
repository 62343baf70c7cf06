//! deliver: what a consumer has not acknowledged is offered again, in order, and nothing is left out.
//!
//! Needs Committed; accuses by Offered, and at the end by events that were never offered.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::id::{BusinessId, ConsumerId, DeviceKey};

use super::{Check, hold, micros};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Clone)]
pub(super) struct Deliver {
    prompt: Duration,
    /// When each device's log reached each length.
    logged: BTreeMap<DeviceKey, Vec<(u64, i64)>>,
    /// How long each log was that a tail was lost of.
    forgotten: BTreeMap<DeviceKey, i64>,
    /// How far each consumer was offered each log.
    offered: BTreeMap<(BusinessId, ConsumerId), BTreeMap<DeviceKey, i64>>,
}

impl Deliver {
    pub(super) fn new(prompt: Duration) -> Deliver {
        Deliver { prompt, logged: BTreeMap::new(), forgotten: BTreeMap::new(), offered: BTreeMap::new() }
    }

    fn length(&self, key: &DeviceKey) -> i64 {
        self.logged.get(key).and_then(|logged| logged.last()).map_or(0, |(_, length)| *length)
    }
}

impl Check for Deliver {
    fn name(&self) -> &'static str {
        "deliver"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Committed(commit) => {
                if let Some(last) = commit.events.last() {
                    let logged = self.logged.entry(commit.grant.key.clone()).or_default();
                    logged.push((fact.at, last.sequence.0));
                }
            }
            What::Offered { tenant, consumer, key, sequence } => {
                let length = self.length(key);
                let forgotten = self.forgotten.get(key).copied().unwrap_or_default();
                hold(sequence.0 <= length.max(forgotten), || {
                    format!("event {sequence} of {key} is offered and not logged")
                })?;
                let offered = self.offered.entry((tenant.clone(), consumer.clone())).or_default();
                let last = offered.entry(key.clone()).or_default();
                hold(sequence.0 <= *last + 1, || {
                    format!("event {sequence} of {key} is offered to {consumer} after {last}")
                })?;
                *last = sequence.0.max(*last);
            }
            _ => {}
        }
        Ok(())
    }

    fn forget(&mut self, fact: &Fact) {
        if let What::Committed(commit) = &fact.what
            && let Some(last) = commit.events.last()
        {
            let longest = self.forgotten.entry(commit.grant.key.clone()).or_default();
            *longest = last.sequence.0.max(*longest);
        }
    }

    fn end(&mut self, at: u64) -> Result<(), String> {
        let owed = at.saturating_sub(micros(self.prompt));
        for (key, logged) in &self.logged {
            let before = logged.iter().rev().find(|(at, _)| *at <= owed);
            let last = before.map_or(0, |(_, length)| *length);
            let consumers = self.offered.iter().filter(|((tenant, _), _)| *tenant == key.business_id);
            let most = consumers.filter_map(|(_, offered)| offered.get(key)).max().copied().unwrap_or(0);
            hold(most >= last, || format!("{key} was offered up to {most} of {last}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::Sequence;

    use super::super::scene::{committed, grant, judge, key};
    use super::super::undone::Undone;
    use super::*;

    fn offered(sequence: i64) -> What {
        let consumer = "ledger".parse().expect("an id");
        What::Offered { tenant: key().business_id, consumer, key: key(), sequence: Sequence(sequence) }
    }

    fn says(facts: impl IntoIterator<Item = What>) -> Option<String> {
        let log = (1..=3).map(|sequence| committed(&grant(1, 1), sequence));
        judge(Deliver::new(Duration::from_secs(5)), log.chain(facts))
    }

    #[test]
    fn an_event_that_is_left_out_invented_or_never_offered_is_seen() {
        for sequences in [vec![1, 3], vec![1, 2, 3, 4], vec![1, 2]] {
            assert!(says(sequences.into_iter().map(offered)).is_some());
        }
    }

    #[test]
    fn an_event_that_a_lost_tail_had_may_have_been_offered() {
        let tail = [What::StandbyBehind, committed(&grant(1, 1), 4), What::TailLost { since: 0 }];
        let facts = |last| [offered(1), offered(2), offered(3)].into_iter().chain(tail.clone()).chain([last]);
        let judged = |last| {
            let log = (1..=3).map(|sequence| committed(&grant(1, 1), sequence));
            judge(Undone::new(Deliver::new(Duration::from_secs(5))), log.chain(facts(offered(last))))
        };
        assert_eq!(judged(4), None);
        assert!(judged(5).is_some());
    }

    #[test]
    fn events_that_are_offered_again_are_fine() {
        assert_eq!(says([1, 2, 1, 2, 3].map(offered)), None);
    }

    #[test]
    fn an_event_is_owed_soon_and_not_at_once() {
        let mut check = Deliver::new(Duration::from_secs(5));
        let fact = Fact { at: 1_000_000, what: committed(&grant(1, 1), 1) };
        check.see(&fact).expect("a commit is no offer");
        assert_eq!(check.end(5_999_999), Ok(()));
        assert!(check.end(6_000_000).is_err());
    }
}
