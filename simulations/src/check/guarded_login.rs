//! guarded-login (I5, I7, I14): each login had a fresh permit, no device dials blindly after it was replaced,
//! and the login rate is kept.
//!
//! Needs Permitted and AskedStanding (each permit is such a question too), Joined, Beaten, Buried, Certified
//! and ClockStepped. Online, recorded when WhatsApp sees it, is only counted against the permits. SentLogin,
//! recorded when it leaves, is judged by its time as well: there, CheckedPermit and HeardReplaced must be
//! recorded too. A pause of the node between its permit and its login excuses that one login.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use roost_placement::ledger::Grant;
use roost_proto::id::{DeviceKey, Epoch, Life, NodeId};

use super::members::Members;
use super::{Check, Rules, hold, micros};
use crate::history::{Fact, What};

/// A permit is good for a second of its node's clock, which may be wrong by a hundredth.
const FRESH: Duration = Duration::from_millis(1010);

/// From its turn under the rate until a login leaves: the limit of a connection, and jitter.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// The checker.
#[derive(Debug, Clone)]
pub(super) struct GuardedLogin {
    rules: Rules,
    members: Members,
    epochs: BTreeMap<DeviceKey, Epoch>,
    permits: BTreeMap<Grant, Permits>,
    /// Devices that heard `replaced`, and how many questions were asked since.
    replaced: BTreeMap<(DeviceKey, Life), u32>,
    /// When each process last began or ended to stand still.
    paused: BTreeMap<Life, u64>,
    /// When logins left each node.
    logins: BTreeMap<NodeId, VecDeque<u64>>,
}

/// The permits of one grant.
#[derive(Debug, Clone, Default)]
struct Permits {
    /// How many were given, and how many logins WhatsApp has seen.
    given: u64,
    seen: u64,
    /// The last one, until a login uses it.
    last: Option<u64>,
    /// Whether it was checked before the send.
    checked: bool,
}

impl GuardedLogin {
    pub(super) fn new(rules: Rules) -> GuardedLogin {
        GuardedLogin {
            members: Members::new(rules.timing),
            rules,
            epochs: BTreeMap::new(),
            permits: BTreeMap::new(),
            replaced: BTreeMap::new(),
            paused: BTreeMap::new(),
            logins: BTreeMap::new(),
        }
    }

    fn permitted(&mut self, grant: &Grant, at: u64) -> Result<(), String> {
        let permits = self.permits.entry(grant.clone()).or_default();
        permits.given += 1;
        (permits.last, permits.checked) = (Some(at), false);
        let clock = self.members.clock(at);
        let runs = self.members.get(&grant.life).is_none_or(|standing| {
            // The clock is known to the millisecond.
            !standing.dead && standing.lease_until > clock - 2
        });
        hold(runs, || format!("{} may dial for {} and its lease is over", grant.life, grant.key))
    }

    fn sent(&mut self, grant: &Grant, at: u64) -> Result<(), String> {
        let who = format!("{} logs in for {}", grant.life, grant.key);
        if let Some(asked) = self.replaced.remove(&(grant.key.clone(), grant.life.clone())) {
            // The last question was for the permit of this very login.
            hold(asked > 1, || format!("{who} blindly after it was replaced"))?;
        }
        let permits = self.permits.entry(grant.clone()).or_default();
        let Some(permitted) = permits.last.take() else { return Err(format!("{who} without a permit")) };
        hold(permits.checked, || format!("{who} and did not look at its permit"))?;
        let paused = self.paused.get(&grant.life).is_some_and(|paused| *paused >= permitted);
        let fresh = at - permitted <= micros(FRESH);
        hold(fresh || paused, || format!("{who} with a permit of {} ms ago", (at - permitted) / 1000))?;
        let current = self.epochs.get(&grant.key).is_none_or(|epoch| *epoch <= grant.epoch);
        hold(current || paused, || format!("{who} by epoch {}, which is old", grant.epoch))?;
        self.paced(&grant.life.node, at)
    }

    fn paced(&mut self, node: &NodeId, at: u64) -> Result<(), String> {
        let logins = self.logins.entry(node.clone()).or_default();
        logins.push_back(at);
        let rate = self.rules.logins_per_second;
        let burst = f64::from(self.rules.login_burst) + rate * UNDER_WAY.as_secs_f64();
        while logins.front().is_some_and(|first| at - first > 60_000_000) {
            logins.pop_front();
        }
        let kept = logins.iter().enumerate().all(|(before, first)| {
            let count = logins.len() - before;
            count as f64 <= burst + rate * (at - first) as f64 / 1e6 + 1.0
        });
        hold(kept, || format!("{node} logs in faster than {rate} times a second"))
    }
}

impl Check for GuardedLogin {
    fn name(&self) -> &'static str {
        "guarded-login"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        self.members.see(fact);
        match &fact.what {
            What::Granted { key, epoch, .. } => {
                self.epochs.insert(key.clone(), *epoch);
            }
            What::Frozen { life, .. } | What::Thawed(life) => {
                self.paused.insert(life.clone(), fact.at);
            }
            What::HeardReplaced(grant) => {
                self.replaced.insert((grant.key.clone(), grant.life.clone()), 0);
            }
            // Its next run begins by a row that was read.
            What::Stopped(grant) => {
                self.replaced.remove(&(grant.key.clone(), grant.life.clone()));
            }
            What::AskedStanding(grant) => {
                if let Some(asked) = self.replaced.get_mut(&(grant.key.clone(), grant.life.clone())) {
                    *asked += 1;
                }
            }
            What::CheckedPermit(grant) => {
                if let Some(permits) = self.permits.get_mut(grant) {
                    permits.checked = true;
                }
            }
            What::Permitted(grant) => return self.permitted(grant, fact.at),
            What::SentLogin(grant) => return self.sent(grant, fact.at),
            What::Online { grant, .. } => {
                let permits = self.permits.entry(grant.clone()).or_default();
                permits.seen += 1;
                let enough = permits.seen <= permits.given;
                return hold(enough, || {
                    format!("{} is online for {} without a permit", grant.life, grant.key)
                });
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roost_placement::ledger::Timing;

    use super::super::scene::{buried, grant, granted, joined, judge, life};
    use super::*;
    use crate::history::How;

    fn says(facts: impl IntoIterator<Item = What>) -> String {
        let mut history = vec![joined(&life(2, 1), 1000)];
        history.push(What::Joined { life: life(1, 1), clock: 2000, lease_until: 17_000 });
        history.push(granted(&grant(1, 1), How::Claim));
        history.extend(facts);
        judge(GuardedLogin::new(Rules::new(Timing::PATIENT, 1.0)), history).unwrap_or_default()
    }

    fn login() -> Vec<What> {
        let grant = grant(1, 1);
        vec![
            What::AskedStanding(grant.clone()),
            What::Permitted(grant.clone()),
            What::CheckedPermit(grant.clone()),
            What::SentLogin(grant.clone()),
        ]
    }

    /// The same, all within a millisecond.
    fn quick(check: &mut GuardedLogin, at: u64, facts: impl IntoIterator<Item = What>) -> Result<(), String> {
        facts.into_iter().try_for_each(|what| check.see(&Fact { at, what }))
    }

    #[test]
    fn a_login_without_a_permit_of_its_own_is_seen() {
        let online = || What::Online { grant: grant(1, 1), connection: 1 };
        assert!(says([online()]).contains("without a permit"));
        assert_eq!(says([What::Permitted(grant(1, 1)), online()]), "");
        assert!(says([What::Permitted(grant(1, 1)), online(), online()]).contains("without a permit"));
        assert!(says([What::SentLogin(grant(1, 1))]).contains("without a permit"));
    }

    #[test]
    fn a_permit_without_a_lease_is_seen() {
        assert!(says(std::iter::repeat_n(What::Healed, 16).chain(login())).contains("its lease is over"));
        let dead = buried(&life(1, 1), &life(2, 1), 4000);
        assert!(says([dead, What::Permitted(grant(1, 1))]).contains("its lease is over"));
    }

    #[test]
    fn an_old_permit_is_seen_unless_the_node_stood_still() {
        assert!(says(login()).contains("ms ago"), "a step of a test takes a second");
        let life = grant(1, 1).life;
        let mut paused = login();
        let frozen = What::Frozen { life: life.clone(), clock_stops: false };
        paused.splice(3..3, [frozen, What::Thawed(life)]);
        assert_eq!(says(paused), "");
    }

    #[test]
    fn a_permit_that_was_not_looked_at_again_is_seen() {
        let mut check = GuardedLogin::new(Rules::new(Timing::FAST, 50.0));
        assert_eq!(quick(&mut check, 1, login()), Ok(()));
        let mut unchecked = login();
        unchecked.remove(2);
        assert!(quick(&mut check, 2, unchecked).is_err_and(|seen| seen.contains("did not look")));
    }

    #[test]
    fn a_blind_redial_is_seen_and_one_after_a_question_is_fine() {
        let mut check = GuardedLogin::new(Rules::new(Timing::FAST, 50.0));
        let replaced = || What::HeardReplaced(grant(1, 1));
        let asked = [replaced(), What::AskedStanding(grant(1, 1))];
        assert_eq!(quick(&mut check, 1, asked.into_iter().chain(login())), Ok(()));
        let blind = quick(&mut check, 2, std::iter::once(replaced()).chain(login()));
        assert!(blind.is_err_and(|seen| seen.contains("blindly")));
        let anew = [replaced(), What::Stopped(grant(1, 1))];
        assert_eq!(quick(&mut check, 3, anew.into_iter().chain(login())), Ok(()));
    }

    #[test]
    fn an_old_epoch_and_a_storm_are_seen() {
        let mut check = GuardedLogin::new(Rules::new(Timing::FAST, 50.0));
        let newer = granted(&grant(2, 2), How::Claim);
        let stale = quick(&mut check, 1, [newer].into_iter().chain(login()));
        assert!(stale.is_err_and(|seen| seen.contains("which is old")));

        let mut check = GuardedLogin::new(Rules::new(Timing::FAST, 1.0));
        let storm = (0..30).try_for_each(|_| quick(&mut check, 1, login()));
        assert!(storm.is_err_and(|seen| seen.contains("faster")));
    }
}
