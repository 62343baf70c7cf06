//! Newsletters, which people call channels: made, looked at, followed and left by `w:mex` queries, whose variables
//! and answers are JSON; their messages by namespace `newsletter`.
//!
//! Queries are named by numbers that WhatsApp changes from time to time; those here are whatsmeow's and Baileys'.

mod told;

use serde_json::{Value, json};

use super::{Question, get, request};
use crate::api;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

pub use told::{changes, newsletter, post, posts};

const FETCH: &str = "6563316087068696";
const LIST: &str = "6388546374527196";
const CREATE: &str = "8823471724422422";
const FOLLOW: &str = "24404358912487870";
const LEAVE: &str = "9767147403369991";
const MUTE: &str = "29766401636284406";
const UNMUTE: &str = "9864994326891137";

/// The most newsletters, or messages of one, that an answer is believed to have.
const MOST: usize = 1000;

fn query(number: &'static str, variables: Value) -> Stanza {
    let body = json!({ "variables": variables }).to_string();
    let query = Builder::new("query").attr("query_id", number).bytes(body.into_bytes()).build();
    get("w:mex").children([query]).build()
}

/// What an answer has under a name. WhatsApp also refuses inside of a good answer.
fn data(answer: &Stanza, name: &'static str) -> Result<Value, Missing> {
    let missing = |what| Missing { tag: "result".to_owned(), what };
    let bytes = answer.need_child("result")?.leaf().ok_or_else(|| missing("JSON"))?;
    let body: Value = serde_json::from_slice(bytes).map_err(|_| missing("JSON"))?;
    let refused = body["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    match body["data"].get(name) {
        Some(data) if !refused && !data.is_null() => Ok(data.clone()),
        _ => Err(missing(name)),
    }
}

fn need(value: &Value) -> Result<api::Newsletter, Missing> {
    newsletter(value).ok_or(Missing { tag: "result".to_owned(), what: "newsletter" })
}

/// Makes a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNewsletter {
    /// What it is called.
    pub title: String,
    /// What it is about; may be empty.
    pub description: String,
}

impl Question for CreateNewsletter {
    type Answer = api::Newsletter;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let description = Some(&self.description).filter(|text| !text.is_empty());
        query(CREATE, json!({ "input": { "name": self.title, "description": description } }))
    }

    fn read(&self, answer: &Stanza) -> Result<api::Newsletter, Missing> {
        need(&data(answer, "xwa2_newsletter_create")?)
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
mod tests {
    use super::*;
    use crate::e2e;

    fn answer(body: &Value) -> Stanza {
        let result = Builder::new("result").bytes(body.to_string().into_bytes()).build();
        Builder::new("iq").children([result]).build()
    }

    fn news() -> Jid {
        "120363000000000009@newsletter".parse().expect("a JID")
    }

    fn hens() -> Value {
        json!({
            "id": news().to_string(),
            "state": { "type": "ACTIVE" },
            "thread_metadata": {
                "creation_time": "1700000000",
                "invite": "0029Va",
                "name": { "text": "Hens" },
                "description": { "text": "and eggs" },
                "subscribers_count": "12",
                "verification": "UNVERIFIED",
            },
            "viewer_metadata": { "mute": "ON", "role": "OWNER" },
        })
    }

    #[test]
    fn a_newsletter_is_read_whole() {
        let body = json!({ "data": { "xwa2_newsletter": hens() } });
        let read = GetNewsletter::ById(news()).read(&answer(&body)).expect("complete");
        assert_eq!((read.title.as_str(), read.description.as_str()), ("Hens", "and eggs"));
        assert_eq!((read.subscribers, read.role()), (12, api::newsletter::Role::Owner));
        assert!(read.muted && !read.suspended && !read.verified);
    }

    #[test]
    fn a_refusal_inside_of_an_answer_is_no_answer() {
        let errors = json!([{ "message": "not found" }]);
        for body in [
            json!({ "data": { "xwa2_newsletter": null }, "errors": errors }),
            json!({ "data": { "xwa2_newsletter": hens() }, "errors": errors }),
            json!({ "data": {} }),
            json!("text"),
        ] {
            assert!(GetNewsletter::ByInvite("x".into()).read(&answer(&body)).is_err(), "{body}");
        }
        let empty = json!({ "data": { "xwa2_newsletter_subscribed": [hens(), {}] } });
        assert_eq!(ListNewsletters.read(&answer(&empty)).expect("a list").len(), 1, "one has no id");
    }

    #[test]
    fn messages_say_how_often_they_were_seen_and_what_they_were_answered() {
        let reaction = Builder::new("reaction").attr("code", "🐓").attr("count", 3u64).build();
        let message = Builder::new("message")
            .attr("id", "3EB0A")
            .attr("server_id", 101u64)
            .attr("t", 1_700_000_000u64)
            .children([
                Builder::new("plaintext").bytes(e2e::text("eggs")).build(),
                Builder::new("views_count").attr("count", 7u64).build(),
                Builder::new("reactions").children([reaction]).build(),
            ])
            .build();
        let nameless = Builder::new("message").attr("id", "3EB0B").build();
        let read = posts(&Builder::new("messages").children([message, nameless]).build());
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].server_id, read[0].views), (101, 7));
        assert_eq!(read[0].reactions.get("🐓"), Some(&3));
        let said = read[0].message.clone().and_then(|message| message.content);
        assert_eq!(said, Some(api::message_received::Content::Text("eggs".into())));
    }

    #[test]
    fn following_and_muting_elsewhere_are_changes() {
        use api::newsletter_changed::Change;
        let told = |name: &str, body: Value| {
            let body = json!({ "data": { name: body } }).to_string();
            let update = Builder::new("update").bytes(body.into_bytes()).build();
            changes(&Builder::new("notification").children([update]).build())
        };
        let id = json!({ "id": news().to_string(), "mute": "ON" });
        let change = |name, body| told(name, body).pop().and_then(|changed| changed.change);
        assert!(matches!(change("xwa2_notify_newsletter_on_join", hens()), Some(Change::Followed(_))));
        let left = change("xwa2_notify_newsletter_on_leave", id.clone());
        assert_eq!(left, Some(Change::Unfollowed(true)));
        assert_eq!(change("xwa2_notify_newsletter_on_mute_change", id), Some(Change::Muted(true)));
        assert!(told("xwa2_notify_account_reachout_timelock", json!({ "is_active": true })).is_empty());
    }
}
