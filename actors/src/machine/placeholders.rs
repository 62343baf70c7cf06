//! Messages that only the phone can still give: withheld by WhatsApp, or not encrypted again by their senders.
//!
//! What must hold: the phone is asked behind the commit that says so, and not for ever; what it answers is told
//! as the message that was awaited, under the key that it would have had, so that it is in the log once. Only
//! our own phone is believed, and only about messages that are awaited.

use bytes::Bytes;
use roost_proto::history::Past;
use roost_proto::phone::{PeerMessage, WantMessage};
use roost_proto::stanza::{self, Jid};

use super::Machine;
use super::commit::Pending;
use super::inbound::{Inbound, retry_name};

/// The most messages that the phone is asked for at a time.
const AT_ONCE: usize = 32;

impl Machine {
    /// `<message><unavailable type?/></message>`: there is a message, and only the phone has it.
    pub(super) fn on_unavailable(&mut self, slot: u64, message: &Inbound) {
        let name = retry_name(&message.from, &message.id);
        let mut outcome = Pending::default();
        self.await_withheld(&mut outcome, name, message.raw.clone());
        let ack = self.plain_ack(&message.stanza, None);
        self.settle_slot(slot, message.link, outcome, ack);
    }

    /// Asks the phone for these messages; with `anew` it may not have understood the last question.
    pub(super) fn ask_phone_for(&mut self, raw: &[Bytes], anew: bool) {
        let wanted: Vec<WantMessage> = raw.iter().filter_map(|raw| self.wanted(raw)).collect();
        for wanted in wanted.chunks(AT_ONCE) {
            self.tell_phone(&PeerMessage::WantMessages(wanted.to_vec()), anew);
        }
    }

    /// How the phone knows a message whose stanza we have.
    fn wanted(&self, raw: &Bytes) -> Option<WantMessage> {
        let message = self.envelope(0, raw, &stanza::hear(raw).ok()?).ok()?;
        let Inbound { id, from, group, recipient, own, .. } = message;
        let participant = group.is_some().then(|| from.to_non_ad()).filter(|_| !own);
        let chat = group.or(recipient.map(|to: Jid| to.to_non_ad())).unwrap_or_else(|| from.to_non_ad());
        Some(WantMessage { chat, from_me: own, id, participant })
    }

    /// The phone gives messages, in the stanza of `answer`: those that are awaited are told, and no longer
    /// awaited, in the commit behind which that stanza is settled.
    pub(super) fn take_from_phone(&mut self, answer: u64, link: u64, messages: Vec<Bytes>) {
        for past in messages.iter().filter_map(Past::read).filter(|past| !past.content.is_empty()) {
            let Some((name, raw)) = self.awaited.find(&past.id) else { continue };
            let envelope = stanza::hear(&raw).ok().and_then(|stanza| self.envelope(link, &raw, &stanza).ok());
            let Some(message) = envelope.filter(|message| message.own == past.from_me) else { continue };
            let mut outcome = Pending::default();
            self.awaited_came(&mut outcome, name);
            let sender = message.peer.person();
            let slot = self.lane.open_with(answer);
            // As a sender pads it.
            let padded = [&past.content[..], &[1]].concat();
            let message = Inbound { from_phone: true, ..message };
            if let Err((unread, error)) = self.on_plaintext(slot, message, outcome, &padded, sender) {
                let (message, mut outcome) = *unread;
                self.quarantine(&mut outcome, message.raw, &message.stanza, &error.to_string());
                self.lane.fill(slot, outcome);
            }
        }
    }
}
