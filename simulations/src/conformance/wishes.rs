//! Checks of what operators wish of placement: pins, cordons, spread, the freeze, the survey.

use roost_node::directory::Unowned;
use roost_placement::ledger::{Beaten, MemberState, View};
use roost_placement::wish::{Pin, PinMode, Spreading, Surveyed};
use roost_proto::id::{Age, DeviceKey, Life};

use super::World;
use super::world::{LONG, events};

async fn view(world: &World, life: &Life) -> View {
    match world.ledger().beat(life, &0.into(), &LONG).await.expect("an answer") {
        Beaten::Renewed(view) => view,
        Beaten::Dead => panic!("{life} is dead"),
    }
}

async fn pin(world: &World, key: &DeviceKey, node: &str, mode: PinMode) {
    let pin = Pin { node: node.parse().expect("an id"), mode };
    let pinned = world.ports.directory.pin(key, Some(&pin)).await.expect("an answer").expect("a device");
    assert_eq!(pinned.ownership.wish.pin, Some(pin));
}

async fn claims(world: &World, me: &Life, from: Option<&Life>, key: &DeviceKey) -> bool {
    !world.ledger().claim(me, from, std::slice::from_ref(key)).await.expect("an answer").is_empty()
}

async fn survey(world: &World, of: Option<&Life>) -> Vec<Surveyed> {
    world.ledger().survey(of, None, 100).await.expect("an answer")
}

pub(super) async fn a_required_pin_holds_in_claim_take_over_and_give(world: World) {
    let (a, b, c) = (world.active("a").await, world.active("b").await, world.active("c").await);
    let key = world.device("d").await;
    pin(&world, &key, "b", PinMode::Require).await;
    assert!(!claims(&world, &a, None, &key).await, "not its device");
    let grant = world.claim(&b, &key).await;
    assert_eq!(world.ledger().give(&grant, &c).await.expect("an answer"), None);
    pin(&world, &key, "c", PinMode::Require).await;
    assert_eq!(world.ledger().give(&grant, &a).await.expect("an answer"), None);
    assert!(world.ledger().certify_death(&b).await.expect("an answer"));
    assert!(!claims(&world, &a, Some(&b), &key).await, "not its device either");
    world.take_over(&c, &b, &key).await;
}

pub(super) async fn a_preferred_pin_binds_nobody(world: World) {
    let (a, b) = (world.active("a").await, world.active("b").await);
    let key = world.device("d").await;
    pin(&world, &key, "b", PinMode::Prefer).await;
    let grant = world.claim(&a, &key).await;
    assert!(world.ledger().give(&grant, &b).await.expect("an answer").is_some());
}

pub(super) async fn a_pin_outlives_its_node_and_waits(world: World) {
    let (a, b) = (world.active("a").await, world.active("b").await);
    let (pinned, free) = (world.device("d1").await, world.device("d2").await);
    pin(&world, &pinned, "b", PinMode::Require).await;
    assert!(world.ledger().certify_death(&b).await.expect("an answer"));
    let listed = world.ledger().claimable(10).await.expect("an answer");
    assert_eq!(listed.iter().map(|row| &row.key).collect::<Vec<_>>(), [&free], "the other waits");
    assert!(!claims(&world, &a, None, &pinned).await);
    let unowned = async || world.ports.directory.unowned().await.expect("an answer");
    assert_eq!(unowned().await, Unowned { all: 2, unplaceable: 1 });
    let b = world.active("b").await;
    assert_eq!(unowned().await, Unowned { all: 2, unplaceable: 0 });
    assert_eq!(world.ledger().claimable(10).await.expect("an answer").len(), 2);
    world.claim(&b, &pinned).await;
    assert_eq!(unowned().await, Unowned { all: 1, unplaceable: 0 });
    assert!(world.ledger().certify_death(&b).await.expect("an answer"));
    assert_eq!(unowned().await, Unowned { all: 2, unplaceable: 1 }, "its owner is dead");

    // Without the pin, and after a deletion, it is a device like others.
    let unpinned = world.ports.directory.pin(&pinned, None).await.expect("an answer").expect("a device");
    assert_eq!(unpinned.ownership.wish.pin, None);
    pin(&world, &pinned, "b", PinMode::Require).await;
    assert!(world.ports.directory.delete_device(&pinned).await.expect("an answer"));
    let nothing = world.ports.directory.pin(&pinned, None).await.expect("an answer");
    assert!(nothing.is_none(), "there is no such device");
    world.device("d1").await;
    world.claim(&a, &pinned).await;
}

pub(super) async fn a_cordoned_node_keeps_and_takes_nothing_new_in_any_life(world: World) {
    let (a, b) = (world.active("a").await, world.active("b").await);
    let (kept, other) = (world.owned(&a, "d1").await, world.owned(&b, "d2").await);
    let free = world.device("d3").await;
    assert!(world.ports.directory.cordon(&a.node, true).await.expect("an answer"));
    let seen = view(&world, &b).await;
    assert_eq!(seen.members.iter().map(|m| m.cordoned).collect::<Vec<_>>(), [true, false]);
    assert!(!claims(&world, &a, None, &free).await);
    assert_eq!(world.ledger().give(&other, &a).await.expect("an answer"), None);
    let permits =
        world.ledger().permit(std::slice::from_ref(&kept), Age(0), LONG.margin).await.expect("an answer");
    assert_eq!(permits.len(), 1, "what it has it keeps");

    assert!(world.ledger().certify_death(&a).await.expect("an answer"));
    assert_eq!(world.ports.directory.node_state(&a.node).await.expect("an answer"), Some(MemberState::Dead));
    let a = world.active("a").await;
    assert!(!claims(&world, &a, None, &free).await, "the mark is the node's, not the life's");
    assert!(world.ports.directory.cordon(&a.node, false).await.expect("an answer"));
    world.claim(&a, &free).await;

    let nobody = "nobody".parse().expect("an id");
    assert!(!world.ports.directory.cordon(&nobody, true).await.expect("an answer"));
    assert_eq!(world.ports.directory.node_state(&nobody).await.expect("an answer"), None);
}

pub(super) async fn wishes_are_kept_and_move_the_view_epoch(world: World) {
    let a = world.active("a").await;
    let (key, directory) = (world.device("d").await, &world.ports.directory);
    let mut before = view(&world, &a).await;
    assert!(!before.frozen);
    for step in 0..4 {
        match step {
            0 => directory.freeze(true).await.expect("an answer"),
            1 => pin(&world, &key, "a", PinMode::Prefer).await,
            2 => assert!(directory.cordon(&a.node, true).await.expect("an answer")),
            _ => {
                let spread = directory.spread(&key.business_id, Spreading::Strict).await.expect("an answer");
                assert_eq!(spread.expect("a tenant").spread, Spreading::Strict);
            }
        }
        let after = view(&world, &a).await;
        assert!(after.view_epoch > before.view_epoch, "step {step}");
        assert!(after.frozen);
        before = after;
    }
    let row = world.ledger().ownership(&key).await.expect("an answer").expect("a row");
    assert_eq!(row.wish.spread, Spreading::Strict);
    assert_eq!(row.wish.pin.as_ref().map(|pin| pin.mode), Some(PinMode::Prefer));
    let nobody = "nobody".parse().expect("an id");
    assert!(directory.spread(&nobody, Spreading::Strict).await.expect("an answer").is_none());
    assert_eq!(view(&world, &a).await.view_epoch, before.view_epoch, "nothing has changed");
    directory.freeze(false).await.expect("an answer");
    assert!(!view(&world, &a).await.frozen);
    for highest in [Some(3), Some(u32::MAX >> 1), None] {
        before = view(&world, &a).await;
        directory.limit_version(highest).await.expect("an answer");
        let after = view(&world, &a).await;
        assert_eq!(after.max_version, highest);
        assert!(after.view_epoch > before.view_epoch);
    }
}

pub(super) async fn a_survey_tells_activity_gifts_and_strict_tenants(world: World) {
    let (a, b) = (world.active("a").await, world.active("b").await);
    let quiet = world.owned(&a, "acme/quiet").await;
    let busy = world.owned(&a, "acme/busy").await;
    world.commit(&busy, events(&["k"])).await;
    let strict = world.owned(&b, "globex/s").await;
    world.ports.directory.spread(&strict.key.business_id, Spreading::Strict).await.expect("an answer");
    world.owned(&b, "initech/other").await;

    let mine = survey(&world, Some(&a)).await;
    let keys: Vec<&DeviceKey> = mine.iter().map(|line| &line.row.key).collect();
    assert_eq!(keys, [&busy.key, &quiet.key, &strict.key]);
    assert!(mine[0].active.0 > 0 && mine[1].active.0 == 0, "{mine:?}");
    assert!(mine.iter().all(|line| line.given.is_none()));
    assert_eq!(survey(&world, None).await.len(), 4);

    let given = world.ledger().give(&quiet, &b).await.expect("an answer").expect("it stands");
    let all = survey(&world, None).await;
    let line = all.iter().find(|line| line.row.key == quiet.key).expect("listed");
    assert_eq!((line.row.owner.as_ref(), line.row.epoch), (Some(&b), given.epoch));
    assert!(line.given.is_some_and(|ago| ago < LONG.ttl), "{line:?}");
    let rest = world.ledger().survey(None, Some(&busy.key), 1).await.expect("an answer");
    assert_eq!(rest.iter().map(|line| &line.row.key).collect::<Vec<_>>(), [&quiet.key]);
}
