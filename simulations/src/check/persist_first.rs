//! persist-first: every message that a device puts on the wire was durable before.
//!
//! Needs Committed with its wires (and its ratchets, where Wired names message keys); accuses by Wired. A
//! message that a receiver asked for again has other bytes, which are no row of their own: its keys must be
//! durable, or where keys are not observed, the message itself.

use std::collections::BTreeSet;

use roost_proto::id::DeviceKey;

use super::{Check, hold};
use crate::history::{Fact, What, WireKind};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct PersistFirst {
    wires: BTreeSet<(DeviceKey, String, u64)>,
    messages: BTreeSet<(DeviceKey, String)>,
    ratchets: BTreeSet<(DeviceKey, String, u64)>,
}

impl Check for PersistFirst {
    fn name(&self) -> &'static str {
        "persist-first"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Committed(commit) => {
                let key = &commit.grant.key;
                for (id, digest) in &commit.wires {
                    self.wires.insert((key.clone(), id.clone(), *digest));
                    self.messages.insert((key.clone(), id.clone()));
                }
                let ratchets = commit.ratchets.iter();
                self.ratchets.extend(ratchets.map(|(name, version)| (key.clone(), name.clone(), *version)));
                Ok(())
            }
            What::Wired { grant, kind: WireKind::Message, id, digest, keys } => {
                let key = &grant.key;
                let again = match &keys[..] {
                    [] => self.messages.contains(&(key.clone(), id.clone())),
                    keys => keys.iter().all(|(name, version)| {
                        self.ratchets.contains(&(key.clone(), name.clone(), *version))
                    }),
                };
                let durable = again || self.wires.contains(&(key.clone(), id.clone(), *digest));
                hold(durable, || format!("{} sends {id} for {key} before it is durable", grant.life))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{commit, grant, judge};
    use super::*;

    fn sent(digest: u64, keys: &[(&str, u64)]) -> What {
        let (grant, id) = (grant(1, 1), "3EB0".to_owned());
        let keys = keys.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect();
        What::Wired { grant, kind: WireKind::Message, id, digest, keys }
    }

    fn stored(digest: u64, ratchet: u64) -> What {
        let mut commit = commit(&grant(1, 1));
        commit.wires.push(("3EB0".to_owned(), digest));
        commit.ratchets.push(("bob".to_owned(), ratchet));
        What::Committed(Box::new(commit))
    }

    #[test]
    fn bytes_or_keys_that_are_not_durable_are_seen() {
        assert!(judge(PersistFirst::default(), [sent(1, &[])]).is_some());
        assert!(judge(PersistFirst::default(), [stored(1, 7), sent(2, &[("bob", 8)])]).is_some());
    }

    #[test]
    fn stored_bytes_and_stored_keys_may_be_sent_more_than_once() {
        let facts = [stored(1, 7), sent(1, &[]), sent(1, &[("bob", 8)]), sent(2, &[("bob", 7)])];
        assert_eq!(judge(PersistFirst::default(), facts), None);
    }
}
