//! Histories of rebalancing: what begins it, what holds it back, how fast it goes; pins and cordons.

use std::time::Duration;

use roost_placement::ledger::MemberState;
use roost_placement::machine::{HandOffError, Pace};
use roost_placement::wish::{Pin, PinMode};
use roost_proto::id::{Incarnation, Life, UnixMillis};

use crate::world::{World, key, node};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Node 1 owns `devices`, then node 2 comes, empty.
fn lopsided(devices: u32, pace: Pace) -> World {
    let mut world = World::new(11, devices);
    world.pace = pace;
    world.join(1);
    world.run(secs(3));
    world.join(2);
    world
}

fn pin(world: &mut World, n: u32, to: u32, mode: PinMode) {
    world.rows.get_mut(&key(n)).expect("a row").wish.pin = Some(Pin { node: node(to), mode });
    world.view_epoch += 1;
}

#[test]
fn a_rebalance_moves_no_more_than_its_pace_and_the_idle_first() {
    let mut world = lopsided(30, Pace { calm: secs(3), ..Pace::default() });
    // The higher the number, the longer idle.
    world.activity = (0..30).map(|n| (key(n), UnixMillis(1000 - i64::from(n)))).collect();
    world.run(secs(9));
    assert_eq!(world.moves.len(), 1, "one at once");
    world.run(secs(290));
    let moved: Vec<_> = world.moves.iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(moved, (25..30).rev().map(key).collect::<Vec<_>>(), "one a minute");
    for pair in world.moves.windows(2) {
        assert!(pair[1].0.since(pair[0].0) >= secs(59), "{:?}", world.moves);
    }
    world.assert_settled();
}

#[test]
fn a_freeze_holds_a_rebalance_back_until_it_is_taken_away() {
    let mut world = World::new(11, 30);
    world.frozen = true;
    world.join(1);
    world.run(secs(3));
    world.join(2);
    world.run(secs(120));
    assert_eq!(world.moves.len(), 0);
    world.frozen = false;
    world.view_epoch += 1;
    world.run(secs(60));
    assert_eq!(world.loads()[&node(2)], 13, "{:?}", world.loads());
    world.assert_settled();
}

#[test]
fn nothing_is_rebalanced_while_a_version_or_a_state_differs() {
    let mut world = lopsided(30, World::new(1, 0).pace);
    world.run(secs(2));
    world.members.get_mut(&node(2)).expect("joined").member.version = 2;
    world.run(secs(60));
    assert_eq!(world.moves.len(), 0, "an upgrade is under way");
    world.members.get_mut(&node(2)).expect("joined").member.version = 1;
    let mut joining = world.members[&node(2)].clone();
    joining.member.life = Life { node: node(3), incarnation: Incarnation(1) };
    joining.member.state = MemberState::Joining;
    joining.lease_until = world.now.plus(secs(120));
    world.members.insert(node(3), joining);
    world.run(secs(60));
    assert_eq!(world.moves.len(), 0, "somebody is still joining");
}

#[test]
fn what_is_uneven_within_the_bounds_is_relieved_only_after_a_minute() {
    // Shares of 20: the bound is 25, and 24 is more than 115 per cent.
    let mut world = lopsided(40, World::new(1, 0).pace);
    world.frozen = true;
    world.run(secs(5));
    for n in 0..16 {
        world.hand_off(&node(1), &key(n), &node(2)).expect("accepted");
        world.run(secs(1));
    }
    assert_eq!((world.loads()[&node(1)], world.moves.len()), (24, 16));
    // Uneven since the other came, 21 seconds ago.
    world.frozen = false;
    world.run(secs(35));
    assert_eq!(world.moves.len(), 16, "not yet");
    world.run(secs(60));
    assert_eq!(world.loads()[&node(1)], 22, "{:?}", world.loads());
    let after = world.moves.len();
    world.run(secs(120));
    assert_eq!(world.moves.len(), after, "and then nothing moves");
    world.assert_settled();
}

#[test]
fn a_pinned_device_goes_to_its_node_and_stays() {
    let mut world = World::new(5, 10);
    (1..=2).for_each(|n| world.join(n));
    world.run(secs(3));
    let other = if world.rows[&key(0)].owner.as_ref().expect("owned").node == node(1) { 2 } else { 1 };
    pin(&mut world, 0, other, PinMode::Require);
    world.run(secs(20));
    assert_eq!(world.rows[&key(0)].owner.as_ref().expect("owned").node, node(other));
    world.run(secs(60));
    assert_eq!(world.moves.len(), 1, "{:?}", world.moves);
    world.assert_settled();
}

#[test]
fn a_required_pin_waits_for_its_node_and_a_preferred_one_does_not() {
    let mut world = World::new(5, 10);
    pin(&mut world, 0, 3, PinMode::Require);
    pin(&mut world, 1, 3, PinMode::Prefer);
    (1..=3).for_each(|n| world.join(n));
    world.run(secs(3));
    for n in 0..2 {
        assert_eq!(world.rows[&key(n)].owner.as_ref().expect("owned").node, node(3));
    }
    world.kill(3);
    world.certify(3);
    let life = world.rows[&key(0)].owner.clone();
    world.run(secs(20));
    assert_eq!(world.rows[&key(0)].owner, life, "it waits, whatever else happens");
    assert_ne!(world.rows[&key(1)].owner, life, "it does not");
    world.join(3);
    world.run(secs(20));
    for n in 0..2 {
        assert_eq!(world.rows[&key(n)].owner.as_ref().expect("owned").node, node(3));
    }
    world.assert_settled();
}

#[test]
fn a_drain_frees_what_requires_the_draining_node() {
    let mut world = World::new(5, 10);
    pin(&mut world, 0, 2, PinMode::Require);
    (1..=2).for_each(|n| world.join(n));
    world.run(secs(6));
    world.node(2).expect("alive").machine.drain().expect("the first drain");
    world.run(secs(3));
    assert!(world.nodes[&node(2)].drained);
    assert_eq!(world.rows[&key(0)].owner, None, "nobody else may have it");
    assert!((1..10).all(|n| world.rows[&key(n)].owner.as_ref().is_some_and(|life| life.node == node(1))));
}

#[test]
fn a_cordoned_node_takes_nothing_by_claim_take_over_or_request() {
    let mut world = World::new(5, 30);
    (1..=3).for_each(|n| world.join(n));
    world.run(secs(3));
    let before = world.loads()[&node(2)];
    world.members.get_mut(&node(2)).expect("joined").member.cordoned = true;
    world.view_epoch += 1;
    world.run(secs(1));
    let mine = (0..30).map(key).find(|key| world.rows[key].owner.as_ref().is_some_and(|l| l.node == node(1)));
    let refused = world.hand_off(&node(1), &mine.expect("it owns something"), &node(2));
    assert_eq!(refused, Err(HandOffError::TargetCordoned(node(2))));
    world.kill(3);
    world.certify(3);
    world.run(secs(10));
    assert_eq!(world.loads()[&node(2)], before, "it keeps what it has");
    world.assert_settled();
}
