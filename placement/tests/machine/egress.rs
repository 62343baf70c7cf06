//! Nodes whose way to WhatsApp is broken: they give their devices to those that get there, and come back.

use std::time::Duration;

use roost_placement::egress::{Patience, Reach};
use roost_placement::ledger::MemberState;

use crate::world::{World, node};
use crate::{secs, three};

/// All connected, or all failing.
fn reach(failing: bool) -> Reach {
    let (connected, failing) = if failing { (0, 10) } else { (10, 0) };
    Reach { connected, failing, heard: (failing == 0).then_some(secs(1)) }
}

fn set(world: &mut World, n: u32, works: bool) {
    let node = world.node(n).expect("alive");
    (node.reach, node.way) = (reach(!works), works);
}

fn ready() -> World {
    let mut world = three();
    for n in 1..=3 {
        let node = world.node(n).expect("alive");
        node.reach = reach(false);
    }
    world
}

fn owned(world: &World, n: u32) -> usize {
    world.loads()[&node(n)]
}

fn state(world: &World, n: u32) -> MemberState {
    world.members[&node(n)].member.state
}

#[test]
fn a_node_that_is_cut_off_gives_all_its_devices_away_stays_a_member_and_comes_back() {
    let mut world = ready();
    let load = owned(&world, 3);
    set(&mut world, 3, false);
    world.run(secs(8));
    assert_eq!((owned(&world, 3), state(&world, 3)), (0, MemberState::Draining));
    assert!(world.members[&node(3)].member.cut_off);
    assert_eq!(world.starts, 30 + load, "each of them moved once");
    world.run(secs(60));
    assert!(!world.nodes[&node(3)].gone, "it does not leave");
    assert_eq!(owned(&world, 3), 0, "and takes nothing while its way is broken");
    set(&mut world, 3, true);
    world.node(3).expect("alive").reach = Reach::default();
    world.run(secs(60));
    assert_eq!(state(&world, 3), MemberState::Active);
    assert!(!world.members[&node(3)].member.cut_off && world.nodes[&node(3)].probes > 5);
    world.run_until(secs(300), |world| owned(world, 3) > 0);
    world.run(secs(1));
    world.assert_settled();
}

#[test]
fn nobody_drains_when_whatsapp_is_away_for_all() {
    let mut world = ready();
    let before = world.loads();
    (1..=3).for_each(|n| set(&mut world, n, false));
    world.run(secs(50));
    assert_eq!(world.loads(), before, "not even relief is due yet");
    assert!((1..=3).all(|n| state(&world, n) == MemberState::Active));
}

#[test]
fn a_single_node_keeps_its_devices_however_they_fail() {
    let mut world = World::new(3, 10);
    world.join(1);
    world.run(secs(2));
    set(&mut world, 1, false);
    world.run(secs(60));
    assert_eq!((owned(&world, 1), state(&world, 1)), (10, MemberState::Active));
}

#[test]
fn a_node_without_devices_tries_its_way_and_is_given_those_of_one_that_fails() {
    let mut world = World::new(9, 10);
    world.join(1);
    world.run(secs(2));
    world.join(2);
    world.run(secs(1));
    assert_eq!(owned(&world, 2), 0);
    set(&mut world, 1, false);
    world.run(secs(20));
    assert_eq!((owned(&world, 1), owned(&world, 2)), (0, 10));
    assert!(world.nodes[&node(2)].probes > 0);
}

#[test]
fn a_way_that_breaks_again_right_after_the_return_moves_nothing() {
    let mut world = ready();
    set(&mut world, 3, false);
    world.run(secs(8));
    set(&mut world, 3, true);
    world.run(Patience::default().back + secs(10));
    assert_eq!(state(&world, 3), MemberState::Active);
    let moves = world.moves.len();
    set(&mut world, 3, false);
    world.run(secs(300));
    assert_eq!(state(&world, 3), MemberState::Active, "it rests");
    let back = |key| world.rows[&key].owner.as_ref().is_some_and(|life| life.node == node(3));
    assert!(world.moves[moves..].iter().all(|(_, key)| back(key.clone())), "only relief comes here");
}

#[test]
fn a_node_that_is_cut_off_takes_devices_again_when_the_others_are_gone() {
    let mut world = ready();
    set(&mut world, 3, false);
    world.run(secs(8));
    world.kill(1);
    world.kill(2);
    world.run(secs(10));
    assert_eq!((owned(&world, 3), state(&world, 3)), (30, MemberState::Active));
}

#[test]
fn a_node_that_is_cut_off_can_be_told_to_leave() {
    let mut world = ready();
    set(&mut world, 3, false);
    world.run(secs(8));
    let machine = &mut world.node(3).expect("alive").machine;
    assert!(!machine.draining());
    machine.drain().expect("the first drain that was asked for");
    world.run(secs(2));
    assert!(world.nodes[&node(3)].drained);
    world.assert_settled();
}

#[test]
fn a_device_that_a_target_refuses_runs_on_where_it_is_until_it_can_go() {
    let mut world = ready();
    world.loss = 300;
    set(&mut world, 3, false);
    world.run(secs(30));
    world.loss = 0;
    world.run(secs(20));
    assert_eq!(owned(&world, 3), 0);
    world.run(Duration::from_secs(1));
    assert!(world.is_still());
}
