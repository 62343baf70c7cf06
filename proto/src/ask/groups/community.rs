//! Communities: which groups are in them, who is in those, and how they end.

use super::{get, set};
use crate::api;
use crate::ask::Question;
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Links a group to a community, or ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkGroup {
    /// The community.
    pub community: Jid,
    /// The group.
    pub group: Jid,
    /// End it.
    pub unlink: bool,
    /// With that: who is in no other group of the community leaves it.
    pub remove_orphans: bool,
}

impl Question for LinkGroup {
    /// The code with which WhatsApp has refused this group, if it has.
    type Answer = Option<u16>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mut group = Builder::new("group").attr("jid", self.group.clone());
        if self.unlink && self.remove_orphans {
            group = group.attr("remove_orphaned_members", "true");
        }
        let group = group.build();
        let child = match self.unlink {
            true => Builder::new("unlink").attr("unlink_type", "sub_group").children([group]),
            false => {
                let link = Builder::new("link").attr("link_type", "sub_group").children([group]).build();
                Builder::new("links").children([link])
            }
        };
        set(self.community.clone(), child)
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let link = answer.child("links").and_then(|links| links.child("link"));
        let group = link.or_else(|| answer.child("unlink")).and_then(|list| list.child("group"));
        Ok(group.and_then(|group| u16::try_from(group.number("error")?).ok()))
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

fn linked_group(answer: &Stanza) -> Result<api::Group, Missing> {
    Ok(groups::group(answer.need_child("linked_group")?.need_child("group")?))
}

/// Asks what a group of a community is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewSubgroup {
    /// The community.
    pub community: Jid,
    /// The group.
    pub group: Jid,
}

impl Question for PreviewSubgroup {
    type Answer = api::Group;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        let query = Builder::new("query_linked").attr("type", "sub_group").attr("jid", self.group.clone());
        get(self.community.clone(), query)
    }

    fn read(&self, answer: &Stanza) -> Result<api::Group, Missing> {
        linked_group(answer)
    }
}

/// Joins a group of a community that the account is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinSubgroup {
    /// The community.
    pub community: Jid,
    /// The group.
    pub group: Jid,
}

impl Question for JoinSubgroup {
    type Answer = api::Group;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        set(self.community.clone(), Builder::new("join_linked_group").attr("jid", self.group.clone()))
    }

    fn read(&self, answer: &Stanza) -> Result<api::Group, Missing> {
        linked_group(answer)
    }
}

/// Asks who is in any group of a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCommunityParticipants {
    /// The community.
    pub community: Jid,
}

impl Question for ListCommunityParticipants {
    type Answer = Vec<api::Person>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get(self.community.clone(), Builder::new("linked_groups_participants"))
    }

    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing> {
        let list = answer.need_child("linked_groups_participants")?;
        // They come in one list, or group by group.
        let by_group = list.all_named("group").flat_map(|group| group.all_named("participant"));
        let all = list.all_named("participant").chain(by_group);
        let mut people: Vec<api::Person> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for person in all.filter_map(|one| groups::participant(one).person) {
            if seen.insert((person.lid.clone(), person.phone_number.clone())) {
                people.push(person);
            }
        }
        Ok(people)
    }
}

/// Ends a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivateCommunity {
    /// Which.
    pub community: Jid,
}

impl Question for DeactivateCommunity {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        set(self.community.clone(), Builder::new("delete_parent"))
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(digit: char) -> Jid {
        format!("12036300000000000{digit}@g.us").parse().expect("a JID")
    }

    #[test]
    fn a_group_that_cannot_be_linked_is_told_by_its_code() {
        let question =
            LinkGroup { community: jid('1'), group: jid('2'), unlink: false, remove_orphans: false };
        let group = Builder::new("group").attr("jid", jid('2')).attr("error", 403u16).build();
        let link = Builder::new("link").attr("link_type", "sub_group").children([group]).build();
        let links = Builder::new("links").children([link]).build();
        assert_eq!(question.read(&Builder::new("iq").children([links]).build()), Ok(Some(403)));
        assert_eq!(question.read(&Builder::new("iq").build()), Ok(None));
    }

    #[test]
    fn everybody_in_a_community_is_told_once() {
        let member = |lid| Builder::new("participant").attr("jid", Jid::lid(lid)).build();
        let group = |members: [Stanza; 2]| Builder::new("group").children(members).build();
        let groups = [group([member("1"), member("2")]), group([member("2"), member("3")])];
        let list = Builder::new("linked_groups_participants").children(groups).build();
        let question = ListCommunityParticipants { community: jid('1') };
        let people = question.read(&Builder::new("iq").children([list]).build()).expect("complete");
        let people: Vec<_> = people.iter().map(|person| person.lid.as_str()).collect();
        assert_eq!(people, ["1@lid", "2@lid", "3@lid"]);
    }
}
