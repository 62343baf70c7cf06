//! Plans: bounded, idempotent, sticky, true to pins, cordons and strict spread; the idle go first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use roost_placement::ledger::{Desired, Member, MemberState, Ownership, View};
use roost_placement::load;
use roost_placement::plan::{Move, Policy, Reason, overloaded, plan};
use roost_placement::wish::{Pin, PinMode, Spreading, Surveyed, Wish};
use roost_proto::id::{Epoch, Incarnation, Life, NodeId, UnixMillis};

fn life(n: u32) -> Life {
    Life { node: format!("n{n}").parse().expect("a label"), incarnation: Incarnation(1) }
}

fn member(n: u32, state: MemberState, weight: u32) -> Member {
    Member {
        life: life(n),
        address: format!("127.0.0.1:{n}"),
        zone: String::new(),
        weight,
        state,
        version: 1,
        owned: 0,
        remaining: Duration::from_secs(2),
        beats: 1,
        cordoned: false,
        reach: Default::default(),
        cut_off: false,
    }
}

fn active(count: u32) -> Vec<Member> {
    (0..count).map(|n| member(n, MemberState::Active, 100)).collect()
}

fn row(tenant: u32, device: u32, owner: Option<Life>) -> Surveyed {
    let key = format!("tenants/t{tenant}/devices/d{device}").parse().expect("a name");
    let (epoch, desired, wish) = (Epoch(1), Desired::Online, Wish::default());
    Ownership { key, owner, epoch, desired, wish }.into()
}

fn pinned(mut line: Surveyed, n: u32, mode: PinMode) -> Surveyed {
    line.row.wish.pin = Some(Pin { node: life(n).node, mode });
    line
}

fn strict(mut line: Surveyed) -> Surveyed {
    line.row.wish.spread = Spreading::Strict;
    line
}

/// A view whose `owned` counts are what the rows say.
fn view(mut members: Vec<Member>, rows: &[Surveyed]) -> View {
    for member in &mut members {
        member.owned =
            rows.iter().filter(|line| line.row.owner.as_ref() == Some(&member.life)).count() as u32;
    }
    View { members, ..View::default() }
}

fn apply(rows: &[Surveyed], moves: &[Move]) -> Vec<Surveyed> {
    let targets: BTreeMap<_, _> = moves.iter().map(|line| (&line.key, &line.to)).collect();
    let moved = |line: &Surveyed| {
        let mut line = line.clone();
        if let Some(to) = targets.get(&line.row.key) {
            line.row.owner = Some((*to).clone());
            line.row.epoch.0 += 1;
            line.given = Some(Duration::ZERO);
        }
        line
    };
    rows.iter().map(moved).collect()
}

/// How many devices of a tenant each zone has.
fn zones(members: &[Member], rows: &[Surveyed], tenant: &str) -> BTreeMap<String, usize> {
    let mut zones = BTreeMap::new();
    for line in rows.iter().filter(|line| line.row.key.business_id.as_str() == tenant) {
        let owner = line.row.owner.as_ref();
        if let Some(member) = members.iter().find(|member| Some(&member.life) == owner) {
            *zones.entry(member.zone.clone()).or_default() += 1;
        }
    }
    zones
}

/// Members of random states, weights, zones and marks.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let one = (0u32..8, prop::sample::select(vec![50u32, 100, 200]), 0u32..3);
    prop::collection::vec(one, 1..7).prop_map(|members| {
        let one = |(n, (state, weight, zone)): (usize, (u32, u32, u32))| {
            let cordoned = state == 2;
            let state = match state {
                0 => MemberState::Draining,
                1 => MemberState::Joining,
                _ => MemberState::Active,
            };
            Member { zone: format!("z{zone}"), cordoned, ..member(n as u32, state, weight) }
        };
        members.into_iter().enumerate().map(one).collect()
    })
}

prop_compose! {
    /// Devices without wishes. Owners beyond the members are dead lives; the last one means free.
    fn worlds()(
        members in members(),
        devices in prop::collection::vec((0u32..12, 0u32..9), 0..160),
    ) -> (Vec<Member>, Vec<Surveyed>) {
        let rows = devices.iter().enumerate().map(|(n, (tenant, owner))| {
            row(*tenant, n as u32, (*owner < 8).then(|| life(*owner)))
        }).collect();
        (members, rows)
    }
}

prop_compose! {
    /// The same with pins, strictly spread tenants, activity and moves of a moment ago.
    fn wishful()(
        (members, rows) in worlds(),
        wishes in prop::collection::vec((0u32..20, 0u32..8, 0i64..5, 0u32..6), 160),
    ) -> (Vec<Member>, Vec<Surveyed>) {
        let wish = |(line, (mode, node, active, given)): (Surveyed, (u32, u32, i64, u32))| {
            let mut line = match mode {
                0 => pinned(line, node, PinMode::Require),
                1 => pinned(line, node, PinMode::Prefer),
                _ => line,
            };
            if ["t1", "t2"].contains(&line.row.key.business_id.as_str()) {
                line.row.wish.spread = Spreading::Strict;
            }
            line.active = UnixMillis(active);
            line.given = (given == 0).then_some(Duration::from_secs(5));
            line
        };
        let rows = rows.into_iter().zip(wishes).map(wish).collect();
        (members, rows)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn planning_again_on_the_result_moves_nothing((members, rows) in wishful(), even in any::<bool>()) {
        let policy = Policy { even, ..Policy::default() };
        let first = plan(&view(members.clone(), &rows), &policy, &rows);
        let rows = apply(&rows, &first.moves);
        let second = plan(&view(members, &rows), &policy, &rows);
        prop_assert_eq!(second.moves, vec![]);
    }

    #[test]
    fn a_plan_in_small_steps_comes_to_rest_and_never_moves_a_device_twice(
        (members, mut rows) in worlds(), even in any::<bool>(),
    ) {
        let policy = Policy { max_moves: 5, even, ..Policy::default() };
        let mut moved = BTreeSet::new();
        for _ in 0..=rows.len() {
            let step = plan(&view(members.clone(), &rows), &policy, &rows);
            prop_assert!(step.moves.len() <= 5);
            if step.moves.is_empty() {
                return Ok(());
            }
            for line in &step.moves {
                prop_assert!(moved.insert(line.key.clone()), "{line:?} moved before");
            }
            rows = apply(&rows, &step.moves);
        }
        prop_assert!(false, "still moving after {} steps", rows.len());
    }

    #[test]
    fn a_target_takes_devices_and_stays_within_its_bound((members, rows) in worlds()) {
        let before = view(members.clone(), &rows);
        let planned = plan(&before, &Policy::default(), &rows);
        let after_rows = apply(&rows, &planned.moves);
        let after = view(members, &after_rows);
        let weights = load::weights(load::active(&after));
        for line in &planned.moves {
            let target = after.members.iter().find(|member| member.life == line.to).expect("a member");
            prop_assert!(target.state == MemberState::Active && !target.cordoned);
            let bound = load::bound(rows.len() as u64, target.weight, weights, 125);
            prop_assert!(u64::from(target.owned) <= bound, "{} of {}", target.owned, bound);
            prop_assert_eq!(planned.loads[&target.life.node].after, u64::from(target.owned));
            prop_assert_ne!(line.from.as_ref(), Some(&line.to));
        }
    }

    #[test]
    fn every_device_that_has_to_move_is_in_the_plan((members, rows) in worlds()) {
        prop_assume!(load::active(&view(members.clone(), &rows)).next().is_some());
        let moves = plan(&view(members.clone(), &rows), &Policy::default(), &rows).moves;
        for line in apply(&rows, &moves) {
            let owner = line.row.owner.and_then(|owner| members.iter().find(|member| member.life == owner));
            let settled = owner.is_some_and(|member| matches!(member.state, MemberState::Active | MemberState::Joining));
            prop_assert!(settled, "{}", line.row.key);
        }
    }

    #[test]
    fn a_required_pin_is_never_planned_around((members, rows) in wishful()) {
        let before = view(members, &rows);
        let moves = plan(&before, &Policy::default(), &rows).moves;
        let after = apply(&rows, &moves);
        let takes: BTreeSet<&NodeId> = load::active(&before).map(|member| &member.life.node).collect();
        for (line, after) in rows.iter().zip(&after) {
            let Some(required) = line.row.wish.required() else { continue };
            if takes.contains(required) {
                let owner = before.members.iter().find(|m| Some(&m.life) == after.row.owner.as_ref());
                prop_assert_eq!(owner.map(|owner| &owner.life.node), Some(required), "{}", line.row.key);
            } else {
                prop_assert_eq!(&after.row.owner, &line.row.owner, "it waits where it is");
            }
        }
    }

    #[test]
    fn a_strict_tenant_has_at_most_half_in_one_zone(owners in prop::collection::vec(0u32..6, 2..40)) {
        let members: Vec<Member> =
            active(6).into_iter().enumerate().map(|(n, m)| Member { zone: format!("z{}", n % 2), ..m }).collect();
        let rows: Vec<Surveyed> =
            owners.iter().enumerate().map(|(n, owner)| strict(row(1, n as u32, Some(life(*owner))))).collect();
        let moves = plan(&view(members.clone(), &rows), &Policy::default(), &rows).moves;
        let after = apply(&rows, &moves);
        for (zone, count) in zones(&members, &after, "t1") {
            prop_assert!(count <= rows.len().div_ceil(2), "{count} of {} in {zone}", rows.len());
        }
    }
}

#[test]
fn a_dead_members_devices_move_and_nobody_elses_do() {
    let rows: Vec<Surveyed> = (0..40).map(|n| row(n, n, Some(life(n % 4)))).collect();
    let moves = plan(&view(active(3), &rows), &Policy::default(), &rows).moves;
    assert_eq!(moves.len(), 10);
    assert!(moves.iter().all(|line| line.from == Some(life(3)) && line.reason == Reason::TakeOver));
}

#[test]
fn a_tenant_stays_together_when_it_moves() {
    let rows: Vec<Surveyed> =
        (0..8).map(|n| row(1, n, None)).chain((0..40).map(|n| row(2 + n, n, None))).collect();
    let moves = plan(&view(active(3), &rows), &Policy::default(), &rows).moves;
    let homes: BTreeSet<&NodeId> =
        moves.iter().filter(|line| line.key.business_id.as_str() == "t1").map(|line| &line.to.node).collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
}

#[test]
fn an_empty_newcomer_relieves_members_above_their_bound_and_only_down_to_relief() {
    let rows: Vec<Surveyed> = (0..60).map(|n| row(n, n, Some(life(n % 2)))).collect();
    let moves = plan(&view(active(3), &rows), &Policy::default(), &rows).moves;
    assert_eq!(moves.len(), 16, "30 and 30 go down to 22 each");
    assert!(moves.iter().all(|line| line.to == life(2) && line.reason == Reason::Rebalance));
}

#[test]
fn what_is_within_the_bounds_stays_until_it_has_been_uneven_for_long() {
    // Shares of 40: the bound is 50, and 48 is more than 115 per cent.
    let owner = |n: u32| if n < 48 { 0 } else { 1 + n % 2 };
    let rows: Vec<Surveyed> = (0..120).map(|n| row(n, n, Some(life(owner(n))))).collect();
    let view = view(active(3), &rows);
    assert!(plan(&view, &Policy::default(), &rows).moves.is_empty());
    assert!(overloaded(&view, 125).is_empty());
    assert_eq!(overloaded(&view, 115), [life(0).node]);
    let even = Policy { even: true, ..Policy::default() };
    let planned = plan(&view, &even, &rows);
    assert_eq!(planned.moves.len(), 4, "down to 44");
    assert_eq!(planned.loads[&life(0).node].after, 44);
}

#[test]
fn the_idle_go_first_and_what_was_given_a_moment_ago_stays() {
    let mut rows: Vec<Surveyed> = (0..30).map(|n| row(n, n, Some(life(0)))).collect();
    for (n, line) in rows.iter_mut().enumerate() {
        line.active = UnixMillis(1000 - n as i64);
        line.given = (n % 2 == 1).then_some(Duration::from_secs(599));
    }
    let moves = plan(&view(active(2), &rows), &Policy::default(), &rows).moves;
    let moved: Vec<usize> = moves
        .iter()
        .map(|line| rows.iter().position(|row| row.row.key == line.key).expect("a row"))
        .collect();
    assert_eq!(moved, [28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4], "30 go down to 17");
}

#[test]
fn a_cordoned_member_keeps_what_it_has_and_counts_for_nobody() {
    let rows: Vec<Surveyed> = (0..60).map(|n| row(n, n, Some(life(n % 3)))).collect();
    let mut members = active(3);
    members[0].cordoned = true;
    assert!(plan(&view(members.clone(), &rows), &Policy::default(), &rows).moves.is_empty());
    let rows: Vec<Surveyed> = (0..60).map(|n| row(n, n, Some(life(3)))).collect();
    let planned = plan(&view(members.clone(), &rows), &Policy::default(), &rows);
    assert_eq!(planned.moves.len(), 60);
    assert!(planned.moves.iter().all(|line| line.to != life(0)));
    assert!(!planned.loads.contains_key(&life(0).node));
    members[0].state = MemberState::Draining;
    let rows = vec![row(1, 1, Some(life(0)))];
    assert_eq!(plan(&view(members, &rows), &Policy::default(), &rows).moves.len(), 1, "a drain empties it");
}

#[test]
fn a_pin_moves_its_device_and_nothing_moves_it_back() {
    let mut rows: Vec<Surveyed> = (0..40).map(|n| row(n, n, Some(life(n % 2)))).collect();
    rows[0] = pinned(rows[0].clone(), 1, PinMode::Require);
    rows[2] = pinned(rows[2].clone(), 1, PinMode::Prefer);
    rows[4] = pinned(rows[4].clone(), 9, PinMode::Prefer);
    rows[6] = pinned(rows[6].clone(), 9, PinMode::Require);
    let moves = plan(&view(active(2), &rows), &Policy::default(), &rows).moves;
    let lines: Vec<_> = moves.iter().map(|line| (&line.key, &line.to, line.reason)).collect();
    let to = life(1);
    assert_eq!(lines, [(&rows[0].row.key, &to, Reason::Pin), (&rows[2].row.key, &to, Reason::Pin)]);

    // Everything on one node is pinned there: nobody relieves it.
    let rows: Vec<Surveyed> = (0..20).map(|n| pinned(row(n, n, Some(life(0))), 0, PinMode::Prefer)).collect();
    assert!(plan(&view(active(2), &rows), &Policy::default(), &rows).moves.is_empty());
}

#[test]
fn devices_without_an_owner_go_to_their_pin_or_wait() {
    let rows = [
        pinned(row(1, 1, None), 1, PinMode::Require),
        pinned(row(1, 2, None), 7, PinMode::Require),
        pinned(row(1, 3, None), 7, PinMode::Prefer),
        pinned(row(1, 4, Some(life(5))), 0, PinMode::Prefer),
    ];
    let moves = plan(&view(active(2), &rows), &Policy::default(), &rows).moves;
    let target = |n: usize| moves.iter().find(|line| line.key == rows[n].row.key).map(|line| line.to.clone());
    assert_eq!(target(0), Some(life(1)));
    assert_eq!(target(1), None, "it waits for its node");
    assert!(target(2).is_some());
    assert_eq!(target(3), Some(life(0)));
}

#[test]
fn with_one_zone_left_a_strict_tenant_spreads_over_nodes_and_on_one_node_not_at_all() {
    let rows: Vec<Surveyed> = (0..9).map(|n| strict(row(1, n, Some(life(0))))).collect();
    let moves = plan(&view(active(2), &rows), &Policy::default(), &rows).moves;
    assert_eq!(moves.len(), 4, "five may stay");
    assert!(moves.iter().all(|line| line.reason == Reason::Spread));
    assert!(plan(&view(active(1), &rows), &Policy::default(), &rows).moves.is_empty());
}

#[test]
fn what_the_tenant_does_not_want_online_is_left_alone() {
    let mut rows = [row(1, 1, None), row(1, 2, Some(life(9)))];
    rows[0].row.desired = Desired::Offline;
    rows[1].row.desired = Desired::Deleted;
    assert!(plan(&view(active(1), &[]), &Policy::default(), &rows).moves.is_empty());
}

#[test]
fn with_nobody_active_there_is_no_plan() {
    let members = vec![member(0, MemberState::Draining, 100), member(1, MemberState::Joining, 100)];
    assert!(plan(&view(members, &[]), &Policy::default(), &[row(1, 1, Some(life(0)))]).moves.is_empty());
}
