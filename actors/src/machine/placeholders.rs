//! Messages that only the phone can still give: withheld by WhatsApp, or not encrypted again by their senders.
//!
//! What must hold: the phone is asked behind the commit that says so, and not for ever; what it answers is told
//! as the message that was awaited, under the key that it would have had, so that it is in the log once. Only
//! our own phone is believed, and only about messages that are awaited: of the same chat and the same sender, under
//! either of their names, since anybody may send something under an id that somebody else has used.

use bytes::Bytes;
use roost_proto::history::Past;
use roost_proto::phone::{PeerMessage, WantMessage};
use roost_proto::stanza::{self, Jid};

use super::commit::Pending;
use super::crypto::{PeerName, Purpose};
use super::identities::Wanted;
use super::inbound::{Inbound, retry_name};
use super::{CryptoRequest, Machine};

/// The most messages that the phone is asked for at a time.
const AT_ONCE: usize = 32;

/// What the phone gives, and the row that it may belong to, while it is looked up who that is.
#[derive(Debug)]
pub(super) struct Given {
    slot: u64,
    link: u64,
    name: String,
    chat: Jid,
    past: Past,
}

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
        for (chat, past) in messages.iter().filter_map(Past::read_in_chat) {
            let Some(chat) = chat.filter(|_| !past.content.is_empty()) else { continue };
            for name in self.awaited.named(&past.id) {
                let message = self.awaited_as(&name, link).filter(|message| is_there(message, &chat, &past));
                let Some(message) = message else { continue };
                let slot = self.lane.open_with(answer);
                let (user, chat, past) = (other(&message), chat.clone(), past.clone());
                let wanted = Wanted::Given(Box::new(Given { slot, link, name, chat, past }));
                self.ask_crypto(CryptoRequest::Identities { user }, Purpose::Identities(wanted));
            }
        }
    }

    /// It is known who the awaited message is from or to, in every form: it is told when that is whom the phone means.
    pub(super) fn on_given(&mut self, given: Given, known: PeerName) {
        let Given { slot, link, name, chat, past } = given;
        let message = self.awaited_as(&name, link);
        // Nobody else can be meant whose other name is not known.
        let alone = self.awaited.named(&past.id).len() == 1;
        let Some(mut message) = message.filter(|message| is_whom(message, &known, alone, &chat, &past))
        else {
            return self.lane.fill(slot, Pending::default());
        };
        let mut outcome = Pending::default();
        self.awaited_came(&mut outcome, name);
        match (message.own, &message.recipient) {
            (true, Some(_)) => message.spoken_lid = known.lid.map(Jid::lid),
            (true, None) => {}
            (false, _) => message.peer = known,
        }
        let sender = message.peer.person();
        // As a sender pads it.
        let padded = [&past.content[..], &[1]].concat();
        let message = Inbound { from_phone: true, ..message };
        if let Err((unread, error)) = self.on_plaintext(slot, message, outcome, &padded, sender) {
            let (message, mut outcome) = *unread;
            self.quarantine(&mut outcome, message.raw, &message.stanza, &error.to_string());
            self.lane.fill(slot, outcome);
        }
    }

    /// An awaited message, as if it came over this link.
    fn awaited_as(&self, name: &str, link: u64) -> Option<Inbound> {
        let raw = self.awaited.raw(name)?;
        self.envelope(link, &raw, &stanza::hear(&raw).ok()?).ok()
    }
}

/// Whether a message may be the one that the phone has in this chat, as far as that can be said without knowing people
/// by both of their names.
fn is_there(message: &Inbound, chat: &Jid, past: &Past) -> bool {
    let there = match &message.group {
        Some(group) => group == chat,
        None => chat.is_pn() || chat.is_lid() || is_own_list(message, chat),
    };
    there && message.own == past.from_me
}

/// Whose name says whether it is that message: who has said it, or to whom we have.
fn other(message: &Inbound) -> PeerName {
    match message.recipient.is_some() && message.group.is_none() {
        true => message.spoken_name(),
        false => message.peer.clone(),
    }
}

/// Whether a message of ours went to the broadcast list that the phone names.
fn is_own_list(message: &Inbound, chat: &Jid) -> bool {
    message.own && message.list.as_ref() == Some(chat)
}

/// Whether the phone means somebody by this name, which is not known of everybody; in a group of our own messages that is
/// not said.
fn is_whom(message: &Inbound, known: &PeerName, alone: bool, chat: &Jid, past: &Past) -> bool {
    let means = |jid: &Jid| {
        let user = if jid.is_lid() { &known.lid } else { &known.pn };
        (jid.is_lid() || jid.is_pn()) && user.as_deref().map_or(alone, |user| user == &*jid.user)
    };
    match (&message.group, message.own) {
        _ if is_own_list(message, chat) => true,
        (Some(_), true) => true,
        (Some(_), false) => past.participant.as_ref().is_some_and(means),
        (None, _) => means(chat),
    }
}
