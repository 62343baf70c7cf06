//! Two releases share the cluster: what would bring devices back to the older one is refused unless it is allowed.

use roost_proto::api::*;
use tonic::Code;

use crate::world::{World, bad_field, by, refusal, until};

fn limit(max_version: Option<u32>, allow_downgrade: bool) -> SetMaxVersionRequest {
    SetMaxVersionRequest { max_version, allow_downgrade }
}

/// The node lists its members with this highest version, and the newer one is among them.
async fn shown(world: &World, max_version: Option<u32>) {
    let listed = || async {
        let nodes =
            world.at(0).cluster().list_nodes(ListNodesRequest {}).await.expect("an answer").into_inner();
        let newer = nodes.nodes.iter().any(|node| node.version == 2);
        (nodes.max_version == max_version && newer).then_some(())
    };
    until("the view says so", listed).await;
}

#[tokio::test]
async fn the_highest_version_is_shown_and_is_not_set_below_a_member_unless_that_is_allowed() {
    let world = World::new(1).await;
    let _newer = world.writer_of(2).await;
    world.tenant("acme").await;
    shown(&world, None).await;
    let mut cluster = world.at(0).cluster();
    assert_eq!(bad_field(cluster.set_max_version(limit(Some(0), true)).await), "max_version");
    let refused = cluster.set_max_version(by("acme", limit(Some(2), false))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));

    let refused = cluster.set_max_version(limit(Some(1), false)).await.expect_err("a member speaks 2");
    assert!(refused.message().contains("writer"), "{refused}");
    assert_eq!(refusal(Err::<(), _>(refused)), (Code::FailedPrecondition, "WOULD_DOWNGRADE".into()));
    for (highest, allowed) in [(Some(2), false), (Some(1), true), (None, false)] {
        cluster.set_max_version(limit(highest, allowed)).await.expect("it is allowed");
        shown(&world, highest).await;
    }
}

#[tokio::test]
async fn a_device_is_not_moved_or_pinned_back_to_an_older_version_unless_that_is_allowed() {
    let world = World::new(1).await;
    let newer = world.writer_of(2).await;
    let tenant = world.tenant("acme").await;
    shown(&world, None).await;
    let owned = newer.device(&tenant, "shop").await;
    let mut cluster = world.at(0).cluster();
    let back = |allow_downgrade| MoveDeviceRequest {
        name: owned.key.to_string(),
        target: "n1".into(),
        allow_downgrade,
    };
    let refused = cluster.move_device(back(false)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "WOULD_DOWNGRADE".into()));
    // Allowed, the owner is asked; nobody listens there.
    let refused = cluster.move_device(back(true)).await;
    assert_eq!(refusal(refused), (Code::Unavailable, "OWNER_UNREACHABLE".into()));

    let pin = Pin { node: "n1".into(), mode: pin::Mode::Prefer.into() };
    let pinned = cluster.pin_device(PinDeviceRequest { name: owned.key.to_string(), pin: Some(pin) }).await;
    let pinned = pinned.expect("it lives").into_inner();
    assert!(pinned.waits_for.contains("speaks version 1"), "{pinned:?}");
}
