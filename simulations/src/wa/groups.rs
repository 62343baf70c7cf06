//! Groups: who is in them, what they are called, and what was changed by whom.
//!
//! What must hold: every member's device hears of a change before anything that is sent after it; only admins
//! change what is theirs to change; members are addressed by their hidden identities. Which code the real server gives to
//! members without a right is a guess (403).

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng as _;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Server, Stanza};
use serde::{Deserialize, Serialize};

use super::account::{DeviceRef, Form, Pn, seconds};
use super::machine::Machine;
use super::refusals::{Refused, refuse};

/// The most members of one group.
pub(super) const MAX_MEMBERS: usize = 1024;

/// The most invite links of one group that are remembered once they were reset.
const MAX_PAST_INVITES: usize = 20;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Talk.
    Member,
    /// Change the group.
    Admin,
    /// Made the group; cannot be removed by others.
    Owner,
}

/// One group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// The user part of its JID.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// Who made it.
    pub creator: Pn,
    /// When, in seconds.
    pub created_s: u64,
    /// Members and what they may do.
    pub members: BTreeMap<Pn, Role>,
    /// Id and text of the description.
    pub description: Option<(String, String)>,
    /// Only admins send.
    pub announce: bool,
    /// Only admins change subject and description.
    pub locked: bool,
    /// Seconds after which messages disappear; 0 for never.
    pub expiration: u32,
    /// Everybody adds members.
    pub members_add: bool,
    /// Admins approve who joins.
    pub approval: bool,
    /// The code of its invite link.
    pub invite: String,
    /// Those that it had before, the latest at the end.
    #[serde(default)]
    pub past_invites: Vec<String>,
    /// Who waits to be let in, since when (seconds).
    pub requests: BTreeMap<Pn, u64>,
    /// It is a community.
    pub community: bool,
    /// The community that it belongs to, by id.
    pub parent: Option<String>,
    /// Id of its picture.
    #[serde(default)]
    pub picture: Option<u64>,
    /// What else is on, by WhatsApp's names: `group_history`, `default_sub_group`, …
    #[serde(default)]
    pub on: BTreeSet<String>,
    /// What else has a mode: `member_link_mode`, `member_share_group_history_mode`.
    #[serde(default)]
    pub modes: BTreeMap<String, String>,
    /// Who could only be invited.
    #[serde(default)]
    pub invites: BTreeMap<Pn, PersonalInvite>,
    /// Messages that were reported to the admins, by whom and when (seconds).
    #[serde(default)]
    pub reports: BTreeMap<String, BTreeMap<Pn, u64>>,
    /// Grows with every change.
    pub version: u64,
}

/// An invite for one account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonalInvite {
    /// Its code.
    pub code: String,
    /// Who sent it.
    pub by: Pn,
    /// Until when it holds, in seconds.
    pub until_s: u64,
}

impl Group {
    /// Its JID.
    pub fn jid(&self) -> Jid {
        Jid::new(self.id.clone(), Server::Group)
    }

    /// Switches what has a name on or off.
    pub(super) fn switch(&mut self, name: &str, on: bool) {
        match on {
            true => self.on.insert(name.to_owned()),
            false => self.on.remove(name),
        };
    }

    /// Gives it another invite link; whoever comes with the present one hears that it was reset.
    pub(super) fn reset_invite(&mut self, code: String) {
        self.past_invites.push(std::mem::replace(&mut self.invite, code));
        if self.past_invites.len() > MAX_PAST_INVITES {
            self.past_invites.remove(0);
        }
    }

    /// Refuses one more member where there is no room.
    pub(super) fn has_room(&self) -> Result<(), Refused> {
        if self.members.len() < MAX_MEMBERS { Ok(()) } else { Err(refuse(419, "the group is full")) }
    }

    pub(super) fn is_admin(&self, pn: Pn) -> bool {
        self.members.get(&pn).is_some_and(|role| *role >= Role::Admin)
    }
}

impl Machine {
    /// All groups by id.
    pub fn groups(&self) -> &BTreeMap<String, Group> {
        &self.groups
    }

    pub(super) fn new_group(&mut self, now: UnixMillis, creator: Pn, subject: String) -> Group {
        // The shape of the ids of present groups.
        let first = self.groups.len() as u64 + 1 + seconds(now) % 100_000 * 1_000;
        // Groups come and go within one second.
        let mut ids = (first..).map(|number| format!("1203630{number:011}"));
        let id = ids.find(|id| !self.groups.contains_key(id)).expect("there is always a next one");
        let invite = self.invite_code();
        Group {
            id,
            subject,
            creator,
            created_s: seconds(now),
            members: BTreeMap::from([(creator, Role::Owner)]),
            description: None,
            announce: false,
            locked: false,
            expiration: 0,
            members_add: true,
            approval: false,
            invite,
            past_invites: Vec::new(),
            requests: BTreeMap::new(),
            community: false,
            parent: None,
            picture: None,
            on: BTreeSet::new(),
            modes: BTreeMap::new(),
            invites: BTreeMap::new(),
            reports: BTreeMap::new(),
            version: 1,
        }
    }

    pub(super) fn invite_code(&mut self) -> String {
        let mut random = [0; 11];
        self.rng.fill_bytes(&mut random);
        hex::encode(random)
    }

    /// `<participant>` of an account.
    pub(super) fn member_node(&self, pn: Pn, role: Option<Role>) -> Builder {
        let account = self.account(pn);
        let node = Builder::new("participant")
            .attr("jid", account.jid(Form::Lid))
            .attr("phone_number", account.jid(Form::Pn));
        match role {
            Some(Role::Owner) => node.attr("type", "superadmin"),
            Some(Role::Admin) => node.attr("type", "admin"),
            _ => node,
        }
    }

    /// `<group>`; without members for those who are not in it.
    pub(super) fn group_node(&self, group: &Group, with_members: bool) -> Stanza {
        let creator = self.account(group.creator);
        let mut children = Vec::new();
        if with_members {
            let members = group.members.iter();
            children.extend(members.map(|(pn, role)| self.member_node(*pn, Some(*role)).build()));
        }
        if let Some((id, text)) = &group.description {
            let body = Builder::new("body").bytes(text.as_bytes().to_vec()).build();
            let about = Builder::new("description").attr("id", id.as_str()).attr("t", group.created_s);
            children.push(about.attr("participant", creator.jid(Form::Lid)).children([body]).build());
        }
        children.extend(group.on.iter().map(|tag| Builder::new_dynamic(tag.clone()).build()));
        let mode =
            |(tag, mode): (&String, &String)| Builder::new_dynamic(tag.clone()).bytes(mode.clone()).build();
        children.extend(group.modes.iter().map(mode));
        for (is, tag) in [(group.announce, "announcement"), (group.locked, "locked")] {
            children.extend(is.then(|| Builder::new(tag).build()));
        }
        if group.expiration > 0 {
            children.push(Builder::new("ephemeral").attr("expiration", group.expiration).build());
        }
        children.push(add_mode(group.members_add));
        if group.approval {
            children.push(approval_mode(true));
        }
        if let Some(parent) = &group.parent {
            let jid = Jid::new(parent.clone(), Server::Group);
            children.push(Builder::new("linked_parent").attr("jid", jid).build());
        }
        if group.community {
            let mode = Builder::new("parent").attr("default_membership_approval_mode", "request_required");
            children.push(mode.build());
        }
        Builder::new("group")
            .attr("id", group.id.as_str())
            .attr("subject", group.subject.as_str())
            .attr("creation", group.created_s)
            .attr("creator", creator.jid(Form::Lid))
            .attr("creator_pn", creator.jid(Form::Pn))
            .attr("s_t", group.created_s)
            .attr("s_o", creator.jid(Form::Lid))
            .attr("size", group.members.len())
            .attr("addressing_mode", "lid")
            .attr("a_v_id", group.version)
            .attr("p_v_id", group.version)
            .children(children)
            .build()
    }

    /// Tells every device of these accounts what `author` changed.
    pub(super) fn tell_group(
        &mut self,
        now: UnixMillis,
        group: &Jid,
        author: DeviceRef,
        audience: impl IntoIterator<Item = Pn>,
        change: &Stanza,
    ) {
        let account = self.account(author.pn);
        let (lid, pn, name) = (account.jid(Form::Lid), account.jid(Form::Pn), account.name.clone());
        let audience: Vec<Pn> = audience.into_iter().collect();
        for member in audience {
            let devices: Vec<DeviceRef> = self.companions_of(member).collect();
            for device in devices {
                let notification = Builder::new("notification")
                    .attr("type", "w:gp2")
                    .attr("from", group.clone())
                    .attr("participant", lid.clone())
                    .attr("participant_pn", pn.clone())
                    .attr("addressing_mode", "lid")
                    .attr("notify", name.as_str())
                    .attr("id", self.server_id())
                    .attr("t", seconds(now))
                    .children([change.clone()]);
                self.deliver(now, device, notification.build());
            }
        }
    }

    /// Members know each other's device lists, so they hear of changes in them.
    pub(super) fn watch_members(&mut self, members: &[Pn]) {
        for one in members {
            for other in members.iter().filter(|other| *other != one) {
                self.account_mut(*one).watch(*other);
            }
        }
    }
}

pub(super) fn add_mode(everybody: bool) -> Stanza {
    let mode = if everybody { "all_member_add" } else { "admin_add" };
    Builder::new("member_add_mode").bytes(mode).build()
}

pub(super) fn approval_mode(on: bool) -> Stanza {
    let join = Builder::new("group_join").attr("state", if on { "on" } else { "off" }).build();
    Builder::new("membership_approval_mode").children([join]).build()
}
