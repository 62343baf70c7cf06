//! Communities: made, filled, joined and ended by Roost and by every client.

use roost_proto::api::group_changed::links::Kind;
use serde_json::json;

use super::*;

pub(super) async fn of_roost(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let device = world.device.clone();
    let whole = api::CreateGroupRequest { community: true, general_chat: true, ..Default::default() };
    let farm = world.made("Farm", &[], whole).await?;
    let inside = api::CreateGroupRequest { parent: farm.clone(), ..Default::default() };
    let barn = world.made("Barn", &["w", "b", "r"], inside).await?;
    let yard = world.made("Yard", &[], Default::default()).await?;
    let link = api::LinkGroupRequest {
        device: device.clone(),
        community: farm.clone(),
        group: yard.clone(),
        ..Default::default()
    };
    world.cluster.ask_spared(link.clone(), async |api, it| api.groups().link_group(it).await).await?;
    let again = world.cluster.ask_spared(link.clone(), async |api, it| api.groups().link_group(it).await);
    let again = again.await.expect_err("what is linked is not linked again");
    assert!(again.says("409"), "{again:?}");
    world.told(&yard, "a community above", |change| is_link(change, &farm, Kind::Community, false)).await?;

    let groups = subgroups(world, &farm).await?;
    assert!(groups.iter().any(|group| group.announcements_of_community && group.parent == farm));
    assert!(groups.iter().any(|group| group.general_chat_of_community));
    assert!([&barn, &yard].iter().all(|wanted| groups.iter().any(|group| group.group == **wanted)));
    let all = api::ListCommunityParticipantsRequest { device: device.clone(), community: farm.clone() };
    let all =
        world.cluster.ask(all, async |api, it| api.groups().list_community_participants(it).await).await?;
    assert_eq!(all.people.len(), 4);
    let announcements = groups.iter().find(|group| group.announcements_of_community);
    let announcements = announcements.map(|group| group.group.clone()).unwrap_or_default();
    announcements::reacted_to(world, &announcements, matrix).await?;
    for name in ["w", "r"] {
        assert_eq!(world.has(name, json!({ "cmd": "community_people", "to": farm })).await?, 4);
    }
    for name in ["w", "b"] {
        let seen = world.has(name, json!({ "cmd": "subgroups", "to": farm })).await?;
        let seen = seen.as_array().cloned().unwrap_or_default();
        assert!(seen.contains(&json!(barn)) && seen.contains(&json!(yard)), "{name} sees {seen:?}");
    }
    let linked = json!({ "cmd": "linked_group", "to": farm, "group": yard });
    assert_eq!(world.has("r", linked.clone()).await?, "Yard");

    world.has("r", json!({ "cmd": "join_subgroup", "to": farm, "group": yard })).await?;
    let r = world.stage.person("r").lid_jid();
    let came = |change: &Change| match change {
        Change::Participants(who) => who.reason == "linked_group_join" && who.people[0].lid == r,
        _ => false,
    };
    world.told(&yard, "somebody of the community", came).await?;

    let unlink = api::LinkGroupRequest { unlink: true, ..link };
    world.cluster.ask_spared(unlink, async |api, it| api.groups().link_group(it).await).await?;
    world.told(&yard, "no community above", |change| is_link(change, &farm, Kind::Community, true)).await?;
    let before = world.stage.refused();
    let linked = world.has("r", linked).await;
    let nowhere = "w:g2 get <query_linked>: 404, no such group in the community";
    world.stage.refuses((&world.stage.person("r"), before), linked, nowhere)?;

    let end = api::DeactivateCommunityRequest { device, community: farm.clone() };
    world.cluster.ask_spared(end, async |api, it| api.groups().deactivate_community(it).await).await?;
    world.told(&farm, "the end of the community", |change| *change == Change::Deleted(true)).await?;
    let ended = |change: &Change| matches!(change, Change::Links(links) if links.deactivated);
    world.told(&barn, "the end of its community", ended).await?;
    for (library, name) in CLIENTS {
        let (look, asked) = match name {
            "r" => ("linked_group", "query_linked"),
            // Baileys looks at the community first.
            "b" => ("subgroups", "query"),
            _ => ("subgroups", "sub_groups"),
        };
        let before = world.stage.refused();
        let look = world.has(name, json!({ "cmd": look, "to": farm, "group": barn })).await;
        let gone = format!("w:g2 get <{asked}>: 404, no such group");
        world.stage.refuses((&world.stage.person(name), before), look, &gone)?;
        matrix.row("community and its groups").seen(Way::To(library));
        matrix.row("community deactivated").seen(Way::To(library));
    }
    Ok(())
}

pub(super) async fn of_clients(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let device = world.device.clone();
    let roost = world.roost.number_jid();
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    for (library, name) in CLIENTS {
        let community = text(world.has(name, json!({ "cmd": "community", "text": name })).await?);
        let subject = format!("Barn of {name}");
        let make = json!({ "cmd": "subgroup", "to": community, "text": subject, "participants": [roost] });
        let barn = text(world.has(name, make).await?);
        world.told(&barn, "a group", |change| *change == Change::Joined(subject.clone())).await?;
        let yard = world.client(name).group(&format!("Yard of {name}"), &[]).await?;
        let link = |on: bool| json!({ "cmd": "link", "to": community, "group": yard, "on": on });
        world.has(name, link(true)).await?;
        world.told(&community, "a group", |change| is_link(change, &yard, Kind::Subgroup, false)).await?;
        let groups = subgroups(world, &community).await?;
        assert!([&barn, &yard].iter().all(|wanted| groups.iter().any(|group| group.group == **wanted)));
        matrix.row("community and its groups").seen(Way::From(library));

        let one = api::SubgroupRequest {
            device: device.clone(),
            community: community.clone(),
            group: yard.clone(),
        };
        let seen =
            world.cluster.ask(one.clone(), async |api, it| api.groups().preview_subgroup(it).await).await?;
        assert_eq!(seen.subject, format!("Yard of {name}"));
        world.cluster.ask_spared(one, async |api, it| api.groups().join_subgroup(it).await).await?;
        world.told(&yard, "being in", |change| matches!(change, Change::Joined(_))).await?;
        let joined = matrix.row("group of a community joined").seen(Way::To(library));
        match name {
            "r" => joined.seen(Way::From(library)),
            "w" => joined.not_applicable(Way::From(library), "whatsmeow joins no groups of communities"),
            _ => joined.not_applicable(Way::From(library), "Baileys joins no groups of communities"),
        };
        world.has(name, link(false)).await?;
        world.told(&community, "one less", |change| is_link(change, &yard, Kind::Subgroup, true)).await?;

        let ended = matrix.row("community deactivated");
        match name {
            "w" => drop(ended.not_applicable(Way::From(library), "whatsmeow deactivates no communities")),
            "b" => drop(ended.not_applicable(Way::From(library), "Baileys deactivates no communities")),
            _ => {
                ended.seen(Way::From(library));
                world.has(name, json!({ "cmd": "deactivate", "to": community })).await?;
                world.told(&community, "the end", |change| *change == Change::Deleted(true)).await?;
            }
        }
    }
    Ok(())
}

async fn subgroups(world: &World, community: &str) -> Result<Vec<api::Group>, Failure> {
    let list = api::ListSubgroupsRequest { device: world.device.clone(), community: community.to_owned() };
    Ok(world.cluster.ask(list, async |api, it| api.groups().list_subgroups(it).await).await?.groups)
}

fn is_link(change: &Change, other: &str, kind: Kind, unlinked: bool) -> bool {
    match change {
        Change::Links(links) => {
            links.kind() == kind
                && links.unlinked == unlinked
                && links.groups.iter().any(|group| group == other)
        }
        _ => false,
    }
}
