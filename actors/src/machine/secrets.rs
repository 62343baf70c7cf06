//! Secrets of messages: what answers to them are encrypted under.
//!
//! What must hold: the secret of a poll or an event is written in the transaction of the message that brought it;
//! one that is not durable yet is found all the same, because the latest are remembered. Those of other messages
//! are remembered and not written: nearly every message has one, and few are ever needed; those of our own stand in
//! the rows of these. What needs one that is not known any more is told as unreadable.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use roost_proto::api;
use roost_proto::content::{self, MessageContent, Secret};
use roost_proto::stanza::Jid;

use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::crypto::Purpose;
use super::inbound::bounded;
use super::receipts::Lookup;
use super::{CryptoRequest, Effect, Machine, Reply, heard};
use crate::device::{SendError, SendRequest};
use crate::port::{StateKey, StateKind, StoredMessage};

/// Secrets that are remembered; older ones are rows.
const REMEMBERED: usize = 256;
/// First byte of a row.
const FORMAT: u8 = 1;

/// The latest secrets by the names of their rows.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    known: BTreeMap<String, Secret>,
    order: VecDeque<String>,
}

impl Secrets {
    /// The first that is known under one of these names.
    pub(super) fn find(&self, names: &[String]) -> Option<Secret> {
        names.iter().find_map(|name| self.known.get(name)).cloned()
    }

    fn remember(&mut self, name: String, secret: Secret) {
        if self.known.insert(name.clone(), secret).is_none() {
            self.order.push_back(name);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// A send that waits for the secret of what it answers.
#[derive(Debug)]
pub(super) struct Waiting {
    token: u64,
    request: SendRequest,
    author: String,
}

/// Who needs a secret.
#[derive(Debug)]
pub(super) enum Need {
    /// Something that has come, and fills this slot.
    Reading(u64, Box<heard::Question>),
    /// Something that is to be sent.
    Sending(Box<Waiting>),
}

/// A secret that is looked for.
#[derive(Debug)]
pub(super) struct Sought {
    /// WhatsApp's id of its message.
    pub(super) id: String,
    /// The message is of our account.
    pub(super) own: bool,
    pub(super) need: Need,
}

impl Sought {
    /// The slot that waits for it, if one does.
    pub(super) fn slot(&self) -> Option<u64> {
        match &self.need {
            Need::Reading(slot, _) => Some(*slot),
            Need::Sending(_) => None,
        }
    }
}

impl Machine {
    /// Keeps the secret of a message, under every name of its author.
    pub(super) fn remember_secret(
        &mut self,
        outcome: &mut Pending,
        author: &api::Person,
        id: &str,
        own: bool,
        message: &[u8],
    ) {
        let Some(secret) = Secret::of(message) else { return };
        let authors =
            if own { self.own_names() } else { vec![author.lid.clone(), author.phone_number.clone()] };
        let mut row = Writer::new(FORMAT);
        row.bytes(&secret.key);
        for option in &secret.options {
            row.text(option);
        }
        let row = row.finish();
        for author in authors.into_iter().filter(|author| !author.is_empty()) {
            let name = secret_name(&author, id);
            if secret.lasting {
                let key = StateKey { kind: StateKind::MessageSecret, name: name.clone() };
                outcome.batch.state.push((key, Some(row.clone())));
            }
            self.secrets.remember(name, secret.clone());
        }
    }

    /// A vote or an answer is to be sent: with the secret of what it answers, if that is known.
    pub(super) fn accept_answer(&mut self, token: u64, request: SendRequest, about: &api::MessageRef) {
        let chat = request.to.jid();
        let authors = match (about.from_me, &*about.sender) {
            (true, _) => self.own_names(),
            (false, "") => vec![chat],
            (false, sender) => vec![sender.to_owned()],
        };
        let names: Vec<String> =
            authors.iter().map(|author| secret_name(author, &about.whatsapp_id)).collect();
        let author = authors.into_iter().next().unwrap_or_default();
        let need = Need::Sending(Box::new(Waiting { token, request, author }));
        self.seek_secret(names, Sought { id: about.whatsapp_id.clone(), own: about.from_me, need });
    }

    /// Looks for the secret of a message under these names: in memory, in rows, and last in the message itself.
    pub(super) fn seek_secret(&mut self, names: Vec<String>, sought: Sought) {
        match self.secrets.find(&names) {
            Some(secret) => self.on_sought(sought.need, Some(secret)),
            None => self.ask_crypto(
                CryptoRequest::Recall { kind: StateKind::MessageSecret, names },
                Purpose::Secret(Box::new(sought)),
            ),
        }
    }

    /// The rows have it, or not.
    pub(super) fn on_secret_row(&mut self, sought: Sought, row: Option<&Bytes>) {
        match row.and_then(secret_from) {
            None if sought.own => self.look_up(sought.id.clone(), Lookup::Secret(Box::new(sought))),
            secret => self.on_sought(sought.need, secret),
        }
    }

    /// The message of ours was found, or another device of the account has sent it.
    pub(super) fn on_secret_message(&mut self, sought: Sought, message: Option<&StoredMessage>) {
        self.on_sought(sought.need, message.and_then(|stored| Secret::of(&stored.message.content)));
    }

    fn on_sought(&mut self, need: Need, secret: Option<Secret>) {
        match need {
            Need::Reading(slot, question) => self.on_secret(slot, *question, secret),
            Need::Sending(waiting) => self.on_secret_for_send(*waiting, secret),
        }
    }

    fn on_secret_for_send(&mut self, waiting: Waiting, secret: Option<Secret>) {
        let Waiting { token, request, author } = waiting;
        let around = self.surroundings(&request);
        let mut iv = [0; 12];
        iv[..8].copy_from_slice(&self.draw().to_be_bytes());
        iv[8..].copy_from_slice(&self.draw().to_be_bytes()[..4]);
        let sealed = secret
            .zip(around.as_ref())
            .and_then(|(secret, around)| content::seal(&request.content, around, &secret, &author, iv));
        match sealed {
            Some(content) => self.accept_encoded(token, request, content.into()),
            None => {
                let reply = Reply::Sent(Err(SendError::UnknownMessage));
                self.effects.push(Effect::Reply { token, reply });
            }
        }
    }

    /// Our JIDs without device number, the hidden identity first.
    fn own_names(&self) -> Vec<String> {
        let account = self.account.iter();
        let jids = account.flat_map(|account| [account.lid.as_ref(), Some(&account.pn)]).flatten();
        jids.map(|jid: &Jid| jid.to_non_ad().to_string()).collect()
    }
}

/// Reads a row.
fn secret_from(row: &Bytes) -> Option<Secret> {
    let mut rest = Reader::new(FORMAT, row)?;
    let key = rest.bytes()?.to_vec();
    let mut options = Vec::new();
    while let Some(option) = rest.text() {
        options.push(option.to_owned());
    }
    Some(Secret { key, options, lasting: true })
}

/// Name of the row of a secret.
pub(super) fn secret_name(author: &str, id: &str) -> String {
    bounded(format!("{author}/{id}"))
}

/// Which message a send needs the secret of.
pub(super) fn answers(content: &MessageContent) -> Option<api::MessageRef> {
    content::answered(content)
}
