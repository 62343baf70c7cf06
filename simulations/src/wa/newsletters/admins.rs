//! Who speaks in a newsletter beside its owner: who is asked to, who accepts, and who does no longer.
//!
//! What must hold: only the owner asks, lets go and gives away, and only to an admin; an admin may go by himself. People are
//! named by hidden identities, as whatsapp-rust says. Guesses, as no client shows them: with which codes it refuses,
//! that an invite is good for a week, that the owner counts among the admins, who hears of what, and that a newsletter
//! that is given away tells of one who rises and of one who steps down.

use std::collections::BTreeSet;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;
use serde_json::{Value, json};

use super::{Newsletter, told};
use crate::wa::account::{DeviceRef, Form, Pn, seconds};
use crate::wa::machine::Machine;
use crate::wa::query::Answer;
use crate::wa::refusals::{Refused, refuse};

/// How long somebody who is asked has to answer, in seconds.
const INVITED_S: u64 = 7 * 24 * 3600;

impl Newsletter {
    /// Whether somebody speaks in it.
    pub(super) fn speaks(&self, pn: Pn) -> bool {
        pn == self.owner || self.admins.contains(&pn)
    }

    /// What somebody is in it.
    pub(super) fn role(&self, pn: Pn) -> &'static str {
        match () {
            () if pn == self.owner => "OWNER",
            () if self.admins.contains(&pn) => "ADMIN",
            () if self.followers.contains_key(&pn) => "SUBSCRIBER",
            () => "GUEST",
        }
    }

    /// Who hears what is said in it.
    pub(super) fn audience(&self) -> BTreeSet<Pn> {
        self.followers.keys().copied().chain(self.speakers()).collect()
    }

    pub(super) fn speakers(&self) -> BTreeSet<Pn> {
        self.admins.iter().copied().chain([self.owner]).collect()
    }
}

impl Machine {
    /// A query about who speaks in a newsletter and who follows it, under the numbers of Baileys and of whatsapp-rust.
    pub(super) fn admin_query(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        number: &str,
        variables: &Value,
    ) -> Answer {
        let jid = &variables["newsletter_id"];
        let named = jid.as_str().and_then(|jid| jid.strip_suffix("@newsletter"));
        let done = json!({ "id": jid });
        match number {
            "26278439461859188" | "7130823597031706" => {
                let newsletter = &self.newsletters[self.spoken_in(device, named)?];
                let admins = json!({ "id": jid, "admin_count": newsletter.speakers().len() });
                told("xwa2_newsletter_admin", &admins)
            }
            "9783111038412085" => {
                let newsletter = &self.newsletters[self.spoken_in(device, named)?];
                let asked = newsletter.invited.iter().filter(|(_, until)| **until > seconds(now));
                let asked: Vec<Value> = asked.map(|(pn, _)| json!({ "user": self.shown(*pn) })).collect();
                told("xwa2_newsletter_admin", &json!({ "id": jid, "pending_admin_invites": asked }))
            }
            "9387141988078609" => {
                let (id, user) = (self.owned(device, named)?, self.user(variables)?);
                let newsletter = self.newsletters.get_mut(id).expect("it was found");
                if newsletter.speaks(user) {
                    return Err(refuse(409, "who is asked speaks in it already"));
                }
                let until = seconds(now) + INVITED_S;
                newsletter.invited.insert(user, until);
                let invite = json!({ "id": jid, "invite_expiration_time": until.to_string() });
                told("xwa2_newsletter_admin_invite_create", &invite)
            }
            "9656078347839416" => {
                let (id, user) = (self.owned(device, named)?, self.user(variables)?);
                let newsletter = self.newsletters.get_mut(id).expect("it was found");
                newsletter.invited.remove(&user).ok_or_else(|| refuse(404, "he was not asked"))?;
                let mut to = newsletter.speakers();
                to.insert(user);
                let body = json!({ "id": jid, "actor": self.shown(device.pn), "user": self.shown(user) });
                let (operation, name) =
                    ("NotificationNewsletterAdminInviteRevoke", "xwa2_notify_newsletter_admin_invite_revoke");
                self.tell_mex(now, device, to, operation, name, &body);
                told("xwa2_newsletter_admin_invite_revoke", &done)
            }
            "9580828702035549" => {
                let id = self.named(named)?;
                let newsletter = self.newsletters.get_mut(id).expect("it was found");
                let until = newsletter.invited.remove(&device.pn);
                if until.is_none_or(|until| until <= seconds(now)) {
                    return Err(refuse(404, "no invitation holds"));
                }
                newsletter.admins.insert(device.pn);
                self.tell_role(now, device, id, device.pn, true);
                told("xwa2_newsletter_admin_invite_accept", &done)
            }
            "9880997548630971" | "6551828931592903" => {
                let (id, user) = (self.spoken_in(device, named)?, self.user(variables)?);
                let newsletter = self.newsletters.get_mut(id).expect("it was found");
                if newsletter.owner != device.pn && user != device.pn {
                    return Err(refuse(403, "only the owner ends that of another"));
                }
                if !newsletter.admins.remove(&user) {
                    return Err(refuse(404, "he is no admin"));
                }
                newsletter.followers.entry(user).or_insert(false);
                self.tell_role(now, device, id, user, false);
                let own = number == "9880997548630971";
                told(if own { "xwa2_newsletter_admin_demote" } else { "xwa2_newsletter_demote" }, &done)
            }
            "9546742745432473" | "7341777602580933" => {
                let (id, user) = (self.owned(device, named)?, self.user(variables)?);
                let newsletter = self.newsletters.get_mut(id).expect("it was found");
                if !newsletter.admins.remove(&user) {
                    return Err(refuse(404, "only an admin becomes the owner"));
                }
                newsletter.admins.insert(device.pn);
                newsletter.owner = user;
                self.tell_role(now, device, id, user, true);
                self.tell_role(now, device, id, device.pn, false);
                told("xwa2_newsletter_change_owner", &done)
            }
            "27472091235714801" => {
                let (input, jid) = (&variables["input"], &variables["input"]["newsletter_id"]);
                let named = jid.as_str().and_then(|jid| jid.strip_suffix("@newsletter"));
                let newsletter = &self.newsletters[self.spoken_in(device, named)?];
                let count = input["count"].as_u64().and_then(|count| usize::try_from(count).ok());
                let people = newsletter.audience().into_iter().take(count.unwrap_or(0));
                let edge = |pn| {
                    json!({
                        "node": self.shown(pn),
                        "role": newsletter.role(pn),
                        "follow_time": newsletter.created_s.to_string(),
                    })
                };
                let edges: Vec<Value> = people.map(edge).collect();
                let followers = json!({ "id": jid, "followers": { "edges": edges } });
                told("xwa2_newsletter_followers", &followers)
            }
            _ => Err(refuse(501, format!("a query with the unknown number {number}"))),
        }
    }

    /// The owner of a newsletter asks somebody to speak in it, on his phone. False when there is no such newsletter.
    pub fn phone_invites(&mut self, now: UnixMillis, newsletter: &str, user: Pn) -> bool {
        let newsletter = self.newsletters.get_mut(newsletter.trim_end_matches("@newsletter"));
        let until = seconds(now) + INVITED_S;
        newsletter.map(|newsletter| newsletter.invited.insert(user, until)).is_some()
    }

    /// The newsletter that a query names, if the account speaks in it.
    pub(super) fn spoken_in<'a>(&self, device: DeviceRef, id: Option<&'a str>) -> Result<&'a str, Refused> {
        let id = self.named(id)?;
        if self.newsletters[id].speaks(device.pn) {
            Ok(id)
        } else {
            Err(refuse(403, "who asks does not speak in it"))
        }
    }

    fn user(&self, variables: &Value) -> Result<Pn, Refused> {
        let jid = variables["user_id"].as_str().and_then(|jid| jid.parse::<Jid>().ok());
        let jid = jid.filter(Jid::is_lid).ok_or_else(|| refuse(400, "no user is named by a LID"))?;
        self.account_of(&jid).map(|account| account.pn).ok_or_else(|| refuse(404, "nobody has this LID"))
    }

    pub(super) fn shown(&self, pn: Pn) -> Value {
        let account = self.account(pn);
        let jid = |form| account.jid(form).to_string();
        json!({ "id": jid(Form::Lid), "pn": jid(Form::Pn), "display_name": account.name })
    }

    /// Who speaks, and he whom it is about, hear what he is now, and whether he has risen to it.
    fn tell_role(&mut self, now: UnixMillis, from: DeviceRef, id: &str, user: Pn, rises: bool) {
        let newsletter = &self.newsletters[id];
        let (role, mut to) = (newsletter.role(user), newsletter.speakers());
        to.insert(user);
        let (operation, name) = match rises {
            true => ("NotificationNewsletterAdminPromote", "xwa2_notify_newsletter_admin_promote"),
            false => ("NotificationNewsletterAdminDemote", "xwa2_notify_newsletter_admin_demote"),
        };
        let body = json!({
            "id": format!("{id}@newsletter"),
            "user": self.shown(user),
            "actor": self.shown(from.pn),
            "user_new_role": role,
        });
        self.tell_mex(now, from, to, operation, name, &body);
    }
}
