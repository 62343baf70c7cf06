//! send-once (I12): an accepted send reaches its receivers once.
//!
//! Accuses by Accepted and by Reached at phones; what was accepted has to reach somebody until the end. One
//! request is one message: the same request, the same answer.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::DeviceKey;

use super::ack_after_commit::is_ours;
use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct SendOnce {
    /// Requests and what they became.
    requests: BTreeMap<(DeviceKey, String), String>,
    /// Whose message was accepted.
    accepted: BTreeMap<String, DeviceKey>,
    reached: BTreeSet<String>,
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
                    self.became(&commit.grant.key, request, message)?;
                }
            }
            What::Accepted { key, request, message, .. } => {
                self.became(key, request, message)?;
                self.accepted.insert(message.clone(), key.clone());
            }
            What::Reached { receiver, sender, message, .. } => {
                self.reached.insert(message.clone());
                if !is_ours(receiver) {
                    let first = self.read.insert((receiver.clone(), sender.clone(), message.clone()));
                    return hold(first, || format!("{message} of {sender} reached {receiver} twice"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: u64) -> Result<(), String> {
        for (message, key) in &self.accepted {
            hold(self.reached.contains(message), || format!("{message} of {key} is lost"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{judge, key};
    use super::*;

    fn accepted(message: &str) -> What {
        let (key, request, message) = (key(), "r1".to_owned(), message.to_owned());
        What::Accepted { tenant: key.business_id.clone(), key, request, message }
    }

    fn reached() -> What {
        let (receiver, sender) = ("1555".to_owned(), "1666".to_owned());
        What::Reached { receiver, sender, message: "3EB0".to_owned(), content: 0 }
    }

    #[test]
    fn a_message_that_is_lost_or_doubled_is_seen() {
        assert!(judge(SendOnce::default(), [accepted("3EB0")]).is_some());
        assert!(judge(SendOnce::default(), [accepted("3EB0"), reached(), reached()]).is_some());
    }

    #[test]
    fn a_request_that_becomes_two_messages_is_seen() {
        assert!(judge(SendOnce::default(), [accepted("3EB0"), reached(), accepted("3EB1")]).is_some());
    }

    #[test]
    fn a_repeated_request_with_the_same_answer_is_fine() {
        assert_eq!(judge(SendOnce::default(), [accepted("3EB0"), accepted("3EB0"), reached()]), None);
    }
}
