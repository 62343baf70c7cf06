//! Who the people of a slice of the past are, and what has been added to its polls, before it is told.
//!
//! What must hold: a message of the past has the key that it had live, whatever this owner remembers and whatever the
//! piece says of people: whoever is named by his number alone there has the hidden identity that the store knows. And a
//! poll of the past keeps the options that were added to it, in their order: votes are kept by that.

use std::collections::BTreeSet;

use bytes::Bytes;
use roost_proto::content::Secret;
use roost_proto::history::{AddOn, Chat, Past, Slice};
use roost_proto::stanza::Jid;

use super::{Machine, Open};
use crate::machine::CryptoRequest;
use crate::machine::crypto::Purpose;
use crate::machine::secrets::secret_from;
use crate::port::StateKind;

/// Numbers that are looked up at once: the vault remembers more than these.
const AT_ONCE: usize = 512;

/// A slice, while people in it are looked up.
#[derive(Debug)]
pub(in crate::machine) struct Unnamed {
    name: String,
    slice: Slice,
    /// Who is looked up next.
    rest: Vec<String>,
}

impl Machine {
    /// A slice is here. It is told when its people are known.
    pub(super) fn take_slice(&mut self, name: String, slice: Slice) {
        let rest = self.history.open.as_ref().map(|open| unnamed(open, &slice)).unwrap_or_default();
        self.name_past(Unnamed { name, slice, rest });
    }

    fn name_past(&mut self, mut waiting: Unnamed) {
        if waiting.rest.is_empty() {
            return self.recall_polls(waiting);
        }
        let rest = waiting.rest.split_off(waiting.rest.len().min(AT_ONCE));
        let asked = std::mem::replace(&mut waiting.rest, rest);
        self.ask_crypto(CryptoRequest::Lids(asked), Purpose::Past(Box::new(waiting)));
    }

    /// The store has said which of them it knows.
    pub(in crate::machine) fn on_past_names(&mut self, waiting: Unnamed, pairs: Vec<(String, String)>) {
        let goes_on = self.is_open(&waiting.name);
        let open = self.history.open.as_mut().filter(|_| goes_on);
        let Some(open) = open else { return self.history.busy = false };
        let jids = |(pn, lid)| (Jid::pn(pn).to_string(), Jid::lid(lid).to_string());
        open.lids.extend(pairs.into_iter().map(jids));
        self.name_past(waiting);
    }

    fn recall_polls(&mut self, waiting: Unnamed) {
        let open = self.history.open.as_ref();
        let names = open.map(|open| self.polls_in(open, &waiting.slice)).unwrap_or_default();
        if names.is_empty() {
            return self.tell_slice(&waiting.name, waiting.slice, &[]);
        }
        let kind = StateKind::MessageSecret;
        self.ask_crypto(CryptoRequest::Recall { kind, names }, Purpose::PastPolls(Box::new(waiting)));
    }

    /// The rows that there are of its polls.
    pub(in crate::machine) fn on_past_polls(&mut self, waiting: Unnamed, rows: &[Bytes]) {
        if !self.is_open(&waiting.name) {
            return self.history.busy = false;
        }
        let kept: Vec<Secret> = rows.iter().filter_map(secret_from).collect();
        self.tell_slice(&waiting.name, waiting.slice, &kept);
    }

    /// Whether a piece is still to be told: meanwhile the device may belong to another pairing.
    fn is_open(&self, name: &str) -> bool {
        let goes_on = self.history.waiting.contains_key(name);
        goes_on && self.history.open.as_ref().is_some_and(|open| open.name == name)
    }

    /// The names of the rows of the polls in a slice.
    fn polls_in(&self, open: &Open, slice: &Slice) -> Vec<String> {
        let mut names = Vec::new();
        for (chat, bytes) in &slice.messages {
            let Some((chat, past)) = open.chat(*chat).zip(Past::read(bytes)) else { continue };
            let secret = Secret::of_past(&past.content, past.beside.secret.as_deref());
            if secret.is_none_or(|secret| secret.poll.is_none()) {
                continue;
            }
            if let Some(scene) = self.scene(chat, &past, &open.lids) {
                names.extend(self.secret_names(&scene.sender, &past.id, past.from_me));
            }
        }
        names
    }
}

/// Digits of everybody in a slice of whom the piece says only the number.
fn unnamed(open: &Open, slice: &Slice) -> Vec<String> {
    let mut people = Vec::new();
    for (chat, bytes) in &slice.messages {
        if let Some(Chat { jid, lid: None, .. }) = open.chat(*chat) {
            people.push(jid.to_non_ad());
        }
        let Some(past) = Past::read(bytes) else { continue };
        let beside = &past.beside;
        let added = authors(&beside.reactions).chain(authors(&beside.votes)).chain(authors(&beside.answers));
        people.extend(past.participant.iter().chain(added).map(Jid::to_non_ad));
    }
    let unknown = people.into_iter().filter(|jid| jid.is_pn() && !open.lids.contains_key(&jid.to_string()));
    let digits: BTreeSet<String> = unknown.map(|jid| jid.user.to_string()).collect();
    digits.into_iter().collect()
}

fn authors<T>(added: &[AddOn<T>]) -> impl Iterator<Item = &Jid> {
    added.iter().filter_map(|one| one.participant.as_ref())
}
