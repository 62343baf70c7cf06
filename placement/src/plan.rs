//! The plan: which devices should move where, and why.
//!
//! What must hold: the same view, policy and rows give the same plan; planning again on the result of a
//! whole plan moves nothing; relief never brings its target above its bound; a draining member only
//! gives, a cordoned one takes nothing; a device that requires a node is planned for no other; of a
//! strictly spread tenant at most half is planned for one failure domain while there are two. A plan is
//! a proposal: each node carries out the moves that start at itself, and the claim or the give decides.
//! It does not pace anything; of time it knows only how long ago a device was given.

mod planner;

use std::collections::BTreeMap;
use std::time::Duration;

use roost_proto::id::{DeviceKey, Life, NodeId};

use self::planner::Planner;
use crate::ledger::{Desired, MemberState, View};
use crate::load;
use crate::ring::{Ring, Spread};
use crate::wish::Surveyed;

/// What the operator and the present situation allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Tenants to hash by device whatever their size.
    pub spread: Spread,
    /// No member is filled above this many per cent of its weighted share; above it, a member is relieved.
    pub bound_percent: u32,
    /// A member that is relieved goes down to this many per cent, and nobody is filled above it for that.
    /// Not more than `even_percent`; the distance is what keeps devices from wandering.
    pub relief_percent: u32,
    /// Above this many per cent of its share a member makes the cluster uneven. Not more than
    /// `bound_percent`.
    pub even_percent: u32,
    /// Whether members above `even_percent` are relieved too, not only those above their bound.
    pub even: bool,
    /// Whether anything is moved that has a living owner who keeps it: pins, strict spread, relief.
    pub rebalance: bool,
    /// A device that its owner was given a shorter time ago is not moved for relief or spread.
    pub cooldown: Duration,
    /// At most this many moves.
    pub max_moves: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            spread: Spread::default(),
            bound_percent: load::BOUND_PERCENT,
            relief_percent: 110,
            even_percent: 115,
            even: false,
            rebalance: true,
            cooldown: Duration::from_secs(600),
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
    /// Its owner cannot reach WhatsApp, and others can.
    Egress,
    /// It is pinned to its target.
    Pin,
    /// Too many devices of its strictly spread tenant are in one failure domain.
    Spread,
    /// Its owner is above its bound, or above the others for long.
    Rebalance,
}

impl Reason {
    /// One word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TakeOver => "take-over",
            Reason::Drain => "drain",
            Reason::Egress => "egress",
            Reason::Pin => "pin",
            Reason::Spread => "spread",
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

/// A member that takes devices, before and after a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Devices now.
    pub before: u64,
    /// Devices when the plan is carried out.
    pub after: u64,
    /// The most that the plan would fill it to.
    pub bound: u64,
}

/// Moves in the order in which they should be made: take-overs, drains, then pins, spread and relief,
/// the idle first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most `Policy::max_moves`; no device twice.
    pub moves: Vec<Move>,
    /// The members that take devices.
    pub loads: BTreeMap<NodeId, Load>,
}

/// Plans for `rows`, which may be all rows or only those of one node (for strict tenants, it must be all
/// of theirs); members' loads come from the view (or from the rows, where these show more). Rows that
/// are not wanted online are left alone.
pub fn plan(view: &View, policy: &Policy, rows: &[Surveyed]) -> Plan {
    plan_on(&Ring::of(view), view, policy, rows)
}

/// [`plan`] on a ring that was built before, which must be [`Ring::of`] the same view.
pub fn plan_on(ring: &Ring, view: &View, policy: &Policy, rows: &[Surveyed]) -> Plan {
    let rows: Vec<&Surveyed> = rows.iter().filter(|line| line.row.desired == Desired::Online).collect();
    let spread = planner::spread(view, policy, &rows);
    let mut planner = Planner::new(ring, view, policy, &spread, &rows);
    if planner.has_takers() {
        planner.place_all(MemberState::Dead, Reason::TakeOver);
        planner.place_all(MemberState::Draining, Reason::Drain);
        if policy.rebalance {
            planner.rebalance();
        }
    }
    planner.finish()
}

/// The members above this many per cent of their share, in order of node id.
pub fn overloaded(view: &View, percent: u32) -> Vec<NodeId> {
    let (total, weights) = (load::total(view, 0), load::weights(load::active(view)));
    let over = load::active(view).filter(|member| {
        u64::from(member.owned) > load::bound(total, member.weight.max(1), weights, percent)
    });
    over.map(|member| member.life.node.clone()).collect()
}
