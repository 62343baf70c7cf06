//! ack-after-commit (I10): what WhatsApp saw settled is in the event log, once.
//!
//! Needs Committed with what it holds, and Reached for devices of ours, recorded with the commit of the event;
//! accuses by Settled and by Reached. A message that could not be read may be settled when it is kept until it
//! has come again, and is owed all the same. What the own phone tells is for no log itself; an answer that carries
//! messages may be settled when all of them are in the log. That an unsettled message comes again is WhatsApp's part; that it is in
//! the log in the end is judged from what was Delivered.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::DeviceKey;

use super::{Check, hold};
use crate::history::{Fact, What, is_ours};

/// From the first delivery of a message until it is in the log, once faults are over, in microseconds.
const TAKEN: u64 = 40_000_000;

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct AckAfterCommit {
    held: BTreeSet<(DeviceKey, String)>,
    /// Messages that are to come again.
    awaited: BTreeSet<(DeviceKey, String)>,
    /// When each message was first delivered.
    delivered: BTreeMap<(DeviceKey, String), u64>,
    /// What phones told, and the messages in it.
    told: BTreeMap<(DeviceKey, String), Vec<String>>,
    /// Messages that a lost tail held. Those of them that are settled do not come again.
    forgotten: BTreeSet<(DeviceKey, String)>,
    settled: BTreeSet<(DeviceKey, String)>,
    /// Messages whose content is in the log of a device of ours: receiver, message.
    logged: BTreeSet<(String, String)>,
}

impl Check for AckAfterCommit {
    fn name(&self) -> &'static str {
        "ack-after-commit"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Committed(commit) => {
                let key = &commit.grant.key;
                self.held.extend(commit.holds.iter().map(|message| (key.clone(), message.clone())));
                self.awaited.extend(commit.awaits.iter().map(|message| (key.clone(), message.clone())));
            }
            What::Delivered { key, message } => {
                self.delivered.entry((key.clone(), message.clone())).or_insert(fact.at);
            }
            What::Told { key, message, carries } => {
                self.told.insert((key.clone(), message.clone()), carries.clone());
            }
            What::Settled { key, message } => {
                let place = (key.clone(), message.clone());
                if let Some(carries) = self.told.get(&place) {
                    let lost = carries.iter().find(|one| {
                        let place = (key.clone(), (*one).clone());
                        !self.held.contains(&place) && !self.forgotten.contains(&place)
                    });
                    return lost.map_or(Ok(()), |lost| {
                        Err(format!("{message} with {lost} is settled and {lost} not in the log of {key}"))
                    });
                }
                let held = self.held.contains(&place) || self.awaited.contains(&place);
                let held = held || self.forgotten.contains(&place);
                self.settled.insert(place);
                return hold(held, || format!("{message} is settled and not in the log of {key}"));
            }
            What::Reached { receiver, message, .. } if is_ours(receiver) => {
                let first = self.logged.insert((receiver.clone(), message.clone()));
                return hold(first, || format!("{message} is in the log of {receiver} twice"));
            }
            _ => {}
        }
        Ok(())
    }

    fn forget(&mut self, fact: &Fact) {
        if let What::Committed(commit) = &fact.what {
            let messages = commit.holds.iter().chain(&commit.awaits);
            self.forgotten.extend(messages.map(|message| (commit.grant.key.clone(), message.clone())));
        }
    }

    fn end(&mut self, at: u64) -> Result<(), String> {
        let owed = self.delivered.iter().filter(|(_, first)| **first + TAKEN < at);
        let owed = owed.filter(|(place, _)| !self.told.contains_key(place));
        let owed =
            owed.filter(|(place, _)| !(self.forgotten.contains(place) && self.settled.contains(place)));
        for (place @ (key, message), _) in owed {
            hold(self.held.contains(place), || format!("{message} was delivered and {key} never took it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{commit, grant, judge, key};
    use super::super::undone::Undone;
    use super::*;

    fn holds() -> What {
        let mut commit = commit(&grant(1, 1));
        commit.holds.push("3EB0".to_owned());
        What::Committed(Box::new(commit))
    }

    fn delivered() -> What {
        What::Delivered { key: key(), message: "3EB0".to_owned() }
    }

    fn settled() -> What {
        What::Settled { key: key(), message: "3EB0".to_owned() }
    }

    fn reached() -> What {
        let (sender, message) = ("1555".to_owned(), "3EB0".to_owned());
        What::Reached { receiver: key().to_string(), sender, message, content: 0 }
    }

    #[test]
    fn a_message_that_is_settled_before_its_commit_is_seen() {
        assert!(judge(AckAfterCommit::default(), [delivered(), settled(), holds()]).is_some());
    }

    #[test]
    fn a_message_that_is_to_come_again_may_be_settled_and_is_owed() {
        let awaits = || {
            let mut commit = commit(&grant(1, 1));
            commit.awaits.push("3EB0".to_owned());
            What::Committed(Box::new(commit))
        };
        assert_eq!(judge(AckAfterCommit::default(), [delivered(), awaits(), settled(), holds()]), None);
        let seen = judge(AckAfterCommit::default(), [delivered(), awaits(), settled()]);
        assert!(seen.is_some_and(|seen| seen.contains("never took it")));
    }

    #[test]
    fn what_the_phone_tells_is_for_no_log_and_what_it_carries_is() {
        let told = |carries: &[&str]| What::Told {
            key: key(),
            message: "3EB0".to_owned(),
            carries: carries.iter().map(|id| (*id).to_owned()).collect(),
        };
        let holds = || {
            let mut commit = commit(&grant(1, 1));
            commit.holds.push("ABCD".to_owned());
            What::Committed(Box::new(commit))
        };
        assert_eq!(judge(AckAfterCommit::default(), [told(&[]), delivered(), settled()]), None);
        let answer = [told(&["ABCD"]), delivered(), holds(), settled()];
        assert_eq!(judge(AckAfterCommit::default(), answer), None);
        let seen = judge(AckAfterCommit::default(), [told(&["ABCD"]), delivered(), settled(), holds()]);
        assert!(seen.is_some_and(|seen| seen.contains("ABCD not in the log")));
    }

    #[test]
    fn what_a_lost_tail_held_may_have_been_settled_and_is_owed_when_it_was_not() {
        let lost = [delivered(), What::StandbyBehind, holds(), What::TailLost { since: 0 }];
        let check = || Undone::new(AckAfterCommit::default());
        assert_eq!(judge(check(), lost.clone().into_iter().chain([settled()])), None);
        assert!(judge(check(), lost).is_some_and(|seen| seen.contains("never took it")));
    }

    #[test]
    fn a_message_that_is_logged_twice_or_never_is_seen() {
        assert!(judge(AckAfterCommit::default(), [holds(), reached(), reached()]).is_some());
        assert!(judge(AckAfterCommit::default(), [delivered()]).is_some());
    }

    #[test]
    fn a_message_that_comes_twice_and_is_logged_once_is_fine() {
        let facts = [delivered(), holds(), reached(), delivered(), settled(), settled()];
        assert_eq!(judge(AckAfterCommit::default(), facts), None);
    }
}
