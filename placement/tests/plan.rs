//! Plans: bounded, idempotent, sticky; nobody draining or dead is ever a target.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use roost_placement::ledger::{Desired, Member, MemberState, Ownership, View};
use roost_placement::load;
use roost_placement::plan::{Policy, Reason, plan};
use roost_placement::wish::Wish;
use roost_proto::id::{Epoch, Incarnation, Life, NodeId};

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
    }
}

fn row(tenant: u32, device: u32, owner: Option<Life>) -> Ownership {
    let key = format!("tenants/t{tenant}/devices/d{device}").parse().expect("a name");
    Ownership { key, owner, epoch: Epoch(1), desired: Desired::Online, wish: Wish::default() }
}

/// A view whose `owned` counts are what the rows say.
fn view(mut members: Vec<Member>, rows: &[Ownership]) -> View {
    for member in &mut members {
        member.owned = rows.iter().filter(|row| row.owner.as_ref() == Some(&member.life)).count() as u32;
    }
    View { view_epoch: 1, members, frozen: false }
}

fn apply(rows: &[Ownership], moves: &[roost_placement::plan::Move]) -> Vec<Ownership> {
    let targets: BTreeMap<_, _> = moves.iter().map(|line| (&line.key, &line.to)).collect();
    let moved = |row: &Ownership| match targets.get(&row.key) {
        Some(to) => Ownership { owner: Some((*to).clone()), epoch: Epoch(row.epoch.0 + 1), ..row.clone() },
        None => row.clone(),
    };
    rows.iter().map(moved).collect()
}

prop_compose! {
    fn worlds()(
        states in prop::collection::vec((0u32..6, prop::sample::select(vec![50u32, 100, 200])), 1..7),
        devices in prop::collection::vec((0u32..12, 0u32..9), 0..160),
    ) -> (Vec<Member>, Vec<Ownership>) {
        let members: Vec<Member> = states.iter().enumerate().map(|(n, (state, weight))| {
            let state = match state { 0 => MemberState::Draining, 1 => MemberState::Joining, _ => MemberState::Active };
            member(n as u32, state, *weight)
        }).collect();
        let rows = devices.iter().enumerate().map(|(n, (tenant, owner))| {
            // Owners beyond the members are dead lives; the last one means free.
            row(*tenant, n as u32, (*owner < 8).then(|| life(*owner)))
        }).collect();
        (members, rows)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn planning_again_on_the_result_moves_nothing((members, rows) in worlds()) {
        let policy = Policy::default();
        let first = plan(&view(members.clone(), &rows), &policy, &rows);
        let rows = apply(&rows, &first.moves);
        let second = plan(&view(members, &rows), &policy, &rows);
        prop_assert_eq!(second.moves, vec![]);
    }

    #[test]
    fn a_plan_in_small_steps_comes_to_rest_and_never_moves_a_device_twice((members, mut rows) in worlds()) {
        let policy = Policy { max_moves: 5, ..Policy::default() };
        let mut moved = std::collections::BTreeSet::new();
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
    fn a_target_is_active_and_stays_within_its_bound((members, rows) in worlds()) {
        let before = view(members.clone(), &rows);
        let moves = plan(&before, &Policy::default(), &rows).moves;
        let after_rows = apply(&rows, &moves);
        let after = view(members, &after_rows);
        let weights = load::weights(load::active(&after));
        for line in &moves {
            let target = after.members.iter().find(|member| member.life == line.to).expect("a member");
            prop_assert_eq!(target.state, MemberState::Active);
            let bound = load::bound(rows.len() as u64, target.weight, weights, 125);
            prop_assert!(u64::from(target.owned) <= bound, "{} of {}", target.owned, bound);
            prop_assert_ne!(line.from.as_ref(), Some(&line.to));
        }
    }

    #[test]
    fn every_device_that_has_to_move_is_in_the_plan((members, rows) in worlds()) {
        prop_assume!(members.iter().any(|member| member.state == MemberState::Active));
        let moves = plan(&view(members.clone(), &rows), &Policy::default(), &rows).moves;
        for row in apply(&rows, &moves) {
            let owner = row.owner.and_then(|owner| members.iter().find(|member| member.life == owner));
            let settled = owner.is_some_and(|member| matches!(member.state, MemberState::Active | MemberState::Joining));
            prop_assert!(settled, "{}", row.key);
        }
    }
}

#[test]
fn a_dead_members_devices_move_and_nobody_elses_do() {
    let rows: Vec<Ownership> = (0..40).map(|n| row(n, n, Some(life(n % 4)))).collect();
    let members = (0..3).map(|n| member(n, MemberState::Active, 100)).collect();
    let moves = plan(&view(members, &rows), &Policy::default(), &rows).moves;
    assert_eq!(moves.len(), 10);
    assert!(moves.iter().all(|line| line.from == Some(life(3)) && line.reason == Reason::TakeOver));
}

#[test]
fn a_tenant_stays_together_when_it_moves() {
    let rows: Vec<Ownership> =
        (0..8).map(|n| row(1, n, None)).chain((0..40).map(|n| row(2 + n, n, None))).collect();
    let members = (0..3).map(|n| member(n, MemberState::Active, 100)).collect();
    let moves = plan(&view(members, &rows), &Policy::default(), &rows).moves;
    let homes: std::collections::BTreeSet<&NodeId> =
        moves.iter().filter(|line| line.key.business_id.as_str() == "t1").map(|line| &line.to.node).collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
}

#[test]
fn an_empty_newcomer_relieves_members_above_their_bound_and_only_down_to_relief() {
    let rows: Vec<Ownership> = (0..60).map(|n| row(n, n, Some(life(n % 2)))).collect();
    let members = (0..3).map(|n| member(n, MemberState::Active, 100)).collect();
    let moves = plan(&view(members, &rows), &Policy::default(), &rows).moves;
    assert_eq!(moves.len(), 16, "30 and 30 go down to 22 each");
    assert!(moves.iter().all(|line| line.to == life(2) && line.reason == Reason::Rebalance));
}

#[test]
fn what_the_tenant_does_not_want_online_is_left_alone() {
    let stopped = Ownership { desired: Desired::Offline, ..row(1, 1, None) };
    let deleted = Ownership { desired: Desired::Deleted, ..row(1, 2, Some(life(9))) };
    let members = vec![member(0, MemberState::Active, 100)];
    assert!(plan(&view(members, &[]), &Policy::default(), &[stopped, deleted]).moves.is_empty());
}

#[test]
fn with_nobody_active_there_is_no_plan() {
    let members = vec![member(0, MemberState::Draining, 100), member(1, MemberState::Joining, 100)];
    assert!(plan(&view(members, &[]), &Policy::default(), &[row(1, 1, Some(life(0)))]).moves.is_empty());
}
