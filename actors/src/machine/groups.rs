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
        let answer = match outcome {
            Ok(answer) => answer,
            // Not a member (any more), or no such group: what waits for it will never go.
            Err(401 | 403 | 404 | 406 | 410) => return self.fail_group(&group),
            Err(code) => return self.resolving_failed(code),
        };
        let Some(read) = answer.child("group").map(read_group) else { return self.resolving_failed(500) };
        if self.groups.known.len() >= REMEMBERED {
            self.groups.known.clear();
        }
        self.groups.known.insert(group, read);
        self.resolved();
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
    Group { by_lid, members, numbers }
}
