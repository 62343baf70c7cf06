//! What accounts show of themselves: about text, picture, default timer.
//!
//! What must hold: what an account hides from somebody by its privacy settings is refused to him; whoever has
//! seen its device list hears of a new picture or text.

use std::collections::BTreeMap;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};
use serde_json::Value;

use super::super::account::{Account, DeviceRef, Form, Pn, seconds};
use super::super::business::Business;
use super::super::machine::Machine;
use super::super::posts::Audience;
use super::links::Links;
use super::{Answer, Refused, refuse};

/// The mutation of the about text that whatsmeow sends.
const SET_ABOUT: &str = "9152604461510864";
/// How every JPEG begins.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
/// Largest picture that is kept. (A guess.)
const MAX_PICTURE: usize = 1 << 20;

/// What an account shows.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// About text, and since when, Unix seconds.
    pub about: Option<(String, u64)>,
    /// Id and bytes of the picture.
    pub picture: Option<(u64, Vec<u8>)>,
    /// Default timer of disappearing messages, and since when.
    pub timer: (u64, u64),
    /// Who sees its status posts, once somebody has chosen.
    pub audience: Option<Audience>,
    /// The notices of terms that it has accepted, and how far.
    pub notices: BTreeMap<u64, u64>,
    /// Ids of the messages that it has reported as spam.
    pub reports: Vec<String>,
    /// Links that lead to it.
    pub(super) links: Links,
    /// What it is as a business.
    pub business: Option<Business>,
}

impl Account {
    /// Whether another account may see this.
    pub(in crate::wa) fn shows(&self, category: &str, to: &Account) -> bool {
        self.pn == to.pn || self.privacy.shows(category, &to.lid)
    }

    /// Whether another account may add it to groups, instead of inviting it. Contacts are not kept, so `contacts` are
    /// none.
    pub(in crate::wa) fn can_be_added(&self, by: &Account) -> bool {
        self.privacy.value("groupadd") != "contacts" && self.privacy.shows("groupadd", &by.lid)
    }

    /// Whether another account may see that it is there. (A guess: by the words of the setting, who may not see when it was
    /// there last, where that one follows the other.)
    pub(in crate::wa) fn shows_online(&self, to: &Account) -> bool {
        self.privacy.value("online") != "match_last_seen" || self.shows("last", to)
    }

    /// Its about text, as `usync` tells it.
    pub(super) fn about(&self, to: &Account, looks: bool) -> Stanza {
        let status = Builder::new("status");
        match &self.profile.about {
            Some((text, since)) if looks && self.shows("status", to) => {
                status.attr("t", *since).bytes(text.as_bytes()).build()
            }
            Some(_) => status.attr("code", 401u16).attr("type", "fail").build(),
            None => status.attr("code", 404u16).attr("type", "fail").build(),
        }
    }

    /// The id of its picture.
    pub(super) fn picture_id(&self, to: &Account) -> Option<Stanza> {
        let (id, _) = self.profile.picture.as_ref().filter(|_| self.shows("profile", to))?;
        Some(Builder::new("picture").attr("id", *id).build())
    }

    /// Its default timer.
    pub(super) fn default_timer(&self) -> Stanza {
        let (duration, since) = self.profile.timer;
        Builder::new("disappearing_mode").attr("duration", duration).attr("t", since).build()
    }
}

impl Machine {
    pub(super) fn set_about(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let text = stanza.child("status").and_then(|status| status.leaf_text()).unwrap_or_default();
        self.keep_about(now, device, text);
        Ok(vec![])
    }

    /// `<query query_id>{"variables":…}</query>`: the about text, properties of groups, what businesses
    /// sell, and newsletters.
    pub(super) fn mex(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let query = stanza.child("query").ok_or_else(|| refuse(400, "no query"))?;
        let body: Value = serde_json::from_slice(query.leaf().unwrap_or_default())
            .map_err(|_| refuse(400, "the variables are no JSON"))?;
        let number = query.text("query_id").unwrap_or_default();
        if let Some(said) = self.standing_of(now, device, &number) {
            return Ok(vec![said]);
        }
        if let Some(answer) = self.goods_query(device.pn, &number, &body["variables"]) {
            return answer;
        }
        if number == super::invites::PROPERTY {
            return self.group_property(now, device, &body["variables"]);
        }
        if number != SET_ABOUT {
            return self.newsletter_query(now, device, &number, &body["variables"]);
        }
        let text = body["variables"]["input"]["text"].as_str().unwrap_or_default().to_owned();
        self.keep_about(now, device, &text);
        Ok(vec![Builder::new("result").bytes(r#"{"data":{}}"#).build()])
    }

    fn keep_about(&mut self, now: UnixMillis, device: DeviceRef, text: &str) {
        let text: String = text.chars().take(200).collect();
        let profile = &mut self.account_mut(device.pn).profile;
        profile.about = (!text.is_empty()).then(|| (text.clone(), seconds(now)));
        self.tell_profile(now, device, "status", &Builder::new("set").bytes(text.into_bytes()).build());
    }

    pub(super) fn get_picture(&self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let of = stanza.jid("target").ok_or_else(|| refuse(400, "nobody is named whose picture it is"))?;
        if let Some(group) = self.groups.get(&*of.user).filter(|_| of.server == Server::Group) {
            let known = group.members.contains_key(&device.pn);
            let id = group
                .picture
                .filter(|_| known)
                .ok_or_else(|| refuse(404, "the group has no picture, or who asks is no member"))?;
            return Ok(vec![shown(stanza, &group.id, id)]);
        }
        let account = self.account_of(&of).ok_or_else(|| refuse(404, "nobody has this address"))?;
        let within = stanza.child("picture").and_then(|picture| picture.child("tctoken"));
        let token = within.or(stanza.child("tctoken")).and_then(|token| token.leaf());
        // The real server never answers it, as two clients say; a refusal shows the mistake at once.
        if account.pn == device.pn && token.is_some() {
            return Err(refuse(400, "a token for the own picture"));
        }
        let (id, _) = account.profile.picture.as_ref().ok_or_else(|| refuse(404, "there is no picture"))?;
        let looks = self.may_look(now, device.pn, account.pn, token);
        if !looks || !account.shows("profile", self.account(device.pn)) {
            return Err(refuse(401, "the picture is hidden from who asks"));
        }
        Ok(vec![shown(stanza, &account.lid, *id)])
    }

    pub(super) fn set_picture(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        if let Some(of) = stanza.jid("target").filter(|of| of.server == Server::Group) {
            return self.set_group_picture(now, device, &of, stanza);
        }
        if stanza.jid("target").is_some_and(|of| self.account_of(&of).is_none_or(|a| a.pn != device.pn)) {
            return Err(refuse(403, "the picture of somebody else"));
        }
        let bytes = picture_in(stanza)?;
        let account = self.account_mut(device.pn);
        // Grows even within one millisecond.
        let id = account.profile.picture.as_ref().map_or(0, |(id, _)| *id).max(seconds(now)) + 1;
        let jid = account.jid(Form::Pn);
        account.profile.picture = bytes.map(|bytes| (id, bytes));
        let set = account.profile.picture.is_some();
        let change = match set {
            true => Builder::new("set").attr("jid", jid).attr("id", id),
            false => Builder::new("delete").attr("jid", jid),
        };
        self.tell_profile(now, device, "picture", &change.build());
        Ok(if set { vec![Builder::new("picture").attr("id", id).build()] } else { vec![] })
    }

    /// Told to every device of every member but the one that did it.
    fn set_group_picture(&mut self, now: UnixMillis, device: DeviceRef, of: &Jid, stanza: &Stanza) -> Answer {
        let bytes = picture_in(stanza)?;
        let group = self.groups.get(&*of.user).ok_or_else(|| refuse(404, "there is no such group"))?;
        let member = group.members.contains_key(&device.pn);
        if !member || (group.locked && !group.is_admin(device.pn)) {
            return Err(refuse(403, "only admins change the picture of this group"));
        }
        let id = bytes.map(|_| group.picture.unwrap_or(0).max(seconds(now)) + 1);
        let members: Vec<Pn> = group.members.keys().copied().collect();
        if let Some(group) = self.groups.get_mut(&*of.user) {
            group.picture = id;
        }
        let author = self.account(device.pn).jid(Form::Lid);
        let change = match id {
            Some(id) => Builder::new("set").attr("id", id),
            None => Builder::new("delete"),
        };
        let change = change.attr("jid", of.clone()).attr("author", author).build();
        for pn in members {
            let devices: Vec<DeviceRef> = self.companions_of(pn).filter(|other| *other != device).collect();
            for to in devices {
                let notification = Builder::new("notification")
                    .attr("type", "picture")
                    .attr("from", of.clone())
                    .attr("id", self.server_id())
                    .attr("t", seconds(now))
                    .children([change.clone()]);
                self.deliver(now, to, notification.build());
            }
        }
        Ok(id.map(|id| Builder::new("picture").attr("id", id).build()).into_iter().collect())
    }

    pub(super) fn set_timer(&mut self, now: UnixMillis, device: DeviceRef, stanza: &Stanza) -> Answer {
        let mode = stanza.child("disappearing_mode").and_then(|mode| mode.number("duration"));
        let duration = mode.ok_or_else(|| refuse(400, "no duration"))?;
        self.account_mut(device.pn).profile.timer = (duration, seconds(now));
        let told = self.account(device.pn).default_timer();
        self.tell_siblings(now, device, &told);
        self.tell_watchers(now, device.pn, "disappearing_mode", &told);
        Ok(vec![])
    }

    /// Tells who has seen the account, and in another form its own other devices.
    fn tell_profile(&mut self, now: UnixMillis, device: DeviceRef, kind: &'static str, change: &Stanza) {
        self.tell_watchers(now, device.pn, kind, change);
        self.tell_siblings(now, device, &Builder::new(kind).build());
    }

    fn tell_watchers(&mut self, now: UnixMillis, pn: Pn, kind: &'static str, change: &Stanza) {
        let watchers: Vec<Pn> = self.account(pn).watchers.iter().copied().collect();
        let told: Vec<DeviceRef> = watchers.into_iter().flat_map(|pn| self.companions_of(pn)).collect();
        self.notify(now, told, pn, kind, change);
    }

    /// Tells the other companions of an account what one of them has changed. (That those hear of it which did not do
    /// it, and in this form, is read from what clients expect.)
    pub(super) fn tell_siblings(&mut self, now: UnixMillis, device: DeviceRef, part: &Stanza) {
        let told: Vec<DeviceRef> = self.companions_of(device.pn).filter(|other| *other != device).collect();
        self.notify(now, told, device.pn, "account_sync", part);
    }

    fn notify(&mut self, now: UnixMillis, to: Vec<DeviceRef>, of: Pn, kind: &'static str, change: &Stanza) {
        let from = self.account(of).jid(Form::Pn);
        for device in to {
            let notification = Builder::new("notification")
                .attr("type", kind)
                .attr("from", from.clone())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .children([change.clone()]);
            self.deliver(now, device, notification.build());
        }
    }
}

/// Where a picture is, unless the one who asks knows it.
fn shown(stanza: &Stanza, owner: &str, id: u64) -> Stanza {
    let query = stanza.child("picture");
    if query.and_then(|query| query.number("id")) == Some(id) {
        return Builder::new("picture").attr("status", 304u16).build();
    }
    let kind = query.and_then(|query| query.text("type")).unwrap_or_default().into_owned();
    let path = format!("/v/profile/{owner}/{id}?kind={kind}");
    let url = format!("https://pps.whatsapp.net{path}");
    Builder::new("picture")
        .attr("id", id)
        .attr("type", kind)
        .attr("url", url)
        .attr("direct_path", path)
        .build()
}

/// The picture that is to be shown; none removes the present one. What is no JPEG is not taken, as whatsmeow says.
fn picture_in(stanza: &Stanza) -> Result<Option<Vec<u8>>, Refused> {
    let bytes = stanza.child("picture").and_then(|picture| picture.leaf()).map(<[u8]>::to_vec);
    let good = |bytes: &Vec<u8>| bytes.starts_with(JPEG) && bytes.len() <= MAX_PICTURE;
    match bytes.as_ref().is_none_or(good) {
        true => Ok(bytes),
        false => Err(refuse(406, "a picture that is no JPEG, or too large")),
    }
}
