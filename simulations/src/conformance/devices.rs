//! Checks of the devices' port: the fence, group commit, sequences, idempotent accepts.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use roost_actors::port::{
    Accepted, Batch, ChosenId, DeviceStatus, DeviceStoreError, MessageState, MessageUpdate, NewMessage,
    QuarantinedStanza, SOUGHT, StateKind,
};
use roost_placement::ledger::Grant;
use roost_proto::api;
use roost_proto::id::{Age, DeviceKey, Epoch, Incarnation, Life, Sequence, UnixMillis};

use super::World;
use super::world::{accepts, event, events, message, put, refused, state, until, update};

pub(super) fn status(reason: &str) -> DeviceStatus {
    DeviceStatus {
        state: api::device::State::Online,
        reason: reason.to_owned(),
        code: 401,
        pn: Some("491701234567:3@s.whatsapp.net".to_owned()),
        lid: None,
        push_name: "Käthe's shop".to_owned(),
        at: UnixMillis(5),
        health: api::AccountHealth {
            nacks: vec![api::account_health::Nack { code: 463, count: 2, last_time: None }],
            ..Default::default()
        },
    }
}

pub(super) async fn a_fenced_owner_neither_reads_nor_writes(world: World) {
    let (me, next) = (world.active("n1").await, world.active("n2").await);
    let old = world.owned(&me, "d1").await;
    world.commit(&old, accepts(&[message("a", "text")])).await;
    let new = world.ledger().give(&old, &next).await.expect("an answer").expect("given");
    let batch = Batch {
        state: vec![put(StateKind::Account, "", "stale")],
        accepts: vec![message("b", "stale")],
        messages: vec![update("a", MessageState::Failed, 9)],
        events: vec![event("stale")],
        quarantine: vec![QuarantinedStanza {
            dedupe: "q".into(),
            raw: Bytes::from("raw"),
            reason: "stale".into(),
            at: UnixMillis(1),
        }],
        status: Some(status("stale")),
        ..Batch::default()
    };
    refused(world.ports.devices.commit(&old, batch).await);
    refused(world.ports.devices.commit(&old, Batch::default()).await);
    refused(world.ports.devices.load(&old).await);
    refused(world.ports.devices.read(&old, Age(0), &[state(StateKind::Account, "")]).await);
    refused(world.ports.devices.sent_messages(&old, &ids(&["3EB0a"])).await);

    let loaded = world.ports.devices.load(&new).await.expect("loaded");
    assert!(loaded.state.is_empty() && loaded.status.is_none());
    assert!(matches!(&loaded.outbox[..], [one] if one.state == MessageState::Accepted));
    assert!(world.ports.directory.events(&old.key, Sequence(0), 10).await.expect("an answer").is_empty());
    assert!(world.ledger().release(&new).await.expect("an answer"));
    refused(world.ports.devices.commit(&new, events(&["late"])).await);
}

pub(super) async fn a_grant_of_another_life_does_not_stand(world: World) {
    let (me, other) = (world.active("n1").await, world.active("n2").await);
    let grant = world.owned(&me, "d1").await;
    let elsewhere = world.device("zoo/d1").await;
    let forged = [
        Grant { life: other, ..grant.clone() },
        Grant { life: Life { incarnation: Incarnation(2), ..me.clone() }, ..grant.clone() },
        Grant { epoch: Epoch(grant.epoch.0 + 1), ..grant.clone() },
        Grant { key: elsewhere, ..grant.clone() },
        Grant { key: "tenants/none/devices/none".parse().expect("a key"), ..grant.clone() },
    ];
    for bad in &forged {
        refused(world.ports.devices.commit(bad, events(&["x"])).await);
        refused(world.ports.devices.load(bad).await);
    }
    // Side by side with the real one, in one group.
    let bad = forged.iter().map(|bad| world.ports.devices.commit(bad, events(&["x"])));
    let (good, bad) = tokio::join!(world.commit(&grant, events(&["x"])), join_all(bad));
    assert_eq!(good.events, [Some(Sequence(1))]);
    bad.into_iter().for_each(refused);
}

pub(super) async fn sequences_have_no_gaps_whoever_writes(world: World) {
    let me = world.active("n1").await;
    let mut grants = Vec::new();
    for name in ["a/d1", "a/d2", "b/d1"] {
        grants.push(world.owned(&me, name).await);
    }
    // Two processes with the same grants: what a frozen owner and its successor may do at worst.
    let ports = [world.ports.clone(), world.another().await];
    let mut writers = Vec::new();
    for n in 0..60 {
        let (grant, devices) = (&grants[n % 3], &ports[n % 2].devices);
        // Every key twice, from different writers, and once more within the batch.
        let names = [format!("e{}", n / 6), format!("f{n}"), format!("e{}", n / 6)];
        writers.push(async move {
            let batch = events(&names.each_ref().map(String::as_str));
            let done = until("committed", || async { devices.commit(grant, batch.clone()).await.ok() }).await;
            assert!(done.events[2].is_none(), "the second of the same key in one batch");
            (grant.key.clone(), done.events.into_iter().flatten().collect::<Vec<_>>())
        });
    }
    let mut given: BTreeMap<_, Vec<Sequence>> = BTreeMap::new();
    for (key, sequences) in join_all(writers).await {
        given.entry(key).or_default().extend(sequences);
    }
    for grant in &grants {
        let log = world.ports.directory.events(&grant.key, Sequence(0), 100).await.expect("an answer");
        let places: Vec<i64> = log.iter().map(|event| event.sequence.0).collect();
        assert_eq!(places, (1..=30).collect::<Vec<_>>(), "ten shared keys and twenty of their own");
        let mut told = given.remove(&grant.key).expect("written");
        told.sort_unstable();
        assert_eq!(told, log.iter().map(|event| event.sequence).collect::<Vec<_>>(), "as it was answered");
        assert!(log.iter().all(|event| event.epoch == grant.epoch));
        assert!(log.windows(2).all(|pair| pair[0].committed <= pair[1].committed));
    }
}

pub(super) async fn an_accepted_request_is_accepted_once(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let first = world.commit(&grant, accepts(&[message("a", "one"), message("b", "two")])).await;
    assert_eq!(first.accepts, [Accepted::New { ordinal: 1 }, Accepted::New { ordinal: 2 }]);

    // The same request with new ids, as a retry that reached another node would make it.
    let again = |request: &str, content: &str, ids: &str| {
        let mut new = message(ids, content);
        new.request_id = format!("r-{request}");
        new
    };
    let mixed =
        [again("a", "one", "x"), again("b", "other content", "y"), message("c", "3"), again("c", "3", "z")];
    let batch = Batch { events: vec![event("with it")], ..accepts(&mixed) };
    let second = world.commit(&grant, batch).await;
    let [
        Accepted::Repeated(row),
        Accepted::KeyReused,
        Accepted::New { ordinal: 3 },
        Accepted::Repeated(twin),
    ] = &second.accepts[..]
    else {
        panic!("{:?}", second.accepts)
    };
    assert_eq!((&row.message, row.ordinal, row.state), (&message("a", "one"), 1, MessageState::Accepted));
    assert_eq!((twin.message.message_id.as_str(), twin.ordinal), ("m-c", 3));
    assert_eq!(second.events, [Some(Sequence(1))], "the rest of the batch is written");
    for lost in ["m-x", "m-y", "m-z"] {
        assert!(world.ports.directory.message(&grant.key, lost).await.expect("an answer").is_none());
    }
    let kept = world.ports.directory.message(&grant.key, "m-b").await.expect("an answer").expect("a message");
    assert_eq!(kept.message, message("b", "two"));
    let requested = async |key: &DeviceKey, request: &str| {
        let found = world.ports.directory.requested(key, request).await.expect("an answer");
        found.map(|stored| stored.message)
    };
    assert_eq!(requested(&grant.key, "r-b").await, Some(message("b", "two")));
    assert_eq!(requested(&grant.key, "m-b").await, None, "nobody asked under this name");
    assert_eq!(requested(&grant.key, "r\0b").await, None);

    // Another device of the tenant has requests of its own.
    let other = world.owned(&me, "d2").await;
    let third = world.commit(&other, accepts(&[message("a", "one")])).await;
    assert_eq!(third.accepts, [Accepted::New { ordinal: 1 }]);
    assert_eq!(requested(&other.key, "r-b").await, None);
}

pub(super) async fn a_chosen_id_is_that_of_one_message(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let choose = |name: &str, id: &str| {
        let new = NewMessage { whatsapp_id: id.to_owned(), ..message(name, name) };
        let taken_by = vec![format!("sent/{id}"), format!("heard/{id}")];
        let chosen = vec![ChosenId { message_id: new.message_id.clone(), taken_by }];
        Batch { accepts: vec![new], chosen, ..Batch::default() }
    };
    let tried = async |batch: Batch| world.commit(&grant, batch).await.accepts;
    assert_eq!(tried(choose("a", "MINE")).await, [Accepted::New { ordinal: 1 }]);
    let again = tried(choose("a", "MINE")).await;
    assert!(
        matches!(&again[..], [Accepted::Repeated(row)] if row.message.whatsapp_id == "MINE"),
        "{again:?}"
    );
    assert_eq!(tried(choose("b", "MINE")).await, [Accepted::IdTaken]);

    // One that was made up is taken too, and so is one that the log knows, if only since this batch.
    assert_eq!(tried(accepts(&[message("c", "c")])).await, [Accepted::New { ordinal: 2 }]);
    assert_eq!(tried(choose("d", "3EB0c")).await, [Accepted::IdTaken]);
    world.commit(&grant, events(&["heard/THEIRS"])).await;
    assert_eq!(tried(choose("e", "THEIRS")).await, [Accepted::IdTaken]);
    let batch = Batch { events: vec![event("heard/NOW")], ..choose("f", "NOW") };
    assert_eq!(tried(batch).await, [Accepted::IdTaken]);

    // Twice in one batch, and from two processes at once: once.
    let (first, second) = (choose("g", "TWICE"), choose("h", "TWICE"));
    let both = Batch {
        accepts: [first.accepts, second.accepts].concat(),
        chosen: [first.chosen, second.chosen].concat(),
        ..Batch::default()
    };
    assert_eq!(tried(both).await, [Accepted::New { ordinal: 3 }, Accepted::IdTaken]);
    let ports = [world.ports.clone(), world.another().await];
    let grant = &grant;
    let writers = ports.iter().zip(["i", "j"]).map(|(ports, name)| {
        let batch = choose(name, "RACE");
        until("committed", move || {
            let batch = batch.clone();
            async move { ports.devices.commit(grant, batch).await.ok() }
        })
    });
    let outcomes: Vec<Accepted> = join_all(writers).await.into_iter().flat_map(|done| done.accepts).collect();
    let new = outcomes.iter().filter(|outcome| **outcome == Accepted::New { ordinal: 4 }).count();
    assert!(new == 1 && outcomes.contains(&Accepted::IdTaken), "{outcomes:?}");

    // Another device has ids of its own.
    let other = world.owned(&me, "d2").await;
    assert_eq!(world.commit(&other, choose("a", "MINE")).await.accepts, [Accepted::New { ordinal: 1 }]);
}

pub(super) async fn a_message_never_goes_back(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    world.commit(&grant, accepts(&[message("a", "one"), message("b", "two"), message("c", "three")])).await;
    let wire = Bytes::from("exact bytes");
    let send =
        |name, at| MessageUpdate { wire: Some(wire.clone()), ..update(name, MessageState::Sending, at) };
    let of = |messages| Batch { messages, ..Batch::default() };
    world.commit(&grant, of(vec![send("a", 10), send("b", 11)])).await;
    let outbox = world.ports.devices.load(&grant).await.expect("loaded").outbox;
    let waiting: Vec<_> = outbox.iter().map(|m| (m.ordinal, m.state, m.wire.is_some())).collect();
    let expected = [
        (1, MessageState::Sending, true),
        (2, MessageState::Sending, true),
        (3, MessageState::Accepted, false),
    ];
    assert_eq!(waiting, expected);

    let failed = MessageUpdate { failure: Some("why".into()), ..update("b", MessageState::Failed, 21) };
    let changes = vec![
        update("a", MessageState::Read, 30),
        update("a", MessageState::Sent, 20),
        update("a", MessageState::Delivered, 31),
        update("a", MessageState::Queued, 40),
        failed,
        update("nobody", MessageState::Sent, 1),
    ];
    world.commit(&grant, of(changes)).await;
    world.commit(&grant, of(vec![update("a", MessageState::Delivered, 50), send("b", 51)])).await;
    let get = async |id: &str| {
        world.ports.directory.message(&grant.key, id).await.expect("an answer").expect("a message")
    };
    let a = get("m-a").await;
    assert_eq!(a.state, MessageState::Read);
    let times = [a.sent, a.server_ack, a.delivered, a.read].map(|at| at.map(|at| at.0));
    assert_eq!(times, [Some(10), Some(20), Some(31), Some(30)], "the first of each kind");
    assert_eq!((a.wire.as_ref(), a.failure.as_deref()), (Some(&wire), None));
    let b = get("m-b").await;
    assert_eq!((b.state, b.failure.as_deref()), (MessageState::Failed, Some("why")));

    let outbox = world.ports.devices.load(&grant).await.expect("loaded").outbox;
    let waiting: Vec<_> = outbox.iter().map(|m| m.ordinal).collect();
    assert_eq!(waiting, [3], "nothing that WhatsApp acknowledged");
    let found = world.ports.devices.sent_messages(&grant, &ids(&["3EB0none", "3EB0a"])).await;
    assert_eq!(found.expect("an answer"), [a]);
}

pub(super) async fn messages_that_were_sent_are_found_by_their_ids_in_one_question(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let mut again = message("again", "two");
    again.whatsapp_id = "3EB0a".to_owned();
    world.commit(&grant, accepts(&[message("a", "one"), again, message("b", "three")])).await;
    for other in ["d2", "other/d1"] {
        let other = world.owned(&me, other).await;
        world.commit(&other, accepts(&[message("c", "elsewhere")])).await;
    }
    let find = async |wanted: &[String]| -> Vec<String> {
        let found = world.ports.devices.sent_messages(&grant, wanted).await.expect("an answer");
        found.into_iter().map(|stored| stored.message.message_id).collect()
    };
    let wanted = ids(&["3EB0none", "3EB0b", "3EB0c", "3EB0a", "3EB0b"]);
    assert_eq!(
        find(&wanted).await,
        ["m-a", "m-b"],
        "each once, the first of those that share an id, in order"
    );
    assert_eq!(find(&[]).await, [""; 0]);
    let mut many: Vec<String> = (1..SOUGHT).map(|number| format!("3EB0{number}")).collect();
    many.extend(ids(&["3EB0b", "3EB0a"]));
    assert_eq!(find(&many).await, ["m-b"], "nothing beyond the bound");
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub(super) async fn an_update_finds_a_message_of_the_same_batch(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let batch =
        Batch { messages: vec![update("a", MessageState::Queued, 2)], ..accepts(&[message("a", "one")]) };
    world.commit(&grant, batch).await;
    let outbox = world.ports.devices.load(&grant).await.expect("loaded").outbox;
    assert_eq!((outbox.len(), outbox[0].state), (1, MessageState::Queued));
}

pub(super) async fn a_repeated_batch_changes_nothing(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let batch = Batch {
        state: vec![put(StateKind::Session, "x", "ratchet")],
        accepts: vec![message("a", "one")],
        messages: vec![MessageUpdate {
            wire: Some(Bytes::from("w")),
            ..update("a", MessageState::Sending, 3)
        }],
        events: vec![event("e1"), event("e2")],
        quarantine: vec![QuarantinedStanza {
            dedupe: "q".into(),
            raw: Bytes::from("raw"),
            reason: "why".into(),
            at: UnixMillis(1),
        }],
        status: Some(status("fine")),
        ..Batch::default()
    };
    let first = world.commit(&grant, batch.clone()).await;
    assert_eq!(first.events, [Some(Sequence(1)), Some(Sequence(2))]);
    let message =
        world.ports.directory.message(&grant.key, "m-a").await.expect("an answer").expect("a message");
    let second = world.commit(&grant, batch).await;
    assert_eq!(second.events, [None, None]);
    assert_eq!(second.accepts, [Accepted::Repeated(Box::new(message.clone()))]);
    let after = world.ports.directory.message(&grant.key, "m-a").await.expect("an answer");
    assert_eq!(after, Some(message));
    let head = world.ports.directory.heads(&grant.key.business_id, None).await.expect("an answer");
    assert_eq!(head[0].latest, Sequence(2));
}

pub(super) async fn one_bad_device_harms_no_other(world: World) {
    let (me, next) = (world.active("n1").await, world.active("n2").await);
    let mut grants = Vec::new();
    for n in 0..12 {
        grants.push(world.owned(&me, &format!("t{}/d{n}", n % 4)).await);
    }
    world.commit(&grants[3], accepts(&[message("taken", "one")])).await;
    // One is fenced; one gives a message id twice, which no store can write.
    assert!(world.ledger().give(&grants[7], &next).await.expect("an answer").is_some());
    let commits = grants.iter().enumerate().map(|(n, grant)| {
        let mut batch = Batch { state: vec![put(StateKind::Account, "", "v")], ..events(&["e"]) };
        if n == 3 {
            let mut twin = message("taken", "two");
            twin.request_id = "r-other".to_owned();
            batch.accepts.push(twin);
        }
        world.ports.devices.commit(grant, batch)
    });
    for (n, result) in join_all(commits).await.into_iter().enumerate() {
        match n {
            3 => assert!(matches!(result, Err(DeviceStoreError::Unavailable(_))), "{result:?}"),
            7 => refused(result),
            _ => assert_eq!(result.expect("committed").events, [Some(Sequence(1))], "device {n}"),
        }
    }
    let bad = world.ports.directory.events(&grants[3].key, Sequence(0), 10).await.expect("an answer");
    assert!(bad.is_empty(), "all of a batch or nothing");
    world.commit(&grants[3], events(&["e"])).await;
}

pub(super) async fn awkward_names_come_back_as_they_were(world: World) {
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let long = "x".repeat(4000);
    let names = ["", "a\0b", "a\\0b", "\\", "ä\u{1F426}", "'; DROP TABLE event; --", "[\"json\"]", "$1"];
    let puts = names.iter().enumerate().map(|(n, name)| put(StateKind::Session, name, &n.to_string()));
    let mut batch = events(&[&long, "a\0b", "a\\0b", "a"]);
    batch.state = puts.collect();
    let mut odd = message("odd", "content");
    (odd.whatsapp_id, odd.chat) = ("3EB\0".to_owned(), "x\\\0@lid".to_owned());
    batch.accepts.push(odd.clone());
    batch.status = Some(status("a\0reason"));
    let done = world.commit(&grant, batch).await;
    assert_eq!(done.events.iter().flatten().count(), 4);
    let repeated = world.commit(&grant, events(&[&long, "a\0b", "a\\0b", "a"])).await;
    assert_eq!(repeated.events, [None; 4]);
    let keys = names.map(|name| state(StateKind::Session, name));
    let read = world.ports.devices.read(&grant, Age(0), &keys).await.expect("read");
    for (n, value) in read.into_iter().enumerate() {
        assert_eq!(value, Some(Bytes::from(n.to_string())), "{:?}", names[n]);
    }
    let found = world.ports.devices.sent_messages(&grant, &ids(&["3EB\0"])).await.expect("an answer");
    assert_eq!(found[0].message, odd);
    assert!(world.ports.directory.message(&grant.key, "no\0thing").await.expect("an answer").is_none());
}
