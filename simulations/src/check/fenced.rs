//! fenced (I1): no write with an old epoch is ever visible.
//!
//! Needs Granted and Committed, in the order in which the database committed them.

use std::collections::BTreeMap;

use roost_proto::id::{DeviceKey, Epoch, Life};

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct Fenced {
    rows: BTreeMap<DeviceKey, (Epoch, Option<Life>)>,
}

impl Check for Fenced {
    fn name(&self) -> &'static str {
        "fenced"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Granted { key, epoch, owner, .. } => {
                self.rows.insert(key.clone(), (*epoch, owner.clone()));
                Ok(())
            }
            What::Committed(commit) => {
                let grant = &commit.grant;
                let row = self.rows.get(&grant.key);
                let stands = row.is_some_and(|(epoch, owner)| {
                    *epoch == grant.epoch && owner.as_ref() == Some(&grant.life)
                });
                hold(stands, || {
                    let now = row.map_or(Epoch(0), |(epoch, _)| *epoch);
                    format!(
                        "{} wrote {} at epoch {} and it stands at {now}",
                        grant.life, grant.key, grant.epoch
                    )
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{committed, freed, grant, granted, judge, life};
    use super::*;
    use crate::history::How;

    #[test]
    fn a_write_after_a_take_over_or_a_release_is_seen() {
        let taken = granted(&grant(2, 2), How::TakeOver(life(1, 1)));
        for newer in [taken, freed(2, &life(1, 1))] {
            let facts = [granted(&grant(1, 1), How::Claim), newer, committed(&grant(1, 1), 1)];
            assert!(judge(Fenced::default(), facts).is_some());
        }
    }

    #[test]
    fn writes_of_the_present_owner_are_fine() {
        let facts = [
            granted(&grant(1, 1), How::Claim),
            committed(&grant(1, 1), 1),
            granted(&grant(2, 2), How::Give(life(1, 1))),
            committed(&grant(2, 2), 2),
        ];
        assert_eq!(judge(Fenced::default(), facts), None);
    }
}
