//! stopped (I9): after a stop, a release, a gift or the end of a process nothing of it sends or dials, and a
//! node that drains takes nothing new.
//!
//! Needs Granted and Stood, and Stopped and Exited where they are observed; accuses by SentLogin and Wired,
//! recorded when they leave the node, and by Fenced: what its owner had let go was flushed before, so that no write
//! of it comes too late. A write that was under way when a life ended, or was robbed, is judged by the fence.

use std::collections::{BTreeMap, BTreeSet};

use roost_placement::ledger::{Grant, MemberState};
use roost_proto::id::{DeviceKey, Epoch, Life};

use super::{Check, hold};
use crate::history::{Fact, How, What};

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopped {
    stopped: BTreeSet<Grant>,
    /// Below which epoch a life has let a device go.
    left: BTreeMap<(DeviceKey, Life), Epoch>,
    exited: BTreeSet<Life>,
    draining: BTreeSet<Life>,
}

impl Stopped {
    fn has_left(&self, grant: &Grant) -> bool {
        let left = self.left.get(&(grant.key.clone(), grant.life.clone()));
        left.is_some_and(|epoch| grant.epoch < *epoch)
    }

    fn acts(&self, grant: &Grant) -> Result<(), String> {
        let why = if self.exited.contains(&grant.life) {
            "is gone"
        } else if self.has_left(grant) {
            "has let it go"
        } else if self.stopped.contains(grant) {
            "has stopped it"
        } else {
            return Ok(());
        };
        Err(format!("{} acts for {} and {why}", grant.life, grant.key))
    }
}

impl Check for Stopped {
    fn name(&self) -> &'static str {
        "stopped"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Granted { key, epoch, owner, how } => {
                if let How::Give(by) | How::Release(by) = how {
                    self.left.insert((key.clone(), by.clone()), *epoch);
                }
                if let Some(owner) = owner {
                    let takes = !self.draining.contains(owner) || *how == How::Attach;
                    hold(takes, || format!("{owner} drains and takes {key}"))?;
                }
            }
            What::Stood { life, state: MemberState::Draining } => {
                self.draining.insert(life.clone());
            }
            // Who drained because it did not reach WhatsApp takes devices again.
            What::Stood { life, state: MemberState::Active } => {
                self.draining.remove(life);
            }
            What::Stopped(grant) => {
                self.stopped.insert(grant.clone());
            }
            What::Opened(grant) => {
                // Opened anew under the same grant.
                self.stopped.remove(grant);
            }
            What::Exited(life) => {
                self.exited.insert(life.clone());
            }
            What::SentLogin(grant) | What::Wired { grant, .. } => return self.acts(grant),
            What::Fenced(grant) => {
                return hold(!self.has_left(grant), || {
                    format!("{} writes {} that it has let go", grant.life, grant.key)
                });
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{freed, grant, granted, judge, life, stood, wired};
    use super::*;

    #[test]
    fn whatever_acts_after_its_end_is_seen() {
        for end in [
            freed(2, &life(1, 1)),
            granted(&grant(2, 2), How::Give(life(1, 1))),
            What::Stopped(grant(1, 1)),
            What::Exited(life(1, 1)),
        ] {
            for act in [wired(&grant(1, 1)), What::SentLogin(grant(1, 1))] {
                assert!(judge(Stopped::default(), [end.clone(), act]).is_some(), "{end}");
            }
        }
    }

    #[test]
    fn a_write_that_comes_after_the_gift_is_seen_and_one_after_a_take_over_is_not() {
        let late =
            |how: How| judge(Stopped::default(), [granted(&grant(2, 2), how), What::Fenced(grant(1, 1))]);
        assert!(late(How::Give(life(1, 1))).is_some());
        assert_eq!(late(How::TakeOver(life(1, 1))), None);
    }

    #[test]
    fn a_node_that_drains_and_takes_is_seen() {
        let draining = stood(&life(1, 1), MemberState::Draining);
        assert!(judge(Stopped::default(), [draining, granted(&grant(1, 1), How::Claim)]).is_some());
    }

    #[test]
    fn what_comes_back_under_a_new_grant_may_act() {
        let facts = [
            granted(&grant(2, 2), How::Give(life(1, 1))),
            granted(&grant(1, 3), How::Give(life(2, 1))),
            wired(&grant(1, 3)),
            What::Stopped(grant(1, 3)),
            What::Opened(grant(1, 3)),
            wired(&grant(1, 3)),
            stood(&life(1, 1), MemberState::Draining),
            granted(&grant(2, 4), How::Give(life(1, 1))),
        ];
        assert_eq!(judge(Stopped::default(), facts), None);
    }
}
