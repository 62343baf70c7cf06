//! Groups of a Roost device and unmodified whatsmeow, Baileys and whatsapp-rust clients, with somebody who comes later and
//! somebody who goes, while the node that owns the device is killed.
//!
//! Needs Go and Node.js, and fails without them: `.ci/test` installs both.

#[path = "groups/again.rs"]
mod again;
#[path = "groups/announcements.rs"]
mod announcements;
#[path = "groups/communities.rs"]
mod communities;
#[path = "groups/doors.rs"]
mod doors;
#[path = "groups/edits.rs"]
mod edits;
#[path = "groups/links.rs"]
mod links;
#[path = "groups/looks.rs"]
mod looks;
#[path = "groups/requests.rs"]
mod requests;
#[path = "groups/run.rs"]
mod run;
#[path = "groups/stale.rs"]
mod stale;
#[path = "groups/typing.rs"]
mod typing;

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::group_changed::{Action, Change};
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_simulations::interop::{
    CLIENTS, Cast, ClientEvent, Cluster, Failure, Library, Matrix, Person, Reader, RealClient, Stage,
    Trouble, Victim, Way,
};
use roost_simulations::wa::{Fault, Group};
use uuid::Uuid;

/// A device of ours and two clients, all strangers.
struct World {
    stage: Stage,
    cluster: Cluster,
    device: String,
    roost: Person,
    w: RealClient,
    b: RealClient,
    r: RealClient,
    reader: Reader,
}

impl World {
    async fn new() -> Result<World, Failure> {
        World::of(Cast::new(env!("CARGO_BIN_EXE_roost"), 3).await?).await
    }

    async fn of(cast: Cast) -> Result<World, Failure> {
        let Cast { stage, cluster, device, roost, reader } = cast;
        let w = stage.paired(Library::Whatsmeow, "w", &stage.person("w")).await?;
        let b = stage.paired(Library::Baileys, "b", &stage.person("b")).await?;
        let r = stage.paired(Library::WhatsappRust, "r", &stage.person("r")).await?;
        Ok(World { stage, cluster, device, roost, w, b, r, reader })
    }

    async fn say(&self, group: &str, text: &str, wait_for: WaitFor) -> Result<String, Failure> {
        self.cluster.send(&self.device, To::Group(group.to_owned()), text, wait_for).await
    }

    /// Each says something that all others hear.
    async fn round(&mut self, group: &str, number: u32) -> Result<(), Failure> {
        let text = |who: &str| format!("{who} says {number}");
        self.say(group, &text("roost"), WaitFor::Accepted).await?;
        let mut clients = [&mut self.w, &mut self.b, &mut self.r];
        for client in &mut clients {
            client.message(&text("roost")).await?;
        }
        for speaker in 0..clients.len() {
            let said = text(clients[speaker].name());
            clients[speaker].send(group, &said).await?;
            for (at, listener) in clients.iter_mut().enumerate() {
                if at != speaker {
                    listener.message(&said).await?;
                }
            }
        }
        self.reader.received(&["w", "b", "r"].map(text)).await
    }

    /// One of the four adds somebody to the group, or removes him.
    async fn moves(&mut self, by: &str, group: &str, action: &str, who: &Person) -> Result<(), Failure> {
        use api::update_participants_request::Action::{Add, Remove};
        let client = match by {
            "w" => &mut self.w,
            "b" => &mut self.b,
            "r" => &mut self.r,
            _ => {
                let change = api::UpdateParticipantsRequest {
                    device: self.device.clone(),
                    group: group.to_owned(),
                    action: i32::from(if action == "add" { Add } else { Remove }),
                    participants: vec![who.number_jid()],
                    ..Default::default()
                };
                self.cluster.ask(change, async |api, it| api.groups().update_participants(it).await).await?;
                return Ok(());
            }
        };
        Ok(client.members(group, action, &[who.number_jid()]).await?)
    }

    /// Waits until Roost has told of so many additions or removals.
    async fn moved(&self, action: Action, times: usize) -> Result<(), Failure> {
        let is = |event: &api::Event| match &event.payload {
            Some(Payload::GroupChanged(changed)) => {
                matches!(&changed.change, Some(Change::Participants(who)) if who.action() == action)
            }
            _ => false,
        };
        let told = || self.reader.events().iter().filter(|event| is(event)).count() >= times;
        self.cluster.until(&format!("{action:?} {times} times"), told).await
    }

    /// What was amiss so far with the device, and with those clients who saw no owner die.
    fn trouble(&self, with_clients: bool) -> Trouble {
        let clients = [&self.w, &self.b, &self.r].into_iter().filter(|_| with_clients);
        self.stage.trouble(&self.roost, &self.reader, clients)
    }

    /// At least so many owners have died, and nothing shows it but what would be so without a death.
    async fn survived(&self, owners: usize, without: Trouble) -> Result<(), Failure> {
        assert!(self.cluster.outlived().await? >= owners);
        assert_eq!(self.reader.repeated(), Vec::<String>::new());
        assert_eq!(self.reader.faults(), Vec::<String>::new());
        let trouble = self.stage.trouble_amid_deaths(&self.roost, &self.reader).but_refusals();
        let retries = trouble.retries.saturating_sub(without.retries);
        assert_eq!(Trouble { retries, ..trouble }, Trouble { retries: 0, ..without });
        assert_eq!(self.stage.key_reuse(), Vec::<String>::new());
        for client in [&self.w, &self.b, &self.r] {
            assert_eq!(client.doubled(), Vec::<String>::new());
        }
        Ok(())
    }

    async fn changed(&self, what: &str, fits: impl Fn(&Change) -> bool) -> Result<(), Failure> {
        self.reader
            .wait(what, |payload| match payload {
                Payload::GroupChanged(changed) => changed.change.as_ref().filter(|is| fits(is)).map(|_| ()),
                _ => None,
            })
            .await
    }
}

#[tokio::test]
async fn a_group_talks_on_while_members_come_and_go_and_the_owner_is_killed() -> Result<(), Failure> {
    let mut world = World::new().await?;
    let late = world.stage.person("late");
    let [b, r] = ["b", "r"].map(|name| world.stage.person(name).number_jid());
    let group = world.w.group("Hens", &[world.roost.number_jid(), b, r]).await?;
    world.changed("joining", |change| *change == Change::Joined("Hens".to_owned())).await?;
    world.round(&group, 1).await?;

    let received = world
        .reader
        .wait("a message of the group", |payload| match payload {
            Payload::MessageReceived(message) if message.group == group => Some(message.clone()),
            _ => None,
        })
        .await?;
    assert!(received.chat.is_none() && received.sender.is_some_and(|sender| !sender.lid.is_empty()));

    assert_eq!(world.trouble(true), Trouble::default());
    let (_, epoch) = world.cluster.kill_owner(&world.device, Victim::Worker).await?;
    world.round(&group, 2).await?;
    world.cluster.taken_over(&world.device, epoch).await?;

    let mut newcomer = world.stage.paired(Library::Baileys, "late", &late).await?;
    let jids = ["roost", "b", "r"].map(|name| world.stage.person(name).number_jid());
    world.w.members(&group, "promote", &jids).await?;
    let mut matrix = Matrix::new("2-groups");
    for (turn, by) in (0..).zip(["w", "b", "r", "roost"]) {
        let (within, without) = (3 + 2 * turn, 4 + 2 * turn);
        world.moves(by, &group, "add", &late).await?;
        world.moved(Action::Added, turn as usize + 1).await?;
        world.round(&group, within).await?;
        newcomer.message(&format!("roost says {within}")).await?;
        // All of them: Baileys encrypts with the same key twice when it reads a message while it sends one.
        for name in ["w", "b", "r"] {
            newcomer.message(&format!("{name} says {within}")).await?;
        }
        let text = format!("late says {within}");
        newcomer.send(&group, &text).await?;
        world.reader.received(&[text]).await?;

        world.moves(by, &group, "remove", &late).await?;
        world.moved(Action::Removed, turn as usize + 1).await?;
        world.round(&group, without).await?;
        // Nothing is for somebody who was removed, and no key is one that he has.
        assert_eq!(world.trouble(false), Trouble::default(), "{by} has removed somebody");
        for (library, name) in CLIENTS {
            matrix.row("text in a group").seen(Way::From(library)).seen(Way::To(library));
            let row = matrix.row("member added, member removed");
            if by == name {
                row.seen(Way::From(library));
            } else if by == "roost" {
                row.seen(Way::To(library));
            }
        }
    }

    for (text, count) in world.reader.texts() {
        assert_eq!(count, 1, "{text:?} is in the event log {count} times");
    }
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    matrix.check()
}

#[tokio::test]
async fn every_member_says_how_far_a_message_came_with_him() -> Result<(), Failure> {
    let mut world = World::new().await?;
    run::read_by_all(&mut world).await?;
    assert_eq!(world.trouble(true), Trouble::default());
    Ok(())
}

#[tokio::test]
async fn what_all_members_say_in_one_receipt_is_heard_of_each() -> Result<(), Failure> {
    let mut world = World::new().await?;
    run::told_together(&mut world).await?;
    assert_eq!(world.trouble(true), Trouble::default());
    Ok(())
}

#[tokio::test]
async fn a_device_makes_a_group_and_runs_it() -> Result<(), Failure> {
    let mut world = World::new().await?;
    run::run(&mut world).await?;
    let trouble = world.trouble(true).but_refusals();
    let b = world.stage.person("b").lid;
    assert!(trouble.unread_by_clients.iter().all(|unread| unread.contains(&b)), "{trouble:?}");
    assert_eq!(Trouble { unread_by_clients: Vec::new(), ..trouble }, after_a_refused_key());
    Ok(())
}

#[tokio::test]
async fn a_group_is_made_once_though_its_owner_dies_before_the_answer() -> Result<(), Failure> {
    let Cast { stage, cluster, device, .. } = Cast::new(env!("CARGO_BIN_EXE_roost"), 3).await?;
    let owner = stage.person("roost");
    let late = |ms| stage.sim.commit(&Fault::Delay { device: Some(owner.first_device()), ms });
    let create = api::CreateGroupRequest {
        device: device.clone(),
        subject: "Ducks".into(),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let is = |group: &&Group| group.subject == "Ducks";
    let jid = |group: &Group| group.jid().to_string();
    let made =
        || -> Vec<String> { stage.sim.look(|world| world.groups().values().filter(is).map(jid).collect()) };
    late(60_000)?;
    let asked = cluster.ask(create.clone(), async |api, it| api.groups().create_group(it).await);
    let killed = async {
        cluster.until("a group of which nobody knows", || !made().is_empty()).await?;
        cluster.kill_owner(&device, Victim::Worker).await?;
        late(0)?;
        Ok::<_, Failure>(())
    };
    let (group, killed) = tokio::join!(asked, killed);
    killed?;
    assert_eq!(made(), [group?.group]);
    Ok(())
}

#[tokio::test]
async fn a_group_is_run_and_its_members_are_heard_though_the_owner_is_killed_again_and_again()
-> Result<(), Failure> {
    let mut world = World::of(Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?).await?;
    run::run(&mut world).await?;
    run::read_by_all(&mut world).await?;
    stale::overcome(&mut world).await?;
    let mut matrix = Matrix::new("2-groups-run");
    all_sorts(&mut world, &mut matrix).await?;
    world.survived(6, after_a_refused_key()).await
}

/// For itself: a node that died ten times within two minutes is not started again.
#[tokio::test]
async fn doors_open_and_groups_change_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::of(Cast::mortal(env!("CARGO_BIN_EXE_roost"), 3).await?).await?;
    let mut matrix = Matrix::new("2-groups-run");
    doors_and_looks(&mut world, &mut matrix).await?;
    world.survived(6, Trouble::default()).await
}

#[tokio::test]
async fn settings_invites_and_communities_go_both_ways() -> Result<(), Failure> {
    let mut matrix = Matrix::new("2-groups-run");
    let mut world = World::new().await?;
    doors_and_looks(&mut world, &mut matrix).await?;
    all_sorts(&mut world, &mut matrix).await?;
    assert_eq!(world.trouble(true).but_refusals(), Trouble::default());
    matrix.check()
}

/// In [`run::run`] Baileys gives its sender key with a message that is refused, and does not give it again: the device has
/// to ask for the next one.
fn after_a_refused_key() -> Trouble {
    Trouble { retries: 1, ..Trouble::default() }
}

/// What goes on at the doors of groups where nobody has closed his own, and how they look.
async fn doors_and_looks(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    looks::of_roost(world, matrix).await?;
    looks::of_clients(world, matrix).await?;
    requests::answered(world, matrix).await?;
    links::made_anew(world, matrix).await
}

async fn all_sorts(world: &mut World, matrix: &mut Matrix) -> Result<(), Failure> {
    doors::settings(world, matrix).await?;
    typing::seen(world, matrix).await?;
    edits::edits(world, matrix).await?;
    communities::of_roost(world, matrix).await?;
    communities::of_clients(world, matrix).await?;
    // Nobody adds anybody from here on.
    doors::invites(world, matrix).await?;
    requests::taken_back(world, matrix).await
}
