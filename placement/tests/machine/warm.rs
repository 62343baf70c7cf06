//! Hand-offs whose target prepares: what may go wrong meanwhile costs no pause and no second owner.

use roost_placement::ledger::Desired;
use roost_placement::machine::HandOffError;
use roost_proto::id::NodeId;

use super::world::{TIMING, World, key, node};
use super::{secs, three};

/// A hand-off of device 0 that has begun, its owner, and the number of its target.
fn begun() -> (World, NodeId, u32) {
    let mut world = three();
    let owner = world.rows[&key(0)].owner.clone().expect("owned").node;
    let target = (1..=3).find(|n| node(*n) != owner).expect("three nodes");
    world.hand_off(&owner, &key(0), &node(target)).expect("accepted");
    assert_eq!(world.warmed, 1, "the target was asked to prepare");
    (world, owner, target)
}

#[test]
fn while_its_target_prepares_a_device_runs_on() {
    let (mut world, owner, target) = begun();
    let epoch = world.rows[&key(0)].epoch;
    let before = world.nodes[&owner].running.clone();
    assert!(before.contains_key(&key(0)) && world.rows[&key(0)].epoch == epoch);
    world.run(secs(2));
    assert_eq!(world.rows[&key(0)].owner.as_ref().map(|life| &life.node), Some(&node(target)));
    assert!(world.nodes[&owner].handed[0].1.is_ok());
    world.assert_settled();
}

#[test]
fn a_target_that_is_known_to_be_gone_when_it_should_be_ready_is_given_nothing() {
    let (mut world, owner, target) = begun();
    let grant = world.nodes[&owner].running[&key(0)].clone();
    // Nobody answers for the target; the owner is told when its time is over, and knows by then.
    let asked = std::mem::take(&mut world.nodes.get_mut(&owner).expect("a node").inbox);
    world.kill(target);
    world.certify(target);
    world.run(secs(1));
    world.nodes.get_mut(&owner).expect("a node").inbox.extend(asked);
    world.run(secs(1));
    assert_eq!(world.nodes[&owner].handed[0].1, Err(HandOffError::TargetRefused));
    assert_eq!(world.nodes[&owner].running.get(&key(0)), Some(&grant), "it was never stopped");
    world.run(secs(5));
    world.assert_settled();
}

#[test]
fn a_device_that_nobody_wants_any_more_is_freed_although_its_target_prepares() {
    let (mut world, owner, _) = begun();
    world.nodes.get_mut(&owner).expect("a node").inbox.clear();
    world.rows.get_mut(&key(0)).expect("a row").desired = Desired::Offline;
    world.run(secs(6));
    assert_eq!(world.nodes[&owner].handed[0].1, Err(HandOffError::Lost));
    assert_eq!(world.rows[&key(0)].owner, None);
    world.assert_settled();
}

#[test]
fn a_drain_lets_the_targets_prepare_and_moves_each_device_once() {
    let mut world = three();
    let load = world.loads()[&node(3)];
    world.node(3).expect("alive").machine.drain().expect("the first drain");
    world.run(secs(3));
    assert!(world.nodes[&node(3)].drained);
    assert_eq!((world.warmed, world.starts), (load, 30 + load));
    world.assert_settled();
}

#[test]
fn a_drain_asks_nobody_to_prepare_whose_lease_is_over_and_ends_all_the_same() {
    let mut world = World::new(5, 10);
    world.join(1);
    world.join(2);
    world.run(secs(5));
    world.kill(1);
    // Nobody buries it while placement is blocked, so that its lease is over and it still counts as active.
    world.blocked_until = world.now.plus(secs(60));
    world.run(TIMING.ttl + TIMING.beat * 2);
    let living = world.node(2).expect("alive");
    assert!(living.machine.view().members.iter().any(|member| member.remaining.is_zero()));
    living.machine.drain().expect("the first drain");
    world.run(secs(4));
    assert!(world.nodes[&node(2)].drained);
    assert_eq!(world.warmed, 0);
    assert!(world.rows.values().all(|row| row.owner.as_ref().is_none_or(|owner| owner.node == node(1))));
}
