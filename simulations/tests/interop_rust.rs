//! An unmodified whatsapp-rust client: with whatsmeow and Baileys through the simulated WhatsApp, and with a
//! Roost device while the node that owns it is killed. It is the only client that resumes connections.
//!
//! Builds the client with a cargo of its own. Needs Go and Node.js, and fails without them: `.ci/test` installs
//! both.

use std::collections::BTreeSet;
use std::path::PathBuf;

use roost_proto::api::event::Payload;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::{self, message_received};
use roost_proto::noise::Pattern;
use roost_simulations::interop::{
    Cast, Cluster, Failure, Library, Person, Reader, RealClient, Stage, Trouble, Victim,
};
use roost_simulations::wa::{DeviceRef, Fault};

/// Texts in each direction between Roost and the client.
const ROUNDS: usize = 12;

async fn paired(stage: &Stage, library: Library, name: &str) -> Result<(RealClient, Person), Failure> {
    let person = stage.person(name);
    Ok((stage.paired(library, name, &person).await?, person))
}

/// The handshakes of a person's first companion, oldest first.
fn handshakes(stage: &Stage, person: &Person) -> Vec<Pattern> {
    let device = DeviceRef { pn: person.pn, device: 1 };
    stage.sim.ledger(|ledger| {
        let record = ledger.devices().get(&device);
        record.into_iter().flat_map(|record| record.connections.iter().map(|c| c.handshake)).collect()
    })
}

#[tokio::test]
async fn it_talks_with_the_other_clients_by_phone_number_and_by_hidden_identity() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let (mut rust, rust_account) = paired(&stage, Library::WhatsappRust, "rust").await?;
    for library in [Library::Whatsmeow, Library::Baileys] {
        let (mut other, account) = paired(&stage, library, &format!("{library:?}")).await?;
        for address in [Person::number_jid, Person::lid_jid] {
            let text = format!("to {library:?} at {}", address(&account));
            let id = rust.send(&address(&account), &text).await?;
            let received = other.message(&text).await?;
            assert_eq!(received.id, id);
            other.read(&received).await?;
            rust.receipt(&id, "read").await?;

            let text = format!("from {library:?} to {}", address(&rust_account));
            let id = other.send(&address(&rust_account), &text).await?;
            let received = rust.message(&text).await?;
            assert_eq!(received.id, id);
            rust.read(&received).await?;
            other.receipt(&id, "read").await?;
        }
        assert_eq!(other.messages().len(), 2, "nothing came twice");
    }
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn it_resumes_a_lost_connection_and_falls_back_when_that_is_refused() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let (mut rust, account) = paired(&stage, Library::WhatsappRust, "rust").await?;
    let (mut other, other_account) = paired(&stage, Library::Baileys, "b").await?;
    for (refusals, expected) in [(0, Pattern::Ik), (1, Pattern::XxFallback), (0, Pattern::Ik)] {
        stage.sim.commit(&Fault::RefuseResumptions { count: refusals })?;
        stage.sim.commit(&Fault::DropConnection { device: Some(account.first_device()) })?;
        rust.disconnected("closed").await?;
        rust.logged_in().await?;
        assert_eq!(handshakes(&stage, &account).last(), Some(&expected));
        let text = format!("after {expected:?} and {refusals} refusals");
        rust.send(&other_account.number_jid(), &text).await?;
        other.message(&text).await?;
        other.send(&account.number_jid(), &text).await?;
        rust.message(&text).await?;
    }
    assert_eq!(handshakes(&stage, &other_account), [Pattern::Xx; 1], "Baileys never resumes");
    Ok(())
}

#[tokio::test]
async fn it_gets_the_backlog_after_a_restart_and_hears_of_its_unlinking() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let (mut rust, account) = paired(&stage, Library::WhatsappRust, "rust").await?;
    let (mut other, _) = paired(&stage, Library::Whatsmeow, "w").await?;
    other.send(&account.number_jid(), "while it is there").await?;
    rust.message("while it is there").await?;
    rust.quit().await?;
    let waiting: Vec<String> = (0..5).map(|number| format!("while away {number}")).collect();
    for text in &waiting {
        other.send(&account.number_jid(), text).await?;
    }
    let mut again = stage.client(Library::WhatsappRust, "rust").await?;
    let (pn, lid) = again.login().await?;
    assert_eq!((pn, lid), (format!("{}:1@s.whatsapp.net", account.pn), format!("{}:1@lid", account.lid)));
    for text in &waiting {
        again.message(text).await?;
    }
    // Which one it tells first is its own affair: it works on several at a time once the backlog counts as read.
    let mut texts: Vec<String> = again.messages().into_iter().map(|message| message.text).collect();
    texts.sort();
    assert_eq!(texts, waiting, "once");
    stage.sim.commit(&Fault::Unlink { device: account.first_device() })?;
    again.disconnected("logged_out").await?;
    Ok(())
}

#[tokio::test]
async fn a_message_that_it_cannot_read_is_sent_again() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let (mut rust, account) = paired(&stage, Library::WhatsappRust, "rust").await?;
    let (mut other, other_account) = paired(&stage, Library::Whatsmeow, "w").await?;
    for round in ["whole", "damaged"] {
        if round == "damaged" {
            for device in [account.first_device(), other_account.first_device()] {
                stage.sim.commit(&Fault::CorruptDeliveries { device, count: 1 })?;
            }
        }
        let text = format!("{round}, from whatsmeow");
        other.send(&account.number_jid(), &text).await?;
        rust.message(&text).await?;
        let text = format!("{round}, from whatsapp-rust");
        rust.send(&other_account.number_jid(), &text).await?;
        other.message(&text).await?;
    }
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn it_talks_with_a_device_whose_worker_is_killed() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let store = stage.sqlite();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_roost"));
    let cluster = Cluster::start(&stage, program, &store, 3).await?;
    let roost = stage.person("roost");
    cluster.create_tenant("acme").await?;
    let device = cluster.create_device("acme", "shop").await?;
    cluster.pair(&stage, &device, &roost).await?;
    let reader = Reader::start(&cluster, &device);
    let (mut rust, account) = paired(&stage, Library::WhatsappRust, "rust").await?;

    let (mut from_rust, mut from_roost) = (Vec::new(), Vec::new());
    let mut last_epoch = 0;
    for round in 0..ROUNDS {
        if round % 4 == 3 {
            cluster.taken_over(&device, last_epoch).await?;
            (_, last_epoch) = cluster.kill_owner(&device, Victim::Worker).await?;
        }
        // Every other round goes to the phone number, the others to the hidden identity.
        let (jid, to) = match round % 2 {
            0 => (roost.number_jid(), To::PhoneNumber(account.pn.to_string())),
            _ => (roost.lid_jid(), To::Lid(account.lid.clone())),
        };
        from_rust.push(format!("to roost {round}"));
        rust.send(&jid, &from_rust[round]).await?;
        from_roost.push(format!("from roost {round}"));
        cluster.send(&device, to, &from_roost[round], WaitFor::Accepted).await?;
    }
    cluster.taken_over(&device, last_epoch).await?;
    reader.received(&from_rust).await?;
    for text in &from_roost {
        rust.message(text).await?;
    }
    assert!(reader.texts().values().all(|count| *count == 1), "{:?}", reader.texts());
    // What a new owner sends again may be shown twice, but only under the id that it had.
    let seen: BTreeSet<(String, String)> =
        rust.messages().into_iter().map(|message| (message.text, message.id)).collect();
    assert_eq!(seen.len(), ROUNDS, "{seen:?}");
    assert_eq!(reader.faults(), Vec::<String>::new());
    assert_eq!(stage.trouble_amid_deaths(&roost, &reader), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

/// The others cannot be such a device as they are: whatsmeow and Baileys sign for themselves as usual devices do, whatever
/// their phone says, and nobody could verify that.
#[tokio::test]
async fn as_a_hosted_device_it_is_heard_as_its_account_reached_in_its_chat_and_left_out_of_groups()
-> Result<(), Failure> {
    let cast = Cast::new(env!("CARGO_BIN_EXE_roost"), 3).await?;
    let (stage, cluster, device) = (&cast.stage, &cast.cluster, &cast.device);
    let host = stage.person("host");
    stage.sim.act(|machine, _| Ok::<_, Failure>((machine.host(host.pn), Vec::new())))?;
    let mut rust = stage.paired(Library::WhatsappRust, "host", &host).await?;
    let (mut other, other_account) = paired(stage, Library::Whatsmeow, "w").await?;

    rust.send(&cast.roost.number_jid(), "from the cloud").await?;
    let (number, lid) = (host.number_jid(), host.lid_jid());
    let is_of_host = |person: &Option<api::Person>| {
        person.as_ref().is_some_and(|person| person.phone_number == number || person.lid == lid)
    };
    let heard = |payload: &Payload| match payload {
        Payload::MessageReceived(message) => {
            let text = message_received::Content::Text("from the cloud".to_owned());
            message.content == Some(text) && is_of_host(&message.chat) && is_of_host(&message.sender)
        }
        _ => false,
    };
    cast.reader.sees("what the hosted device says, as of its account", heard).await?;

    let to_host = || To::PhoneNumber(host.pn.to_string());
    let (_, epoch) = cluster.kill_owner(device, Victim::Worker).await?;
    cluster.send(device, to_host(), "to the cloud", WaitFor::Accepted).await?;
    rust.message("to the cloud").await?;
    cluster.taken_over(device, epoch).await?;
    other.send(&host.number_jid(), "from w").await?;
    rust.message("from w").await?;

    let group = other.group("without the cloud", &[cast.roost.number_jid(), host.number_jid()]).await?;
    other.send(&group, "w in the group").await?;
    cast.reader.received(&["w in the group".to_owned()]).await?;
    cluster.send(device, To::Group(group), "roost in the group", WaitFor::Accepted).await?;
    other.message("roost in the group").await?;
    cluster.send(device, to_host(), "and on", WaitFor::Accepted).await?;
    rust.message("and on").await?;
    let texts: BTreeSet<String> = rust.messages().into_iter().map(|message| message.text).collect();
    let expected = ["to the cloud", "from w", "and on"].map(str::to_owned);
    assert_eq!(texts, expected.into(), "nothing of the group");
    for person in [&cast.roost, &other_account] {
        let device = DeviceRef { pn: person.pn, device: 1 };
        let refused = stage.sim.ledger(|ledger| ledger.devices()[&device].refused_stanzas);
        assert_eq!(refused, 0, "{device}");
    }
    assert_eq!(cast.reader.faults(), Vec::<String>::new());
    assert_eq!(stage.trouble(&cast.roost, &cast.reader, []), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}
