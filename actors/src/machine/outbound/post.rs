//! Sending a status post: to every device of everybody who shall see it, one ciphertext for all.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::stanza::Jid;

use super::Stage;
use crate::machine::groups::Group;
use crate::machine::resolve::Directory;
use crate::machine::{Account, Machine, posts};
use crate::port::NewMessage;

impl Machine {
    /// To whom a message goes, and where posts are, when it is about one: that goes to who has posted it, each device
    /// for itself. `None` for a post itself.
    pub(super) fn whom(&self, chat: &Jid, message: &NewMessage) -> Option<(Jid, Option<Jid>)> {
        match posts::is_place(chat) {
            true => self.reacts_to(message).map(|author| (author, Some(chat.clone()))),
            false => Some((chat.clone(), None)),
        }
    }

    /// Begins with a post, as far as what is known of its people allows.
    pub(super) fn start_post(&mut self, ordinal: i64, account: &Account, place: &Jid) {
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let Some(people) = self.posts.people(&item.message.whatsapp_id) else {
            return self.fail(ordinal, "AUDIENCE_UNKNOWN");
        };
        let mut people = people.to_vec();
        people.retain(|person| !account.is_own(person));
        people.push(account.lid.as_ref().unwrap_or(&account.pn).to_non_ad());
        let unknown: Vec<Jid> =
            people.iter().filter(|person| self.directory.devices(person).is_none()).cloned().collect();
        if !unknown.is_empty() {
            self.set_stage(ordinal, Stage::Resolving);
            return self.ask_devices(unknown);
        }
        let group = audience(&people, &self.directory);
        self.encrypt_for_crowd(ordinal, account, place, &group);
    }
}

/// The people as a group is: each once, by the hidden identity where that is known.
fn audience(people: &[Jid], directory: &Directory) -> Group {
    let (mut members, mut numbers) = (BTreeSet::new(), BTreeMap::new());
    for person in people {
        let lid = directory.lid(&person.user).flatten().filter(|_| person.is_pn());
        match lid {
            Some(lid) => {
                numbers.insert(lid.to_owned(), person.user.to_string());
                members.insert(Jid::lid(lid).to_string());
            }
            None => _ = members.insert(person.to_string()),
        }
    }
    let members = members.iter().filter_map(|member| member.parse().ok()).collect();
    Group { by_lid: true, members, numbers, whole: true }
}
