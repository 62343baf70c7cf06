//! What can be set of a group.

use serde_json::{Value, json};

use super::set;
use crate::ask::{Question, mex};
use crate::stanza::{Builder, Jid, Missing, Stanza};

/// The number of the query that sets what `w:g2` does not; whatsapp-rust's.
const UPDATE: &str = "9418211574894172";

/// What can be set of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Its name.
    Subject(String),
    /// Its description, under a new id, in place of the one with the old id.
    Description {
        /// Empty removes it.
        text: String,
        /// The new id.
        id: String,
        /// The id of the present one.
        before: Option<String>,
    },
    /// Only admins send.
    Announce(bool),
    /// Only admins change what it is called.
    Locked(bool),
    /// Seconds after which messages disappear; 0 for never.
    Disappearing(u32),
    /// Every member may add others.
    MembersAdd(bool),
    /// Admins approve who joins.
    Approval(bool),
    /// Newcomers may be given what was said before.
    History(bool),
    /// Members may report messages to the admins.
    AdminReports(bool),
    /// What was forwarded often may not be sent.
    NoFrequentlyForwarded(bool),
    /// Every member may invite with the link.
    MembersLink(bool),
    /// Every member may give newcomers what was said before.
    MembersShareHistory(bool),
    /// Messages may not be exported.
    LimitSharing(bool),
}

impl Setting {
    /// Those that are set by `w:mex`, in its words.
    fn property(&self) -> Option<Value> {
        let mode = |all, members, admins| if all { members } else { admins };
        match self {
            Setting::MembersLink(all) => {
                Some(json!({ "member_link_mode": mode(*all, "ALL_MEMBER_LINK", "ADMIN_LINK") }))
            }
            Setting::MembersShareHistory(all) => {
                let mode = mode(*all, "ALL_MEMBER_SHARE", "ADMIN_SHARE");
                Some(json!({ "member_share_group_history_mode": mode }))
            }
            Setting::LimitSharing(on) => {
                let limit = json!({ "limit_sharing_enabled": on, "limit_sharing_trigger": "CHAT_SETTING" });
                Some(json!({ "limit_sharing": limit }))
            }
            _ => None,
        }
    }
}

/// Sets something of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetGroup {
    /// Which group.
    pub group: Jid,
    /// What.
    pub setting: Setting,
}

impl Question for SetGroup {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        if let Some(update) = self.setting.property() {
            return mex::query(UPDATE, json!({ "group_id": self.group.to_string(), "update": update }));
        }
        let named = |is: bool, on, off| Builder::new(if is { on } else { off });
        let child = match &self.setting {
            Setting::Subject(subject) => Builder::new("subject").bytes(subject.as_bytes()),
            Setting::Description { text, id, before } => {
                let mut about = Builder::new("description").attr("id", id.clone());
                if let Some(before) = before {
                    about = about.attr("prev", before.clone());
                }
                match text.as_str() {
                    "" => about.attr("delete", "true"),
                    text => about.children([Builder::new("body").bytes(text.as_bytes()).build()]),
                }
            }
            Setting::Announce(on) => named(*on, "announcement", "not_announcement"),
            Setting::Locked(on) => named(*on, "locked", "unlocked"),
            Setting::History(on) => named(*on, "group_history", "no_group_history"),
            Setting::AdminReports(on) => named(*on, "allow_admin_reports", "not_allow_admin_reports"),
            Setting::NoFrequentlyForwarded(on) => {
                named(*on, "no_frequently_forwarded", "frequently_forwarded_ok")
            }
            Setting::Disappearing(0) => Builder::new("not_ephemeral"),
            Setting::Disappearing(seconds) => Builder::new("ephemeral").attr("expiration", *seconds),
            Setting::MembersAdd(all) => {
                Builder::new("member_add_mode").bytes(if *all { "all_member_add" } else { "admin_add" })
            }
            Setting::Approval(on) => {
                let join = Builder::new("group_join").attr("state", if *on { "on" } else { "off" });
                Builder::new("membership_approval_mode").children([join.build()])
            }
            Setting::MembersLink(_) | Setting::MembersShareHistory(_) | Setting::LimitSharing(_) => {
                unreachable!("asked by mex above")
            }
        };
        set(self.group.clone(), child)
    }

    fn read(&self, answer: &Stanza) -> Result<(), Missing> {
        let done = match self.setting.property() {
            Some(_) => mex::data(answer, "xwa2_group_update_property")?["state"] == "ACTIVE",
            None => true,
        };
        done.then_some(()).ok_or(Missing { tag: "result".to_owned(), what: "an active group" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Read as _;

    fn group() -> Jid {
        "120363000000000001@g.us".parse().expect("a JID")
    }

    #[test]
    fn whoever_changes_a_description_names_the_one_that_he_saw() {
        let about = |text: &str| Setting::Description {
            text: text.to_owned(),
            id: "NEW".to_owned(),
            before: Some("OLD".to_owned()),
        };
        let asked = |text| SetGroup { group: group(), setting: about(text) }.request();
        let child = asked("for hens").child("description").expect("one").clone();
        assert_eq!((child.text("id").as_deref(), child.text("prev").as_deref()), (Some("NEW"), Some("OLD")));
        assert_eq!(child.child("body").and_then(|body| body.leaf_text()), Some("for hens"));
        let gone = asked("").child("description").expect("one").clone();
        assert_eq!(gone.text("delete").as_deref(), Some("true"));
    }

    #[test]
    fn settings_are_the_tags_of_the_clients() {
        let tag = |setting| SetGroup { group: group(), setting }.request().all()[0].tag.to_string();
        assert_eq!(tag(Setting::Announce(false)), "not_announcement");
        assert_eq!(tag(Setting::Locked(true)), "locked");
        assert_eq!(tag(Setting::Disappearing(0)), "not_ephemeral");
        assert_eq!(tag(Setting::Disappearing(60)), "ephemeral");
        assert_eq!(tag(Setting::MembersAdd(true)), "member_add_mode");
        assert_eq!(tag(Setting::History(false)), "no_group_history");
        assert_eq!(tag(Setting::AdminReports(true)), "allow_admin_reports");
        assert_eq!(tag(Setting::NoFrequentlyForwarded(false)), "frequently_forwarded_ok");
    }

    #[test]
    fn what_is_set_by_mex_is_done_when_the_group_is_active() {
        let question = SetGroup { group: group(), setting: Setting::MembersLink(true) };
        let asked = question.request();
        let query = asked.child("query").expect("one");
        let body: Value = serde_json::from_slice(query.leaf().expect("JSON")).expect("JSON");
        assert_eq!(body["variables"]["update"]["member_link_mode"], "ALL_MEMBER_LINK");
        let answer = |state: &str| {
            let body = json!({ "data": { "xwa2_group_update_property": { "state": state } } }).to_string();
            let result = Builder::new("result").bytes(body.into_bytes()).build();
            question.read(&Builder::new("iq").children([result]).build())
        };
        assert_eq!(answer("ACTIVE"), Ok(()));
        assert!(answer("SUSPENDED").is_err());
    }
}
