//! What people show of themselves, and tokens of those who know each other.

use roost_simulations::wa::Fault;

use super::*;

impl Pair<'_> {
    pub(super) async fn presence(&mut self) -> Result<(), Failure> {
        for member in [&mut *self.from, &mut *self.to] {
            member.does(json!({ "cmd": "presence", "text": "available" })).await?;
        }
        let (here, there) = (self.from.person.lid_jid(), self.to.person.lid_jid());
        self.to.does(json!({ "cmd": "subscribe", "to": here })).await?;
        self.shows(true).await?;
        self.from.does(json!({ "cmd": "presence", "text": "unavailable" })).await?;
        self.shows(false).await?;
        self.from.does(json!({ "cmd": "presence", "text": "available" })).await?;
        self.shows(true).await?;
        self.seen("presence");

        for (text, media, state) in
            [("composing", "", "composing"), ("composing", "audio", "recording"), ("paused", "", "paused")]
        {
            let typing = json!({ "cmd": "typing", "to": there, "text": text, "subject": media });
            self.from.does(typing).await?;
            // Baileys shows a pause as being there.
            if state != "paused" || self.to.library != Library::Baileys {
                let from = &*self.from;
                let types = |event: &ClientEvent| matches!(event, ClientEvent::Typing { from: who, state: is } if from.is(who) && is == state);
                self.to.client.wait(state, types).await?;
            }
        }
        self.seen("typing");
        Ok(())
    }

    async fn shows(&mut self, there: bool) -> Result<(), Failure> {
        let from = &*self.from;
        let shows = |event: &ClientEvent| matches!(event, ClientEvent::Presence { from: who, available } if from.is(who) && *available == there);
        self.to.client.wait(&format!("being there: {there}"), shows).await?;
        Ok(())
    }

    pub(super) async fn profiles(&mut self) -> Result<(), Failure> {
        let (here, pn) = (self.from.person.number_jid(), self.from.person.pn);
        for (phone, there) in [(pn.to_string(), true), ("4930999999999".to_owned(), false)] {
            let found = self.to.does(json!({ "cmd": "check", "phone": format!("+{phone}") })).await?;
            assert_eq!(found, json!(there), "{phone}");
        }
        self.seen("number is on WhatsApp");

        let text = format!("about {}", self.names);
        self.from.does(json!({ "cmd": "set_about", "text": text })).await?;
        assert_eq!(self.to.does(json!({ "cmd": "about", "to": here })).await?, json!(text));
        self.seen("about text");

        self.from.does(json!({ "cmd": "set_picture", "text": "JPEG" })).await?;
        let picture = self.stage.sim.look(|machine| machine.accounts()[&pn].profile.picture.clone());
        let (picture, _) = picture.ok_or_else(|| Failure::new("no picture was set"))?;
        let shown = self.to.names(json!({ "cmd": "picture", "to": here })).await?;
        assert!(shown.contains(&picture.to_string()), "{shown} is not {picture}");
        self.seen("profile picture");
        Ok(())
    }

    /// A call rings, and is rejected by whom it rings.
    pub(super) async fn calls(&mut self) -> Result<(), Failure> {
        let (placed, rejected) = ("call placed", "call rejected");
        if self.from.library != Library::WhatsappRust {
            let reason = format!("{} places no calls", self.from.library.name());
            let back = self.way_back();
            self.cannot(placed, &reason);
            self.matrix.row(rejected).not_applicable(back, &reason);
            return Ok(());
        }
        let (here, there) = (self.from.person.lid_jid(), self.to.person.lid_jid());
        let id = format!("CALL-{}", self.to.person.pn);
        let part = |who: &Member, wanted: &'static str| {
            let (id, user) = (id.clone(), who.person.lid.clone());
            move |event: &ClientEvent| {
                matches!(event, ClientEvent::Call { id: call, from, what }
                    if *call == id && what == wanted && from.starts_with(&user))
            }
        };
        let offer = json!({ "cmd": "call", "kind": "offer", "to": there, "text": id, "on": true });
        self.from.does(offer).await?;
        self.to.client.wait("its call", part(&*self.from, "offer")).await?;
        self.seen(placed);
        self.to.does(json!({ "cmd": "reject_call", "to": here, "text": id })).await?;
        self.from.client.wait("that it is rejected", part(&*self.to, "reject")).await?;
        self.seen_back(rejected);
        Ok(())
    }

    /// Everybody hides the text now.
    pub(super) async fn hidden(&mut self) -> Result<(), Failure> {
        let shown = self.to.does(json!({ "cmd": "about", "to": self.from.person.number_jid() })).await?;
        assert_eq!(shown, json!(""));
        self.seen("what privacy hides");
        Ok(())
    }

    /// They know each other, so they get through where strangers do not.
    pub(super) async fn tokens(&mut self) -> Result<(), Failure> {
        let (from, to) = (self.from.person.pn, self.to.person.pn);
        let given = || self.stage.sim.look(|machine| machine.trust().token(to, from).is_some());
        self.stage.until("a token", given).await?;
        self.stage.sim.commit(&Fault::DemandTokens { demand: true })?;
        // Who has not yet read that he was given one is refused, and tries again.
        for round in 0.. {
            let (stage, device) = (self.stage, self.from.person.first_device());
            let refused =
                || stage.sim.ledger(|ledger| ledger.of(&device).map(|record| record.refused_stanzas));
            let before = refused();
            let text = format!("no stranger, {}, {round}", self.names);
            let sent = self.from.client.send(&self.to.person.lid_jid(), &text).await;
            let came = || self.to.client.messages().iter().any(|message| message.text == text);
            stage.until("answer to who knows him", || came() || refused() > before).await?;
            if came() {
                sent?;
                break;
            }
            assert!(round < 20, "the token is never shown");
        }
        self.stage.sim.commit(&Fault::DemandTokens { demand: false })?;
        self.seen("trusted-contact tokens");
        Ok(())
    }
}
