//! Who sees the status posts of the own account.

use super::{Question, get};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Asks who sees the posts. An account that never chose is answered with 404; its posts are for all contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetAudience;

/// Who sees posts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Audience {
    /// All contacts.
    #[default]
    Contacts,
    /// All contacts but these.
    Except(Vec<Jid>),
    /// These alone.
    Only(Vec<Jid>),
}

impl Question for GetAudience {
    type Answer = Audience;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get("status").children([Builder::new("privacy").build()]).build()
    }

    /// Several lists may be kept; one is in force.
    fn read(&self, answer: &Stanza) -> Result<Audience, Missing> {
        let lists = || answer.child("privacy").map(Read::all).unwrap_or_default().iter();
        let in_force = |list: &&Stanza| list.text("default").as_deref() == Some("true");
        let Some(list) = lists().find(in_force).or_else(|| lists().next()) else {
            return Ok(Audience::Contacts);
        };
        let people = list.all_named("user").filter_map(|user| user.jid("jid")).map(|jid| jid.to_non_ad());
        Ok(match &*list.need_text("type")? {
            "whitelist" => Audience::Only(people.collect()),
            "blacklist" => Audience::Except(people.collect()),
            _ => Audience::Contacts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lists: &[(&'static str, &'static str, &[&str])]) -> Stanza {
        let lists = lists.iter().map(|(kind, default, people)| {
            let users = people.iter().map(|lid| Builder::new("user").attr("jid", Jid::lid(*lid)).build());
            Builder::new("list").attr("type", *kind).attr("default", *default).children(users).build()
        });
        Builder::new("iq").children([Builder::new("privacy").children(lists).build()]).build()
    }

    #[test]
    fn the_list_in_force_says_who_sees_posts() {
        let read = |stanza: &Stanza| GetAudience.read(stanza).expect("well formed");
        let lists = answer(&[("blacklist", "false", &["1"]), ("whitelist", "true", &["77", "78"])]);
        assert_eq!(read(&lists), Audience::Only(vec![Jid::lid("77"), Jid::lid("78")]));
        assert_eq!(read(&answer(&[("blacklist", "true", &["1"])])), Audience::Except(vec![Jid::lid("1")]));
        assert_eq!(read(&answer(&[("contacts", "true", &[])])), Audience::Contacts);
        assert_eq!(read(&answer(&[])), Audience::Contacts);
        let nameless = Builder::new("list").attr("default", "true").build();
        let nameless = Builder::new("privacy").children([nameless]).build();
        assert!(GetAudience.read(&Builder::new("iq").children([nameless]).build()).is_err());
    }
}
