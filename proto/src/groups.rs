//! Groups as WhatsApp describes them, and what its notifications say of them, as the public schema has it.
//!
//! What must hold: reading is tolerant; what is missing is left out, and a change that we do not know is
//! named, not dropped.

use crate::api;
use crate::api::group::{Participant, Role};
use crate::api::group_changed::{Action, Change, Links, Participants};
use crate::stanza::{Jid, Read, Server, Stanza};

/// The most participants that are read of one stanza.
const MOST: usize = 4_096;

/// A `<group>`.
pub fn group(stanza: &Stanza) -> api::Group {
    let id = stanza.text("id").unwrap_or_default();
    let group = if id.is_empty() || id.contains('@') { id.into_owned() } else { format!("{id}@g.us") };
    let participants: Vec<Participant> =
        stanza.all_named("participant").take(MOST).map(participant).collect();
    let description = stanza.child("description").and_then(|about| about.child("body")?.leaf_text());
    let size = stanza.number("size").and_then(|size| i32::try_from(size).ok());
    let listed = i32::try_from(participants.len()).unwrap_or(i32::MAX);
    api::Group {
        group,
        subject: stanza.text("subject").unwrap_or_default().into_owned(),
        description: description.unwrap_or_default().to_owned(),
        owner: stanza.jid("creator").map(|jid| person(&[Some(jid), stanza.jid("creator_pn")])),
        create_time: time(stanza, "creation"),
        participants,
        size: size.unwrap_or(listed),
        settings: Some(api::GroupSettings {
            announce: stanza.child("announcement").is_some(),
            locked: stanza.child("locked").is_some(),
            disappearing: stanza.child("ephemeral").and_then(timer),
            members_add: stanza.child("member_add_mode").is_some_and(everybody_adds),
            approval: stanza.child("membership_approval_mode").is_some_and(approves),
        }),
        community: stanza.child("parent").is_some(),
        parent: stanza
            .child("linked_parent")
            .and_then(|parent| parent.jid("jid"))
            .map(|jid| jid.to_string())
            .unwrap_or_default(),
        announcements_of_community: stanza.child("default_sub_group").is_some(),
    }
}

/// What a notification of type `w:gp2` says, one for each thing that changed.
pub fn changes(notification: &Stanza) -> Vec<api::GroupChanged> {
    let Some(from) = notification.jid("from").filter(|from| from.server == Server::Group) else {
        return Vec::new();
    };
    let author_forms = [
        notification.jid("participant"),
        notification.jid("participant_pn"),
        notification.jid("participant_lid"),
    ];
    let author = Some(person(&author_forms)).filter(|person| *person != api::Person::default());
    let change = |child: &Stanza| api::GroupChanged {
        group: from.to_string(),
        author: author.clone(),
        change: Some(change(child, author.as_ref())),
    };
    notification.all().iter().map(change).collect()
}

fn change(child: &Stanza, author: Option<&api::Person>) -> Change {
    let participants = |action| {
        let people: Vec<api::Person> =
            child.all_named("participant").take(MOST).filter_map(|one| participant(one).person).collect();
        Participants { action: i32::from(action), people }
    };
    match &*child.tag {
        "add" => Change::Participants(participants(Action::Added)),
        "remove" => {
            let mut removed = participants(Action::Removed);
            // Somebody who leaves is removed by himself.
            if matches!((&removed.people[..], author), ([one], Some(author)) if same(one, author)) {
                removed.action = Action::Left.into();
            }
            Change::Participants(removed)
        }
        "promote" => Change::Participants(participants(Action::Promoted)),
        "demote" => Change::Participants(participants(Action::Demoted)),
        "subject" => Change::Subject(child.text("subject").unwrap_or_default().into_owned()),
        "description" => {
            let body = child.child("body").and_then(|body| body.leaf_text());
            Change::Description(body.unwrap_or_default().to_owned())
        }
        "announcement" => Change::Announce(true),
        "not_announcement" => Change::Announce(false),
        "locked" => Change::Locked(true),
        "unlocked" => Change::Locked(false),
        "ephemeral" => Change::Disappearing(api::DisappearingTimer { duration: timer(child) }),
        "not_ephemeral" => Change::Disappearing(api::DisappearingTimer { duration: None }),
        "invite" => Change::InviteCode(child.text("code").unwrap_or_default().into_owned()),
        "member_add_mode" => Change::MembersAdd(everybody_adds(child)),
        "membership_approval_mode" => Change::Approval(approves(child)),
        "create" => {
            let group = child.child("group");
            Change::Joined(group.and_then(|group| group.text("subject")).unwrap_or_default().into_owned())
        }
        "delete" => Change::Deleted(true),
        "created_membership_requests" => {
            let mut asking = participants(Action::Requested);
            if asking.people.is_empty() {
                asking.people.extend(author.cloned());
            }
            Change::Requests(asking)
        }
        "revoked_membership_requests" => Change::Requests(participants(Action::Withdrawn)),
        "link" | "unlink" => {
            let id = |group: &Stanza| match (group.jid("jid"), group.text("id")) {
                (Some(jid), _) => Some(jid.to_string()),
                (None, id) => id.map(|id| format!("{id}@g.us")),
            };
            let groups = child.all_named("group").take(MOST).filter_map(id).collect();
            Change::Links(Links { groups, unlinked: child.tag == "unlink" })
        }
        other => Change::Other(other.chars().take(64).collect()),
    }
}

/// A `<participant>`.
pub fn participant(stanza: &Stanza) -> Participant {
    let role = match stanza.text("type").as_deref() {
        Some("admin") => Role::Admin,
        Some("superadmin") => Role::SuperAdmin,
        _ => Role::Member,
    };
    let forms = ["jid", "lid", "phone_number"].map(|key| stanza.jid(key));
    Participant { person: Some(person(&forms)), role: role.into() }
}

/// A person by the forms in which a JID may have come.
pub fn person(forms: &[Option<Jid>]) -> api::Person {
    let find = |server| {
        let jid = forms.iter().flatten().find(|jid| jid.server == server);
        jid.map(|jid| jid.to_non_ad().to_string()).unwrap_or_default()
    };
    api::Person { lid: find(Server::Lid), phone_number: find(Server::Pn) }
}

/// A point in time that an attribute names in seconds.
pub fn time(stanza: &Stanza, key: &str) -> Option<api::Timestamp> {
    let seconds = i64::try_from(stanza.number(key)?).ok()?;
    Some(api::Timestamp { seconds, nanos: 0 })
}

fn same(one: &api::Person, other: &api::Person) -> bool {
    let equal = |one: &str, other: &str| !one.is_empty() && one == other;
    equal(&one.lid, &other.lid) || equal(&one.phone_number, &other.phone_number)
}

fn timer(stanza: &Stanza) -> Option<api::Duration> {
    let seconds = i64::try_from(stanza.number("expiration")?).ok()?;
    (seconds > 0).then_some(api::Duration { seconds, nanos: 0 })
}

fn everybody_adds(mode: &Stanza) -> bool {
    mode.leaf_text() == Some("all_member_add")
}

fn approves(mode: &Stanza) -> bool {
    mode.child("group_join").and_then(|join| join.text("state")).as_deref() == Some("on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Builder;

    fn notification(child: Builder) -> Stanza {
        let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
        Builder::new("notification")
            .attr("type", "w:gp2")
            .attr("from", group)
            .attr("participant", Jid::lid("111111"))
            .attr("participant_pn", Jid::pn("4915111111111"))
            .children([child.build()])
            .build()
    }

    fn only(child: Builder) -> Change {
        let mut read = changes(&notification(child));
        assert_eq!(read.len(), 1);
        read.remove(0).change.expect("a change")
    }

    fn member(lid: &str) -> Stanza {
        Builder::new("participant").attr("jid", Jid::lid(lid)).build()
    }

    #[test]
    fn who_leaves_is_told_from_who_is_removed() {
        let action = |lid| match only(Builder::new("remove").children([member(lid)])) {
            Change::Participants(participants) => participants.action(),
            other => panic!("{other:?}"),
        };
        assert_eq!(action("111111"), Action::Left);
        assert_eq!(action("222222"), Action::Removed);
    }

    #[test]
    fn settings_are_read_from_their_tags() {
        assert_eq!(only(Builder::new("announcement")), Change::Announce(true));
        assert_eq!(only(Builder::new("unlocked")), Change::Locked(false));
        let week = Builder::new("ephemeral").attr("expiration", 604_800u32);
        let duration = Some(api::Duration { seconds: 604_800, nanos: 0 });
        assert_eq!(only(week), Change::Disappearing(api::DisappearingTimer { duration }));
        assert_eq!(only(Builder::new("something_new")), Change::Other("something_new".into()));
    }

    #[test]
    fn a_group_is_read_whole() {
        let admin = Builder::new("participant")
            .attr("jid", Jid::lid("111111"))
            .attr("phone_number", Jid::pn("4915111111111"))
            .attr("type", "superadmin")
            .build();
        let body = Builder::new("body").bytes("what for").build();
        let stanza = Builder::new("group")
            .attr("id", "120363000000000001")
            .attr("subject", "Hens")
            .attr("creation", 1_700_000_000u32)
            .attr("addressing_mode", "lid")
            .children([
                admin,
                member("222222"),
                Builder::new("description").children([body]).build(),
                Builder::new("announcement").build(),
            ])
            .build();
        let read = group(&stanza);
        assert_eq!((read.group.as_str(), read.subject.as_str()), ("120363000000000001@g.us", "Hens"));
        assert_eq!((read.description.as_str(), read.size), ("what for", 2));
        assert_eq!(read.participants[0].role(), Role::SuperAdmin);
        let settings = read.settings.expect("settings");
        assert!(settings.announce && !settings.locked);
    }
}
