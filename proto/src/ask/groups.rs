//! Questions about groups: making, reading, changing them, and who is in them.
//!
//! Rules: `w:g2` as whatsmeow and Baileys agree on it. A group is always a JID here.

mod create;
mod members;

pub use create::CreateGroup;
pub use members::{
    Act, AnswerJoinRequests, ChangeMembers, JoinGroup, JoinRequest, Joined, LeaveGroup, ListJoinRequests,
    Outcome,
};

use super::{Question, request};
use crate::api;
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Server, Stanza};

const XMLNS: &str = "w:g2";

/// Where requests go that are about no group, or about all.
fn all_groups() -> Jid {
    Jid::new(String::new(), Server::Group)
}

fn get(to: Jid, child: Builder) -> Stanza {
    request("get", XMLNS, to).children([child.build()]).build()
}

fn set(to: Jid, child: Builder) -> Stanza {
    request("set", XMLNS, to).children([child.build()]).build()
}

fn participants(jids: &[Jid]) -> Vec<Stanza> {
    jids.iter().map(|jid| Builder::new("participant").attr("jid", jid.clone()).build()).collect()
}

/// Asks for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetGroup {
    /// Which.
    pub group: Jid,
}

impl Question for GetGroup {
    /// The group, and the id of its description, which whoever changes it must name.
    type Answer = (api::Group, Option<String>);

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(self.group.clone(), Builder::new("query").attr("request", "interactive"))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let group = answer.need_child("group")?;
        let about = group.child("description").and_then(|about| about.text("id"));
        Ok((groups::group(group), about.map(|id| id.into_owned())))
    }
}

/// Asks for all groups that the account is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListGroups;

impl Question for ListGroups {
    type Answer = Vec<api::Group>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let wanted = [Builder::new("participants").build(), Builder::new("description").build()];
        get(all_groups(), Builder::new("participating").children(wanted))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        Ok(answer.need_child("groups")?.all_named("group").map(groups::group).collect())
    }
}

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
            Setting::Announce(on) => Builder::new(if *on { "announcement" } else { "not_announcement" }),
            Setting::Locked(on) => Builder::new(if *on { "locked" } else { "unlocked" }),
            Setting::Disappearing(0) => Builder::new("not_ephemeral"),
            Setting::Disappearing(seconds) => Builder::new("ephemeral").attr("expiration", *seconds),
            Setting::MembersAdd(all) => {
                Builder::new("member_add_mode").bytes(if *all { "all_member_add" } else { "admin_add" })
            }
            Setting::Approval(on) => {
                let join = Builder::new("group_join").attr("state", if *on { "on" } else { "off" });
                Builder::new("membership_approval_mode").children([join.build()])
            }
        };
        set(self.group.clone(), child)
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Asks for the invite code of a group, or makes a new one, which ends the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite<const RESET: bool> {
    /// Which group.
    pub group: Jid,
}

impl<const RESET: bool> Question for Invite<RESET> {
    /// The code.
    type Answer = String;

    const CHANGES: bool = RESET;

    fn request(&self) -> Stanza {
        let invite = Builder::new("invite");
        if RESET { set(self.group.clone(), invite) } else { get(self.group.clone(), invite) }
    }

    fn read(&self, answer: &Stanza) -> Result<String, Missing> {
        Ok(answer.need_child("invite")?.need_text("code")?.into_owned())
    }
}

/// Asks where an invite leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewInvite {
    /// The code.
    pub code: String,
}

impl Question for PreviewInvite {
    type Answer = api::Group;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(all_groups(), Builder::new("invite").attr("code", self.code.clone()))
    }

    fn read(&self, answer: &Stanza) -> Result<api::Group, Missing> {
        Ok(groups::group(answer.need_child("group")?))
    }
}

/// Links a group to a community, or ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkGroup {
    /// The community.
    pub community: Jid,
    /// The group.
    pub group: Jid,
    /// End it.
    pub unlink: bool,
}

impl Question for LinkGroup {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let group = Builder::new("group").attr("jid", self.group.clone()).build();
        let child = match self.unlink {
            true => Builder::new("unlink").attr("unlink_type", "sub_group").children([group]),
            false => {
                let link = Builder::new("link").attr("link_type", "sub_group").children([group]).build();
                Builder::new("links").children([link])
            }
        };
        set(self.community.clone(), child)
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Asks for the groups of a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSubgroups {
    /// The community.
    pub community: Jid,
}

impl Question for ListSubgroups {
    type Answer = Vec<api::Group>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(self.community.clone(), Builder::new("sub_groups"))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        Ok(answer.need_child("sub_groups")?.all_named("group").map(groups::group).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn only_a_new_invite_changes_something() {
        const { assert!(Invite::<true>::CHANGES && !Invite::<false>::CHANGES) };
        let request = Invite::<true> { group: group() }.request();
        assert_eq!(request.text("type").as_deref(), Some("set"));
        assert_eq!(request.jid("to"), Some(group()));
    }
}
