//! Secrets of messages: what answers to them are encrypted under.
//!
//! What must hold: a secret is as durable as the message that brought it. Nearly every message has one, and few are
//! ever needed; so that of a poll or an event, which are answered at any time, is a row of its own, those of the last
//! thousand other messages of others stand in pages, and those of our own in the rows of these. The latest are
//! remembered besides. What needs one that is not known any more is told as unreadable.

mod pages;
mod rows;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::content::{self, MessageContent, Secret};
use roost_proto::stanza::Jid;

use super::commit::Pending;
use super::crypto::Purpose;
use super::receipts::Lookup;
use super::{CryptoRequest, Effect, Machine, Reply, bots, heard, polls};
use crate::device::{SendError, SendRequest};
use crate::port::{StateChange, StateKey, StateKind, StoredMessage};
use pages::Pages;
use rows::row_of;
pub use rows::{secret_from, secret_name};

/// Secrets that are remembered; older ones are rows.
const REMEMBERED: usize = 256;

/// The latest secrets by the names of their rows.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    known: BTreeMap<String, Secret>,
    order: VecDeque<String>,
    pages: Pages,
}

impl Secrets {
    /// What the last owner has left, by the row of the page that it had begun.
    pub(super) fn behind(head: Option<&Bytes>) -> Secrets {
        Secrets { pages: Pages::behind(head), ..Secrets::default() }
    }

    /// What goes with the next batch.
    pub(super) fn unwritten(&mut self) -> Vec<StateChange> {
        self.pages.take()
    }

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
    /// The message of ours that it edits.
    edited: Option<Bytes>,
    author: String,
}

/// Who needs a secret.
#[derive(Debug)]
pub(super) enum Need {
    /// Something that has come, and fills this slot.
    Reading(u64, Box<heard::Question>),
    /// What a bot answers, which fills this slot.
    Answer(u64, Box<bots::Piece>),
    /// Something that is to be sent.
    Sending(Box<Waiting>),
    /// A vote of ours that WhatsApp has, or an option, which fills this slot.
    Counting(u64, Box<polls::SentToPoll>),
}

/// A secret that is looked for.
#[derive(Debug)]
pub(super) struct Sought {
    /// Names of its row.
    names: Vec<String>,
    /// WhatsApp's id of its message.
    id: String,
    /// The message is of our account.
    own: bool,
    need: Need,
    place: Place,
}

/// Where it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Rows,
    Pages,
}

impl Sought {
    /// By the names of its row, the id of its message, and whether that is of our account.
    pub(super) fn new(names: Vec<String>, id: String, own: bool, need: Need) -> Sought {
        Sought { names, id, own, need, place: Place::Rows }
    }

    /// The stanza that needs it, if one does.
    pub(super) fn behind(&self) -> Option<Bytes> {
        match &self.need {
            Need::Reading(_, question) => Some(question.raw()),
            Need::Answer(_, piece) => piece.behind(),
            Need::Sending(_) | Need::Counting(..) => None,
        }
    }
}

impl Machine {
    /// Remembers the secret of a message of ours, which stands in its row. That of a poll is kept, as what others say
    /// of it is counted under it.
    pub(super) fn remember_sent(&mut self, outcome: &mut Pending, id: &str, message: &[u8]) {
        let Some(secret) = Secret::of(message) else { return };
        for author in self.own_names() {
            let name = secret_name(&author, id);
            if secret.poll.is_some() {
                let key = StateKey { kind: StateKind::MessageSecret, name: name.clone() };
                outcome.batch.state.push((key, Some(row_of(&secret))));
            }
            self.secrets.remember(name, secret.clone());
        }
    }

    /// Keeps the secret of a message that has come, under every name of its author.
    pub(super) fn keep_secret(
        &mut self,
        outcome: &mut Pending,
        author: &api::Person,
        id: &str,
        own: bool,
        message: &[u8],
    ) {
        let Some(secret) = Secret::of(message) else { return };
        self.remember_secret(outcome, author, id, own, &secret);
        if !secret.lasting {
            self.secrets.pages.keep(&self.secret_names(author, id, own), &secret);
        }
    }

    /// Names of the row of a secret: of what a message's author is called, each with its id.
    pub(super) fn secret_names(&self, author: &api::Person, id: &str, own: bool) -> Vec<String> {
        let authors =
            if own { self.own_names() } else { vec![author.lid.clone(), author.phone_number.clone()] };
        let authors = authors.into_iter().filter(|author| !author.is_empty());
        authors.map(|author| secret_name(&author, id)).collect()
    }

    /// Remembers the secret of a message, which may have come with the history; that of a poll or an event is kept. Returns
    /// what is known of it: a poll that comes once more keeps the options that this owner knows to be added.
    pub(super) fn remember_secret(
        &mut self,
        outcome: &mut Pending,
        author: &api::Person,
        id: &str,
        own: bool,
        secret: &Secret,
    ) -> Secret {
        let names = self.secret_names(author, id, own);
        let known = self.secrets.find(&names);
        let known = known.map_or_else(|| secret.clone(), |known| secret.with_options_of(&known, id));
        self.renew_secret(outcome, &names, &known);
        known
    }

    /// Remembers a secret under these names, and keeps it when it lasts.
    pub(super) fn renew_secret(&mut self, outcome: &mut Pending, names: &[String], secret: &Secret) {
        for name in names {
            if secret.lasting {
                let key = StateKey { kind: StateKind::MessageSecret, name: name.clone() };
                outcome.batch.state.push((key, Some(row_of(secret))));
            }
            self.secrets.remember(name.clone(), secret.clone());
        }
    }

    /// A vote or an answer is to be sent: with the secret of what it answers, if that is known.
    pub(super) fn accept_answer(
        &mut self,
        token: u64,
        request: SendRequest,
        about: &api::MessageRef,
        edited: Option<Bytes>,
    ) {
        let chat = request.to.jid();
        let authors = match (about.from_me, &*about.sender) {
            (true, _) => self.own_names(),
            (false, "") => vec![chat],
            (false, sender) => vec![sender.to_owned()],
        };
        let names: Vec<String> =
            authors.iter().map(|author| secret_name(author, &about.whatsapp_id)).collect();
        let author = authors.into_iter().next().unwrap_or_default();
        let need = Need::Sending(Box::new(Waiting { token, request, edited, author }));
        self.seek_secret(Sought::new(names, about.whatsapp_id.clone(), about.from_me, need));
    }

    /// Looks for the secret of a message: in memory, in the row of a poll or an event, in the message itself when it
    /// is ours, and last in the pages.
    pub(super) fn seek_secret(&mut self, sought: Sought) {
        match self.secrets.find(&sought.names) {
            Some(secret) => self.on_sought(sought.need, Some(secret)),
            None => self.recall_secret(sought),
        }
    }

    fn recall_secret(&mut self, sought: Sought) {
        let (kind, names) = match sought.place {
            Place::Rows => (StateKind::MessageSecret, sought.names.clone()),
            Place::Pages => (StateKind::SecretPage, pages::names()),
        };
        self.ask_crypto(CryptoRequest::Recall { kind, names }, Purpose::Secret(Box::new(sought)));
    }

    /// The rows that there are, with the secret or without.
    pub(super) fn on_secret_rows(&mut self, mut sought: Sought, rows: &[Bytes]) {
        // The message may have been with crypto when its secret was asked for, as one is whose answer is right behind it.
        let secret = self.secrets.find(&sought.names).or_else(|| match sought.place {
            Place::Rows => rows.iter().find_map(secret_from),
            Place::Pages => pages::find(rows, &sought.names),
        });
        match sought.place {
            Place::Rows if secret.is_none() && sought.own => {
                self.look_up(sought.id.clone(), Lookup::Secret(Box::new(sought)));
            }
            Place::Rows if secret.is_none() => {
                sought.place = Place::Pages;
                self.recall_secret(sought);
            }
            _ => self.on_sought(sought.need, secret),
        }
    }

    /// The message of ours was found, or another device of the account has sent it.
    pub(super) fn on_secret_message(&mut self, mut sought: Sought, message: Option<&StoredMessage>) {
        match message.and_then(|stored| Secret::of(&stored.message.content)) {
            None => {
                sought.place = Place::Pages;
                self.recall_secret(sought);
            }
            secret => self.on_sought(sought.need, secret),
        }
    }

    fn on_sought(&mut self, need: Need, secret: Option<Secret>) {
        match need {
            Need::Reading(slot, question) => self.on_secret(slot, *question, secret),
            Need::Answer(slot, piece) => self.on_piece(slot, *piece, secret),
            Need::Sending(waiting) => self.on_secret_for_send(*waiting, secret),
            Need::Counting(slot, sent) => self.on_secret_of_sent(slot, *sent, secret),
        }
    }

    fn on_secret_for_send(&mut self, waiting: Waiting, secret: Option<Secret>) {
        let Waiting { token, request, edited, author } = waiting;
        let to_poll = matches!(request.content.kind, Content::PollVote(_) | Content::PollOption(_));
        // That nobody may do either any more is a guess: none of the clients that we know has polls that end.
        if to_poll && secret.as_ref().is_some_and(|secret| secret.has_ended(self.now.wall)) {
            let reply = Reply::Sent(Err(SendError::PollEnded));
            return self.effects.push(Effect::Reply { token, reply });
        }
        if let (Content::PollOption(added), Some(secret)) = (&request.content.kind, &secret)
            && secret.with_option(&added.option, self.is_us(&author)).is_none()
        {
            let reply = Reply::Sent(Err(SendError::OptionRefused));
            return self.effects.push(Effect::Reply { token, reply });
        }
        let around = self.surroundings(&request, edited);
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
    pub(super) fn own_names(&self) -> Vec<String> {
        let account = self.account.iter();
        let jids = account.flat_map(|account| [account.lid.as_ref(), Some(&account.pn)]).flatten();
        jids.map(|jid: &Jid| jid.to_non_ad().to_string()).collect()
    }
}

/// Which message a send needs the secret of.
pub(super) fn answers(content: &MessageContent) -> Option<api::MessageRef> {
    content::answered(content)
}
