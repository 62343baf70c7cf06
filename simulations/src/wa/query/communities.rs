//! Communities: groups of groups, made, linked, joined and ended.
//!
//! What must hold: whoever is in a group of a community is in the community, and in the group of its announcements.
//! That nobody is told of that, and which codes are refused with, is a guess.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Content, Read as _, Stanza};

use super::super::account::{DeviceRef, Pn};
use super::super::groups::{Group, MAX_MEMBERS, Role};
use super::super::machine::Machine;
use super::groups::{MAX_SUBJECT, timer};
use super::members::{NO_ACCOUNT, NOT_BROUGHT};
use super::{Answer, Refused, refuse};

impl Machine {
    pub(super) fn create_group(&mut self, now: UnixMillis, device: DeviceRef, create: &Stanza) -> Answer {
        let subject = create.text("subject").unwrap_or_default().into_owned();
        if subject.is_empty() || subject.len() > MAX_SUBJECT {
            return Err(refuse(406, "a subject that is empty or too long"));
        }
        let mut group = self.new_group(now, device.pn, subject);
        let mut left_out = Vec::new();
        for participant in create.all_named("participant").take(MAX_MEMBERS - 1) {
            let jid =
                participant.jid("jid").ok_or_else(|| refuse(400, "a participant without an address"))?;
            let found = self.account_of(&jid).map(|account| account.pn);
            match found.filter(|pn| *pn == device.pn || self.may_bring(now, device.pn, *pn, participant)) {
                Some(pn) => _ = group.members.entry(pn).or_insert(Role::Member),
                None => left_out.push((jid, found)),
            }
        }
        group.expiration = create.child("ephemeral").map(timer).transpose()?.unwrap_or(0);
        group.announce = create.child("announcement").is_some();
        group.locked = create.child("locked").is_some();
        group.community = create.child("parent").is_some();
        if let Some(mode) = create.child("member_add_mode") {
            group.members_add = mode.leaf_text() == Some("all_member_add");
        }
        if create.child("allow_non_admin_sub_group_creation").is_some() {
            group.switch("allow_non_admin_sub_group_creation", true);
        }
        if let Some(mode) = create.child("member_link_mode").and_then(|mode| mode.leaf_text()) {
            group.modes.insert("member_link_mode".to_owned(), mode.to_owned());
        }
        if let Some(about) = create.child("description") {
            let id = about.text("id").unwrap_or_default().into_owned();
            let text = about.child("body").and_then(|body| body.leaf_text()).unwrap_or_default();
            group.description = Some((id, text.to_owned())).filter(|(_, text)| !text.is_empty());
        }
        if let Some(parent) = create.child("linked_parent").and_then(|parent| parent.jid("jid")) {
            let community = self.community(device, &parent.user)?;
            let everybody = community.on.contains("allow_non_admin_sub_group_creation");
            if !everybody && !community.is_admin(device.pn) {
                return Err(refuse(403, "groups of the community are made by admins"));
            }
            group.parent = Some(parent.user.to_string());
        }
        let members: Vec<Pn> = group.members.keys().copied().collect();
        self.watch_members(&members);
        let node = self.group_node(&group, true);
        let jid = group.jid();
        let made = group.clone();
        self.groups.insert(group.id.clone(), group);
        if made.community {
            self.open_community(now, device, &made, create.child("create_general_chat").is_some());
        }
        if let Some(community) = made.parent.clone() {
            self.enroll(&community, made.members.keys().copied().collect());
        }
        let others: Vec<Pn> = members.into_iter().filter(|pn| *pn != device.pn).collect();
        let told = || Builder::new("create").attr("type", "new").children([node.clone()]);
        self.tell_group(now, &jid, device, others, &told().build());
        // Who made it is told by which key. That the same key again makes a second group is a guess.
        let told = match create.text("key") {
            Some(key) => told().attr("key", key.into_owned()),
            None => told(),
        };
        self.tell_group(now, &jid, device, [device.pn], &told.build());
        let left_out: Vec<Stanza> = left_out
            .into_iter()
            .map(|(jid, found)| {
                let invite = found.map(|pn| self.invite_person(now, device.pn, &made.id, pn));
                let (code, why) = if found.is_some() { (403, NOT_BROUGHT) } else { (404, NO_ACCOUNT) };
                self.note_part(now, device, "create participant", code, why);
                self.outcome(&jid, found, code, invite)
            })
            .collect();
        let mut node = node;
        if let Some(Content::Nodes(children)) = &mut node.content {
            children.extend(left_out);
        }
        Ok(vec![node])
    }

    /// A community that this account is in.
    fn community(&self, device: DeviceRef, id: &str) -> Result<Group, Refused> {
        let community = self.groups.get(id).filter(|group| group.community);
        let community = community.ok_or_else(|| refuse(404, "no such community"))?;
        match community.members.contains_key(&device.pn) {
            true => Ok(community.clone()),
            false => Err(refuse(403, "a stranger to the community")),
        }
    }

    /// WhatsApp makes the group of announcements with the community.
    fn open_community(&mut self, now: UnixMillis, device: DeviceRef, community: &Group, chat: bool) {
        let mut first = self.new_group(now, device.pn, community.subject.clone());
        first.switch("default_sub_group", true);
        (first.announce, first.parent) = (true, Some(community.id.clone()));
        self.groups.insert(first.id.clone(), first);
        if chat {
            let mut general = self.new_group(now, device.pn, community.subject.clone());
            general.switch("general_chat", true);
            general.parent = Some(community.id.clone());
            self.groups.insert(general.id.clone(), general);
        }
    }

    /// These are in the community too, and in the group of its announcements.
    pub(super) fn enroll(&mut self, community: &str, people: Vec<Pn>) {
        let inside = |group: &&mut Group| {
            group.id == community
                || (group.parent.as_deref() == Some(community) && group.on.contains("default_sub_group"))
        };
        for group in self.groups.values_mut().filter(inside) {
            for pn in &people {
                group.members.entry(*pn).or_insert(Role::Member);
            }
        }
    }

    fn subgroups(&self, community: &Group) -> Vec<Group> {
        let subs = self.groups.values().filter(|sub| sub.parent.as_deref() == Some(&*community.id));
        subs.cloned().collect()
    }

    /// What only communities are asked.
    pub(super) fn community_query(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        set: bool,
        community: Group,
        child: &Stanza,
    ) -> Answer {
        let admin = community.is_admin(device.pn);
        let named = child.jid("jid").and_then(|jid| self.groups.get(&*jid.user)).cloned();
        let named = named.filter(|sub| sub.parent.as_deref() == Some(&*community.id));
        let named = || named.ok_or_else(|| refuse(404, "no such group in the community"));
        let linked = |node| Ok(vec![Builder::new("linked_group").children([node]).build()]);
        match (&*child.tag, set) {
            ("sub_groups", false) => {
                let subs = self.subgroups(&community);
                let subs: Vec<Stanza> = subs.iter().map(|sub| self.group_node(sub, false)).collect();
                Ok(vec![Builder::new("sub_groups").children(subs).build()])
            }
            ("query_linked", false) => linked(self.group_node(&named()?, false)),
            ("join_linked_group", true) => {
                let group = named()?;
                match group.approval {
                    true => drop(self.request_to_join(now, device, group.clone())?),
                    false => {
                        if !group.members.contains_key(&device.pn) {
                            group.has_room()?;
                        }
                        self.add_members(now, device, &group, &[device.pn], Some("linked_group_join"));
                    }
                }
                linked(self.group_node(&group, false))
            }
            ("linked_groups_participants", false) => {
                let mut people = community.members.clone();
                people.extend(self.subgroups(&community).into_iter().flat_map(|sub| sub.members));
                let people = people.keys().map(|pn| self.member_node(*pn, None).build()).collect::<Vec<_>>();
                Ok(vec![Builder::new("linked_groups_participants").children(people).build()])
            }
            ("links" | "unlink" | "delete_parent", true) if !admin => {
                Err(refuse(403, "only for admins of the community"))
            }
            ("links", true) => {
                self.link_groups(now, device, &community, child.child("link").unwrap_or(child))
            }
            ("unlink", true) => self.unlink_groups(now, device, &community, child),
            ("delete_parent", true) => {
                for sub in self.subgroups(&community) {
                    self.leave_community(now, device, &community, &sub, "delete_parent");
                    if sub.on.contains("default_sub_group") {
                        self.groups.remove(&sub.id);
                    }
                }
                self.groups.remove(&community.id);
                let told = Builder::new("delete").attr("reason", "delete_parent").build();
                self.tell_group(now, &community.jid(), device, community.members.into_keys(), &told);
                Ok(vec![])
            }
            _ => Err(refuse(501, "nothing that communities know")),
        }
    }

    /// Each named group with what became of it.
    fn link_groups(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        community: &Group,
        link: &Stanza,
    ) -> Answer {
        let mut outcomes = Vec::new();
        for jid in link.all_named("group").filter_map(|group| group.jid("jid")) {
            let outcome = Builder::new("group").attr("jid", jid.clone());
            let refused = match self.groups.get(&*jid.user) {
                None => Some((404u16, "there is no such group")),
                Some(sub) if !sub.is_admin(device.pn) => Some((403, "who is no admin of the group")),
                Some(sub) if sub.community || sub.parent.is_some() => {
                    Some((409, "a community, or a group of one"))
                }
                Some(_) => None,
            };
            if let Some((code, why)) = refused {
                self.note_part(now, device, "link group", code, why);
                outcomes.push(outcome.attr("error", code).build());
                continue;
            }
            outcomes.push(outcome.build());
            let sub = self.groups.get_mut(&*jid.user).expect("looked at above");
            sub.parent = Some(community.id.clone());
            let sub = sub.clone();
            self.enroll(&community.id, sub.members.keys().copied().collect());
            let told = |kind, of| Builder::new("link").attr("link_type", kind).children([of]).build();
            let below = told("sub_group", self.group_node(&sub, false));
            self.tell_group(now, &community.jid(), device, community.members.keys().copied(), &below);
            let above = told("parent_group", self.group_node(community, false));
            self.tell_group(now, &jid, device, sub.members.into_keys(), &above);
        }
        let link = Builder::new("link").attr("link_type", "sub_group").children(outcomes).build();
        Ok(vec![Builder::new("links").children([link]).build()])
    }

    fn unlink_groups(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        community: &Group,
        unlink: &Stanza,
    ) -> Answer {
        let mut outcomes = Vec::new();
        for named in unlink.all_named("group") {
            let Some(jid) = named.jid("jid") else { return Err(refuse(400, "a group without an address")) };
            let sub = self.groups.get(&*jid.user).cloned();
            let outcome = Builder::new("group").attr("jid", jid.clone());
            let Some(sub) = sub.filter(|sub| sub.parent.as_deref() == Some(&*community.id)) else {
                self.note_part(now, device, "unlink group", 404, "no group of the community");
                outcomes.push(outcome.attr("error", 404u16).build());
                continue;
            };
            outcomes.push(outcome.build());
            self.leave_community(now, device, community, &sub, "unlink_group");
            let below = Builder::new("unlink").attr("unlink_type", "sub_group");
            let below = below.attr("unlink_reason", "unlink_group").children([self.group_node(&sub, false)]);
            self.tell_group(now, &community.jid(), device, community.members.keys().copied(), &below.build());
            if named.text("remove_orphaned_members").as_deref() == Some("true") {
                self.drop_orphans(now, device, &community.id, &sub);
            }
        }
        let unlink = Builder::new("unlink").attr("unlink_type", "sub_group").children(outcomes);
        Ok(vec![unlink.build()])
    }

    /// Who was in the community for the sake of this group leaves it.
    fn drop_orphans(&mut self, now: UnixMillis, device: DeviceRef, community: &str, sub: &Group) {
        let Some(community) = self.groups.get(community).cloned() else { return };
        let others: Vec<Group> = self.subgroups(&community);
        let others: Vec<&Group> =
            others.iter().filter(|other| !other.on.contains("default_sub_group")).collect();
        let orphan = |pn: &&Pn| {
            !community.is_admin(**pn) && !others.iter().any(|other| other.members.contains_key(*pn))
        };
        let orphans: Vec<Pn> = sub.members.keys().filter(orphan).copied().collect();
        self.drop_members(now, device, &community, &orphans);
    }

    fn leave_community(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        community: &Group,
        sub: &Group,
        reason: &'static str,
    ) {
        if let Some(sub) = self.groups.get_mut(&sub.id) {
            sub.parent = None;
        }
        let above = Builder::new("unlink").attr("unlink_type", "parent_group").attr("unlink_reason", reason);
        let above = above.children([self.group_node(community, false)]).build();
        self.tell_group(now, &sub.jid(), device, sub.members.keys().copied(), &above);
    }

    /// Removes from every group of a community too.
    pub(super) fn drop_everywhere(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        community: &Group,
        gone: &[Pn],
    ) {
        for sub in self.subgroups(community) {
            let here: Vec<Pn> = gone.iter().copied().filter(|pn| sub.members.contains_key(pn)).collect();
            self.drop_members(now, device, &sub, &here);
        }
    }
}
