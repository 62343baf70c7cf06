//! Rows that this release cannot read: a later one has written them, or they are damaged.

use roost_actors::port::{Batch, DeviceStatus, DeviceStore};
use roost_node::directory::Directory;
use roost_placement::ledger::{Beaten, Ledger};
use roost_proto::api::EventUnreadable;
use roost_proto::api::device::State;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::event_unreadable::Reason;
use roost_proto::id::{Sequence, UnixMillis};

use crate::{Bench, DATABASE, LONG, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_read_keeps_its_place_and_hides_no_other() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    let grant = bench.owned(&me, "d1").await;
    let told = ["e1", "e2", "e3"].map(|name| event(name.to_owned()));
    bench.store.commit(&grant, Batch { events: told.into(), ..Batch::default() }).await.expect("committed");
    bench.server.sql(DATABASE, "UPDATE event SET payload = '\\x00' WHERE seq = 2").expect("damaged");
    bench.server.sql(DATABASE, "UPDATE event SET origin = 99 WHERE seq = 3").expect("an origin of later");
    let read = bench.store.events(&grant.key, Sequence(0), 10).await.expect("an answer");
    assert_eq!(read.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [1, 2, 3]);
    let unreadable = Payload::EventUnreadable(EventUnreadable { reason: Reason::Damaged.into() });
    let [before, damaged, after] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!((&damaged.payload, damaged.origin), (&unreadable, Origin::Live));
    assert_eq!((before.origin, after.origin), (Origin::Live, Origin::Unspecified));
    assert_eq!(after.payload, before.payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_release_says_of_one_device_hides_no_other() {
    let bench = Bench::new().await;
    let me = bench.active("n1").await;
    bench.active("n2").await;
    let (shop, desk) = (bench.owned(&me, "shop").await, bench.owned(&me, "desk").await);
    let status = DeviceStatus {
        state: State::Online,
        reason: String::new(),
        code: 0,
        pn: None,
        lid: None,
        push_name: String::new(),
        at: UnixMillis(1),
        health: Default::default(),
    };
    for grant in [&shop, &desk] {
        let said = Batch { status: Some(status.clone()), ..Batch::default() };
        bench.store.commit(grant, said).await.expect("committed");
    }
    for free in ["car", "van"] {
        let key = format!("tenants/acme/devices/{free}").parse().expect("a key");
        bench.store.create_device(&key, free, None).await.expect("made");
    }
    let mut later = bench.server.session(DATABASE, "later release").expect("a session");
    later.run(
        "ALTER TABLE tenant DROP CONSTRAINT tenant_spread_check;
         ALTER TABLE ownership DROP CONSTRAINT ownership_pin_mode_check;
         ALTER TABLE member DROP CONSTRAINT member_state_check;
         UPDATE tenant SET spread = 'zones';
         UPDATE ownership SET pin_node = 'n1', pin_mode = 'avoid' WHERE device_id IN ('shop', 'van');
         UPDATE device SET status_state = 99, status_health = '\\xff' WHERE device_id = 'shop';
         UPDATE member SET state = 'resting' WHERE node_id = 'n2';",
    );
    let names = |rows: Vec<roost_placement::ledger::Ownership>| {
        rows.into_iter().map(|row| row.key.device_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(bench.store.claimable(10).await.expect("an answer")), ["car", "van"]);
    assert_eq!(names(bench.store.mine(&me).await.expect("an answer")), ["desk", "shop"]);
    assert_eq!(bench.store.survey(None, None, 10).await.expect("an answer").len(), 4);
    let beaten = bench.store.beat(&me, &1.into(), &LONG).await.expect("an answer");
    let Beaten::Renewed(view) = beaten else { panic!("{beaten:?}") };
    assert_eq!(view.members.len(), 2);
    let tenant = "acme".parse().expect("id");
    bench.store.tenant(&tenant).await.expect("an answer").expect("a tenant");
    assert_eq!(bench.store.devices(Some(&tenant), None, 10).await.expect("an answer").len(), 4);
    bench.store.load(&shop).await.expect("loaded");
}
