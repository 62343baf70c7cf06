//! send-once (I12): an accepted send reaches its receivers once.
//!
//! Accuses by Accepted and by Reached at phones; what was accepted has to reach somebody until the end. One
//! request is one message: the same request, the same answer.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::DeviceKey;

use super::{Check, hold};
use crate::history::{Fact, What, is_ours};

/// From when a message reaches somebody until its sender has certainly made a note of it, in microseconds.
const NEWS: u64 = 10_000_000;

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct SendOnce {
    /// Requests and what they became.
    requests: BTreeMap<(DeviceKey, String), String>,
    /// Whose message was accepted.
    accepted: BTreeMap<String, DeviceKey>,
    /// Messages that are rows.
    kept: BTreeSet<String>,
    /// Messages of which a lost tail had the acceptance or the bytes, or may have had the news that they were sent:
    /// they may go again, under the same id.
    forgotten: BTreeSet<String>,
    /// When each message first reached somebody.
    reached: BTreeMap<String, u64>,
    /// Receivers outside: receiver, sender, message.
    read: BTreeSet<(String, String, String)>,
}

impl SendOnce {
    fn became(&mut self, key: &DeviceKey, request: &str, message: &str) -> Result<(), String> {
        let place = (key.clone(), request.to_owned());
        let before = self.requests.entry(place).or_insert_with(|| message.to_owned());
        hold(before == message, || format!("{request} of {key} became {before} and {message}"))
    }
}

impl Check for SendOnce {
    fn name(&self) -> &'static str {
        "send-once"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Committed(commit) => {
                for (request, message) in &commit.accepts {
                    self.kept.insert(message.clone());
                    self.became(&commit.grant.key, request, message)?;
                }
            }
            What::Accepted { key, request, message, .. } => {
                if !self.kept.contains(message) {
                    let forgotten = self.forgotten.contains(message);
                    return hold(forgotten, || format!("{message} is accepted and not durable"));
                }
                self.became(key, request, message)?;
                self.accepted.insert(message.clone(), key.clone());
            }
            What::Reached { receiver, sender, message, .. } => {
                self.reached.entry(message.clone()).or_insert(fact.at);
                if !is_ours(receiver) {
                    if self.forgotten.contains(message) {
                        // Its bytes may be made again, under the same id.
                        return Ok(());
                    }
                    let first = self.read.insert((receiver.clone(), sender.clone(), message.clone()));
                    return hold(first, || format!("{message} of {sender} reached {receiver} twice"));
                }
            }
            What::TailLost { since } => {
                let late = self.reached.iter().filter(|(_, at)| **at + NEWS >= *since);
                self.forgotten.extend(late.map(|(message, _)| message.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    fn forget(&mut self, fact: &Fact) {
        if let What::Committed(commit) = &fact.what {
            let accepts = commit.accepts.iter().map(|(_, message)| message);
            self.forgotten.extend(accepts.chain(commit.wires.iter().map(|(message, _)| message)).cloned());
        }
    }

    fn end(&mut self, _: u64) -> Result<(), String> {
        for (message, key) in &self.accepted {
            hold(self.reached.contains_key(message), || format!("{message} of {key} is lost"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{commit, grant, judge, key};
    use super::super::undone::Undone;
    use super::*;

    fn accepted(message: &str) -> What {
        let (key, request, message) = (key(), "r1".to_owned(), message.to_owned());
        What::Accepted { tenant: key.business_id.clone(), key, request, message }
    }

    fn kept(message: &str) -> What {
        let mut commit = commit(&grant(1, 1));
        commit.accepts.push(("r1".to_owned(), message.to_owned()));
        What::Committed(Box::new(commit))
    }

    fn reached() -> What {
        let (receiver, sender) = ("1555".to_owned(), "1666".to_owned());
        What::Reached { receiver, sender, message: "3EB0".to_owned(), content: 0 }
    }

    #[test]
    fn a_message_that_is_lost_or_doubled_is_seen() {
        assert!(judge(SendOnce::default(), [kept("3EB0"), accepted("3EB0")]).is_some());
        assert!(judge(SendOnce::default(), [kept("3EB0"), reached(), reached()]).is_some());
    }

    #[test]
    fn a_request_that_becomes_two_messages_is_seen() {
        assert!(judge(SendOnce::default(), [kept("3EB0"), reached(), kept("3EB1")]).is_some());
    }

    #[test]
    fn a_message_that_a_lost_tail_knew_may_be_lost_or_go_again_and_no_other() {
        let lost = || [What::StandbyBehind, kept("3EB0"), What::TailLost { since: 0 }];
        let check = || Undone::new(SendOnce::default());
        assert_eq!(judge(check(), lost().into_iter().chain([accepted("3EB0")])), None);
        assert_eq!(judge(check(), lost().into_iter().chain([reached(), reached()])), None);
        assert!(judge(check(), lost().into_iter().chain([accepted("3EB1")])).is_some());
        let before = [kept("3EB0"), accepted("3EB0"), What::StandbyBehind, What::TailLost { since: 0 }];
        assert!(judge(check(), before).is_some(), "it was accepted before the tail");
    }

    #[test]
    fn a_message_that_is_accepted_and_in_no_row_is_seen() {
        assert!(judge(SendOnce::default(), [accepted("3EB0"), reached()]).is_some());
    }

    #[test]
    fn a_repeated_request_with_the_same_answer_is_fine() {
        let facts = [kept("3EB0"), accepted("3EB0"), accepted("3EB0"), reached()];
        assert_eq!(judge(SendOnce::default(), facts), None);
    }
}
