//! What devices say about messages, and about themselves: receipts, acks, presence, typing.
//!
//! What must hold: any receipt or ack settles the device's copy, also one that complains; a request to
//! encrypt again reaches exactly the device that it is for. Presence and typing are told to those who are
//! there and are never kept.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::{ConnectionId, Machine, Refusal};

/// The kinds that clients send, beside the plain one.
const KINDS: [&str; 11] = [
    "inactive",
    "read",
    "played",
    "read-self",
    "played-self",
    "sender",
    "retry",
    "peer_msg",
    "hist_sync",
    "server-error",
    "view",
];

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
        self.good_receipt(from, stanza, &to, kind.as_deref())?;
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

    /// Whether a receipt is one that the real server knows, and goes where it belongs. That it refuses kinds which no client
    /// sends is a guess.
    fn good_receipt(
        &self,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        kind: Option<&str>,
    ) -> Result<(), Refusal> {
        match kind {
            // A copy of an own message is settled at the device that has sent it: two clients say so, and one that the server
            // refuses it at the chat. Baileys settles what was said to a bot there.
            Some("sender") if to.server != Server::Bot => {
                let target = stanza.jid("participant").unwrap_or_else(|| to.clone());
                let own = self.existing(&target).is_some_and(|device| device.pn == from.pn);
                if own { Ok(()) } else { Err("a receipt for an own copy goes to no own device".into()) }
            }
            None | Some("sender") => Ok(()),
            Some(kind) if KINDS.contains(&kind) => Ok(()),
            Some(_) => Err("an unknown kind of receipt".into()),
        }
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
                let device = self.existing(&target).ok_or("the device that is to send again is unknown")?;
                self.ledger.device(device).asked_again += 1;
                // Of a copy of an own message it names the chat: whatsmeow looks for it there.
                let forwarded = self.forwarded(now, from, stanza, to, kind);
                self.deliver(now, device, with_recipient(forwarded, stanza));
                Ok(())
            }
            // Only the own account hears of these. (In which form is a guess; clients tolerate it.)
            Some("sender") => {
                let forwarded = with_recipient(self.forwarded(now, from, stanza, to, kind), stanza);
                for device in own(self) {
                    self.deliver(now, device, forwarded.clone());
                }
                Ok(())
            }
            // That the recipient is the other side of a chat, and the author in a group, is how whatsmeow reads it.
            Some("read-self" | "played-self") => {
                let forwarded = self.forwarded(now, from, stanza, to, kind);
                let forwarded = forwarded.with("recipient", target.to_non_ad());
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
                    for receipt in self.faults.gathering.add(device, forwarded.clone()) {
                        self.deliver(now, device, receipt);
                    }
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
                let current = self.presence_of(pn, form, device.pn);
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

    /// Tells all subscribers whether an account is there, which has just changed.
    pub(super) fn tell_presence(&mut self, now: UnixMillis, pn: Pn) {
        self.account_mut(pn).last_there = Some(now);
        let subscribers: Vec<_> = self.subscribers.get(&pn).into_iter().flatten().copied().collect();
        for connection in subscribers {
            let watch = self.online_mut(connection);
            let watch = watch.and_then(|online| Some((online.device.pn, *online.subscriptions.get(&pn)?)));
            // Who may not see it hears nothing of a change, either.
            let may = |to: &Pn| self.account(pn).shows_online(self.account(*to));
            if let Some((to, form)) = watch.filter(|(to, _)| may(to)) {
                let current = self.presence_of(pn, form, to);
                self.send(now, connection, current);
            }
        }
    }

    /// What an account shows to another one. What it hides is told as `deny`. That nothing is said of who was never there is a
    /// guess (whatsmeow drops a presence with any other word), and so is that who hides this may see it of others.
    fn presence_of(&self, pn: Pn, form: Form, to: Pn) -> Stanza {
        let (account, viewer) = (self.account(pn), self.account(to));
        let presence = Builder::new("presence").attr("from", account.jid(form));
        if self.is_there(pn) && account.shows_online(viewer) {
            return presence.build();
        }
        let presence = presence.attr("type", "unavailable");
        let presence = match account.last_there {
            _ if !account.shows("last", viewer) => presence.attr("last", "deny"),
            Some(last) => presence.attr("last", seconds(last)),
            None => presence,
        };
        presence.build()
    }

    fn is_there(&self, pn: Pn) -> bool {
        self.companions_of(pn).any(|device| {
            let connection = self.online.get(&device).and_then(|id| self.connections.get(id));
            matches!(connection, Some(super::machine::Connection::Online(online)) if online.available)
        })
    }

    /// Typing: told to the devices of the chat that are there now, in a group to those of the other members.
    pub(super) fn chat_state(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
        let (told, state) = match to.server {
            Server::Group => {
                let group = self.groups.get(&*to.user).ok_or("there is no such group to type in")?;
                if !group.members.contains_key(&device.pn) {
                    return Err("a stranger types in a group".into());
                }
                let others = group.members.keys().copied().filter(|pn| *pn != device.pn).collect();
                let author = self.account(device.pn).device_jid(device.device, Form::Lid);
                (others, Builder::new("chatstate").attr("from", to.to_non_ad()).attr("participant", author))
            }
            _ => {
                let pn = self.account_of(&to).ok_or("nobody to tell")?.pn;
                let from = self.account(device.pn).device_jid(device.device, Form::of(&to));
                (vec![pn], Builder::new("chatstate").attr("from", from))
            }
        };
        let state = state.apply_content(stanza.content.clone()).build();
        let there = told.into_iter().flat_map(|pn| self.online_of(pn));
        let connections: Vec<ConnectionId> =
            there.filter_map(|device| self.online.get(&device).copied()).collect();
        for connection in connections {
            if self.online_mut(connection).is_some_and(|online| online.active) {
                self.send(now, connection, state.clone());
            }
        }
        Ok(())
    }
}

/// The chat that a receipt names beside the device to which it goes.
fn with_recipient(forwarded: Stanza, stanza: &Stanza) -> Stanza {
    match stanza.jid("recipient") {
        Some(recipient) => forwarded.with("recipient", recipient),
        None => forwarded,
    }
}
