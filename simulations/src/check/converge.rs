//! converge (L1 to L6): once faults stop, every device that should run is connected, loads are within their
//! bounds, everybody sees the same, and then nothing moves.
//!
//! Needs Healed, Desired, Granted, Online and Offline; Joined, Stood, Buried, Certified and Exited for who
//! is there. The bounds, all counted from Healed, are those of [`Rules`]: at the end every device is owned and
//! connected (L1, L2), unless it lost its connection just before; members own at most their bound when there
//! was time for relief, and no device changes hands twice within the cooldown once all is settled (L3); nodes
//! that are asked for the order of a tenant agree (L3); calls are answered (L4); who drains owns nothing (L5);
//! nobody that runs is buried (L6).

use std::collections::{BTreeMap, BTreeSet};

use roost_placement::ledger::{Desired, MemberState};
use roost_placement::load;
use roost_proto::id::{BusinessId, DeviceKey, Life, NodeId};

use super::{Check, Rules, hold, micros};
use crate::history::{Fact, How, What};

/// The longest deadline of a call, and what its answer may be late, in microseconds.
const ANSWERED: u64 = 65_000_000;

/// The checker.
#[derive(Debug, Clone)]
pub(super) struct Converge {
    rules: Rules,
    healed: Option<u64>,
    wanted: BTreeSet<DeviceKey>,
    owners: BTreeMap<DeviceKey, Life>,
    online: BTreeMap<DeviceKey, u64>,
    /// When a device lost its last connection, or changed hands.
    disturbed: BTreeMap<DeviceKey, u64>,
    /// When a device was last given away after everything had settled.
    moved: BTreeMap<DeviceKey, u64>,
    /// Lives that are not over, with their state.
    living: BTreeMap<Life, MemberState>,
    preferred: BTreeMap<BusinessId, (NodeId, Vec<NodeId>)>,
    asked: BTreeMap<String, u64>,
}

impl Converge {
    pub(super) fn new(rules: Rules) -> Converge {
        Converge {
            rules,
            healed: None,
            wanted: BTreeSet::new(),
            owners: BTreeMap::new(),
            online: BTreeMap::new(),
            disturbed: BTreeMap::new(),
            moved: BTreeMap::new(),
            living: BTreeMap::new(),
            preferred: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Whether the faults have been over for long enough that members come and go no more.
    fn is_settled(&self, at: u64) -> bool {
        self.healed.is_some_and(|healed| at >= healed + micros(self.rules.settled()))
    }

    fn granted(&mut self, key: &DeviceKey, owner: Option<&Life>, how: &How, at: u64) -> Result<(), String> {
        match owner {
            Some(owner) => self.owners.insert(key.clone(), owner.clone()),
            None => self.owners.remove(key),
        };
        self.disturbed.insert(key.clone(), at);
        if self.is_settled(at)
            && matches!(how, How::Give(_))
            && let Some(before) = self.moved.insert(key.clone(), at)
        {
            let sticks = at - before >= micros(self.rules.cooldown);
            hold(sticks, || format!("{key} moves again after {} s of quiet", (at - before) / 1_000_000))?;
        }
        Ok(())
    }

    fn preferred(&mut self, by: &NodeId, tenant: &BusinessId, order: &[NodeId]) -> Result<(), String> {
        let (first, known) =
            self.preferred.entry(tenant.clone()).or_insert_with(|| (by.clone(), order.to_vec()));
        let names = |order: &[NodeId]| order.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        hold(known == order, || {
            format!("for {tenant} {first} prefers {} and {by} prefers {}", names(known), names(order))
        })
    }

    fn connected(&self, at: u64) -> Result<(), String> {
        let owed = at.saturating_sub(micros(self.rules.prompt));
        for key in &self.wanted {
            let owner = self.owners.get(key);
            let owned = owner.is_some_and(|owner| self.living.contains_key(owner));
            let moving = self.disturbed.get(key).is_some_and(|at| *at > owed);
            hold(owned || moving, || format!("{key} has no living owner"))?;
            hold(self.online.contains_key(key) || moving, || format!("{key} is not connected"))?;
        }
        Ok(())
    }

    fn even(&self, at: u64) -> Result<(), String> {
        let time = self.healed.map_or(0, |healed| at.saturating_sub(healed));
        let draining: Vec<&Life> = self
            .living
            .iter()
            .filter(|(_, state)| **state == MemberState::Draining)
            .map(|(life, _)| life)
            .collect();
        for (key, owner) in &self.owners {
            hold(!draining.contains(&owner), || format!("{owner} drains for ever and owns {key}"))?;
        }
        if self.rules.relief.is_none_or(|relief| time < micros(relief)) {
            return Ok(());
        }
        let active: Vec<&Life> = self
            .living
            .iter()
            .filter(|(_, state)| **state == MemberState::Active)
            .map(|(life, _)| life)
            .collect();
        let bound =
            load::bound(self.owners.len() as u64, 100, 100 * active.len() as u64, load::BOUND_PERCENT);
        for life in active {
            let owned = self.owners.values().filter(|owner| *owner == life).count() as u64;
            hold(owned <= bound, || format!("{life} owns {owned} devices and its bound is {bound}"))?;
        }
        Ok(())
    }
}

impl Check for Converge {
    fn name(&self) -> &'static str {
        "converge"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Healed => self.healed = Some(fact.at),
            What::Desired { key, desired } => {
                match desired {
                    Desired::Online => self.wanted.insert(key.clone()),
                    _ => self.wanted.remove(key),
                };
            }
            What::Granted { key, owner, how, .. } => {
                return self.granted(key, owner.as_ref(), how, fact.at);
            }
            What::Online { grant, connection } => {
                self.online.insert(grant.key.clone(), *connection);
            }
            What::Offline { key, connection, .. } if self.online.get(key) == Some(connection) => {
                self.online.remove(key);
                self.disturbed.insert(key.clone(), fact.at);
            }
            What::Joined { life, .. } => {
                self.living.retain(|other, _| other.node != life.node);
                self.living.insert(life.clone(), MemberState::Joining);
            }
            What::Certified { victim: life }
            | What::Exited(life)
            | What::Stood { life, state: MemberState::Dead } => {
                self.living.remove(life);
            }
            What::Stood { life, state } => {
                if let Some(standing) = self.living.get_mut(life) {
                    *standing = *state;
                }
            }
            What::Buried { victim, by, .. } => {
                let ran = self.living.remove(victim).is_some();
                let settled = self.is_settled(fact.at);
                return hold(!(ran && settled), || {
                    format!("{by} buries {victim}, which nothing had disturbed")
                });
            }
            What::Preferred { by, tenant, order } => return self.preferred(by, tenant, order),
            What::Asked { request, .. } => {
                self.asked.insert(request.clone(), fact.at);
            }
            What::Accepted { request, .. } | What::Refused { request, .. } => {
                self.asked.remove(request);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, at: u64) -> Result<(), String> {
        if self.healed.is_none() {
            return Ok(());
        }
        self.connected(at)?;
        self.even(at)?;
        let silent = self.asked.iter().find(|(_, asked)| **asked + ANSWERED < at);
        hold(silent.is_none(), || {
            format!("{} was never answered", silent.map(|(request, _)| request.as_str()).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roost_placement::ledger::Timing;

    use super::super::scene::{buried, grant, granted, joined, judge, key, life, stood};
    use super::*;

    fn rules() -> Rules {
        let (relief, cooldown) = (Some(Duration::from_secs(1)), Duration::from_secs(30));
        Rules { relief, cooldown, ..Rules::new(Timing::FAST, 50.0) }
    }

    fn device(name: &str) -> DeviceKey {
        format!("tenants/t1/devices/{name}").parse().expect("a key")
    }

    fn online(connection: u64) -> What {
        What::Online { grant: grant(1, 1), connection }
    }

    /// Two nodes, one device that the first owns, and no faults any more.
    fn quiet(then: impl IntoIterator<Item = What>) -> Option<String> {
        let (one, two) = (life(1, 1), life(2, 1));
        let mut facts = vec![What::Desired { key: key(), desired: Desired::Online }];
        for life in [&one, &two] {
            facts.extend([joined(life, 1000), stood(life, MemberState::Active)]);
        }
        facts.extend([granted(&grant(1, 1), How::Claim), online(1), What::Healed]);
        facts.extend(std::iter::repeat_n(What::Refused { request: String::new(), why: "" }, 30));
        facts.extend(then);
        judge(Converge::new(rules()), facts)
    }

    #[test]
    fn a_quiet_cluster_has_converged() {
        assert_eq!(quiet([]), None);
    }

    #[test]
    fn a_device_without_connection_or_owner_is_seen() {
        let lost = What::Offline { key: key(), connection: 1, why: "lost".to_owned() };
        assert!(quiet([lost]).is_some_and(|seen| seen.contains("not connected")));
        assert!(quiet([What::Exited(life(1, 1))]).is_some_and(|seen| seen.contains("no living owner")));
    }

    #[test]
    fn a_load_beyond_the_bound_is_seen() {
        let more = ["d2", "d3", "d4"].map(|name| {
            let (owner, how) = (Some(life(1, 1)), How::Claim);
            What::Granted { key: device(name), epoch: roost_proto::id::Epoch(1), owner, how }
        });
        assert!(quiet(more).is_some_and(|seen| seen.contains("its bound")));
    }

    #[test]
    fn a_device_that_wanders_is_seen() {
        let there = granted(&grant(2, 2), How::Give(life(1, 1)));
        let back = granted(&grant(1, 3), How::Give(life(2, 1)));
        assert_eq!(quiet([there.clone()]), None);
        assert!(quiet([there, back]).is_some_and(|seen| seen.contains("moves again")));
    }

    #[test]
    fn nodes_that_disagree_are_seen() {
        let prefers = |by: u32, order: [u32; 2]| What::Preferred {
            by: life(by, 1).node,
            tenant: key().business_id,
            order: order.map(|node| life(node, 1).node).to_vec(),
        };
        assert_eq!(quiet([prefers(1, [1, 2]), prefers(2, [1, 2])]), None);
        assert!(quiet([prefers(1, [1, 2]), prefers(2, [2, 1])]).is_some());
    }

    #[test]
    fn a_drain_without_end_a_silent_call_and_a_false_burial_are_seen() {
        assert!(quiet([stood(&life(1, 1), MemberState::Draining)]).is_some());
        let tenant = key().business_id;
        let asked = What::Asked { tenant, key: key(), request: "r1".to_owned(), content: 0 };
        let waited = std::iter::repeat_n(What::Due, 10);
        assert!(quiet(std::iter::once(asked).chain(waited)).is_some_and(|seen| seen.contains("answered")));
        assert!(quiet([buried(&life(2, 1), &life(1, 1), 90_000)]).is_some());
    }
}
