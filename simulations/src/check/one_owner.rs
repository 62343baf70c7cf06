//! one-owner (I2): no two nodes that run, neither frozen nor quiesced, act for one device.
//!
//! Needs Granted, and after a lost tail Opened; accuses by Wired and SentLogin, recorded when they leave the node, and where Resumed and Quiesced
//! are recorded also by them. A life whose device was taken over must have been quiet before that. One that stood
//! still is excused for what it had begun: it lets that out when it runs again, it is fenced, and WhatsApp ends it.
//! One whose clock stood still with it cannot know better until its own lease must have ended by that clock, or until
//! it hears of its lease from the database: that answer also tells of a lost tail.

use std::collections::{BTreeMap, BTreeSet};

use roost_placement::ledger::{Grant, Timing};
use roost_proto::id::{DeviceKey, Epoch, Life};

use super::{Check, hold, micros};
use crate::history::{Fact, How, What};

/// The checker.
#[derive(Debug)]
pub(super) struct OneOwner {
    timing: Timing,
    /// The newest grant that was not given by the owner before: epoch and life.
    taken: BTreeMap<DeviceKey, Taken>,
    /// Processes that stand or stood still.
    stills: BTreeMap<Life, Still>,
    /// When the database last renewed the lease of each life ...
    renewed: BTreeMap<Life, u64>,
    /// ... and when it did so the last time that this life has heard.
    heard: BTreeMap<Life, u64>,
    /// Lives that act, as far as is recorded.
    running: BTreeSet<Life>,
}

/// Who took a device.
#[derive(Debug)]
struct Taken {
    epoch: Epoch,
    life: Life,
    at: u64,
    /// The database has lost it, so that the owner before may own the device again ...
    lost: bool,
    /// ... while the taker does not run it, and while that stands still.
    runs: bool,
}

/// That a process stood still.
#[derive(Debug)]
struct Still {
    /// When it ran again, if it has.
    thawed: Option<u64>,
    clock_stops: bool,
}

impl OneOwner {
    pub(super) fn new(timing: Timing) -> OneOwner {
        OneOwner {
            timing,
            taken: BTreeMap::new(),
            stills: BTreeMap::new(),
            renewed: BTreeMap::new(),
            heard: BTreeMap::new(),
            running: BTreeSet::new(),
        }
    }

    /// Whether a process is excused at this time for so long after it stood still.
    fn is_excused(&self, life: &Life, at: u64, after: u64) -> bool {
        let Some(still) = self.stills.get(life) else { return false };
        // One that stands still now is excused whatever statement of it runs meanwhile.
        let Some(thawed) = still.thawed else { return true };
        let heard = self.heard.get(life).copied().unwrap_or_default();
        at <= thawed + after && heard <= thawed
    }

    /// Whether a life does not act, or stood still: when its clock ran on it says so when it looks.
    fn is_quiet(&self, life: &Life, at: u64) -> bool {
        !self.running.contains(life) || self.is_excused(life, at, self.ttl())
    }

    fn ttl(&self) -> u64 {
        micros(self.timing.ttl)
    }

    fn acts(&self, grant: &Grant, at: u64) -> Result<(), String> {
        let Some(taken) = self.taken.get(&grant.key) else { return Ok(()) };
        let Taken { epoch, life, .. } = taken;
        let stopped = self.stills.get(&grant.life).is_some_and(|still| still.clock_stops);
        let excused = self.is_excused(&grant.life, at, if stopped { self.ttl() } else { 0 });
        let alone = grant.epoch >= *epoch || grant.life == *life || excused;
        let undone = taken.lost && (!taken.runs || self.is_quiet(life, at));
        hold(alone || undone, || {
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
                let by = life.clone();
                let taken = Taken { epoch: *epoch, life: by, at: fact.at, lost: false, runs: false };
                self.taken.insert(key.clone(), taken);
                if let How::TakeOver(from) = how {
                    return hold(self.is_quiet(from, fact.at), || {
                        format!("{life} takes {key} over from {from}, which still runs")
                    });
                }
            }
            What::Resumed(life) => {
                self.running.insert(life.clone());
            }
            What::Quiesced(life) | What::Exited(life) => {
                self.running.remove(life);
                let exited = matches!(fact.what, What::Exited(_));
                let theirs = self.taken.values_mut().filter(|taken| exited && taken.life == *life);
                theirs.for_each(|taken| taken.runs = false);
            }
            What::Opened(grant) | What::Stopped(grant) | What::Fenced(grant) => {
                let taken = self.taken.get_mut(&grant.key).filter(|taken| taken.life == grant.life);
                if let Some(taken) = taken.filter(|taken| grant.epoch >= taken.epoch) {
                    taken.runs = matches!(fact.what, What::Opened(_));
                }
            }
            What::TailLost { since } => {
                let late = self.taken.values_mut().filter(|taken| taken.at >= *since);
                late.for_each(|taken| taken.lost = true);
            }
            What::Frozen { life, clock_stops } => {
                // What an earlier pause excuses, another pause does not end.
                let goes_on = self.is_excused(life, fact.at, self.ttl());
                let before = self.stills.get(life).filter(|still| goes_on && still.clock_stops);
                let clock_stops = *clock_stops || before.is_some();
                self.stills.insert(life.clone(), Still { thawed: None, clock_stops });
            }
            What::Thawed(life) => {
                if let Some(still) = self.stills.get_mut(life) {
                    still.thawed = Some(fact.at);
                }
            }
            What::Beaten { life, .. } => {
                self.renewed.insert(life.clone(), fact.at);
            }
            What::HeardRenewed(life) => {
                let renewed = self.renewed.get(life).copied().unwrap_or_default();
                self.heard.insert(life.clone(), renewed);
            }
            What::SentLogin(grant) | What::Wired { grant, .. } => return self.acts(grant, fact.at),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{beaten, grant, granted, judge, life, wired};
    use super::*;

    fn taken(between: impl IntoIterator<Item = What>) -> Option<String> {
        taken_by(Timing::FAST, between)
    }

    fn taken_by(timing: Timing, between: impl IntoIterator<Item = What>) -> Option<String> {
        let mut facts = vec![granted(&grant(1, 1), How::Claim), wired(&grant(1, 1))];
        facts.push(granted(&grant(2, 2), How::TakeOver(life(1, 1))));
        facts.extend(between);
        facts.push(wired(&grant(1, 1)));
        judge(OneOwner::new(timing), facts)
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
        for quiet in [What::Quiesced(life(1, 1)), What::Exited(life(1, 1)), frozen(1, false)] {
            assert_eq!(over(&[quiet]), None);
        }
        assert!(over(&[frozen(2, false)]).is_some(), "a twin that stands still excuses nobody else");
    }

    fn frozen(incarnation: i64, clock_stops: bool) -> What {
        What::Frozen { life: life(1, incarnation), clock_stops }
    }

    #[test]
    fn a_process_whose_clock_stood_still_is_excused_until_its_lease_must_have_ended() {
        let pause = [frozen(1, true), What::Thawed(life(1, 1))];
        assert_eq!(taken(pause.clone()), None);
        let later = std::iter::repeat_n(What::Healed, 3);
        assert!(taken(pause.into_iter().chain(later)).is_some());
    }

    #[test]
    fn one_pause_after_another_excuses_what_the_first_did() {
        let (thawed, again) = (What::Thawed(life(1, 1)), frozen(1, false));
        assert_eq!(taken([frozen(1, true), thawed.clone(), again, thawed]), None);
    }

    #[test]
    fn a_heartbeat_that_was_under_way_when_its_process_stood_still_has_told_it_nothing() {
        let [beat, hears] = [beaten(&life(1, 1), 1), What::HeardRenewed(life(1, 1))];
        let [stops, runs] = [frozen(1, true), What::Thawed(life(1, 1))];
        let judge = |between: [&What; 4]| taken_by(Timing::NORMAL, between.map(What::clone));
        assert_eq!(judge([&stops, &beat, &runs, &hears]), None);
        assert_eq!(judge([&stops, &runs, &beat, &beat]), None, "the answers are under way");
        assert!(judge([&stops, &runs, &beat, &hears]).is_some());
    }

    #[test]
    fn a_process_whose_clock_ran_on_is_excused_for_what_it_had_begun_only() {
        assert_eq!(taken([frozen(1, false)]), None);
        assert!(taken([frozen(1, false), What::Thawed(life(1, 1))]).is_some());
    }

    #[test]
    fn a_taker_that_a_lost_tail_undid_must_have_let_go_before_the_owner_of_before_acts_again() {
        let (late, early) = (What::TailLost { since: 0 }, What::TailLost { since: u64::MAX });
        let ends = [What::Stopped(grant(2, 2)), What::Fenced(grant(2, 2)), What::Exited(life(2, 1))];
        for over in ends {
            let [acts, runs] = [What::Resumed(life(2, 1)), What::Opened(grant(2, 2))];
            assert_eq!(taken([acts.clone(), runs.clone(), late.clone(), over.clone()]), None);
            assert!(taken([acts.clone(), runs.clone(), early.clone(), over.clone()]).is_some());
            assert!(taken([acts.clone(), runs.clone(), over.clone()]).is_some());
        }
        let [acts, runs] = [What::Resumed(life(2, 1)), What::Opened(grant(2, 2))];
        assert!(taken([acts.clone(), runs.clone(), late.clone()]).is_some());
        let again = [acts.clone(), late.clone(), What::Stopped(grant(2, 2)), runs.clone()];
        assert!(taken(again).is_some(), "it runs again");
        assert_eq!(taken([acts.clone(), late.clone()]), None, "the taker never heard that it may run it");
        assert_eq!(taken([acts, runs, late, What::Quiesced(life(2, 1))]), None);
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
