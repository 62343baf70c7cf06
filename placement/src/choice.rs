//! Who should have a device: the members in the order in which they should try.
//!
//! What must hold: the same view, ring and wish give the same order on every node; the first is the
//! ring's home unless a pin says otherwise; the second lies in another zone where there is one, so that
//! what stands by for a device does not fall with its zone; while releases share the cluster, members
//! of the newest come first, so that an upgrade moves no device back, and those above the highest version that
//! operators want come last; a device that requires a node has no other. It knows no loads: see `plan` and the machine's claims.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use roost_proto::id::{DeviceKey, NodeId};

use crate::ledger::{Member, View};
use crate::ring::{self, Ring, RingKey, Spread};
use crate::wish::{PinMode, Spreading, Wish};

/// Orders members for the devices of one view.
#[derive(Debug)]
pub struct Choice<'a> {
    ring: &'a Ring,
    spread: &'a Spread,
    /// Zones of the members on the ring; empty when there is only one.
    zones: BTreeMap<&'a NodeId, &'a str>,
    /// Ranks of the versions of the members on the ring, the best first; empty when there is only one version.
    versions: BTreeMap<&'a NodeId, VersionRank>,
}

/// The lower, the better. Above the highest version wanted, the one that is the least above it is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VersionRank {
    /// A version that is wanted.
    Wanted(Reverse<u32>),
    /// One above the highest that is wanted.
    Above(u32),
}

/// Where a failure takes everything at once: a zone, or a node where zones tell nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain<'a>(pub &'a str);

impl<'a> Choice<'a> {
    /// `ring` must be [`Ring::of`] the view; `spread` names the tenants that are hashed by device.
    pub fn new(ring: &'a Ring, view: &'a View, spread: &'a Spread) -> Choice<'a> {
        let zone = |member: &'a Member| (&member.life.node, member.zone.as_str());
        let mut zones: BTreeMap<&NodeId, &str> = ring::takers(view).map(zone).collect();
        if zones.values().collect::<BTreeSet<_>>().len() < 2 {
            zones.clear();
        }
        let highest = view.max_version.unwrap_or(u32::MAX);
        let rank = |member: &'a Member| match member.version {
            wanted if wanted <= highest => (&member.life.node, VersionRank::Wanted(Reverse(wanted))),
            above => (&member.life.node, VersionRank::Above(above)),
        };
        let mut versions: BTreeMap<&NodeId, VersionRank> = ring::takers(view).map(rank).collect();
        if versions.values().collect::<BTreeSet<_>>().len() < 2 {
            versions.clear();
        }
        Choice { ring, spread, zones, versions }
    }

    /// All members that may have the device, each once, in the order in which they should try.
    pub fn order(&self, key: &DeviceKey, wish: &Wish) -> Vec<&'a NodeId> {
        let mut order = self.over_zones(self.ring.preference(self.key(key, wish)));
        order.sort_by_key(|node| self.version(node));
        if let Some(pin) = &wish.pin {
            match pin.mode {
                PinMode::Require => order.retain(|node| **node == pin.node),
                PinMode::Prefer => order.sort_by_key(|node| **node != pin.node),
            }
        }
        order
    }

    /// The first of [`Choice::order`].
    pub fn home(&self, key: &DeviceKey, wish: &Wish) -> Option<&'a NodeId> {
        match &wish.pin {
            None if self.versions.is_empty() => self.ring.home(self.key(key, wish)),
            _ => self.order(key, wish).first().copied(),
        }
    }

    /// How good the version of a member on the ring is; `None` for all of them while all speak the same.
    pub fn version(&self, node: &NodeId) -> Option<VersionRank> {
        self.versions.get(node).copied()
    }

    /// The failure domain of a member on the ring.
    pub fn domain(&self, node: &'a NodeId) -> Domain<'a> {
        Domain(self.zones.get(node).copied().unwrap_or(node.as_str()))
    }

    fn key<'k>(&self, key: &'k DeviceKey, wish: &Wish) -> RingKey<'k> {
        match wish.spread {
            Spreading::Auto => self.spread.key(key),
            Spreading::Devices | Spreading::Strict => RingKey::Device(key),
        }
    }

    /// The first of each zone, then the second of each, and so on; zones in the order of their firsts.
    fn over_zones(&self, preference: Vec<&'a NodeId>) -> Vec<&'a NodeId> {
        if self.zones.is_empty() {
            return preference;
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut turns: Vec<(usize, &NodeId)> = Vec::with_capacity(preference.len());
        for node in preference {
            let turn = seen.entry(self.zones.get(node).copied().unwrap_or_default()).or_default();
            turns.push((*turn, node));
            *turn += 1;
        }
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().map(|(_, node)| node).collect()
    }
}
