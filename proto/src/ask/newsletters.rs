//! Newsletters, which people call channels: made, looked at, followed and left by `w:mex` queries, whose variables
//! and answers are JSON; their messages by namespace `newsletter`.
//!
//! Queries are named by numbers that WhatsApp changes from time to time; those here are whatsmeow's, Baileys' and whatsapp-rust's.

mod admins;
mod create;
mod sounds;
mod told;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::mex::{data, query};
use super::{Question, get, request};
use crate::api;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

pub use admins::{
    AcceptInvite, AcceptTerms, AdminChange, ChangeAdmin, CountAdmins, ListFollowers, ListInvited,
};
pub use create::CreateNewsletter;
pub use sounds::MuteActivity;
pub use told::{changes, newsletter, post, posts};

const FETCH: &str = "6563316087068696";
const LIST: &str = "6388546374527196";
const UPDATE: &str = "24250201037901610";
const DELETE: &str = "30062808666639665";
const FOLLOW: &str = "24404358912487870";
const LEAVE: &str = "9767147403369991";
const MUTE: &str = "29766401636284406";
const UNMUTE: &str = "9864994326891137";

/// The most newsletters, or messages of one, that an answer is believed to have.
const MOST: usize = 1000;

fn need(value: &Value) -> Result<api::Newsletter, Missing> {
    newsletter(value).ok_or(Missing { tag: "result".to_owned(), what: "newsletter" })
}

/// Changes a newsletter of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateNewsletter {
    /// Which.
    pub newsletter: Jid,
    /// What it is called; as it is when absent.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// A JPEG; empty to remove it.
    pub picture: Option<Vec<u8>>,
}

impl Question for UpdateNewsletter {
    type Answer = api::Newsletter;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mut updates = json!({ "settings": null });
        let picture = self.picture.as_ref().map(|jpeg| STANDARD.encode(jpeg));
        let wanted =
            [("name", self.title.clone()), ("description", self.description.clone()), ("picture", picture)];
        for (name, value) in wanted {
            if let Some(value) = value {
                updates[name] = value.into();
            }
        }
        query(UPDATE, json!({ "newsletter_id": self.newsletter.to_string(), "updates": updates }))
    }

    fn read(&self, answer: &Stanza) -> Result<api::Newsletter, Missing> {
        need(&data(answer, "xwa2_newsletter_update")?)
    }
}

/// Ends a newsletter of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteNewsletter {
    /// Which.
    pub newsletter: Jid,
}

impl Question for DeleteNewsletter {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        query(DELETE, json!({ "newsletter_id": self.newsletter.to_string() }))
    }

    fn read(&self, answer: &Stanza) -> Result<(), Missing> {
        data(answer, "xwa2_newsletter_delete_v2").map(drop)
    }
}

/// By what a newsletter is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetNewsletter {
    /// Its JID.
    ById(Jid),
    /// What stands behind `https://whatsapp.com/channel/`.
    ByInvite(String),
}

impl Question for GetNewsletter {
    type Answer = api::Newsletter;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let (key, kind) = match self {
            GetNewsletter::ById(id) => (id.to_string(), "JID"),
            GetNewsletter::ByInvite(code) => (code.clone(), "INVITE"),
        };
        let viewer = matches!(self, GetNewsletter::ById(_));
        query(
            FETCH,
            json!({
                "fetch_creation_time": true,
                "fetch_full_image": true,
                "fetch_viewer_metadata": viewer,
                "input": { "key": key, "type": kind },
            }),
        )
    }

    fn read(&self, answer: &Stanza) -> Result<api::Newsletter, Missing> {
        need(&data(answer, "xwa2_newsletter")?)
    }
}

/// Asks for the newsletters that the account follows or has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListNewsletters;

impl Question for ListNewsletters {
    type Answer = Vec<api::Newsletter>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        query(LIST, json!({}))
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::Newsletter>, Missing> {
        let list = data(answer, "xwa2_newsletter_subscribed")?;
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(list.iter().take(MOST).filter_map(newsletter).collect())
    }
}

/// What a follower may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// Follow it.
    Begin,
    /// Follow it no longer.
    End,
    /// Hear nothing of it.
    Mute,
    /// Hear of it again.
    Unmute,
}

/// Follows a newsletter, or stops to, or makes it silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowNewsletter {
    /// Which.
    pub newsletter: Jid,
    /// How.
    pub how: Following,
}

impl Question for FollowNewsletter {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let number = match self.how {
            Following::Begin => FOLLOW,
            Following::End => LEAVE,
            Following::Mute => MUTE,
            Following::Unmute => UNMUTE,
        };
        query(number, json!({ "newsletter_id": self.newsletter.to_string() }))
    }

    fn read(&self, answer: &Stanza) -> Result<(), Missing> {
        let name = match self.how {
            Following::Begin => "xwa2_newsletter_join_v2",
            Following::End => "xwa2_newsletter_leave_v2",
            Following::Mute => "xwa2_newsletter_mute_v2",
            Following::Unmute => "xwa2_newsletter_unmute_v2",
        };
        data(answer, name).map(drop)
    }
}

/// Asks for messages of a newsletter, the newest first or those before one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListNewsletterMessages {
    /// Which newsletter.
    pub newsletter: Jid,
    /// How many, at most.
    pub count: u32,
    /// Only those with smaller server ids; 0 for the newest.
    pub before: u64,
}

impl Question for ListNewsletterMessages {
    type Answer = Vec<api::NewsletterPost>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let mut messages = Builder::new("messages")
            .attr("type", "jid")
            .attr("jid", self.newsletter.clone())
            .attr("count", self.count);
        if self.before > 0 {
            messages = messages.attr("before", self.before);
        }
        get("newsletter").children([messages.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::NewsletterPost>, Missing> {
        Ok(posts(answer.need_child("messages")?))
    }
}

/// Asks what has changed of messages of a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListNewsletterUpdates {
    /// Which newsletter.
    pub newsletter: Jid,
    /// How many, at most.
    pub count: u32,
    /// Only those with larger server ids; 0 for all.
    pub after: u64,
    /// Only what has changed since then, in seconds; 0 for whenever it was.
    pub since: u64,
}

impl Question for ListNewsletterUpdates {
    type Answer = Vec<api::NewsletterPost>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let mut updates = Builder::new("message_updates").attr("count", self.count);
        for (name, value) in [("since", self.since), ("after", self.after)] {
            if value > 0 {
                updates = updates.attr(name, value);
            }
        }
        request("get", "newsletter", self.newsletter.clone()).children([updates.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::NewsletterPost>, Missing> {
        Ok(posts(answer.need_child("message_updates")?.need_child("messages")?))
    }
}

/// Asks to be told of reactions and views of a newsletter for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchNewsletter {
    /// Which.
    pub newsletter: Jid,
}

impl Question for WatchNewsletter {
    /// For how many seconds.
    type Answer = u64;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let updates = Builder::new("live_updates").build();
        request("set", "newsletter", self.newsletter.clone()).children([updates]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<u64, Missing> {
        let updates = answer.need_child("live_updates")?;
        let missing = || Missing { tag: "live_updates".to_owned(), what: "duration" };
        updates.number("duration").ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests;
