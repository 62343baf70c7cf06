//! What operators wish of placement, through the API: cordons, pins, spread, the freeze; plans,
//! explanations, audits.

use roost_node::directory::Directory;
use roost_placement::egress::Report;
use roost_placement::ledger::{Beaten, Ledger, MemberState};
use roost_proto::api::audit_cluster_response::Kind;
use roost_proto::api::rebalance_cluster_response::{Plan, Progress, Reason, Step};
use roost_proto::api::*;
use roost_proto::id::DeviceKey;
use tonic::Code;

use crate::world::{LONG, World, bad_field, by, refusal, until};

fn cordon(node: &str) -> CordonNodeRequest {
    CordonNodeRequest { node: node.into() }
}

fn pin(key: &DeviceKey, node: &str, mode: pin::Mode) -> PinDeviceRequest {
    PinDeviceRequest { name: key.to_string(), pin: Some(Pin { node: node.into(), mode: mode.into() }) }
}

async fn owner(world: &World, key: &DeviceKey) -> Option<String> {
    let row = world.store.ownership(key).await.expect("an answer").expect("a row");
    row.owner.map(|life| life.node.to_string())
}

async fn owned(world: &World, key: &DeviceKey) -> String {
    until("a node owns the device", || owner(world, key)).await
}

async fn explain(world: &World, key: &DeviceKey) -> ExplainDeviceResponse {
    let wanted = ExplainDeviceRequest { name: key.to_string() };
    world.at(0).devices().explain_device(wanted).await.expect("an answer").into_inner()
}

/// The plan, the moves that were made, and how it ended.
async fn rebalance(world: &World, validate_only: bool) -> Result<(Plan, Vec<Progress>), tonic::Status> {
    let wanted = RebalanceClusterRequest { validate_only, moves_per_minute: 6000 };
    let mut stream = world.at(1).cluster().rebalance_cluster(wanted).await?.into_inner();
    let (mut plan, mut moves) = (None, Vec::new());
    while let Some(answer) = stream.message().await? {
        match answer.step.expect("a step") {
            Step::Plan(first) => plan = Some(first),
            Step::Progress(step) => moves.push(step),
        }
    }
    Ok((plan.expect("the plan comes first"), moves))
}

#[tokio::test]
async fn a_cordon_is_shown_holds_and_is_refused_for_nodes_that_are_not_there() {
    let world = World::new(2).await;
    let writer = world.writer().await;
    world.tenant("acme").await;
    let mut cluster = world.at(0).cluster();
    let refused = cluster.cordon_node(cordon("n9")).await;
    assert_eq!(refusal(refused), (Code::NotFound, "NODE_NOT_FOUND".into()));
    let refused = cluster.uncordon_node(UncordonNodeRequest { node: "n9".into() }).await;
    assert_eq!(refusal(refused), (Code::NotFound, "NODE_NOT_FOUND".into()));
    assert_eq!(bad_field(cluster.cordon_node(cordon("no node")).await), "node");
    let refused = cluster.cordon_node(by("acme", cordon("n2"))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    assert!(world.store.certify_death(&writer.life).await.expect("an answer"));
    let refused = cluster.cordon_node(cordon("writer")).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "NODE_DEAD".into()));

    for _ in 0..2 {
        cluster.cordon_node(cordon("n2")).await.expect("twice is once");
    }
    let shown = || async {
        let nodes = world.at(0).cluster().list_nodes(ListNodesRequest {}).await.expect("an answer");
        nodes.into_inner().nodes.iter().any(|node| node.name == "n2" && node.cordoned).then_some(())
    };
    until("the cordon is in the view", shown).await;
    let key = world.device("tenants/acme/devices/shop").await;
    assert_eq!(owned(&world, &key).await, "n1");
    let there = MoveDeviceRequest { name: key.to_string(), target: "n2".into(), allow_downgrade: false };
    let refused = cluster.move_device(there).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "TARGET_UNFIT".into()));
    let said = explain(&world, &key).await;
    let standing =
        |node: &str| said.preference.iter().find(|line| line.node == node).expect("listed").standing();
    use explain_device_response::Standing;
    assert_eq!((standing("n1"), standing("n2")), (Standing::Owner, Standing::Cordoned));
    cluster.uncordon_node(UncordonNodeRequest { node: "n2".into() }).await.expect("it exists");
}

#[tokio::test]
async fn a_pin_moves_its_device_holds_it_and_is_refused_where_it_makes_no_sense() {
    let world = World::new(2).await;
    let writer = world.writer().await;
    world.tenant("acme").await;
    let key = world.device("tenants/acme/devices/shop").await;
    let first = owned(&world, &key).await;
    let other = if first == "n1" { "n2" } else { "n1" };
    let mut cluster = world.at(0).cluster();
    let none: DeviceKey = "tenants/acme/devices/none".parse().expect("a name");
    let refused = cluster.pin_device(pin(&none, other, pin::Mode::Prefer)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    let refused = cluster.pin_device(pin(&key, "n9", pin::Mode::Prefer)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "NODE_NOT_FOUND".into()));
    let refused = cluster.pin_device(by("acme", pin(&key, other, pin::Mode::Prefer))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    let refused = cluster.pin_device(pin(&key, other, pin::Mode::Unspecified)).await;
    assert_eq!(bad_field(refused), "pin.mode");
    assert_eq!(bad_field(cluster.pin_device(pin(&key, "", pin::Mode::Prefer)).await), "pin.node");
    let without = PinDeviceRequest { name: key.to_string(), pin: None };
    assert_eq!(bad_field(cluster.pin_device(without).await), "pin");
    assert!(world.store.certify_death(&writer.life).await.expect("an answer"));
    let refused = cluster.pin_device(pin(&key, "writer", pin::Mode::Require)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "NODE_DEAD".into()));

    // Asked of either node, the owner hands it over at once.
    for (place, target) in [(0, other), (1, first.as_str())] {
        let pinned = world.at(place).cluster().pin_device(pin(&key, target, pin::Mode::Require)).await;
        let pinned = pinned.expect("it lives").into_inner();
        assert_eq!((pinned.waits_for.as_str(), pinned.ownership.expect("a row").node.as_str()), ("", target));
        assert_eq!(owned(&world, &key).await, target);
    }
    let away = MoveDeviceRequest { name: key.to_string(), target: other.into(), allow_downgrade: false };
    let refused = cluster.move_device(away).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "DEVICE_PINNED".into()));
    let shown = world.at(1).devices().get_device(GetDeviceRequest { name: key.to_string() }).await;
    let shown = shown.expect("a device").into_inner().pin.expect("it is pinned");
    assert_eq!((shown.node.as_str(), shown.mode()), (first.as_str(), pin::Mode::Require));
    let unpin = |key: &DeviceKey| UnpinDeviceRequest { name: key.to_string() };
    cluster.unpin_device(unpin(&key)).await.expect("it exists");
    assert_eq!(
        refusal(cluster.unpin_device(unpin(&none)).await),
        (Code::NotFound, "DEVICE_NOT_FOUND".into())
    );
}

#[tokio::test]
async fn a_pinned_device_whose_node_is_gone_waits_and_both_explanation_and_audit_say_so() {
    let world = World::new(2).await;
    let writer = world.writer().await;
    let tenant = world.tenant("acme").await;
    let grant = writer.device(&tenant, "shop").await;
    let mut cluster = world.at(0).cluster();
    let pinned = cluster.pin_device(pin(&grant.key, "writer", pin::Mode::Require)).await;
    assert_eq!(pinned.expect("it lives").into_inner().waits_for, "", "it is there already");
    assert!(world.store.certify_death(&writer.life).await.expect("an answer"));
    let waits = || async {
        let said = explain(&world, &grant.key).await;
        said.sentences.iter().any(|line| line.contains("pinned_unplaceable")).then_some(said)
    };
    let said = until("the explanation says that it waits", waits).await;
    assert_eq!(said.lease_remaining, None);
    assert_eq!(said.pin.expect("it is pinned").node, "writer");
    let audit = cluster.audit_cluster(AuditClusterRequest {}).await.expect("an answer").into_inner();
    assert_eq!(audit.findings.len(), 1, "{audit:?}");
    assert_eq!(audit.findings[0].kind(), Kind::PinnedUnplaceable);
    // It was never placed elsewhere in all that time.
    assert_eq!(owner(&world, &grant.key).await.as_deref(), Some("writer"));
    cluster.unpin_device(UnpinDeviceRequest { name: grant.key.to_string() }).await.expect("it exists");
    until("a node takes it", || async { owner(&world, &grant.key).await.filter(|node| node != "writer") })
        .await;
}

#[tokio::test]
async fn a_rebalance_is_planned_carried_out_and_then_has_nothing_left_to_do() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let n2 = "n2".parse().expect("an id");
    assert!(world.store.cordon(&n2, true).await.expect("an answer"));
    let mut keys = Vec::new();
    for n in 0..12 {
        keys.push(world.device(&format!("tenants/acme/devices/d{n}")).await);
    }
    for key in &keys {
        assert_eq!(owned(&world, key).await, "n1");
    }
    assert!(world.store.cordon(&n2, false).await.expect("an answer"));
    let planned = || async {
        let (plan, moves) = rebalance(&world, true).await.expect("a plan");
        assert!(moves.is_empty(), "nothing moves");
        (plan.held_back.is_empty() && plan.moves.len() == 5).then_some(plan)
    };
    let plan = until("the plan takes five of twelve", planned).await;
    assert!(plan.moves.iter().all(|line| line.reason() == Reason::Rebalance && line.to == "n2"));
    let loads: Vec<_> = plan.loads.iter().map(|load| (load.before, load.after)).collect();
    assert_eq!(loads, [(12, 7), (0, 5)]);

    world.at(0).cluster().freeze_placement(FreezePlacementRequest {}).await.expect("an answer");
    let frozen = || async {
        let (plan, _) = rebalance(&world, true).await.expect("a plan");
        (!plan.held_back.is_empty()).then_some(())
    };
    until("the plan says that it is held back", frozen).await;
    let refused = rebalance(&world, false).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "PLACEMENT_FROZEN".into()));
    world.at(0).cluster().unfreeze_placement(UnfreezePlacementRequest {}).await.expect("an answer");

    let carried_out = || async { rebalance(&world, false).await.ok() };
    let (plan, moves) = until("the freeze is over", carried_out).await;
    assert_eq!((plan.moves.len(), moves.len()), (5, 5));
    for (n, step) in (1..).zip(&moves) {
        assert_eq!((step.done, step.total, step.failure.as_str()), (n, 5, ""), "{step:?}");
    }
    for line in plan.moves {
        let key = line.device.parse().expect("a name");
        assert_eq!(owner(&world, &key).await.as_deref(), Some("n2"));
    }
    // The rows say so at once, whatever the last heartbeats said.
    let (plan, _) = rebalance(&world, true).await.expect("a plan");
    assert!(plan.moves.is_empty(), "{plan:?}");
}

#[tokio::test]
async fn who_may_not_rebalance_freeze_or_audit_is_told_so() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let mut cluster = world.at(0).cluster();
    let forbidden = (Code::PermissionDenied, "TENANT_FORBIDDEN".to_owned());
    let wanted = RebalanceClusterRequest { validate_only: true, moves_per_minute: 0 };
    assert_eq!(refusal(cluster.rebalance_cluster(by("acme", wanted)).await.map(|_| ())), forbidden);
    assert_eq!(refusal(cluster.freeze_placement(by("acme", FreezePlacementRequest {})).await), forbidden);
    assert_eq!(refusal(cluster.unfreeze_placement(by("acme", UnfreezePlacementRequest {})).await), forbidden);
    assert_eq!(refusal(cluster.audit_cluster(by("acme", AuditClusterRequest {})).await), forbidden);
    let fast = RebalanceClusterRequest { validate_only: true, moves_per_minute: 6001 };
    assert_eq!(bad_field(cluster.rebalance_cluster(fast).await.map(|_| ())), "moves_per_minute");
}

#[tokio::test]
async fn a_rebalance_waits_for_members_that_come_or_go() {
    let world = World::new(2).await;
    let mut drain = world.at(0).cluster();
    let draining = drain.drain_node(DrainNodeRequest { node: "n1".into() }).await.expect("the first");
    let unsettled = || async { rebalance(&world, false).await.err() };
    // A drain of nothing is short: either it is refused, or the node is gone already.
    drop(draining);
    let gone = || async {
        let nodes = world.at(1).cluster().list_nodes(ListNodesRequest {}).await.expect("an answer");
        (nodes.into_inner().nodes.len() == 1).then_some(())
    };
    if let Some(status) = unsettled().await {
        let said = refusal::<()>(Err(status));
        assert_eq!(said, (Code::Unavailable, "PLACEMENT_UNSETTLED".into()));
    }
    until("the node has left", gone).await;
    rebalance(&world, false).await.expect("one node alone is settled");
}

#[tokio::test]
async fn a_member_that_is_away_for_its_egress_with_nothing_left_holds_no_rebalance_back() {
    let world = World::new(2).await;
    let away = world.writer().await;
    assert!(world.store.set_state(&away.life, MemberState::Draining).await.expect("an answer"));
    let held_back = || async {
        let refused = refusal::<()>(Err(rebalance(&world, false).await.err()?));
        (refused == (Code::Unavailable, "PLACEMENT_UNSETTLED".into())).then_some(())
    };
    until("a drain holds it back", held_back).await;
    let report = Report { cut_off: true, ..Report::default() };
    let beaten = world.store.beat(&away.life, &report, &LONG).await.expect("an answer");
    assert!(matches!(beaten, Beaten::Renewed(_)));
    let carried_out = || async { rebalance(&world, false).await.ok() };
    until("the view says why it drains", carried_out).await;
}

#[tokio::test]
async fn an_explanation_is_for_the_devices_own_tenant_and_tells_its_whole_story() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let key = world.device("tenants/acme/devices/shop").await;
    let first = owned(&world, &key).await;
    let wanted = || ExplainDeviceRequest { name: key.to_string() };
    let mut devices = world.at(1).devices();
    let foreign = devices.explain_device(by("globex", wanted())).await;
    assert_eq!(refusal(foreign), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    let none = ExplainDeviceRequest { name: "tenants/acme/devices/none".into() };
    assert_eq!(refusal(devices.explain_device(none).await), (Code::NotFound, "DEVICE_NOT_FOUND".into()));
    assert_eq!(bad_field(devices.explain_device(ExplainDeviceRequest::default()).await), "name");

    let other = if first == "n1" { "n2" } else { "n1" };
    world.at(0).cluster().pin_device(pin(&key, other, pin::Mode::Prefer)).await.expect("it lives");
    let seen = || async {
        let said =
            devices.clone().explain_device(by("acme", wanted())).await.expect("an answer").into_inner();
        said.lease_remaining.is_some().then_some(said)
    };
    let said = until("the view shows the owner", seen).await;
    let text = said.sentences.join("\n");
    for part in [
        format!("{other}/1 owns {key} under epoch 2"),
        format!("{first}/1 gave it to {other}/1."),
        format!("It is pinned to {other}"),
        "It has had it since ".to_owned(),
        "It is the first on the device's list.".to_owned(),
        "It stays where it is".to_owned(),
        // This node opens no devices.
        format!("{other} does not run it yet."),
    ] {
        assert!(text.contains(&part), "{part:?} is not in:\n{text}");
    }
    let reasons: Vec<_> = said.history.iter().map(|line| (line.epoch, line.reason.as_str())).collect();
    assert_eq!(reasons, [(2, "give"), (1, "claim")]);
    assert!(said.since.is_some() && said.preference[0].node == other);
}

#[tokio::test]
async fn an_audit_finds_what_its_owner_does_not_run() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let key = world.device("tenants/acme/devices/shop").await;
    let owner = owned(&world, &key).await;
    // These nodes take grants and open nothing.
    let found =
        world.at(1).cluster().audit_cluster(AuditClusterRequest {}).await.expect("an answer").into_inner();
    assert_eq!((found.owned, found.running), (1, 0));
    assert!(found.silent.is_empty(), "{found:?}");
    let [finding] = &found.findings[..] else { panic!("{found:?}") };
    assert_eq!((finding.device.as_str(), finding.kind()), (key.to_string().as_str(), Kind::NotRunning));
    assert_eq!(finding.ownership.as_ref().expect("a row").node, owner);
}

#[tokio::test]
async fn a_tenants_spread_is_changed_by_operators_only() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let mut tenants = world.at(0).tenants();
    let wanted =
        |name: &str, spread: tenant::Spread| SpreadTenantRequest { name: name.into(), spread: spread.into() };
    let changed = tenants.spread_tenant(wanted("tenants/acme", tenant::Spread::Strict)).await;
    assert_eq!(changed.expect("it exists").into_inner().spread(), tenant::Spread::Strict);
    let read = tenants.get_tenant(GetTenantRequest { name: "tenants/acme".into() }).await;
    assert_eq!(read.expect("it exists").into_inner().spread(), tenant::Spread::Strict);
    let none = tenants.spread_tenant(wanted("tenants/none", tenant::Spread::Auto)).await;
    assert_eq!(refusal(none), (Code::NotFound, "TENANT_NOT_FOUND".into()));
    let vague = tenants.spread_tenant(wanted("tenants/acme", tenant::Spread::Unspecified)).await;
    assert_eq!(bad_field(vague), "spread");
    let own = tenants.spread_tenant(by("acme", wanted("tenants/acme", tenant::Spread::Auto))).await;
    assert_eq!(refusal(own), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
}
