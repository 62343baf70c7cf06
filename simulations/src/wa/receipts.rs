//! What devices say about messages, and about themselves: receipts, acks, presence, typing.
//!
//! What must hold: any receipt or ack settles the device's copy, also one that complains; a request to
//! encrypt again reaches exactly the device that it is for. Presence and typing are told to those who are
//! there and are never kept.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{ConnectionId, Machine, Refusal};

impl Machine {
    /// A device (or phone) sends a receipt.
    pub(super) fn receipt(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let id = stanza.need_text("id").map_err(|e| Refusal::from(e.to_string()))?.into_owned();
        let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
        if self.faults.take(from, |f| &mut f.lose_device_acks) {
            return Ok(());
        }
        let kind = stanza.text("type").map(|kind| kind.into_owned());
        self.settle(now, from, "message", &id, Some(&to));
        for item in stanza.child("list").into_iter().flat_map(|list| list.all_named("item")) {
            if let Some(id) = item.text("id") {
                self.settle(now, from, "message", &id, Some(&to));
            }
        }
        if let Some(connection) = self.online.get(&from).copied() {
            let mut ack = Builder::new("ack")
                .attr("class", "receipt")
                .attr("id", id.as_str())
                .attr("from", to.clone())
                .attr("t", seconds(now));
            if let Some(kind) = &kind {
                ack = ack.attr("type", kind.as_str());
            }
            if let Some(participant) = stanza.jid("participant") {
                ack = ack.attr("participant", participant);
            }
            self.send(now, connection, ack.build());
        }
        self.forward(now, from, stanza, &to, kind.as_deref())
    }

    fn forward(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        kind: Option<&str>,
    ) -> Result<(), Refusal> {
        let target = stanza.jid("participant").unwrap_or_else(|| to.clone());
        let own = |machine: &Self| machine.companions_of(from.pn).filter(|d| *d != from).collect::<Vec<_>>();
        match kind {
            Some("view") => {
                self.newsletter_viewed(now, from, to, stanza);
                Ok(())
            }
            Some("peer_msg" | "hist_sync") => Ok(()),
            Some("server-error") => self.media_asked(now, from, stanza),
            Some("retry") => {
                self.ledger.device(from).retries += 1;
                let device = self.device_at(&target).ok_or("the sender to retry is unknown")?;
                let forwarded = self.forwarded(now, from, stanza, to, kind);
                self.deliver(now, device, forwarded);
                Ok(())
            }
            // Only the own account hears of these. (In which form is a guess; clients tolerate it. That the
            // recipient is the other side of a chat, and the author in a group, is how whatsmeow reads it.)
            Some("sender" | "read-self" | "played-self") => {
                let of = if kind == Some("sender") { to } else { &target };
                let forwarded = self.forwarded(now, from, stanza, to, kind).with("recipient", of.to_non_ad());
                for device in own(self) {
                    self.deliver(now, device, forwarded.clone());
                }
                Ok(())
            }
            // Bots have no devices to tell.
            _ if target.server == Server::Bot => Ok(()),
            _ => {
                let author = self.account_of(&target).ok_or("the author is unknown")?.pn;
                let forwarded = self.forwarded(now, from, stanza, to, kind);
                let authors: Vec<_> = self.companions_of(author).filter(|d| *d != from).collect();
                for device in authors {
                    self.deliver(now, device, forwarded.clone());
                }
                if let Some(kind @ ("read" | "played")) = kind.filter(|_| author != from.pn) {
                    let kind = if kind == "read" { "read-self" } else { "played-self" };
                    let copy = forwarded.with("type", kind).with("recipient", target.to_non_ad());
                    for device in own(self) {
                        self.deliver(now, device, copy.clone());
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn companions_of(&self, pn: Pn) -> impl Iterator<Item = DeviceRef> + '_ {
        let account = self.accounts.get(&pn);
        account.into_iter().flat_map(|a| a.companions.keys()).map(move |n| DeviceRef { pn, device: *n })
    }

    /// A receipt as its receivers get it: from the device, in the form in which it was addressed.
    fn forwarded(
        &self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        kind: Option<&str>,
    ) -> Stanza {
        let account = self.account(from.pn);
        let builder = match to.server {
            Server::Group | Server::Broadcast => Builder::new("receipt")
                .attr("from", to.to_non_ad())
                .attr("participant", account.device_jid(from.device, Form::Lid))
                .attr("participant_pn", account.jid(Form::Pn)),
            _ => Builder::new("receipt").attr("from", account.device_jid(from.device, Form::of(to))),
        };
        let mut builder =
            builder.attr("id", stanza.text("id").unwrap_or_default().into_owned()).attr("t", seconds(now));
        if let Some(kind) = kind {
            builder = builder.attr("type", kind);
        }
        for key in ["category", "error"] {
            if let Some(value) = stanza.text(key) {
                builder = builder.attr(key, value.into_owned());
            }
        }
        builder.apply_content(stanza.content.clone()).build()
    }

    /// A device acknowledges a stanza that the server sent.
    pub(super) fn ack(&mut self, now: UnixMillis, from: DeviceRef, stanza: &Stanza) -> Result<(), Refusal> {
        let id = stanza.need_text("id").map_err(|e| Refusal::from(e.to_string()))?.into_owned();
        let class = stanza.need_text("class").map_err(|e| Refusal::from(e.to_string()))?.into_owned();
        if self.faults.take(from, |f| &mut f.lose_device_acks) {
            return Ok(());
        }
        if let Some(error) = stanza.text("error") {
            tracing::info!(device = %from, id, class, %error, "a negative ack");
        }
        self.settle(now, from, &class, &id, stanza.jid("to").as_ref());
        Ok(())
    }

    fn settle(&mut self, now: UnixMillis, device: DeviceRef, tag: &str, id: &str, from: Option<&Jid>) {
        let account = self.accounts.get_mut(&device.pn);
        let companion = account.and_then(|account| account.companions.get_mut(&device.device));
        let Some(settled) = companion.and_then(|companion| companion.backlog.settle(tag, id, from)) else {
            return;
        };
        if settled.tag == "message"
            && let Some(sender) = self.sender_of(&settled)
        {
            self.ledger.settled(sender, id, device, now);
        }
        if let Some(connection) = self.online.get(&device).copied() {
            self.resume_settled(now, connection);
        }
    }

    /// A device shows itself, hides, or wants to see somebody.
    pub(super) fn presence(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        match stanza.text("type").as_deref() {
            Some("subscribe") => {
                let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
                let pn = self.account_of(&to).ok_or("nobody to subscribe to")?.pn;
                let form = Form::of(&to);
                if let Some(online) = self.online_mut(connection) {
                    online.subscriptions.insert(pn, form);
                }
                self.subscribers.entry(pn).or_default().insert(connection);
                let current = self.presence_of(now, pn, form);
                self.send(now, connection, current);
            }
            Some("unsubscribe") => {
                let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
                let pn = self.account_of(&to).ok_or("nobody to look away from")?.pn;
                if let Some(online) = self.online_mut(connection) {
                    online.subscriptions.remove(&pn);
                }
                self.subscribers.entry(pn).or_default().remove(&connection);
            }
            kind @ (None | Some("available" | "unavailable")) => {
                let available = kind != Some("unavailable");
                if let Some(name) = stanza.text("name").filter(|name| !name.is_empty()) {
                    self.account_mut(device.pn).name = name.into_owned();
                }
                let Some(online) = self.online_mut(connection) else { return Ok(()) };
                if std::mem::replace(&mut online.available, available) != available {
                    self.tell_presence(now, device.pn);
                }
            }
            Some(_) => return Err("unknown kind of presence".into()),
        }
        Ok(())
    }

    /// How many connections want to see whether an account is there.
    pub fn watched_by(&self, pn: Pn) -> usize {
        self.subscribers.get(&pn).map_or(0, |connections| connections.len())
    }

    /// Tells all subscribers whether an account is there.
    pub(super) fn tell_presence(&mut self, now: UnixMillis, pn: Pn) {
        let subscribers: Vec<_> = self.subscribers.get(&pn).into_iter().flatten().copied().collect();
        for connection in subscribers {
            let form = self.online_mut(connection).and_then(|online| online.subscriptions.get(&pn).copied());
            if let Some(form) = form {
                let current = self.presence_of(now, pn, form);
                self.send(now, connection, current);
            }
        }
    }

    fn presence_of(&self, now: UnixMillis, pn: Pn, form: Form) -> Stanza {
        let there = self.companions_of(pn).any(|device| {
            let connection = self.online.get(&device).and_then(|id| self.connections.get(id));
            matches!(connection, Some(super::machine::Connection::Online(online)) if online.available)
        });
        let presence = Builder::new("presence").attr("from", self.account(pn).jid(form));
        match there {
            true => presence.build(),
            false => presence.attr("type", "unavailable").attr("last", seconds(now)).build(),
        }
    }

    /// Typing: told to the devices of the chat that are there now.
    pub(super) fn chat_state(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
        let pn = self.account_of(&to).ok_or("nobody to tell")?.pn;
        let from = self.account(device.pn).device_jid(device.device, Form::of(&to));
        let told: Vec<_> =
            self.companions_of(pn).filter_map(|device| self.online.get(&device).copied()).collect();
        for connection in told {
            if self.online_mut(connection).is_some_and(|online| online.active) {
                let state = Builder::new("chatstate")
                    .attr("from", from.clone())
                    .apply_content(stanza.content.clone());
                self.send(now, connection, state.build());
            }
        }
        Ok(())
    }
}
