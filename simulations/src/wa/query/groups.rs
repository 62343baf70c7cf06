//! Namespace `w:g2`: making, reading and changing groups.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::iq::Refused;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::super::account::{DeviceRef, Pn, seconds};
use super::super::groups::{Group, MAX_MEMBERS, Role, add_mode, approval_mode};
use super::super::machine::Machine;
use super::Answer;

/// The longest subject, in bytes.
const MAX_SUBJECT: usize = 400;

impl Machine {
    pub(super) fn group_query(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        set: bool,
        stanza: &Stanza,
    ) -> Answer {
        let child = stanza.all().first().ok_or_else(|| Refused::new(400))?;
        let to = stanza.jid("to").filter(|to| to.server == Server::Group).filter(|to| !to.user.is_empty());
        let Some(to) = to else { return self.groups_query(now, device, set, child) };
        let group = self.groups.get(&*to.user).cloned().ok_or_else(|| Refused::new(404))?;
        let Some(role) = group.members.get(&device.pn).copied() else { return Err(Refused::new(403)) };
        let admin = role >= Role::Admin;
        let may = |is: bool| if is { Ok(()) } else { Err(Refused::new(403)) };
        match (&*child.tag, set) {
            ("query", false) => Ok(vec![self.group_node(&group, true)]),
            ("add" | "remove" | "promote" | "demote", true) => {
                may(admin || (child.tag == "add" && group.members_add))?;
                self.change_members(now, device, group, child)
            }
            ("subject", true) => {
                may(admin || !group.locked)?;
                let subject = child.leaf_text().unwrap_or_default().to_owned();
                if subject.is_empty() || subject.len() > MAX_SUBJECT {
                    return Err(Refused::new(406));
                }
                let told =
                    Builder::new("subject").attr("subject", subject.as_str()).attr("s_t", seconds(now));
                self.change_group(now, device, group, told.build(), |group| group.subject = subject)
            }
            ("description", true) => {
                may(admin || !group.locked)?;
                self.describe(now, device, group, child)
            }
            ("announcement" | "not_announcement", true) => {
                may(admin)?;
                let on = child.tag == "announcement";
                // whatsmeow takes the notification only with the version.
                let told = Builder::new(if on { "announcement" } else { "not_announcement" });
                let told = told.attr("v_id", group.version + 1).build();
                self.change_group(now, device, group, told, |group| group.announce = on)
            }
            ("locked" | "unlocked", true) => {
                may(admin)?;
                let on = child.tag == "locked";
                let told = Builder::new(if on { "locked" } else { "unlocked" }).build();
                self.change_group(now, device, group, told, |group| group.locked = on)
            }
            ("ephemeral" | "not_ephemeral", true) => {
                may(admin || !group.locked)?;
                let seconds = child.number("expiration").and_then(|s| u32::try_from(s).ok()).unwrap_or(0);
                let told = match seconds {
                    0 => Builder::new("not_ephemeral"),
                    seconds => Builder::new("ephemeral").attr("expiration", seconds),
                };
                self.change_group(now, device, group, told.build(), |group| group.expiration = seconds)
            }
            ("member_add_mode", true) => {
                may(admin)?;
                let all = child.leaf_text() == Some("all_member_add");
                self.change_group(now, device, group, add_mode(all), |group| group.members_add = all)
            }
            ("membership_approval_mode", true) => {
                may(admin)?;
                let on =
                    child.child("group_join").and_then(|join| join.text("state")).as_deref() == Some("on");
                self.change_group(now, device, group, approval_mode(on), |group| group.approval = on)
            }
            ("invite", set) => {
                may(admin)?;
                let mut code = group.invite.clone();
                if set {
                    code = self.invite_code();
                    let new = code.clone();
                    let told = Builder::new("invite").attr("code", code.as_str()).build();
                    self.change_group(now, device, group, told, |group| group.invite = new)?;
                }
                Ok(vec![Builder::new("invite").attr("code", code).build()])
            }
            ("membership_approval_requests", false) => {
                may(admin)?;
                let requests = group.requests.iter().map(|(pn, since)| {
                    let jid = self.account(*pn).jid(super::super::account::Form::Lid);
                    let request = Builder::new("membership_approval_request").attr("jid", jid);
                    request.attr("request_time", *since).build()
                });
                Ok(vec![Builder::new("membership_approval_requests").children(requests).build()])
            }
            ("membership_requests_action", true) => {
                may(admin)?;
                self.answer_requests(now, device, group, child)
            }
            ("links" | "unlink", true) => {
                may(admin)?;
                self.link_groups(now, device, group, child)
            }
            ("sub_groups", false) => {
                let subs = self.groups.values().filter(|sub| sub.parent.as_deref() == Some(&*group.id));
                let subs = subs.map(|sub| self.group_node(sub, false)).collect::<Vec<_>>();
                Ok(vec![Builder::new("sub_groups").children(subs).build()])
            }
            _ => Err(Refused::new(501)),
        }
    }

    /// Requests to all groups at once.
    fn groups_query(&mut self, now: UnixMillis, device: DeviceRef, set: bool, child: &Stanza) -> Answer {
        match (&*child.tag, set) {
            ("create", true) => self.create_group(now, device, child),
            ("participating", false) => {
                let mine = self.groups.values().filter(|group| group.members.contains_key(&device.pn));
                let mine = mine.map(|group| self.group_node(group, true)).collect::<Vec<_>>();
                Ok(vec![Builder::new("groups").children(mine).build()])
            }
            ("leave", true) => {
                let ids: Vec<String> = child
                    .all_named("group")
                    .filter_map(|group| Some(group.text("id")?.split('@').next()?.to_owned()))
                    .collect();
                for id in &ids {
                    let Some(group) = self.groups.get(id).cloned() else { continue };
                    if group.members.contains_key(&device.pn) {
                        self.drop_members(now, device, &group, &[device.pn]);
                    }
                }
                let left = ids.into_iter().map(|id| Builder::new("group").attr("id", id).build());
                Ok(vec![Builder::new("leave").children(left).build()])
            }
            ("invite", set) => {
                let code = child.text("code").unwrap_or_default();
                let group = self.groups.values().find(|group| group.invite == code).cloned();
                let group = group.ok_or_else(|| Refused::new(406))?;
                if !set {
                    return Ok(vec![self.group_node(&group, false)]);
                }
                if group.members.contains_key(&device.pn) {
                    return Err(Refused::new(409));
                }
                if group.approval {
                    return self.request_to_join(now, device, group);
                }
                self.add_members(now, device, &group, &[device.pn], Some("invite"));
                Ok(vec![Builder::new("group").attr("jid", group.jid()).build()])
            }
            _ => Err(Refused::new(501)),
        }
    }

    fn create_group(&mut self, now: UnixMillis, device: DeviceRef, create: &Stanza) -> Answer {
        let subject = create.text("subject").unwrap_or_default().into_owned();
        if subject.is_empty() || subject.len() > MAX_SUBJECT {
            return Err(Refused::new(406));
        }
        let mut group = self.new_group(now, device.pn, subject);
        for participant in create.all_named("participant").take(MAX_MEMBERS - 1) {
            let jid = participant.jid("jid").ok_or_else(|| Refused::new(400))?;
            if let Some(account) = self.account_of(&jid) {
                group.members.entry(account.pn).or_insert(Role::Member);
            }
        }
        group.expiration = create
            .child("ephemeral")
            .and_then(|timer| u32::try_from(timer.number("expiration")?).ok())
            .unwrap_or(0);
        group.announce = create.child("announcement").is_some();
        group.locked = create.child("locked").is_some();
        group.community = create.child("parent").is_some();
        if let Some(mode) = create.child("member_add_mode") {
            group.members_add = mode.leaf_text() == Some("all_member_add");
        }
        if let Some(parent) = create.child("linked_parent").and_then(|parent| parent.jid("jid")) {
            group.parent = Some(parent.user.to_string());
        }
        let members: Vec<Pn> = group.members.keys().copied().collect();
        self.watch_members(&members);
        let node = self.group_node(&group, true);
        let jid = group.jid();
        self.groups.insert(group.id.clone(), group);
        let others: Vec<Pn> = members.into_iter().filter(|pn| *pn != device.pn).collect();
        let told = || Builder::new("create").attr("type", "new").children([node.clone()]);
        self.tell_group(now, &jid, device, others, &told().build());
        // Who made it is told by which key. That the same key again makes a second group is a guess.
        let told = match create.text("key") {
            Some(key) => told().attr("key", key.into_owned()),
            None => told(),
        };
        self.tell_group(now, &jid, device, [device.pn], &told.build());
        Ok(vec![node])
    }

    fn describe(&mut self, now: UnixMillis, device: DeviceRef, group: Group, child: &Stanza) -> Answer {
        let id = child.text("id").unwrap_or_default().into_owned();
        let before = group.description.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
        // Who changes what he has not seen is refused.
        if child.text("prev").unwrap_or_default() != before {
            return Err(Refused::new(409));
        }
        let text = child.child("body").and_then(|body| body.leaf_text()).map(str::to_owned);
        let told = Builder::new("description").attr("id", id.as_str());
        let told = match &text {
            Some(text) => told.children([Builder::new("body").bytes(text.as_bytes().to_vec()).build()]),
            None => told.children([Builder::new("delete").build()]),
        };
        let new = text.map(|text| (id, text));
        self.change_group(now, device, group, told.build(), |group| group.description = new)
    }

    /// Changes a group and tells its members.
    fn change_group(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        told: Stanza,
        change: impl FnOnce(&mut Group),
    ) -> Answer {
        change(&mut group);
        group.version += 1;
        let (jid, members) = (group.jid(), group.members.keys().copied().collect::<Vec<_>>());
        self.groups.insert(group.id.clone(), group);
        self.tell_group(now, &jid, device, members, &told);
        Ok(vec![])
    }

    fn request_to_join(&mut self, now: UnixMillis, device: DeviceRef, mut group: Group) -> Answer {
        group.requests.insert(device.pn, seconds(now));
        let jid = group.jid();
        let admins: Vec<Pn> = group.members.keys().copied().filter(|pn| group.is_admin(*pn)).collect();
        self.groups.insert(group.id.clone(), group);
        let asks = self.member_node(device.pn, None).build();
        let told = Builder::new("created_membership_requests").attr("request_method", "invite_link");
        self.tell_group(now, &jid, device, admins, &told.children([asks]).build());
        Ok(vec![Builder::new("membership_approval_request").attr("jid", jid).build()])
    }

    fn link_groups(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        community: Group,
        child: &Stanza,
    ) -> Answer {
        if !community.community {
            return Err(Refused::new(400));
        }
        let link = child.child("link").unwrap_or(child);
        let named: Vec<Jid> = link.all_named("group").filter_map(|group| group.jid("jid")).collect();
        let linking = child.tag == "links";
        for jid in &named {
            let Some(sub) = self.groups.get_mut(&*jid.user) else { return Err(Refused::new(404)) };
            if !sub.is_admin(device.pn) {
                return Err(Refused::new(403));
            }
            sub.parent = linking.then(|| community.id.clone());
        }
        let groups = named.iter().filter_map(|jid| self.groups.get(&*jid.user));
        let groups: Vec<Stanza> = groups.map(|group| self.group_node(group, false)).collect();
        let told = match linking {
            true => Builder::new("link").attr("link_type", "sub_group"),
            false => {
                Builder::new("unlink").attr("unlink_type", "sub_group").attr("unlink_reason", "unlink_group")
            }
        };
        let members: Vec<Pn> = community.members.keys().copied().collect();
        self.tell_group(now, &community.jid(), device, members, &told.children(groups).build());
        Ok(vec![])
    }
}
