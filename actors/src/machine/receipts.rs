//! Receipts: what others say of our messages, and what we say of theirs.
//!
//! What must hold: the state of a message only moves on; a receipt is acknowledged behind the commit of
//! what it changed; receipts for messages that are not ours change nothing, nor do those from people whom a message was
//! not for, or for one that was never on the wire; whatever a receipt names, the store is asked once about it.

mod belief;
mod said;
mod sent;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::{Origin, Payload};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza};

use super::commit::{After, Pending};
use super::inbound::{bounded, person};
use super::outbound::Editing;
use super::{Effect, Machine, behind, posts, retry, secrets};
use crate::device::{MarkRead, Seen};
use crate::port::{MessageState, MessageUpdate, NewEvent, NewMessage, StoredMessage, rank};
use belief::{Lids, Word};
use said::Said;
pub(super) use said::ids_of;
pub(super) use sent::SentMessages;

/// Why a receipt changes nothing.
const UNSENT: &str = "it was never on the wire";

/// What a lookup in the store is for.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A receipt about these messages.
    Receipt(Box<Waiting>),
    /// A device asks for the message again.
    Resend(Box<retry::Job>),
    /// Another content is to be sent for the message.
    Edited(Box<Editing>),
    /// Something needs the secret of the message.
    Secret(Box<secrets::Sought>),
    /// WhatsApp has had the message since then, of which nobody knew whether it had arrived.
    Late(UnixMillis),
}

/// A receipt that waits for the store, or for who is who.
#[derive(Debug)]
pub(super) struct Waiting {
    slot: u64,
    link: u64,
    receipt: Stanza,
    said: Vec<Said>,
    /// What is known of the messages that it names, by their ids.
    about: BTreeMap<String, About>,
    /// Ids of which the store is asked.
    unknown: BTreeSet<String>,
}

impl Waiting {
    /// The receipt, as WhatsApp would give it again.
    pub(super) fn behind(&self) -> Option<Bytes> {
        behind::written(&self.receipt)
    }
}

/// A message of ours that a receipt is about.
#[derive(Debug)]
struct About {
    message_id: String,
    chat: String,
    state: MessageState,
    /// The message itself, when nobody knew whether it had arrived.
    unsure: Option<Box<NewMessage>>,
}

impl About {
    fn on_its_way(NewMessage { message_id, chat, .. }: &NewMessage) -> About {
        let (message_id, chat) = (message_id.clone(), chat.clone());
        About { message_id, chat, state: MessageState::Sending, unsure: None }
    }
}

impl From<StoredMessage> for About {
    fn from(StoredMessage { message, state, .. }: StoredMessage) -> About {
        let (message_id, chat) = (message.message_id.clone(), message.chat.clone());
        let unsure = (state == MessageState::Indeterminate).then(|| Box::new(message));
        About { message_id, chat, state, unsure }
    }
}

impl Machine {
    pub(super) fn on_receipt(&mut self, link: u64, receipt: Stanza) {
        let kind = receipt.text("type").map(|kind| kind.into_owned());
        match kind.as_deref() {
            Some("read-self") => return self.on_read_elsewhere(link, &receipt, false),
            Some("played-self") => return self.on_read_elsewhere(link, &receipt, true),
            Some("retry") => return self.on_retry_receipt(link, receipt),
            _ => {}
        }
        let Some(state) = said::state_of(kind.as_deref()) else { return self.ack_receipt(link, &receipt) };
        if self.is_said_by_us(&receipt) {
            return match state {
                MessageState::Read => self.on_read_elsewhere(link, &receipt, false),
                MessageState::Played => self.on_read_elsewhere(link, &receipt, true),
                _ => self.ack_receipt(link, &receipt),
            };
        }
        let said = self.said_in(&receipt, state);
        let slot = self.lane.open();
        let (about, unknown) = (BTreeMap::new(), BTreeSet::new());
        self.work_receipt(Waiting { slot, link, receipt, said, about, unknown });
    }

    /// Finds the messages that a receipt is about.
    fn work_receipt(&mut self, mut waiting: Waiting) {
        for id in waiting.said.iter().flat_map(|said| &said.ids) {
            match (self.outbox.on_its_way(id), self.sent.arrived(id)) {
                (Some((_, false)), _) => self.disbelieve(&waiting.receipt, id, UNSENT),
                (Some((message, true)), _) => {
                    _ = waiting.about.insert(id.clone(), About::on_its_way(message))
                }
                (None, Some(about)) => _ = waiting.about.insert(id.clone(), about),
                (None, None) if self.sent.is_miss(id) => {}
                (None, None) => _ = waiting.unknown.insert(id.clone()),
            }
        }
        match waiting.unknown.is_empty() {
            true => self.weigh_receipt(waiting),
            false => {
                let unknown = waiting.unknown.iter().cloned().collect();
                self.look_up_all(unknown, Lookup::Receipt(Box::new(waiting)));
            }
        }
    }

    fn on_receipt_found(&mut self, mut waiting: Waiting, found: Vec<StoredMessage>) {
        for stored in found {
            let id = stored.message.whatsapp_id.clone();
            waiting.unknown.remove(&id);
            match stored.wire.is_some() {
                true => _ = waiting.about.insert(id, stored.into()),
                false => self.disbelieve(&waiting.receipt, &id, UNSENT),
            }
        }
        for id in std::mem::take(&mut waiting.unknown) {
            self.sent.miss(id);
        }
        self.weigh_receipt(waiting);
    }

    /// All is known of what a receipt is about, and of who says it.
    pub(super) fn judge_receipt(&mut self, mut waiting: Waiting, lids: &Lids) {
        let mut outcome = Pending::default();
        for said in std::mem::take(&mut waiting.said) {
            for id in &said.ids {
                let Some(about) = waiting.about.get(id) else { continue };
                match self.word(&waiting, &said, id, about, lids) {
                    Word::Counts => {
                        self.arrive(&mut outcome, id, about, said.state, said.at);
                        self.note_participant(&mut outcome, about, id, &said);
                    }
                    Word::Nothing(why) => self.disbelieve(&waiting.receipt, id, why),
                    Word::DependsOn(_) => {
                        self.disbelieve(&waiting.receipt, id, "nobody knows whose name it is")
                    }
                }
            }
        }
        let ack = self.plain_ack(&waiting.receipt, None);
        self.settle_slot(waiting.slot, waiting.link, outcome, ack);
    }

    fn disbelieve(&self, receipt: &Stanza, id: &str, why: &str) {
        let (device, from) = (&self.opening.grant.key, receipt.text("from").unwrap_or_default());
        tracing::debug!(%device, id, %from, why, "a receipt that changes nothing");
    }

    pub(super) fn look_up(&mut self, whatsapp_id: String, lookup: Lookup) {
        self.look_up_all(vec![whatsapp_id], lookup);
    }

    fn look_up_all(&mut self, whatsapp_ids: Vec<String>, lookup: Lookup) {
        let token = self.token();
        self.lookups.insert(token, lookup);
        self.effects.push(Effect::Lookup { token, whatsapp_ids });
    }

    pub(super) fn on_found(&mut self, token: u64, mut messages: Vec<StoredMessage>) {
        let lookup = self.lookups.remove(&token);
        if let Some(Lookup::Receipt(waiting)) = lookup {
            return self.on_receipt_found(*waiting, messages);
        }
        let message = messages.pop();
        match lookup {
            Some(Lookup::Resend(job)) => self.on_resend_found(*job, message),
            Some(Lookup::Edited(editing)) => self.on_edited(*editing, message),
            Some(Lookup::Secret(sought)) => self.on_secret_message(*sought, message.as_ref()),
            Some(Lookup::Late(at)) => {
                let mut outcome = Pending { after: vec![After::Settled], ..Pending::default() };
                if let Some(stored) = message {
                    let id = stored.message.whatsapp_id.clone();
                    self.arrive(&mut outcome, &id, &stored.into(), MessageState::Sent, at);
                }
                let slot = self.lane.open();
                self.lane.fill(slot, outcome);
            }
            Some(Lookup::Receipt(_)) | None => {}
        }
    }

    /// A message has reached a state, unless it is further already.
    fn arrive(
        &mut self,
        outcome: &mut Pending,
        id: &str,
        about: &About,
        state: MessageState,
        at: UnixMillis,
    ) {
        self.sent.remember(id, &about.message_id, Some(&about.chat), about.state);
        let known = self.sent.furthest(id).unwrap_or(about.state);
        if rank(known) < rank(state) {
            self.move_message(outcome, &about.message_id, id, state, at, None);
            if let (MessageState::Indeterminate, Some(message)) = (known, &about.unsure) {
                self.count_arrived(outcome, message, at);
            }
        }
    }

    /// In a group every member says for himself how far a message has come with him, and so does everybody who
    /// gets a status post.
    fn note_participant(&self, outcome: &mut Pending, about: &About, whatsapp_id: &str, said: &Said) {
        let Ok(place) = about.chat.parse::<Jid>() else { return };
        let Said { by, forms, state, at, .. } = said;
        // What he cannot take is no news of him.
        if forms.iter().all(Option::is_none) || *state == MessageState::Sent {
            return;
        }
        let (message_id, state, who) = (&about.message_id, i32::from(*state), Some(person(forms)));
        let message = format!("{}/messages/{message_id}", self.opening.grant.key);
        let whatsapp_id = whatsapp_id.to_owned();
        let payload = if posts::is_place(&place) {
            Payload::StatusViewed(api::StatusViewed { message, whatsapp_id, viewer: who, state })
        } else if place.server == Server::Group {
            let group = about.chat.clone();
            let noted = api::ParticipantReceipt { message, whatsapp_id, group, participant: who, state };
            Payload::ParticipantReceipt(noted)
        } else {
            return;
        };
        outcome.batch.events.push(NewEvent {
            dedupe: bounded(format!("receipt/{message_id}/{}/{state}", by.to_non_ad())),
            occurred: *at,
            origin: Origin::Live,
            payload,
        });
    }

    /// A message of ours reaches a state: its row and its event.
    pub(super) fn move_message(
        &mut self,
        outcome: &mut Pending,
        message_id: &str,
        whatsapp_id: &str,
        state: MessageState,
        at: UnixMillis,
        failure: Option<&str>,
    ) {
        let taken = rank(state) >= rank(MessageState::Sent);
        let chat = self.outbox_reached(outcome, whatsapp_id, taken.then_some(at));
        self.sent.remember(whatsapp_id, message_id, chat.as_deref(), state);
        let failure = failure.map(str::to_owned);
        outcome.batch.messages.push(MessageUpdate {
            message_id: message_id.to_owned(),
            state,
            wire: None,
            failure: failure.clone(),
            at,
        });
        let changed = api::MessageStateChanged {
            message: format!("{}/messages/{message_id}", self.opening.grant.key),
            whatsapp_id: whatsapp_id.to_owned(),
            state: state.into(),
            failure: failure.unwrap_or_default(),
        };
        outcome.batch.events.push(NewEvent {
            dedupe: format!("state/{message_id}/{}", i32::from(state)),
            occurred: at,
            origin: Origin::Live,
            payload: Payload::MessageStateChanged(changed),
        });
    }

    /// An acknowledgement of a message that is not on its way: it may be one of which nobody knew whether it had arrived.
    pub(super) fn on_late_ack(&mut self, ack: &Stanza, whatsapp_id: &str) {
        let unsure = self.sent.furthest(whatsapp_id) == Some(MessageState::Indeterminate);
        match unsure && ack.text("error").is_none_or(|error| error == "0") {
            true => self.look_up(whatsapp_id.to_owned(), Lookup::Late(self.told_at(ack))),
            false => self.effects.push(Effect::Credit(1)),
        }
    }

    /// Whether a device of our own account says it.
    pub(super) fn is_said_by_us(&self, receipt: &Stanza) -> bool {
        let said_by = receipt.jid("participant").or_else(|| receipt.jid("from"));
        match (said_by, &self.account) {
            (Some(from), Some(account)) => account.is_own(&from),
            _ => false,
        }
    }

    /// When it happened, by WhatsApp's clock where it says so.
    pub(super) fn told_at(&self, stanza: &Stanza) -> UnixMillis {
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        seconds.map_or(self.now.wall, UnixMillis)
    }

    fn ack_receipt(&mut self, link: u64, receipt: &Stanza) {
        let slot = self.lane.open();
        let ack = self.plain_ack(receipt, None);
        self.settle_slot(slot, link, Pending::default(), ack);
    }

    /// Tells who sent messages that they were read.
    pub(super) fn mark_read(&mut self, token: u64, request: &MarkRead) {
        let refusal = self.cannot_ask();
        if let (None, Some((first, rest))) = (&refusal, request.whatsapp_ids.split_first()) {
            // In a newsletter messages are counted by the server's numbers, and the receipt has an id of its own.
            let of_news = request.chat.server == Server::Newsletter;
            let id = if of_news { self.next_request_id() } else { first.clone() };
            let kind = match request.how {
                _ if of_news => "view",
                Seen::Read => "read",
                Seen::Privately => "read-self",
                Seen::Played => "played",
            };
            let mut receipt = Builder::new("receipt")
                .attr("id", id)
                .attr("to", request.chat.clone())
                .attr("type", kind)
                .attr("t", self.now.wall.0.max(0).cast_unsigned() / 1000);
            if let Some(sender) = &request.sender {
                receipt = receipt.attr("participant", sender.clone());
            }
            let ids = if of_news { &request.whatsapp_ids } else { rest };
            if !ids.is_empty() {
                let key = if of_news { "server_id" } else { "id" };
                let items = ids.iter().map(|id| Builder::new("item").attr(key, id.clone()).build());
                receipt = receipt.children([Builder::new("list").children(items).build()]);
            }
            self.send(&receipt.build());
        }
        self.done(token, refusal.map_or(Ok(()), Err));
    }
}
