//! What leads into groups: the code of a link, which anybody can use, and invites for one person.

use super::members::{Outcome, outcomes};
use super::{all_groups, get, participants, set};
use crate::api;
use crate::ask::Question;
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

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

/// An invite for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// Into which group.
    pub group: Jid,
    /// Its code.
    pub code: String,
    /// The admin who sent it.
    pub inviter: Jid,
    /// Until when it holds, in seconds since 1970.
    pub expires: u64,
}

impl Personal {
    fn named(&self, tag: &'static str) -> Builder {
        let invite = Builder::new(tag).attr("code", self.code.clone()).attr("expiration", self.expires);
        invite.attr("admin", self.inviter.clone())
    }
}

/// A way into a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// The code of a link.
    Code(String),
    /// An invite for this account.
    Personal(Personal),
}

/// Asks where an invite leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewInvite {
    /// The invite.
    pub door: Door,
}

impl Question for PreviewInvite {
    type Answer = api::Group;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        match &self.door {
            Door::Code(code) => get(all_groups(), Builder::new("invite").attr("code", code.clone())),
            Door::Personal(personal) => {
                let invite = personal.named("add_request").build();
                get(personal.group.clone(), Builder::new("query").children([invite]))
            }
        }
    }

    fn read(&self, answer: &Stanza) -> Result<api::Group, Missing> {
        let group = answer.child("group").or_else(|| answer.child("community"));
        Ok(groups::group(group.map_or_else(|| answer.need_child("group"), Ok)?))
    }
}

/// Joins by an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// The invite.
    pub door: Door,
}

/// What became of joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The group.
    pub group: Jid,
    /// Admins have to approve it first.
    pub waiting: bool,
}

impl Question for JoinGroup {
    type Answer = Joined;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        match &self.door {
            Door::Code(code) => set(all_groups(), Builder::new("invite").attr("code", code.clone())),
            Door::Personal(personal) => set(personal.group.clone(), personal.named("accept")),
        }
    }

    fn read(&self, answer: &Stanza) -> Result<Joined, Missing> {
        if let Some(request) = answer.child("membership_approval_request") {
            return Ok(Joined { group: request.need_jid("jid")?, waiting: true });
        }
        let group = match (answer.child("group").or_else(|| answer.child("community")), &self.door) {
            (Some(group), _) => group.need_jid("jid")?,
            (None, Door::Personal(personal)) => personal.group.clone(),
            (None, Door::Code(_)) => answer.need_child("group")?.need_jid("jid")?,
        };
        Ok(Joined { group, waiting: false })
    }
}

/// Takes back that the account wants to join a group whose admins approve members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelJoinRequest {
    /// Which group.
    pub group: Jid,
    /// The account itself.
    pub own: Jid,
}

impl Question for CancelJoinRequest {
    type Answer = Vec<Outcome>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let own = participants(std::slice::from_ref(&self.own));
        set(self.group.clone(), Builder::new("cancel_membership_requests").children(own))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        Ok(outcomes(answer.need_child("cancel_membership_requests")?))
    }
}

/// Ends the personal invites of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeInvites {
    /// Into which group.
    pub group: Jid,
    /// Whose.
    pub people: Vec<Jid>,
}

impl Question for RevokeInvites {
    type Answer = Vec<Outcome>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        set(self.group.clone(), Builder::new("revoke").children(participants(&self.people)))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        Ok(outcomes(answer.need_child("revoke")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Jid {
        "120363000000000001@g.us".parse().expect("a JID")
    }

    fn personal() -> Door {
        let inviter = Jid::lid("111111");
        Door::Personal(Personal { group: group(), code: "abc".to_owned(), inviter, expires: 1_700_000_000 })
    }

    #[test]
    fn only_a_new_invite_changes_something() {
        const { assert!(Invite::<true>::CHANGES && !Invite::<false>::CHANGES) };
        let request = Invite::<true> { group: group() }.request();
        assert_eq!(request.text("type").as_deref(), Some("set"));
        assert_eq!(request.jid("to"), Some(group()));
    }

    #[test]
    fn joining_ends_in_the_group_or_before_its_door() {
        let answer = |door, tag: &'static str| {
            let child = Builder::new(tag).attr("jid", group()).build();
            JoinGroup { door }.read(&Builder::new("iq").children([child]).build()).expect("complete")
        };
        let code = || Door::Code("abc".to_owned());
        assert!(!answer(code(), "group").waiting);
        assert!(answer(code(), "membership_approval_request").waiting);
        assert!(answer(personal(), "membership_approval_request").waiting);
        let empty = Builder::new("iq").build();
        let joined = JoinGroup { door: personal() }.read(&empty).expect("complete");
        assert_eq!(joined, Joined { group: group(), waiting: false });
        assert!(JoinGroup { door: code() }.read(&empty).is_err());
    }

    #[test]
    fn a_personal_invite_names_its_admin_and_its_end() {
        let asked = JoinGroup { door: personal() }.request();
        let accept = asked.child("accept").expect("one");
        assert_eq!(accept.jid("admin"), Some(Jid::lid("111111")));
        assert_eq!(accept.number("expiration"), Some(1_700_000_000));
        let looked = PreviewInvite { door: personal() }.request();
        assert!(looked.child("query").is_some_and(|query| query.child("add_request").is_some()));
    }
}
