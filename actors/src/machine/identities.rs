//! Who is who: phone numbers and hidden identities that belong together.
//!
//! What must hold: a pair that was learned is durable, told as an event once, and used from then on;
//! ratchets that were kept under the number move to the hidden identity when they are next used.

use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::stanza::{Jid, Read, Stanza};

use super::commit::Pending;
use super::crypto::{PeerName, Purpose};
use super::inbound::{bounded, person};
use super::placeholders::Given;
use super::{CryptoRequest, Effect, Machine, Reply, retry};
use crate::device::{AskError, Identities};
use crate::port::StateKind;

/// The most pairs that one answer of WhatsApp teaches.
const LEARNED: usize = 512;

/// What the identities of somebody are wanted for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// A caller has asked.
    Caller { token: u64 },
    /// He has changed what he shows, or the picture of a group: the event of this notification.
    Profile { slot: u64, link: u64, stanza: Box<Stanza> },
    /// He asks for a post again, or for a message of a group.
    Viewer(Box<retry::Job>),
    /// A message may begin a chat, or the chat may be known under another name.
    Chat { chat: String, then: Box<Purpose> },
    /// The phone gives a message that is awaited, perhaps.
    Given(Box<Given>),
}

impl Machine {
    /// What is known of a user.
    pub(super) fn identities(&mut self, token: u64, user: &Jid) {
        if self.account.is_none() {
            let refusal = if self.loaded { AskError::NotPaired } else { AskError::Unavailable };
            let reply = Reply::Identities(Err(refusal));
            return self.effects.push(Effect::Reply { token, reply });
        }
        let user = name_of(user);
        self.ask_crypto(CryptoRequest::Identities { user }, Purpose::Identities(Wanted::Caller { token }));
    }

    pub(super) fn on_identities(&mut self, wanted: Wanted, name: PeerName) {
        let known = Identities { pn: name.pn.clone().map(Jid::pn), lid: name.lid.clone().map(Jid::lid) };
        match wanted {
            Wanted::Given(given) => self.on_given(*given, name),
            Wanted::Viewer(job) => self.on_viewer(*job, name),
            Wanted::Chat { chat, then } => self.on_chat_named(&chat, name, *then),
            Wanted::Caller { token } => {
                self.effects.push(Effect::Reply { token, reply: Reply::Identities(Ok(known)) });
            }
            Wanted::Profile { slot, link, stanza } => {
                let mut outcome = Pending::default();
                let who = person(&[known.lid, known.pn]);
                outcome.batch.events.extend(self.profile_changed(&stanza, who));
                let ack = self.plain_ack(&stanza, None);
                self.settle_slot(slot, link, outcome, ack);
            }
        }
    }

    /// An answer to a question may pair numbers with hidden identities.
    pub(super) fn learn_from_answer(&mut self, answer: &Stanza) {
        let list = answer.child("usync").and_then(|usync| usync.child("list"));
        let pairs: Vec<PeerName> = list
            .map(Read::all)
            .unwrap_or_default()
            .iter()
            .filter_map(|user| {
                let jid = user.jid("jid")?;
                let other = if jid.is_lid() { user.jid("pn_jid")? } else { user.child("lid")?.jid("val")? };
                let (pn, lid) = if jid.is_lid() { (other, jid) } else { (jid, other) };
                let pair =
                    PeerName { pn: Some(pn.user.to_string()), lid: Some(lid.user.to_string()), device: 0 };
                (pn.is_pn() && lid.is_lid()).then_some(pair)
            })
            .take(LEARNED)
            .collect();
        if !pairs.is_empty() {
            self.change_state(CryptoRequest::Learn { pairs });
        }
    }

    /// Tells of the pairs that are new in what crypto has changed, and uses them.
    pub(super) fn note_mapped(&mut self, outcome: &mut Pending) {
        let rows = outcome.batch.state.iter().filter(|(key, _)| key.kind == StateKind::Lid);
        let pairs: Vec<(String, String)> = rows
            .filter_map(|(key, row)| {
                Some((key.name.clone(), String::from_utf8(row.as_ref()?.to_vec()).ok()?))
            })
            .collect();
        for (pn, lid) in pairs {
            self.directory.set_lid(pn.clone(), Some(lid.clone()));
            let dedupe = bounded(format!("mapped/{pn}/{lid}"));
            let mapped =
                api::IdentityMapped { person: Some(person(&[Some(Jid::pn(pn)), Some(Jid::lid(lid))])) };
            outcome.batch.events.push(self.synthetic(dedupe, Payload::IdentityMapped(mapped)));
        }
    }
}

/// A user by what a JID says of him.
pub(super) fn name_of(user: &Jid) -> PeerName {
    let digits = user.user.to_string();
    match user.is_lid() {
        true => PeerName { pn: None, lid: Some(digits), device: 0 },
        false => PeerName { pn: Some(digits), lid: None, device: 0 },
    }
}
