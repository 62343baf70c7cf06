//! What one device of an account reads and changes, the others hear: Roost of every client, and each client of Roost as
//! far as its library tells it.

use roost_proto::api::account_changed::Change;
use roost_proto::api::event::Payload;
use roost_proto::api::profile_changed::What;
use roost_proto::api::*;
use roost_simulations::interop::{CLIENTS, ClientEvent, Failure, Library, Matrix, RealClient, Way};
use serde_json::json;

use super::{World, ask};

const DAY: Duration = Duration { seconds: 86_400, nanos: 0 };
const WEEK: Duration = Duration { seconds: 604_800, nanos: 0 };

#[tokio::test]
async fn what_one_device_of_an_account_reads_and_changes_its_others_hear() -> Result<(), Failure> {
    World::new().await?.siblings().await?.check()
}

impl World {
    pub(crate) async fn siblings(&mut self) -> Result<Matrix, Failure> {
        let mut matrix = Matrix::new("5-people-siblings");
        for (library, name) in CLIENTS {
            let mut sibling = self.stage.paired(library, &format!("other-{name}"), &self.roost).await?;
            self.read(library, name, &mut sibling, &mut matrix).await?;
            self.blocked(library, &mut sibling, &mut matrix).await?;
            self.settings(library, &mut sibling, &mut matrix).await?;
            sibling.quit().await?;
        }
        self.timers_of_others(&mut matrix).await?;
        Ok(matrix)
    }

    /// Does something, and waits until the log has one more event that fits.
    async fn one_more(
        &self,
        what: &str,
        client: &mut RealClient,
        command: serde_json::Value,
        fits: impl Fn(&Payload) -> bool,
    ) -> Result<(), Failure> {
        let count = || {
            let events = self.reader.events();
            events.iter().filter_map(|event| event.payload.as_ref()).filter(|payload| fits(payload)).count()
        };
        let before = count();
        ask(client, command).await?;
        self.cluster.until(what, || count() > before).await
    }

    async fn read(
        &mut self,
        library: Library,
        name: &str,
        sibling: &mut RealClient,
        matrix: &mut Matrix,
    ) -> Result<(), Failure> {
        let friend = self.clients[0].1.clone();
        for played in [false, true] {
            let row = if played { "played on another device" } else { "read on another device" };
            let text = format!("for {name}: {row}");
            let id = self.clients[0].0.send(&self.roost.number_jid(), &text).await?;
            let seen = sibling.message(&text).await?;
            if played {
                let (chat, sender, ids) = (&seen.chat, &seen.sender, [&seen.id]);
                sibling.command(json!({"cmd": "played", "chat": chat, "sender": sender, "ids": ids})).await?;
            } else {
                sibling.read(&seen).await?;
            }
            let told = |payload: &Payload| {
                matches!(payload, Payload::ReadElsewhere(read) if read.played == played
                && read.whatsapp_ids == [id.clone()] && read.group.is_empty()
                && read.chat.as_ref().is_some_and(|chat| {
                    chat.lid == friend.lid_jid() || chat.phone_number == friend.number_jid()
                }))
            };
            self.reader.sees(&format!("{row} by {name}"), told).await?;

            let text = format!("for roost: {row}, {name}");
            let id = self.clients[0].0.send(&self.roost.number_jid(), &text).await?;
            self.reader.received(std::slice::from_ref(&text)).await?;
            sibling.message(&text).await?;
            let request = MarkReadRequest {
                device: self.device.clone(),
                chat: friend.lid_jid(),
                sender: String::new(),
                whatsapp_ids: vec![id.clone()],
                played,
                privately: false,
            };
            self.cluster.ask(request, async |api, it| api.messages().mark_read(it).await).await?;
            let way = Way::To(library);
            match (library, played) {
                (Library::Baileys, true) => {
                    let why = "Baileys does not know this receipt";
                    matrix.row(row).not_applicable(way, why);
                }
                (Library::Baileys, false) => {
                    sibling.receipt(&id, "read").await?;
                    matrix.row(row).seen(way);
                }
                (_, played) => {
                    sibling.receipt(&id, if played { "played-self" } else { "read-self" }).await?;
                    matrix.row(row).seen(way);
                }
            }
            matrix.row(row).seen(Way::From(library));
        }
        Ok(())
    }

    async fn blocked(
        &mut self,
        library: Library,
        sibling: &mut RealClient,
        matrix: &mut Matrix,
    ) -> Result<(), Failure> {
        let row = "blocked on another device";
        // Who has written: Baileys and whatsapp-rust block only whom they can name in both forms.
        let lid = self.clients[0].1.lid_jid();
        let told = |payload: &Payload| {
            matches!(payload, Payload::AccountChanged(AccountChanged { change: Some(Change::Blocked(list)) })
                if list.blocked.iter().any(|who| who.lid == lid))
        };
        self.one_more("somebody is blocked", sibling, json!({"cmd": "block", "to": lid}), told).await?;
        matrix.row(row).seen(Way::From(library));
        let unblock = UnblockContactRequest { device: self.device.clone(), user: lid.clone() };
        self.cluster.ask(unblock, async |api, it| api.contacts().unblock_contact(it).await).await?;
        if library == Library::WhatsappRust {
            let why = "whatsapp-rust tells nothing of what is changed in the account";
            matrix.row(row).not_applicable(Way::To(library), why);
        } else {
            contact(sibling, "unblock").await?;
            matrix.row(row).seen(Way::To(library));
        }
        Ok(())
    }

    async fn settings(
        &mut self,
        library: Library,
        sibling: &mut RealClient,
        matrix: &mut Matrix,
    ) -> Result<(), Failure> {
        let row = "privacy changed on another device";
        let told = |payload: &Payload| {
            matches!(payload, Payload::AccountChanged(AccountChanged { change: Some(Change::Privacy(privacy)) })
                if privacy.settings.get("status").is_some_and(|value| value == "none"))
        };
        self.one_more("the about text is hidden", sibling, json!({"cmd": "hide_about"}), told).await?;
        matrix.row(row).seen(Way::From(library));
        let device = self.device.clone();
        let (category, value) = ("status".into(), "all".into());
        let show = SetPrivacyRequest { device, category, value, ..Default::default() };
        self.cluster.ask(show, async |api, it| api.accounts().set_privacy(it).await).await?;
        match library {
            Library::Whatsmeow => {
                contact(sibling, "privacy all").await?;
                matrix.row(row).seen(Way::To(library));
            }
            Library::Baileys => {
                matrix.row(row).not_applicable(Way::To(library), "Baileys tells nothing of changed privacy");
            }
            Library::WhatsappRust => {
                let why = "whatsapp-rust tells nothing of what is changed in the account";
                matrix.row(row).not_applicable(Way::To(library), why);
            }
        }

        let row = "default timer set on another device";
        let told = |payload: &Payload| {
            matches!(payload, Payload::AccountChanged(AccountChanged { change: Some(Change::DefaultTimer(timer)) })
                if *timer == DAY)
        };
        self.one_more("a timer is set", sibling, json!({"cmd": "default_timer"}), told).await?;
        matrix.row(row).seen(Way::From(library));
        let set = SetDefaultTimerRequest { device: self.device.clone(), timer: Some(WEEK) };
        self.cluster.ask(set, async |api, it| api.accounts().set_default_timer(it).await).await?;
        match library {
            Library::Baileys => {
                contact(sibling, "timer 604800").await?;
                matrix.row(row).seen(Way::To(library));
            }
            Library::Whatsmeow => {
                matrix.row(row).not_applicable(Way::To(library), "whatsmeow tells nothing of this timer");
            }
            Library::WhatsappRust => {
                let why = "whatsapp-rust tells nothing of what is changed in the account";
                matrix.row(row).not_applicable(Way::To(library), why);
            }
        }
        Ok(())
    }

    /// Who has looked at an account hears of its timer.
    async fn timers_of_others(&mut self, matrix: &mut Matrix) -> Result<(), Failure> {
        let row = "default timer of others";
        let number = self.roost.number_jid();
        let users = self.clients.iter().map(|(_, account)| account.pn.to_string()).collect();
        let look = GetUserInfoRequest { device: self.device.clone(), users };
        self.cluster.ask(look, async |api, it| api.contacts().get_user_info(it).await).await?;
        for (library, name) in CLIENTS {
            let at = CLIENTS.iter().position(|(_, one)| *one == name).expect("one of the table");
            let lid = self.clients[at].1.lid_jid();
            ask(&mut self.clients[at].0, json!({"cmd": "default_timer"})).await?;
            let told = |payload: &Payload| {
                matches!(payload, Payload::ProfileChanged(changed) if changed.what() == What::DefaultTimer
                    && changed.default_timer == Some(DAY)
                    && changed.person.as_ref().is_some_and(|who| who.lid == lid))
            };
            self.reader.sees(&format!("the timer of {name}"), told).await?;
            matrix.row(row).seen(Way::From(library));
            let way = Way::To(library);
            match library {
                Library::Whatsmeow => {
                    matrix.row(row).not_applicable(way, "whatsmeow tells nothing of this timer");
                }
                Library::Baileys => {
                    matrix.row(row).not_applicable(way, "Baileys tells nothing of the timers of others");
                }
                Library::WhatsappRust => {
                    let client = &mut self.clients[at].0;
                    ask(client, json!({"cmd": "about", "to": number})).await?;
                    let set = SetDefaultTimerRequest { device: self.device.clone(), timer: Some(WEEK) };
                    self.cluster.ask(set, async |api, it| api.accounts().set_default_timer(it).await).await?;
                    contact(client, "timer 604800").await?;
                    matrix.row(row).seen(way);
                }
            }
        }
        Ok(())
    }
}

async fn contact(client: &mut RealClient, told: &str) -> Result<(), Failure> {
    let fits = |event: &ClientEvent| matches!(event, ClientEvent::Contact { what, .. } if what == told);
    client.wait(told, fits).await?;
    Ok(())
}
