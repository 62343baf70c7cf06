//! The audience of a message to a group: every device of every member, and the stanza with one ciphertext
//! for all of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roost_proto::content::Wire;
use roost_proto::id::UnixMillis;
use roost_proto::phash::phash;
use roost_proto::signal::{Ciphertext, CiphertextKind};
use roost_proto::stanza::{Builder, HOSTED, Jid, Server, Stanza};

use super::called;
use crate::machine::crypto::PeerName;
use crate::machine::groups::Group;
use crate::machine::prekeys::leaf;
use crate::machine::resolve::Directory;
use crate::machine::{Account, Machine, posts};

/// Who gets a message in a group.
#[derive(Debug)]
pub(super) struct Crowd {
    chat: Jid,
    by_lid: bool,
    /// Every device but ours, in the address form of the group.
    pub(super) devices: Vec<Jid>,
    /// The hash by which WhatsApp compares participants.
    pub(super) phash: String,
    /// Of a status post: who sees it. WhatsApp knows that from nothing else than the message.
    people: Option<Vec<Jid>>,
    /// When it is sent.
    pub(super) at: UnixMillis,
    /// The bot that the message calls.
    pub(super) called: Option<Jid>,
}

/// Members whose devices are not known.
pub(super) fn unknown(group: &Group, directory: &Directory) -> Vec<Jid> {
    group.members.iter().filter(|member| directory.devices(member).is_none()).cloned().collect()
}

impl Crowd {
    pub(super) fn of(
        account: &Account,
        chat: &Jid,
        group: &Group,
        directory: &Directory,
        skip: &[Jid],
    ) -> Crowd {
        let devices_of = |member: &Jid| {
            // A hosted device is no member of groups, and sees no status posts.
            let devices = directory.devices(member).unwrap_or_default();
            devices
                .iter()
                .filter(|device| **device != HOSTED)
                .map(|device| member.with_device(*device))
                .collect::<Vec<_>>()
        };
        let mut all: Vec<Jid> = group.members.iter().flat_map(devices_of).collect();
        let ours = |jid: &Jid| account.is_own(jid) && jid.device == account.device();
        if !all.iter().any(ours) {
            let own = if group.by_lid { account.lid.as_ref().unwrap_or(&account.pn) } else { &account.pn };
            all.push(own.clone());
        }
        let phash = phash(&all);
        let devices = all.into_iter().filter(|jid| !ours(jid) && !skip.contains(jid)).collect();
        let others = group.members.iter().filter(|member| !account.is_own(member));
        let people = posts::is_place(chat).then(|| others.cloned().collect());
        Crowd {
            chat: chat.clone(),
            by_lid: group.by_lid,
            devices,
            phash,
            people,
            at: UnixMillis(0),
            called: None,
        }
    }

    pub(super) fn targets(&self, account: &Account, group: &Group) -> Vec<PeerName> {
        // The first LID of a number that has several.
        let lids: BTreeMap<&str, &String> =
            group.numbers.iter().rev().map(|(lid, pn)| (pn.as_str(), lid)).collect();
        let name = |jid: &Jid| {
            let digits = |jid: &Jid| jid.user.to_string();
            let (pn, lid) = if account.is_own(jid) {
                (Some(digits(&account.pn)), account.lid.as_ref().map(digits))
            } else if jid.server == Server::Lid {
                (group.numbers.get(&*jid.user).cloned(), Some(digits(jid)))
            } else {
                (Some(digits(jid)), lids.get(&*jid.user).map(|lid| (*lid).clone()))
            };
            PeerName { pn, lid, device: jid.device }
        };
        self.devices.iter().map(name).collect()
    }

    /// The stanza: the message once, and our sender key for each device that lacked it.
    pub(super) fn stanza(
        &self,
        account: &Account,
        id: &str,
        marks: &Wire,
        ciphertext: &Bytes,
        distributed: Vec<(Jid, Ciphertext)>,
        called: Option<(Jid, Ciphertext)>,
    ) -> Stanza {
        let all = distributed.iter().chain(&called);
        let opens = all.into_iter().any(|(_, made)| made.kind == CiphertextKind::Pkmsg);
        let mut children = Vec::new();
        let given: BTreeSet<String> = distributed.iter().map(|(jid, _)| jid.user.to_string()).collect();
        let rest = self.people.iter().flatten().filter(|person| !given.contains(&*person.user));
        let rest: Vec<Stanza> =
            rest.map(|person| Builder::new("to").attr("jid", person.clone()).build()).collect();
        if !distributed.is_empty() || !rest.is_empty() {
            let participants = distributed.into_iter().map(|(jid, made)| {
                let enc = Builder::new("enc").attr("v", "2").attr("type", made.kind.as_str());
                let enc = marks.mark(enc).bytes(made.bytes.to_vec()).build();
                Builder::new("to").attr("jid", jid).children([enc]).build()
            });
            let participants = Builder::new("participants").children(participants.chain(rest));
            children.push(participants.build());
        }
        if opens {
            children.push(leaf("device-identity", account.identity.to_vec()));
        }
        let enc = Builder::new("enc").attr("v", "2").attr("type", "skmsg");
        children.push(marks.mark(enc).bytes(ciphertext.to_vec()).build());
        children.extend(marks.children(self.at, false));
        children.extend(called.map(|(bot, made)| called::element(bot, made)));
        let own = account.lid.as_ref().filter(|_| self.by_lid).unwrap_or(&account.pn);
        children.extend(marks.reporting(id, own, &self.chat));
        let mut stanza = Builder::new("message")
            .attr("id", id.to_owned())
            .attr("to", self.chat.clone())
            .attr("type", marks.kind)
            .attr("phash", self.phash.clone());
        if self.people.is_none() {
            stanza = stanza.attr("addressing_mode", if self.by_lid { "lid" } else { "pn" });
        }
        if let Some(edit) = marks.edit {
            stanza = stanza.attr("edit", edit);
        }
        stanza.children(children).build()
    }
}

impl Machine {
    /// The members of a group, or their devices, are not what we thought.
    pub(super) fn forget_crowd(&mut self, chat: &Jid) {
        let name = chat.to_string();
        let members = self.groups.get(&name).map(|group| group.members.clone()).unwrap_or_default();
        for member in members {
            self.directory.forget(&member);
        }
        self.groups.forget(&name);
    }
}
