//! gapless (I11): per device, the sequence grows by one, the epoch never falls, and messages are logged in the order
//! in which WhatsApp first delivered them.
//!
//! Accuses by Committed. Where Delivered and Settled are recorded the order is judged too: a message that could not
//! be read is asked for again, and may have the place of any of its deliveries. One that the own phone has
//! told, or that a lost tail had, has two places, and is not judged.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::{DeviceKey, Epoch};

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct Gapless {
    /// Last sequence and epoch of each log.
    logs: BTreeMap<DeviceKey, (i64, Epoch)>,
    /// What WhatsApp has delivered to each device.
    deliveries: BTreeMap<DeviceKey, Deliveries>,
}

/// Messages to one device.
#[derive(Debug, Clone, Default)]
struct Deliveries {
    count: u64,
    /// The places of each in the order of the server: since it was settled last, or all when a copy of it could not be
    /// read, for then nobody knows which of them was settled.
    places: BTreeMap<String, Vec<u64>>,
    unread: BTreeSet<String>,
    settled: BTreeSet<String>,
    /// Messages that have two places.
    twice: BTreeSet<String>,
    /// The place of the last one in the log, and its name.
    last: (u64, String),
}

impl Deliveries {
    fn delivered(&mut self, message: &str) {
        self.count += 1;
        let places = self.places.entry(message.to_owned()).or_default();
        if self.settled.remove(message) && !self.unread.contains(message) {
            places.clear();
        }
        places.push(self.count);
    }

    fn logged(&mut self, message: &str) -> Result<(), String> {
        let place = self.places.get(message).filter(|_| !self.twice.contains(message));
        let unread = self.unread.contains(message);
        let fits = |place: &&u64| !unread || **place >= self.last.0;
        let place = place.and_then(|places| places.iter().find(fits).or(places.last()));
        let Some(place) = place.copied() else { return Ok(()) };
        let (before, other) = std::mem::replace(&mut self.last, (place, message.to_owned()));
        hold(before <= place, || format!("{message} is logged after {other}, which was delivered after it"))
    }
}

impl Check for Gapless {
    fn name(&self) -> &'static str {
        "gapless"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let commit = match &fact.what {
            What::Committed(commit) => commit,
            What::Delivered { key, message } => {
                self.deliveries.entry(key.clone()).or_default().delivered(message);
                return Ok(());
            }
            What::Settled { key, message } => {
                self.deliveries.entry(key.clone()).or_default().settled.insert(message.clone());
                return Ok(());
            }
            What::Told { key, carries, .. } => {
                self.deliveries.entry(key.clone()).or_default().twice.extend(carries.iter().cloned());
                return Ok(());
            }
            _ => return Ok(()),
        };
        let (key, epoch) = (&commit.grant.key, commit.grant.epoch);
        let (last, before) = self.logs.entry(key.clone()).or_insert((0, Epoch(0)));
        if let Some(deliveries) = self.deliveries.get_mut(key) {
            deliveries.unread.extend(commit.awaits.iter().cloned());
        }
        for event in &commit.events {
            let follows = std::mem::replace(last, event.sequence.0);
            hold(event.sequence.0 == follows + 1, || {
                format!("event {} follows {follows} at {key}", event.sequence)
            })?;
            let fell = std::mem::replace(before, epoch);
            hold(epoch >= fell, || {
                format!("event {} of {key} is of epoch {epoch} after {fell}", event.sequence)
            })?;
            if let (Some(message), Some(deliveries)) = (&event.message, self.deliveries.get_mut(key)) {
                deliveries.logged(message).map_err(|seen| format!("{seen}, at {key}"))?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, fact: &Fact) {
        if let What::Committed(commit) = &fact.what {
            let messages = commit.events.iter().filter_map(|event| event.message.clone());
            self.deliveries.entry(commit.grant.key.clone()).or_default().twice.extend(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::Sequence;

    use super::super::scene::{commit, committed, grant, judge, key};
    use super::super::undone::Undone;
    use super::*;
    use crate::history::Logged;

    #[test]
    fn a_gap_a_repetition_and_an_older_epoch_are_seen() {
        for facts in [
            vec![committed(&grant(1, 1), 2)],
            vec![committed(&grant(1, 1), 1), committed(&grant(1, 1), 1)],
            vec![committed(&grant(1, 2), 1), committed(&grant(1, 1), 2)],
        ] {
            assert!(judge(Gapless::default(), facts).is_some());
        }
    }

    fn delivered(message: &str) -> What {
        What::Delivered { key: key(), message: message.to_owned() }
    }

    fn logged(sequence: i64, message: &str) -> What {
        let mut commit = commit(&grant(1, 1));
        commit.events.push(Logged { sequence: Sequence(sequence), message: Some(message.to_owned()) });
        What::Committed(Box::new(commit))
    }

    #[test]
    fn messages_out_of_order_are_seen() {
        let order = |first, then| {
            judge(Gapless::default(), [delivered("a"), delivered("b"), logged(1, first), logged(2, then)])
        };
        assert_eq!(order("a", "b"), None);
        assert!(order("b", "a").is_some());
    }

    #[test]
    fn a_message_that_was_asked_for_again_comes_later() {
        let settled = What::Settled { key: key(), message: "a".to_owned() };
        let facts = [delivered("a"), settled, delivered("b"), logged(1, "b"), delivered("a"), logged(2, "a")];
        assert_eq!(judge(Gapless::default(), facts), None);
        let twice = [delivered("a"), delivered("b"), delivered("a"), logged(1, "a"), logged(2, "b")];
        assert_eq!(judge(Gapless::default(), twice), None, "it came twice and keeps its place");
    }

    #[test]
    fn of_two_copies_the_one_that_can_be_read_has_its_place() {
        let awaits = |message: &str| {
            let mut commit = commit(&grant(1, 1));
            commit.awaits.push(message.to_owned());
            What::Committed(Box::new(commit))
        };
        let order = |unread: &[What]| {
            let facts =
                [delivered("a"), delivered("b"), delivered("a")].into_iter().chain(unread.iter().cloned());
            judge(Gapless::default(), facts.chain([logged(1, "b"), logged(2, "a")]))
        };
        assert_eq!(order(&[awaits("a")]), None);
        assert!(order(&[]).is_some());
        let late =
            [delivered("a"), awaits("a"), delivered("a"), delivered("b"), logged(1, "b"), logged(2, "a")];
        assert!(judge(Gapless::default(), late).is_some(), "no copy of it came so late");
        let settled = What::Settled { key: key(), message: "a".to_owned() };
        let mixed = [delivered("a"), delivered("a"), awaits("a"), settled.clone(), delivered("a"), settled];
        let mixed = mixed.into_iter().chain([delivered("b"), delivered("a"), logged(1, "a"), logged(2, "b")]);
        assert_eq!(judge(Gapless::default(), mixed), None, "the third copy was read, not the fourth");
    }

    #[test]
    fn a_message_that_the_phone_has_told_may_come_later() {
        let settled = What::Settled { key: key(), message: "a".to_owned() };
        let told = What::Told { key: key(), message: "c".to_owned(), carries: vec!["a".to_owned()] };
        let facts = [delivered("a"), settled, delivered("b"), logged(1, "b"), told, logged(2, "a")];
        assert_eq!(judge(Gapless::default(), facts), None);
    }

    #[test]
    fn a_message_that_a_lost_tail_had_may_come_later() {
        let tail = [What::StandbyBehind, logged(1, "a"), What::TailLost { since: 0 }];
        let order = |tail: &[What]| {
            let facts = [delivered("a"), delivered("b")].into_iter().chain(tail.iter().cloned());
            judge(Undone::new(Gapless::default()), facts.chain([logged(1, "b"), logged(2, "a")]))
        };
        assert_eq!(order(&tail), None);
        assert!(order(&[]).is_some());
    }

    #[test]
    fn a_log_goes_on_across_owners() {
        let facts = [committed(&grant(1, 1), 1), committed(&grant(2, 2), 2), committed(&grant(2, 2), 3)];
        assert_eq!(judge(Gapless::default(), facts), None);
    }
}
