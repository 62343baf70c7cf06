//! Devices and messages through the API, as far as no open device is needed.

use roost_placement::ledger::Ledger as _;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::watch_devices_response::Change;
use roost_proto::api::*;
use tonic::Code;
use tonic_types::StatusExt;

use crate::world::{PATIENCE, World, bad_field, by, refusal, until};

const SHOP: &str = "tenants/acme/devices/shop";

fn create(device_id: &str) -> CreateDeviceRequest {
    CreateDeviceRequest { parent: "tenants/acme".into(), device_id: device_id.into(), ..Default::default() }
}

fn send(parent: &str, text: &str) -> SendMessageRequest {
    SendMessageRequest {
        parent: parent.into(),
        to: Some(Recipient { to: Some(recipient::To::PhoneNumber("+4915112345678".into())) }),
        content: Some(Content::Text(text.into())),
        request_id: uuid::Uuid::new_v4().to_string(),
        wait_for: WaitFor::Accepted as i32,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_device_is_made_listed_stopped_started_and_deleted_through_different_nodes() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let (mut one, mut two) = (world.at(0).devices(), world.at(1).devices());
    let made = one.create_device(create("shop")).await.expect("new").into_inner();
    assert_eq!((made.name.as_str(), made.state()), (SHOP, device::State::Unpaired));
    assert_eq!(
        refusal(two.create_device(create("shop")).await),
        (Code::AlreadyExists, "DEVICE_EXISTS".into())
    );
    let chosen = two.create_device(create("")).await.expect("the server chooses").into_inner();
    let list = one.list_devices(ListDevicesRequest { parent: "tenants/acme".into(), ..Default::default() });
    let mut names: Vec<String> =
        list.await.expect("a page").into_inner().devices.into_iter().map(|d| d.name).collect();
    let mut expected = vec![SHOP.to_owned(), chosen.name];
    names.sort();
    expected.sort();
    assert_eq!(names, expected);

    let stopped =
        two.stop_device(StopDeviceRequest { name: SHOP.into() }).await.expect("stopped").into_inner();
    assert_eq!(stopped.state(), device::State::Stopped);
    assert_eq!(stopped.ownership.expect("a row").node, "", "nobody acts for it");
    let twice = one.stop_device(StopDeviceRequest { name: SHOP.into() }).await.expect("twice").into_inner();
    assert_eq!(twice.state(), device::State::Stopped);
    let started = one.start_device(StartDeviceRequest { name: SHOP.into() }).await.expect("started");
    assert_eq!(started.into_inner().state(), device::State::Unpaired);
    two.delete_device(DeleteDeviceRequest { name: SHOP.into() }).await.expect("deleted");
    let gone = one.get_device(GetDeviceRequest { name: SHOP.into() }).await;
    assert_eq!(refusal(gone), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    let again = one.delete_device(DeleteDeviceRequest { name: SHOP.into() }).await;
    assert_eq!(refusal(again), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_by_whoever_asks_next() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    for (id, asked_again) in [("again", true), ("anew", false)] {
        let grant = writer.device(&tenant, id).await;
        for part in 0..10 {
            writer.write_numbered(&grant, part * 200 + 1..=(part + 1) * 200).await;
        }
        assert!(world.store.release(&grant).await.expect("an answer"), "nobody has to be asked to stop");
        let name = grant.key.to_string();
        let delete = || DeleteDeviceRequest { name: name.clone() };
        let deleting = tokio::spawn({
            let (mut devices, request) = (world.at(0).devices(), delete());
            async move { devices.delete_device(request).await }
        });
        let get = || async {
            let found = world.at(0).devices().get_device(GetDeviceRequest { name: name.clone() }).await;
            found.is_err().then_some(())
        };
        until("it is gone", get).await;
        // Its caller goes away while rows are removed, or has just been answered.
        deleting.abort();
        if asked_again {
            match world.at(0).devices().delete_device(delete()).await {
                Ok(_) => {}
                done => assert_eq!(refusal(done), (Code::NotFound, "DEVICE_NOT_FOUND".into())),
            }
        }
        let made = world.at(0).devices().create_device(create(id)).await.expect("made anew").into_inner();
        let read = ReadEventsRequest { parent: made.name, ..Default::default() };
        let mut events = world.at(0).events().read_events(read).await.expect("read").into_inner();
        while let Some(batch) = events.message().await.expect("read") {
            assert!(batch.events.is_empty(), "{:?} is of the device before", batch.events.first());
        }
    }
}

#[tokio::test]
async fn every_call_says_which_part_of_a_name_is_unknown_or_malformed() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let (mut devices, mut messages) = (world.at(0).devices(), world.at(0).messages());
    let mut nobody = create("shop");
    nobody.parent = "tenants/nobody".into();
    assert_eq!(refusal(devices.create_device(nobody).await), (Code::NotFound, "TENANT_NOT_FOUND".into()));
    for (name, reason) in [(SHOP, "DEVICE_NOT_FOUND"), ("tenants/nobody/devices/shop", "TENANT_NOT_FOUND")] {
        let expected = (Code::NotFound, reason.to_owned());
        let named = || name.to_owned();
        assert_eq!(refusal(devices.get_device(GetDeviceRequest { name: named() }).await), expected);
        assert_eq!(refusal(devices.start_device(StartDeviceRequest { name: named() }).await), expected);
        assert_eq!(refusal(devices.stop_device(StopDeviceRequest { name: named() }).await), expected);
        assert_eq!(refusal(devices.logout_device(LogoutDeviceRequest { name: named() }).await), expected);
        assert_eq!(refusal(devices.delete_device(DeleteDeviceRequest { name: named() }).await), expected);
        assert_eq!(refusal(messages.send_message(send(name, "hello")).await), expected);
        let pairing = world
            .at(0)
            .pairing()
            .start_pairing(StartPairingRequest { device: named(), ..Default::default() })
            .await;
        assert_eq!(refusal(pairing.map(|_| ())), expected);
    }
    assert_eq!(bad_field(devices.get_device(GetDeviceRequest { name: "shop".into() }).await), "name");
    assert_eq!(bad_field(devices.create_device(create("Shop!")).await), "device_id");
    let message = GetMessageRequest { name: format!("{SHOP}/messages/none") };
    assert_eq!(refusal(messages.get_message(message).await), (Code::NotFound, "MESSAGE_NOT_FOUND".into()));
    let list = ListDevicesRequest { parent: "tenants/nobody".into(), ..Default::default() };
    assert_eq!(refusal(devices.list_devices(list).await), (Code::NotFound, "TENANT_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_tenant_reaches_nothing_of_another_whether_it_exists_or_not() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.tenant("globex").await;
    world.device("tenants/globex/devices/shop").await;
    let (mut devices, mut messages) = (world.at(0).devices(), world.at(0).messages());
    let forbidden = (Code::PermissionDenied, "TENANT_FORBIDDEN".to_owned());
    for name in ["tenants/globex/devices/shop", "tenants/globex/devices/none", "tenants/nobody/devices/x"] {
        let named = || name.to_owned();
        let get = by("acme", GetDeviceRequest { name: named() });
        assert_eq!(refusal(devices.get_device(get).await), forbidden);
        let stop = by("acme", StopDeviceRequest { name: named() });
        assert_eq!(refusal(devices.stop_device(stop).await), forbidden);
        let delete = by("acme", DeleteDeviceRequest { name: named() });
        assert_eq!(refusal(devices.delete_device(delete).await), forbidden);
        assert_eq!(refusal(messages.send_message(by("acme", send(name, "hello"))).await), forbidden);
        let read = by("acme", ReadEventsRequest { parent: named(), ..Default::default() });
        assert_eq!(refusal(world.at(0).events().read_events(read).await.map(|_| ())), forbidden);
        let locate = by("acme", LocateDeviceRequest { name: named() });
        assert_eq!(refusal(world.at(0).cluster().locate_device(locate).await), forbidden);
    }
    let all = by("acme", ListDevicesRequest { parent: "tenants/-".into(), ..Default::default() });
    assert_eq!(refusal(devices.list_devices(all).await), forbidden);
    let nodes = by("acme", ListNodesRequest {});
    assert_eq!(refusal(world.at(0).cluster().list_nodes(nodes).await), forbidden);
    let garbage = by("Not Valid", GetDeviceRequest { name: SHOP.into() });
    assert_eq!(bad_field(devices.get_device(garbage).await), "roost-business-id");
}

#[tokio::test]
async fn bad_sends_are_refused_with_their_field_before_anything_is_looked_up() {
    let world = World::new(1).await;
    let mut messages = world.at(0).messages();
    let mut refused = async |change: fn(&mut SendMessageRequest)| {
        let mut request = send(SHOP, "hello");
        change(&mut request);
        bad_field(messages.send_message(request).await)
    };
    assert_eq!(refused(|r| r.content = Some(Content::Text(String::new()))).await, "text");
    assert_eq!(refused(|r| r.content = Some(Content::Text("x".repeat(65_537)))).await, "text");
    assert_eq!(refused(|r| r.content = None).await, "content");
    assert_eq!(refused(|r| r.to = None).await, "to");
    assert_eq!(
        refused(|r| r.to = Some(Recipient { to: Some(recipient::To::PhoneNumber("12".into())) })).await,
        "to.phone_number"
    );
    assert_eq!(
        refused(|r| r.to = Some(Recipient { to: Some(recipient::To::Lid("x@lid".into())) })).await,
        "to.lid"
    );
    assert_eq!(refused(|r| r.request_id = String::new()).await, "request_id");
    assert_eq!(refused(|r| r.request_id = "1".into()).await, "request_id");
    assert_eq!(refused(|r| r.parent = "acme/shop".into()).await, "parent");
}

#[tokio::test]
async fn a_request_larger_than_any_good_one_is_refused_and_the_connection_lives() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let mut messages = world.at(0).messages();
    let refused = messages.send_message(send(SHOP, &"x".repeat(3 << 20))).await;
    assert_eq!(refusal(refused).0, Code::OutOfRange);
    let absent = messages.send_message(send(SHOP, "hello")).await;
    assert_eq!(refusal(absent), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_send_to_a_stopped_device_or_one_that_nobody_has_opened_says_so() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.device(SHOP).await;
    let mut messages = world.at(0).messages();
    let status = messages.send_message(send(SHOP, "hello")).await.expect_err("nobody is there");
    assert_eq!(refusal::<()>(Err(status.clone())), (Code::Unavailable, "NO_OWNER".into()));
    assert!(status.get_details_retry_info().is_some(), "waiting helps");
    world.at(0).devices().stop_device(StopDeviceRequest { name: SHOP.into() }).await.expect("stopped");
    let stopped = messages.send_message(send(SHOP, "hello")).await;
    assert_eq!(refusal(stopped), (Code::FailedPrecondition, "DEVICE_STOPPED".into()));
}

#[tokio::test]
async fn a_send_whose_owner_does_not_answer_is_unavailable_and_not_lost_for_ever() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let grant = writer.device(&tenant, "shop").await;
    let name = grant.key.to_string();
    let status = world.at(0).messages().send_message(send(&name, "hello")).await;
    let (code, reason) = refusal(status);
    assert_eq!(code, Code::Unavailable);
    assert!(["OWNER_UNREACHABLE", "NO_OWNER"].contains(&reason.as_str()), "{reason}");
}

#[tokio::test]
async fn a_watch_says_what_is_there_then_what_changes() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    world.device(SHOP).await;
    let request = WatchDevicesRequest { parent: "tenants/acme".into() };
    let mut watch = world.at(1).devices().watch_devices(request).await.expect("opened").into_inner();
    let mut next = async || {
        let said = tokio::time::timeout(PATIENCE, watch.message()).await;
        said.expect("in time").expect("no refusal").expect("no end").change.expect("a change")
    };
    assert!(matches!(next().await, Change::Device(device) if device.name == SHOP));
    while !matches!(next().await, Change::CaughtUp(true)) {}
    world.at(0).devices().stop_device(StopDeviceRequest { name: SHOP.into() }).await.expect("stopped");
    while !matches!(next().await, Change::Device(device) if device.state() == device::State::Stopped) {}
    world.at(0).devices().delete_device(DeleteDeviceRequest { name: SHOP.into() }).await.expect("deleted");
    while !matches!(next().await, Change::Deleted(name) if name == SHOP) {}
}

#[tokio::test]
async fn a_page_of_devices_of_all_tenants_goes_on_where_it_ended() {
    let world = World::new(1).await;
    for tenant in ["acme", "globex"] {
        world.tenant(tenant).await;
        for n in 0..3 {
            world.device(&format!("tenants/{tenant}/devices/d{n}")).await;
        }
    }
    let mut devices = world.at(0).devices();
    let mut page = async |page_token: String| {
        let request = ListDevicesRequest { parent: "tenants/-".into(), page_size: 4, page_token };
        devices.list_devices(request).await.expect("a page").into_inner()
    };
    let first = page(String::new()).await;
    let second = page(first.next_page_token.clone()).await;
    assert_eq!((first.devices.len(), second.devices.len()), (4, 2));
    assert_eq!(second.next_page_token, "");
    assert!(first.devices.last().expect("four").name < second.devices[0].name);
    let other =
        ListDevicesRequest { parent: "tenants/acme".into(), page_size: 4, page_token: first.next_page_token };
    assert_eq!(bad_field(devices.list_devices(other).await), "page_token");
}
