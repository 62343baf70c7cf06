//! The plan: which devices should move where, and why.
//!
//! What must hold: the same view, policy and rows give the same plan; planning again on the result of a
//! whole plan moves nothing; a move never brings its target above its bound; a draining member only
//! gives. A plan is a proposal: each node carries out the moves that start at itself, and the claim or
//! the give decides. It does not pace anything and does not know what has just moved.

use std::collections::BTreeMap;

use roost_proto::id::{DeviceKey, Life, NodeId};

use crate::ledger::{Desired, Member, MemberState, Ownership, View};
use crate::load;
use crate::ring::{Ring, Spread};

/// What the operator and the present situation allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Tenants to hash by device whatever their size.
    pub spread: Spread,
    /// No member is filled above this many per cent of its weighted share; above it, a member is relieved.
    pub bound_percent: u32,
    /// A member that is relieved goes down to this many per cent, and nobody is filled above it for that.
    /// Not more than `bound_percent`; the distance is what keeps devices from wandering.
    pub relief_percent: u32,
    /// Whether members above their bound are relieved.
    pub rebalance: bool,
    /// At most this many moves.
    pub max_moves: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            spread: Spread::default(),
            bound_percent: load::BOUND_PERCENT,
            relief_percent: 110,
            rebalance: true,
            max_moves: usize::MAX,
        }
    }
}

/// Why a device should move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nobody living holds it.
    TakeOver,
    /// Its owner gives everything away.
    Drain,
    /// Its owner is above its bound.
    Rebalance,
}

impl Reason {
    /// One word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TakeOver => "take-over",
            Reason::Drain => "drain",
            Reason::Rebalance => "rebalance",
        }
    }
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which device.
    pub key: DeviceKey,
    /// Who the row names now; for a take-over `None` or a life that is over.
    pub from: Option<Life>,
    /// Who should have it.
    pub to: Life,
    /// Why.
    pub reason: Reason,
}

/// Moves in the order in which they should be made: take-overs, drains, then relief.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most `Policy::max_moves`; no device twice.
    pub moves: Vec<Move>,
}

/// Plans for `rows`, which may be all rows or only those of one node; members' loads come from the view
/// (or from the rows, where these show more). Rows that are not wanted online are left alone.
pub fn plan(view: &View, policy: &Policy, rows: &[Ownership]) -> Plan {
    plan_on(&Ring::of(view), view, policy, rows)
}

/// [`plan`] on a ring that was built before, which must be [`Ring::of`] the same view.
pub fn plan_on(ring: &Ring, view: &View, policy: &Policy, rows: &[Ownership]) -> Plan {
    let mut planner = Planner::new(ring, view, policy, rows);
    if planner.loads.is_empty() {
        return Plan::default();
    }
    let wanted = rows.iter().filter(|row| row.desired == Desired::Online);
    let (mut orphans, mut draining, mut settled) = (Vec::new(), Vec::new(), Vec::new());
    for row in wanted {
        match row.owner.as_ref().and_then(|owner| planner.members.get(owner)).map(|member| member.state) {
            None | Some(MemberState::Dead) => orphans.push(row),
            Some(MemberState::Draining) => draining.push(row),
            Some(MemberState::Active) => settled.push(row),
            Some(MemberState::Joining) => {}
        }
    }
    for row in orphans {
        planner.place(row, Reason::TakeOver);
    }
    for row in draining {
        planner.place(row, Reason::Drain);
    }
    if policy.rebalance {
        planner.relieve(&settled);
    }
    Plan { moves: planner.moves }
}

/// The members above their bound, in order of node id.
pub fn overloaded(view: &View, policy: &Policy, orphans: usize) -> Vec<NodeId> {
    let (total, weights) = (load::total(view, orphans), load::weights(load::active(view)));
    let over = |member: &&Member| {
        member.state == MemberState::Active
            && u64::from(member.owned)
                > load::bound(total, member.weight.max(1), weights, policy.bound_percent)
    };
    view.members.iter().filter(over).map(|member| member.life.node.clone()).collect()
}

struct Load {
    life: Life,
    devices: u64,
    bound: u64,
    relief: u64,
}

struct Planner<'a> {
    policy: &'a Policy,
    members: BTreeMap<&'a Life, &'a Member>,
    ring: &'a Ring,
    spread: Spread,
    loads: BTreeMap<NodeId, Load>,
    moves: Vec<Move>,
}

impl<'a> Planner<'a> {
    fn new(ring: &'a Ring, view: &'a View, policy: &'a Policy, rows: &'a [Ownership]) -> Planner<'a> {
        let members: BTreeMap<&Life, &Member> =
            view.members.iter().map(|member| (&member.life, member)).collect();
        let mut shown: BTreeMap<&Life, u64> = BTreeMap::new();
        let mut orphans = 0;
        for row in rows.iter().filter(|row| row.desired == Desired::Online) {
            match &row.owner {
                Some(owner) if members.contains_key(owner) => *shown.entry(owner).or_default() += 1,
                _ => orphans += 1,
            }
        }
        let devices = |member: &Member| {
            u64::from(member.owned).max(shown.get(&member.life).copied().unwrap_or_default())
        };
        let total = orphans + view.members.iter().map(devices).sum::<u64>();
        let weights = load::weights(load::active(view));
        let loads: BTreeMap<NodeId, Load> = load::active(view)
            .map(|member| {
                let weight = member.weight.max(1);
                let load = Load {
                    life: member.life.clone(),
                    devices: devices(member),
                    bound: load::bound(total, weight, weights, policy.bound_percent),
                    relief: load::bound(total, weight, weights, policy.relief_percent),
                };
                (member.life.node.clone(), load)
            })
            .collect();
        let mut spread = policy.spread.clone();
        spread.add_large(rows.iter().map(|row| &row.key), total, loads.len());
        Planner { policy, members, ring, spread, loads, moves: Vec::new() }
    }

    /// The members that can take this device now, in the order in which they should.
    fn preference(&self, key: &DeviceKey) -> Vec<&'a NodeId> {
        let mut preference = self.ring.preference(self.spread.key(key));
        preference.retain(|node| self.loads.contains_key(*node));
        preference
    }

    /// Finds a place for a device that has to leave or has no owner.
    fn place(&mut self, row: &Ownership, reason: Reason) {
        let preference = self.preference(&row.key);
        let room = |node: &&&NodeId| self.loads[**node].devices < self.loads[**node].bound;
        // The bounds leave room for everything that the loads count; a view that is behind may not.
        let target = preference.iter().find(room).or_else(|| {
            preference
                .iter()
                .min_by_key(|node| self.loads[**node].devices.saturating_sub(self.loads[**node].bound))
        });
        if let Some(target) = target.map(|node| (*node).clone()) {
            self.push(row, &target, reason);
        }
    }

    /// Takes devices from members above their bound: first those that are not at home, then any, and
    /// only to members that stay within the relief bound.
    fn relieve(&mut self, settled: &[&Ownership]) {
        let over: Vec<NodeId> = self
            .loads
            .iter()
            .filter(|(_, load)| load.devices > load.bound)
            .map(|(node, _)| node.clone())
            .collect();
        for node in over {
            let mut rows: Vec<(bool, &Ownership)> = settled
                .iter()
                .filter(|row| row.owner.as_ref().is_some_and(|owner| owner.node == node))
                .map(|row| (self.ring.home(self.spread.key(&row.key)) == Some(&node), *row))
                .collect();
            rows.sort_by_key(|(at_home, row)| (*at_home, &row.key));
            for (_, row) in rows {
                if self.loads[&node].devices <= self.loads[&node].relief {
                    break;
                }
                let preference = self.preference(&row.key);
                let room =
                    |to: &&&NodeId| **to != &node && self.loads[**to].devices < self.loads[**to].relief;
                if let Some(target) = preference.iter().find(room).map(|to| (*to).clone()) {
                    self.push(row, &target, Reason::Rebalance);
                }
            }
        }
    }

    fn push(&mut self, row: &Ownership, target: &NodeId, reason: Reason) {
        if self.moves.len() >= self.policy.max_moves {
            return;
        }
        if let Some(from) = row.owner.as_ref().and_then(|owner| self.loads.get_mut(&owner.node)) {
            // A row of an earlier life of a member that lives is not part of its load.
            if Some(&from.life) == row.owner.as_ref() {
                from.devices = from.devices.saturating_sub(1);
            }
        }
        let load = self.loads.get_mut(target).expect("the ring holds exactly the members with a load");
        load.devices += 1;
        self.moves.push(Move {
            key: row.key.clone(),
            from: row.owner.clone(),
            to: load.life.clone(),
            reason,
        });
    }
}
