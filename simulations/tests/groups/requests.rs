//! Requests to join a group whose admins approve members: made, seen by admins, and taken back.

use roost_proto::api;
use roost_simulations::interop::{CLIENTS, Failure, Matrix, Way};
use serde_json::json;

use super::World;

const ROW: &str = "request to join taken back";

pub(super) async fn taken_back(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    for (library, name) in CLIENTS {
        let group = world.client(name).group(&format!("Coop of {name}"), &[]).await?;
        let approval = json!({ "cmd": "group_set", "to": group, "what": "approval", "on": true });
        world.has(name, approval).await?;
        let waiting = json!({ "cmd": "join_requests", "to": group });
        let join = api::JoinGroupRequest {
            device: world.device.clone(),
            code: code_of(world, &group),
            ..Default::default()
        };
        let joined = world.cluster.ask(join, async |api, it| api.groups().join_group(it).await).await?;
        assert!(joined.waiting && joined.group == group, "{name}: {joined:?}");
        assert_eq!(world.has(name, waiting.clone()).await?, json!(1), "{name}");
        let cancel = api::CancelJoinRequestRequest { device: world.device.clone(), group };
        let cancel = async || {
            let cancel = cancel.clone();
            world.cluster.ask(cancel, async |api, it| api.groups().cancel_join_request(it).await).await
        };
        cancel().await?;
        assert!(!cancel().await?.was_waiting, "{name}: it is taken back already");
        assert_eq!(world.has(name, waiting).await?, json!(0), "{name}");
        matrix.row(ROW).seen(Way::To(library));
        if name != "r" {
            let why =
                if name == "w" { "whatsmeow takes no request back" } else { "Baileys takes no request back" };
            matrix.row(ROW).not_applicable(Way::From(library), why);
            continue;
        }
        let coop = world.made("Coop", &[], Default::default()).await?;
        let update = api::UpdateGroupRequest {
            device: world.device.clone(),
            group: coop.clone(),
            approval: Some(true),
            ..Default::default()
        };
        world.cluster.ask(update, async |api, it| api.groups().update_group(it).await).await?;
        world.has(name, json!({ "cmd": "join", "text": code_of(world, &coop) })).await?;
        assert_eq!(waiting_for(world, &coop).await?, 1);
        let own = world.stage.person(name).lid_jid();
        world.has(name, json!({ "cmd": "cancel_join", "to": coop, "sender": own })).await?;
        assert_eq!(waiting_for(world, &coop).await?, 0);
        matrix.row(ROW).seen(Way::From(library));
    }
    Ok(())
}

fn code_of(world: &World, group: &str) -> String {
    let id = group.trim_end_matches("@g.us");
    world.stage.sim.look(|sim| sim.groups().get(id).map(|group| group.invite.clone())).unwrap_or_default()
}

/// How many people Roost sees before the door.
async fn waiting_for(world: &World, group: &str) -> Result<usize, Failure> {
    let list = api::ListJoinRequestsRequest { device: world.device.clone(), group: group.to_owned() };
    Ok(world
        .cluster
        .ask(list, async |api, it| api.groups().list_join_requests(it).await)
        .await?
        .requests
        .len())
}
