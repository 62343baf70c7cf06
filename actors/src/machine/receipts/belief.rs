//! Whose word on a message counts.
//!
//! What must hold: only those who were sent a message say how far it has come, in the place where it was said, under
//! whichever of their names. So nobody moves a message of which he knows no more than the id.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::stanza::{Jid, Read, Server};

use super::{About, Said, Waiting};
use crate::machine::crypto::Purpose;
use crate::machine::{CryptoRequest, Machine, posts};

/// Hidden identities by phone numbers, in digits.
pub(super) type Lids = BTreeMap<String, String>;

/// What somebody's word on a message is worth.
pub(super) enum Word {
    Counts,
    /// Nothing, because of this.
    Nothing(&'static str),
    /// It depends on whose these phone numbers are.
    DependsOn(Vec<String>),
}

impl Machine {
    /// Asks who is who, as far as what is said depends on that.
    pub(super) fn weigh_receipt(&mut self, waiting: Waiting) {
        let (mut numbers, nobody) = (BTreeSet::new(), Lids::new());
        for said in &waiting.said {
            let known = said.ids.iter().filter_map(|id| Some((id, waiting.about.get(id)?)));
            for (id, about) in known {
                if let Word::DependsOn(some) = self.word(&waiting, said, id, about, &nobody) {
                    numbers.extend(some);
                }
            }
        }
        if numbers.is_empty() {
            return self.judge_receipt(waiting, &nobody);
        }
        let request = CryptoRequest::Lids(numbers.into_iter().collect());
        self.ask_crypto(request, Purpose::Receipt(Box::new(waiting)));
    }

    /// What somebody's word on a message is worth, by these names and all others that are known.
    pub(super) fn word(&self, waiting: &Waiting, said: &Said, id: &str, about: &About, lids: &Lids) -> Word {
        let (Some(from), Ok(chat)) = (waiting.receipt.jid("from"), about.chat.parse::<Jid>()) else {
            return Word::Nothing("nobody says it");
        };
        let here = from.user == chat.user && from.server == chat.server;
        match chat.server {
            _ if here && posts::is_place(&chat) => match self.posts.people(id) {
                Some(people) => self.is_among(&said.by, people, lids),
                // It is older than a day: whoever could see it then is not known any more.
                None => Word::Counts,
            },
            _ if here => Word::Counts,
            Server::Pn | Server::Lid => self.is_among(&from, &[chat], lids),
            _ => Word::Nothing("it was said elsewhere"),
        }
    }

    /// That of somebody on what is for these people.
    fn is_among(&self, who: &Jid, people: &[Jid], lids: &Lids) -> Word {
        let mut numbers = Vec::new();
        for person in people {
            match self.is_same(who, person, lids) {
                Ok(true) => return Word::Counts,
                Ok(false) => {}
                Err(number) => numbers.push(number),
            }
        }
        match numbers.is_empty() {
            true => Word::Nothing("it was for others"),
            false => Word::DependsOn(numbers),
        }
    }

    /// Whether two names are of one person.
    ///
    /// # Errors
    /// The phone number on which it depends.
    fn is_same(&self, one: &Jid, other: &Jid, lids: &Lids) -> Result<bool, String> {
        if one.user == other.user && one.server == other.server {
            return Ok(true);
        }
        let (pn, lid) = if one.is_pn() { (one, other) } else { (other, one) };
        if !(pn.is_pn() && lid.is_lid()) {
            return Ok(false);
        }
        let known = lids.get(&*pn.user).map(String::as_str).or(self.directory.lid(&pn.user).flatten());
        known.map(|known| known == &*lid.user).ok_or_else(|| pn.user.to_string())
    }
}
