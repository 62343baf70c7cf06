//! Checks of the state of a device: every kind of it finds its next owner.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_actors::port::{Batch, Committed, StateKind};
use roost_proto::id::Age;

use super::World;
use super::devices::status;
use super::world::{put, state};

pub(super) async fn a_new_owner_finds_what_the_last_one_committed(world: World) {
    let (me, next) = (world.active("n1").await, world.active("n2").await);
    let grant = world.owned(&me, "d1").await;
    let empty = world.ports.devices.load(&grant).await.expect("loaded");
    assert!(empty.state.is_empty() && empty.outbox.is_empty() && empty.status.is_none());
    let batch = Batch {
        state: vec![
            put(StateKind::Account, "", "first"),
            put(StateKind::Session, "x", "ratchet"),
            put(StateKind::MessageSecret, "author/3EB0", "secret"),
            put(StateKind::SecretPage, "7", "secrets"),
            put(StateKind::SecretHead, "", "eight"),
            put(StateKind::StatusPost, "3EB0", "people"),
            put(StateKind::ContactToken, "77@lid", "token"),
            put(StateKind::Prekeys, "2", "two"),
            put(StateKind::Prekeys, "1", "one"),
            put(StateKind::Retry, "sender/3EB0", "awaited"),
            put(StateKind::AppStateKey, "0001", "key"),
            put(StateKind::AppStateHead, "regular", "head"),
            put(StateKind::AppStatePage, "regular/7", "page"),
            put(StateKind::History, "3EB0", "cursor"),
            put(StateKind::HistoryPiece, "3EB0", "piece"),
            put(StateKind::HistoryFile, "3EB1", "file"),
            put(StateKind::HistoryRange, "3EB2", "range"),
            put(StateKind::HistoryNonce, "", "nonce"),
            put(StateKind::Presence, "", "hidden"),
            put(StateKind::Pacing, "", "slowly"),
            put(StateKind::Making, "0-1", "made"),
            put(StateKind::Salt, "", "salt"),
            put(StateKind::Tenure, "", "whose"),
            put(StateKind::KnownChat, "4915@s.whatsapp.net", "known"),
            put(StateKind::Number, "77", "4915"),
            put(StateKind::Account, "", "later wins"),
            put(StateKind::Retry, "sender/gone", "gone"),
            (state(StateKind::Retry, "sender/gone"), None),
        ],
        status: Some(status("fine")),
        ..Batch::default()
    };
    assert_eq!(world.commit(&grant, batch).await, Committed::default());
    let more = Batch { state: vec![(state(StateKind::Prekeys, "1"), None)], ..Batch::default() };
    world.commit(&grant, more).await;

    let given = world.ledger().give(&grant, &next).await.expect("an answer").expect("given");
    let loaded = world.ports.devices.load(&given).await.expect("loaded");
    let found: BTreeMap<_, _> = loaded.state.into_iter().collect();
    let expected = [
        put(StateKind::Account, "", "later wins"),
        put(StateKind::Prekeys, "2", "two"),
        put(StateKind::Retry, "sender/3EB0", "awaited"),
        put(StateKind::Presence, "", "hidden"),
        put(StateKind::Pacing, "", "slowly"),
        put(StateKind::SecretHead, "", "eight"),
        put(StateKind::Making, "0-1", "made"),
        put(StateKind::Salt, "", "salt"),
        put(StateKind::Tenure, "", "whose"),
        put(StateKind::AppStateKey, "0001", "key"),
        put(StateKind::AppStateHead, "regular", "head"),
        put(StateKind::History, "3EB0", "cursor"),
        put(StateKind::HistoryPiece, "3EB0", "piece"),
        put(StateKind::HistoryFile, "3EB1", "file"),
        put(StateKind::HistoryRange, "3EB2", "range"),
        put(StateKind::HistoryNonce, "", "nonce"),
        put(StateKind::StatusPost, "3EB0", "people"),
    ];
    assert_eq!(found, BTreeMap::from(expected.map(|(key, value)| (key, value.expect("a value")))));
    assert_eq!(loaded.status, Some(status("fine")));

    let keys = [
        state(StateKind::Session, "y"),
        state(StateKind::Session, "x"),
        state(StateKind::AppStatePage, "regular/7"),
        state(StateKind::MessageSecret, "author/3EB0"),
        state(StateKind::SecretPage, "7"),
        state(StateKind::ContactToken, "77@lid"),
        state(StateKind::KnownChat, "4915@s.whatsapp.net"),
        state(StateKind::Account, ""),
    ];
    let read = world.ports.devices.read(&given, Age(0), &keys).await.expect("read");
    let values = ["ratchet", "page", "secret", "secrets", "token", "known", "later wins"].map(Bytes::from);
    assert_eq!(read, [&[None], &values.map(Some)[..]].concat());
    assert!(world.ports.devices.read(&given, Age(0), &[]).await.expect("read").is_empty());
    let device = world.ports.directory.device(&grant.key).await.expect("an answer").expect("a device");
    assert_eq!(device.status, Some(status("fine")));
}
