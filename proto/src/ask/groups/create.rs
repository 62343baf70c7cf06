//! Making a group or a community, and finding one that was made when nobody has heard so.

use super::members::outcomes;
use super::{all_groups, participants, set};
use crate::ask::making::{Made, SKEW};
use crate::groups;
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Makes a group or a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateGroup {
    /// Its name.
    pub subject: String,
    /// Whom to add.
    pub members: Vec<Jid>,
    /// Make a community.
    pub community: bool,
    /// The community that it shall belong to.
    pub parent: Option<Jid>,
    /// Of a community: with a group in which all its members talk.
    pub general_chat: bool,
    /// Of a community: every member may make groups in it.
    pub members_create_subgroups: bool,
}

impl CreateGroup {
    /// The `<iq>` without an id. The notification of the new group names `key`.
    pub fn request(&self, key: &str) -> Stanza {
        let mut children = participants(&self.members);
        if self.community {
            let parent = Builder::new("parent").attr("default_membership_approval_mode", "request_required");
            children.push(parent.build());
            if self.members_create_subgroups {
                children.push(Builder::new("allow_non_admin_sub_group_creation").build());
            }
            if self.general_chat {
                children.push(Builder::new("create_general_chat").build());
            }
        }
        if let Some(parent) = &self.parent {
            children.push(Builder::new("linked_parent").attr("jid", parent.clone()).build());
        }
        let create = Builder::new("create").attr("subject", self.subject.clone()).attr("key", key.to_owned());
        set(all_groups(), create.children(children))
    }

    /// The group, and who could not be added, by the answer to the request.
    ///
    /// # Errors
    /// [`Missing`]: WhatsApp's answer lacks what the protocol promises.
    pub fn made(&self, answer: &Stanza) -> Result<Made, Missing> {
        let group = answer.child("group").or_else(|| answer.child("community"));
        let group = group.map_or_else(|| answer.need_child("group"), Ok)?;
        let left_out = outcomes(group).into_iter().filter(|outcome| outcome.code != 200);
        Ok(Made { jid: jid(group)?, left_out: left_out.map(Into::into).collect() })
    }

    /// Which of the account's groups may be it: those of its name that `is_own` made, not before `since` (seconds
    /// since 1970, give or take a minute). Oldest first.
    ///
    /// # Errors
    /// As [`Self::made`].
    pub fn found(
        &self,
        all: &Stanza,
        since: i64,
        is_own: impl Fn(&Jid) -> bool,
    ) -> Result<Vec<String>, Missing> {
        let lists = [("groups", "group"), ("communities", "community")];
        let lists = lists.map(|(list, one)| all.child(list).map(|list| (list, one)));
        if lists.iter().all(Option::is_none) {
            return Err(Missing { tag: all.tag.to_string(), what: "groups" });
        }
        let groups = lists.into_iter().flatten().flat_map(|(list, one)| list.all_named(one));
        let mut found: Vec<(i64, String)> = Vec::new();
        for group in groups.filter(|group| group.text("subject").as_deref() == Some(&*self.subject)) {
            let created = groups::time(group, "creation").map_or(0, |time| time.seconds);
            let creators = [group.jid("creator"), group.jid("creator_pn")];
            if created >= since - SKEW && creators.iter().flatten().any(&is_own) {
                found.push((created, jid(group)?));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, jid)| jid).collect())
    }
}

fn jid(group: &Stanza) -> Result<String, Missing> {
    let id = group.need_text("id")?;
    Ok(if id.contains('@') { id.into_owned() } else { format!("{id}@g.us") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> CreateGroup {
        let members = vec![Jid::lid("222222")];
        CreateGroup {
            subject: "Hens".to_owned(),
            members,
            community: false,
            parent: None,
            general_chat: false,
            members_create_subgroups: false,
        }
    }

    fn group(id: &'static str, subject: &'static str, creation: u32, creator: Jid) -> Stanza {
        let group = Builder::new("group").attr("id", id).attr("subject", subject);
        group.attr("creation", creation).attr("creator", creator).build()
    }

    #[test]
    fn what_was_made_is_found_by_its_name_its_maker_and_its_time() {
        let me = Jid::lid("111111");
        let groups = [
            group("4", "Hens", 1_000_030, me.clone()),
            group("3", "Hens", 999_990, me.clone()),
            group("2", "Hens", 900_000, me.clone()),
            group("5", "Geese", 1_000_000, me.clone()),
            group("6", "Hens", 1_000_000, Jid::lid("222222")),
        ];
        let groups = Builder::new("groups").children(groups).build();
        let community = Builder::new("community").attr("id", "7").attr("subject", "Hens");
        let community = community.attr("creation", 1_000_040u32).attr("creator", me.clone()).build();
        let communities = Builder::new("communities").children([community]).build();
        let all = Builder::new("iq").children([groups, communities]).build();
        let found = create().found(&all, 1_000_000, |jid| *jid == me).expect("complete");
        assert_eq!(found, ["3@g.us", "4@g.us", "7@g.us"]);
        assert!(create().found(&Builder::new("iq").build(), 0, |_| true).is_err());
    }

    #[test]
    fn a_request_carries_the_key_that_its_group_is_told_by() {
        let request = create().request("3EB0AA");
        let asked = request.child("create").expect("one");
        assert_eq!(asked.text("key").as_deref(), Some("3EB0AA"));
        let answer = Builder::new("iq").children([group("1", "Hens", 0, Jid::lid("1"))]).build();
        assert_eq!(create().made(&answer).expect("complete"), Made::of("1@g.us"));
        assert!(create().made(&Builder::new("iq").build()).is_err());
    }

    #[test]
    fn who_could_not_be_added_to_a_new_group_is_told_with_his_invite() {
        let owner = Builder::new("participant").attr("jid", Jid::lid("1")).attr("type", "superadmin").build();
        let invite = Builder::new("add_request").attr("code", "abc").attr("expiration", 60u8).build();
        let strange = Builder::new("participant").attr("jid", Jid::lid("222222")).attr("error", 403u16);
        let group =
            Builder::new("group").attr("id", "1").children([owner, strange.children([invite]).build()]);
        let answer = Builder::new("iq").children([group.build()]).build();
        let made = create().made(&answer).expect("complete");
        assert_eq!(made.left_out.len(), 1, "the owner is in it");
        assert_eq!((made.left_out[0].code, made.left_out[0].invite_code.as_str()), (403, "abc"));
    }
}
