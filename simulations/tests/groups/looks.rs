//! What a group is called, what is said of it, its timer and settings, its admins, who leaves, and what admins revoke: done
//! by Roost and shown by every client, done by every client and told by Roost.

use roost_simulations::interop::ClientEvent;
use serde_json::json;

use super::*;

const CALLED: &str = "name and description of a group";
const TIMER: &str = "timer of a group";
const ADMINS: &str = "admin made, admin no more";
const LEFT: &str = "member leaves";
const REVOKED: &str = "message revoked by an admin";
/// That messages to a group disappear after so many seconds.
const TIMERS: [u32; 3] = [604_800, 7_776_000, 0];

impl World {
    /// Waits until a client shows a change of a group.
    pub(super) async fn shows(
        &mut self,
        name: &str,
        group: &str,
        change: &str,
        done: bool,
        said: &str,
    ) -> Result<(), Failure> {
        let is = |event: &ClientEvent| match event {
            ClientEvent::Chat { what, chat, on, text } => {
                (what.as_str(), chat.as_str(), *on, text.as_str()) == (change, group, done, said)
            }
            _ => false,
        };
        self.client(name).wait(&format!("{change} {done} {said:?} in {group}"), is).await?;
        Ok(())
    }

    /// Waits until Roost has told that this client made this change of a group.
    pub(super) async fn told_by(
        &self,
        name: &str,
        group: &str,
        what: &str,
        change: Change,
    ) -> Result<(), Failure> {
        let lid = self.stage.person(name).lid_jid();
        self.reader
            .wait(&format!("{what} by {name}"), |payload| match payload {
                Payload::GroupChanged(it) if it.group == group => {
                    let his = it.author.as_ref().is_some_and(|author| author.lid == lid);
                    (his && it.change.as_ref() == Some(&change)).then_some(())
                }
                _ => None,
            })
            .await
    }

    async fn update(&self, update: api::UpdateGroupRequest) -> Result<(), Failure> {
        self.cluster.ask(update, async |api, it| api.groups().update_group(it).await).await.map(drop)
    }

    async fn revokes(&self, group: &str, id: &str, sender: String) -> Result<(), Failure> {
        use roost_proto::api::send_message_request::Content;
        let message = api::MessageRef { whatsapp_id: id.to_owned(), from_me: false, sender };
        let revoke = Content::Revoke(api::RevokeMessage { message: Some(message) });
        let to = To::Group(group.to_owned());
        self.cluster.say(&self.device, to, revoke, Default::default(), WaitFor::ServerAck).await.map(drop)
    }
}

/// One person, and what became of him.
fn person(world: &World, name: &str, action: Action) -> Change {
    let of = world.stage.person(name);
    let one = api::Person { lid: of.lid_jid(), phone_number: of.number_jid() };
    let (people, reason) = (vec![one], String::new());
    Change::Participants(api::group_changed::Participants { action: action.into(), people, reason })
}

fn timer(seconds: u32) -> Change {
    let duration = (seconds > 0).then(|| api::Duration { seconds: seconds.into(), nanos: 0 });
    Change::Disappearing(api::DisappearingTimer { duration })
}

/// A group of Roost, in which every client becomes an admin for a while.
pub(super) async fn of_roost(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    use api::update_participants_request::Action::{Demote, Promote};
    let group = world.made("Perch", &["w", "b", "r"], Default::default()).await?;
    let update = api::UpdateGroupRequest {
        device: world.device.clone(),
        group: group.clone(),
        subject: Some("Roosters".into()),
        description: Some("who crows".into()),
        disappearing: Some(api::Duration { seconds: 86_400, nanos: 0 }),
        announce: Some(true),
        locked: Some(true),
        approval: Some(true),
        members_add: Some(false),
        ..Default::default()
    };
    world.update(update).await?;
    for (library, name) in CLIENTS {
        if library == Library::Baileys {
            // Of changes that come at once it tells the first alone.
            let looks = world.has(name, json!({ "cmd": "group_looks", "to": group })).await?;
            assert_eq!(looks, json!(["Roosters", "who crows", 86_400]));
            let shown = world.has(name, json!({ "cmd": "group_shows", "to": group })).await?;
            assert_eq!(shown, json!(["announce", "approval", "locked"]));
        } else {
            world.shows(name, &group, "subject", true, "Roosters").await?;
            world.shows(name, &group, "description", true, "who crows").await?;
            world.shows(name, &group, "timer", true, "86400").await?;
            for what in ["announce", "locked", "approval"] {
                world.shows(name, &group, what, true, "").await?;
            }
        }
        if library == Library::WhatsappRust {
            world.shows(name, &group, "members_add", false, "").await?;
        }
        for row in [CALLED, TIMER] {
            matrix.row(row).seen(Way::To(library));
        }
    }
    for ((library, name), seconds) in CLIENTS.into_iter().zip(TIMERS) {
        let of = world.stage.person(name);
        let (lid, jids) = (of.lid_jid(), [of.number_jid()]);
        world.first_of(Promote, &group, &jids).await?;
        world.shows(name, &group, "admin", true, &lid).await?;

        let ours = world.say(&group, &format!("not this, {name}"), WaitFor::ServerAck).await?;
        world.client(name).message(&format!("not this, {name}")).await?;
        world.client(name).say(&group, "revoke", "", &ours).await?;
        let revoked = |payload: &Payload| match payload {
            Payload::MessageRevoked(it) => {
                it.message.as_ref().filter(|it| it.whatsapp_id == ours).map(|about| {
                    let sender = it.said.as_ref().and_then(|said| said.sender.clone()).unwrap_or_default();
                    (about.from_me, sender.lid)
                })
            }
            _ => None,
        };
        assert_eq!(world.reader.wait("a revocation", revoked).await?, (true, lid.clone()));
        let theirs = world.client(name).send(&group, &format!("nor this, {name}")).await?;
        world.reader.received(&[format!("nor this, {name}")]).await?;
        world.revokes(&group, &theirs, lid.clone()).await?;
        let is = |event: &ClientEvent| matches!(event, ClientEvent::Said(said) if said.kind == "revoke" && said.about == theirs);
        world.client(name).wait("a revocation by an admin", is).await?;
        matrix.row(REVOKED).seen(Way::From(library)).seen(Way::To(library));

        let set =
            |what: &str, text: &str| json!({ "cmd": "group_set", "to": group, "what": what, "text": text });
        world.has(name, set("subject", &format!("Perch of {name}"))).await?;
        world.told_by(name, &group, "a name", Change::Subject(format!("Perch of {name}"))).await?;
        world.has(name, set("description", &format!("said by {name}"))).await?;
        world.told_by(name, &group, "a text", Change::Description(format!("said by {name}"))).await?;
        matrix.row(CALLED).seen(Way::From(library));
        world.has(name, set("timer", &seconds.to_string())).await?;
        world.told_by(name, &group, "a timer", timer(seconds)).await?;
        matrix.row(TIMER).seen(Way::From(library));
        for on in [true, false] {
            let changes = [
                ("announce", Change::Announce(on)),
                ("locked", Change::Locked(on)),
                ("approval", Change::Approval(on)),
                ("members_add", Change::MembersAdd(on)),
            ];
            for (what, change) in changes {
                world.has(name, json!({ "cmd": "group_set", "to": group, "what": what, "on": on })).await?;
                world.told_by(name, &group, what, change).await?;
            }
        }
        world.first_of(Demote, &group, &jids).await?;
        world.shows(name, &group, "admin", false, &lid).await?;
        matrix.row(ADMINS).seen(Way::To(library));
        world.has(name, json!({ "cmd": "leave", "to": group })).await?;
        world.told_by(name, &group, "his leaving", person(world, name, Action::Left)).await?;
        matrix.row(LEFT).seen(Way::From(library));
    }
    Ok(())
}

/// Groups of the clients, of which Roost is an admin for a while, and which it leaves.
pub(super) async fn of_clients(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    for (library, name) in CLIENTS {
        let (number, lid) = (world.roost.number_jid(), world.roost.lid_jid());
        let group =
            world.client(name).group(&format!("Roost of {name}"), std::slice::from_ref(&number)).await?;
        for (action, told) in [("promote", Action::Promoted), ("demote", Action::Demoted)] {
            world.client(name).members(&group, action, std::slice::from_ref(&number)).await?;
            world.told_by(name, &group, action, person(world, "roost", told)).await?;
        }
        matrix.row(ADMINS).seen(Way::From(library));
        let leave = api::LeaveGroupRequest { device: world.device.clone(), group: group.clone() };
        world.cluster.ask(leave, async |api, it| api.groups().leave_group(it).await).await?;
        world.shows(name, &group, "member", false, &lid).await?;
        matrix.row(LEFT).seen(Way::To(library));
    }
    Ok(())
}
