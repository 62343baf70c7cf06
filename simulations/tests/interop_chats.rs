//! Unmodified whatsmeow, Baileys and whatsapp-rust and a Roost device on one account: what one changes the others see,
//! and what the phone tells of the past arrives once, also while the owner of the device is killed.
//!
//! Real processes: `roost serve`, a driver of each library, on SQLite; only the simulated WhatsApp
//! with its phones runs in this process. Needs Go and Node.js, and fails without them.

#[path = "chats/changes.rs"]
mod changes;
#[path = "chats/everybody.rs"]
mod everybody;

use std::collections::BTreeMap;
use std::path::PathBuf;

use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::appstate::{Action, Mute};
use roost_proto::e2e;
use roost_proto::history::{Beside, Past};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;
use roost_simulations::interop::{
    ClientEvent, Cluster, Failure, Library, Person, Reader, RealClient, Stage, Trouble, Victim,
};
use roost_simulations::wa::{Fault, PastChat};
use serde_json::json;

use changes::fits;
use everybody::{CHANGES, OTHER, changed};

/// A chat that all of them know of.
const CHAT: &str = "15559990000@s.whatsapp.net";

/// A phone with a past, and a Roost device that is linked to it.
struct World {
    stage: Stage,
    cluster: Cluster,
    device: String,
    person: Person,
    reader: Reader,
}

/// Chats of the past: each with so many messages, the newest first.
fn past(chats: usize, messages: usize) -> Vec<PastChat> {
    let chat = |number: usize| {
        let chat = Jid::pn(format!("1555999{number:04}"));
        let message = |at: usize| Past {
            id: format!("OLD{number}X{at}"),
            from_me: at.is_multiple_of(3),
            participant: None,
            at: UnixMillis(1_700_000_000_000 - i64::try_from(at).expect("few") * 60_000),
            push_name: String::new(),
            content: e2e::text(&format!("old {number} {at}")).into(),
            beside: Beside::default(),
        };
        PastChat { chat, name: format!("friend {number}"), messages: (0..messages).map(message).collect() }
    };
    (0..chats).map(chat).collect()
}

impl World {
    async fn new(chats: Vec<PastChat>) -> Result<Self, Failure> {
        World::of(2, chats).await
    }

    /// On so many nodes.
    async fn of(nodes: usize, chats: Vec<PastChat>) -> Result<Self, Failure> {
        let stage = Stage::set().await?;
        let url = stage.sqlite();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
        let cluster = Cluster::start(&stage, program, &url, nodes).await?;
        let person = stage.person("shop");
        stage.sim.phone_remembers(person.pn, chats)?;
        cluster.create_tenant("acme").await?;
        let device = cluster.create_device("acme", "shop").await?;
        let reader = Reader::start(&cluster, &device);
        cluster.pair(&stage, &device, &person).await?;
        // Its keys come before the past.
        reader.sees("any history", |payload| matches!(payload, Payload::HistoryChunk(_))).await?;
        Ok(Self { stage, cluster, device, person, reader })
    }

    /// Waits for the event of such a change.
    async fn sees(&self, what: &str, chat: &str, on: bool, text: &str) -> Result<(), Failure> {
        let fits = |payload: &Payload| fits(payload, what, chat, on, text);
        self.reader.sees(&format!("{what} {chat} {on} {text}"), fits).await
    }

    /// How many events of such a change there are.
    fn times(&self, what: &str, chat: &str, on: bool, text: &str) -> usize {
        let events = self.reader.events();
        let payloads = events.iter().filter_map(|event| event.payload.as_ref());
        payloads.filter(|payload| fits(payload, what, chat, on, text)).count()
    }
}

#[tokio::test]
async fn what_one_device_changes_the_others_see() -> Result<(), Failure> {
    changed(&World::new(past(1, 3)).await?).await?.check()
}

#[tokio::test]
async fn what_one_device_changes_the_others_see_though_the_owner_is_killed_again_and_again()
-> Result<(), Failure> {
    let mut world = World::of(3, past(1, 3)).await?;
    world.cluster.let_die(&world.device, 1);
    changed(&world).await?.check()?;
    // Beside the changes: the device is asked for its name, somebody is taken out of the address book, a record is
    // written, and a chat looked at.
    assert_eq!(world.cluster.outlived().await?, CHANGES.len() + 4);
    Ok(())
}

#[tokio::test]
async fn changes_survive_deaths_conflicts_and_keys_that_nobody_has() -> Result<(), Failure> {
    let world = World::new(past(1, 1)).await?;
    let mut sibling = world.stage.paired(Library::Whatsmeow, "w", &world.person).await?;
    world.change("pin", CHAT, true, "").await?;
    sibling.sees("pin", CHAT, true, "").await?;

    // The phone is faster, three times.
    world.stage.sim.commit(&Fault::Overtake { device: world.person.first_device(), count: 3 })?;
    world.change("pin", CHAT, false, "").await?;
    sibling.sees("pin", CHAT, false, "").await?;

    // The phone uses a key that it has told nobody.
    world.stage.sim.phone_makes_key(world.person.pn)?;
    let muted = Action::Mute { chat: CHAT.parse()?, mute: Mute::Forever };
    world.stage.sim.phone_changes(world.person.pn, &[muted])?;
    world.sees("mute", CHAT, true, "").await?;

    // A new owner goes on where the last one was.
    let (_, epoch) = world.cluster.kill_owner(&world.device, Victim::Worker).await?;
    world.change("mute", CHAT, false, "").await?;
    sibling.sees("mute", CHAT, false, "").await?;
    world.cluster.taken_over(&world.device, epoch).await?;
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    let resynced = |payload: &Payload| matches!(payload, Payload::AppStateResynced(_));
    assert!(!world.reader.events().iter().filter_map(|event| event.payload.as_ref()).any(resynced));
    let trouble = world.stage.trouble(&world.person, &world.reader, []);
    assert_eq!(trouble.but_refusals(), Trouble::default());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn unmodified_clients_and_a_device_read_whole_collections_and_large_patches_from_files()
-> Result<(), Failure> {
    let mute = |number: u32| -> Result<Action, Failure> {
        Ok(Action::Mute { chat: format!("1555998{number:04}@s.whatsapp.net").parse()?, mute: Mute::Forever })
    };
    let world = World::new(past(1, 1)).await?;
    let pn = world.person.pn;
    for number in 0..12 {
        world.stage.sim.phone_changes(pn, &[mute(number)?])?;
    }
    // They begin with the whole collection, and follow from there.
    let mut clients: Vec<RealClient> = Vec::new();
    for (library, name) in [(Library::Whatsmeow, "w"), (Library::Baileys, "b")] {
        clients.push(world.stage.paired(library, name, &world.person).await?);
    }
    let many = (100..130).map(mute).collect::<Result<Vec<_>, _>>()?;
    world.stage.sim.phone_changes(pn, &many)?;
    world.stage.sim.phone_changes(pn, &[mute(200)?])?;
    for chat in ["15559980129@s.whatsapp.net", "15559980200@s.whatsapp.net"] {
        world.sees("mute", chat, true, "").await?;
        for client in &mut clients {
            client.sees("mute", chat, true, "").await?;
        }
    }
    // What they upload then has the right hashes.
    for client in &mut clients {
        client.change("pin", CHAT, true, "").await?;
        world.sees("pin", CHAT, true, "").await?;
    }
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn an_unmodified_client_gets_from_its_phone_what_was_withheld() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let (person, friend) = (stage.person("w"), stage.person("friend"));
    // whatsmeow can ask the phone once the phone has said something to it.
    stage.sim.phone_remembers(person.pn, past(1, 1))?;
    let mut client = stage.paired(Library::Whatsmeow, "w", &person).await?;
    client.wait("history", |event| matches!(event, ClientEvent::History { .. })).await?;
    let device = person.first_device();
    stage.sim.commit(&Fault::WithholdDeliveries { device, count: 1 })?;
    stage.sim.phone_sends(friend.pn, &person.number_jid(), "only for the phone")?;
    client.message("only for the phone").await?;
    Ok(())
}

#[tokio::test]
async fn an_unmodified_client_takes_a_whole_collection_from_its_phone() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let person = stage.person("w");
    stage.sim.phone_remembers(person.pn, past(1, 1))?;
    let mut client = stage.paired(Library::Whatsmeow, "w", &person).await?;
    client.wait("history", |event| matches!(event, ClientEvent::History { .. })).await?;
    // What WhatsApp gives does not verify, so that only the phone can tell of the change.
    stage.sim.commit(&Fault::TamperPatches { device: person.first_device(), count: u32::MAX })?;
    let muted = Action::Mute { chat: CHAT.parse()?, mute: Mute::Forever };
    stage.sim.phone_changes(person.pn, &[muted])?;
    client.change("recover", "", true, "regular_high").await?;
    client.sees("mute", CHAT, true, "").await?;
    Ok(())
}

#[tokio::test]
async fn unmodified_clients_fetch_the_past_that_the_phone_gives_as_files() -> Result<(), Failure> {
    const CHATS: usize = 50;
    const MESSAGES: usize = 12;
    let stage = Stage::set().await?;
    for (library, name) in [(Library::Whatsmeow, "w"), (Library::Baileys, "b")] {
        let person = stage.person(name);
        stage.sim.phone_remembers(person.pn, past(CHATS, MESSAGES))?;
        let mut client = stage.client(library, name).await?;
        client.command(json!({ "cmd": "connect", "history": true })).await?;
        stage.scan(&client.qr().await?, &person)?;
        client.logged_in().await?;
        let mut left = CHATS * MESSAGES;
        while left > 0 {
            let told = client.wait("history", |event| matches!(event, ClientEvent::History { .. })).await?;
            let ClientEvent::History { messages, .. } = told else { unreachable!("the wait took history") };
            left = left.checked_sub(messages).ok_or_else(|| Failure::new("there is more than was told"))?;
        }
        // whatsmeow deletes what it has read, and Baileys nothing.
        let files = || stage.sim.look(|machine| machine.history_files(person.pn));
        match library {
            Library::Whatsmeow => stage.until("its files are deleted", || files() == (3, 0)).await?,
            _ => assert_eq!(files(), (0, 3)),
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_past_of_a_hundred_chats_is_told_once_though_its_owner_is_killed() -> Result<(), Failure> {
    const CHATS: usize = 100;
    const MESSAGES: usize = 12;
    let world = World::new(past(CHATS, MESSAGES)).await?;
    let friend = world.stage.person("friend");
    let mut client = world.stage.paired(Library::Whatsmeow, "friend", &friend).await?;
    let mut epoch = 0;
    for round in 0..3 {
        world.reader.messages(round * 200 + 1).await?;
        world.cluster.taken_over(&world.device, epoch).await?;
        epoch = world.cluster.kill_owner(&world.device, Victim::Worker).await?.1;
        client.send(&world.person.number_jid(), &format!("live {round}")).await?;
    }
    world.cluster.taken_over(&world.device, epoch).await?;
    let live: Vec<String> = (0..3).map(|round| format!("live {round}")).collect();
    world.reader.received(&live).await?;
    world.reader.messages(CHATS * MESSAGES + live.len()).await?;
    let done = |payload: &Payload| matches!(payload, Payload::HistoryChunk(chunk) if chunk.progress == 100);
    world.reader.sees("the end of history", done).await?;
    let twice: BTreeMap<String, usize> =
        world.reader.texts().into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(twice, BTreeMap::new());
    let old = |event: &&api::Event| matches!(&event.payload, Some(Payload::MessageReceived(message)) if message.whatsapp_id.starts_with("OLD"));
    let events = world.reader.events();
    assert!(events.iter().filter(old).all(|event| event.origin() == Origin::History));
    // Names, and the chats in three files: none had to be uploaded again, and an owner that was killed leaves one at most.
    let files = || world.stage.sim.look(|machine| machine.history_files(world.person.pn));
    let deleted = || matches!(files(), (1.., left) if left <= 3) && files().0 + files().1 as u64 == 4;
    world.cluster.until("the files are deleted", deleted).await?;
    let before = files().0;
    assert_eq!(world.reader.faults(), Vec::<String>::new());

    // Older messages of one chat, on request: what is in the log is not told again.
    let wanted = api::SyncHistoryRequest {
        parent: world.device.clone(),
        chat: CHAT.to_owned(),
        before_whatsapp_id: "OLD0X3".to_owned(),
        before_from_me: true,
        before_time: Some(api::Timestamp { seconds: 1_700_000_000 - 180, nanos: 0 }),
        count: 5,
        since: None,
    };
    let asked = world.cluster.ask(wanted, async |api, it| api.history().sync_history(it).await).await?;
    let answered =
        |payload: &Payload| matches!(payload, Payload::HistoryChunk(chunk) if chunk.request == asked.request);
    world.reader.sees("the answer of the phone", answered).await?;
    assert_eq!(world.reader.message_count(), CHATS * MESSAGES + live.len());
    world.cluster.until("the file of the answer is deleted", || files().0 > before).await?;

    let to = To::PhoneNumber(friend.pn.to_string());
    world.cluster.send(&world.device, to, "and still talks", WaitFor::Accepted).await?;
    client.message("and still talks").await?;
    let trouble = world.stage.trouble(&world.person, &world.reader, []);
    assert_eq!(trouble.but_refusals(), Trouble::default());
    assert_eq!(world.stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_change_that_comes_while_another_is_read_is_told_too() -> Result<(), Failure> {
    let world = World::new(past(1, 3)).await?;
    let mut sibling = world.stage.paired(Library::Whatsmeow, "w", &world.person).await?;
    sibling.wait("history", |event| matches!(event, ClientEvent::History { .. })).await?;
    for turn in 0..20 {
        let on = turn % 2 == 0;
        let mute = if on { Mute::Forever } else { Mute::Off };
        world.stage.sim.phone_changes(world.person.pn, &[Action::Mute { chat: OTHER.parse()?, mute }])?;
        // The sibling has read it; the device may be about to.
        sibling.sees("mute", OTHER, on, "").await?;
        let before = world.times("mute", CHAT, on, "");
        sibling.change("mute", CHAT, on, "").await?;
        let told = || world.times("mute", CHAT, on, "") > before;
        world.cluster.until(&format!("change {turn}"), told).await?;
    }
    assert_eq!(world.reader.faults(), Vec::<String>::new());
    Ok(())
}
