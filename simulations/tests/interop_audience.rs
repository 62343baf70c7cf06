//! Status posts that name nobody, judged by unmodified whatsmeow, Baileys and whatsapp-rust clients: who hears them is whom
//! the account's own settings name, also while the owner of the device is killed.
//!
//! The address book knows the people by number, and they are left out and named by their hidden identities, as
//! WhatsApp's own clients do it. Needs Go and Node.js, and fails without them.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::status_privacy::Audience as Shown;
use roost_proto::stanza::Jid;
use roost_simulations::interop::{CLIENTS, Cast, Failure, Person, RealClient, Stage};
use roost_simulations::wa::Audience;

/// A device whose phone shares what the account knows, so that it has an address book.
async fn cast() -> Result<Cast, Failure> {
    let stage = Stage::set().await?;
    let roost = stage.person("roost");
    stage.sim.phone_remembers(roost.pn, Vec::new())?;
    let store = stage.sqlite();
    let cast = Cast::on(stage, env!("CARGO_BIN_EXE_roost"), &store, 3).await?;
    cast.reader.sees("any history", |payload| matches!(payload, Payload::HistoryChunk(_))).await?;
    Ok(cast)
}

/// Somebody chooses on the phone.
fn chooses(cast: &Cast, audience: Audience) -> Result<(), Failure> {
    cast.stage.sim.act(|machine, _| {
        machine.set_audience(cast.roost.pn, audience);
        Ok::<_, Failure>(((), Vec::new()))
    })
}

/// The settings, as the device tells them.
async fn settings(cast: &Cast) -> Result<(Shown, Vec<String>), Failure> {
    let wanted = api::GetStatusPrivacyRequest { device: cast.device.clone() };
    let settings =
        cast.cluster.ask(wanted, async |api, it| api.statuses().get_status_privacy(it).await).await?;
    Ok((settings.audience(), settings.people))
}

/// A post that names nobody.
async fn posts(cast: &Cast, text: &str) -> Result<(), Failure> {
    let (to, content) = (To::Status(api::StatusAudience::default()), Content::Text(text.to_owned()));
    cast.cluster.say(&cast.device, to, content, api::Context::default(), WaitFor::ServerAck).await?;
    Ok(())
}

async fn saves(cast: &Cast, person: &Person, name: &str) -> Result<(), Failure> {
    let contact =
        api::ContactEntry { jid: person.number_jid(), full_name: name.to_owned(), ..Default::default() };
    let wanted = api::SaveContactRequest { parent: cast.device.clone(), contact: Some(contact) };
    cast.cluster.ask(wanted, async |api, it| api.address_book().save_contact(it).await).await
}

/// Posts under each of the settings in turn; what each client shall have heard in the end, in its order.
async fn everything(cast: &Cast) -> Result<(), Failure> {
    assert_eq!(settings(cast).await?, (Shown::Contacts, Vec::new()), "nobody has chosen");
    let nobody = posts(cast, "to nobody").await.expect_err("the address book is empty");
    assert!(format!("{nobody:?}").contains("nobody"), "{nobody:?}");

    let mut clients: Vec<(RealClient, Person, Vec<&str>)> = Vec::new();
    for (library, name) in CLIENTS {
        let person = cast.stage.person(name);
        let client = cast.stage.paired(library, name, &person).await?;
        saves(cast, &person, name).await?;
        clients.push((client, person, Vec::new()));
    }
    let lids: Vec<Jid> = clients.iter().map(|(_, person, _)| Jid::lid(person.lid.as_str())).collect();
    let named = |at: usize| vec![lids[at].clone()];
    let told = |at: usize| vec![lids[at].to_string()];
    let never_chosen =
        [("to all, as nobody has chosen", None, (Shown::Contacts, Vec::new()), &[0, 1, 2][..])];
    let chosen = [
        ("to all but the first", Audience::Except(named(0)), (Shown::ContactsExcept, told(0)), &[1, 2][..]),
        ("to the first alone", Audience::Only(named(0)), (Shown::Only, told(0)), &[0]),
        ("to all but the last", Audience::Except(named(2)), (Shown::ContactsExcept, told(2)), &[0, 1]),
        ("to the last alone", Audience::Only(named(2)), (Shown::Only, told(2)), &[2]),
        ("to all", Audience::Contacts, (Shown::Contacts, Vec::new()), &[0, 1, 2]),
    ];
    let chosen = chosen.into_iter().map(|(text, audience, told, hear)| (text, Some(audience), told, hear));
    for (text, audience, told, hear) in never_chosen.into_iter().chain(chosen) {
        audience.map_or(Ok(()), |audience| chooses(cast, audience))?;
        assert_eq!(settings(cast).await?, told, "{text}");
        posts(cast, text).await?;
        for at in hear {
            clients[*at].0.message(text).await?;
            clients[*at].2.push(text);
        }
    }
    // The last post is for all: whoever has it has had everything before it.
    for (client, _, heard) in &clients {
        let texts: Vec<String> = client.messages().into_iter().map(|message| message.text).collect();
        assert_eq!(texts, *heard, "{}", client.name());
        assert_eq!(client.doubled(), Vec::<String>::new());
    }
    assert_eq!(cast.reader.faults(), Vec::<String>::new());
    assert_eq!(cast.stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_post_is_for_whom_the_settings_of_the_account_name_and_for_nobody_else() -> Result<(), Failure> {
    everything(&cast().await?).await
}

#[tokio::test]
async fn a_post_is_for_whom_the_settings_name_though_the_owner_is_killed_again_and_again()
-> Result<(), Failure> {
    let mut cast = cast().await?;
    cast.cluster.let_die(&cast.device, 2);
    everything(&cast).await?;
    assert!(cast.cluster.outlived().await? > 4);
    Ok(())
}
