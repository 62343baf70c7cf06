//! Everybody is paired by a code that is typed on a phone, or with an account that has a passkey; and a pairing outlives the
//! node that it began on.

use std::path::PathBuf;

use roost_node::client::Client;
use roost_proto::api::recipient::To;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::*;
use roost_proto::pairing::QrCode;
use roost_simulations::interop::{CLIENTS, Cluster, Failure, Library, Person, Stage, Trouble, Victim};
use serde_json::json;

use super::{CALL, World};

#[tokio::test]
async fn everybody_is_paired_by_a_code_that_is_typed_on_the_phone() -> Result<(), Failure> {
    let World { stage, cluster, roost, reader, .. } = World::empty().await?;
    // Roost, after a code that was mistyped.
    let second = cluster.create_device("acme", "by-code").await?;
    cluster.until_owned(&second).await?;
    let method =
        start_pairing_request::PhoneCode { phone_number: format!("+{}", roost.pn), code: String::new() };
    let request = StartPairingRequest {
        device: second.clone(),
        method: Some(start_pairing_request::Method::PhoneCode(method)),
        ..Default::default()
    };
    // It is owned; until its owner has loaded it, who asks is told to come back.
    let start = |api: Client| {
        let request = request.clone();
        async move { api.pairing().start_pairing(request).await }
    };
    let mut steps = cluster.callers.call(CALL, start).await?.into_inner();
    loop {
        match steps.message().await?.and_then(|step| step.event) {
            Some(pairing_event::Event::Code(code)) => {
                let type_code =
                    |text: &str| stage.sim.act(|machine, now| machine.type_code(now, roost.pn, text));
                let wrong = if code.code.starts_with('A') { "BCDE-FGH1" } else { "ABCD-EFG1" };
                type_code(wrong)?;
                cluster.until("another code can be typed", || type_code(&code.code).is_ok()).await?;
            }
            Some(pairing_event::Event::Paired(_)) => break,
            Some(pairing_event::Event::Failed(failed)) => {
                return Err(Failure::new(format!("{} {}", failed.reason, failed.message)));
            }
            Some(_) => {}
            None => return Err(Failure::new("the stream ended")),
        }
    }
    cluster.online(&second).await?;
    // The real clients, and then they talk.
    for (library, name) in CLIENTS {
        let account = stage.person(name);
        stage.sim.phone_remembers(account.pn, Vec::new())?;
        let mut client = stage.client(library, name).await?;
        client.connect().await?;
        let shown: QrCode = client.qr().await?.parse()?;
        if library == Library::WhatsappRust {
            // The others do not hear of a retired secret.
            stage.sim.act(|machine, now| Ok::<_, Failure>(((), machine.retire_codes(now))))?;
            let again: QrCode = client.qr().await?.parse()?;
            assert_eq!((&again.reference, again.identity), (&shown.reference, shown.identity));
            assert_ne!(again.adv_secret, shown.adv_secret);
        }
        // whatsmeow makes its code itself.
        let wanted = if library == Library::Whatsmeow { "" } else { "HENHVSE7" };
        let code = client.pair_code(&account.pn.to_string(), wanted).await?;
        assert!(wanted.is_empty() || code.replace('-', "") == wanted, "{name} shows {code}");
        let typed = || stage.sim.act(|machine, now| machine.type_code(now, account.pn, &code));
        cluster.until("the code can be typed", || typed().is_ok()).await?;
        client.logged_in().await?;
        let text = format!("{name} was paired by code");
        client.send(&roost.number_jid(), &text).await?;
        reader.received(&[text]).await?;
        cluster.send(&second, To::PhoneNumber(account.pn.to_string()), "so was I", WaitFor::Accepted).await?;
        client.message("so was I").await?;
    }
    assert_eq!(stage.trouble(&roost, &reader, []), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn everybody_who_knows_passkeys_is_paired_with_an_account_that_has_one() -> Result<(), Failure> {
    let World { stage, cluster, roost, reader, .. } = World::empty().await?;
    stage.sim.change(|machine| machine.make_passkey(roost.pn));
    let answer = |person: &Person, options: &str| {
        let answered = stage.sim.change(|machine| machine.use_passkey(person.pn, options));
        answered.expect("the phone has a passkey")
    };
    let second = cluster.create_device("acme", "with-passkey").await?;
    cluster.until_owned(&second).await?;
    let start = |api: Client| {
        let request = StartPairingRequest { device: second.clone(), ..Default::default() };
        async move { api.pairing().start_pairing(request).await }
    };
    let mut steps = cluster.callers.call(CALL, start).await?.into_inner();
    loop {
        match steps.message().await?.and_then(|step| step.event) {
            Some(pairing_event::Event::Qr(code)) => stage.scan(&code.payload, &roost)?,
            Some(pairing_event::Event::Passkey(asked)) => {
                let credential_json = answer(&roost, &asked.options_json)?;
                let assertion = answer_passkey_request::Assertion { credential_json, compare_code: false };
                let answer = Some(answer_passkey_request::Answer::Assertion(assertion));
                let request = AnswerPasskeyRequest { device: second.clone(), answer };
                cluster.ask(request, async |api, it| api.pairing().answer_passkey(it).await).await?;
            }
            Some(pairing_event::Event::Paired(_)) => break,
            Some(pairing_event::Event::Failed(failed)) => {
                return Err(Failure::new(format!("{} {}", failed.reason, failed.message)));
            }
            Some(_) => {}
            None => return Err(Failure::new("the stream ended")),
        }
    }
    cluster.online(&second).await?;

    let ada = stage.person("ada");
    stage.sim.change(|machine| machine.make_passkey(ada.pn));
    let mut sender = None;
    // Baileys knows nothing of passkeys.
    for library in [Library::WhatsappRust, Library::Whatsmeow] {
        let mut client = stage.client(library, &format!("ada-{}", library.name())).await?;
        client.connect().await?;
        let code = client.qr().await?;
        stage.scan(&code, &ada)?;
        let options = client.passkey().await?;
        client.answer_passkey(&answer(&ada, &options)?).await?;
        // whatsmeow has proved that the code that was scanned was its own, and confirms by itself.
        if library == Library::WhatsappRust {
            let code = client.passkey_code().await?;
            let on_phone = stage.sim.look(|machine| machine.passkey_code(ada.pn));
            assert_eq!(on_phone.map(|code| code.replace('-', "")), Some(code.replace('-', "")));
            client.confirm_passkey().await?;
        }
        client.logged_in().await?;
        let text = format!("with a passkey, {}", library.name());
        client.send(&roost.number_jid(), &text).await?;
        reader.received(&[text]).await?;
        sender = Some(client);
    }
    let mut client = sender.expect("whatsmeow is the last");
    cluster.send(&second, To::PhoneNumber(ada.pn.to_string()), "so was I", WaitFor::Accepted).await?;
    client.message("so was I").await?;
    assert_eq!(stage.trouble(&roost, &reader, [&client]), Trouble::default());
    assert_eq!(stage.key_reuse(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn whatsmeow_and_a_device_are_not_paired_with_an_account_that_they_do_not_expect() -> Result<(), Failure>
{
    let World { stage, cluster, roost, .. } = World::empty().await?;
    let stranger = stage.person("stranger");
    let linked = || stage.sim.look(|machine| machine.accounts()[&stranger.pn].companions.len());
    let mut client = stage.client(Library::Whatsmeow, "w").await?;
    client.connect().await?;
    let code = client.qr().await?;
    client.people(json!({"cmd": "expect", "phone": roost.pn.to_string()})).await?;
    stage.scan(&code, &stranger)?;
    client.disconnected("refused").await?;
    assert_eq!(linked(), 0);

    let second = cluster.create_device("acme", "of-roost").await?;
    cluster.until_owned(&second).await?;
    let start = |api: Client| {
        let (device, expected_phone_number) = (second.clone(), roost.pn.to_string());
        let request = StartPairingRequest { device, expected_phone_number, ..Default::default() };
        async move { api.pairing().start_pairing(request).await }
    };
    let mut steps = cluster.callers.call(CALL, start).await?.into_inner();
    let mut scanned = false;
    loop {
        match steps.message().await?.and_then(|step| step.event) {
            Some(pairing_event::Event::Qr(code)) if !scanned => {
                scanned = true;
                stage.scan(&code.payload, &stranger)?;
            }
            Some(pairing_event::Event::Failed(failed)) => {
                assert_eq!(failed.reason, "OTHER_ACCOUNT");
                break;
            }
            Some(pairing_event::Event::Paired(_)) | None => return Err(Failure::new("it was not refused")),
            Some(_) => {}
        }
    }
    assert_eq!(linked(), 0);
    Ok(())
}

#[tokio::test]
async fn a_pairing_goes_on_with_another_code_when_its_node_is_killed() -> Result<(), Failure> {
    let stage = Stage::set().await?;
    let url = stage.sqlite();
    let mut cluster = Cluster::start(&stage, PathBuf::from(env!("CARGO_BIN_EXE_roost")), &url, 3).await?;
    let person = stage.person("roost");
    cluster.create_tenant("acme").await?;
    let device = cluster.create_device("acme", "shop").await?;
    cluster.until_owned(&device).await?;
    let node = cluster.bystander(&device).await?;
    let client = Client::lazy(&format!("http://{node}"))?;
    let request = StartPairingRequest { device: device.clone(), ..Default::default() };
    let mut steps = client.pairing().start_pairing(request).await?.into_inner();
    let (mut first, mut restarted) = (None, false);
    loop {
        let step = tokio::time::timeout(3 * CALL, steps.message()).await?;
        match step?.and_then(|step| step.event) {
            Some(pairing_event::Event::Qr(code)) if first.is_none() => {
                first = Some(code.payload);
                cluster.kill_owner(&device, Victim::Worker).await?;
            }
            Some(pairing_event::Event::Restarted(_)) => restarted = true,
            Some(pairing_event::Event::Qr(code)) if restarted => {
                assert_ne!(first.as_ref(), Some(&code.payload));
                stage.scan(&code.payload, &person)?;
            }
            Some(pairing_event::Event::Paired(_)) => break,
            Some(pairing_event::Event::Failed(failed)) => {
                return Err(Failure::new(format!("{} {}", failed.reason, failed.message)));
            }
            Some(_) => {}
            None => return Err(Failure::new("the stream ended before the pairing")),
        }
    }
    assert!(restarted);
    cluster.online(&device).await
}
