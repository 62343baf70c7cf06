//! Accepting a message, or saying why not.
//!
//! What must hold: a refusal is typed by what the caller can do about it; a message is called accepted by
//! the commit, never here.

use bytes::Bytes;
use rand::Rng as _;
use roost_proto::api;
use roost_proto::api::device::State;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, Surroundings};
use roost_proto::stanza::{Jid, Server, message_id};
use ulid::Ulid;

use crate::device::{Recipient, SendError, SendRequest};
use crate::machine::commit::After;
use crate::machine::crypto::Purpose;
use crate::machine::inbound::{message_key, person};
use crate::machine::receipts::Lookup;
use crate::machine::secrets::answers;
use crate::machine::{Effect, Machine, Reply};
use crate::port::{ChosenId, MessageState, NewMessage, StoredMessage, rank};

/// A message that may begin a chat, while new chats are barred: it waits to be told whether it does.
#[derive(Debug)]
pub(in crate::machine) struct Admission {
    token: u64,
    request: SendRequest,
}

/// An edit that waits for the message that it is of.
#[derive(Debug)]
pub(in crate::machine) struct Editing {
    token: u64,
    request: SendRequest,
}

impl Machine {
    pub(in crate::machine) fn accept(&mut self, token: u64, request: SendRequest) {
        if let Some(error) = self.refusal() {
            return self.effects.push(Effect::Reply { token, reply: Reply::Sent(Err(error)) });
        }
        if self.bar().is_some() && self.may_begin(&request.to.jid()) && !self.is_remembered(&request.to.jid())
        {
            let chat = request.to.jid();
            let waiting = Purpose::Admission(Box::new(Admission { token, request }));
            return self.look_for_chat(&chat, waiting);
        }
        self.admit(token, request);
    }

    /// Whether there is a chat is known now.
    pub(in crate::machine) fn on_admission(&mut self, waiting: Admission, known: bool) {
        let Admission { token, request } = waiting;
        match self.bar().filter(|_| !known) {
            Some(bar) => {
                let reply = Reply::Sent(Err(SendError::Barred(bar)));
                self.effects.push(Effect::Reply { token, reply });
            }
            None => self.admit(token, request),
        }
    }

    fn admit(&mut self, token: u64, request: SendRequest) {
        match &request.content.kind {
            Content::Edit(edit) => {
                let id = edit.whatsapp_id.clone();
                self.look_up(id, Lookup::Edited(Box::new(Editing { token, request })));
            }
            _ => self.admit_about(token, request, None),
        }
    }

    /// The message that is edited was found, or this device has not sent it.
    pub(in crate::machine) fn on_edited(&mut self, editing: Editing, message: Option<StoredMessage>) {
        let edited = message.map(|stored| stored.message.content);
        self.admit_about(editing.token, editing.request, edited);
    }

    fn admit_about(&mut self, token: u64, request: SendRequest, edited: Option<Bytes>) {
        if let Some(about) = answers(&request.content) {
            return self.accept_answer(token, request, &about, edited);
        }
        let Some(around) = self.surroundings(&request, edited) else {
            return self.effects.push(Effect::Reply { token, reply: Reply::Sent(Err(SendError::NotPaired)) });
        };
        let content = content::encode(&request.content, &around).into();
        self.accept_encoded(token, request, content);
    }

    /// A message whose bytes are known: durable with the next commit.
    pub(in crate::machine) fn accept_encoded(&mut self, token: u64, request: SendRequest, content: Bytes) {
        // The device may have been unlinked while this was decided.
        if let Some(error) = self.refusal() {
            return self.effects.push(Effect::Reply { token, reply: Reply::Sent(Err(error)) });
        }
        let Some(people) = self.people_for(&request) else {
            let reply = Reply::Sent(Err(SendError::UnknownMessage));
            return self.effects.push(Effect::Reply { token, reply });
        };
        let random = u128::from(self.draw()) << 64 | u128::from(self.draw());
        let millis = u64::try_from(self.now.wall.0).unwrap_or_default();
        let made_up = message_id(&mut self.rng);
        let chosen = request.whatsapp_id.is_some();
        let message = NewMessage {
            message_id: Ulid::from_parts(millis, random).to_string(),
            request_id: request.request_id,
            request_hash: request.request_hash,
            whatsapp_id: request.whatsapp_id.unwrap_or(made_up),
            chat: request.to.jid(),
            content,
            accepted: self.now.wall,
            terms: request.terms,
        };
        let is_post = matches!(request.to, Recipient::Status(_));
        if is_post && self.posts.is_undecided(&message.whatsapp_id) {
            // What becomes of the one before says for whom this one is.
            let reply = Reply::Sent(Err(SendError::Unavailable));
            return self.effects.push(Effect::Reply { token, reply });
        }
        // A post of this id that there is keeps its people: this is the same request again, or will be refused.
        let noted = is_post && self.posts.people(&message.whatsapp_id).is_none();
        if noted {
            self.keep_post(message.whatsapp_id.clone(), people);
        }
        self.outbox.accepting += 1;
        let chosen = chosen.then(|| self.chosen_id(&message));
        let gathering = self.commits.pending();
        gathering.batch.chosen.extend(chosen);
        gathering.batch.accepts.push(message.clone());
        gathering.after.push(After::Accepted(token, Box::new(message), noted));
    }

    /// By what a chosen id is taken: by what was sent under it, and by what the log has of it in the same chat, said by
    /// this account or by the other side, in every form in which that may have come.
    fn chosen_id(&self, message: &NewMessage) -> ChosenId {
        let id = &message.whatsapp_id;
        let mut taken_by = vec![format!("sent/{id}")];
        let person = |jid: Jid| person(&[Some(jid)]);
        if let Ok(chat) = message.chat.parse::<Jid>() {
            let ours = [self.account.as_ref().map(|account| account.pn.to_non_ad())]
                .into_iter()
                .chain([self.account.as_ref().and_then(|account| account.lid.as_ref().map(Jid::to_non_ad))]);
            let ours: Vec<api::Person> = ours.flatten().map(person).collect();
            let chats: Vec<api::Person> = match chat.is_pn() || chat.server == Server::Lid {
                true => {
                    self.directory.forms(&chat).iter().flat_map(|form| form.parse()).map(person).collect()
                }
                false => vec![api::Person { lid: chat.to_string(), ..Default::default() }],
            };
            for chat in &chats {
                let senders = ours.iter().chain([chat]);
                taken_by.extend(senders.map(|sender| message_key(chat, sender, id)));
            }
        }
        ChosenId { message_id: message.message_id.clone(), taken_by }
    }

    /// What a message says beside what its sender said: in the address form in which it will travel, as far
    /// as that is known by now.
    pub(in crate::machine) fn surroundings(
        &mut self,
        request: &SendRequest,
        edited: Option<Bytes>,
    ) -> Option<Surroundings> {
        let account = self.account.as_ref()?;
        let mut chat: Jid = request.to.jid().parse().ok()?;
        if chat.is_pn()
            && let Some(Some(lid)) = self.directory.lid(&chat.user)
        {
            chat = Jid::lid(lid);
        }
        let own = account.lid.as_ref().filter(|_| !chat.is_pn()).unwrap_or(&account.pn).to_non_ad();
        let mut secret = [0; 32];
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&self.rng.next_u64().to_be_bytes());
        }
        Some(Surroundings { chat, own, now: self.now.wall, edited, secret })
    }

    /// A stored message turns up that should be on its way; does nothing when it is. The row was read before the batch was
    /// written that it comes with, in which the message may have come to its end.
    pub(in crate::machine) fn outbox_find(&mut self, stored: &StoredMessage) {
        let known = self.sent.furthest(&stored.message.whatsapp_id).into_iter().chain([stored.state]);
        let waits = known.map(rank).all(|known| known <= rank(MessageState::Sending));
        if waits && !self.outbox.items.contains_key(&stored.ordinal) {
            self.outbox_add(stored.clone());
        }
    }

    fn refusal(&self) -> Option<SendError> {
        let Some(account) = &self.account else {
            return Some(if self.loaded { SendError::NotPaired } else { SendError::Unavailable });
        };
        if let Some(until) = self.banned() {
            return Some(SendError::Restricted(until));
        }
        match self.status.now.state {
            State::Conflict => return Some(SendError::Conflict),
            State::Outdated => return Some(SendError::Outdated),
            _ => {}
        }
        if account.logged_out {
            Some(SendError::LoggedOut)
        } else if !self.may_act() || self.commits.failing() {
            Some(SendError::Unavailable)
        } else if self.outbox.items.len() + self.outbox.accepting >= self.limits.outbox {
            Some(SendError::Busy)
        } else {
            None
        }
    }
}
