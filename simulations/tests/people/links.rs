//! Links that lead to people and to calls, and the bots that WhatsApp offers, as every client sees them.

use std::convert::Infallible;

use roost_proto::api::*;
use roost_simulations::interop::{Failure, Matrix, Way};
use roost_simulations::wa::CallLink;
use serde_json::json;

use super::{World, ask, ways};

#[tokio::test]
async fn links_lead_to_the_same_people_from_every_client() -> Result<(), Failure> {
    let mut world = World::new().await?;
    world.links().await?.check()?;
    world.call_links().await?.check()
}

#[tokio::test]
async fn links_lead_to_them_though_the_owner_is_killed_again_and_again() -> Result<(), Failure> {
    let mut world = World::mortal().await?;
    world.links().await?.check()?;
    world.call_links().await?.check()?;
    world.survived(8).await
}

impl World {
    async fn links(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, .. } = self;
        let mut matrix = Matrix::new("9-links");
        let resolve = async |link: &str| {
            let link = ResolveLinkRequest { device: device.clone(), link: link.to_owned() };
            cluster.ask(link, async |api, it| api.contacts().resolve_link(it).await).await
        };
        let own = async |renew| {
            let link = GetContactLinkRequest { device: device.clone(), renew };
            cluster.ask(link, async |api, it| api.contacts().get_contact_link(it).await).await
        };
        let spoken = |pn, text: &str| {
            let text = text.to_owned();
            let made = stage.sim.act(|machine, _| {
                machine.make_business(pn, "Hens");
                Ok::<_, Infallible>((machine.link_with(pn, &text), Vec::new()))
            });
            made.map(|code| format!("https://wa.me/message/{}", code.unwrap_or_default()))
        };
        let reports = |pn| {
            stage
                .sim
                .look(|machine| machine.accounts().get(&pn).map(|it| it.profile.reports.clone()))
                .unwrap_or_default()
        };
        let report = ReportSpamRequest {
            device: device.clone(),
            chat: clients[0].1.lid_jid(),
            whatsapp_id: "3EB0".to_owned(),
            send_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            sender: String::new(),
        };
        // Made twice it would be two.
        let report = cluster.ask_spared(report, async |api, it| api.contacts().report_spam(it).await).await?;
        assert_eq!((report.report_id.as_str(), reports(roost.pn)), ("report-1", vec!["3EB0".to_owned()]));
        let ours = own(false).await?.url;
        assert_eq!(own(false).await?.url, ours);
        let bots = ListBotsRequest { device: device.clone() };
        let bots = cluster.ask(bots, async |api, it| api.contacts().list_bots(it).await).await?.bots;
        assert!(bots.len() > 1 && bots[0].is_default, "{bots:?}");
        for (client, account) in clients.iter_mut() {
            let name = client.name().to_owned();
            let (from, to) = ways(&name);
            match name.as_str() {
                "w" => {
                    let led = ask(client, json!({"cmd": "resolve_contact", "text": ours})).await?;
                    assert_eq!(led, json!(roost.number_jid()));
                    let theirs = ask(client, json!({"cmd": "contact_link"})).await?;
                    let theirs = theirs.as_str().unwrap_or_default().to_owned();
                    let led = resolve(&theirs).await?;
                    let number = led.person.unwrap_or_default().phone_number;
                    assert_eq!((number, led.text.as_str()), (account.number_jid(), ""));
                    ask(client, json!({"cmd": "contact_link", "on": true})).await?;
                    let gone = resolve(&theirs).await.expect_err("it was made anew");
                    assert!(gone.says("404"), "{gone:?}");
                    matrix.row("link to a contact").seen(from).seen(to);
                    let link = spoken(roost.pn, "Have you eggs?")?;
                    let led = ask(client, json!({"cmd": "resolve_message", "text": link})).await?;
                    assert_eq!(led, json!(format!("{} (Hens): Have you eggs?", roost.number_jid())));
                    let led = resolve(&spoken(account.pn, "And ducks?")?).await?;
                    assert_eq!((led.text.as_str(), led.verified_name.as_str()), ("And ducks?", "Hens"));
                    matrix.row("link to a business").seen(from).seen(to);
                    let names: Vec<&str> = bots.iter().map(|bot| bot.title.as_str()).collect();
                    assert_eq!(ask(client, json!({"cmd": "bots"})).await?, json!(names));
                }
                "b" => {
                    let jids: Vec<&str> = bots.iter().map(|bot| bot.jid.as_str()).collect();
                    assert_eq!(ask(client, json!({"cmd": "bots"})).await?, json!(jids));
                    none(&mut matrix, "Baileys knows no links", from, to);
                }
                _ => {
                    ask(client, json!({"cmd": "report", "to": roost.number_jid(), "text": "3EB0BAD"}))
                        .await?;
                    assert_eq!(reports(account.pn), ["3EB0BAD"], "as ours");
                    none(&mut matrix, "whatsapp-rust knows no links", from, to);
                }
            }
        }
        let renewed = own(true).await?.url;
        assert_ne!(renewed, ours);
        assert!(resolve(&ours).await.is_err_and(|status| format!("{status:?}").contains("404")));
        Ok(matrix)
    }

    /// What a link to a call is about is the same to whoever asks.
    async fn call_links(&mut self) -> Result<Matrix, Failure> {
        let World { stage, cluster, device, roost, clients, .. } = self;
        let (mut matrix, row) = (Matrix::new("9-links-calls"), "link to a call");
        let make = async |video| {
            let start_time = Some(Timestamp { seconds: 1_900_000_000, nanos: 0 });
            let link = CreateCallLinkRequest { device: device.clone(), video, start_time };
            cluster.ask(link, async |api, it| api.calls().create_call_link(it).await).await
        };
        let about = async |link: &str| {
            let link = PreviewCallLinkRequest { device: device.clone(), link: link.to_owned() };
            cluster.ask(link, async |api, it| api.calls().preview_call_link(it).await).await
        };
        let (video, voice) = (make(true).await?.url, make(false).await?.url);
        for (link, start) in
            [(&video, "https://call.whatsapp.com/video/"), (&voice, "https://call.whatsapp.com/voice/")]
        {
            assert!(link.starts_with(start), "{link}");
            let about = about(link).await?;
            assert!(about.admin && about.creator.is_some_and(|who| who.lid == roost.lid_jid()));
        }
        for (client, account) in clients.iter_mut() {
            let (from, to) = ways(client.name());
            if client.name() == "w" {
                let reason = "whatsmeow knows no links to calls";
                matrix.row(row).not_applicable(from, reason).not_applicable(to, reason);
                continue;
            }
            // Baileys alone makes links to planned calls.
            let plans = client.name() == "b";
            for (media, start) in [("audio", "voice"), ("video", "video")] {
                let mut make = json!({"cmd": "call_link", "text": media});
                if plans {
                    make["about"] = json!("1900000000");
                }
                let token = ask(client, make).await?;
                let token = token.as_str().unwrap_or_default();
                let kept =
                    stage.sim.look(|machine| machine.accounts().get(&account.pn)?.calls.link(token).cloned());
                let wanted = CallLink { media: media.to_owned(), start_s: plans.then_some(1_900_000_000) };
                assert_eq!(kept, Some(wanted), "of {}", client.name());
                let link = format!("https://call.whatsapp.com/{start}/{token}");
                let about = about(&link).await?;
                let made_by = about.creator.unwrap_or_default();
                assert_eq!((made_by.lid, made_by.phone_number), (account.lid_jid(), account.number_jid()));
                assert_eq!((about.video, about.admin), (media == "video", false));
            }
            matrix.row(row).seen(from);
            if client.name() == "b" {
                matrix.row(row).not_applicable(to, "Baileys does not ask what a link to a call is about");
                continue;
            }
            for (link, media) in [(&video, "video"), (&voice, "audio")] {
                let token = link.rsplit('/').next().unwrap_or_default();
                let about =
                    ask(client, json!({"cmd": "call_link_about", "text": token, "kind": media})).await?;
                let made = format!("{media} {} {} false", roost.number_jid(), roost.lid_jid());
                assert_eq!(about, json!(made));
                let other = if media == "video" { "audio" } else { "video" };
                let odd = json!({"cmd": "call_link_about", "text": token, "kind": other});
                assert!(ask(client, odd).await.is_err_and(|refused| refused.says("406")));
            }
            matrix.row(row).seen(to);
        }
        Ok(matrix)
    }
}

fn none(matrix: &mut Matrix, reason: &str, from: Way, to: Way) {
    for row in ["link to a contact", "link to a business"] {
        matrix.row(row).not_applicable(from, reason).not_applicable(to, reason);
    }
}
