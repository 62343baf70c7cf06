//! Who is in a group, as far as sending to it needs that.
//!
//! What must hold: the members are asked for when they are not known, and are forgotten with whatever says
//! that they may have changed. Who may read what is not decided here: crypto begins another sender key as
//! soon as somebody who has the present one is no longer among the members' devices.

use std::collections::{BTreeMap, BTreeSet};

use roost_proto::api::event::{Origin, Payload};
use roost_proto::groups;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read, Server, Stanza, iq};

use super::commit::Pending;
use super::crypto::PeerName;
use super::inbound::bounded;
use super::requests::Asked;
use super::{Machine, making};
use crate::port::NewEvent;

/// Groups that are remembered; above this all are asked for anew.
const REMEMBERED: usize = 256;
/// The most members that a group is believed to have.
const MEMBERS: usize = 2048;

/// A group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Members are addressed by their hidden identities.
    pub(super) by_lid: bool,
    /// Bare JIDs, in that form.
    pub(super) members: Vec<Jid>,
    /// Phone numbers of members by LID digits.
    pub(super) numbers: BTreeMap<String, String>,
    /// There are no other members, as far as WhatsApp says.
    pub(super) whole: bool,
}

impl Group {
    /// Whether somebody is a member; `None` when that cannot be said, because not all members are known, or
    /// not the name that he would have among them.
    pub(super) fn has(&self, who: &PeerName) -> Option<bool> {
        let by_number =
            || self.numbers.iter().find(|(_, pn)| Some(*pn) == who.pn.as_ref()).map(|(lid, _)| lid);
        let lid = who.lid.as_ref().or_else(by_number);
        let pn = who.pn.as_ref().or_else(|| self.numbers.get(who.lid.as_ref()?));
        let is_it = |member: &Jid| {
            let name = if member.is_lid() { lid } else { pn };
            name.is_some_and(|name| **name == *member.user)
        };
        let named = if self.by_lid { lid } else { pn }.is_some() || self.numbers.len() >= self.members.len();
        match self.members.iter().any(is_it) {
            true => Some(true),
            false => (self.whole && named).then_some(false),
        }
    }
}

/// Groups by JID.
#[derive(Debug, Default)]
pub(super) struct Groups {
    known: BTreeMap<String, Group>,
    asking: BTreeSet<String>,
}

impl Groups {
    pub(super) fn get(&self, group: &str) -> Option<&Group> {
        self.known.get(group)
    }

    pub(super) fn forget(&mut self, group: &str) {
        self.known.remove(group);
    }
}

impl Machine {
    /// Asks who is in a group, unless that is being asked.
    pub(super) fn ask_group(&mut self, group: &Jid) {
        let name = group.to_string();
        if !self.groups.asking.insert(name.clone()) {
            return;
        }
        let to = group.clone();
        self.request(Asked::Group { group: name }, |id| {
            let query = Builder::new("query").attr("request", "interactive").build();
            iq::request(id, "get", "w:g2", to).children([query])
        });
    }

    /// Something changed in a group: what was known of it is not believed any more.
    pub(super) fn on_group_notification(&mut self, stanza: &Stanza, outcome: &mut Pending) {
        let Some(from) = stanza.jid("from") else { return };
        self.groups.forget(&from.to_string());
        if let Some(key) = making::key_of(stanza) {
            self.made_by_key(&key, &from.to_string(), outcome);
        }
        let id = stanza.text("id").unwrap_or_default();
        let seconds = stanza.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let occurred = seconds.map_or(self.now.wall, UnixMillis);
        let origin = if stanza.text("offline").is_some() { Origin::OfflineQueue } else { Origin::Live };
        for (place, change) in groups::changes(stanza).into_iter().enumerate() {
            let dedupe = bounded(format!("group/{from}/{id}/{place}"));
            let payload = Payload::GroupChanged(change);
            outcome.batch.events.push(NewEvent { dedupe, occurred, origin, payload });
        }
    }

    pub(super) fn on_group(&mut self, group: String, outcome: Result<Stanza, u16>) {
        self.groups.asking.remove(&group);
        match outcome.and_then(|answer| answer.child("group").map(read_group).ok_or(500)) {
            Ok(read) => {
                if self.groups.known.len() >= REMEMBERED {
                    self.groups.known.clear();
                }
                self.groups.known.insert(group.clone(), read);
                self.on_members(&group, None);
                self.resolved();
            }
            Err(code) => {
                self.on_members(&group, Some(code));
                match code {
                    // Not a member (any more), or no such group: what waits for it will never go.
                    401 | 403 | 404 | 406 | 410 => self.fail_group(&group),
                    code => self.resolving_failed(code),
                }
            }
        }
    }
}

fn read_group(group: &Stanza) -> Group {
    let by_lid = group.text("addressing_mode").as_deref() == Some("lid");
    let wanted = if by_lid { Server::Lid } else { Server::Pn };
    let (mut members, mut numbers) = (Vec::new(), BTreeMap::new());
    for participant in group.all_named("participant").take(MEMBERS) {
        let forms = ["jid", "lid", "phone_number"].map(|key| participant.jid(key).map(|jid| jid.to_non_ad()));
        let of = |server| forms.iter().flatten().find(|jid| jid.server == server);
        if let (Some(lid), Some(pn)) = (of(Server::Lid), of(Server::Pn)) {
            numbers.insert(lid.user.to_string(), pn.user.to_string());
        }
        members.extend(of(wanted).or(forms[0].as_ref()).cloned());
    }
    // Others than its admins may not be shown who is in the large group of a community.
    let said = group.number("size").and_then(|size| usize::try_from(size).ok());
    let all = said.is_none_or(|size| size <= members.len()) && members.len() < MEMBERS;
    let whole = all && group.child("default_sub_group").is_none();
    Group { by_lid, members, numbers, whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(by_lid: bool, numbers: &[(&str, &str)], size: u64) -> Group {
        let member = |(lid, pn): &(&str, &str)| {
            let (lid, pn) = (Jid::lid(*lid), Jid::pn(*pn));
            let member = Builder::new("participant");
            match by_lid {
                true => member.attr("jid", lid).attr("phone_number", pn).build(),
                false => member.attr("jid", pn).attr("lid", lid).build(),
            }
        };
        let mode = if by_lid { "lid" } else { "pn" };
        let group = Builder::new("group").attr("addressing_mode", mode).attr("size", size);
        read_group(&group.children(numbers.iter().map(member)).build())
    }

    fn known(lid: Option<&str>, pn: Option<&str>) -> PeerName {
        PeerName { lid: lid.map(str::to_owned), pn: pn.map(str::to_owned), device: 3 }
    }

    #[test]
    fn a_member_is_known_by_either_name_and_nobody_else_is_one_when_all_are_known() {
        for by_lid in [true, false] {
            let group = group(by_lid, &[("77", "4917"), ("78", "4918")], 2);
            for (lid, pn) in [(Some("77"), None), (None, Some("4917")), (Some("77"), Some("4917"))] {
                assert_eq!(group.has(&known(lid, pn)), Some(true), "{lid:?} {pn:?}");
            }
            for (lid, pn) in [(Some("79"), None), (None, Some("4919")), (Some("4917"), None)] {
                assert_eq!(group.has(&known(lid, pn)), Some(false), "{lid:?} {pn:?}");
            }
        }
    }

    #[test]
    fn of_a_list_that_does_not_name_everybody_nobody_is_missing() {
        let group = group(true, &[("77", "4917")], 2);
        assert_eq!(group.has(&known(Some("77"), None)), Some(true));
        assert_eq!(group.has(&known(Some("79"), None)), None);
    }
}
