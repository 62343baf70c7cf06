//! What a business account tells of itself: namespace `w:biz`.

use super::{Question, get};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Asks for the profile of a business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBusiness {
    /// Whose.
    pub of: Jid,
}

/// A business profile; what it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Business {
    /// What it is, in its own words.
    pub description: String,
    /// Postal address.
    pub address: String,
    /// Mail address.
    pub email: String,
    /// Web sites.
    pub websites: Vec<String>,
    /// Names of the categories that it is listed in.
    pub categories: Vec<String>,
}

impl Question for GetBusiness {
    /// `None`: it is no business, or has no profile.
    type Answer = Option<Business>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let profile = Builder::new("profile").attr("jid", self.of.clone()).build();
        let asked = Builder::new("business_profile").attr("v", "244").children([profile]).build();
        get("w:biz").children([asked]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Option<Business>, Missing> {
        let Some(profile) = answer.need_child("business_profile")?.child("profile") else { return Ok(None) };
        let text = |tag: &str| profile.child(tag).and_then(Read::leaf_text).unwrap_or_default().to_owned();
        let texts = |within: &Stanza, tag: &'static str| -> Vec<String> {
            within.all_named(tag).filter_map(|child| Some(child.leaf_text()?.to_owned())).collect()
        };
        Ok(Some(Business {
            description: text("description"),
            address: text("address"),
            email: text("email"),
            websites: texts(profile, "website"),
            categories: profile.child("categories").map(|list| texts(list, "category")).unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_an_account_without_one_is_none() {
        let ask = GetBusiness { of: Jid::pn("4915100000001") };
        let leaf = |tag: &'static str, text: &str| Builder::new(tag).bytes(text.as_bytes()).build();
        let profile = Builder::new("profile").children([
            leaf("email", "a@example.com"),
            leaf("website", "https://one.example"),
            leaf("website", "https://two.example"),
            Builder::new("categories").children([leaf("category", "Bakery")]).build(),
        ]);
        let answer = |children: Vec<Stanza>| {
            Builder::new("iq").children([Builder::new("business_profile").children(children).build()]).build()
        };
        let read = ask.read(&answer(vec![profile.build()])).expect("complete").expect("a business");
        assert_eq!((read.email.as_str(), read.websites.len()), ("a@example.com", 2));
        assert_eq!(read.categories, ["Bakery"]);
        assert_eq!(ask.read(&answer(vec![])), Ok(None));
    }
}
