//! What arrives: the way of each kind of stanza, and of a message from ciphertext to event.
//!
//! What must hold: every stanza that WhatsApp would deliver again is settled exactly once, behind the
//! commit of what came of it; a stanza that cannot be handled is kept whole and settled too, so that it
//! never blocks the line.

mod envelope;

use bytes::Bytes;
use roost_placement::seeded::{self, Bug};
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::login::{Failure, StreamError, Success};
use roost_proto::signal::CiphertextKind;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza, iq};

use super::commit::{After, Pending};
use super::connect::encode;
use super::crypto::{DecryptFailure, Decrypted, GroupCiphertext, Purpose};
use super::pairing::is_from_server;
use super::{CryptoRequest, Effect, Machine, bots, posts};
use crate::port::QuarantinedStanza;
pub(super) use envelope::{Inbound, Refused};

/// A ciphertext for this device alone.
type Single = (CiphertextKind, Bytes);

impl Machine {
    pub(super) fn on_stanza(
        &mut self,
        link: u64,
        raw: Bytes,
        stanza: Result<Stanza, String>,
        poisonous: bool,
    ) {
        // One task reads the link and another tells that it is up: what WhatsApp says first may overtake that.
        self.on_link_up(link);
        let stanza = match stanza {
            Ok(stanza) if !poisonous => stanza,
            Ok(stanza) => {
                let slot = self.lane.open();
                let ack = self.plain_ack(&stanza, Some(500));
                return self.put_aside(slot, link, raw, &stanza, "handling it failed before", ack);
            }
            Err(why) => {
                let slot = self.lane.open();
                let empty = Builder::new("unreadable").build();
                return self.put_aside(slot, link, raw, &empty, &why, None);
            }
        };
        if self.connection.up() != Some(link) {
            // What a closed link still had to say will be said again, if it matters.
            return self.effects.push(Effect::Credit(1));
        }
        self.count_queued(link, &stanza);
        match &*stanza.tag {
            "message" => return self.on_message(link, raw, stanza),
            "receipt" => return self.on_receipt(link, stanza),
            "notification" => return self.on_notification(link, stanza),
            "ack" if stanza.text("class").as_deref() == Some("message") => {
                return self.on_message_ack(&stanza);
            }
            // What a request about calls is answered with.
            "ack" if stanza.text("class").as_deref() == Some("call") => self.on_answer(stanza),
            "call" => return self.on_call(link, &stanza),
            "presence" => return self.on_presence(link, &stanza),
            "chatstate" => return self.on_chat_state(link, &stanza),
            "iq" => self.on_iq(stanza),
            "ib" => self.on_information(&stanza),
            "success" => self.on_success(Success::of(&stanza)),
            "failure" => self.on_failure(&Failure::of(&stanza)),
            _ => {
                if let Some(error) = StreamError::of(&stanza) {
                    self.on_stream_error(error);
                }
            }
        }
        self.effects.push(Effect::Credit(1));
    }

    fn on_iq(&mut self, stanza: Stanza) {
        match stanza.text("type").as_deref() {
            Some("result" | "error") => self.on_answer(stanza),
            _ => {
                let of_the_server = |tag| stanza.child(tag).filter(|_| is_from_server(&stanza));
                if let Some(pair_device) = of_the_server("pair-device") {
                    self.on_pair_device(&stanza, pair_device);
                } else if let Some(success) = of_the_server("pair-success") {
                    self.on_pair_success(&stanza, success);
                } else {
                    // Pings, and whatever else wants a sign of life.
                    self.send(&iq::reply(&stanza).build());
                }
            }
        }
    }

    fn on_message(&mut self, link: u64, raw: Bytes, stanza: Stanza) {
        if let Some(from) = stanza.jid("from").filter(|from| from.server == Server::Newsletter) {
            return self.on_newsletter_message(link, raw, &from, &stanza);
        }
        if stanza.all_named("enc").any(|enc| enc.text("type").as_deref() == Some(bots::KIND)) {
            return self.on_bot_message(link, raw, stanza);
        }
        let slot = self.lane.open();
        let envelope = self.envelope(link, &raw, &stanza);
        if stanza.child("enc").is_none()
            && stanza.child("unavailable").is_some()
            && let Ok(message) = &envelope
        {
            return self.on_unavailable(slot, message);
        }
        match envelope.and_then(|inbound| ciphertexts(inbound, &stanza)) {
            Ok((inbound, single, group)) => {
                let asked = self.awaited.asked(&retry_name(&inbound.from, &inbound.id));
                let from = inbound.peer.clone();
                let to = Some(inbound.spoken_name()).filter(|_| inbound.own && inbound.group.is_none());
                let request = CryptoRequest::Decrypt { from, to, single, group, asked_before: asked > 0 };
                self.ask_crypto(request, Purpose::Inbound { slot, message: Box::new(inbound) });
            }
            Err(Refused { reason, nack }) => {
                let ack = self.plain_ack(&stanza, nack);
                self.put_aside(slot, link, raw, &stanza, reason, ack);
            }
        }
    }

    pub(super) fn on_decrypted(&mut self, slot: u64, mut message: Inbound, decrypted: Decrypted) {
        self.active = Some(self.now.wall);
        let mut outcome = super::crypto::with_state(decrypted.changes);
        self.note_mapped(&mut outcome);
        message.spoken_lid = decrypted.spoken_lid.map(Jid::lid);
        let (padded, renewed) = match decrypted.result {
            Ok(plaintext) => plaintext,
            Err(DecryptFailure::Duplicate) => {
                // In the log, or in a batch before this one: settled again, behind it.
                let receipt = self.receipt(&message);
                return self.settle_slot(slot, message.link, outcome, receipt);
            }
            Err(failure) => return self.ask_again(slot, message, outcome, failure),
        };
        let sender = api::Person {
            lid: decrypted.lid.as_ref().map(|user| format!("{user}@lid")).unwrap_or_default(),
            phone_number: message
                .peer
                .pn
                .as_ref()
                .map(|pn| format!("{pn}@s.whatsapp.net"))
                .unwrap_or_default(),
        };
        if renewed {
            let changed = api::IdentityChanged { person: Some(sender.clone()) };
            let dedupe = bounded(format!("identity/{}/{}", message.from, message.id));
            outcome.batch.events.push(self.synthetic(dedupe, Payload::IdentityChanged(changed)));
        }
        if let (Some(pn), Some(lid)) = (&message.peer.pn, &decrypted.lid) {
            self.directory.set_lid(pn.clone(), Some(lid.clone()));
        }
        self.awaited_came(&mut outcome, retry_name(&message.from, &message.id));
        match (&message.group, message.own, &message.recipient) {
            (None, false, _) => {
                self.note_chat(&mut outcome, [sender.lid.clone(), sender.phone_number.clone()])
            }
            (None, true, Some(chat)) if self.may_begin(&chat.to_non_ad().to_string()) => {
                let to = message.spoken_to(None);
                self.note_chat(&mut outcome, [to.lid, to.phone_number]);
            }
            _ => {}
        }
        if self.hear_phone(slot, &message, &padded, &mut outcome) {
            let receipt = self.receipt(&message);
            return self.settle_slot(slot, message.link, outcome, receipt);
        }
        if let Err((message, error)) = self.on_plaintext(slot, message, outcome, &padded, sender) {
            let (message, mut outcome) = *message;
            let ack = self.plain_ack(&message.stanza, Some(491));
            self.quarantine(&mut outcome, message.raw, &message.stanza, &error.to_string());
            self.settle_slot(slot, message.link, outcome, ack);
        }
    }

    /// A message was told, or is nothing for the user: it is settled, unless it was before.
    pub(super) fn settle_told(&mut self, slot: u64, message: &Inbound, outcome: Pending) {
        if message.from_phone {
            return self.lane.fill(slot, outcome);
        }
        let receipt = self.receipt(message);
        self.settle_slot(slot, message.link, outcome, receipt);
    }

    /// What settles a message that was taken. The plain form means delivered; of a device
    /// that hides it does not show.
    pub(super) fn receipt(&self, message: &Inbound) -> Option<Stanza> {
        let receipt = Builder::new("receipt").attr("id", message.id.clone());
        let receipt = if let Some(place) = message.place() {
            let receipt = receipt.attr("to", place.clone()).attr("participant", message.from.clone());
            // Status posts never say it.
            let hidden = self.presence.hidden() && !posts::is_place(place);
            match message.own {
                true => receipt.attr("type", "sender"),
                false if hidden => receipt.attr("type", "inactive"),
                false => receipt,
            }
        } else if !message.own && self.presence.hidden() {
            receipt.attr("to", message.from.clone()).attr("type", "inactive")
        } else if !message.own {
            receipt.attr("to", message.from.clone())
        } else if message.stanza.text("category").as_deref() == Some("peer") {
            receipt.attr("to", message.from.clone()).attr("type", "peer_msg")
        } else {
            // It goes to the device that has sent the copy, and names the chat beside it.
            let receipt = receipt.attr("to", message.from.clone()).attr("type", "sender");
            match &message.recipient {
                Some(chat) => receipt.attr("recipient", chat.to_non_ad()),
                None => receipt,
            }
        };
        Some(receipt.build())
    }

    /// `<ack>` of any stanza, with an error code for a negative one. `None` when it cannot be addressed.
    pub(super) fn plain_ack(&self, stanza: &Stanza, error: Option<u16>) -> Option<Stanza> {
        let mut ack = Builder::new("ack")
            .attr("id", stanza.text("id")?.into_owned())
            .attr("class", stanza.tag.to_string())
            .attr("to", stanza.jid("from")?);
        // A message is acknowledged without its type.
        if stanza.tag != "message"
            && let Some(kind) = stanza.text("type")
        {
            ack = ack.attr("type", kind.into_owned());
        }
        for key in ["participant", "recipient"] {
            if let Some(jid) = stanza.jid(key) {
                ack = ack.attr(key, jid);
            }
        }
        if let Some(code) = error {
            ack = ack.attr("error", code);
        }
        Some(ack.build())
    }

    /// Fills a slot of an inbound stanza; `answer` goes out behind its commit.
    pub(super) fn settle_slot(&mut self, slot: u64, link: u64, mut outcome: Pending, answer: Option<Stanza>) {
        match answer.as_ref().and_then(encode) {
            Some(bytes) if seeded::on(Bug::AckBeforeCommit) => self.wire.push_back((link, bytes)),
            Some(bytes) => outcome.after.push(After::Wire(link, bytes)),
            None => {}
        }
        outcome.after.push(After::Settled);
        self.lane.fill(slot, outcome);
    }

    pub(super) fn put_aside(
        &mut self,
        slot: u64,
        link: u64,
        raw: Bytes,
        stanza: &Stanza,
        reason: &str,
        ack: Option<Stanza>,
    ) {
        let mut outcome = Pending::default();
        self.quarantine(&mut outcome, raw, stanza, reason);
        self.settle_slot(slot, link, outcome, ack);
    }

    /// Keeps a stanza whole, with an event that says so.
    pub(super) fn quarantine(&self, outcome: &mut Pending, raw: Bytes, stanza: &Stanza, reason: &str) {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        let from = stanza.text("from").unwrap_or_default();
        let key = if id.is_empty() { roost_proto::phash::digest(&raw) } else { format!("{from}/{id}") };
        let dedupe = bounded(format!("quarantine/{}/{key}", stanza.tag));
        let reason = reason.to_owned();
        let payload =
            Payload::StanzaQuarantined(api::StanzaQuarantined { stanza_id: id, reason: reason.clone() });
        outcome.batch.events.push(self.synthetic(dedupe.clone(), payload));
        outcome.batch.quarantine.push(QuarantinedStanza { dedupe, raw, reason, at: self.now.wall });
    }
}

/// What is encrypted in a message, for this device alone and for its group.
fn ciphertexts(
    inbound: Inbound,
    stanza: &Stanza,
) -> Result<(Inbound, Option<Single>, Option<GroupCiphertext>), Refused> {
    let bytes = |enc: &Stanza| enc.leaf().map(Bytes::copy_from_slice);
    let kind = |enc: &Stanza| enc.text("type").as_deref().and_then(CiphertextKind::parse);
    let single = stanza.all_named("enc").find_map(|enc| Some((kind(enc)?, bytes(enc)?)));
    let shared = stanza.all_named("enc").find(|enc| enc.text("type").as_deref() == Some("skmsg"));
    let shared = shared.filter(|_| inbound.place().is_some()).and_then(bytes);
    if single.is_none() && shared.is_none() {
        let reason = match stanza.child("enc").is_some() {
            true => "a ciphertext of an unknown kind, or without bytes",
            false => "a message without content",
        };
        return Err(Refused { reason, nack: Some(488) });
    }
    let ciphertext = inbound.place().map(|place| GroupCiphertext { group: place.to_string(), bytes: shared });
    Ok((inbound, single, ciphertext))
}

/// What names a message in the log, however it came.
pub(super) fn message_key(chat: &api::Person, sender: &api::Person, id: &str) -> String {
    let name = |person: &api::Person| match &*person.lid {
        "" => person.phone_number.clone(),
        lid => lid.to_owned(),
    };
    bounded(format!("msg/{}/{}/{id}", name(chat), name(sender)))
}

/// A person by the forms in which a JID may have come.
pub(super) fn person(forms: &[Option<Jid>]) -> api::Person {
    let find = |server| {
        let jid = forms.iter().flatten().find(|jid| jid.server == server);
        jid.map(|jid| jid.to_non_ad().to_string()).unwrap_or_default()
    };
    api::Person { lid: find(Server::Lid), phone_number: find(Server::Pn) }
}

/// Name of the row of a message that was asked for again.
pub(super) fn retry_name(from: &Jid, id: &str) -> String {
    bounded(format!("{from}/{id}"))
}

/// Ids come from peers: a key that would be too long is replaced by its digest.
pub(super) fn bounded(key: String) -> String {
    if key.len() <= 300 { key } else { roost_proto::phash::digest(key.as_bytes()) }
}
