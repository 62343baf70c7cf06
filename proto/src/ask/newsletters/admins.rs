//! Who speaks in a newsletter beside its owner, who follows it, and the terms under which one is made.
//!
//! The numbers of these queries are whatsapp-rust's, and the notice is whatsmeow's. WhatsApp names people in them by
//! their hidden identities.

use serde_json::{Value, json};

use super::told::{number, person, role};
use super::{MOST, data, query};
use crate::api;
use crate::ask::{Question, set};
use crate::stanza::{Builder, Jid, Missing, Stanza};

const COUNT: &str = "26278439461859188";
const INVITED: &str = "9783111038412085";
const INVITE: &str = "9387141988078609";
const REVOKE_INVITE: &str = "9656078347839416";
const ACCEPT: &str = "9580828702035549";
const DEMOTE: &str = "9880997548630971";
const MAKE_OWNER: &str = "9546742745432473";
const FOLLOWERS: &str = "27472091235714801";

/// The notice with the terms of newsletters, and the word for having accepted it.
const TERMS: (&str, &str) = ("20601218", "5");

/// Asks how many speak in a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountAdmins {
    /// Which.
    pub newsletter: Jid,
}

impl Question for CountAdmins {
    type Answer = i32;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        query(COUNT, json!({ "newsletter_id": self.newsletter.to_string() }))
    }

    fn read(&self, answer: &Stanza) -> Result<i32, Missing> {
        let count = &data(answer, "xwa2_newsletter_admin")?["admin_count"];
        let missing = Missing { tag: "result".to_owned(), what: "admin_count" };
        if count.is_null() { Err(missing) } else { i32::try_from(number(count)).map_err(|_| missing) }
    }
}

/// Asks who was asked to speak in a newsletter and has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListInvited {
    /// Which.
    pub newsletter: Jid,
}

impl Question for ListInvited {
    type Answer = Vec<api::Person>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        query(INVITED, json!({ "newsletter_id": self.newsletter.to_string() }))
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::Person>, Missing> {
        let admins = data(answer, "xwa2_newsletter_admin")?;
        Ok(list(&admins["pending_admin_invites"]).filter_map(|invite| person(&invite["user"])).collect())
    }
}

/// What becomes of somebody in a newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminChange {
    /// He is asked to be an admin.
    Invite,
    /// And is not any more.
    RevokeInvite,
    /// He is an admin no longer.
    Demote,
    /// It is his.
    MakeOwner,
}

/// Changes who speaks in a newsletter of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeAdmin {
    /// Which.
    pub newsletter: Jid,
    /// Whose part: a hidden identity.
    pub user: Jid,
    /// How.
    pub how: AdminChange,
}

impl Question for ChangeAdmin {
    /// Until when an invite can be accepted, in seconds since 1970.
    type Answer = Option<i64>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let number = match self.how {
            AdminChange::Invite => INVITE,
            AdminChange::RevokeInvite => REVOKE_INVITE,
            AdminChange::Demote => DEMOTE,
            AdminChange::MakeOwner => MAKE_OWNER,
        };
        let (newsletter, user) = (self.newsletter.to_string(), self.user.to_string());
        query(number, json!({ "newsletter_id": newsletter, "user_id": user }))
    }

    fn read(&self, answer: &Stanza) -> Result<Option<i64>, Missing> {
        let name = match self.how {
            AdminChange::Invite => "xwa2_newsletter_admin_invite_create",
            AdminChange::RevokeInvite => "xwa2_newsletter_admin_invite_revoke",
            AdminChange::Demote => "xwa2_newsletter_admin_demote",
            AdminChange::MakeOwner => "xwa2_newsletter_change_owner",
        };
        let until = number(&data(answer, name)?["invite_expiration_time"]);
        Ok((until > 0).then_some(until))
    }
}

/// Accepts to be an admin of a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptInvite {
    /// Which.
    pub newsletter: Jid,
}

impl Question for AcceptInvite {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        query(ACCEPT, json!({ "newsletter_id": self.newsletter.to_string() }))
    }

    fn read(&self, answer: &Stanza) -> Result<(), Missing> {
        data(answer, "xwa2_newsletter_admin_invite_accept").map(drop)
    }
}

/// Asks who follows a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFollowers {
    /// Which.
    pub newsletter: Jid,
    /// How many, at most.
    pub count: u32,
}

impl Question for ListFollowers {
    type Answer = Vec<api::NewsletterFollower>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let input = json!({ "newsletter_id": self.newsletter.to_string(), "count": self.count });
        query(FOLLOWERS, json!({ "input": input }))
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<api::NewsletterFollower>, Missing> {
        let follower = |edge: &Value| {
            let since = number(&edge["follow_time"]);
            Some(api::NewsletterFollower {
                person: Some(person(&edge["node"])?),
                name: edge["node"]["display_name"].as_str().unwrap_or_default().to_owned(),
                role: role(&edge["role"]).into(),
                follow_time: (since > 0).then_some(api::Timestamp { seconds: since, nanos: 0 }),
            })
        };
        let followers = data(answer, "xwa2_newsletter_followers")?;
        Ok(list(&followers["followers"]["edges"]).filter_map(follower).collect())
    }
}

/// Accepts the terms of newsletters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptTerms;

impl Question for AcceptTerms {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let (id, stage) = TERMS;
        set("tos").children([Builder::new("notice").attr("id", id).attr("stage", stage).build()]).build()
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().take(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, body: &Value) -> Stanza {
        let body = json!({ "data": { name: body } }).to_string().into_bytes();
        Builder::new("iq").children([Builder::new("result").bytes(body).build()]).build()
    }

    fn news() -> Jid {
        "120363000000000009@newsletter".parse().expect("a JID")
    }

    #[test]
    fn who_speaks_and_who_follows_is_read_and_who_has_no_name_is_left_out() {
        let count = |body| CountAdmins { newsletter: news() }.read(&answer("xwa2_newsletter_admin", &body));
        assert_eq!(count(json!({ "admin_count": 2 })), Ok(2));
        assert!(count(json!({ "admin_count": null })).is_err(), "who may not ask is told nothing");
        let bob = json!({ "id": "77777@lid", "pn": "4915@s.whatsapp.net", "display_name": "Bob" });
        let invited = json!({ "pending_admin_invites": [{ "user": bob }, { "user": {} }] });
        let invited = ListInvited { newsletter: news() }.read(&answer("xwa2_newsletter_admin", &invited));
        let person =
            api::Person { lid: "77777@lid".to_owned(), phone_number: "4915@s.whatsapp.net".to_owned() };
        assert_eq!(invited, Ok(vec![person.clone()]));
        let edges = json!([
            { "node": bob, "role": "ADMIN", "follow_time": "1700000000" },
            { "node": { "display_name": "x" } },
        ]);
        let followers = json!({ "followers": { "edges": edges } });
        let list = ListFollowers { newsletter: news(), count: 10 };
        let read = list.read(&answer("xwa2_newsletter_followers", &followers)).expect("a list");
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].person.as_ref(), read[0].name.as_str()), (Some(&person), "Bob"));
        assert_eq!((read[0].role(), read[0].follow_time.is_some()), (api::newsletter::Role::Admin, true));
    }

    #[test]
    fn each_change_is_asked_and_answered_under_its_own_name() {
        let mut asked = std::collections::BTreeSet::new();
        for (how, name) in [
            (AdminChange::Invite, "xwa2_newsletter_admin_invite_create"),
            (AdminChange::RevokeInvite, "xwa2_newsletter_admin_invite_revoke"),
            (AdminChange::Demote, "xwa2_newsletter_admin_demote"),
            (AdminChange::MakeOwner, "xwa2_newsletter_change_owner"),
        ] {
            let change = ChangeAdmin { newsletter: news(), user: Jid::lid("77777"), how };
            assert!(asked.insert(format!("{:?}", change.request())));
            assert_eq!(change.read(&answer(name, &json!({ "id": "1" }))), Ok(None));
            assert!(change.read(&answer(name, &Value::Null)).is_err());
            let until = answer(name, &json!({ "invite_expiration_time": "1700000000" }));
            assert_eq!(change.read(&until), Ok(Some(1_700_000_000)));
        }
    }
}
