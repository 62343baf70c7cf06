//! Unmodified whatsmeow and Baileys clients talk with a Roost device while the node that owns it is killed.
//!
//! Real processes: three `roost serve`, a whatsmeow driver, a Baileys driver, on PostgreSQL or SQLite; only the
//! simulated WhatsApp runs in this process. Needs PostgreSQL, Go, Node.js and Python, and fails without them:
//! `.ci/test` installs all four.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_simulations::interop::{
    CLIENTS, Cast, Cluster, Failure, Library, Person, Reader, RealClient, Stage, Trouble, Victim, python,
};
use roost_simulations::postgres::TempPostgres;
use roost_simulations::wa::Fault;
use serde_json::Value;
use tokio::process::Command;

/// Texts in each direction between Roost and each real client.
const ROUNDS: usize = 12;

/// A Roost device and one client of each library, each with an account of its own, who know each other.
struct World {
    stage: Stage,
    cluster: Cluster,
    device: String,
    roost: Person,
    clients: Vec<(RealClient, Person)>,
    reader: Reader,
}

impl World {
    async fn new(store_url: impl FnOnce(&Stage) -> String) -> Result<Self, Failure> {
        let stage = Stage::set().await?;
        let store = store_url(&stage);
        let cast = Cast::on(stage, env!("CARGO_BIN_EXE_roost"), &store, 3).await?;
        let clients = cast.clients(&CLIENTS[..2]).await?;
        let Cast { stage, cluster, device, roost, reader } = cast;
        Ok(Self { stage, cluster, device, roost, clients, reader })
    }

    /// One text from each client to Roost and back. Returns (sent to Roost, sent to each client).
    async fn round(&mut self, round: usize) -> Result<(Vec<String>, Vec<String>), Failure> {
        let (mut to_roost, mut to_clients) = (Vec::new(), Vec::new());
        // Every other round goes to the phone number, the others to the hidden identity.
        let by_number = round.is_multiple_of(2);
        for (client, account) in &mut self.clients {
            let name = client.name().to_owned();
            let text = format!("{name} to roost {round}");
            let jid = if by_number { self.roost.number_jid() } else { self.roost.lid_jid() };
            client.send(&jid, &text).await?;
            to_roost.push(text);
            let text = format!("roost to {name} {round}");
            let to = match by_number {
                true => To::PhoneNumber(account.pn.to_string()),
                false => To::Lid(account.lid.clone()),
            };
            self.cluster.send(&self.device, to, &text, WaitFor::Accepted).await?;
            to_clients.push(text);
        }
        Ok((to_roost, to_clients))
    }

    /// Talks for some rounds, kills the owner again and again without a pause in the talk, and checks that
    /// everything arrived once.
    async fn talk_over_deaths(&mut self, victim: Victim, deaths: usize) -> Result<(), Failure> {
        let (mut to_roost, mut to_clients) = (Vec::new(), Vec::new());
        let every = ROUNDS / (deaths + 1);
        let mut last_epoch = 0;
        for round in 0..ROUNDS {
            if round > 0 && round.is_multiple_of(every) && round / every <= deaths {
                self.cluster.taken_over(&self.device, last_epoch).await?;
                let (_, epoch) = self.cluster.kill_owner(&self.device, victim).await?;
                last_epoch = epoch;
            }
            let (sent, answered) = self.round(round).await?;
            to_roost.extend(sent);
            to_clients.extend(answered);
        }
        self.cluster.taken_over(&self.device, last_epoch).await?;
        self.reader.received(&to_roost).await?;
        for (client, _) in &mut self.clients {
            let name = format!("roost to {} ", client.name());
            for text in to_clients.iter().filter(|text| text.starts_with(&name)) {
                client.message(text).await?;
            }
        }
        for (text, count) in self.reader.texts() {
            assert_eq!(count, 1, "{text:?} is in the event log {count} times");
        }
        // Receivers know a message by its id: what a new owner sends again may come twice, but only under the
        // id that it had. Baileys shows it twice then, because it no longer has the ratchet for the first.
        for (client, _) in &self.clients {
            let seen: BTreeSet<(String, String)> =
                client.messages().into_iter().map(|message| (message.text, message.id)).collect();
            assert_eq!(seen.len(), ROUNDS, "{} received {seen:?}", client.name());
        }
        assert_eq!(self.reader.faults(), Vec::<String>::new());
        assert_eq!(self.stage.trouble_amid_deaths(&self.roost, &self.reader), Trouble::default());
        assert!(self.stage.key_reuse().is_empty(), "{:?}", self.stage.key_reuse());
        Ok(())
    }
}

#[tokio::test]
async fn real_clients_talk_with_a_device_whose_worker_is_killed() -> Result<(), Failure> {
    World::new(Stage::sqlite).await?.talk_over_deaths(Victim::Worker, 3).await
}

#[tokio::test]
async fn real_clients_talk_with_a_device_whose_whole_node_is_killed() -> Result<(), Failure> {
    let server = tokio::task::spawn_blocking(TempPostgres::start).await??;
    let url = server.database("interop")?;
    World::new(|_| url).await?.talk_over_deaths(Victim::Parent, 1).await
}

#[tokio::test]
async fn a_real_client_and_a_device_share_an_account() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, reader } = World::new(Stage::sqlite).await?;
    // Everybody knows everybody's device lists before the account gets its second device.
    clients[0].0.send(&roost.number_jid(), "before").await?;
    reader.received(&["before".to_owned()]).await?;
    let mut sibling = stage.paired(Library::Baileys, "sibling", &roost).await?;

    let (client, person) = &mut clients[0];
    client.send(&roost.number_jid(), "to both").await?;
    assert!(!sibling.message("to both").await?.from_me);
    sibling.send(&person.number_jid(), "from the sibling").await?;
    client.message("from the sibling").await?;
    reader.received(&["to both".to_owned(), "from the sibling".to_owned()]).await?;

    let to = To::PhoneNumber(person.pn.to_string());
    cluster.send(&device, to, "from the device", WaitFor::Accepted).await?;
    client.message("from the device").await?;
    assert!(sibling.message("from the device").await?.from_me);
    let clients = clients.iter().map(|(client, _)| client).chain([&sibling]);
    assert_eq!(stage.trouble(&roost, &reader, clients), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_message_that_a_real_client_cannot_read_is_sent_again() -> Result<(), Failure> {
    let World { stage, cluster, device, roost, mut clients, reader } = World::new(Stage::sqlite).await?;
    for (client, person) in &mut clients {
        let (name, to) = (client.name().to_owned(), || To::PhoneNumber(person.pn.to_string()));
        cluster.send(&device, to(), &format!("whole, to {name}"), WaitFor::Accepted).await?;
        client.message(&format!("whole, to {name}")).await?;
        stage.sim.commit(&Fault::CorruptDeliveries { device: person.first_device(), count: 1 })?;
        let damaged = format!("damaged, to {name}");
        cluster.send(&device, to(), &damaged, WaitFor::Accepted).await?;
        client.message(&damaged).await?;

        let text = format!("whole, from {name}");
        client.send(&roost.number_jid(), &text).await?;
        reader.received(&[text]).await?;
        stage.sim.commit(&Fault::CorruptDeliveries { device: roost.first_device(), count: 1 })?;
        let damaged = format!("damaged, from {name}");
        client.send(&roost.number_jid(), &damaged).await?;
        reader.received(&[damaged]).await?;
    }
    assert_eq!(reader.faults(), Vec::<String>::new());
    // One from each client was damaged on its way to the device.
    let expected = Trouble { retries: 2, ..Trouble::default() };
    assert_eq!(stage.trouble(&roost, &reader, []), expected);
    for (client, _) in &clients {
        assert_eq!(stage.trouble(&roost, &reader, [client]).unread_by_clients.len(), 1, "{}", client.name());
    }
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn any_node_serves_a_client_that_only_knows_reflection() -> Result<(), Failure> {
    let mut world = World::new(Stage::sqlite).await?;
    let (to_roost, _) = world.round(0).await?;
    world.reader.received(&to_roost).await?;
    let node = world.cluster.bystander(&world.device).await?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop/grpc_client.py");
    let python = python().await?;
    let ask = async |args: &[&str]| -> Result<Vec<Value>, Failure> {
        let mut command = Command::new(&python);
        command.arg(&script).arg(&node).args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::new(format!("grpc_client.py {args:?}: {text}{error}")));
        }
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    };

    let services = ask(&["services"]).await?;
    for service in ["Tenant", "Device", "Pairing", "Message", "Event", "Cluster"] {
        let name = format!("roost.v1.{service}Service");
        assert!(services.iter().any(|found| found["service"] == name.as_str()), "{name} is not described");
    }
    let devices = ask(&["devices", "tenants/-"]).await?;
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(
        (devices[0]["name"].as_str(), devices[0]["state"].as_str()),
        (Some(&*world.device), Some("ONLINE"))
    );

    let (client, account) = &mut world.clients[0];
    let sent = ask(&["send", &world.device, &account.pn.to_string(), "from Python"]).await?;
    let received = client.message("from Python").await?;
    assert_eq!(sent[0]["whatsapp_id"].as_str(), Some(&*received.id));

    let first = ask(&["events", &world.device, "--limit", "2"]).await?;
    let cursor = first[1]["cursor"].as_str().unwrap_or_default().to_owned();
    let rest = ask(&["events", &world.device, "--cursor", &cursor]).await?;
    let sequences: Vec<&str> =
        first.iter().chain(&rest).filter_map(|event| event["sequence"].as_str()).collect();
    let expected: Vec<String> = (1..=sequences.len()).map(|number| number.to_string()).collect();
    assert_eq!(sequences, expected, "a cursor goes on exactly after its event");
    let text = |event: &Value| event["message_received"]["text"].as_str() == Some(to_roost[0].as_str());
    assert!(first.iter().chain(&rest).any(text));
    Ok(())
}
