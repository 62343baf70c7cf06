//! Checks of what the API reads and changes: tenants, devices, the log, consumers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roost_actors::port::{Batch, ProxyUri, QuarantinedStanza, StateKind};
use roost_node::directory::{ASIDE, CreateError, DeviceChange, LogHead};
use roost_placement::ledger::Desired;
use roost_proto::id::{Age, BusinessId, ConsumerId, DeviceKey, Epoch, Sequence, UnixMillis};

use super::World;
use super::world::{accepts, events, message, pass, put, refused, until};

fn tenant(id: &str) -> BusinessId {
    id.parse().expect("an id")
}

fn consumer(id: &str) -> ConsumerId {
    id.parse().expect("an id")
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn tenants_are_made_once_and_listed_in_order(world: World) {
    let directory = &world.ports.directory;
    // The order is that of bytes, whatever the language of the database.
    for id in ["zoo", "a-c", "ab", "a1"] {
        let made = directory.create_tenant(&tenant(id), "Zoö & Co").await.expect("made");
        assert_eq!((made.business_id.as_str(), made.display_name.as_str()), (id, "Zoö & Co"));
        assert!(made.created > UnixMillis(1_700_000_000_000), "{:?}", made.created);
        assert_eq!(directory.tenant(&tenant(id)).await.expect("an answer"), Some(made));
    }
    let again = directory.create_tenant(&tenant("zoo"), "other").await;
    assert!(matches!(again, Err(CreateError::Exists(_))), "{again:?}");
    assert!(directory.tenant(&tenant("none")).await.expect("an answer").is_none());
    let first = directory.tenants(None, 3).await.expect("an answer");
    assert_eq!(first.iter().map(|t| t.business_id.as_str()).collect::<Vec<_>>(), ["a-c", "a1", "ab"]);
    let rest = directory.tenants(Some(&first[2].business_id), 3).await.expect("an answer");
    assert_eq!(rest.iter().map(|t| t.business_id.as_str()).collect::<Vec<_>>(), ["zoo"]);
}

pub(super) async fn devices_are_made_once_and_listed_in_order(world: World) {
    let directory = &world.ports.directory;
    for name in ["b/d2", "a/d1", "b/d1", "b/d10"] {
        world.device(name).await;
    }
    let key: DeviceKey = "tenants/b/devices/d1".parse().expect("a key");
    let device = directory.device(&key).await.expect("an answer").expect("a device");
    assert_eq!((device.display_name.as_str(), device.status), ("d1", None));
    let ownership = device.ownership;
    assert_eq!((ownership.owner, ownership.epoch, ownership.desired), (None, Epoch(0), Desired::Online));
    let again = directory.create_device(&key, "again", None).await;
    assert!(matches!(again, Err(CreateError::Exists(_))), "{again:?}");
    let nobody: DeviceKey = "tenants/none/devices/d1".parse().expect("a key");
    let refused = directory.create_device(&nobody, "x", None).await;
    assert!(matches!(refused, Err(CreateError::NoTenant(_))), "{refused:?}");
    assert!(world.ledger().ownership(&nobody).await.expect("an answer").is_none());

    let list = async |tenant: Option<&BusinessId>, after: Option<&DeviceKey>, limit| {
        let rows = directory.devices(tenant, after, limit).await.expect("an answer");
        rows.into_iter().map(|row| row.ownership.key.to_string()).collect::<Vec<_>>()
    };
    let all = ["a/devices/d1", "b/devices/d1", "b/devices/d10", "b/devices/d2"];
    let all = all.map(|key| format!("tenants/{key}"));
    assert_eq!(list(None, None, 10).await, all);
    assert_eq!(list(None, None, 2).await, all[..2]);
    assert_eq!(list(None, Some(&key), 10).await, all[2..]);
    assert_eq!(list(Some(&tenant("b")), None, 10).await, all[1..]);
    assert_eq!(list(Some(&tenant("b")), Some(&key), 1).await, all[2..3]);
}

pub(super) async fn a_foreign_tenant_sees_nothing(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let grant = world.owned(&me, "acme/d1").await;
    world.device("zoo/d9").await;
    let batch = Batch { accepts: accepts(&[message("a", "one")]).accepts, ..events(&["e"]) };
    world.ports.devices.commit(&grant, batch).await.expect("committed");
    let foreign: DeviceKey = "tenants/zoo/devices/d1".parse().expect("a key");
    assert!(directory.device(&foreign).await.expect("an answer").is_none());
    assert!(directory.message(&foreign, "m-a").await.expect("an answer").is_none());
    assert!(directory.events(&foreign, Sequence(0), 10).await.expect("an answer").is_empty());
    assert!(directory.heads(&tenant("zoo"), Some(&grant.key.device_id)).await.expect("an answer").is_empty());
    assert!(directory.desire(&foreign, Desired::Offline).await.expect("an answer").is_none());
    assert!(!directory.delete_device(&foreign).await.expect("an answer"));
    let heads = directory.heads(&tenant("zoo"), None).await.expect("an answer");
    assert_eq!(heads.iter().map(|head| head.key.device_id.as_str()).collect::<Vec<_>>(), ["d9"]);
    let listed = directory.devices(Some(&tenant("zoo")), None, 10).await.expect("an answer");
    assert_eq!(listed.len(), 1);

    let name = consumer("c");
    assert!(directory.hold_consumer(&tenant("zoo"), &name, "s", MINUTE).await.expect("an answer"));
    let stolen = [(grant.key.clone(), Sequence(1))];
    assert!(!directory.acknowledge(&tenant("zoo"), &name, "s", &stolen).await.expect("an answer"));
    for id in ["zoo", "acme"] {
        assert!(directory.positions(&tenant(id), &name).await.expect("an answer").is_empty());
    }
}

pub(super) async fn what_a_tenant_wants_is_kept(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    for desired in [Desired::Offline, Desired::Online] {
        let device = directory.desire(&grant.key, desired).await.expect("an answer").expect("a device");
        assert_eq!((device.ownership.desired, device.ownership.epoch), (desired, grant.epoch));
        assert_eq!(device.ownership.owner.as_ref(), Some(&me), "the owner acts on it, nobody else");
    }
    let none: DeviceKey = "tenants/acme/devices/none".parse().expect("a key");
    assert!(directory.desire(&none, Desired::Online).await.expect("an answer").is_none());
}

pub(super) async fn what_is_set_of_a_device_is_kept_and_its_owner_reads_the_proxy(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let grant = world.owned(&me, "acme/d1").await;
    let proxy = |text: &str| Some(text.parse::<ProxyUri>().expect("a proxy"));
    let first = proxy("socks5://user:hunter2@proxy:1080");
    let change = async |change: DeviceChange| {
        directory.update_device(&grant.key, &change).await.expect("an answer").expect("a device")
    };
    let named = DeviceChange { display_name: Some("Shop".to_owned()), ..DeviceChange::default() };
    let device = change(DeviceChange { proxy: Some(first.clone()), ..DeviceChange::default() }).await;
    assert_eq!((device.display_name.as_str(), &device.proxy), ("d1", &first), "the name stays");
    let device = change(named).await;
    assert_eq!((device.display_name.as_str(), &device.proxy), ("Shop", &first), "the proxy stays");
    assert_eq!(directory.device(&grant.key).await.expect("an answer"), Some(device.clone()));
    assert_eq!(directory.devices(None, None, 10).await.expect("an answer"), [device]);
    assert_eq!(world.ports.devices.load(&grant).await.expect("loaded").proxy, first);
    let device = change(DeviceChange { proxy: Some(None), ..DeviceChange::default() }).await;
    assert_eq!(device.proxy, None);
    assert_eq!(world.ports.devices.load(&grant).await.expect("loaded").proxy, None);

    let second = proxy("http://[::1]:3128");
    let key: DeviceKey = "tenants/acme/devices/d2".parse().expect("a key");
    let made = directory.create_device(&key, "", second.as_ref()).await.expect("a new device");
    assert_eq!(made.proxy, second);
    let grant = world.claim(&me, &key).await;
    assert_eq!(world.ports.devices.load(&grant).await.expect("loaded").proxy, second);
    assert!(directory.delete_device(&key).await.expect("an answer"));
    assert_eq!(directory.create_device(&key, "", None).await.expect("a new device").proxy, None);
    for nobody in ["tenants/acme/devices/none", "tenants/none/devices/d1"] {
        let key: DeviceKey = nobody.parse().expect("a key");
        let change = DeviceChange { proxy: Some(second.clone()), ..DeviceChange::default() };
        assert!(directory.update_device(&key, &change).await.expect("an answer").is_none(), "{nobody}");
    }
}

pub(super) async fn deletion_leaves_nothing_but_the_epoch_and_the_number_of_the_last_event(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let grant = world.owned(&me, "d1").await;
    let (acme, name) = (tenant("acme"), consumer("c"));
    let mut batch = Batch { accepts: vec![message("a", "one")], ..events(&["e1", "e2"]) };
    batch.state.push(put(StateKind::Account, "", "me"));
    world.ports.devices.commit(&grant, batch.clone()).await.expect("committed");
    assert!(directory.hold_consumer(&acme, &name, "s", MINUTE).await.expect("an answer"));
    let at = [(grant.key.clone(), Sequence(2))];
    assert!(directory.acknowledge(&acme, &name, "s", &at).await.expect("an answer"));

    assert!(directory.delete_device(&grant.key).await.expect("an answer"));
    assert!(!directory.delete_device(&grant.key).await.expect("an answer"), "there is none any more");
    refused(world.ports.devices.commit(&grant, events(&["late"])).await);
    refused(world.ports.devices.load(&grant).await);
    assert!(directory.device(&grant.key).await.expect("an answer").is_none());
    assert!(directory.devices(None, None, 10).await.expect("an answer").is_empty());
    assert!(directory.message(&grant.key, "m-a").await.expect("an answer").is_none());
    assert!(directory.events(&grant.key, Sequence(0), 10).await.expect("an answer").is_empty());
    assert!(directory.heads(&acme, None).await.expect("an answer").is_empty());
    assert!(directory.positions(&acme, &name).await.expect("an answer").is_empty());
    assert!(directory.desire(&grant.key, Desired::Online).await.expect("an answer").is_none());
    assert!(world.ledger().claimable(10).await.expect("an answer").is_empty());
    let row = world.ledger().ownership(&grant.key).await.expect("an answer").expect("a tombstone");
    assert_eq!((row.owner, row.epoch, row.desired), (None, Epoch(2), Desired::Deleted));

    let device = directory.create_device(&grant.key, "again", None).await.expect("the id is free");
    assert_eq!((device.ownership.epoch, device.ownership.desired), (Epoch(2), Desired::Online));
    let new = world.claim(&me, &grant.key).await;
    assert_eq!(new.epoch, Epoch(3));
    refused(world.ports.devices.commit(&grant, events(&["late"])).await);
    let loaded = world.ports.devices.load(&new).await.expect("loaded");
    assert!(loaded.state.is_empty() && loaded.outbox.is_empty());
    let done = world.ports.devices.commit(&new, batch).await.expect("committed");
    assert_eq!(done.events, [Some(Sequence(3)), Some(Sequence(4))], "a new device, and no number twice");
    let head = directory.heads(&acme, None).await.expect("an answer").remove(0);
    assert_eq!((head.began, head.earliest, head.latest), (Sequence(2), Sequence(3), Sequence(4)));
}

pub(super) async fn events_are_read_in_order_and_expire_from_the_front(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let (a, b) = (world.owned(&me, "d1").await, world.owned(&me, "d2").await);
    let head = |key: &DeviceKey, earliest, latest| LogHead {
        began: Sequence(0),
        key: key.clone(),
        earliest: Sequence(earliest),
        latest: Sequence(latest),
        age: Age::default(),
    };
    let acme = tenant("acme");
    let heads = directory.heads(&acme, None).await.expect("an answer");
    assert_eq!(heads, [head(&a.key, 1, 0), head(&b.key, 1, 0)], "empty logs");
    let names: Vec<String> = (1..=5).map(|n| format!("e{n}")).collect();
    let batch = events(&names.iter().map(String::as_str).collect::<Vec<_>>());
    world.ports.devices.commit(&a, batch.clone()).await.expect("committed");
    pass(Duration::from_millis(5)).await;
    world.ports.devices.commit(&b, events(&["only"])).await.expect("committed");

    let page = directory.events(&a.key, Sequence(2), 2).await.expect("an answer");
    assert_eq!(page.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [3, 4]);
    let wanted = &batch.events[2];
    assert_eq!((&page[0].payload, page[0].origin), (&wanted.payload, wanted.origin));
    assert_eq!((page[0].occurred, &page[0].key, page[0].epoch), (wanted.occurred, &a.key, a.epoch));
    let heads = directory.heads(&acme, Some(&a.key.device_id)).await.expect("an answer");
    assert_eq!(heads, [head(&a.key, 1, 5)]);

    let expire = async |retention, limit| directory.expire_events(retention, limit).await.expect("an answer");
    assert_eq!((expire(Duration::MAX, 100).await, expire(HOUR, 100).await), (0, 0), "not older");
    assert_eq!(expire(Duration::ZERO, 3).await, 3, "as many as allowed");
    let heads = directory.heads(&acme, Some(&a.key.device_id)).await.expect("an answer");
    assert_eq!(heads, [head(&a.key, 4, 5)]);
    assert_eq!(expire(Duration::ZERO, 100).await, 3);
    let heads = directory.heads(&acme, None).await.expect("an answer");
    assert_eq!(heads, [head(&a.key, 6, 5), head(&b.key, 2, 1)], "empty, and the numbers go on");
    // A dedupe key outlives its event.
    let done = world.ports.devices.commit(&a, events(&["e5", "e6"])).await.expect("committed");
    assert_eq!(done.events, [None, Some(Sequence(6))]);
}

pub(super) async fn what_was_put_aside_is_bounded_in_number_and_age(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let (a, b) = (world.owned(&me, "d1").await, world.owned(&me, "d2").await);
    // One was put aside each hour, the first a thousand hours ago.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let hours = |hours: i64| i64::try_from(now).expect("this age") - hours * 3_600_000;
    let aside = |count: i64| Batch {
        quarantine: (0..count)
            .map(|number| QuarantinedStanza {
                dedupe: format!("q{number}"),
                raw: "raw".into(),
                reason: "why".to_owned(),
                at: UnixMillis(hours(1_000 - number)),
            })
            .collect(),
        ..Batch::default()
    };
    let most = i64::from(ASIDE);
    world.ports.devices.commit(&a, aside(most)).await.expect("committed");
    world.ports.devices.commit(&a, aside(most + 2)).await.expect("committed");
    world.ports.devices.commit(&b, aside(2)).await.expect("committed");

    let older =
        async |retention, limit| directory.expire_quarantine(retention, limit).await.expect("an answer");
    let before = async |number: u32, limit| older(HOUR * (1_000 - number) + HOUR / 2, limit).await;
    assert_eq!((older(Duration::MAX, 100).await, before(0, 100).await), (0, 0), "not older");
    assert_eq!(before(2, 100).await, 2, "the two of the other device: here the oldest went before");
    assert_eq!(before(7, 3).await, 3, "as many as allowed");
    assert_eq!(before(7, 100).await, 2);
    assert_eq!(older(Duration::ZERO, 1_000).await, usize::from(ASIDE) - 5);
}

pub(super) async fn a_consumer_has_one_holder(world: World) {
    let directory = &world.ports.directory;
    world.device("acme/d1").await;
    let (acme, name) = (tenant("acme"), consumer("c"));
    let hold = async |holder: &str, lasting| {
        directory.hold_consumer(&acme, &name, holder, lasting).await.expect("an answer")
    };
    assert!(hold("first", MINUTE).await);
    assert!(!hold("second", MINUTE).await, "another stream has it");
    assert!(hold("first", MINUTE).await, "its holder asks once more");
    let keep = async |holder: &str, lasting| {
        directory.keep_consumer(&acme, &name, holder, lasting).await.expect("an answer")
    };
    assert!(keep("first", MINUTE).await, "its holder prolongs it");
    assert!(!keep("second", MINUTE).await, "another cannot");
    directory.drop_consumer(&acme, &name, "second").await.expect("an answer");
    assert!(!hold("second", MINUTE).await, "only the holder gives it back");
    directory.drop_consumer(&acme, &name, "first").await.expect("an answer");
    assert!(!keep("first", MINUTE).await, "it has given it back");
    assert!(hold("second", MINUTE).await);
    assert!(keep("second", Duration::from_millis(5)).await);
    until("the hold is over", || async { hold("third", MINUTE).await.then_some(()) }).await;
    assert!(!hold("second", MINUTE).await);
    let other = consumer("other");
    assert!(directory.hold_consumer(&acme, &other, "second", MINUTE).await.expect("an answer"));
    let nobody = tenant("none");
    assert!(
        !directory.hold_consumer(&nobody, &name, "s", MINUTE).await.expect("an answer"),
        "no such tenant"
    );
}

pub(super) async fn positions_never_go_back_nor_beyond_the_log(world: World) {
    let directory = &world.ports.directory;
    let me = world.active("n1").await;
    let (a, b) = (world.owned(&me, "d1").await, world.owned(&me, "d2").await);
    for grant in [&a, &b] {
        world.ports.devices.commit(grant, events(&["e1", "e2", "e3"])).await.expect("committed");
    }
    let (acme, name) = (tenant("acme"), consumer("c"));
    let ack = async |holder: &str, positions: &[(DeviceKey, Sequence)]| {
        directory.acknowledge(&acme, &name, holder, positions).await.expect("an answer")
    };
    let at = |key: &DeviceKey, seq| (key.clone(), Sequence(seq));
    assert!(!ack("s", &[at(&a.key, 1)]).await, "nobody holds it");
    assert!(directory.hold_consumer(&acme, &name, "s", MINUTE).await.expect("an answer"));
    assert!(!ack("other", &[at(&a.key, 1)]).await, "another holds it");
    assert!(directory.positions(&acme, &name).await.expect("an answer").is_empty());

    assert!(ack("s", &[at(&b.key, 2), at(&a.key, 1), at(&a.key, 2), at(&a.key, 1)]).await);
    let positions = directory.positions(&acme, &name).await.expect("an answer");
    assert_eq!(positions, [at(&a.key, 2), at(&b.key, 2)]);
    let gone: DeviceKey = "tenants/acme/devices/none".parse().expect("a key");
    assert!(ack("s", &[at(&a.key, 1), at(&b.key, 99), at(&gone, 5)]).await);
    let positions = directory.positions(&acme, &name).await.expect("an answer");
    assert_eq!(positions, [at(&a.key, 2), at(&b.key, 3)], "not back, not beyond what was written");
    assert!(ack("s", &[]).await);

    directory.drop_consumer(&acme, &name, "s").await.expect("an answer");
    assert!(!ack("s", &[at(&a.key, 3)]).await, "it has given it back");
    let kept = directory.positions(&acme, &name).await.expect("an answer");
    assert_eq!(kept, positions, "positions outlive every stream");
}
