//! fresh-state (I6): a device acts only on state that was read under its epoch.
//!
//! Needs Loaded; accuses by Committed, SentLogin and Wired.

use std::collections::BTreeSet;

use roost_placement::ledger::Grant;

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct FreshState {
    loaded: BTreeSet<Grant>,
}

impl Check for FreshState {
    fn name(&self) -> &'static str {
        "fresh-state"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let grant = match &fact.what {
            What::Loaded(grant) => {
                self.loaded.insert(grant.clone());
                return Ok(());
            }
            What::Committed(commit) => &commit.grant,
            What::SentLogin(grant) | What::Wired { grant, .. } => grant,
            _ => return Ok(()),
        };
        hold(self.loaded.contains(grant), || {
            format!("{} acts for {} and has read nothing under epoch {}", grant.life, grant.key, grant.epoch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{committed, grant, judge, wired};
    use super::*;

    #[test]
    fn an_owner_that_acts_on_what_it_read_under_an_older_epoch_is_seen() {
        for act in [committed(&grant(1, 3), 1), wired(&grant(1, 3)), What::SentLogin(grant(1, 3))] {
            assert!(judge(FreshState::default(), [What::Loaded(grant(1, 1)), act]).is_some());
        }
    }

    #[test]
    fn an_owner_that_has_read_acts() {
        let facts = [What::Loaded(grant(1, 1)), wired(&grant(1, 1)), committed(&grant(1, 1), 1)];
        assert_eq!(judge(FreshState::default(), facts), None);
    }
}
