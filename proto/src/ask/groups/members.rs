//! Who comes into a group and who goes.

use super::{all_groups, get, participants, set};
use crate::api;
use crate::ask::Question;
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// What is done with members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Into the group.
    Add,
    /// Out of it.
    Remove,
    /// Makes admins.
    Promote,
    /// Makes them members again.
    Demote,
}

impl Act {
    fn tag(self) -> &'static str {
        match self {
            Act::Add => "add",
            Act::Remove => "remove",
            Act::Promote => "promote",
            Act::Demote => "demote",
        }
    }
}

/// What became of one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Who.
    pub person: api::Person,
    /// WhatsApp's code; 200 when it is done.
    pub code: u16,
    /// A personal invite with the end of its life, when this person can only be invited.
    pub invite: Option<(String, Option<api::Timestamp>)>,
}

impl From<Outcome> for api::update_participants_response::Outcome {
    fn from(outcome: Outcome) -> Self {
        let (invite_code, invite_expire_time) = outcome.invite.unwrap_or_default();
        let (person, code) = (Some(outcome.person), u32::from(outcome.code));
        api::update_participants_response::Outcome { person, code, invite_code, invite_expire_time }
    }
}

pub(super) fn outcomes(list: &Stanza) -> Vec<Outcome> {
    let read = |one: &Stanza| {
        let code = |key| one.number(key).and_then(|code| u16::try_from(code).ok());
        let invite = one.child("add_request").and_then(|request| {
            Some((request.text("code")?.into_owned(), groups::time(request, "expiration")))
        });
        Outcome {
            person: groups::participant(one).person.unwrap_or_default(),
            code: code("error").or(code("type")).unwrap_or(200),
            invite,
        }
    };
    list.all_named("participant").map(read).collect()
}

/// Adds, removes, promotes or demotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMembers {
    /// Which group.
    pub group: Jid,
    /// What to do.
    pub act: Act,
    /// With whom.
    pub members: Vec<Jid>,
    /// Of a community: with its groups too.
    pub linked: bool,
}

impl Question for ChangeMembers {
    /// One for each that WhatsApp speaks of.
    type Answer = Vec<Outcome>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let change = Builder::new(self.act.tag()).children(participants(&self.members));
        set(self.group.clone(), if self.linked { change.attr("linked_groups", "true") } else { change })
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        Ok(outcomes(answer.need_child(self.act.tag())?))
    }
}

/// Leaves a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroup {
    /// Which.
    pub group: Jid,
}

impl Question for LeaveGroup {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let group = Builder::new("group").attr("id", self.group.clone()).build();
        set(all_groups(), Builder::new("leave").children([group]))
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Asks who waits to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListJoinRequests {
    /// Which group.
    pub group: Jid,
}

/// Somebody who waits.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRequest {
    /// Who.
    pub person: api::Person,
    /// Since when.
    pub since: Option<api::Timestamp>,
}

impl Question for ListJoinRequests {
    type Answer = Vec<JoinRequest>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(self.group.clone(), Builder::new("membership_approval_requests"))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let list = answer.need_child("membership_approval_requests")?;
        let read = |request: &Stanza| JoinRequest {
            person: groups::participant(request).person.unwrap_or_default(),
            since: groups::time(request, "request_time"),
        };
        Ok(list.all_named("membership_approval_request").map(read).collect())
    }
}

/// Lets people in who wait, or turns them down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerJoinRequests {
    /// Which group.
    pub group: Jid,
    /// Let them in.
    pub approve: bool,
    /// Whom.
    pub people: Vec<Jid>,
}

impl Question for AnswerJoinRequests {
    type Answer = Vec<Outcome>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let answer = Builder::new(if self.approve { "approve" } else { "reject" });
        let answer = answer.children(participants(&self.people)).build();
        set(self.group.clone(), Builder::new("membership_requests_action").children([answer]))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let action = answer.need_child("membership_requests_action")?;
        Ok(outcomes(action.need_child(if self.approve { "approve" } else { "reject" })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_in_every_clients_spelling() {
        let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
        let question = ChangeMembers {
            group,
            act: Act::Add,
            members: vec![Jid::lid("1"), Jid::lid("2")],
            linked: false,
        };
        let done = Builder::new("participant").attr("jid", Jid::lid("1")).attr("type", 200u16).build();
        let request = Builder::new("add_request").attr("code", "abc").attr("expiration", 60u8).build();
        let invited = Builder::new("participant").attr("jid", Jid::lid("2")).attr("error", 403u16);
        let add = Builder::new("add").children([done, invited.children([request]).build()]).build();
        let read = question.read(&Builder::new("iq").children([add]).build()).expect("complete");
        assert_eq!((read[0].code, read[1].code), (200, 403));
        assert_eq!(read[1].invite.as_ref().map(|(code, _)| code.as_str()), Some("abc"));
        assert!(question.read(&Builder::new("iq").build()).is_err());
    }
}
