//! What notifications of type `w:gp2` say of groups.
//!
//! What must hold: a change that we do not know is named, not dropped. Rules: what whatsmeow, Baileys and
//! whatsapp-rust know of these notifications.

use super::{MOST, approves, everybody, participant, person, time, timer};
use crate::api;
use crate::api::group_changed::links::Kind;
use crate::api::group_changed::{Action, Change, GrowthLock, Links, Participants};
use crate::stanza::{Read, Server, Stanza};

/// One for each thing that changed.
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
    let people = |action| participants(child, action);
    // Who leaves is removed by himself, and who asks no more has taken his request back himself.
    let sent_away = |action, by_himself: Action| {
        let mut told = people(action);
        if matches!((&told.people[..], author), ([one], Some(author)) if same(one, author)) {
            told.action = by_himself.into();
        }
        told
    };
    match &*child.tag {
        "add" => Change::Participants(people(Action::Added)),
        "remove" => Change::Participants(sent_away(Action::Removed, Action::Left)),
        "promote" => Change::Participants(people(Action::Promoted)),
        "demote" => Change::Participants(people(Action::Demoted)),
        "modify" => Change::Participants(people(Action::ChangedNumber)),
        "linked_group_promote" => Change::Participants(people(Action::PromotedEverywhere)),
        "linked_group_demote" => Change::Participants(people(Action::DemotedEverywhere)),
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
        "revoke" => Change::InvitesRevoked(people(Action::Uninvited)),
        "growth_locked" => {
            Change::GrowthLock(GrowthLock { locked: true, end_time: time(child, "expiration") })
        }
        "growth_unlocked" => Change::GrowthLock(GrowthLock::default()),
        "member_add_mode" => Change::MembersAdd(everybody(child)),
        "member_link_mode" => Change::MembersLink(everybody(child)),
        "member_share_group_history_mode" => Change::MembersShareHistory(everybody(child)),
        "membership_approval_mode" => Change::Approval(approves(child)),
        "group_history" => Change::History(true),
        "no_group_history" => Change::History(false),
        "allow_admin_reports" => Change::AdminReports(true),
        "not_allow_admin_reports" => Change::AdminReports(false),
        "no_frequently_forwarded" => Change::NoFrequentlyForwarded(true),
        "frequently_forwarded_ok" => Change::NoFrequentlyForwarded(false),
        "limit_sharing_enabled" => Change::LimitSharing(true),
        "not_limit_sharing_enabled" => Change::LimitSharing(false),
        "allow_non_admin_sub_group_creation" => Change::MembersCreateSubgroups(true),
        "not_allow_non_admin_sub_group_creation" => Change::MembersCreateSubgroups(false),
        "suspended" => Change::Suspended(true),
        "unsuspended" => Change::Suspended(false),
        "reports" => Change::Reported(true),
        "create" => {
            let group = child.child("group").or_else(|| child.child("community"));
            Change::Joined(group.and_then(|group| group.text("subject")).unwrap_or_default().into_owned())
        }
        "delete" => Change::Deleted(true),
        "created_membership_requests" | "membership_approval_request" => {
            let mut asking = people(Action::Requested);
            if asking.people.is_empty() {
                asking.people.extend(author.cloned());
            }
            Change::Requests(asking)
        }
        "revoked_membership_requests" => Change::Requests(sent_away(Action::TurnedDown, Action::Withdrawn)),
        "link" | "unlink" => Change::Links(links(child)),
        other => Change::Other(other.chars().take(64).collect()),
    }
}

fn participants(child: &Stanza, action: Action) -> Participants {
    let named = |tag| child.all_named(tag).filter_map(|one| participant(one).person);
    let people = named("participant").chain(named("requested_user")).take(MOST).collect();
    let reason = child.text("reason").or(child.text("request_method")).unwrap_or_default();
    Participants { action: action.into(), people, reason: reason.chars().take(64).collect() }
}

fn links(child: &Stanza) -> Links {
    let id = |group: &Stanza| match (group.jid("jid"), group.text("id")) {
        (Some(jid), _) => Some(jid.to_string()),
        (None, id) => id.map(|id| format!("{id}@g.us")),
    };
    let kind = match child.text("link_type").or(child.text("unlink_type")).as_deref() {
        Some("sub_group") => Kind::Subgroup,
        Some("parent_group") => Kind::Community,
        Some("sibling_group") => Kind::Sibling,
        _ => Kind::Unspecified,
    };
    Links {
        groups: child.all_named("group").take(MOST).filter_map(id).collect(),
        unlinked: child.tag == "unlink",
        kind: kind.into(),
        deactivated: child.text("unlink_reason").as_deref() == Some("delete_parent"),
    }
}

fn same(one: &api::Person, other: &api::Person) -> bool {
    let equal = |one: &str, other: &str| !one.is_empty() && one == other;
    equal(&one.lid, &other.lid) || equal(&one.phone_number, &other.phone_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Builder, Jid};

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
    fn who_goes_by_himself_is_told_from_who_is_sent_away() {
        let action = |tag, lid| match only(Builder::new(tag).children([member(lid)])) {
            Change::Participants(participants) | Change::Requests(participants) => participants.action(),
            other => panic!("{other:?}"),
        };
        assert_eq!(action("remove", "111111"), Action::Left);
        assert_eq!(action("remove", "222222"), Action::Removed);
        assert_eq!(action("revoked_membership_requests", "111111"), Action::Withdrawn);
        assert_eq!(action("revoked_membership_requests", "222222"), Action::TurnedDown);
    }

    #[test]
    fn who_asks_to_be_let_in_is_the_author_or_whom_he_asks_for() {
        let asking = |child| match only(child) {
            Change::Requests(asking) => asking,
            other => panic!("{other:?}"),
        };
        let tag = "created_membership_requests";
        let himself = asking(Builder::new(tag).attr("request_method", "invite_link"));
        assert_eq!((himself.people[0].lid.as_str(), himself.reason.as_str()), ("111111@lid", "invite_link"));
        let user = Builder::new("requested_user").attr("jid", Jid::lid("222222")).build();
        assert_eq!(asking(Builder::new(tag).children([user])).people[0].lid, "222222@lid");
    }

    #[test]
    fn settings_are_read_from_their_tags() {
        assert_eq!(only(Builder::new("announcement")), Change::Announce(true));
        assert_eq!(only(Builder::new("unlocked")), Change::Locked(false));
        assert_eq!(only(Builder::new("not_allow_admin_reports")), Change::AdminReports(false));
        let shares = Builder::new("member_share_group_history_mode").bytes("all_member_share");
        assert_eq!(only(shares), Change::MembersShareHistory(true));
        let week = Builder::new("ephemeral").attr("expiration", 604_800u32);
        let duration = Some(api::Duration { seconds: 604_800, nanos: 0 });
        assert_eq!(only(week), Change::Disappearing(api::DisappearingTimer { duration }));
        assert_eq!(only(Builder::new("something_new")), Change::Other("something_new".into()));
    }

    #[test]
    fn a_link_says_what_the_other_group_is_and_why_it_ended() {
        let group = Builder::new("group").attr("id", "120363000000000002").build();
        let gone = Builder::new("unlink").attr("unlink_type", "parent_group");
        let gone = gone.attr("unlink_reason", "delete_parent").children([group]);
        let Change::Links(links) = only(gone) else { panic!("no links") };
        assert_eq!(links.groups, ["120363000000000002@g.us"]);
        assert!(links.unlinked && links.deactivated && links.kind() == Kind::Community);
    }
}
