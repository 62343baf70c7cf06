//! Newsletters: some speak, others follow; who speaks is in `admins`, what is said in `posts`.
//!
//! What must hold: only who speaks in a newsletter changes it, and only its owner ends it. Followers hear of its end and of
//! what it shows, as whatsmeow and WhatsApp's own client expect it. What is told of a change has the names and the shape that
//! whatsmeow knows; a guess, as no client shows it, is that it tells only what has changed, and that those who speak
//! hear, instead of what followers hear, the same with who has done it.

mod admins;
mod posts;
mod sounds;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, server_jid};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::account::{DeviceRef, Pn, seconds};
use super::machine::Machine;
use super::query::{Answer, told};
use super::refusals::{Refused, refuse};
pub use posts::Post;

/// The most newsletters, and the most messages that one keeps. (Guesses: limits of this server alone.)
const MOST: usize = 1000;

/// Why what names one that was never there, or has ended, is refused.
const NO_SUCH: &str = "there is no such newsletter";

/// One newsletter.
#[derive(Debug, Clone)]
pub struct Newsletter {
    /// Its name.
    pub title: String,
    description: String,
    /// Names the present picture.
    picture: Option<String>,
    invite: String,
    owner: Pn,
    /// Who speaks in it beside the owner.
    admins: BTreeSet<Pn>,
    /// Who is asked to, until when, in seconds.
    invited: BTreeMap<Pn, u64>,
    created_s: u64,
    /// Who follows it, and whether without a sound.
    pub followers: BTreeMap<Pn, bool>,
    /// Which kinds of what happens in it make no sound for whom, by WhatsApp's names.
    pub silent: BTreeMap<Pn, BTreeSet<&'static str>>,
    /// What was said, by the server's numbers.
    pub posts: BTreeMap<u64, Post>,
    /// Devices that are told of counts, until when, in seconds.
    watchers: BTreeMap<DeviceRef, u64>,
}

impl Newsletter {
    fn json(&self, id: &str, viewer: Pn) -> Value {
        let role = self.role(viewer);
        let muted = self.followers.get(&viewer).copied().unwrap_or(false);
        let text = |text: &str| json!({ "id": "1", "text": text, "update_time": format!("{}000000", self.created_s) });
        let (id_of_picture, path) = match &self.picture {
            Some(hash) => (&hash[..16], format!("/v/newsletter/{hash}")),
            None => ("", String::new()),
        };
        let picture = json!({ "id": id_of_picture, "type": "IMAGE", "direct_path": path });
        json!({
            "id": format!("{id}@newsletter"),
            "state": { "type": "ACTIVE" },
            "thread_metadata": {
                "creation_time": self.created_s.to_string(),
                "invite": self.invite,
                "handle": null,
                "name": text(&self.title),
                "description": text(&self.description),
                "subscribers_count": self.followers.len().to_string(),
                "verification": "UNVERIFIED",
                "picture": picture,
                "preview": picture,
                "settings": { "reaction_codes": { "value": "ALL" } },
            },
            "viewer_metadata": {
                "mute": if muted { "ON" } else { "OFF" },
                "role": role,
                "settings": self.sounds(viewer),
            },
        })
    }
}

/// Names the picture that is given, if one is; the inner `None` takes it away.
fn picture(said: &Value) -> Result<Option<Option<String>>, Refused> {
    let Some(text) = said.as_str() else { return Ok(None) };
    let jpeg = STANDARD.decode(text).map_err(|_| refuse(400, "the picture is not base64"))?;
    Ok(Some((!jpeg.is_empty()).then(|| hex::encode(Sha256::digest(&jpeg)))))
}

impl Machine {
    /// All newsletters by the user part of their JIDs.
    pub fn newsletters(&self) -> &BTreeMap<String, Newsletter> {
        &self.newsletters
    }

    /// A `w:mex` query about newsletters, under the numbers of whatsmeow, of Baileys and of whatsapp-rust.
    pub(super) fn newsletter_query(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        number: &str,
        variables: &Value,
    ) -> Answer {
        let named = variables["newsletter_id"].as_str().and_then(|jid| jid.strip_suffix("@newsletter"));
        match number {
            "6234210096708695" => self.create_newsletter(now, device, &variables["newsletter_input"]),
            "8823471724422422" | "25149874324715067" => {
                self.create_newsletter(now, device, &variables["input"])
            }
            "6563316087068696" | "27456920720571478" => {
                let key = variables["input"]["key"].as_str().unwrap_or_default();
                let by_invite = variables["input"]["type"] == "INVITE";
                let found = self.newsletters.iter().find(|(id, newsletter)| match by_invite {
                    true => newsletter.invite == key,
                    false => key.strip_suffix("@newsletter") == Some(id),
                });
                let (id, newsletter) = found.ok_or_else(|| refuse(404, NO_SUCH))?;
                told("xwa2_newsletter", &newsletter.json(id, device.pn))
            }
            "6388546374527196" => {
                let mine = self.newsletters.iter().filter(|(_, newsletter)| {
                    newsletter.speaks(device.pn) || newsletter.followers.contains_key(&device.pn)
                });
                let list: Vec<Value> = mine.map(|(id, newsletter)| newsletter.json(id, device.pn)).collect();
                told("xwa2_newsletter_subscribed", &list.into())
            }
            "24250201037901610" => self.update_newsletter(now, device, named, &variables["updates"]),
            "30062808666639665" => {
                let id = self.owned(device, named)?;
                let ended = self.newsletters.remove(id).expect("it was found");
                let state = json!({ "id": variables["newsletter_id"], "state": { "type": "DELETED" } });
                let (operation, name) =
                    ("NotificationNewsletterStateChange", "xwa2_notify_newsletter_on_state_change");
                self.tell_mex(now, device, ended.audience(), operation, name, &state);
                told("xwa2_newsletter_delete_v2", &json!({ "id": variables["newsletter_id"] }))
            }
            "9926858900719341" | "24404358912487870" => self.follow(now, device, named, Some(false), "join"),
            "6392786840836363" | "9767147403369991" => self.follow(now, device, named, None, "leave"),
            "6274038279359549" | "29766401636284406" => self.follow(now, device, named, Some(true), "mute"),
            "6068417879924485" | "9864994326891137" => self.follow(now, device, named, Some(false), "unmute"),
            sounds::SET => self.set_sound(device.pn, &variables["input"]),
            _ => self.admin_query(now, device, number, variables),
        }
    }

    fn create_newsletter(&mut self, now: UnixMillis, device: DeviceRef, input: &Value) -> Answer {
        let title = input["name"].as_str().unwrap_or_default().to_owned();
        if title.is_empty() || self.newsletters.len() >= MOST {
            return Err(refuse(406, "a newsletter without a title, or one too many"));
        }
        let picture = picture(&input["picture"])?.flatten();
        // From the numbers of stanzas, none of which comes again: clients remember one that has ended.
        self.next_id += 1;
        let id = format!("1203639{:011}", self.next_id);
        let mut random = [0; 11];
        self.rng.fill_bytes(&mut random);
        let newsletter = Newsletter {
            title,
            description: input["description"].as_str().unwrap_or_default().to_owned(),
            picture,
            invite: format!("0029Va{}", hex::encode(random)),
            owner: device.pn,
            admins: BTreeSet::new(),
            invited: BTreeMap::new(),
            created_s: seconds(now),
            followers: BTreeMap::new(),
            silent: BTreeMap::new(),
            posts: BTreeMap::new(),
            watchers: BTreeMap::new(),
        };
        let shown = newsletter.json(&id, device.pn);
        self.newsletters.insert(id, newsletter);
        told("xwa2_newsletter_create", &shown)
    }

    /// The newsletter that a request names, if there is one.
    fn named<'a>(&self, id: Option<&'a str>) -> Result<&'a str, Refused> {
        let id = id.ok_or_else(|| refuse(400, "no newsletter is named"))?;
        if self.newsletters.contains_key(id) { Ok(id) } else { Err(refuse(404, NO_SUCH)) }
    }

    /// The newsletter that a query names, if it is the account's own.
    fn owned<'a>(&self, device: DeviceRef, id: Option<&'a str>) -> Result<&'a str, Refused> {
        let id = self.named(id)?;
        if self.newsletters[id].owner == device.pn {
            Ok(id)
        } else {
            Err(refuse(403, "the newsletter is another's"))
        }
    }

    fn update_newsletter(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        id: Option<&str>,
        updates: &Value,
    ) -> Answer {
        let id = self.spoken_in(device, id)?;
        let picture = picture(&updates["picture"])?;
        let newsletter = self.newsletters.get_mut(id).expect("it was found");
        if let Some(title) = updates["name"].as_str() {
            title.clone_into(&mut newsletter.title);
        }
        if let Some(description) = updates["description"].as_str() {
            description.clone_into(&mut newsletter.description);
        }
        if let Some(picture) = picture {
            newsletter.picture = picture;
        }
        let (speakers, audience) = (newsletter.speakers(), newsletter.audience());
        let shown = newsletter.json(id, device.pn);
        let mut changed = json!({});
        for name in ["name", "description", "picture"].into_iter().filter(|name| updates[name].is_string()) {
            changed[name] = shown["thread_metadata"][name].clone();
        }
        let mut body = json!({ "id": shown["id"], "thread_metadata": changed });
        let (operation, name) = ("NotificationNewsletterUpdate", "xwa2_notify_newsletter_on_metadata_update");
        self.tell_mex(now, device, &audience - &speakers, operation, name, &body);
        body["actor"] = self.shown(device.pn);
        let (operation, name) =
            ("NotificationNewsletterOwnerUpdate", "xwa2_notify_newsletter_owner_on_metadata_update");
        self.tell_mex(now, device, speakers, operation, name, &body);
        told("xwa2_newsletter_update", &shown)
    }

    /// Somebody follows (`Some`: and hears of it or not) or does not any more; told to the account's other
    /// devices. That nobody mutes what he does not follow is a guess, also of who speaks in it.
    fn follow(
        &mut self,
        now: UnixMillis,
        device: DeviceRef,
        id: Option<&str>,
        follows: Option<bool>,
        what: &str,
    ) -> Answer {
        let id = self.named(id)?;
        let newsletter = self.newsletters.get_mut(id).expect("it was found");
        let mutes = !matches!(what, "join" | "leave");
        if mutes && !newsletter.followers.contains_key(&device.pn) {
            return Err(refuse(403, "who mutes it does not follow it"));
        }
        match follows {
            Some(muted) => _ = newsletter.followers.insert(device.pn, muted),
            None => _ = newsletter.followers.remove(&device.pn),
        }
        let shown = newsletter.json(id, device.pn);
        let (operation, name, body) = match what {
            "join" => ("NotificationNewsletterJoin", "xwa2_notify_newsletter_on_join", shown.clone()),
            "leave" => {
                let left = json!({ "id": shown["id"], "role": "GUEST" });
                ("NotificationNewsletterLeave", "xwa2_notify_newsletter_on_leave", left)
            }
            _ => {
                let muted = json!({ "id": shown["id"], "mute": shown["viewer_metadata"]["mute"] });
                ("NotificationNewsletterMuteChange", "xwa2_notify_newsletter_on_mute_change", muted)
            }
        };
        self.tell_mex(now, device, BTreeSet::from([device.pn]), operation, name, &body);
        told(&format!("xwa2_newsletter_{what}_v2"), &shown)
    }

    /// Tells the devices of accounts what has happened, but the one that has done it.
    fn tell_mex(
        &mut self,
        now: UnixMillis,
        from: DeviceRef,
        to: BTreeSet<Pn>,
        operation: &'static str,
        name: &str,
        body: &Value,
    ) {
        let body = json!({ "data": { name: body } }).to_string().into_bytes();
        let update = Builder::new("update").attr("op_name", operation).bytes(body).build();
        let devices = to.into_iter().flat_map(|pn| self.companions_of(pn));
        for device in devices.filter(|device| *device != from).collect::<Vec<_>>() {
            let notification = Builder::new("notification")
                .attr("type", "mex")
                .attr("from", server_jid())
                .attr("id", self.server_id())
                .attr("t", seconds(now))
                .children([update.clone()]);
            self.deliver(now, device, notification.build());
        }
    }
}
