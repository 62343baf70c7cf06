//! Rows of keys that the device has no more.

use bytes::Bytes;

use super::anew::{another, import};
use super::world::{Step, World};
use crate::port::{StateKey, StateKind, Sweep};

/// As many of one kind; each with this behind its name.
fn insert(world: &mut World, kind: StateKind, count: usize, behind: &str) {
    for n in 0..count {
        world.rows.insert(StateKey { kind, name: format!("{n}@lid.0{behind}") }, Bytes::from_static(b"old"));
    }
}

fn count(world: &World, kind: StateKind) -> usize {
    world.rows.keys().filter(|key| key.kind == kind).count()
}

#[test]
fn rows_of_keys_that_are_gone_go_in_pieces_when_the_device_is_online_whoever_owns_it_by_then() {
    let mut world = World::unlinked(1);
    world.commit_everything();
    // Of the keys before, of an import that was not finished, and of the one that is.
    insert(&mut world, StateKind::Identity, 700, "");
    insert(&mut world, StateKind::Identity, 500, "#2147483649");
    insert(&mut world, StateKind::Identity, 5, "#2147483648");
    insert(&mut world, StateKind::Lid, 5, "");
    insert(&mut world, StateKind::KnownChat, 5, "");
    let before = world.rows.len();
    world.take(Step::Time(1));
    world.commit_everything();
    assert_eq!(world.rows.len(), before, "nothing goes while it is linked to nobody");
    world.command(import(another()));
    world.commit_everything();
    assert_eq!((count(&world, StateKind::Identity), count(&world, StateKind::Leftovers)), (1205, 1));
    for _ in 0..40 {
        world.take(Step::LinkUp);
        world.take(Step::Success);
        world.take(Step::AnswerRequest);
        world.take(Step::Crypto);
        world.take(Step::CommitDone);
        if count(&world, StateKind::Identity) < 1205 {
            break;
        }
    }
    assert_eq!(count(&world, StateKind::Identity), 1205 - Sweep::ROWS, "a piece at a time");
    let mut next = world.taken_over();
    next.go_online();
    assert_eq!(count(&next, StateKind::Identity), 5);
    assert_eq!((count(&next, StateKind::KnownChat), count(&next, StateKind::Lid)), (0, 5));
    assert_eq!(count(&next, StateKind::Leftovers), 0, "whoever comes then need not look");
}
