//! Unmodified whatsmeow, Baileys and whatsapp-rust judge what a Roost device says and hears of people: numbers, profiles,
//! privacy, presence, typing, calls, and pairing by a code.
//!
//! Real processes as in `interop.rs`: one `roost serve`, a driver of each.

#[path = "people/pairing.rs"]
mod pairing;

use std::time::Duration;

use roost_node::client::Client;
use roost_proto::api::event::Payload;
use roost_proto::api::*;
use roost_simulations::callers::within;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage, Way,
};
use serde_json::{Value, json};

/// Bound of one call.
const CALL: Duration = Duration::from_secs(30);

/// From the client of this name, and to it.
fn ways(name: &str) -> (Way, Way) {
    let of_name = CLIENTS.into_iter().find(|(_, client)| *client == name);
    let (library, _) = of_name.expect("a client of the table");
    (Way::From(library), Way::To(library))
}

const JPEG: [u8; 6] = [0xff, 0xd8, 0xff, 0xe0, 0, 0];

struct World {
    stage: Stage,
    cluster: Cluster,
    device: String,
    roost: Person,
    clients: Vec<(RealClient, Person)>,
    reader: Reader,
}

impl World {
    /// A Roost device and a client of each library, who have talked with each other.
    async fn new() -> Result<World, Failure> {
        let mut world = World::empty().await?;
        for (library, name) in CLIENTS {
            let account = world.stage.person(name);
            let mut client = world.stage.paired(library, name, &account).await?;
            let text = format!("hello from {name}");
            client.send(&world.roost.number_jid(), &text).await?;
            world.reader.received(&[text]).await?;
            world.clients.push((client, account));
        }
        Ok(world)
    }

    async fn empty() -> Result<World, Failure> {
        let Cast { stage, cluster, device, roost, reader } =
            Cast::new(env!("CARGO_BIN_EXE_roost"), 1).await?;
        Ok(World { stage, cluster, device, roost, clients: Vec::new(), reader })
    }

    fn api(&self) -> Client {
        self.cluster.callers.any()
    }
}

/// Asks a client; its name goes into the failure.
async fn ask(client: &mut RealClient, command: Value) -> Result<Value, Failure> {
    Ok(client.people(command).await?)
}

#[tokio::test]
async fn numbers_profiles_and_settings_are_the_same_for_every_client() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, reader } = World::new().await?;
    let api = cluster.callers.any();
    let nobody = "4930999999999".to_owned();
    let mut matrix = Matrix::new("5-people");

    let about = SetAboutRequest { device: device.clone(), text: "open from nine".to_owned() };
    api.accounts().set_about(within(about, CALL)).await?;
    let picture = SetProfilePictureRequest { device: device.clone(), jpeg: JPEG.to_vec() };
    let picture = api.accounts().set_profile_picture(within(picture, CALL)).await?.into_inner().id;
    for (client, _) in &mut clients {
        let name = client.name().to_owned();
        let number = roost.pn.to_string();
        let found = ask(client, json!({"cmd": "check", "phone": format!("+{number}")})).await?;
        assert_eq!(found, json!(true), "{name}");
        assert_eq!(
            ask(client, json!({"cmd": "check", "phone": format!("+{nobody}")})).await?,
            json!(false),
            "{name}"
        );
        let jid = roost.number_jid();
        assert_eq!(ask(client, json!({"cmd": "about", "to": jid})).await?, json!("open from nine"), "{name}");
        let shown = ask(client, json!({"cmd": "picture", "to": jid})).await?;
        assert!(shown.as_str().is_some_and(|shown| shown.contains(&picture)), "{name}: {shown}");
        let fits =
            |event: &ClientEvent| matches!(event, ClientEvent::Contact { what, .. } if what == "picture");
        client.wait("the new picture", fits).await?;
        let (_, to) = ways(&name);
        matrix.row("number is on WhatsApp").seen(to);
        matrix.row("about text").seen(to);
        matrix.row("profile picture").seen(to);
    }

    // Who has looked at an account hears what it changes.
    let users = clients.iter().map(|(_, account)| account.pn.to_string()).collect();
    let look = GetUserInfoRequest { device: device.clone(), users };
    assert_eq!(api.contacts().get_user_info(within(look, CALL)).await?.into_inner().users.len(), 3);
    for (client, account) in &mut clients {
        let name = client.name().to_owned();
        ask(client, json!({"cmd": "set_about", "text": format!("about {name}")})).await?;
        let users = vec![account.pn.to_string(), nobody.clone()];
        let info = GetUserInfoRequest { device: device.clone(), users };
        let info = api.contacts().get_user_info(within(info, CALL)).await?.into_inner().users;
        assert_eq!(info.len(), 1, "{name}: nobody has the other number");
        let person = info[0].person.clone().unwrap_or_default();
        assert_eq!((person.phone_number, person.lid), (account.number_jid(), account.lid_jid()));
        assert_eq!(info[0].about, format!("about {name}"));
        assert_eq!(info[0].devices, [0, 1], "{name}: the phone and the client");
        let changed = |payload: &Payload| {
            matches!(payload, Payload::ProfileChanged(changed)
                if changed.value == format!("about {name}"))
        };
        reader.sees("a new about text", changed).await?;
        let (from, _) = ways(&name);
        matrix.row("number is on WhatsApp").seen(from);
        matrix.row("about text").seen(from);
        let known = ResolveIdentityRequest { device: device.clone(), user: account.lid_jid() };
        let known = api.contacts().resolve_identity(within(known, CALL)).await?.into_inner();
        assert_eq!(known.phone_number, account.number_jid(), "{name}: learned from its message");
        assert_eq!(ask(client, json!({"cmd": "privacy"})).await?, json!("all"), "{name}");
    }

    let hide = SetPrivacyRequest { device: device.clone(), category: "status".into(), value: "none".into() };
    let settings = api.accounts().set_privacy(within(hide, CALL)).await?.into_inner().settings;
    assert_eq!(settings["status"], "none");
    for (client, account) in &mut clients {
        let (from, to) = ways(client.name());
        assert_eq!(ask(client, json!({"cmd": "about", "to": roost.number_jid()})).await?, json!(""));
        ask(client, json!({"cmd": "hide_about"})).await?;
        let look = GetUserInfoRequest { device: device.clone(), users: vec![account.pn.to_string()] };
        let shown = api.contacts().get_user_info(within(look, CALL)).await?.into_inner().users;
        assert_eq!(shown[0].about, "", "{}", client.name());
        matrix.row("what privacy hides").seen(from).seen(to);
    }
    drop(stage);
    matrix.check()
}

#[tokio::test]
async fn presence_and_typing_go_both_ways() -> Result<(), Failure> {
    let world = World::new().await?;
    let api = world.api();
    let World { device, roost, mut clients, reader, stage: _stage, cluster: _cluster } = world;
    let presence = |available| {
        let request = SetPresenceRequest { device: device.clone(), available };
        let api = api.clone();
        async move { api.presence().set_presence(within(request, CALL)).await }
    };
    let mut matrix = Matrix::new("5-people-presence");
    for (client, account) in &mut clients {
        let name = client.name().to_owned();
        let (from, to) = ways(&name);
        ask(client, json!({"cmd": "presence", "text": "available"})).await?;
        ask(client, json!({"cmd": "subscribe", "to": roost.lid_jid()})).await?;
        let shows = |there| move |event: &ClientEvent| matches!(event, ClientEvent::Presence { available, .. } if *available == there);
        client.wait("roost is there", shows(true)).await?;
        presence(false).await?;
        client.wait("roost hides", shows(false)).await?;
        presence(true).await?;
        client.wait("roost is there again", shows(true)).await?;

        let watch = SubscribePresenceRequest { device: device.clone(), user: account.lid_jid(), end: false };
        api.presence().subscribe_presence(within(watch, CALL)).await?;
        let lid = account.lid_jid();
        let shown = |there: bool| {
            let lid = lid.clone();
            move |payload: &Payload| {
                matches!(payload, Payload::PresenceChanged(changed) if changed.available == there
                    && changed.person.as_ref().is_some_and(|person| person.lid == lid))
            }
        };
        reader.sees(&format!("{name} is there"), shown(true)).await?;
        ask(client, json!({"cmd": "presence", "text": "unavailable"})).await?;
        reader.sees(&format!("{name} is away"), shown(false)).await?;
        ask(client, json!({"cmd": "presence", "text": "available"})).await?;

        for (state, told) in [
            (send_chat_state_request::State::Typing, "composing"),
            (send_chat_state_request::State::Recording, "recording"),
            (send_chat_state_request::State::Paused, "paused"),
        ] {
            let typing =
                SendChatStateRequest { device: device.clone(), chat: account.lid_jid(), state: state.into() };
            api.presence().send_chat_state(within(typing, CALL)).await?;
            let fits =
                |event: &ClientEvent| matches!(event, ClientEvent::Typing { state, .. } if state == told);
            // Baileys shows a pause as being there.
            if told != "paused" || name != "b" {
                client.wait(told, fits).await?;
            }
        }
        for (text, media, state) in [
            ("composing", "", chat_state_changed::State::Typing),
            ("composing", "audio", chat_state_changed::State::Recording),
            ("paused", "", chat_state_changed::State::Paused),
        ] {
            ask(client, json!({"cmd": "typing", "to": roost.lid_jid(), "text": text, "subject": media}))
                .await?;
            let lid = account.lid_jid();
            let told = |payload: &Payload| {
                matches!(payload, Payload::ChatStateChanged(changed) if changed.state() == state
                    && changed.person.as_ref().is_some_and(|person| person.lid == lid))
            };
            reader.sees(&format!("{name} {text} {media}"), told).await?;
        }
        matrix.row("presence").seen(from).seen(to);
        matrix.row("typing").seen(from).seen(to);
    }
    matrix.check()
}

#[tokio::test]
async fn calls_ring_everywhere_and_whoever_rejects_ends_them() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, reader } = World::new().await?;
    let api = cluster.callers.any();
    let caller = stage.person("caller");
    let state = |id: &str| {
        stage.sim.look(|machine| machine.accounts().get(&caller.pn).and_then(|a| a.calls.state(id)))
    };
    let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, true))?;
    let rings = |payload: &Payload| {
        matches!(payload, Payload::CallIncoming(call) if call.call_id == id && call.video
            && call.caller.as_ref().is_some_and(|who| who.phone_number == caller.number_jid()))
    };
    reader.sees("a call", rings).await?;
    let reject = RejectCallRequest { device: device.clone(), caller: caller.lid_jid(), call_id: id.clone() };
    api.calls().reject_call(within(reject, CALL)).await?;
    cluster.until("the caller hears it", || state(&id) == Some("rejected")).await?;

    let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, roost.pn, false))?;
    stage.sim.act(|machine, now| machine.phone_hangs_up(now, caller.pn, roost.pn, &id))?;
    let ended = |payload: &Payload| {
        matches!(payload, Payload::CallEnded(call) if call.call_id == id
            && call.how() == call_ended::How::Terminated && call.reason == "timeout")
    };
    reader.sees("the end of a call", ended).await?;

    for (client, account) in &mut clients {
        let id = stage.sim.act(|machine, now| machine.phone_calls(now, caller.pn, account.pn, false))?;
        let rings = |event: &ClientEvent| matches!(event, ClientEvent::Call { id: call, what, .. } if *call == id && what == "offer");
        client.wait("a call", rings).await?;
        ask(client, json!({"cmd": "reject_call", "to": caller.lid_jid(), "text": id})).await?;
        cluster.until("the caller hears it", || state(&id) == Some("rejected")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn blocking_is_known_to_every_device_of_an_account() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, .. } = World::new().await?;
    let api = cluster.callers.any();
    let account = clients[0].1.clone();
    let mut sibling = stage.paired(Library::Baileys, "sibling", &roost).await?;
    let block = BlockContactRequest { device: device.clone(), user: account.pn.to_string() };
    api.contacts().block_contact(within(block, CALL)).await?;
    assert_eq!(ask(&mut sibling, json!({"cmd": "blocked"})).await?, json!(1));
    let blocked = async || -> Result<Vec<String>, Failure> {
        let list = ListBlockedRequest { device: device.clone() };
        let people = api.contacts().list_blocked(within(list, CALL)).await?.into_inner().people;
        Ok(people.into_iter().map(|person| person.lid).collect())
    };
    assert_eq!(blocked().await?, [account.lid_jid()]);
    let unblock = UnblockContactRequest { device: device.clone(), user: account.lid_jid() };
    api.contacts().unblock_contact(within(unblock, CALL)).await?;
    assert_eq!(blocked().await?, Vec::<String>::new());
    // A real client blocks by the same request.
    let (client, _) = &mut clients[0];
    ask(client, json!({"cmd": "block", "to": roost.lid_jid()})).await?;
    assert_eq!(ask(client, json!({"cmd": "blocked"})).await?, json!(1));
    Ok(())
}
