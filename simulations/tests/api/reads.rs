//! Reading the event log with cursors, on any node.

use roost_node::client::Client;
use roost_node::directory::Directory;
use roost_proto::api::*;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{PATIENCE, World, bad_field, refusal};

/// Reads to the end: the sequences per device in the order of arrival, and the last cursor.
async fn read(
    client: Client,
    parent: &str,
    cursor: &str,
    limit: i32,
) -> Result<(Vec<(String, i64)>, String), Status> {
    let request = ReadEventsRequest { parent: parent.into(), cursor: cursor.into(), follow: false, limit };
    let mut stream = client.events().read_events(request).await?.into_inner();
    let (mut seen, mut last) = (Vec::new(), String::new());
    while let Some(answer) = stream.message().await? {
        seen.extend(answer.events.into_iter().map(|event| (event.device, event.sequence)));
        last = answer.cursor;
    }
    Ok((seen, last))
}

fn numbered(device: &str, range: std::ops::RangeInclusive<i64>) -> Vec<(String, i64)> {
    range.map(|n| (device.to_owned(), n)).collect()
}

#[tokio::test]
async fn a_reader_goes_on_at_another_node_where_it_stopped() {
    let world = World::new(2).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    let name = shop.key.to_string();
    writer.write_numbered(&shop, 1..=250).await;
    let (first, cursor) = read(world.at(0), &name, "", 100).await.expect("read");
    assert_eq!(first, numbered(&name, 1..=100));
    let (rest, cursor) = read(world.at(1), &name, &cursor, 0).await.expect("read");
    assert_eq!(rest, numbered(&name, 101..=250));
    let (nothing, same) = read(world.at(0), &name, &cursor, 0).await.expect("read");
    assert!(nothing.is_empty(), "{nothing:?}");
    writer.write_numbered(&shop, 251..=252).await;
    let (new, _) = read(world.at(1), &name, &same, 0).await.expect("read");
    assert_eq!(new, numbered(&name, 251..=252));
}

#[tokio::test]
async fn the_cursor_of_an_event_goes_on_after_that_event() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=5).await;
    let name = shop.key.to_string();
    let request = ReadEventsRequest { parent: name.clone(), ..Default::default() };
    let mut stream = world.at(0).events().read_events(request).await.expect("opened").into_inner();
    let events = stream.message().await.expect("an answer").expect("events").events;
    let (rest, _) = read(world.at(0), &name, &events[2].cursor, 0).await.expect("read");
    assert_eq!(rest, numbered(&name, 4..=5));
    let ids: std::collections::BTreeSet<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_tenants_cursor_knows_each_device_and_takes_new_ones_in() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let (a, b) = (writer.device(&tenant, "a").await, writer.device(&tenant, "b").await);
    writer.write_numbered(&a, 1..=130).await;
    writer.write_numbered(&b, 1..=2).await;
    let (first, cursor) = read(world.at(0), "tenants/acme", "", 0).await.expect("read");
    let of = |seen: &[(String, i64)], name: &str| -> Vec<i64> {
        seen.iter().filter(|(device, _)| device == name).map(|(_, n)| *n).collect()
    };
    let names = ["tenants/acme/devices/a", "tenants/acme/devices/b", "tenants/acme/devices/c"];
    assert_eq!(of(&first, names[0]), (1..=130).collect::<Vec<_>>());
    assert_eq!(of(&first, names[1]), [1, 2]);
    let c = writer.device(&tenant, "c").await;
    writer.write_numbered(&b, 3..=3).await;
    writer.write_numbered(&c, 1..=1).await;
    let (new, _) = read(world.at(0), "tenants/acme", &cursor, 0).await.expect("read");
    assert_eq!(new, [(names[1].to_owned(), 3), (names[2].to_owned(), 1)]);
}

#[tokio::test]
async fn cursors_of_others_and_garbage_are_refused_with_their_field() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let (a, b) = (writer.device(&tenant, "a").await, writer.device(&tenant, "b").await);
    writer.write_numbered(&a, 1..=1).await;
    let (_, cursor) = read(world.at(0), &a.key.to_string(), "", 0).await.expect("read");
    for (parent, cursor) in [
        (b.key.to_string(), cursor.as_str()),
        ("tenants/acme".to_owned(), cursor.as_str()),
        (a.key.to_string(), "garbage"),
        (a.key.to_string(), &cursor[..cursor.len() - 2]),
    ] {
        assert_eq!(bad_field(read(world.at(0), &parent, cursor, 0).await), "cursor", "{parent} {cursor}");
    }
    assert_eq!(bad_field(read(world.at(0), "acme", "", 0).await), "parent");
    assert_eq!(bad_field(read(world.at(0), "tenants/acme", "", -1).await), "limit");
    let nobody = read(world.at(0), "tenants/nobody", "", 0).await;
    assert_eq!(refusal(nobody), (Code::NotFound, "TENANT_NOT_FOUND".into()));
}

#[tokio::test]
async fn an_expired_cursor_says_where_the_log_begins() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    let name = shop.key.to_string();
    writer.write_numbered(&shop, 1..=10).await;
    let (_, cursor) = read(world.at(0), &name, "", 3).await.expect("read");
    let (_, tenant_cursor) = read(world.at(0), "tenants/acme", "", 3).await.expect("read");
    let removed = world.store.expire_events(std::time::Duration::ZERO, 6).await.expect("expired");
    assert_eq!(removed, 6);
    for (parent, cursor) in [(name.as_str(), &cursor), ("tenants/acme", &tenant_cursor)] {
        let status = read(world.at(0), parent, cursor, 0).await.expect_err("4 to 6 are gone");
        assert_eq!(status.code(), Code::OutOfRange);
        let info = status.get_details_error_info().expect("always");
        assert_eq!(info.reason, "CURSOR_EXPIRED");
        assert_eq!(info.metadata["earliest_sequence"], "7");
    }
    let (rest, _) = read(world.at(0), &name, "", 0).await.expect("from what is kept");
    assert_eq!(rest, numbered(&name, 7..=10));
}

#[tokio::test]
async fn a_cursor_of_a_device_that_was_deleted_skips_nothing_of_another_with_its_name() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    let name = shop.key.to_string();
    writer.write_numbered(&shop, 1..=4).await;
    let (_, at_the_end) = read(world.at(0), &name, "", 0).await.expect("read");
    let (_, in_the_middle) = read(world.at(0), &name, "", 2).await.expect("read");
    assert!(world.store.delete_device(&shop.key).await.expect("an answer"));
    let (_, while_deleted) = read(world.at(0), "tenants/acme", "", 0).await.expect("read");
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 5..=10).await;
    for cursor in [at_the_end, in_the_middle] {
        let (rest, _) = read(world.at(0), &name, &cursor, 0).await.expect("read");
        assert_eq!(rest, numbered(&name, 5..=10));
    }
    let (rest, cursor) = read(world.at(0), "tenants/acme", &while_deleted, 0).await.expect("read");
    assert_eq!(rest, numbered(&name, 5..=10));
    assert_eq!(read(world.at(0), "tenants/acme", &cursor, 0).await.expect("read").0, []);
    assert_eq!(world.store.expire_events(std::time::Duration::ZERO, 2).await.expect("expired"), 2);
    let status = read(world.at(0), "tenants/acme", &while_deleted, 0).await.expect_err("5 and 6 are gone");
    assert_eq!(status.get_details_error_info().expect("always").reason, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn a_follower_hears_what_another_node_commits() {
    let world = World::new(2).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    let request = ReadEventsRequest { parent: "tenants/acme".into(), follow: true, ..Default::default() };
    let mut stream = world.at(1).events().read_events(request).await.expect("opened").into_inner();
    let mut seen = Vec::new();
    for round in 0..3 {
        writer.write_numbered(&shop, round * 10 + 1..=round * 10 + 10).await;
        while seen.len() < usize::try_from(round * 10 + 10).expect("small") {
            let said = tokio::time::timeout(PATIENCE, stream.message()).await;
            let said = said.expect("within ten seconds").expect("no refusal").expect("no end");
            seen.extend(said.events.into_iter().map(|event| event.sequence));
        }
    }
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_events_come_in_answers_that_any_client_accepts() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    for n in 0..10 {
        let texts: Vec<String> = (0..10).map(|m| format!("{n}.{m} {}", "x".repeat(65_500))).collect();
        writer.write(&shop, &texts).await;
    }
    let request = ReadEventsRequest { parent: shop.key.to_string(), ..Default::default() };
    // 4 MiB is what clients accept when nothing is configured.
    let mut client = world.at(0).events().max_decoding_message_size(4 << 20);
    let mut stream = client.read_events(request).await.expect("opened").into_inner();
    let mut seen = 0;
    while let Some(answer) = stream.message().await.expect("small enough") {
        seen += answer.events.len();
    }
    assert_eq!(seen, 100);
}
