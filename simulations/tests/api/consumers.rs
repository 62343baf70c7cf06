//! Named consumers: acknowledgements, redelivery, exclusiveness, windows.

use roost_node::api::port::Cluster;
use roost_node::client::Client;
use roost_proto::api::stream_events_request::{Ack, Message as Up, Open, Position, Start};
use roost_proto::api::stream_events_response::Message as Down;
use roost_proto::api::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::world::{PATIENCE, World, bad_field, by, refusal};

const SHOP: &str = "tenants/acme/devices/shop";

struct Stream {
    up: mpsc::Sender<StreamEventsRequest>,
    down: Streaming<StreamEventsResponse>,
}

fn open(max_outstanding: i32, start: Start) -> Open {
    Open { parent: "tenants/acme".into(), consumer: "billing".into(), max_outstanding, start: start as i32 }
}

async fn connect(client: Client, open: Open) -> Result<Stream, Status> {
    let (up, requests) = mpsc::channel(16);
    up.send(StreamEventsRequest { message: Some(Up::Open(open)) }).await.expect("room");
    let down = client.events().stream_events(ReceiverStream::new(requests)).await?.into_inner();
    Ok(Stream { up, down })
}

impl Stream {
    async fn next(&mut self) -> Result<Option<Down>, Status> {
        let said = tokio::time::timeout(PATIENCE, self.down.message()).await;
        Ok(said.expect("within twenty seconds")?.and_then(|said| said.message))
    }

    /// The sequences of the next `count` events.
    async fn events(&mut self, count: usize) -> Vec<i64> {
        let mut seen = Vec::new();
        while seen.len() < count {
            match self.next().await.expect("no refusal").expect("no end") {
                Down::Events(batch) => seen.extend(batch.events.into_iter().map(|event| event.sequence)),
                Down::Opened(_) | Down::Heartbeat(_) | Down::Acked(_) => {}
                Down::GoingAway(_) => panic!("nobody drains"),
            }
        }
        seen
    }

    async fn ack(&self, device: &str, sequence: i64) {
        let positions = vec![Position { device: device.into(), sequence }];
        let ack = StreamEventsRequest { message: Some(Up::Ack(Ack { positions })) };
        self.up.send(ack).await.expect("the stream is open");
    }

    /// Acknowledges and waits until that is durable.
    async fn ack_durably(&mut self, device: &str, sequence: i64) {
        self.ack(device, sequence).await;
        loop {
            if let Some(Down::Acked(acked)) = self.next().await.expect("no refusal") {
                assert_eq!(acked.positions[0].sequence, sequence);
                return;
            }
        }
    }

    async fn refused(mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a refusal"),
                Err(status) => return status,
            }
        }
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_on_another_node() {
    let world = World::new(2).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=10).await;
    let mut first = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    assert_eq!(first.events(10).await, (1..=10).collect::<Vec<_>>());
    first.ack_durably(SHOP, 4).await;
    drop(first);
    let mut second = connect(world.at(1), open(0, Start::Earliest)).await.expect("the hold was given back");
    assert_eq!(second.events(6).await, (5..=10).collect::<Vec<_>>());
    writer.write_numbered(&shop, 11..=12).await;
    assert_eq!(second.events(2).await, [11, 12]);
}

#[tokio::test]
async fn one_stream_at_a_time_holds_a_consumer() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let mut first = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    assert!(matches!(first.next().await, Ok(Some(Down::Opened(_)))));
    let second = connect(world.at(1), open(0, Start::Earliest)).await;
    assert_eq!(refusal(second.map(|_| ())), (Code::AlreadyExists, "CONSUMER_BUSY".into()));
    let other = Open { consumer: "audit".into(), ..open(0, Start::Earliest) };
    connect(world.at(1), other).await.expect("another consumer is free");
}

#[tokio::test]
async fn never_more_than_the_window_is_outstanding() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=20).await;
    let mut stream = connect(world.at(0), open(3, Start::Earliest)).await.expect("opened");
    assert_eq!(stream.events(3).await, [1, 2, 3]);
    // Whatever comes before the answer to the acknowledgement came without room for it.
    stream.ack(SHOP, 1).await;
    match stream.next().await.expect("no refusal") {
        Some(Down::Acked(acked)) => assert_eq!(acked.positions[0].sequence, 1),
        other => panic!("more than the window: {other:?}"),
    }
    assert_eq!(stream.events(1).await, [4]);
}

#[tokio::test]
async fn a_new_consumer_may_begin_at_the_end_and_loses_nothing_from_then_on() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=5).await;
    let mut stream = connect(world.at(0), open(0, Start::Latest)).await.expect("opened");
    match stream.next().await.expect("no refusal") {
        Some(Down::Opened(opened)) => assert_eq!(opened.lag, 0),
        other => panic!("{other:?}"),
    }
    drop(stream);
    // Written while no stream was open, by a device that is known and by one that is not.
    writer.write_numbered(&shop, 6..=6).await;
    let office = writer.device(&tenant, "office").await;
    writer.write_numbered(&office, 1..=1).await;
    let mut stream = connect(world.at(0), open(0, Start::Latest)).await.expect("opened");
    let mut seen = stream.events(2).await;
    seen.sort_unstable();
    assert_eq!(seen, [1, 6]);
}

#[tokio::test]
async fn malformed_streams_are_refused_with_their_field() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=2).await;
    let bad = |change: fn(&mut Open)| {
        let mut open = open(0, Start::Earliest);
        change(&mut open);
        open
    };
    for (open, field) in [
        (bad(|open| open.parent = "tenants/-".into()), "open.parent"),
        (bad(|open| open.consumer = String::new()), "open.consumer"),
        (bad(|open| open.max_outstanding = 10_001), "open.max_outstanding"),
        (bad(|open| open.start = 9), "open.start"),
    ] {
        assert_eq!(bad_field(connect(world.at(0), open).await.map(|_| ())), field);
    }
    let nobody = connect(world.at(0), bad(|open| open.parent = "tenants/nobody".into())).await;
    assert_eq!(refusal(nobody.map(|_| ())), (Code::NotFound, "TENANT_NOT_FOUND".into()));

    let mut early = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    early.events(2).await;
    early.ack(SHOP, 3).await;
    assert_eq!(bad_field::<()>(Err(early.refused().await)), "ack.positions[0].sequence");

    let foreign = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    foreign.ack("tenants/globex/devices/shop", 1).await;
    assert_eq!(bad_field::<()>(Err(foreign.refused().await)), "ack.positions[0].device");

    let twice = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    let again = StreamEventsRequest { message: Some(Up::Open(open(0, Start::Earliest))) };
    twice.up.send(again).await.expect("room");
    assert_eq!(bad_field::<()>(Err(twice.refused().await)), "ack");

    let huge = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    huge.ack(&"x".repeat(4 << 20), 1).await;
    assert_eq!(bad_field::<()>(Err(huge.refused().await)), "message");
}

#[tokio::test]
async fn a_stream_of_another_tenant_is_forbidden() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let (up, requests) = mpsc::channel(1);
    up.send(StreamEventsRequest { message: Some(Up::Open(open(0, Start::Earliest))) }).await.expect("room");
    let stream = world.at(0).events().stream_events(by("globex", ReceiverStream::new(requests))).await;
    assert_eq!(refusal(stream.map(|_| ())), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
}

#[tokio::test]
async fn a_node_that_drains_sends_its_consumers_away_and_they_go_on_elsewhere() {
    let world = World::new(2).await;
    let tenant = world.tenant("acme").await;
    let writer = world.writer().await;
    let shop = writer.device(&tenant, "shop").await;
    writer.write_numbered(&shop, 1..=3).await;
    let mut stream = connect(world.at(0), open(0, Start::Earliest)).await.expect("opened");
    stream.events(3).await;
    world.nodes[0].cluster.drain().expect("the first drain");
    loop {
        match stream.next().await.expect("no refusal").expect("no end before it is told") {
            Down::GoingAway(_) => break,
            Down::Heartbeat(_) | Down::Acked(_) => {}
            other => panic!("{other:?}"),
        }
    }
    stream.ack_durably(SHOP, 2).await;
    stream.ack(&"x".repeat(4 << 20), 3).await;
    assert_eq!(bad_field::<()>(Err(stream.refused().await)), "message");
    let mut elsewhere =
        connect(world.at(1), open(0, Start::Earliest)).await.expect("the hold was given back");
    assert_eq!(elsewhere.events(1).await, [3]);
}
