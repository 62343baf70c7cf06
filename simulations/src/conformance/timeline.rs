//! Checks of what is rare in a heartbeat: a gap that everybody had, and a database that may have lost its
//! tail.

use std::time::Duration;

use roost_actors::port::{Batch, DeviceStoreError, StateKind};
use roost_placement::ledger::{Attached, Beaten, Grant, Posted, Timing, View, epoch_floor};
use roost_proto::id::{Age, Epoch, Life, Sequence};

use super::World;
use super::world::{LONG, SHORT, accepts, candidate, events, message, pass, put, refused, until};

/// A quarantine that a check can wait for.
const BRIEF: Timing = Timing { ttl: Duration::from_secs(2), ..SHORT };

/// A lease that outlasts a slow machine and a hold-off that outlasts the check.
const ROOMY: Timing = Timing { ttl: Duration::from_secs(4), ..LONG };

async fn beat(world: &World, life: &Life, timing: &Timing) -> View {
    match world.ledger().beat(life, &0.into(), timing).await.expect("an answer") {
        Beaten::Renewed(view) => view,
        Beaten::Dead => panic!("{life} is dead"),
    }
}

fn posted(grant: &Grant, head: i64) -> Posted {
    Posted { grant: grant.clone(), head: Sequence(head), accepted: 0 }
}

/// A change of state by somebody who knows of this age of the database.
fn in_age(age: i64) -> Batch {
    Batch { age: Age(age), state: vec![put(StateKind::Session, "n", "1")], ..Batch::default() }
}

async fn kept(world: &World, me: &Life, posts: &[Posted]) -> Vec<Attached> {
    world.ledger().reattach(me, posts).await.expect("an answer")
}

pub(super) async fn a_gap_of_the_whole_cluster_holds_burials_off_until_all_are_back(world: World) {
    let [me, other, gone] = [
        world.joining("n1", &SHORT).await,
        world.joining("n2", &SHORT).await,
        world.joining("n3", &SHORT).await,
    ];
    pass(SHORT.ttl * 5).await;
    beat(&world, &me, &ROOMY).await;
    pass(SHORT.ttl * 5).await;
    let bury = async || world.ledger().bury(&me, &gone, &SHORT).await.expect("an answer");
    assert!(!bury().await, "everybody had a gap");
    // A statement that lay in a connection through the gap is carried out after it, and nobody hears of it.
    beat(&world, &gone, &SHORT).await;
    beat(&world, &other, &ROOMY).await;
    pass(SHORT.ttl * 5).await;
    assert!(!bury().await, "one beat is not a return");
    let began = std::time::Instant::now();
    until("all have renewed for half a lease", || async {
        for life in [&me, &other, &gone] {
            beat(&world, life, &ROOMY).await;
        }
        (began.elapsed() > ROOMY.ttl.mul_f64(0.6)).then_some(())
    })
    .await;
    until("the one that goes away now is buried", || async {
        for life in [&me, &other] {
            beat(&world, life, &ROOMY).await;
        }
        bury().await.then_some(())
    })
    .await;
}

pub(super) async fn a_gap_of_one_holds_nothing_off(world: World) {
    let (me, gone) = (world.joining("n1", &SHORT).await, world.joining("n2", &SHORT).await);
    world.active("n3").await;
    pass(SHORT.ttl * 5).await;
    beat(&world, &me, &LONG).await;
    pass(SHORT.ttl * 5).await;
    assert!(world.ledger().bury(&me, &gone, &SHORT).await.expect("an answer"));
}

pub(super) async fn a_posted_grant_is_kept_while_it_stands(world: World) {
    let (me, other) = (world.active("n1").await, world.active("n2").await);
    let (grant, unwanted) = (world.owned(&me, "d1").await, world.device("d2").await);
    world.ports.devices.load(&grant).await.expect("loaded");
    world.commit(&grant, events(&["a", "b"])).await;
    let untouched = Attached { grant: grant.clone(), behind: false };
    assert_eq!(kept(&world, &me, &[posted(&grant, 2)]).await, [untouched]);
    let behind = Attached { grant: grant.clone(), behind: true };
    let behind = [behind];
    assert_eq!(kept(&world, &me, &[posted(&grant, 3)]).await, behind);
    assert_eq!(kept(&world, &me, &[posted(&grant, i64::MAX)]).await, behind);
    world.commit(&grant, accepts(&[message("a", "one")])).await;
    let accepted = |accepted| Posted { accepted, ..posted(&grant, 2) };
    assert!(!kept(&world, &me, &[accepted(1)]).await[0].behind);
    assert_eq!(kept(&world, &me, &[accepted(2)]).await, behind);
    let old = Grant { epoch: Epoch(0), ..grant.clone() };
    let newer = Grant { epoch: Epoch(7), ..grant.clone() };
    let foreign = Grant { life: other.clone(), ..grant.clone() };
    let free = Grant { key: unwanted, ..grant.clone() };
    assert_eq!(kept(&world, &me, &[posted(&old, 0), posted(&newer, 0), posted(&free, 0)]).await, []);
    assert_eq!(kept(&world, &other, &[posted(&foreign, 0)]).await, []);
    let row = world.ledger().ownership(&grant.key).await.expect("an answer").expect("a row");
    assert_eq!((row.owner, row.epoch), (Some(me), grant.epoch), "nothing was granted");
}

pub(super) async fn a_database_that_may_have_lost_its_tail_grants_above_all_that_was_lost(world: World) {
    let (me, other) = (world.active("n1").await, world.active("n2").await);
    let (grant, free) = (world.owned(&me, "d1").await, world.device("d2").await);
    let first = beat(&world, &me, &LONG).await;
    assert_eq!((first.cluster_epoch, first.blocked), (0, Duration::ZERO));
    if !world.fail_over().await {
        return;
    }
    let ledger = world.ledger();
    let keys = std::slice::from_ref(&free);
    assert!(ledger.claim(&me, None, keys).await.is_err(), "nothing is granted unseen");
    assert!(ledger.release(&grant).await.is_err());
    assert!(ledger.mine(&me).await.is_err() && ledger.ownership(&grant.key).await.is_err());
    assert!(ledger.permit(std::slice::from_ref(&grant), Age(0), Duration::ZERO).await.is_err());
    let unseen = world.ports.devices.commit(&grant, events(&["a"])).await;
    assert!(matches!(unseen, Err(DeviceStoreError::Unavailable(_))), "no grant is judged: {unseen:?}");

    let view = beat(&world, &other, &BRIEF).await;
    assert_eq!(view.cluster_epoch, 1);
    assert!(view.blocked > Duration::ZERO && view.blocked <= BRIEF.quarantine() * 2, "{:?}", view.blocked);
    assert!(view.view_epoch > first.view_epoch);
    let again = beat(&world, &me, &LONG).await;
    assert_eq!((again.cluster_epoch, again.view_epoch), (1, view.view_epoch), "once for all");
    beat(&world, &other, &LONG).await;
    assert!(ledger.claim(&me, None, keys).await.expect("an answer").is_empty(), "nothing is claimed");

    // The tail had given the device on: the highest posted epoch wins, in whatever order they come.
    assert_eq!(kept(&world, &me, &[posted(&grant, 0)]).await.len(), 1);
    let lost = Grant { life: other.clone(), epoch: Epoch(grant.epoch.0 + 1), ..grant.clone() };
    let won = kept(&world, &other, &[posted(&lost, 0)]).await;
    let epoch = Epoch(epoch_floor(1).0 + 1);
    assert_eq!(won, [Attached { grant: Grant { epoch, ..lost.clone() }, behind: true }]);
    assert_eq!(kept(&world, &me, &[posted(&grant, 0)]).await, []);
    refused(world.ports.devices.commit(&grant, in_age(1)).await);
    refused(world.ports.devices.commit(&lost, in_age(1)).await);
    world.commit(&won[0].grant, in_age(1)).await;
    assert_eq!(world.ports.devices.load(&won[0].grant).await.expect("loaded").age, Age(1));
    let history = ledger.history(&grant.key, 1).await.expect("an answer");
    assert_eq!((history[0].epoch, history[0].reason.as_str()), (epoch, "re-attach"));

    let claimed = until("the quarantine ends", || async {
        ledger.claim(&me, None, keys).await.expect("an answer").pop()
    });
    assert_eq!(claimed.await.epoch, epoch, "above everything that a lost tail may have granted");
    let late = Grant { epoch: Epoch(epoch.0 + 5), ..lost };
    assert_eq!(kept(&world, &other, &[posted(&late, 0)]).await, [], "too late to win");
    assert!(ledger.certify_death(&me).await.expect("an answer"));
    let next = ledger.join(&candidate("n1"), None, &LONG).await.expect("the slot is free");
    assert!(next.incarnation.0 > epoch_floor(1).0, "lives too: {next}");
}

pub(super) async fn whoever_knows_of_another_age_of_the_database_reads_and_writes_nothing_of_a_device(
    world: World,
) {
    let me = world.active("n1").await;
    let (grant, devices) = (world.owned(&me, "d1").await, world.ports.devices.clone());
    let asked = [put(StateKind::Session, "n", "1").0];
    let unavailable = |error: Option<DeviceStoreError>| {
        assert!(
            matches!(error, Some(DeviceStoreError::Unavailable(_))),
            "nothing is said of the grant: {error:?}"
        );
    };
    if !world.fail_over().await {
        return;
    }
    beat(&world, &me, &LONG).await;
    for age in [0, 2] {
        unavailable(devices.commit(&grant, in_age(age)).await.err());
        unavailable(devices.read(&grant, Age(age), &asked).await.err());
    }
    assert_eq!(devices.read(&grant, Age(1), &asked).await.expect("read"), [None], "nothing was written");
    // Of two that come together, the one from before is left out alone.
    let (before, after) = tokio::join!(devices.commit(&grant, in_age(0)), devices.commit(&grant, in_age(1)));
    unavailable(before.err());
    after.expect("committed");
    assert!(devices.read(&grant, Age(1), &asked).await.expect("read")[0].is_some());
}

pub(super) async fn on_a_new_time_line_a_heartbeat_says_whether_the_lease_had_run_out(world: World) {
    let (late, other) = (world.joining("n1", &SHORT).await, world.active("n2").await);
    if !world.fail_over().await {
        return;
    }
    pass(SHORT.ttl * 2).await;
    let lapsed = async |life| {
        let view = beat(&world, life, &LONG).await;
        (view.cluster_epoch, view.lapsed)
    };
    assert_eq!(lapsed(&late).await, (1, true), "it may have been buried in what was lost");
    assert_eq!(lapsed(&late).await, (1, false));
    assert_eq!(lapsed(&other).await, (1, false));
}

pub(super) async fn a_load_says_how_far_the_log_and_the_messages_have_come(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    world.commit(&grant, events(&["a", "b"])).await;
    world.commit(&grant, accepts(&[message("a", "one")])).await;
    let heads = world.ports.devices.load(&grant).await.expect("loaded").heads;
    assert_eq!((heads.event, heads.accepted), (2, 1));
}

pub(super) async fn events_tell_in_which_age_of_the_database_they_were_written(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    world.commit(&grant, events(&["a", "b"])).await;
    let (directory, key) = (&world.ports.directory, &grant.key);
    let ages = async || {
        let heads = directory.heads(&key.business_id, Some(&key.device_id)).await.expect("an answer");
        let logged = directory.events(key, Sequence(0), 10).await.expect("an answer");
        let ages: Vec<i64> = logged.into_iter().map(|event| event.age.0).collect();
        (ages, heads[0].age.0)
    };
    assert_eq!(ages().await, (vec![0, 0], 0));
    if !world.fail_over().await {
        return;
    }
    beat(&world, &me, &LONG).await;
    assert_eq!(ages().await, (vec![0, 0], 0), "what was kept is what it was");
    world.commit(&grant, Batch { age: Age(1), ..events(&["c"]) }).await;
    assert_eq!(ages().await, (vec![0, 0, 1], 1), "a reader can tell this third event from one that was lost");
}

pub(super) async fn a_database_that_may_have_lost_its_tail_ends_every_hold_of_a_consumer(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    world.commit(&grant, events(&["a", "b"])).await;
    let (acme, name) = (grant.key.business_id.clone(), "c".parse().expect("an id"));
    let (directory, minute) = (&world.ports.directory, Duration::from_secs(60));
    let hold = async |holder| directory.hold_consumer(&acme, &name, holder, minute).await;
    let keep = async |holder| directory.keep_consumer(&acme, &name, holder, minute).await;
    let ack = async |holder, seq| {
        let at = [(grant.key.clone(), Sequence(seq))];
        directory.acknowledge(&acme, &name, holder, &at).await
    };
    assert!(hold("before").await.expect("an answer") && ack("before", 1).await.expect("an answer"));
    if !world.fail_over().await {
        return;
    }
    assert!(ack("before", 2).await.is_err() && keep("before").await.is_err(), "nothing is judged unseen");
    beat(&world, &me, &LONG).await;
    assert!(!ack("before", 2).await.expect("an answer"), "what it was sent may not be in the log");
    assert!(!keep("before").await.expect("an answer"));
    assert!(hold("after").await.expect("an answer"), "the next stream need not wait");
    let kept = directory.positions(&acme, &name).await.expect("an answer");
    assert_eq!(kept, [(grant.key.clone(), Sequence(1))], "and begins where that was acknowledged durably");
    assert!(ack("after", 2).await.expect("an answer"));
}
