//! Requests to join a group whose admins approve members: made, seen by admins, taken back, and answered.

use serde_json::json;

use super::*;

const ROW: &str = "request to join taken back";
const ANSWERED: &str = "request to join answered";

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
        let coop = closed(world).await?;
        world.has(name, json!({ "cmd": "join", "text": code_of(world, &coop) })).await?;
        assert_eq!(waiting_for(world, &coop).await?.len(), 1);
        let own = world.stage.person(name).lid_jid();
        world.has(name, json!({ "cmd": "cancel_join", "to": coop, "sender": own })).await?;
        assert!(waiting_for(world, &coop).await?.is_empty());
        matrix.row(ROW).seen(Way::From(library));
    }
    Ok(())
}

/// Requests are turned down and made again, and then they are granted: by Roost to clients, by clients to Roost.
pub(super) async fn answered(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    let coop = closed(world).await?;
    for (library, name) in CLIENTS {
        let of = world.stage.person(name);
        for (times, approve) in (1..).zip([false, true]) {
            world.has(name, json!({ "cmd": "join", "text": code_of(world, &coop) })).await?;
            requested(world, &coop, &of, times).await?;
            assert_eq!(waiting_for(world, &coop).await?, [of.lid_jid()], "{name}");
            let answer = api::AnswerJoinRequestsRequest {
                device: world.device.clone(),
                group: coop.clone(),
                participants: vec![of.lid_jid()],
                approve,
            };
            let answered =
                world.cluster.ask(answer, async |api, it| api.groups().answer_join_requests(it).await);
            // Who answers twice hears that nobody waits any more.
            let [outcome] = &answered.await?.outcomes[..] else { panic!("one person, one outcome") };
            assert!(matches!(outcome.code, 200 | 404), "{name}: {outcome:?}");
            assert_eq!(outcome.person.as_ref().map(|person| &person.lid), Some(&of.lid_jid()));
            assert!(waiting_for(world, &coop).await?.is_empty(), "{name}");
            if approve {
                continue;
            }
            if library != Library::Whatsmeow {
                world.shows(name, &coop, "join_request", false, &of.lid_jid()).await?;
            }
            let before = world.stage.refused();
            let look = world.has(name, json!({ "cmd": "group_shows", "to": coop })).await;
            world.stage.refuses((&of, before), look, "w:g2 get <query>: 403, a stranger to the group")?;
        }
        let came = |change: &Change| match change {
            Change::Participants(who) => {
                who.action() == Action::Added && who.people.iter().any(|one| one.lid == of.lid_jid())
            }
            _ => false,
        };
        world.told(&coop, &format!("{name}, who was let in"), came).await?;
        talk(world, &coop, name).await?;
        matrix.row(ANSWERED).seen(Way::To(library));

        let group = world.client(name).group(&format!("Closed by {name}"), &[]).await?;
        world.has(name, json!({ "cmd": "group_set", "to": group, "what": "approval", "on": true })).await?;
        for approve in [false, true] {
            let join = api::JoinGroupRequest {
                device: world.device.clone(),
                code: code_of(world, &group),
                ..Default::default()
            };
            let joined = world.cluster.ask(join, async |api, it| api.groups().join_group(it).await).await?;
            assert!(joined.waiting, "{name}");
            let roost = world.roost.lid_jid();
            if library != Library::Whatsmeow {
                world.shows(name, &group, "join_request", true, &roost).await?;
            }
            let answer = json!({ "cmd": "answer_join", "to": group, "participants": [roost], "on": approve });
            world.has(name, answer).await?;
            let told = |change: &Change| match change {
                Change::Requests(who) => {
                    !approve && who.action() == Action::TurnedDown && is_alone(who, &roost)
                }
                Change::Joined(_) => approve,
                _ => false,
            };
            world.told(&group, &format!("the answer of {name}: {approve}"), told).await?;
        }
        talk(world, &group, name).await?;
        matrix.row(ANSWERED).seen(Way::From(library));
    }
    Ok(())
}

/// Roost and one client hear each other in a group.
async fn talk(world: &mut World, group: &str, name: &str) -> Result<(), Failure> {
    let (ours, theirs) = (format!("to {name} in {group}"), format!("from {name} in {group}"));
    world.say(group, &ours, WaitFor::ServerAck).await?;
    world.client(name).message(&ours).await?;
    world.client(name).send(group, &theirs).await?;
    world.reader.received(&[theirs]).await
}

/// A group of Roost whose admins approve members.
async fn closed(world: &World) -> Result<String, Failure> {
    let group = world.made("Coop", &[], Default::default()).await?;
    let update = api::UpdateGroupRequest {
        device: world.device.clone(),
        group: group.clone(),
        approval: Some(true),
        ..Default::default()
    };
    world.cluster.ask(update, async |api, it| api.groups().update_group(it).await).await?;
    Ok(group)
}

/// Waits until Roost has told so many times that this person asks to be let in.
async fn requested(world: &World, group: &str, who: &Person, times: usize) -> Result<(), Failure> {
    let is = |event: &&api::Event| match &event.payload {
        Some(Payload::GroupChanged(it)) if it.group == group => match &it.change {
            Some(Change::Requests(asked)) => {
                asked.action() == Action::Requested && is_alone(asked, &who.lid_jid())
            }
            _ => false,
        },
        _ => false,
    };
    let told = || world.reader.events().iter().filter(is).count() >= times;
    world.cluster.until(&format!("{who:?} asks {times} times"), told).await
}

/// Whether a change is about this person and nobody else.
fn is_alone(who: &api::group_changed::Participants, lid: &str) -> bool {
    matches!(&who.people[..], [one] if one.lid == lid)
}

fn code_of(world: &World, group: &str) -> String {
    let id = group.trim_end_matches("@g.us");
    world.stage.sim.look(|sim| sim.groups().get(id).map(|group| group.invite.clone())).unwrap_or_default()
}

/// Whom Roost sees before the door.
async fn waiting_for(world: &World, group: &str) -> Result<Vec<String>, Failure> {
    let list = api::ListJoinRequestsRequest { device: world.device.clone(), group: group.to_owned() };
    let list = world.cluster.ask(list, async |api, it| api.groups().list_join_requests(it).await).await?;
    Ok(list.requests.into_iter().map(|one| one.person.unwrap_or_default().lid).collect())
}
