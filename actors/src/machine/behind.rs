//! Which stanza is behind what the machine is told.
//!
//! A stanza whose handling makes the device fail is put aside when WhatsApp gives it again (`inbound.rs`); what of it is
//! handled later, when crypto or the store has answered, must be known to be of it.

use bytes::Bytes;
use roost_proto::stanza::{Stanza, say};

use super::crypto::Purpose;
use super::identities::Wanted;
use super::receipts::Lookup;
use super::{Event, Machine};

impl Machine {
    /// The stanza that an event is about, as WhatsApp would give it again.
    pub fn behind(&self, event: &Event) -> Option<Bytes> {
        match event {
            Event::Stanza { raw, .. } => Some(raw.clone()),
            Event::Crypto { token, .. } => self.behind_request(*token),
            Event::Found { token, .. } => match self.lookups.get(token)? {
                Lookup::Resend(job) => written(&job.receipt),
                Lookup::Secret(sought) => sought.behind(),
                Lookup::Receipt(waiting) => waiting.behind(),
                Lookup::Edited(_) | Lookup::Late(_) => None,
            },
            _ => None,
        }
    }

    /// The stanza for which crypto was asked with this token.
    pub fn behind_request(&self, token: u64) -> Option<Bytes> {
        match self.purposes.get(&token)? {
            Purpose::Inbound { message, .. } => Some(message.raw.clone()),
            Purpose::Secret(sought) => sought.behind(),
            Purpose::Receipt(waiting) => waiting.behind(),
            Purpose::Resend { job, .. }
            | Purpose::ResendRight(_, job)
            | Purpose::Identities(Wanted::Viewer(job)) => written(&job.receipt),
            Purpose::Identities(Wanted::Profile { stanza, .. }) => written(stanza),
            _ => None,
        }
    }
}

/// A stanza as it came, but for how often it was given before.
pub(super) fn written(stanza: &Stanza) -> Option<Bytes> {
    say(stanza).ok()
}
