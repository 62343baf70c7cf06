//! Questions about groups: making, reading, changing them, who is in them, and what leads into them.
//!
//! Rules: `w:g2` as whatsmeow and Baileys agree on it. A group is always a JID here.

mod community;
mod create;
mod invites;
mod members;
mod newcomers;
mod reports;
mod settings;

pub use community::{
    DeactivateCommunity, JoinSubgroup, LinkGroup, ListCommunityParticipants, ListSubgroups, PreviewSubgroup,
};
pub use create::CreateGroup;
pub use invites::{
    CancelJoinRequest, Door, Invite, JoinGroup, Joined, Personal, PreviewInvite, RevokeInvites,
};
pub use members::{
    Act, AnswerJoinRequests, ChangeMembers, JoinRequest, LeaveGroup, ListJoinRequests, Outcome,
};
pub(super) use newcomers::{give_tokens, newcomers};
pub use reports::{ListReportedMessages, ReportMessages};
pub use settings::{SetGroup, Setting};

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
        // Some answers have communities beside the groups, others among them.
        let list = answer.child("communities").map(|list| list.all_named("community"));
        let communities = list.into_iter().flatten().map(|stanza| {
            let group = groups::group(stanza);
            api::Group { community: true, ..group }
        });
        let groups = match answer.child("communities") {
            Some(_) => answer.child("groups"),
            None => Some(answer.need_child("groups")?),
        };
        let groups = groups.into_iter().flat_map(|list| list.all_named("group")).map(groups::group);
        Ok(groups.chain(communities).collect())
    }
}
