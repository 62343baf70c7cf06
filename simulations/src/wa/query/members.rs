//! Who comes into a group and who goes.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza};

use super::super::account::{DeviceRef, Form, Pn};
use super::super::groups::{Group, MAX_MEMBERS, PersonalInvite, Role};
use super::super::machine::Machine;
use super::{Answer, refuse};

/// Why somebody is not let in.
pub(super) const NO_ACCOUNT: &str = "no account";
pub(super) const NOT_BROUGHT: &str = "who does not let himself be brought";
const FULL: &str = "the group is full";
/// Why a request to join is neither taken back nor answered.
const NO_REQUEST: &str = "who has not asked to join";

impl Machine {
    /// `<add>`, `<remove>`, `<promote>` and `<demote>`: each participant with what became of it.
    pub(super) fn change_members(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        group: Group,
        child: &Stanza,
    ) -> Answer {
        let action = child.tag.to_string();
        let (mut outcomes, mut done) = (Vec::new(), Vec::new());
        for participant in child.all_named("participant").take(MAX_MEMBERS) {
            let Some(jid) = participant.jid("jid") else { continue };
            let found = self.account_of(&jid).map(|account| account.pn);
            let (code, why) = match (found.and_then(|pn| group.members.get(&pn)), found, &*action) {
                (_, None, _) => (404, NO_ACCOUNT),
                (Some(_), _, "add") => (409, "a member already"),
                (None, Some(_), "add") if group.members.len() + done.len() >= MAX_MEMBERS => (419, FULL),
                (None, Some(pn), "add") if !self.may_bring(now, device.pn, pn, participant) => {
                    (403, NOT_BROUGHT)
                }
                (None, Some(_), "add") => (200, ""),
                (None, ..) => (404, "no member"),
                (Some(Role::Owner), ..) if found != Some(device.pn) => (406, "the owner of the group"),
                (Some(_), ..) => (200, ""),
            };
            self.note_part(now, device, &format!("{action} participant"), code, why);
            if let (200, Some(pn)) = (code, found) {
                done.push(pn);
            }
            let invite = found.filter(|_| code == 403);
            let invite = invite.map(|pn| self.invite_person(now, device.pn, &group.id, pn));
            outcomes.push(self.outcome(&jid, found, code, invite));
        }
        // What they are invited to is in the book now.
        let group = self.groups.get(&group.id).cloned().unwrap_or(group);
        if child.text("linked_groups").as_deref() == Some("true") && group.community && action == "remove" {
            self.drop_everywhere(now, device, &group, &done);
        }
        match &*action {
            "add" => self.add_members(now, device, &group, &done, None),
            "remove" => self.drop_members(now, device, &group, &done),
            _ => self.set_roles(now, device, &group, &done, action == "promote"),
        }
        let answer = match &*action {
            "add" => Builder::new("add"),
            "remove" => Builder::new("remove"),
            "promote" => Builder::new("promote"),
            _ => Builder::new("demote"),
        };
        Ok(vec![answer.children(outcomes).build()])
    }

    /// Requests to join are taken back or turned down; the admins hear of it, and whose they were.
    pub(super) fn end_requests(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        whose: &[Pn],
        child: &Stanza,
    ) -> Answer {
        let gone: Vec<Pn> = whose.iter().copied().filter(|pn| group.requests.remove(pn).is_some()).collect();
        let mut audience: Vec<Pn> = group.members.keys().copied().filter(|pn| group.is_admin(*pn)).collect();
        audience.extend(&gone);
        let jid = group.jid();
        self.groups.insert(group.id.clone(), group);
        let named: Vec<Stanza> = gone.iter().map(|pn| self.member_node(*pn, None).build()).collect();
        if !named.is_empty() {
            let told = Builder::new("revoked_membership_requests").children(named).build();
            self.tell_group(now, &jid, device, audience, &told);
        }
        let mut outcomes = Vec::new();
        for jid in child.all_named("participant").filter_map(|one| one.jid("jid")) {
            let found = self.account_of(&jid).map(|account| account.pn);
            let code = if found.is_some_and(|pn| gone.contains(&pn)) { 200 } else { 404 };
            self.note_part(now, device, &format!("{} participant", child.tag), code, NO_REQUEST);
            outcomes.push(self.outcome(&jid, found, code, None));
        }
        Ok(vec![Builder::new_dynamic(child.tag.to_string()).children(outcomes).build()])
    }

    /// Lets people in who asked, or turns them down.
    pub(super) fn answer_requests(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        child: &Stanza,
    ) -> Answer {
        let Some(action) = child.all().iter().find(|action| matches!(&*action.tag, "approve" | "reject"))
        else {
            return Err(refuse(400, "neither approve nor reject"));
        };
        if action.tag == "reject" {
            let jids = action.all_named("participant").filter_map(|one| one.jid("jid"));
            let whose: Vec<Pn> = jids.filter_map(|jid| Some(self.account_of(&jid)?.pn)).collect();
            let said = self.end_requests(now, device, group, &whose, action)?;
            return Ok(vec![Builder::new("membership_requests_action").children(said).build()]);
        }
        let (mut outcomes, mut done) = (Vec::new(), Vec::new());
        for jid in action.all_named("participant").filter_map(|participant| participant.jid("jid")) {
            let found = self.account_of(&jid).map(|account| account.pn);
            let full = group.members.len() + done.len() >= MAX_MEMBERS;
            let (code, why) = match found {
                Some(pn) if !group.requests.contains_key(&pn) => (404, NO_REQUEST),
                Some(_) if full => (419, FULL),
                Some(pn) => {
                    group.requests.remove(&pn);
                    done.push(pn);
                    (200, "")
                }
                None => (404, NO_ACCOUNT),
            };
            self.note_part(now, device, "approve participant", code, why);
            outcomes.push(self.outcome(&jid, found, code, None));
        }
        self.groups.insert(group.id.clone(), group.clone());
        // They came by the link; that the members are told so is a guess.
        self.add_members(now, device, &group, &done, Some("invite"));
        let said = Builder::new("approve").children(outcomes).build();
        Ok(vec![Builder::new("membership_requests_action").children([said]).build()])
    }

    pub(super) fn add_members(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        group: &Group,
        new: &[Pn],
        reason: Option<&'static str>,
    ) {
        let mut group = group.clone();
        // Who is in it already stays what he is.
        let new: Vec<Pn> = new.iter().copied().filter(|pn| !group.members.contains_key(pn)).collect();
        if new.is_empty() {
            return;
        }
        let before: Vec<Pn> = group.members.keys().copied().collect();
        group.members.extend(new.iter().map(|pn| (*pn, Role::Member)));
        group.version += 1;
        let members: Vec<Pn> = group.members.keys().copied().collect();
        self.watch_members(&members);
        let jid = group.jid();
        let node = self.group_node(&group, true);
        if let Some(community) = group.parent.clone() {
            self.enroll(&community, new.clone());
        }
        self.groups.insert(group.id.clone(), group);
        let added = new.iter().map(|pn| self.member_node(*pn, None).build()).collect::<Vec<_>>();
        let told = Builder::new("add").children(added);
        let told = match reason {
            Some(reason) => told.attr("reason", reason),
            None => told,
        };
        self.tell_group(now, &jid, device, before, &told.build());
        // Who comes in hears of the whole group.
        let create = Builder::new("create").children([node]).build();
        self.tell_group(now, &jid, device, new, &create);
    }

    pub(super) fn drop_members(&mut self, now: UnixMillis, device: DeviceRef, group: &Group, gone: &[Pn]) {
        if gone.is_empty() {
            return;
        }
        let mut group = group.clone();
        let told: Vec<Pn> = group.members.keys().copied().collect();
        group.members.retain(|pn, _| !gone.contains(pn));
        group.version += 1;
        let jid = group.jid();
        self.groups.insert(group.id.clone(), group);
        let removed = gone.iter().map(|pn| self.member_node(*pn, None).build()).collect::<Vec<_>>();
        let change = Builder::new("remove").children(removed).build();
        self.tell_group(now, &jid, device, told, &change);
    }

    fn set_roles(&mut self, now: UnixMillis, device: DeviceRef, group: &Group, whom: &[Pn], promote: bool) {
        if whom.is_empty() {
            return;
        }
        let mut group = group.clone();
        let role = if promote { Role::Admin } else { Role::Member };
        group.members.extend(whom.iter().map(|pn| (*pn, role)));
        group.version += 1;
        let (jid, members) = (group.jid(), group.members.keys().copied().collect::<Vec<_>>());
        self.groups.insert(group.id.clone(), group);
        let changed = whom.iter().map(|pn| self.member_node(*pn, None).build()).collect::<Vec<_>>();
        let change = Builder::new(if promote { "promote" } else { "demote" }).children(changed).build();
        self.tell_group(now, &jid, device, members, &change);
    }

    /// What became of one participant: its code in both spellings, because clients differ.
    pub(super) fn outcome(
        &self,
        asked: &Jid,
        found: Option<Pn>,
        code: u16,
        invite: Option<PersonalInvite>,
    ) -> Stanza {
        let mut outcome = Builder::new("participant").attr("jid", asked.clone()).attr("type", code);
        if let Some(pn) = found {
            outcome = outcome.attr("phone_number", self.account(pn).jid(Form::Pn));
        }
        if let Some(PersonalInvite { code, until_s, .. }) = invite {
            let request = Builder::new("add_request").attr("code", code).attr("expiration", until_s);
            outcome = outcome.children([request.build()]);
        }
        if code == 200 { outcome.build() } else { outcome.attr("error", code).build() }
    }
}
