//! Histories of machines: take-over, quiet and return, drain, hand-off, and random faults.

mod checks;
mod egress;
mod rebalance;
mod rows;
mod tails;
mod warm;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use roost_placement::ledger::{Desired, MemberState};
use roost_placement::machine::{AlreadyDraining, HandOffError};
use roost_proto::id::Epoch;

use world::{World, key, node};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Three nodes that share 30 devices of 6 tenants.
fn three() -> World {
    let mut world = World::new(7, 30);
    (1..=3).for_each(|n| world.join(n));
    world.run(secs(3));
    world.assert_settled();
    world
}

#[test]
fn nodes_that_start_together_share_the_devices_within_their_bounds() {
    let world = three();
    assert!(world.loads().values().all(|load| *load <= 13), "{:?}", world.loads());
    assert_eq!(world.starts, 30);
}

#[test]
fn survivors_take_over_from_a_killed_node_and_move_nothing_else() {
    let mut world = three();
    let lost = world.loads()[&node(2)];
    world.kill(2);
    world.run(Duration::from_millis(1900));
    assert_eq!(world.burials, 0);
    world.run(Duration::from_millis(1900));
    assert_eq!(world.burials, 1);
    world.assert_settled();
    assert_eq!(world.starts, 30 + lost);
}

#[test]
fn a_death_certificate_makes_the_take_over_immediate() {
    let mut world = three();
    world.kill(2);
    world.certify(2);
    world.run(Duration::from_millis(1000));
    world.assert_settled();
    assert_eq!(world.burials, 0);
}

#[test]
fn after_an_outage_of_the_ledger_everybody_resumes_and_nothing_has_moved() {
    let mut world = three();
    world.outage_until = world.now.plus(secs(30));
    world.run(secs(29));
    assert!((1..=3).all(|n| world.node(n).expect("alive").machine.quiesced()));
    world.run(secs(6));
    world.assert_settled();
    assert_eq!((world.starts, world.burials), (30, 0));
}

#[test]
fn a_node_that_was_frozen_shortly_resumes_without_a_restart_of_its_devices() {
    let mut world = three();
    let until = world.now.plus(Duration::from_millis(1500));
    world.node(1).expect("alive").frozen_until = until;
    world.run(secs(4));
    world.assert_settled();
    assert_eq!((world.starts, world.burials), (30, 0));
}

#[test]
fn a_node_that_was_frozen_too_long_finds_itself_dead() {
    let mut world = three();
    let until = world.now.plus(secs(6));
    world.node(1).expect("alive").frozen_until = until;
    world.run(secs(8));
    assert!(world.node(1).is_none(), "it is over");
    world.assert_settled();
    assert_eq!(world.burials, 1);
}

#[test]
fn a_drain_hands_everything_to_the_others_and_leaves() {
    let mut world = three();
    let load = world.loads()[&node(3)];
    world.node(3).expect("alive").machine.drain().expect("the first drain");
    assert_eq!(world.node(3).expect("alive").machine.drain(), Err(AlreadyDraining));
    world.run(secs(2));
    assert!(world.nodes[&node(3)].drained);
    world.assert_settled();
    assert_eq!(world.starts, 30 + load, "each device moved once");
    assert!(world.loads().values().all(|load| *load <= 19), "{:?}", world.loads());
}

#[test]
fn a_lonely_node_frees_its_devices_when_it_drains() {
    let mut world = World::new(3, 10);
    world.join(1);
    world.run(secs(2));
    world.node(1).expect("alive").machine.drain().expect("the first drain");
    world.run(secs(2));
    assert!(world.nodes[&node(1)].drained);
    assert!(world.rows.values().all(|row| row.owner.is_none()));
}

#[test]
fn a_requested_hand_off_moves_one_device_and_tells_the_pause() {
    let mut world = three();
    let owner = world.rows[&key(0)].owner.clone().expect("owned").node;
    let other = (1..=3).map(node).find(|id| *id != owner).expect("three nodes");
    world.hand_off(&owner, &key(0), &other).expect("accepted");
    assert_eq!(world.hand_off(&owner, &key(0), &other), Err(HandOffError::Busy));
    world.run(secs(1));
    let (_, outcome) = world.nodes[&owner].handed[0].clone();
    let outcome = outcome.expect("handed off");
    assert_eq!(outcome.grant.life.node, other);
    assert!(outcome.pause < Duration::from_millis(200), "{outcome:?}");
    world.assert_settled();
}

#[test]
fn hand_offs_that_make_no_sense_are_refused() {
    let mut world = three();
    let owner = world.rows[&key(0)].owner.clone().expect("owned").node;
    let other = (1..=3).map(node).find(|id| *id != owner).expect("three nodes");
    assert_eq!(world.hand_off(&owner, &key(0), &owner), Err(HandOffError::AlreadyHere));
    assert_eq!(world.hand_off(&owner, &key(0), &node(9)), Err(HandOffError::UnknownTarget(node(9))));
    assert_eq!(world.hand_off(&other, &key(0), &owner), Err(HandOffError::NotOwner));
}

#[test]
fn a_target_that_dies_halfway_leaves_the_device_with_one_owner() {
    let mut world = three();
    let owner = world.rows[&key(0)].owner.clone().expect("owned").node;
    let other = (1..=3).find(|n| node(*n) != owner).expect("three nodes");
    world.hand_off(&owner, &key(0), &node(other)).expect("accepted");
    world.kill(other);
    world.run(secs(5));
    world.assert_settled();
}

#[test]
fn what_the_tenant_stops_is_stopped_and_freed_and_comes_back_on_demand() {
    let mut world = three();
    world.rows.get_mut(&key(4)).expect("a row").desired = Desired::Offline;
    world.run(secs(5));
    world.assert_settled();
    assert_eq!(world.rows[&key(4)].owner, None);
    world.rows.get_mut(&key(4)).expect("a row").desired = Desired::Online;
    world.run(secs(3));
    world.assert_settled();
}

#[test]
fn what_the_ledger_takes_away_is_stopped_and_never_resumes() {
    for outage in [0, 4] {
        let mut world = three();
        world.outage_until = world.now.plus(secs(outage));
        world.run(Duration::from_millis(outage * 900));
        let row = world.rows.get_mut(&key(4)).expect("a row");
        (row.owner, row.epoch, row.desired) = (None, Epoch(row.epoch.0 + 1), Desired::Deleted);
        world.run(secs(5));
        world.assert_settled();
        assert_eq!(world.starts, 30, "the others went on");
    }
}

#[test]
fn a_node_that_has_begun_to_drain_claims_nothing_that_it_was_waiting_for() {
    for delay in 0..40 {
        let mut world = three();
        world.kill(2);
        world.certify(2);
        world.run(Duration::from_millis(300 + delay * 10));
        world.node(1).expect("alive").machine.drain().expect("the first drain");
        // The world itself refuses claims of a node that drains.
        world.run(secs(2));
        assert!(world.nodes[&node(1)].drained);
        world.run(secs(3));
        world.assert_settled();
    }
}

#[test]
fn a_newcomer_relieves_the_others_and_then_nothing_moves() {
    let mut world = World::new(5, 30);
    world.join(1);
    world.run(secs(3));
    world.join(2);
    world.join(3);
    world.run(secs(30));
    world.assert_settled();
    assert!(world.loads().values().all(|load| *load <= 13), "{:?}", world.loads());
    let starts = world.starts;
    world.run(secs(30));
    assert_eq!(world.starts, starts, "it came to rest");
}

#[derive(Debug, Clone)]
enum Fault {
    Kill(u32),
    Certify(u32),
    Freeze(u32, u64),
    Outage(u64),
    Drain(u32),
    Rejoin(u32),
    HandOff(u32, u32),
    Stop(u32),
    Want(u32),
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (1u32..5).prop_map(Fault::Kill),
        (1u32..5).prop_map(Fault::Certify),
        (1u32..5, 100u64..7000).prop_map(|(n, span)| Fault::Freeze(n, span)),
        (100u64..6000).prop_map(Fault::Outage),
        (1u32..5).prop_map(Fault::Drain),
        (1u32..5).prop_map(Fault::Rejoin),
        (0u32..24, 1u32..5).prop_map(|(device, to)| Fault::HandOff(device, to)),
        (0u32..24).prop_map(Fault::Stop),
        (0u32..24).prop_map(Fault::Want),
    ]
}

fn inflict(world: &mut World, fault: &Fault) {
    let now = world.now;
    match fault {
        Fault::Kill(n) => world.kill(*n),
        Fault::Certify(n) => {
            world.kill(*n);
            world.certify(*n);
        }
        Fault::Freeze(n, span) => {
            if let Some(node) = world.node(*n) {
                node.frozen_until = now.plus(Duration::from_millis(*span));
            }
        }
        Fault::Outage(span) => world.outage_until = now.plus(Duration::from_millis(*span)),
        Fault::Drain(n) => {
            if let Some(node) = world.node(*n) {
                let _second_is_refused = node.machine.drain();
            }
        }
        Fault::Rejoin(n) => {
            if world.node(*n).is_none() && world.is_dead(*n) {
                world.join(*n);
            }
        }
        Fault::HandOff(device, to) => {
            if let Some(owner) = world.rows[&key(*device)].owner.clone().map(|owner| owner.node)
                && world.nodes[&owner].frozen_until <= now
                && !world.nodes[&owner].gone
            {
                let _refused_or_not = world.hand_off(&owner, &key(*device), &node(*to));
            }
        }
        Fault::Stop(n) => world.rows.get_mut(&key(*n)).expect("a row").desired = Desired::Offline,
        Fault::Want(n) => world.rows.get_mut(&key(*n)).expect("a row").desired = Desired::Online,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_no_two_act_and_in_the_end_all_runs(
        seed in any::<u64>(),
        loss in prop::sample::select(vec![0u64, 0, 20, 150]),
        history in prop::collection::vec((faults(), 0u64..2500), 1..14),
    ) {
        let mut world = World::new(seed, 24);
        (1..=4).for_each(|n| world.join(n));
        world.run(secs(2));
        world.loss = loss;
        for (fault, pause) in &history {
            inflict(&mut world, fault);
            world.run(Duration::from_millis(*pause));
        }
        world.loss = 0;
        // Past every freeze and outage, with two lives for certain.
        world.run(secs(8));
        for n in 1..=2 {
            if world.node(n).is_none() {
                world.certify(n);
                world.join(n);
            }
        }
        world.run(secs(14));
        // The last move of a rebalance may be under way.
        world.run_until(secs(5), World::is_still);
        prop_assert!(world.nodes.values().any(|node| !node.gone && node.machine.standing() == MemberState::Active));
        world.assert_settled();
    }
}
