//! What is known of messages that we sent, so that their receipts need no look into the store.
//!
//! What must hold: a state that is remembered only moves on; an id that the store did not have is believed to be nobody's
//! until a message goes by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::About;
use crate::port::{MessageState, rank};

/// Messages that were sent lately.
const REMEMBERED: usize = 512;
/// Ids that the store did not have: what the phone has sent itself, and what others make up.
const MISSED: usize = 1024;
/// No message of ours has a longer id.
const LONGEST: usize = 64;

/// One of them.
#[derive(Debug)]
struct Sent {
    message_id: String,
    /// Where it was said; `None` when only the store knows.
    chat: Option<String>,
    /// How far it has come.
    state: MessageState,
}

/// What we know of messages that we sent, by WhatsApp's id.
#[derive(Debug, Default)]
pub(in crate::machine) struct SentMessages {
    known: BTreeMap<String, Sent>,
    order: VecDeque<String>,
    missed: BTreeSet<String>,
    misses: VecDeque<String>,
}

impl SentMessages {
    /// The furthest state of a message that is remembered.
    pub(in crate::machine) fn furthest(&self, whatsapp_id: &str) -> Option<MessageState> {
        self.known.get(whatsapp_id).map(|sent| sent.state)
    }

    /// A message that is remembered, and that WhatsApp has for sure: of all others the store knows whether they were on the
    /// wire, and what counts when they have arrived after all.
    pub(super) fn arrived(&self, whatsapp_id: &str) -> Option<About> {
        let sent = self.known.get(whatsapp_id).filter(|sent| rank(sent.state) >= rank(MessageState::Sent))?;
        let (message_id, chat) = (sent.message_id.clone(), sent.chat.clone()?);
        Some(About { message_id, chat, state: sent.state, unsure: None })
    }

    pub(super) fn remember(
        &mut self,
        whatsapp_id: &str,
        message_id: &str,
        chat: Option<&str>,
        state: MessageState,
    ) {
        self.forget_miss(whatsapp_id);
        let before = self.known.remove(whatsapp_id);
        if before.is_none() {
            self.order.push_back(whatsapp_id.to_owned());
        }
        let chat = chat.map(str::to_owned).or_else(|| before.as_ref()?.chat.clone());
        let furthest = before.map(|sent| sent.state).filter(|before| rank(*before) > rank(state));
        let sent = Sent { message_id: message_id.to_owned(), chat, state: furthest.unwrap_or(state) };
        self.known.insert(whatsapp_id.to_owned(), sent);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether nothing was sent under this id, as far as is known.
    pub(super) fn is_miss(&self, whatsapp_id: &str) -> bool {
        whatsapp_id.len() > LONGEST || self.missed.contains(whatsapp_id)
    }

    /// The store does not have it.
    pub(super) fn miss(&mut self, whatsapp_id: String) {
        if !self.missed.insert(whatsapp_id.clone()) {
            return;
        }
        self.misses.push_back(whatsapp_id);
        if self.misses.len() > MISSED
            && let Some(oldest) = self.misses.pop_front()
        {
            self.missed.remove(&oldest);
        }
    }

    fn forget_miss(&mut self, whatsapp_id: &str) {
        if self.missed.remove(whatsapp_id) {
            self.misses.retain(|missed| missed != whatsapp_id);
        }
    }
}
