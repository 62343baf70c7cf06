//! Whom the own account shows what.

use std::collections::BTreeMap;

use super::{Question, get, set};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// What WhatsApp says of privacy settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Values by category, in WhatsApp's words: `last` is `all`, `contacts`, …
    pub values: BTreeMap<String, String>,
    /// By category, the hash of the list of who is left out, where WhatsApp tells it.
    pub hashes: BTreeMap<String, String>,
}

impl Told {
    fn read(privacy: &Stanza) -> Told {
        let mut told = Told::default();
        for category in privacy.all_named("category") {
            let [name, value, hash] =
                ["name", "value", "dhash"].map(|key| category.text(key).map(|text| text.into_owned()));
            let Some(name) = name else { continue };
            told.hashes.extend(hash.filter(|hash| !hash.is_empty()).map(|hash| (name.clone(), hash)));
            told.values.extend(value.map(|value| (name, value)));
        }
        told
    }

    /// Takes in what was told later.
    pub fn extend(&mut self, later: Told) {
        self.values.extend(later.values);
        self.hashes.extend(later.hashes);
    }
}

/// Asks for the privacy settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetPrivacy;

impl Question for GetPrivacy {
    type Answer = Told;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get("privacy").children([Builder::new("privacy").build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Told, Missing> {
        Ok(Told::read(answer.need_child("privacy")?))
    }
}

/// Changes one privacy setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPrivacy {
    /// The category.
    pub name: String,
    /// Its new value.
    pub value: String,
    /// How its list of who is left out changes, if it does.
    pub list: Option<ListChange>,
}

/// A change of a list of who is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListChange {
    /// Of the present list, as WhatsApp has told it last; empty when it has not.
    pub hash: String,
    /// Who comes and who goes.
    pub people: Vec<LeftOut>,
}

/// Somebody who is left out from now on, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which of the two.
    pub add: bool,
    /// The hidden identity.
    pub lid: Jid,
    /// The phone number, when it is known.
    pub pn: Option<Jid>,
}

impl LeftOut {
    fn element(&self) -> Stanza {
        let action = if self.add { "add" } else { "remove" };
        let user = Builder::new("user").attr("action", action).attr("jid", self.lid.clone());
        match &self.pn {
            Some(pn) => user.attr("pn_jid", pn.clone()).build(),
            None => user.build(),
        }
    }
}

impl Question for SetPrivacy {
    /// What WhatsApp says is in force now; may leave out what was not changed.
    type Answer = Told;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mut category =
            Builder::new("category").attr("name", self.name.clone()).attr("value", self.value.clone());
        let mut privacy = Builder::new("privacy");
        if let Some(list) = &self.list {
            privacy = privacy.attr("addressing_mode", "lid");
            if !list.hash.is_empty() {
                category = category.attr("dhash", list.hash.clone());
            }
            category = category.children(list.people.iter().map(LeftOut::element));
        }
        set("privacy").children([privacy.children([category.build()]).build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Told, Missing> {
        Ok(answer.child("privacy").map(Told::read).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privacy_is_read_by_category() {
        let category = |name: &'static str, value: &'static str| {
            Builder::new("category").attr("name", name).attr("value", value)
        };
        let but = category("last", "contact_blacklist").attr("dhash", "h1").build();
        let privacy = Builder::new("privacy").children([but, category("online", "all").build()]);
        let answer = Builder::new("iq").children([privacy.build()]).build();
        let told = GetPrivacy.read(&answer).expect("complete");
        assert_eq!(told.values["last"], "contact_blacklist");
        assert_eq!((told.values.len(), told.hashes.len(), told.hashes["last"].as_str()), (2, 1, "h1"));
        assert!(GetPrivacy.read(&Builder::new("iq").build()).is_err());
    }

    #[test]
    fn a_list_is_changed_by_hidden_identities_under_the_hash_of_the_present_one() {
        let person = LeftOut { add: true, lid: Jid::lid("7"), pn: Some(Jid::pn("4915")) };
        let other = LeftOut { add: false, lid: Jid::lid("8"), pn: None };
        let list = ListChange { hash: "h1".to_owned(), people: vec![person, other] };
        let change = |list| SetPrivacy { name: "last".into(), value: "contact_blacklist".into(), list };
        let request = change(Some(list.clone())).request();
        let privacy = request.child("privacy").expect("one");
        assert_eq!(privacy.text("addressing_mode").as_deref(), Some("lid"));
        let category = privacy.child("category").expect("one");
        assert_eq!(category.text("dhash").as_deref(), Some("h1"));
        let actions: Vec<_> = category.all().iter().filter_map(|user| user.text("action")).collect();
        assert_eq!(actions, ["add", "remove"]);
        assert_eq!(category.all()[0].jid("pn_jid"), Some(Jid::pn("4915")));
        let first = change(Some(ListChange { hash: String::new(), ..list })).request();
        let category = first.child("privacy").and_then(|privacy| privacy.child("category")).expect("one");
        assert!(category.text("dhash").is_none(), "there is no list yet");
        let simple = change(None).request();
        assert!(simple.child("privacy").is_some_and(|privacy| privacy.text("addressing_mode").is_none()));
    }
}
