//! Checks of the ownership rows: membership, burial, claims, permits, hand-offs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roost_placement::egress::{Reach, Report};
use roost_placement::ledger::{Beaten, Candidate, Desired, Grant, JoinError, MemberState, Timing, View};
use roost_proto::id::{Age, DeviceKey, Epoch, Incarnation, Life};

use super::World;
use super::world::{LONG, SHORT, candidate, pass, until};

pub(super) async fn beat(world: &World, life: &Life, timing: &Timing) -> View {
    match world.ledger().beat(life, &3.into(), timing).await.expect("an answer") {
        Beaten::Renewed(view) => view,
        Beaten::Dead => panic!("{life} is dead"),
    }
}

/// A life whose lease has run out, and who was not buried.
pub(super) async fn lapsed(world: &World, node: &str) -> Life {
    let life = world.joining(node, &SHORT).await;
    pass(SHORT.ttl * 5).await;
    life
}

pub(super) async fn a_first_life_joins_and_sees_itself(world: World) {
    let me = world.joining("n1", &LONG).await;
    assert_eq!(me.incarnation, Incarnation(1));
    let view = beat(&world, &me, &LONG).await;
    let [member] = &view.members[..] else { panic!("not alone: {view:?}") };
    assert_eq!((&member.life, member.state), (&me, MemberState::Joining));
    assert_eq!((member.address.as_str(), member.zone.as_str()), ("n1:7000", "a"));
    assert_eq!((member.weight, member.version, member.owned, member.beats), (100, 1, 3, 1));
    assert!(member.remaining <= LONG.ttl && member.remaining > LONG.ttl / 2, "{:?}", member.remaining);

    assert!(world.ledger().set_state(&me, MemberState::Active).await.expect("an answer"));
    let other = world.joining("n0", &LONG).await;
    let view = beat(&world, &me, &LONG).await;
    let seen: Vec<_> = view.members.iter().map(|m| (&m.life, m.state, m.beats)).collect();
    assert_eq!(seen, [(&other, MemberState::Joining, 0), (&me, MemberState::Active, 2)]);
}

pub(super) async fn one_version_and_the_next_share_a_cluster_and_no_others(world: World) {
    let at = |node, version| Candidate { version, ..candidate(node) };
    let me = world.ledger().join(&at("n1", 3), None, &LONG).await.expect("the first may speak anything");
    world.ledger().join(&at("n2", 4), None, &LONG).await.expect("the next release");
    for (version, apart) in [(2, ("n2", 4)), (5, ("n1", 3)), (u32::MAX, ("n1", 3))] {
        match world.ledger().join(&at("n3", version), None, &LONG).await {
            Err(JoinError::Apart { member, theirs, ours }) => {
                assert_eq!((member.as_str(), theirs, ours), (apart.0, apart.1, version));
            }
            other => panic!("{version} is not refused: {other:?}"),
        }
    }
    assert_eq!(beat(&world, &me, &LONG).await.members.len(), 2);
    assert!(world.ledger().certify_death(&me).await.expect("an answer"));
    world.ledger().join(&at("n3", 5), None, &LONG).await.expect("nobody speaks the old version any more");
}

pub(super) async fn a_version_that_nobody_living_speaks_keeps_nobody_out(world: World) {
    lapsed(&world, "n1").await;
    let later = Candidate { version: 9, ..candidate("n2") };
    world.ledger().join(&later, None, &LONG).await.expect("the other's lease is over");
}

pub(super) async fn dead_stays_dead(world: World) {
    let (me, other) = (world.active("n1").await, world.active("n2").await);
    let grant = world.owned(&me, "d1").await;
    let free = world.device("d2").await;
    assert!(world.ledger().certify_death(&me).await.expect("an answer"));

    assert_eq!(world.ledger().beat(&me, &0.into(), &LONG).await.expect("an answer"), Beaten::Dead);
    for state in [MemberState::Joining, MemberState::Active, MemberState::Draining] {
        assert!(!world.ledger().set_state(&me, state).await.expect("an answer"));
    }
    assert!(world.ledger().claim(&me, None, &[free]).await.expect("an answer").is_empty());
    assert!(world.ledger().give(&grant, &other).await.expect("an answer").is_none());
    assert!(!world.ledger().release(&grant).await.expect("an answer"));
    assert!(world.ledger().permit(&[grant], Age(0), Duration::ZERO).await.expect("an answer").is_empty());
    assert!(!world.ledger().bury(&me, &other, &SHORT).await.expect("an answer"));
    let view = beat(&world, &other, &LONG).await;
    assert!(view.members.iter().all(|member| member.life != me), "the dead are in no view");
}

pub(super) async fn nobody_is_buried_before_its_time(world: World) {
    let me = world.active("n1").await;
    let (alive, gone) = (world.active("n2").await, lapsed(&world, "n3").await);
    pass(Duration::from_millis(20)).await;
    assert!(!world.ledger().bury(&me, &alive, &SHORT).await.expect("an answer"), "its lease runs");
    let patient = Timing { grace: Duration::from_secs(60), ttl: Duration::ZERO, ..SHORT };
    assert!(!world.ledger().bury(&me, &gone, &patient).await.expect("an answer"), "the grace runs");
    let earlier = Life { incarnation: Incarnation(0), ..gone.clone() };
    assert!(!world.ledger().bury(&me, &earlier, &SHORT).await.expect("an answer"), "no such life");
    assert!(world.ledger().bury(&me, &gone, &SHORT).await.expect("an answer"), "its time has come");
}

pub(super) async fn a_member_buries_only_after_its_quarantine(world: World) {
    let gone = lapsed(&world, "n1").await;
    let (me, late) = (world.active("n2").await, lapsed(&world, "n3").await);
    let fresh = Timing { ttl: Duration::from_secs(600), grace: Duration::ZERO, ..SHORT };
    assert!(!world.ledger().bury(&me, &gone, &fresh).await.expect("an answer"), "too fresh");
    assert!(!world.ledger().bury(&late, &gone, &SHORT).await.expect("an answer"), "its own lease is over");
    let nobody = Life { node: "n9".parse().expect("id"), incarnation: Incarnation(1) };
    assert!(!world.ledger().bury(&nobody, &gone, &SHORT).await.expect("an answer"), "not a member");
    let bury = || async { world.ledger().bury(&me, &gone, &SHORT).await.expect("an answer").then_some(()) };
    until("the dead are buried", bury).await;
    assert!(!world.ledger().bury(&me, &gone, &SHORT).await.expect("an answer"), "exactly once");
    assert_eq!(world.ledger().beat(&gone, &0.into(), &LONG).await.expect("an answer"), Beaten::Dead);
}

pub(super) async fn a_lapse_begins_the_quarantine_anew(world: World) {
    let (me, gone) = (world.joining("n1", &SHORT).await, lapsed(&world, "n2").await);
    // Otherwise it would be a gap of everybody.
    world.active("n3").await;
    let quarantine = Timing { ttl: Duration::from_millis(1500), grace: Duration::ZERO, ..SHORT };
    pass(Duration::from_millis(1600)).await;
    beat(&world, &me, &LONG).await;
    assert!(!world.ledger().bury(&me, &gone, &quarantine).await.expect("an answer"), "it had lapsed");
    pass(Duration::from_millis(1600)).await;
    beat(&world, &me, &LONG).await;
    assert!(world.ledger().bury(&me, &gone, &quarantine).await.expect("an answer"), "unbroken since");
}

pub(super) async fn what_a_heartbeat_says_of_the_way_to_whatsapp_is_seen_until_the_next_life(world: World) {
    let (me, other) = (world.joining("n1", &LONG).await, world.joining("n2", &LONG).await);
    let reach = Reach { connected: 3, failing: 4, heard: Some(Duration::from_millis(1500)) };
    let said = Report { owned: 7, reach, cut_off: true };
    world.ledger().beat(&other, &said, &LONG).await.expect("an answer");
    let seen = async || {
        let view = beat(&world, &me, &LONG).await;
        let member =
            view.members.into_iter().find(|member| member.life.node == other.node).expect("a member");
        (member.owned, member.reach, member.cut_off)
    };
    assert_eq!(seen().await, (7, reach, true));
    world.ledger().beat(&other, &7.into(), &LONG).await.expect("an answer");
    assert_eq!(seen().await, (7, Reach::default(), false));
    world.ledger().beat(&other, &said, &LONG).await.expect("an answer");
    assert!(world.ledger().certify_death(&other).await.expect("an answer"));
    world.joining("n2", &LONG).await;
    assert_eq!(seen().await, (0, Reach::default(), false));
}

pub(super) async fn changes_of_membership_move_the_view_epoch(world: World) {
    let me = world.joining("n1", &LONG).await;
    let mut last = beat(&world, &me, &LONG).await.view_epoch;
    assert_eq!(beat(&world, &me, &LONG).await.view_epoch, last, "a heartbeat changes nothing");
    let mut moved = async |what: &str| {
        let now = beat(&world, &me, &LONG).await.view_epoch;
        assert!(now > last, "{what}");
        last = now;
    };
    assert!(world.ledger().set_state(&me, MemberState::Active).await.expect("an answer"));
    moved("a state").await;
    let other = lapsed(&world, "n2").await;
    moved("a join").await;
    let bury = || async { world.ledger().bury(&me, &other, &SHORT).await.expect("an answer").then_some(()) };
    until("buried", bury).await;
    moved("a burial").await;
}

pub(super) async fn free_devices_are_claimed_once_and_only_by_the_active(world: World) {
    let (me, other) = (world.joining("n1", &LONG).await, world.active("n2").await);
    let keys = [world.device("b/d2").await, world.device("a/d1").await, world.device("b/d1").await];
    let free: Vec<_> = world.ledger().claimable(10).await.expect("an answer");
    let listed: Vec<String> = free.iter().map(|row| row.key.to_string()).collect();
    assert_eq!(listed, ["tenants/a/devices/d1", "tenants/b/devices/d1", "tenants/b/devices/d2"]);
    assert!(free.iter().all(|row| row.owner.is_none() && row.epoch == Epoch(0)));
    assert_eq!(world.ledger().claimable(2).await.expect("an answer").len(), 2);

    for state in [MemberState::Joining, MemberState::Draining] {
        assert!(world.ledger().set_state(&me, state).await.expect("an answer"));
        assert!(world.ledger().claim(&me, None, &keys).await.expect("an answer").is_empty(), "{state:?}");
    }
    let mut won = world.ledger().claim(&other, None, &keys).await.expect("an answer");
    won.sort();
    assert_eq!(won.len(), 3);
    assert!(won.iter().all(|grant| grant.life == other && grant.epoch == Epoch(1)));
    assert!(world.ledger().claim(&other, None, &keys).await.expect("an answer").is_empty(), "not free");
    assert!(world.ledger().claimable(10).await.expect("an answer").is_empty());
    let mine = world.ledger().mine(&other).await.expect("an answer");
    assert_eq!(
        mine.iter().map(|row| &row.key).collect::<Vec<_>>(),
        won.iter().map(|g| &g.key).collect::<Vec<_>>()
    );
    let history = world.ledger().history(&keys[0], 10).await.expect("an answer");
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].epoch, &history[0].owner, history[0].reason.as_str()),
        (Epoch(1), &Some(other), "claim")
    );
}

pub(super) async fn a_living_owner_keeps_its_devices(world: World) {
    let (me, taker) = (world.active("n1").await, world.active("n2").await);
    let held = world.owned(&me, "d1").await;
    let weak = lapsed(&world, "n3").await;
    assert!(world.ledger().set_state(&weak, MemberState::Active).await.expect("an answer"));
    for from in [&me, &weak, &taker, &Life { incarnation: Incarnation(7), ..me.clone() }] {
        let won = world.ledger().claim(&taker, Some(from), std::slice::from_ref(&held.key)).await;
        assert!(won.expect("an answer").is_empty(), "claimed from {from}");
    }
    assert!(world.ledger().claimable(10).await.expect("an answer").is_empty());
    let row = world.ledger().ownership(&held.key).await.expect("an answer").expect("a row");
    assert_eq!((row.owner, row.epoch), (Some(me), held.epoch));
    // The lapsed but unburied one cannot claim either: its own lease is over.
    let free = world.device("d2").await;
    assert!(world.ledger().claim(&weak, None, &[free]).await.expect("an answer").is_empty());
}

pub(super) async fn the_devices_of_the_dead_are_shared_out_exactly_once(world: World) {
    let dead = world.active("n0").await;
    let mut keys: Vec<DeviceKey> = Vec::new();
    for n in 0..40 {
        keys.push(world.device(&format!("t{}/d{n}", n % 3)).await);
    }
    assert_eq!(world.ledger().claim(&dead, None, &keys).await.expect("an answer").len(), keys.len());
    assert!(world.ledger().certify_death(&dead).await.expect("an answer"));
    let orphans = world.ledger().claimable(100).await.expect("an answer");
    assert_eq!(orphans.len(), keys.len());
    assert!(orphans.iter().all(|row| row.owner.as_ref() == Some(&dead)));

    let mut takers = Vec::new();
    for name in ["n1", "n2", "n3"] {
        takers.push((world.active(name).await, world.another().await));
    }
    let claims = takers.iter().map(|(life, ports)| async {
        let mut won: Vec<Grant> = Vec::new();
        // Rows that another taker holds at the moment are skipped; two rounds suffice for a few.
        for _ in 0..2 {
            won.extend(ports.ledger.claim(life, Some(&dead), &keys).await.expect("an answer"));
        }
        won
    });
    let won: Vec<Grant> = join_all(claims).await.into_iter().flatten().collect();
    let distinct: BTreeSet<&DeviceKey> = won.iter().map(|grant| &grant.key).collect();
    assert_eq!((won.len(), distinct.len()), (keys.len(), keys.len()), "each device once");
    assert!(won.iter().all(|grant| grant.epoch == Epoch(2)));
    let history = world.ledger().history(&keys[0], 1).await.expect("an answer");
    assert_eq!((history[0].epoch, history[0].reason.as_str()), (Epoch(2), "take-over"));
}

pub(super) async fn devices_wanted_offline_are_left_alone(world: World) {
    let me = world.active("n1").await;
    let (grant, free) = (world.owned(&me, "d1").await, world.device("d2").await);
    for key in [&grant.key, &free] {
        world.ports.directory.desire(key, Desired::Offline).await.expect("an answer").expect("a device");
    }
    assert!(world.ledger().claimable(10).await.expect("an answer").is_empty());
    assert!(world.ledger().claim(&me, None, &[free]).await.expect("an answer").is_empty());
    assert!(
        world
            .ledger()
            .permit(std::slice::from_ref(&grant), Age(0), Duration::ZERO)
            .await
            .expect("an answer")
            .is_empty()
    );
    let mine = world.ledger().mine(&me).await.expect("an answer");
    assert_eq!((mine.len(), mine[0].desired), (1, Desired::Offline), "still held until it is released");
    assert!(world.ledger().release(&grant).await.expect("an answer"));
}

pub(super) async fn a_permit_stands_for_the_present_epoch_and_a_running_lease(world: World) {
    let (me, other) = (world.active("n1").await, world.active("n2").await);
    let (a, b) = (world.owned(&me, "d1").await, world.owned(&me, "d2").await);
    let old = Grant { epoch: Epoch(a.epoch.0 - 1), ..a.clone() };
    let foreign = Grant { life: other.clone(), ..b.clone() };
    let asked = [a.clone(), b.clone(), old, foreign];
    let mut given = world.ledger().permit(&asked, Age(0), LONG.margin).await.expect("an answer");
    given.sort_by(|x, y| x.grant.cmp(&y.grant));
    assert_eq!(given.iter().map(|permit| &permit.grant).collect::<Vec<_>>(), [&a, &b]);
    assert!(given.iter().all(|permit| permit.remaining > LONG.ttl / 2 && permit.remaining <= LONG.ttl));
    let beyond = LONG.ttl + Duration::from_secs(1);
    assert!(
        world.ledger().permit(&asked, Age(0), beyond).await.expect("an answer").is_empty(),
        "too little lease left"
    );
    assert!(world.ledger().give(&a, &other).await.expect("an answer").is_some());
    assert!(
        world.ledger().permit(&[a], Age(0), Duration::ZERO).await.expect("an answer").is_empty(),
        "given away"
    );
    beat(&world, &me, &SHORT).await;
    pass(SHORT.ttl * 5).await;
    assert!(
        world.ledger().permit(&[b], Age(0), Duration::ZERO).await.expect("an answer").is_empty(),
        "the lease is over"
    );
}

pub(super) async fn a_hand_off_moves_the_device_and_its_epoch(world: World) {
    let (me, target) = (world.active("n1").await, world.active("n2").await);
    let grant = world.owned(&me, "d1").await;
    let ready = lapsed(&world, "n3").await;
    assert!(world.ledger().set_state(&ready, MemberState::Active).await.expect("an answer"));
    let (joining, draining) = (world.joining("n4", &LONG).await, world.active("n5").await);
    assert!(world.ledger().set_state(&draining, MemberState::Draining).await.expect("an answer"));
    let past = Life { incarnation: Incarnation(0), ..target.clone() };
    for bad in [&ready, &joining, &draining, &past] {
        assert!(world.ledger().give(&grant, bad).await.expect("an answer").is_none(), "given to {bad}");
    }
    let given = world.ledger().give(&grant, &target).await.expect("an answer").expect("given");
    assert_eq!((&given.life, given.epoch), (&target, Epoch(2)));
    assert!(world.ledger().give(&grant, &target).await.expect("an answer").is_none(), "an old grant");
    assert!(!world.ledger().release(&grant).await.expect("an answer"), "an old grant");
    assert!(world.ledger().release(&given).await.expect("an answer"));
    let row = world.ledger().ownership(&grant.key).await.expect("an answer").expect("a row");
    assert_eq!((row.owner, row.epoch, row.desired), (None, Epoch(3), Desired::Online));
    let reasons = world.ledger().history(&grant.key, 10).await.expect("an answer");
    let reasons: Vec<_> = reasons.iter().map(|line| (line.epoch.0, line.reason.as_str())).collect();
    assert_eq!(reasons, [(3, "release"), (2, "give"), (1, "claim")]);
}

pub(super) async fn epochs_only_grow_and_belong_to_one_life(world: World) {
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let key = world.device("d1").await;
    let mut lives = [world.active("n0").await, world.active("n1").await, world.active("n2").await];
    let mut owners: BTreeMap<Epoch, Life> = BTreeMap::new();
    let mut held: Option<Grant> = None;
    let mut last = Epoch(0);
    for _ in 0..60 {
        let who = lives[random.random_range(0..3)].clone();
        let keys = std::slice::from_ref(&key);
        match random.random_range(0..6) {
            0 | 1 => {
                let from = held.as_ref().map(|grant| grant.life.clone());
                let won = world.ledger().claim(&who, from.as_ref(), keys).await.expect("an answer").pop();
                held = won.or(held);
            }
            2 => {
                if let Some(grant) = &held {
                    let given = world.ledger().give(grant, &who).await.expect("an answer");
                    held = given.or(held);
                }
            }
            3 => {
                if let Some(grant) = &held
                    && world.ledger().release(grant).await.expect("an answer")
                {
                    held = None;
                }
            }
            4 => {
                let at = random.random_range(0..3);
                assert!(world.ledger().certify_death(&lives[at]).await.expect("an answer"));
                lives[at] = world.active(&format!("n{at}")).await;
            }
            _ => {
                assert!(world.ports.directory.delete_device(&key).await.expect("an answer"));
                world.ports.directory.create_device(&key, "again", None).await.expect("a device");
                held = None;
            }
        }
        let row = world.ledger().ownership(&key).await.expect("an answer").expect("a row");
        assert!(row.epoch >= last, "{:?} after {last:?}", row.epoch);
        last = row.epoch;
        if let Some(owner) = row.owner {
            assert_eq!(owners.entry(row.epoch).or_insert(owner.clone()), &owner, "one epoch, one life");
        }
    }
    assert!(last > Epoch(15), "the history is too tame: {last:?}");
}
