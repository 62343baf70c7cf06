//! Checks of the state of a device: every kind of it finds its next owner.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_actors::port::{Batch, Committed, StateKind, Sweep};
use roost_placement::ledger::Grant;
use roost_proto::id::Age;

use super::World;
use super::devices::status;
use super::world::{put, refused, state};

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
            put(StateKind::Leftovers, "", "mark"),
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
        put(StateKind::Leftovers, "", "mark"),
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

pub(super) async fn rows_of_other_keys_go_in_pieces_and_nothing_else(world: World) {
    let (me, next) = (world.active("n1").await, world.active("n2").await);
    let (grant, other) = (world.owned(&me, "d1").await, world.owned(&me, "d2").await);
    let kinds = Sweep::OF_KEYS;
    let names = |number: u32| {
        let numbered =
            move |name: &str| if number == 0 { name.to_owned() } else { format!("{name}#{number}") };
        ["77@lid.1", "1@g.us/77@lid.1"].map(numbered)
    };
    let of =
        |number: u32| kinds.iter().flat_map(move |kind| names(number).map(|name| put(*kind, &name, "x")));
    let chats = [0, 1, 21].map(|number| put(StateKind::KnownChat, &names(number)[0], "known"));
    let others =
        [put(StateKind::Lid, "4915", "77"), put(StateKind::MessageSecret, "77@lid/3EB0#9", "secret")];
    let all = || [0, 1, 2, 12].into_iter().flat_map(of).chain(chats.clone()).chain(others.clone());
    for grant in [&grant, &other] {
        world.commit(grant, Batch { state: all().collect(), ..Batch::default() }).await;
    }
    // Of the last, more than one commit takes.
    let many = (0..600).map(|n| put(StateKind::Session, &format!("{n}@lid.0#7"), "x"));
    world.commit(&grant, Batch { state: many.collect(), ..Batch::default() }).await;
    let left = async |grant: &Grant| {
        let keys: Vec<_> = all().map(|(key, _)| key).collect();
        let rows = world.ports.devices.read(grant, Age(0), &keys).await.expect("read");
        let there = keys.into_iter().zip(rows).filter(|(_, row)| row.is_some());
        there.map(|(key, _)| (key.kind, key.name)).collect::<Vec<_>>()
    };
    let sweep = |keys, chats| Batch { sweep: Some(Sweep { keys, chats }), ..Batch::default() };
    assert_eq!(world.commit(&grant, sweep(2, 1)).await.swept, Some(Sweep::ROWS));
    let given = world.ledger().give(&grant, &next).await.expect("an answer").expect("given");
    refused(world.ports.devices.commit(&grant, sweep(2, 1)).await);
    assert_eq!(world.commit(&given, sweep(2, 1)).await.swept, Some(600 + 3 * 8 + 2 - Sweep::ROWS));
    assert_eq!(world.commit(&given, sweep(2, 1)).await.swept, Some(0));
    assert_eq!(world.commit(&given, Batch::default()).await.swept, None);
    let kept = of(2).chain([chats[1].clone()]).chain(others.clone());
    assert_eq!(left(&given).await, kept.map(|(key, _)| (key.kind, key.name)).collect::<Vec<_>>());
    assert_eq!(left(&other).await.len(), 4 * 8 + 3 + 2, "nothing of another device");

    assert_eq!(world.commit(&other, sweep(0, 0)).await.swept, Some(3 * 8 + 2));
    let kept = of(0).chain([chats[0].clone()]).chain(others.clone());
    assert_eq!(left(&other).await, kept.map(|(key, _)| (key.kind, key.name)).collect::<Vec<_>>());
}
