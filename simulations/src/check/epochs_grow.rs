//! epochs-grow (I3): epochs only grow; one epoch belongs to one incarnation.
//!
//! Needs Granted; where a grant is named by another fact, it has to be one that was granted.

use std::collections::BTreeMap;

use roost_placement::ledger::Grant;
use roost_proto::id::{DeviceKey, Epoch, Life};

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct EpochsGrow {
    owners: BTreeMap<DeviceKey, BTreeMap<Epoch, Option<Life>>>,
}

impl EpochsGrow {
    /// A grant that somebody acts under.
    fn named(&self, grant: &Grant) -> Result<(), String> {
        let owner = self.owners.get(&grant.key).and_then(|owners| owners.get(&grant.epoch));
        let granted = owner.is_none_or(|owner| owner.as_ref() == Some(&grant.life));
        hold(granted, || format!("{} holds {} by epoch {} of another", grant.life, grant.key, grant.epoch))
    }
}

impl Check for EpochsGrow {
    fn name(&self) -> &'static str {
        "epochs-grow"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Granted { key, epoch, owner, .. } => {
                let owners = self.owners.entry(key.clone()).or_default();
                let before = owners.last_key_value().map_or(Epoch(0), |(epoch, _)| *epoch);
                hold(*epoch > before, || format!("epoch {epoch} of {key} follows {before}"))?;
                owners.insert(*epoch, owner.clone());
                Ok(())
            }
            What::Committed(commit) => self.named(&commit.grant),
            What::Loaded(grant) | What::Permitted(grant) | What::Opened(grant) | What::SentLogin(grant) => {
                self.named(grant)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{grant, granted, judge};
    use super::*;
    use crate::history::How;

    #[test]
    fn an_epoch_that_comes_twice_or_falls_is_seen() {
        for epoch in [2, 1] {
            let facts = [granted(&grant(1, 2), How::Claim), granted(&grant(2, epoch), How::Claim)];
            assert!(judge(EpochsGrow::default(), facts).is_some());
        }
    }

    #[test]
    fn an_epoch_of_another_life_is_seen() {
        let facts = [granted(&grant(1, 1), How::Claim), What::Permitted(grant(2, 1))];
        assert!(judge(EpochsGrow::default(), facts).is_some());
    }

    #[test]
    fn growing_epochs_are_fine_with_gaps_too() {
        let facts = [
            granted(&grant(1, 1), How::Claim),
            What::Permitted(grant(1, 1)),
            granted(&grant(2, 1 << 40), How::Claim),
            // A statement that was under way; whether it may be is for others to judge.
            What::Loaded(grant(1, 1)),
        ];
        assert_eq!(judge(EpochsGrow::default(), facts), None);
    }
}
