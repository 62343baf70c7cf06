//! Checks of slots: who may take the row of a node id that somebody holds or held.

use roost_placement::ledger::{Beaten, Holder, JoinError, MemberState, Timing};
use roost_proto::id::{Incarnation, Life};

use super::World;
use super::ledger::{beat, lapsed};
use super::world::{LONG, SHORT, candidate, pass, until};

/// Who holds `n1`, as the refusal says.
async fn refused(world: &World, silent: Option<&Holder>, timing: &Timing) -> Holder {
    match world.ledger().join(&candidate("n1"), silent, timing).await {
        Err(JoinError::InUse { holder, .. }) => holder,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) async fn a_node_id_in_use_is_refused(world: World) {
    let me = world.active("n1").await;
    match world.ledger().join(&candidate("n1"), None, &LONG).await {
        Err(JoinError::InUse { holder, wait }) => {
            assert_eq!(holder, Holder { life: me.clone(), beats: 0 });
            let most = LONG.ttl + LONG.grace + LONG.quarantine();
            assert!(wait > LONG.ttl && wait <= most, "{wait:?}");
        }
        other => panic!("not refused: {other:?}"),
    }
    let view = beat(&world, &me, &LONG).await;
    assert_eq!(view.members[0].state, MemberState::Active, "the holder notices nothing");
}

pub(super) async fn a_lapsed_slot_is_taken_with_a_new_life(world: World) {
    let old = lapsed(&world, "n1").await;
    let holder = refused(&world, None, &LONG).await;
    assert_eq!(holder, Holder { life: old.clone(), beats: 0 });
    // Not before the grace and the quarantine are over.
    refused(&world, Some(&holder), &LONG).await;
    let new = until("the slot is free", || async {
        world.ledger().join(&candidate("n1"), Some(&holder), &SHORT).await.ok()
    });
    let new = new.await;
    assert_eq!(new.incarnation, Incarnation(2));
    assert_eq!(world.ledger().beat(&old, &0.into(), &LONG).await.expect("an answer"), Beaten::Dead);
    assert!(!world.ledger().set_state(&old, MemberState::Active).await.expect("an answer"));
    beat(&world, &new, &LONG).await;
}

pub(super) async fn a_lease_that_is_over_by_the_databases_clock_alone_gives_no_slot_away(world: World) {
    let old = lapsed(&world, "n1").await;
    pass(SHORT.ttl * 5).await;
    let seen = refused(&world, None, &SHORT).await;
    beat(&world, &old, &SHORT).await;
    pass(SHORT.ttl * 5).await;
    let now = refused(&world, Some(&seen), &SHORT).await;
    assert_eq!(now, Holder { life: old.clone(), beats: 1 }, "it has beaten since");
    let life = Life { incarnation: Incarnation(old.incarnation.0 + 1), ..old };
    refused(&world, Some(&Holder { life, ..now.clone() }), &SHORT).await;
    world.ledger().join(&candidate("n1"), Some(&now), &SHORT).await.expect("it stood still");
}

pub(super) async fn a_certified_death_frees_the_slot_at_once(world: World) {
    let old = world.active("n1").await;
    let (a, b) = (world.ledger(), world.another().await);
    let (first, second) = tokio::join!(a.certify_death(&old), b.ledger.certify_death(&old));
    let (first, second) = (first.expect("an answer"), second.expect("an answer"));
    assert!(first != second, "exactly one caller certifies");
    let new = world.joining("n1", &LONG).await;
    assert_eq!(new.incarnation, Incarnation(2));
    assert!(!world.ledger().certify_death(&old).await.expect("an answer"), "that life is over");
    beat(&world, &new, &LONG).await;
}
