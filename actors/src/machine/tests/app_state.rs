//! App state: a change whose answer nobody heard.

use bytes::Bytes;
use roost_proto::appstate::{Action, Collection};
use roost_proto::stanza::{Builder, Read, Stanza, iq};

use super::world::{Step, World};
use crate::device::CommandError;
use crate::port::{StateKey, StateKind};

const COLLECTION: Collection = Collection::CriticalBlock;

/// A device with which the phone has shared a key.
fn with_key(seed: u64) -> World {
    let mut world = World::loaded(seed);
    let key = StateKey { kind: StateKind::AppStateKey, name: "k".to_owned() };
    world.rows.insert(key, Bytes::from_static(b"key"));
    let mut world = world.taken_over();
    world.go_online();
    world
}

/// What a request asks or says about the collection.
fn about(request: &Stanza) -> Option<&Stanza> {
    let collection = request.child("sync")?.child("collection")?;
    (collection.text("name").as_deref() == Some(COLLECTION.as_str())).then_some(collection)
}

fn is_upload(request: &Stanza) -> bool {
    about(request).is_some_and(|collection| collection.child("patch").is_some())
}

/// WhatsApp has nothing new in the collection that it is asked for.
fn answer_nothing_new(world: &mut World) {
    let place = world.requests.iter().position(|request| about(request).is_some());
    let request = world.requests.remove(place.expect("it is asked for")).expect("it was just found");
    let collection = Builder::new("collection").attr("name", COLLECTION.as_str()).build();
    let sync = Builder::new("sync").children([collection]).build();
    world.stanza(iq::result(&request).children([sync]).build());
}

/// Whether the next owner asks WhatsApp for the collection when he logs in.
fn looks(world: World) -> bool {
    let mut next = world.taken_over();
    next.go_online_and_tell().iter().any(|sent| about(sent).is_some())
}

#[test]
fn a_patch_is_on_the_wire_only_when_the_next_owner_would_look_for_it() {
    let mut world = with_key(1);
    let token = world.change_app_state(Action::PushName("Shop".to_owned()));
    answer_nothing_new(&mut world);
    while !world.requests.iter().any(is_upload) {
        assert!(world.with_crypto() > 0 || world.commits(), "it is never uploaded");
        world.take(Step::Crypto);
        assert!(!world.requests.iter().any(is_upload), "it waits for a commit");
        world.take(Step::CommitDone);
    }
    assert_eq!(world.app_state_changed(token), None);
    assert!(looks(world), "WhatsApp may have taken the patch");
}

#[test]
fn who_found_nothing_does_not_look_again() {
    let mut world = with_key(2);
    let token = world.change_app_state(Action::PushName("Shop".to_owned()));
    answer_nothing_new(&mut world);
    world.commit_everything();
    world.take(Step::LinkDown);
    assert_eq!(world.app_state_changed(token), Some(Err(CommandError::NotConnected)));
    world.take(Step::Time(3_600_000));
    world.take(Step::LinkUp);
    world.take(Step::Success);
    while !world.requests.iter().any(|request| about(request).is_some()) {
        assert!(!world.take(Step::AnswerRequest).is_empty(), "it is never asked for");
        world.commit_everything();
    }
    answer_nothing_new(&mut world);
    world.commit_everything();
    assert!(!looks(world));
}
