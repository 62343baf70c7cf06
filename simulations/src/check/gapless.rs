//! gapless (I11): per device, the sequence grows by one and the epoch never falls.
//!
//! Accuses by Committed. The order of the server shows at the consumers' side of a stream, not here: a message
//! that had to be asked for again comes after those that followed it.

use std::collections::BTreeMap;

use roost_proto::id::{DeviceKey, Epoch};

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Gapless {
    /// Last sequence and epoch of each log.
    logs: BTreeMap<DeviceKey, (i64, Epoch)>,
}

impl Check for Gapless {
    fn name(&self) -> &'static str {
        "gapless"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let What::Committed(commit) = &fact.what else { return Ok(()) };
        let (key, epoch) = (&commit.grant.key, commit.grant.epoch);
        let (last, before) = self.logs.entry(key.clone()).or_insert((0, Epoch(0)));
        for event in &commit.events {
            let follows = std::mem::replace(last, event.sequence.0);
            hold(event.sequence.0 == follows + 1, || {
                format!("event {} follows {follows} at {key}", event.sequence)
            })?;
            let fell = std::mem::replace(before, epoch);
            hold(epoch >= fell, || {
                format!("event {} of {key} is of epoch {epoch} after {fell}", event.sequence)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{committed, grant, judge};
    use super::*;

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

    #[test]
    fn a_log_goes_on_across_owners() {
        let facts = [committed(&grant(1, 1), 1), committed(&grant(2, 2), 2), committed(&grant(2, 2), 3)];
        assert_eq!(judge(Gapless::default(), facts), None);
    }
}
