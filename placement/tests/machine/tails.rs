//! Histories of a database that fails over: what it has lost with its tail, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use roost_placement::ledger::{MemberState, epoch_floor};

use super::world::{TIMING, World, node};
use super::{secs, three};

#[test]
fn after_a_failover_that_lost_nothing_nothing_moves_or_starts_again() {
    let mut world = three();
    let rows = world.rows.clone();
    world.outage_until = world.now.plus(secs(4));
    world.run(secs(4));
    world.lose_tail(rows);
    world.run(secs(4));
    world.assert_settled();
    assert_eq!((world.starts, world.burials), (30, 0));
}

#[test]
fn what_a_lost_tail_took_from_the_rows_is_put_back_by_those_who_run_it() {
    let mut world = three();
    let standby = world.rows.clone();
    // In the tail some devices change hands.
    let given: Vec<_> = world.node(1).expect("alive").running.keys().take(2).cloned().collect();
    for key in &given {
        world.hand_off(&node(1), key, &node(2)).expect("it begins");
    }
    world.run(secs(2));
    world.assert_settled();
    let before: BTreeMap<_, _> =
        world.rows.values().map(|row| (row.key.clone(), row.owner.clone())).collect();
    let changed = standby.values().filter(|row| row.owner != before[&row.key]).count();
    let starts = world.starts;
    world.lose_tail(standby);
    world.run(Duration::from_millis(1500));
    for key in &given {
        let row = &world.rows[key];
        assert_eq!(row.owner, before[key], "{key} stays where it runs");
        assert!(row.epoch > epoch_floor(1), "under an epoch that no lost tail can have minted");
    }
    world.run(secs(4));
    world.assert_settled();
    let after: BTreeMap<_, _> = world.rows.values().map(|row| (row.key.clone(), row.owner.clone())).collect();
    assert_eq!(after, before, "nothing has moved");
    assert_eq!((world.starts, world.burials), (starts + changed, 0), "only what had changed hands");
}

#[test]
fn a_device_whose_log_lost_its_end_begins_anew_under_the_same_grant() {
    let mut world = three();
    let key = world.node(2).expect("alive").running.keys().next().expect("some").clone();
    let rows = world.rows.clone();
    let epoch = rows[&key].epoch;
    world.behind.insert(key.clone());
    world.lose_tail(rows);
    world.run(secs(4));
    world.assert_settled();
    assert_eq!((world.starts, world.rows[&key].epoch), (31, epoch));
}

#[test]
fn what_nobody_runs_after_a_lost_tail_waits_for_the_end_of_the_quarantine() {
    let mut world = three();
    let standby = world.rows.clone();
    let lost = world.loads()[&node(3)];
    world.kill(3);
    world.certify(3);
    world.run(Duration::from_millis(20));
    world.lose_tail(standby);
    let starts = world.starts;
    world.run(TIMING.quarantine() - Duration::from_millis(100));
    assert_eq!(world.starts, starts, "nothing is claimed in the quarantine");
    world.run(secs(2));
    world.assert_settled();
    assert_eq!(world.starts, starts + lost);
}

#[test]
fn what_a_node_gave_away_in_a_lost_tail_it_runs_again_when_nobody_else_does() {
    let mut world = three();
    let standby = world.rows.clone();
    let key = world.node(1).expect("alive").running.keys().next().expect("some").clone();
    world.hand_off(&node(1), &key, &node(2)).expect("it begins");
    world.run(secs(2));
    assert!(world.node(2).expect("alive").running.contains_key(&key));
    world.kill(2);
    world.certify(2);
    world.lose_tail(standby.clone());
    world.run(secs(6));
    world.assert_settled();
    assert!(world.node(1).expect("alive").running.contains_key(&key));
    assert_eq!(world.rows[&key].epoch, standby[&key].epoch, "under the grant that it had before");
}

#[test]
fn a_drain_whose_mark_a_lost_tail_took_goes_on_to_its_end() {
    let mut world = World::new(7, 90);
    world.pace.hand_offs = 1;
    (1..=3).for_each(|n| world.join(n));
    world.run(secs(3));
    world.node(3).expect("alive").machine.drain().expect("the first drain");
    world.run(Duration::from_millis(400));
    assert!(!world.nodes[&node(3)].drained, "it is in the middle");
    let row = &mut world.members.get_mut(&node(3)).expect("joined").member;
    assert_eq!(std::mem::replace(&mut row.state, MemberState::Active), MemberState::Draining);
    world.lose_tail(world.rows.clone());
    world.run(TIMING.beat * 2);
    assert_eq!(world.members[&node(3)].member.state, MemberState::Draining, "it was told again");
    world.run(secs(60));
    assert!(world.nodes[&node(3)].drained);
    world.assert_settled();
}
