//! Messages: from one device to every device that it encrypted for.
//!
//! What must hold: each receiver gets exactly its own ciphertext, in the order in which the server took the
//! messages, and keeps it in its backlog until it settles it; the sending device never gets its own copy;
//! a sender hears the server's ack after the fan-out.

use roost_proto::id::UnixMillis;
use roost_proto::signal::CiphertextKind;
use roost_proto::stanza::{Builder, Content, Jid, Read as _, Server, Stanza};

use super::account::{DeviceRef, Form, participants_hash, seconds};
use super::machine::{ConnectionId, Machine, Refusal};

// That the real server drops a revocation which is marked as `decrypt-fail=hide` is what whatsapp-rust says. whatsmeow marks
// each one so and is used, so here they are delivered.

/// Children of a message that are the server's own business, or are delivered in another way.
pub(super) const NOT_COPIED: [&str; 7] =
    ["participants", "enc", "device-identity", "reporting", "tctoken", "cstoken", "bot"];

/// Ciphertexts for one device.
struct Entry<'a> {
    to: DeviceRef,
    ciphertexts: Vec<&'a Stanza>,
}

impl Machine {
    /// A device (or phone) sends a message.
    pub(super) fn message(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let id = stanza.need_text("id").map_err(|e| Refusal::from(e.to_string()))?.into_owned();
        let to = stanza.need_jid("to").map_err(|e| Refusal::from(e.to_string()))?;
        let repeated = self.ledger.message(from, &id, to.to_string(), now);
        if repeated {
            // The real server may drop a repetition; receivers must bear it, so it goes out again. (Guess.)
            tracing::debug!(device = %from, id, "the same message again");
        }
        if to.server == Server::Broadcast {
            return self.post(now, from, &id, &to, stanza);
        }
        if to.server == Server::Newsletter {
            return self.newsletter_message(now, from, &id, &to, stanza);
        }
        if to.server == Server::Group {
            return self.group_message(now, from, &id, &to, stanza);
        }
        let Some(recipient) = self.account_of(&to).map(|account| account.pn) else {
            let why = format!("{to} is not an account");
            return self.refuse_message(now, from, stanza, &to, "404", why);
        };
        let listed = stanza.child("participants");
        if let Some(why) = listed.and_then(Self::bad_list) {
            return self.refuse_message(now, from, stanza, &to, "400", why);
        }
        if let Some(code) = self.refuse_stranger(now, from, recipient, stanza) {
            return self.refuse_message(now, from, stanza, &to, code, "a stranger without a token");
        }
        if let Some(code) = self.judge(now, from, recipient) {
            let why = format!("{code}: it may not begin a chat with {to}");
            return self.refuse_message(now, from, stanza, &to, &code.to_string(), why);
        }
        let entries = self.entries(from, recipient, stanza, &to);
        if entries.is_empty() && listed.is_none() {
            return self.refuse_message(now, from, stanza, &to, "400", "it carries no ciphertext");
        }
        self.account_mut(recipient).watch(from.pn);
        let incomplete = listed.is_some() && self.lacks_devices(from, recipient, &entries);
        if incomplete {
            self.ledger.device(from).incomplete_fanouts += 1;
        }
        let too_many = listed.is_some_and(|all| self.names_the_gone(from, all));
        for entry in entries {
            for ciphertext in &entry.ciphertexts {
                let kind = ciphertext.text("type").and_then(|kind| CiphertextKind::parse(&kind));
                if let (Some(kind), Some(bytes)) = (kind, ciphertext.leaf()) {
                    self.ledger.ciphertext((from, entry.to), &id, kind, bytes, now);
                }
            }
            let delivery = self.delivery(now, from, stanza, &to, &entry);
            self.deliver(now, entry.to, delivery);
        }
        self.call_bot(now, from, &to, stanza);
        // A guess: only when the devices are others, whatever hash the sender gives. whatsmeow counts the sending device in,
        // whatsapp-rust does not and forgets all devices when the hash is not its own, so no hash would please both.
        let hash = (incomplete || too_many)
            .then(|| participants_hash([self.account(recipient), self.account(from.pn)], Form::of(&to)));
        let hash: Vec<(&str, String)> = hash.into_iter().map(|hash| ("phash", hash)).collect();
        self.ack_message(now, from, stanza, &to, &hash);
        Ok(())
    }

    /// Who gets what: the entries of `<participants>`, or the addressed device alone.
    fn entries<'a>(
        &mut self,
        from: DeviceRef,
        recipient: u64,
        stanza: &'a Stanza,
        to: &Jid,
    ) -> Vec<Entry<'a>> {
        let Some(participants) = stanza.child("participants") else {
            let ciphertexts: Vec<_> = stanza.all_named("enc").collect();
            let to = self.device_at(to).filter(|to| *to != from && !ciphertexts.is_empty());
            return to.map(|to| Entry { to, ciphertexts }).into_iter().collect();
        };
        let mut entries = Vec::new();
        for entry in participants.all_named("to") {
            let device = entry.jid("jid").and_then(|jid| self.device_at(&jid));
            let device = device.filter(|device| device.pn == recipient || device.pn == from.pn);
            let Some(device) = device else {
                tracing::warn!(device = %from, to = ?entry.text("jid"), "a ciphertext for a stranger");
                self.ledger.device(from).misdirected += 1;
                continue;
            };
            if self.account(device.pn).identity(device.device).is_none() {
                tracing::info!(device = %from, to = %device, "a ciphertext for a device that is gone");
            } else if device != from {
                entries.push(Entry { to: device, ciphertexts: entry.all_named("enc").collect() });
            }
        }
        entries
    }

    /// What is wrong with a list of ciphertexts as a whole. That no device is named by number and by hidden identity, and that
    /// the two forms are not mixed, is what whatsapp-rust says of the real server; the rest, and the codes, are guesses. (In
    /// one form whatsmeow names its own devices twice when it writes to its own account.)
    fn bad_list(participants: &Stanza) -> Option<&'static str> {
        let mut forms = [false; 2];
        for entry in participants.all_named("to") {
            let Some(jid) = entry.jid("jid") else { return Some("a ciphertext for nobody") };
            if entry.child("enc").is_none() {
                return Some("an entry without a ciphertext");
            }
            match jid.server {
                Server::Lid => forms[0] = true,
                Server::Pn => forms[1] = true,
                _ => {}
            }
        }
        match forms {
            _ if participants.child("to").is_none() => Some("it is for nobody"),
            [true, true] => Some("hidden identities among numbers"),
            _ => None,
        }
    }

    /// Whether a list of ciphertexts names a device that is gone.
    fn names_the_gone(&self, from: DeviceRef, participants: &Stanza) -> bool {
        let named = participants.all_named("to").filter_map(|entry| self.device_at(&entry.jid("jid")?));
        let mut others = named.filter(|device| *device != from);
        others.any(|device| self.account(device.pn).identity(device.device).is_none())
    }

    /// The device that an address names, if there is one.
    pub(super) fn existing(&self, jid: &Jid) -> Option<DeviceRef> {
        self.device_at(jid).filter(|device| self.account(device.pn).identity(device.device).is_some())
    }

    /// Whether a device of the two accounts gets nothing.
    fn lacks_devices(&self, from: DeviceRef, recipient: u64, entries: &[Entry<'_>]) -> bool {
        let all = [recipient, from.pn]
            .into_iter()
            .flat_map(|pn| self.account(pn).devices().map(move |device| DeviceRef { pn, device }));
        let mut others = all.filter(|device| *device != from);
        others.any(|device| entries.iter().all(|entry| entry.to != device))
    }

    fn delivery(
        &self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        entry: &Entry<'_>,
    ) -> Stanza {
        let (sender, form) = (self.account(from.pn), Form::of(to));
        let mut builder = Builder::new("message")
            .attr("from", sender.device_jid(from.device, form))
            .attr("id", stanza.text("id").unwrap_or_default().into_owned())
            .attr("type", stanza.text("type").unwrap_or("text".into()).into_owned())
            .attr("t", seconds(now))
            .attr("notify", sender.name.as_str());
        for key in ["edit", "category", "addressing_mode"] {
            if let Some(value) = stanza.text(key) {
                builder = builder.attr(key, value.into_owned());
            }
        }
        let own_copy = entry.to.pn == from.pn && stanza.text("category").as_deref() != Some("peer");
        builder = match (own_copy, form) {
            (true, _) => self.with_chat(builder, stanza, to),
            (false, Form::Pn) => builder.attr("sender_lid", sender.jid(Form::Lid)),
            (false, Form::Lid) => builder.attr("sender_pn", sender.jid(Form::Pn)),
        };
        let mut children: Vec<Stanza> = entry.ciphertexts.iter().map(|enc| (*enc).clone()).collect();
        let opens = children.iter().any(|enc| enc.text("type").as_deref() == Some("pkmsg"));
        children.extend(stanza.child("device-identity").filter(|_| opens).cloned());
        // Only the simulated phones look at it: what real ones are told of it is not known.
        children.extend(stanza.child("reporting").filter(|_| entry.to.device == 0 && !own_copy).cloned());
        children.extend(stanza.all().iter().filter(|child| !NOT_COPIED.contains(&&*child.tag)).cloned());
        children.extend(sender.certified().filter(|_| !own_copy));
        builder.children(children).build()
    }

    /// A copy of an own message names the chat that it belongs to, in both forms. What is sent to a sibling again has it beside
    /// the sibling's address.
    fn with_chat(&self, copy: Builder, stanza: &Stanza, to: &Jid) -> Builder {
        let again = stanza.child("participants").is_none();
        let chat = stanza.jid("recipient").filter(|_| again).unwrap_or_else(|| to.clone()).to_non_ad();
        // A bot has no other form.
        let account = self.account_of(&chat).filter(|_| chat.server != Server::Bot);
        let (form, copy) = (Form::of(&chat), copy.attr("recipient", chat));
        match (account, form) {
            (Some(account), Form::Pn) => copy.attr("peer_recipient_lid", account.jid(Form::Lid)),
            (Some(account), Form::Lid) => copy.attr("peer_recipient_pn", account.jid(Form::Pn)),
            (None, _) => copy,
        }
    }

    /// Acknowledges a message with an error code; the log is told why.
    pub(super) fn refuse_message(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        code: &str,
        why: impl Into<Refusal>,
    ) -> Result<(), Refusal> {
        self.ack_message(now, from, stanza, to, &[("error", code.to_owned())]);
        Err(why.into())
    }

    pub(super) fn ack_message(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        stanza: &Stanza,
        to: &Jid,
        extra: &[(&'static str, String)],
    ) {
        let Some(connection) = self.online.get(&from).copied() else { return };
        if self.faults.take(from, |f| &mut f.lose_server_acks) {
            return;
        }
        let mut ack = Builder::new("ack")
            .attr("class", "message")
            .attr("id", stanza.text("id").unwrap_or_default().into_owned())
            .attr("from", to.clone())
            .attr("t", seconds(now));
        for (key, value) in extra {
            ack = ack.attr(key, value.as_str());
        }
        self.send(now, connection, ack.build());
    }

    /// Puts one stanza into a device's backlog, and writes it if the device wants it now. A phone takes it
    /// at once.
    pub(super) fn deliver(&mut self, now: UnixMillis, to: DeviceRef, mut stanza: Stanza) {
        if to.device == 0 {
            self.phone_takes(now, to.pn, &stanza);
            return;
        }
        if stanza.tag == "message" && self.faults.take(to, |f| &mut f.corrupt) {
            corrupt(&mut stanza);
        }
        let peer = stanza.text("category").as_deref() == Some("peer");
        if stanza.tag == "message" && !peer && self.faults.take(to, |f| &mut f.withhold) {
            withhold(&mut stanza);
        }
        let account = self.accounts.get_mut(&to.pn);
        let Some(companion) = account.and_then(|account| account.companions.get_mut(&to.device)) else {
            return;
        };
        let dropped = companion.backlog.push(stanza.clone());
        if dropped.is_some() {
            self.ledger.device(to).dropped += 1;
        }
        let Some(connection) = self.online.get(&to).copied() else { return };
        let active = self.online_mut(connection).is_some_and(|online| online.active);
        if active && !self.hold_back(connection, &stanza, dropped) {
            self.write(now, connection, to, stanza);
        }
    }

    /// The device that sent a delivery.
    pub(super) fn sender_of(&self, stanza: &Stanza) -> Option<DeviceRef> {
        let jid = stanza.jid("participant").or_else(|| stanza.jid("from"))?;
        self.device_at(&jid)
    }

    /// Writes a delivery to a connection of its receiver.
    pub(super) fn write(&mut self, now: UnixMillis, connection: ConnectionId, to: DeviceRef, stanza: Stanza) {
        let times = if self.faults.take(to, |f| &mut f.duplicate) { 2 } else { 1 };
        for _ in 0..times {
            if stanza.tag == "message"
                && let Some(from) = self.sender_of(&stanza)
            {
                self.ledger.delivered(from, &stanza.text("id").unwrap_or_default(), to);
            }
            self.send(now, connection, stanza.clone());
        }
    }
}

/// Leaves of a message only that there is one.
fn withhold(stanza: &mut Stanza) {
    let nothing = Builder::new("unavailable").attr("type", "fanout").build();
    stanza.content = Some(Content::Nodes(vec![nothing]));
}

/// Changes one byte of every ciphertext where only the authentication can notice it: 16 bytes before the end
/// are text or MAC in both kinds (a `pkmsg` ends with two short numbers).
fn corrupt(stanza: &mut Stanza) {
    let Some(Content::Nodes(children)) = &mut stanza.content else { return };
    for child in children.iter_mut().filter(|child| child.tag == "enc") {
        if let Some(Content::Bytes(bytes)) = &mut child.content
            && let Some(at) = bytes.len().checked_sub(16)
        {
            bytes[at] ^= 0xff;
        }
    }
}
