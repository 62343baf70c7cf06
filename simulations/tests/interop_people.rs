//! Unmodified whatsmeow, Baileys and whatsapp-rust judge what a Roost device says and hears of people: numbers, profiles,
//! privacy, presence, typing, calls, whom one blocks, businesses, and pairing by a code. Most of it once more while the
//! owner of the device is killed.
//!
//! Real processes as in `interop.rs`: one `roost serve`, or three of which one dies, and a driver of each library.

#[path = "people/business.rs"]
mod business;
#[path = "people/calls.rs"]
mod calls;
#[path = "people/links.rs"]
mod links;
#[path = "people/pairing.rs"]
mod pairing;
#[path = "people/privacy.rs"]
mod privacy;
#[path = "people/push.rs"]
mod push;
#[path = "people/siblings.rs"]
mod siblings;

use std::time::Duration;

use roost_proto::api::event::Payload;
use roost_proto::api::*;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Matrix, Person, Reader, RealClient, Stage, Trouble, Way,
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
        World::empty().await?.met().await
    }

    /// The same, and once in two calls the owner of the device dies.
    async fn mortal() -> Result<World, Failure> {
        World::of(Cast::mortal(env!("CARGO_BIN_EXE_roost"), 2).await?).met().await
    }

    async fn met(mut self) -> Result<World, Failure> {
        let world = &mut self;
        for (library, name) in CLIENTS {
            let account = world.stage.person(name);
            let mut client = world.stage.paired(library, name, &account).await?;
            let text = format!("hello from {name}");
            client.send(&world.roost.number_jid(), &text).await?;
            world.reader.received(&[text]).await?;
            world.clients.push((client, account));
        }
        Ok(self)
    }

    async fn empty() -> Result<World, Failure> {
        Ok(World::of(Cast::new(env!("CARGO_BIN_EXE_roost"), 1).await?))
    }

    fn of(cast: Cast) -> World {
        let Cast { stage, cluster, device, roost, reader } = cast;
        World { stage, cluster, device, roost, clients: Vec::new(), reader }
    }
}

/// Asks a client; its name goes into the failure.
async fn ask(client: &mut RealClient, command: Value) -> Result<Value, Failure> {
    Ok(client.people(command).await?)
}

#[tokio::test]
async fn numbers_profiles_and_settings_are_the_same_for_every_client() -> Result<(), Failure> {
    World::new().await?.numbers().await?.check()
}

#[tokio::test]
async fn presence_and_typing_go_both_ways() -> Result<(), Failure> {
    World::new().await?.presence().await?.check()
}

#[tokio::test]
async fn calls_ring_everywhere_and_whoever_rejects_ends_them() -> Result<(), Failure> {
    let mut world = World::new().await?;
    world.calls().await?.check()?;
    world.calls_of_groups().await?;
    world.calls_while_away().await
}

#[tokio::test]
async fn blocking_is_known_to_every_device_of_an_account() -> Result<(), Failure> {
    World::new().await?.blocking().await?.check()
}

#[tokio::test]
async fn all_of_this_is_so_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::mortal().await?;
    world.numbers().await?.check()?;
    world.presence().await?.check()?;
    world.calls().await?.check()?;
    world.blocking().await?.check()?;
    world.siblings().await?.check()?;
    world.survived(13).await
}

impl World {
    /// At least so many owners have died, and nothing shows it.
    async fn survived(&self, owners: usize) -> Result<(), Failure> {
        assert!(self.cluster.outlived().await? >= owners);
        assert_eq!(self.reader.repeated(), Vec::<String>::new());
        assert_eq!(self.reader.faults(), Vec::<String>::new());
        let trouble = self.stage.trouble_amid_deaths(&self.roost, &self.reader);
        assert_eq!(trouble.but_refusals(), Trouble::default());
        assert_eq!(self.stage.key_reuse(), Vec::<String>::new());
        Ok(())
    }

    async fn numbers(&mut self) -> Result<Matrix, Failure> {
        let World { cluster, device, roost, clients, reader, .. } = self;
        let nobody = "4930999999999".to_owned();
        let mut matrix = Matrix::new("5-people");

        let about = SetAboutRequest { device: device.clone(), text: "open from nine".to_owned() };
        cluster.ask(about, async |api, it| api.accounts().set_about(it).await).await?;
        let picture = SetProfilePictureRequest { device: device.clone(), jpeg: JPEG.to_vec() };
        let picture =
            cluster.ask(picture, async |api, it| api.accounts().set_profile_picture(it).await).await?.id;
        for (client, _) in clients.iter_mut() {
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
            assert_eq!(
                ask(client, json!({"cmd": "about", "to": jid})).await?,
                json!("open from nine"),
                "{name}"
            );
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
        assert_eq!(
            cluster.ask(look, async |api, it| api.contacts().get_user_info(it).await).await?.users.len(),
            3
        );
        for (client, account) in clients.iter_mut() {
            let name = client.name().to_owned();
            ask(client, json!({"cmd": "set_about", "text": format!("about {name}")})).await?;
            let users = vec![account.pn.to_string(), nobody.clone()];
            let info = GetUserInfoRequest { device: device.clone(), users };
            let info = cluster.ask(info, async |api, it| api.contacts().get_user_info(it).await).await?.users;
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
            ask(client, json!({"cmd": "set_picture", "text": "JPEG"})).await?;
            let look = GetProfilePictureRequest {
                device: device.clone(),
                user: account.pn.to_string(),
                ..Default::default()
            };
            let shown =
                cluster.ask(look, async |api, it| api.contacts().get_profile_picture(it).await).await?;
            let changed = |payload: &Payload| {
                matches!(payload, Payload::ProfileChanged(changed)
                if changed.what() == profile_changed::What::Picture && changed.value == shown.id
                && changed.person.as_ref().is_some_and(|who| {
                    who.phone_number == account.number_jid() && who.lid == account.lid_jid()
                }))
            };
            reader.sees("a new picture", changed).await?;
            matrix.row("profile picture").seen(from);
            let known = ResolveIdentityRequest { device: device.clone(), user: account.lid_jid() };
            let known = cluster.ask(known, async |api, it| api.contacts().resolve_identity(it).await).await?;
            assert_eq!(known.phone_number, account.number_jid(), "{name}: learned from its message");
            assert_eq!(ask(client, json!({"cmd": "privacy"})).await?, json!("all"), "{name}");
        }

        let hide = SetPrivacyRequest {
            device: device.clone(),
            category: "status".into(),
            value: "none".into(),
            exceptions: None,
        };
        let settings =
            cluster.ask(hide, async |api, it| api.accounts().set_privacy(it).await).await?.settings;
        assert_eq!(settings["status"], "none");
        for (client, account) in clients.iter_mut() {
            let (from, to) = ways(client.name());
            assert_eq!(ask(client, json!({"cmd": "about", "to": roost.number_jid()})).await?, json!(""));
            ask(client, json!({"cmd": "hide_about"})).await?;
            let look = GetUserInfoRequest { device: device.clone(), users: vec![account.pn.to_string()] };
            let shown =
                cluster.ask(look, async |api, it| api.contacts().get_user_info(it).await).await?.users;
            assert_eq!(shown[0].about, "", "{}", client.name());
            matrix.row("what privacy hides").seen(from).seen(to);
        }
        Ok(matrix)
    }

    async fn presence(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, reader } = self;
        let watched = |pn| stage.sim.look(|machine| machine.watched_by(pn));
        let presence = async |available| {
            let presence = SetPresenceRequest { device: device.clone(), available };
            cluster.ask(presence, async |api, it| api.presence().set_presence(it).await).await
        };
        let mut matrix = Matrix::new("5-people-presence");
        for (client, account) in clients.iter_mut() {
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

            let watch =
                SubscribePresenceRequest { device: device.clone(), user: account.lid_jid(), end: false };
            cluster.ask(watch, async |api, it| api.presence().subscribe_presence(it).await).await?;
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
                let typing = SendChatStateRequest {
                    device: device.clone(),
                    chat: account.lid_jid(),
                    state: state.into(),
                };
                // It is kept for nobody who is away.
                cluster.ask_spared(typing, async |api, it| api.presence().send_chat_state(it).await).await?;
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
            // whatsapp-rust alone can look away.
            if name == "r" {
                let before = watched(roost.pn);
                ask(client, json!({"cmd": "unsubscribe", "to": roost.lid_jid()})).await?;
                cluster.until("it looks away", || watched(roost.pn) < before).await?;
            }
            let end = SubscribePresenceRequest { device: device.clone(), user: account.lid_jid(), end: true };
            cluster.ask(end, async |api, it| api.presence().subscribe_presence(it).await).await?;
            cluster.until("the device looks away", || watched(account.pn) == 0).await?;
            matrix.row("presence").seen(from).seen(to);
            matrix.row("typing").seen(from).seen(to);
        }
        Ok(matrix)
    }
}
