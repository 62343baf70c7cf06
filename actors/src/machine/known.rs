//! Which chats exist: the ones in which the other side has written, or has been written to with WhatsApp's consent.
//! A message to anybody else begins a chat, which WhatsApp may forbid.
//!
//! What must hold: a chat is noted in the transaction of the message that makes it one; a message that WhatsApp
//! refused makes none.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use roost_proto::stanza::Jid;

use super::commit::Pending;
use super::crypto::Purpose;
use super::inbound::bounded;
use super::{CryptoRequest, Machine};
use crate::port::{StateKey, StateKind};

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
                let key = StateKey { kind: StateKind::KnownChat, name: name.clone() };
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

    /// Asks the store whether the chat exists.
    pub(super) fn look_for_chat(&mut self, chat: &str, purpose: Purpose) {
        let names = self.names_of(chat);
        self.ask_crypto(CryptoRequest::Recall { kind: StateKind::KnownChat, names }, purpose);
    }

    /// The names under which a chat may have been noted.
    fn names_of(&self, chat: &str) -> Vec<String> {
        let jid = chat.parse::<Jid>().ok();
        let pn = jid.filter(Jid::is_pn).map(|jid| jid.user.to_string());
        let lid = pn.and_then(|pn| self.directory.lid(&pn).flatten());
        let lid = lid.map(|user| format!("{user}@lid"));
        std::iter::once(chat.to_owned()).chain(lid).map(bounded).collect()
    }
}
