//! Hand-made histories for the checkers' own tests: two nodes, one device, and words for what happens.

use roost_placement::ledger::{Grant, MemberState};
use roost_proto::id::{DeviceKey, Epoch, Incarnation, Life, Sequence};

use super::Check;
use crate::history::{Commit, Fact, How, Logged, What, WireKind};

/// What the checker says of these facts, each a second after the one before, and of their end.
pub(super) fn judge(mut check: impl Check, facts: impl IntoIterator<Item = What>) -> Option<String> {
    let mut at = 0;
    for what in facts {
        at += 1_000_000;
        if let Err(seen) = check.see(&Fact { at, what }) {
            return Some(seen);
        }
    }
    check.end(at + 60_000_000).err()
}

pub(super) fn key() -> DeviceKey {
    "tenants/t1/devices/d1".parse().expect("a key")
}

/// The life `incarnation` of node `n<node>`.
pub(super) fn life(node: u32, incarnation: i64) -> Life {
    let node = format!("n{node}").parse().expect("an id");
    Life { node, incarnation: Incarnation(incarnation) }
}

/// The device at the first life of a node.
pub(super) fn grant(node: u32, epoch: i64) -> Grant {
    Grant { key: key(), life: life(node, 1), epoch: Epoch(epoch) }
}

pub(super) fn granted(to: &Grant, how: How) -> What {
    What::Granted { key: to.key.clone(), epoch: to.epoch, owner: Some(to.life.clone()), how }
}

pub(super) fn freed(epoch: i64, by: &Life) -> What {
    What::Granted { key: key(), epoch: Epoch(epoch), owner: None, how: How::Release(by.clone()) }
}

/// An empty commit, to be filled.
pub(super) fn commit(grant: &Grant) -> Commit {
    let (events, holds, ratchets) = (Vec::new(), Vec::new(), Vec::new());
    let (awaits, wires, accepts) = (Vec::new(), Vec::new(), Vec::new());
    Commit { grant: grant.clone(), events, holds, awaits, ratchets, wires, accepts }
}

pub(super) fn committed(grant: &Grant, sequence: i64) -> What {
    let mut commit = commit(grant);
    commit.events.push(Logged { sequence: Sequence(sequence), message: None });
    What::Committed(Box::new(commit))
}

pub(super) fn wired(grant: &Grant) -> What {
    let (grant, id) = (grant.clone(), "ping".to_owned());
    What::Wired { grant, kind: WireKind::Other, id, digest: 0, keys: Vec::new() }
}

pub(super) fn joined(life: &Life, clock: i64) -> What {
    What::Joined { life: life.clone(), clock, lease_until: clock + 2000 }
}

pub(super) fn beaten(life: &Life, clock: i64) -> What {
    What::Beaten { life: life.clone(), clock, lease_until: clock + 2000, lease_since: 0 }
}

pub(super) fn buried(victim: &Life, by: &Life, clock: i64) -> What {
    What::Buried { victim: victim.clone(), by: by.clone(), clock }
}

pub(super) fn stood(life: &Life, state: MemberState) -> What {
    What::Stood { life: life.clone(), state }
}
