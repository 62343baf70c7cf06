//! Namespace `w:g2`: making, reading and changing groups.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Read as _, Server, Stanza};

use super::super::account::{DeviceRef, Form, Pn, seconds};
use super::super::groups::{Group, Role, add_mode, approval_mode};
use super::super::machine::Machine;
use super::{Answer, Refused, refuse};

/// The timers of disappearing messages, in seconds. That others are refused in groups is what whatsmeow says.
const TIMERS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];
/// The longest subject, in bytes. (A guess, as is that the real server counts bytes.)
pub(super) const MAX_SUBJECT: usize = 400;
/// What is on or off by the one or the other request; whatsapp-rust's.
const SWITCHES: [(&str, &str); 3] = [
    ("group_history", "no_group_history"),
    ("allow_admin_reports", "not_allow_admin_reports"),
    ("no_frequently_forwarded", "frequently_forwarded_ok"),
];

impl Machine {
    pub(super) fn group_query(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        set: bool,
        stanza: &Stanza,
    ) -> Answer {
        let child = stanza.all().first().ok_or_else(|| refuse(400, "it asks for nothing"))?;
        let to = stanza.jid("to").filter(|to| to.server == Server::Group).filter(|to| !to.user.is_empty());
        let Some(to) = to else { return self.groups_query(now, device, set, child) };
        let group = self.groups.get(&*to.user).cloned().ok_or_else(|| refuse(404, "no such group"))?;
        let invite = child.child("add_request").filter(|_| child.tag == "query");
        if let Some(invite) = invite.or((child.tag == "accept").then_some(child)) {
            return self.personal_invite(now, device, group, invite, set);
        }
        if child.tag == "cancel_membership_requests" && set {
            return self.end_requests(now, device, group, &[device.pn], child);
        }
        let Some(role) = group.members.get(&device.pn).copied() else {
            return Err(refuse(403, "a stranger to the group"));
        };
        let admin = role >= Role::Admin;
        let may = |is: bool| if is { Ok(()) } else { Err(refuse(403, "only for admins of the group")) };
        let switch = SWITCHES.iter().find(|(on, off)| [*on, *off].contains(&&*child.tag));
        if let (Some((on, off)), true) = (switch, set) {
            may(admin)?;
            let is_on = child.tag == *on;
            let told = Builder::new(if is_on { on } else { off }).build();
            return self.change_group(now, device, group, told, |group| group.switch(on, is_on));
        }
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
                    return Err(refuse(406, "a subject that is empty or too long"));
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
                let seconds = if child.tag == "ephemeral" { timer(child)? } else { 0 };
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
            ("revoke", true) => {
                may(admin)?;
                self.revoke_invites(now, device, group, child)
            }
            ("reports", set) => {
                may(admin || (set && group.on.contains("allow_admin_reports")))?;
                self.reports(now, device, group, set.then_some(child))
            }
            ("invite", set) => {
                let everybody = group.modes.get("member_link_mode").is_some_and(|to| to.starts_with("all"));
                // As whatsmeow reads it: 403 is for those who are not in the group.
                if !admin && (set || !everybody) {
                    return Err(refuse(401, "the invite link is for admins"));
                }
                let mut code = group.invite.clone();
                if set {
                    code = self.invite_code();
                    let new = code.clone();
                    let told = Builder::new("invite").attr("code", code.as_str()).build();
                    self.change_group(now, device, group, told, |group| group.reset_invite(new))?;
                }
                Ok(vec![Builder::new("invite").attr("code", code).build()])
            }
            ("membership_approval_requests", false) => {
                may(admin)?;
                let requests = group.requests.iter().map(|(pn, since)| {
                    let jid = self.account(*pn).jid(Form::Lid);
                    let request = Builder::new("membership_approval_request").attr("jid", jid);
                    request.attr("request_time", *since).build()
                });
                Ok(vec![Builder::new("membership_approval_requests").children(requests).build()])
            }
            ("membership_requests_action", true) => {
                may(admin)?;
                self.answer_requests(now, device, group, child)
            }
            _ if group.community => self.community_query(now, device, set, group, child),
            _ => Err(refuse(501, "nothing that groups know")),
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
                let mut left = Vec::new();
                for id in ids {
                    let group = self.groups.get(&id).cloned();
                    let outcome = Builder::new("group").attr("id", id);
                    let member = group.filter(|group| group.members.contains_key(&device.pn));
                    left.push(match member {
                        Some(group) => {
                            self.drop_members(now, device, &group, &[device.pn]);
                            outcome.build()
                        }
                        // That it is told so, and for each group, is a guess.
                        None => {
                            self.note_part(now, device, "leave group", 404, "who is no member");
                            outcome.attr("error", 404u16).build()
                        }
                    });
                }
                Ok(vec![Builder::new("leave").children(left).build()])
            }
            ("invite", set) => {
                let code = child.text("code").unwrap_or_default();
                let group = self.groups.values().find(|group| group.invite == code).cloned();
                let Some(group) = group else {
                    let was =
                        self.groups.values().any(|group| group.past_invites.iter().any(|past| *past == code));
                    return Err(match was {
                        true => refuse(410, "an invite that was reset"),
                        false => refuse(406, "no such invite"),
                    });
                };
                if !set {
                    return Ok(vec![self.group_node(&group, false)]);
                }
                // A guess: whatsapp-rust knows 304 for it, too.
                if group.members.contains_key(&device.pn) {
                    return Err(refuse(409, "a member already"));
                }
                if group.approval {
                    return self.request_to_join(now, device, group);
                }
                group.has_room()?;
                self.add_members(now, device, &group, &[device.pn], Some("invite"));
                Ok(vec![Builder::new("group").attr("jid", group.jid()).build()])
            }
            _ => Err(refuse(501, "nothing that all groups know")),
        }
    }

    fn describe(&mut self, now: UnixMillis, device: DeviceRef, group: Group, child: &Stanza) -> Answer {
        let id = child.text("id").unwrap_or_default().into_owned();
        let before = group.description.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
        // Who changes what he has not seen is refused.
        if child.text("prev").unwrap_or_default() != before {
            return Err(refuse(409, "another description was there meanwhile"));
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
    pub(super) fn change_group(
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

    pub(super) fn request_to_join(&mut self, now: UnixMillis, device: DeviceRef, mut group: Group) -> Answer {
        group.requests.insert(device.pn, seconds(now));
        let jid = group.jid();
        let admins: Vec<Pn> = group.members.keys().copied().filter(|pn| group.is_admin(*pn)).collect();
        self.groups.insert(group.id.clone(), group);
        let account = self.account(device.pn);
        let (lid, pn) = (account.jid(Form::Lid), account.jid(Form::Pn));
        // As whatsapp-rust reads it, after WhatsApp Web.
        let asks = Builder::new("requested_user").attr("jid", lid).attr("phone_number", pn).build();
        let told = Builder::new("created_membership_requests").attr("request_method", "invite_link");
        self.tell_group(now, &jid, device, admins, &told.children([asks]).build());
        Ok(vec![Builder::new("membership_approval_request").attr("jid", jid).build()])
    }
}

/// `<ephemeral expiration>`
pub(super) fn timer(ephemeral: &Stanza) -> Result<u32, Refused> {
    let seconds = ephemeral.number("expiration").and_then(|seconds| u32::try_from(seconds).ok());
    seconds
        .filter(|seconds| TIMERS.contains(seconds))
        .ok_or_else(|| refuse(400, "a timer that there is not in groups"))
}
