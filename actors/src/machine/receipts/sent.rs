//! What is known of messages that we sent, so that their receipts need no look into the store.
//!
//! What must hold: a state that is remembered only moves on; an id that the store did not have is believed to be nobody's
//! until a message goes by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::port::{MessageState, rank};

/// Messages that were sent lately.
const REMEMBERED: usize = 512;
/// Ids that the store did not have: what the phone has sent itself, and what others make up.
const MISSED: usize = 1024;
/// No message of ours has a longer id.
const LONGEST: usize = 64;

/// What we know of messages that we sent, by WhatsApp's id.
#[derive(Debug, Default)]
pub(in crate::machine) struct SentMessages {
    known: BTreeMap<String, (String, MessageState)>,
    order: VecDeque<String>,
    missed: BTreeSet<String>,
    misses: VecDeque<String>,
}

impl SentMessages {
    /// The furthest state of a message that is remembered.
    pub(in crate::machine) fn furthest(&self, whatsapp_id: &str) -> Option<MessageState> {
        self.known.get(whatsapp_id).map(|(_, state)| *state)
    }

    /// Our id of a message that is remembered, and its furthest state.
    pub(super) fn get(&self, whatsapp_id: &str) -> Option<&(String, MessageState)> {
        self.known.get(whatsapp_id)
    }

    pub(super) fn remember(&mut self, whatsapp_id: &str, message_id: &str, state: MessageState) {
        self.forget_miss(whatsapp_id);
        let entry = (message_id.to_owned(), state);
        match self.known.insert(whatsapp_id.to_owned(), entry) {
            Some((_, before)) if rank(before) > rank(state) => {
                self.known.insert(whatsapp_id.to_owned(), (message_id.to_owned(), before));
            }
            Some(_) => {}
            None => self.order.push_back(whatsapp_id.to_owned()),
        }
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
