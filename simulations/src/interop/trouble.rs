//! What a talk without faults does without: messages that nobody could read at first, stanzas that WhatsApp refuses,
//! keys for those who shall not have them.
//!
//! What must hold: nothing of it is lost when it is mended later. A test that has faults, or asks for what is refused,
//! says which of it there may be.

use std::fmt;

use roost_proto::api::event::Payload;

use super::event::ClientEvent;
use super::{Failure, Person, Reader, RealClient, Stage};
use crate::wa::RefusalRecord;

/// What was amiss between a device and those who talk with it. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Messages that the device asked for again.
    pub retries: u64,
    /// Its stanzas that WhatsApp refused.
    pub refused_stanzas: u64,
    /// Its ciphertexts and sender keys for those who are not in the chat.
    pub misdirected: u64,
    /// Its messages to groups under a key, its last one or the one before, that somebody was given who is not in the group.
    pub old_chains: u64,
    /// Messages that it told of as unreadable, by id.
    pub unread: Vec<String>,
    /// Those that a client could not read at first: the client, the id, and who had sent it.
    pub unread_by_clients: Vec<String>,
}

impl Trouble {
    /// The same without refusals, for a test that asks for what is refused.
    pub fn but_refusals(self) -> Trouble {
        Trouble { refused_stanzas: 0, ..self }
    }
}

impl Stage {
    /// How much WhatsApp has refused so far, to whomever: what it refuses from now on is behind that.
    pub fn refused(&self) -> u64 {
        self.sim.ledger(|ledger| ledger.totals().refusals)
    }

    /// What WhatsApp has refused the first device of this person behind so much else, and why, in its own words; the latest
    /// is the first.
    pub fn refusals(&self, of: &Person, behind: u64) -> Vec<String> {
        let device = Some(of.first_device());
        let his = |refusal: &&RefusalRecord| refusal.device == device;
        self.sim.ledger(|ledger| {
            let new = usize::try_from(ledger.totals().refusals - behind).unwrap_or(usize::MAX);
            let new = ledger.refusals().rev().take(new);
            new.filter(his).map(|one| one.reason.clone()).collect()
        })
    }

    /// Whether a command of this person's client failed, and because WhatsApp refused it for this reason, behind so much
    /// that it had refused before.
    ///
    /// # Errors
    /// It was done, or failed for another reason.
    pub fn refuses<T: fmt::Debug, E: fmt::Debug>(
        &self,
        (of, behind): (&Person, u64),
        answer: Result<T, E>,
        why: &str,
    ) -> Result<(), Failure> {
        let reasons = self.refusals(of, behind);
        if answer.is_err() && reasons.iter().any(|reason| reason == why) {
            return Ok(());
        }
        Err(Failure::new(format!("not refused with {why:?} but {answer:?}; refused is {reasons:?}")))
    }

    /// What was amiss so far with the first device of this person, whose log this is, and with these clients.
    pub fn trouble<'a>(
        &self,
        of: &Person,
        reader: &Reader,
        clients: impl IntoIterator<Item = &'a RealClient>,
    ) -> Trouble {
        let device = of.first_device();
        let record = self.sim.ledger(|ledger| ledger.of(&device).cloned()).unwrap_or_default();
        let unread = |payload: Option<Payload>| match payload {
            Some(Payload::Undecryptable(message)) => Some(message.whatsapp_id),
            _ => None,
        };
        Trouble {
            retries: record.retries,
            refused_stanzas: record.refused_stanzas,
            misdirected: record.misdirected,
            old_chains: record.old_chains,
            unread: reader.events().into_iter().filter_map(|event| unread(event.payload)).collect(),
            unread_by_clients: clients.into_iter().flat_map(unread_by).collect(),
        }
    }

    /// The same of a device whose owners have died, without clients, which may be troubled by that.
    ///
    /// Baileys asks for what a new owner repeats, as it has used that key, and gets it under a second ratchet. When it then
    /// reads something under the first one, its library spoils the second: it tries that first, and keeps the steps of the
    /// try that has failed. What it says next nobody can read, until the device asks for it again. What the device
    /// has asked for again is therefore excused once somebody has asked it for anything again, whichever came first.
    pub fn trouble_amid_deaths(&self, of: &Person, reader: &Reader) -> Trouble {
        let trouble = self.trouble(of, reader, []);
        let asked = self.sim.ledger(|ledger| ledger.of(&of.first_device()).map(|record| record.asked_again));
        match asked {
            None | Some(0) => trouble,
            Some(_) => Trouble { retries: 0, ..trouble },
        }
    }
}

fn unread_by(client: &RealClient) -> Vec<String> {
    let unread = |event: ClientEvent| match event {
        ClientEvent::Undecryptable { id, sender, .. } => Some(format!("{}: {id} of {sender}", client.name())),
        _ => None,
    };
    client.events().into_iter().filter_map(unread).collect()
}
