//! Whom an account shows what: a value for each category, and lists of people who are left out.
//!
//! What must hold: a list is changed only by who names the hash of the present one, so that two devices cannot undo
//! each other's changes unseen. Contacts are not kept, so everybody counts as one: `contacts` hides nothing, and
//! `contact_blacklist` hides from those on its list.
//!
//! Guesses, as whatsapp-rust alone changes lists and nobody reads them: how the hash is made, that a list which was
//! never changed has none (then an empty one is taken, too), that the settings are told with it, that who has another
//! one is refused with 409, and what else is refused.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roost_proto::stanza::{Builder, Read as _, Stanza};
use sha2::{Digest as _, Sha256};

use super::refusals::{Refused, refuse};

/// Categories that clients know.
const CATEGORIES: [&str; 9] =
    ["readreceipts", "profile", "status", "online", "last", "groupadd", "calladd", "messages", "defense"];
/// Those that can leave people out.
const WITH_LIST: [&str; 4] = ["profile", "status", "last", "groupadd"];
/// The value of a category that leaves people out.
const ALL_BUT: &str = "contact_blacklist";
/// Longest value, in bytes, and the most people on a list. (Guesses.)
const LIMITS: (usize, usize) = (64, 1_000);

/// What an account has chosen.
#[derive(Debug, Clone, Default)]
pub struct Privacy {
    values: BTreeMap<String, String>,
    /// Hidden identities (the user parts), by category.
    left_out: BTreeMap<String, BTreeSet<String>>,
}

impl Privacy {
    /// The value of a category.
    pub fn value(&self, category: &str) -> &str {
        let at_first = if category == "defense" { "off" } else { "all" };
        self.values.get(category).map_or(at_first, String::as_str)
    }

    /// Who is left out of a category; the user parts of their hidden identities.
    pub fn left_out(&self, category: &str) -> impl Iterator<Item = &str> {
        self.left_out.get(category).into_iter().flatten().map(String::as_str)
    }

    /// Whether somebody with this hidden identity may see what the category is about.
    pub(super) fn shows(&self, category: &str, lid: &str) -> bool {
        match self.value(category) {
            "none" => false,
            ALL_BUT => !self.left_out.get(category).is_some_and(|list| list.contains(lid)),
            _ => true,
        }
    }

    fn hash(&self, category: &str) -> Option<String> {
        let list: Vec<&str> = self.left_out.get(category)?.iter().map(String::as_str).collect();
        Some(STANDARD.encode(&Sha256::digest(list.join(","))[..6]))
    }

    /// `<privacy><category name value dhash?/>…</privacy>` with those categories that `told` names, or all.
    pub(super) fn element(&self, told: Option<&Stanza>) -> Stanza {
        let named = |name: &&&str| {
            told.is_none_or(|told| told.all().iter().any(|one| one.text("name").as_deref() == Some(**name)))
        };
        let categories = CATEGORIES.iter().filter(named).map(|name| {
            let category = Builder::new("category").attr("name", *name).attr("value", self.value(name));
            match self.hash(name) {
                Some(hash) => category.attr("dhash", hash).build(),
                None => category.build(),
            }
        });
        Builder::new("privacy").children(categories).build()
    }

    /// Takes `<privacy addressing_mode?><category name value dhash?><user action jid pn_jid?/>…</category></privacy>`
    /// as a whole or not at all.
    pub(super) fn change(&mut self, privacy: &Stanza) -> Result<(), Refused> {
        let mut changed = self.clone();
        for category in privacy.all_named("category") {
            let (name, value) = (category.text("name"), category.text("value"));
            let (Some(name), Some(value)) = (name, value) else {
                return Err(refuse(400, "a setting without a name and a value"));
            };
            if !CATEGORIES.contains(&&*name) || value.len() > LIMITS.0 {
                return Err(refuse(400, "an unknown setting, or a value that is too long"));
            }
            if !category.all().is_empty() {
                let by_lid = privacy.text("addressing_mode").as_deref() == Some("lid");
                if value != ALL_BUT || !WITH_LIST.contains(&&*name) || !by_lid {
                    return Err(refuse(400, "a list where there can be none"));
                }
                changed.leave_out(&name, category)?;
            }
            changed.values.insert(name.into_owned(), value.into_owned());
        }
        *self = changed;
        Ok(())
    }

    fn leave_out(&mut self, name: &str, category: &Stanza) -> Result<(), Refused> {
        let named = category.text("dhash").filter(|hash| !hash.is_empty()).map(|hash| hash.into_owned());
        if named != self.hash(name) {
            return Err(refuse(409, "the list has changed since"));
        }
        let list = self.left_out.entry(name.to_owned()).or_default();
        for user in category.all_named("user") {
            let lid = user
                .jid("jid")
                .filter(|jid| jid.is_lid())
                .ok_or_else(|| refuse(400, "nobody is named by a LID"))?;
            match user.text("action").as_deref() {
                Some("add") if list.len() >= LIMITS.1 => return Err(refuse(419, "too many are left out")),
                Some("add") => _ = list.insert(lid.user.to_string()),
                Some("remove") => _ = list.remove(&*lid.user),
                _ => return Err(refuse(400, "neither add nor remove")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::stanza::Jid;

    use super::*;

    fn user(action: &'static str, lid: &str) -> Stanza {
        Builder::new("user").attr("action", action).attr("jid", Jid::lid(lid)).build()
    }

    fn change(category: &'static str, value: &'static str, hash: Option<&str>, users: Vec<Stanza>) -> Stanza {
        let mut changed = Builder::new("category").attr("name", category).attr("value", value);
        if let Some(hash) = hash {
            changed = changed.attr("dhash", hash.to_owned());
        }
        let privacy = Builder::new("privacy").attr("addressing_mode", "lid");
        privacy.children([changed.children(users).build()]).build()
    }

    #[test]
    fn who_is_left_out_sees_nothing_and_others_do() {
        let mut privacy = Privacy::default();
        assert!(privacy.shows("status", "1") && privacy.hash("status").is_none());
        privacy
            .change(&change("status", ALL_BUT, None, vec![user("add", "1"), user("add", "2")]))
            .expect("taken");
        assert!(!privacy.shows("status", "1") && privacy.shows("status", "3") && privacy.shows("last", "1"));
        let hash = privacy.hash("status").expect("there is a list");
        privacy.change(&change("status", ALL_BUT, Some(&hash), vec![user("remove", "1")])).expect("taken");
        assert!(privacy.shows("status", "1") && !privacy.shows("status", "2"));
        assert_ne!(privacy.hash("status"), Some(hash));
        privacy.change(&change("status", "all", None, Vec::new())).expect("taken");
        assert!(privacy.shows("status", "2"), "the list is kept, and does not count");
    }

    #[test]
    fn who_does_not_name_the_present_list_is_refused_with_409() {
        let mut privacy = Privacy::default();
        let first = change("last", ALL_BUT, None, vec![user("add", "1")]);
        privacy.change(&first).expect("taken");
        for hash in [None, Some(""), Some("another")] {
            let again = change("last", ALL_BUT, hash, vec![user("add", "2")]);
            assert_eq!(privacy.change(&again).expect_err("another list").code, 409);
        }
        assert_eq!(privacy.left_out("last").collect::<Vec<_>>(), ["1"]);
    }

    #[test]
    fn a_list_where_there_can_be_none_is_refused_and_changes_nothing() {
        let mut privacy = Privacy::default();
        let one = || vec![user("add", "1")];
        let number = Builder::new("user").attr("action", "add").attr("jid", Jid::pn("4915")).build();
        for bad in [
            change("online", ALL_BUT, None, one()),
            change("last", "contacts", None, one()),
            change("last", ALL_BUT, None, vec![user("hide", "1")]),
            change("last", ALL_BUT, None, vec![number]),
            change("last", ALL_BUT, None, one()).without("addressing_mode"),
            change("mood", "all", None, Vec::new()),
        ] {
            assert_eq!(privacy.change(&bad).expect_err("bad").code, 400, "{bad:?}");
        }
        assert_eq!((privacy.value("last"), privacy.left_out("last").count()), ("all", 0));
    }
}
