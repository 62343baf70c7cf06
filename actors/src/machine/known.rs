//! Which chats exist: the ones in which the other side has written, or has been written to with WhatsApp's consent.
//! A message to anybody else begins a chat, which WhatsApp may forbid.
//!
//! What must hold: a chat is noted in the transaction of the message that makes it one; a message that WhatsApp
//! refused makes none; a chat of one account is none of another that the device is linked to later.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use roost_proto::api;
use roost_proto::stanza::Jid;

use super::commit::Pending;
use super::crypto::{PeerName, Purpose};
use super::identities::{Wanted, name_of};
use super::inbound::bounded;
use super::{CryptoRequest, Machine};
use crate::port::{StateKey, StateKind};
use crate::vault::numbered;

/// Chats that are remembered; of the others there are rows.
const REMEMBERED: usize = 1024;

/// The chats that were heard of last.
#[derive(Debug, Default)]
pub(super) struct KnownChats {
    names: BTreeSet<String>,
    order: VecDeque<String>,
}

impl KnownChats {
    fn remember(&mut self, name: String) {
        if self.names.insert(name.clone()) {
            self.order.push_back(name);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

impl Machine {
    /// Whether a message to this chat may begin it: it is one person's, and not our own.
    pub(super) fn may_begin(&self, chat: &str) -> bool {
        let Ok(jid) = chat.parse::<Jid>() else { return false };
        let own = self.account.as_ref().is_some_and(|account| account.is_own(&jid));
        (jid.is_pn() || jid.is_lid()) && !own
    }

    /// Somebody has written, or has got what we wrote.
    pub(super) fn note_chat(&mut self, outcome: &mut Pending, names: impl IntoIterator<Item = String>) {
        for name in names.into_iter().filter(|name| !name.is_empty()).map(bounded) {
            if !self.known_chats.names.contains(&name) {
                let key = StateKey { kind: StateKind::KnownChat, name: self.chat_row(name.clone()) };
                outcome.batch.state.push((key, Some(Bytes::from_static(&[1]))));
                self.known_chats.remember(name);
            }
        }
    }

    /// WhatsApp has taken a message of ours to this chat.
    pub(super) fn note_reached(&mut self, outcome: &mut Pending, chat: &str) {
        if self.may_begin(chat) {
            let names = self.names_of(chat);
            self.note_chat(outcome, names);
        }
    }

    /// Whether the chat is one of the last that were heard of.
    pub(super) fn is_remembered(&self, chat: &str) -> bool {
        self.names_of(chat).iter().any(|name| self.known_chats.names.contains(name))
    }

    /// Asks the store whether the chat exists, under either name of the other side: which names those are is asked first
    /// where it was not before, since the chat may have been noted under the one that is not at hand.
    pub(super) fn look_for_chat(&mut self, chat: &str, purpose: Purpose) {
        let other =
            chat.parse::<Jid>().ok().filter(|jid| jid.is_lid() || self.directory.lid(&jid.user).is_none());
        let Some(other) = other else { return self.recall_chat(self.names_of(chat), purpose) };
        let wanted = Wanted::Chat { chat: chat.to_owned(), then: Box::new(purpose) };
        let request = CryptoRequest::Identities { user: name_of(&other) };
        self.ask_crypto(request, Purpose::Identities(wanted));
    }

    /// The names of the other side are known.
    pub(super) fn on_chat_named(&mut self, chat: &str, known: PeerName, purpose: Purpose) {
        if let (Ok(jid), Some(pn)) = (chat.parse::<Jid>(), &known.pn)
            && jid.is_pn()
            && (known.lid.is_some() || self.directory.lid(pn).is_none())
        {
            self.directory.set_lid(pn.clone(), known.lid.clone());
        }
        let api::Person { lid, phone_number } = known.person();
        let others = [lid, phone_number].into_iter().filter(|name| !name.is_empty() && name != chat);
        let names: Vec<String> = std::iter::once(chat.to_owned()).chain(others).map(bounded).collect();
        // What was noted a moment ago may not be in the store yet.
        match (names.iter().any(|name| self.known_chats.names.contains(name)), purpose) {
            (true, Purpose::KnownChat { ordinal }) => self.on_chat(ordinal, true),
            (true, Purpose::Admission(waiting)) => self.on_admission(*waiting, true),
            (_, purpose) => self.recall_chat(names, purpose),
        }
    }

    fn recall_chat(&mut self, names: Vec<String>, purpose: Purpose) {
        let names = names.into_iter().map(|name| self.chat_row(name)).collect();
        self.ask_crypto(CryptoRequest::Recall { kind: StateKind::KnownChat, names }, purpose);
    }

    /// The row of a chat is the account's: another one's begins anew.
    fn chat_row(&self, name: String) -> String {
        numbered(name, self.tenure.as_ref().map_or(0, |tenure| tenure.number))
    }

    /// The names under which a chat may have been noted, as far as they are at hand.
    fn names_of(&self, chat: &str) -> Vec<String> {
        let jid = chat.parse::<Jid>().ok();
        let pn = jid.filter(Jid::is_pn).map(|jid| jid.user.to_string());
        let lid = pn.and_then(|pn| self.directory.lid(&pn).flatten());
        let lid = lid.map(|user| format!("{user}@lid"));
        std::iter::once(chat.to_owned()).chain(lid).map(bounded).collect()
    }
}
