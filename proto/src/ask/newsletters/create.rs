//! Making a newsletter, and finding one that was made when nobody has heard so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{ListNewsletters, need};
use crate::api;
use crate::api::newsletter::Role;
use crate::ask::Question as _;
use crate::ask::making::SKEW;
use crate::ask::mex::{data, query};
use crate::stanza::{Missing, Stanza};

const CREATE: &str = "8823471724422422";

/// Makes a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNewsletter {
    /// What it is called.
    pub title: String,
    /// What it is about; may be empty.
    pub description: String,
    /// A JPEG; empty for none.
    pub picture: Vec<u8>,
}

impl CreateNewsletter {
    /// The `<iq>` without an id.
    pub fn request(&self) -> Stanza {
        let description = Some(&self.description).filter(|text| !text.is_empty());
        let mut input = json!({ "name": self.title, "description": description });
        if !self.picture.is_empty() {
            input["picture"] = STANDARD.encode(&self.picture).into();
        }
        query(CREATE, json!({ "input": input }))
    }

    /// JID of the newsletter, by the answer to the request.
    ///
    /// # Errors
    /// [`Missing`]: WhatsApp's answer lacks what the protocol promises, or says that it made none.
    pub fn made(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(need(&data(answer, "xwa2_newsletter_create")?)?.newsletter)
    }

    /// Which of those that the account follows or has made may be it: its own of this name and about this, not made
    /// before `since` (seconds since 1970, give or take a minute). Oldest first.
    ///
    /// # Errors
    /// As [`Self::made`].
    pub fn found(&self, all: &Stanza, since: i64) -> Result<Vec<String>, Missing> {
        let created = |one: &api::Newsletter| one.create_time.map_or(0, |time| time.seconds);
        let mut found = ListNewsletters.read(all)?;
        found.retain(|one| {
            let same = one.title == self.title && one.description == self.description;
            same && one.role() == Role::Owner && created(one) >= since - SKEW
        });
        found.sort_by_key(created);
        Ok(found.into_iter().map(|one| one.newsletter).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::stanza::{Builder, Read as _};

    fn answer(name: &str, body: &Value) -> Stanza {
        let body = json!({ "data": { name: body } }).to_string().into_bytes();
        Builder::new("iq").children([Builder::new("result").bytes(body).build()]).build()
    }

    fn newsletter(number: u64, title: &str, role: &str, created: u64) -> Value {
        json!({
            "id": format!("{number}@newsletter"),
            "thread_metadata": {
                "creation_time": created.to_string(),
                "name": { "text": title },
                "description": { "text": "and eggs" },
            },
            "viewer_metadata": { "role": role },
        })
    }

    #[test]
    fn what_was_made_is_found_by_what_it_is_its_maker_and_its_time() {
        let (title, description) = ("Hens".to_owned(), "and eggs".to_owned());
        let create = CreateNewsletter { title, description, picture: Vec::new() };
        let all = json!([
            newsletter(4, "Hens", "OWNER", 1_000_030),
            newsletter(3, "Hens", "OWNER", 999_990),
            newsletter(2, "Hens", "OWNER", 900_000),
            newsletter(5, "Geese", "OWNER", 1_000_000),
            newsletter(6, "Hens", "SUBSCRIBER", 1_000_000),
        ]);
        let all = answer("xwa2_newsletter_subscribed", &all);
        assert_eq!(create.found(&all, 1_000_000).expect("a list"), ["3@newsletter", "4@newsletter"]);
        let bare = CreateNewsletter { description: String::new(), ..create.clone() };
        assert_eq!(bare.found(&all, 1_000_000).expect("a list"), Vec::<String>::new());
        assert!(create.found(&answer("xwa2_newsletter", &json!({})), 0).is_err());
        let made = answer("xwa2_newsletter_create", &newsletter(7, "Hens", "OWNER", 1_000_000));
        assert_eq!(create.made(&made).expect("complete"), "7@newsletter");
        assert!(create.made(&answer("xwa2_newsletter_create", &Value::Null)).is_err());
        let asked = |create: &CreateNewsletter| -> Value {
            let query =
                create.request().child("query").and_then(|query| query.leaf()).expect("JSON").to_vec();
            serde_json::from_slice::<Value>(&query).expect("JSON")["variables"]["input"].clone()
        };
        assert_eq!(asked(&create), json!({ "name": "Hens", "description": "and eggs" }));
        let pictured = CreateNewsletter { picture: vec![0xff, 0xd8, 0xff], ..create };
        assert_eq!(asked(&pictured)["picture"], "/9j/");
    }
}
