//! The cluster through the API.

use roost_placement::ledger::Ledger;
use roost_proto::api::*;
use tonic::Code;

use crate::world::{PATIENCE, STUCK, World, bad_field, refusal, until};

#[tokio::test]
async fn every_node_says_the_same_members_and_ring() {
    let world = World::new(3).await;
    let mut rings = Vec::new();
    for place in 0..3 {
        let mut cluster = world.at(place).cluster();
        let nodes = cluster.list_nodes(ListNodesRequest {}).await.expect("an answer").into_inner();
        let names: Vec<&str> = nodes.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        assert_eq!(nodes.answered_by, format!("n{}", place + 1));
        assert!(nodes.nodes.iter().all(|node| node.state() == node::State::Active));
        let ring = cluster.get_ring(GetRingRequest { name: "tenants/acme".into() }).await.expect("an answer");
        let ring = ring.into_inner();
        let whole: f64 = ring.shares.iter().map(|share| share.fraction).sum();
        assert!((whole - 1.0).abs() < 1e-6, "{whole}");
        assert_eq!(ring.preference.len(), 3);
        rings.push(ring.preference);
    }
    assert!(rings.windows(2).all(|pair| pair[0] == pair[1]), "{rings:?}");
}

#[tokio::test]
async fn a_device_is_located_and_moved_from_any_node() {
    let world = World::new(3).await;
    world.tenant("acme").await;
    let key = world.device("tenants/acme/devices/shop").await;
    let owner = until("a node claims the device", || async {
        let row = world.store.ownership(&key).await.expect("an answer").expect("a row");
        row.owner.map(|life| life.node.to_string())
    })
    .await;
    let target = ["n1", "n2", "n3"].into_iter().find(|node| *node != owner).expect("three nodes");
    let name = key.to_string();
    for place in 0..3 {
        let place = world.at(place).cluster().locate_device(LocateDeviceRequest { name: name.clone() }).await;
        let place = place.expect("an answer").into_inner();
        assert_eq!(place.ownership.expect("a row").node, owner);
        assert!(!place.history.is_empty() && place.address.starts_with("127.0.0.1:"));
    }
    let unknown = MoveDeviceRequest { name: name.clone(), target: "n9".into(), allow_downgrade: false };
    let unknown = world.at(0).cluster().move_device(unknown).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "NODE_NOT_FOUND".into()));
    let there = MoveDeviceRequest { name: name.clone(), target: owner.clone(), allow_downgrade: false };
    let there = world.at(0).cluster().move_device(there).await.expect("it is there").into_inner();
    assert_eq!(there.ownership.expect("a row").node, owner);
    let none = MoveDeviceRequest {
        name: "tenants/acme/devices/none".into(),
        target: target.into(),
        allow_downgrade: false,
    };
    let none = world.at(0).cluster().move_device(none).await;
    assert_eq!(refusal(none), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    assert_eq!(bad_field(world.at(0).cluster().move_device(MoveDeviceRequest::default()).await), "name");
}

#[tokio::test]
async fn a_drain_is_asked_of_any_node_and_a_second_one_is_refused() {
    let world = World::new(2).await;
    let drain = || DrainNodeRequest { node: "n1".into() };
    // Through the other node.
    let mut stream = world.at(1).cluster().drain_node(drain()).await.expect("the first").into_inner();
    for place in 0..2 {
        let second = world.at(place).cluster().drain_node(drain()).await;
        assert_eq!(refusal(second.map(|_| ())), (Code::FailedPrecondition, "ALREADY_DRAINING".into()));
    }
    let mut last = None;
    loop {
        let said = tokio::time::timeout(PATIENCE, stream.message()).await;
        match said.expect("within twenty seconds").expect("no refusal") {
            Some(answer) => last = Some(answer.remaining),
            None => break,
        }
    }
    assert_eq!(last, Some(0));
    let unknown = world.at(1).cluster().drain_node(DrainNodeRequest { node: "n9".into() }).await;
    assert_eq!(refusal(unknown.map(|_| ())), (Code::NotFound, "NODE_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_drain_whose_node_dies_before_its_end_is_not_told_as_done() {
    for asked in 0..2 {
        let world = World::new(2).await;
        world.tenant("acme").await;
        let key = world.device(&format!("tenants/acme/devices/{STUCK}")).await;
        let owner = until("a node claims the device", || async {
            world.store.ownership(&key).await.expect("an answer").expect("a row").owner
        })
        .await;
        let place = usize::from(owner.node.to_string() == "n2");
        let request = DrainNodeRequest { node: owner.node.to_string() };
        let there = world.at((place + asked) % 2).cluster().drain_node(request).await;
        let mut there = there.expect("the first").into_inner();
        let said = there.message().await.expect("no refusal").expect("a word");
        assert_eq!(said.remaining, 1);
        assert!(world.store.certify_death(&owner).await.expect("an answer"));
        let ended = async {
            while there.message().await?.is_some() {}
            Ok(())
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("in time");
        assert_eq!(refusal(ended), (Code::Aborted, "DRAIN_INCOMPLETE".into()), "asked of {asked}");
    }
}

#[tokio::test]
async fn a_node_that_listens_no_more_is_told_with_a_reason() {
    let world = World::new(1).await;
    let tenant = world.tenant("acme").await;
    // Alive for the others, and nobody listens at its address.
    let writer = world.writer().await;
    let seen = || async {
        let nodes =
            world.at(0).cluster().list_nodes(ListNodesRequest {}).await.expect("an answer").into_inner();
        nodes
            .nodes
            .iter()
            .any(|node| node.name == "writer" && node.state() == node::State::Active)
            .then_some(())
    };
    until("the node is seen", seen).await;
    let drain = world.at(0).cluster().drain_node(DrainNodeRequest { node: "writer".into() }).await;
    assert_eq!(refusal(drain.map(|_| ())), (Code::Unavailable, "NODE_UNREACHABLE".into()));
    let grant = writer.device(&tenant, "shop").await;
    let name = grant.key.to_string();
    let moved = MoveDeviceRequest { name, target: "n1".into(), allow_downgrade: true };
    let moved = world.at(0).cluster().move_device(moved).await;
    assert_eq!(refusal(moved), (Code::Unavailable, "OWNER_UNREACHABLE".into()));
}

#[tokio::test]
async fn a_watch_says_of_each_node_how_many_devices_wait_and_a_list_does_not() {
    let world = World::new(2).await;
    let mut stream =
        world.at(1).cluster().watch_cluster(WatchClusterRequest {}).await.expect("it begins").into_inner();
    let said = tokio::time::timeout(PATIENCE, stream.message()).await;
    let said = said.expect("within twenty seconds").expect("no refusal").expect("an answer");
    let counts: Vec<_> =
        said.nodes.iter().map(|node| (node.name.as_str(), node.connected, node.waiting)).collect();
    assert_eq!(counts, [("n1", Some(0), Some(3)), ("n2", Some(0), Some(3))]);
    let list = world.at(1).cluster().list_nodes(ListNodesRequest {}).await.expect("an answer").into_inner();
    assert!(list.nodes.iter().all(|node| node.waiting.is_none()));
}
