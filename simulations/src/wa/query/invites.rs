//! Invites for one person, reports to admins, and what is set of groups by `w:mex`.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Read as _, Stanza};
use serde_json::{Value, json};

use super::super::account::{DeviceRef, Form, Pn, seconds};
use super::super::groups::{Group, PersonalInvite};
use super::super::machine::Machine;
use super::{Answer, refuse};

/// For so long a personal invite holds, in seconds. (A guess: clients show the end that they are told.)
const LIFETIME: u64 = 3 * 24 * 3600;
/// The number under which whatsapp-rust sets properties of groups.
pub(super) const PROPERTY: &str = "9418211574894172";

impl Machine {
    /// Somebody who cannot be added can be invited.
    pub(super) fn invite_person(&mut self, now: UnixMillis, by: Pn, group: &str, whom: Pn) -> PersonalInvite {
        let invite = PersonalInvite { code: self.invite_code(), by, until_s: seconds(now) + LIFETIME };
        if let Some(group) = self.groups.get_mut(group) {
            group.invites.insert(whom, invite.clone());
        }
        invite
    }

    /// `<add_request>` looks at, `<accept>` takes an invite for this account. That one that does not hold is refused
    /// with 410 is a guess.
    pub(super) fn personal_invite(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        named: &Stanza,
        accept: bool,
    ) -> Answer {
        let by = named.jid("admin").and_then(|admin| self.account_of(&admin)).map(|admin| admin.pn);
        let holds = group.invites.get(&device.pn).is_some_and(|invite| {
            named.text("code").as_deref() == Some(&*invite.code)
                && named.number("expiration") == Some(invite.until_s)
                && by == Some(invite.by)
                && invite.until_s > seconds(now)
        });
        if !holds {
            return Err(refuse(410, "the invite does not hold"));
        }
        if !accept {
            return Ok(vec![self.group_node(&group, false)]);
        }
        if !group.members.contains_key(&device.pn) {
            group.has_room()?;
        }
        group.invites.remove(&device.pn);
        self.groups.insert(group.id.clone(), group.clone());
        self.add_members(now, device, &group, &[device.pn], Some("invite"));
        Ok(vec![Builder::new("group").attr("jid", group.jid()).build()])
    }

    pub(super) fn revoke_invites(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        child: &Stanza,
    ) -> Answer {
        let (mut outcomes, mut told) = (Vec::new(), Vec::new());
        for jid in child.all_named("participant").filter_map(|one| one.jid("jid")) {
            let found = self.account_of(&jid).map(|account| account.pn);
            let held = found.filter(|pn| group.invites.remove(pn).is_some());
            told.extend(held.map(|pn| self.member_node(pn, None).build()));
            let code = if held.is_some() { 200 } else { 404 };
            self.note_part(now, device, "revoke participant", code, "who was not invited");
            outcomes.push(self.outcome(&jid, found, code, None));
        }
        let admins: Vec<Pn> = group.members.keys().copied().filter(|pn| group.is_admin(*pn)).collect();
        let jid = group.jid();
        self.groups.insert(group.id.clone(), group);
        self.tell_group(now, &jid, device, admins, &Builder::new("revoke").children(told).build());
        Ok(vec![Builder::new("revoke").children(outcomes).build()])
    }

    /// `<reports>`: reports messages, or tells what was reported.
    pub(super) fn reports(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        mut group: Group,
        new: Option<&Stanza>,
    ) -> Answer {
        let Some(new) = new else {
            let reports = group.reports.iter().map(|(id, by)| {
                let by = by.iter().map(|(pn, at)| {
                    let account = self.account(*pn);
                    let reporter = Builder::new("reporter").attr("jid", account.jid(Form::Lid));
                    reporter.attr("phone_number", account.jid(Form::Pn)).attr("timestamp", *at).build()
                });
                Builder::new("report").attr("message_id", id.as_str()).children(by).build()
            });
            return Ok(vec![Builder::new("reports").children(reports).build()]);
        };
        for id in new.all_named("report").filter_map(|report| report.text("message_id")) {
            let by = group.reports.entry(id.into_owned()).or_default();
            by.entry(device.pn).or_insert(seconds(now));
        }
        let admins: Vec<Pn> = group.members.keys().copied().filter(|pn| group.is_admin(*pn)).collect();
        let jid = group.jid();
        self.groups.insert(group.id.clone(), group);
        self.tell_group(now, &jid, device, admins, &Builder::new("reports").build());
        Ok(vec![])
    }

    /// Who uses links, who gives history, and whether messages may be exported. How members are told of all but the
    /// last is a guess, and so is how they are told that it is off.
    pub(super) fn group_property(&mut self, now: UnixMillis, device: DeviceRef, variables: &Value) -> Answer {
        let id = variables["group_id"].as_str().and_then(|jid| jid.strip_suffix("@g.us"));
        let group = id
            .and_then(|id| self.groups.get(id))
            .cloned()
            .ok_or_else(|| refuse(404, "there is no such group"))?;
        if !group.is_admin(device.pn) {
            return Err(refuse(403, "only admins set properties"));
        }
        let update = &variables["update"];
        let mode = |name| update[name].as_str().map(str::to_lowercase);
        for name in ["member_link_mode", "member_share_group_history_mode"] {
            if let Some(mode) = mode(name) {
                let told = Builder::new(name).bytes(mode.clone()).build();
                let group = group.clone();
                self.change_group(now, device, group, told, |group| {
                    group.modes.insert(name.to_owned(), mode);
                })?;
            }
        }
        if let Some(on) = update["limit_sharing"]["limit_sharing_enabled"].as_bool() {
            let name = "limit_sharing_enabled";
            let told = Builder::new(if on { name } else { "not_limit_sharing_enabled" }).attr("trigger", 1u8);
            self.change_group(now, device, group.clone(), told.build(), |group| group.switch(name, on))?;
        }
        let done = json!({ "id": variables["group_id"], "state": "ACTIVE" });
        let body = json!({ "data": { "xwa2_group_update_property": done } }).to_string();
        Ok(vec![Builder::new("result").bytes(body.into_bytes()).build()])
    }
}
