//! What must be true of the small world: at every step, and when it has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use roost_placement::ledger::Desired;
use roost_proto::id::{DeviceKey, Epoch, Life, NodeId};

use crate::world::World;

impl World {
    /// No two nodes act for one device; what acts, acts under a grant that was made for it.
    pub(crate) fn check(&self) {
        let mut acting: BTreeMap<&DeviceKey, &Life> = BTreeMap::new();
        for node in self.nodes.values() {
            let awake = !node.gone && node.frozen_until <= self.now;
            if !awake || node.suspended || !node.lease.may_act(self.now) {
                continue;
            }
            for (key, grant) in &node.running {
                assert_eq!(self.grants.get(&(key.clone(), grant.epoch)), Some(&node.life), "{key}");
                if let Some(other) = acting.insert(key, &node.life) {
                    panic!("{other} and {} act for {key} at {:?}", node.life, self.now);
                }
            }
        }
    }

    /// Everything wanted online runs at its owner, and nothing else runs.
    pub(crate) fn assert_settled(&self) {
        let mut runs: BTreeSet<(&DeviceKey, &Life, Epoch)> = BTreeSet::new();
        for node in self.nodes.values().filter(|node| !node.gone) {
            assert!(!node.suspended, "{} is suspended", node.life);
            runs.extend(node.running.values().map(|grant| (&grant.key, &node.life, grant.epoch)));
        }
        for row in self.rows.values() {
            let owner = row.owner.as_ref();
            match row.desired {
                Desired::Online => {
                    let owner = owner.unwrap_or_else(|| panic!("{} has no owner", row.key));
                    assert!(
                        runs.remove(&(&row.key, owner, row.epoch)),
                        "{} does not run at {owner}",
                        row.key
                    );
                }
                Desired::Offline | Desired::Deleted => {
                    assert!(owner.is_none_or(|owner| !self.alive(owner)), "{}", row.key);
                }
            }
        }
        assert!(runs.is_empty(), "{runs:?} run without a row");
    }

    pub(crate) fn loads(&self) -> BTreeMap<NodeId, usize> {
        let alive = self.nodes.iter().filter(|(_, node)| !node.gone);
        alive.map(|(id, node)| (id.clone(), node.running.len())).collect()
    }
}
