//! one-owner (I2): no two nodes that run, neither frozen nor quiesced, act for one device.
//!
//! Needs Granted; accuses by Wired and SentLogin, recorded when they leave the node, and where Resumed and Quiesced
//! are recorded also by them. A life whose device was taken over must have been quiet before that. One that was frozen is excused until the database has
//! answered it or its own lease must have ended: what it lets out meanwhile is fenced, and WhatsApp ends it.

use std::collections::{BTreeMap, BTreeSet};

use roost_placement::ledger::{Grant, Timing};
use roost_proto::id::{DeviceKey, Epoch, Life, NodeId};

use super::{Check, hold, micros};
use crate::history::{Fact, How, What};

/// The checker.
#[derive(Debug)]
pub(super) struct OneOwner {
    timing: Timing,
    /// The newest grant that was not given by the owner before: epoch and life.
    taken: BTreeMap<DeviceKey, (Epoch, Life)>,
    /// Since when and until when nodes are excused.
    excused: BTreeMap<NodeId, (u64, u64)>,
    /// When the database last renewed the lease of each life.
    renewed: BTreeMap<Life, u64>,
    /// Lives that act, as far as is recorded.
    running: BTreeSet<Life>,
}

impl OneOwner {
    pub(super) fn new(timing: Timing) -> OneOwner {
        OneOwner {
            timing,
            taken: BTreeMap::new(),
            excused: BTreeMap::new(),
            renewed: BTreeMap::new(),
            running: BTreeSet::new(),
        }
    }

    fn is_excused(&self, life: &Life, at: u64) -> bool {
        let renewed = self.renewed.get(life).copied().unwrap_or_default();
        let excused = self.excused.get(&life.node);
        // One that stands still now is excused whatever statement of it runs meanwhile.
        excused.is_some_and(|(since, until)| *until == u64::MAX || (at < *until && renewed <= *since))
    }

    fn acts(&self, grant: &Grant, at: u64) -> Result<(), String> {
        let Some((epoch, life)) = self.taken.get(&grant.key) else { return Ok(()) };
        let excused = self.is_excused(&grant.life, at);
        let alone = grant.epoch >= *epoch || grant.life == *life || excused;
        hold(alone, || {
            format!("{} acts for {} that {life} has taken at epoch {epoch}", grant.life, grant.key)
        })
    }
}

impl Check for OneOwner {
    fn name(&self) -> &'static str {
        "one-owner"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Granted { key, epoch, owner: Some(life), how: how @ (How::Claim | How::TakeOver(_)) } => {
                self.taken.insert(key.clone(), (*epoch, life.clone()));
                if let How::TakeOver(from) = how {
                    let quiet = !self.running.contains(from) || self.is_excused(from, fact.at);
                    return hold(quiet, || format!("{life} takes {key} over from {from}, which still runs"));
                }
            }
            What::Resumed(life) => {
                self.running.insert(life.clone());
            }
            What::Quiesced(life) | What::Exited(life) => {
                self.running.remove(life);
            }
            What::Frozen(node) => {
                self.excused.insert(node.clone(), (fact.at, u64::MAX));
            }
            What::Thawed(node) => {
                self.excused.insert(node.clone(), (fact.at, fact.at + micros(self.timing.ttl)));
            }
            What::Beaten { life, .. } => {
                self.renewed.insert(life.clone(), fact.at);
            }
            What::SentLogin(grant) | What::Wired { grant, .. } => return self.acts(grant, fact.at),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{grant, granted, judge, life, wired};
    use super::*;

    fn taken(between: impl IntoIterator<Item = What>) -> Option<String> {
        let mut facts = vec![granted(&grant(1, 1), How::Claim), wired(&grant(1, 1))];
        facts.push(granted(&grant(2, 2), How::TakeOver(life(1, 1))));
        facts.extend(between);
        facts.push(wired(&grant(1, 1)));
        judge(OneOwner::new(Timing::FAST), facts)
    }

    #[test]
    fn an_owner_that_acts_after_a_take_over_is_seen() {
        assert!(taken([]).is_some());
    }

    #[test]
    fn an_owner_that_runs_while_it_is_taken_over_is_seen() {
        let over = |quiet: &[What]| {
            let taken = granted(&grant(2, 2), How::TakeOver(life(1, 1)));
            let facts = [granted(&grant(1, 1), How::Claim), What::Resumed(life(1, 1))];
            judge(OneOwner::new(Timing::FAST), facts.into_iter().chain(quiet.iter().cloned()).chain([taken]))
        };
        assert!(over(&[]).is_some());
        for quiet in [What::Quiesced(life(1, 1)), What::Exited(life(1, 1)), What::Frozen(life(1, 1).node)] {
            assert_eq!(over(&[quiet]), None);
        }
    }

    #[test]
    fn a_frozen_node_is_excused_until_its_lease_must_have_ended() {
        let (freeze, thaw) = (What::Frozen(life(1, 1).node), What::Thawed(life(1, 1).node));
        assert_eq!(taken([freeze.clone(), thaw.clone()]), None);
        let later = std::iter::repeat_n(What::Healed, 3);
        assert!(taken([freeze, thaw].into_iter().chain(later)).is_some());
    }

    #[test]
    fn owners_one_after_the_other_are_fine() {
        let facts = [
            granted(&grant(1, 1), How::Claim),
            wired(&grant(1, 1)),
            granted(&grant(2, 2), How::TakeOver(life(1, 1))),
            wired(&grant(2, 2)),
        ];
        assert_eq!(judge(OneOwner::new(Timing::FAST), facts), None);
    }
}
