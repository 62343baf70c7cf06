//! Groups as WhatsApp describes them, as the public schema has it; what notifications say of them is `changes`.
//!
//! What must hold: reading is tolerant, and what is missing is left out.

mod changes;

pub use changes::changes;

use crate::api;
use crate::api::group::{Participant, Role};
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
            members_add: stanza.child("member_add_mode").is_some_and(everybody),
            approval: stanza.child("membership_approval_mode").is_some_and(approves),
            members_link: stanza.child("member_link_mode").is_some_and(everybody),
            history: stanza.child("group_history").is_some(),
            members_share_history: stanza.child("member_share_group_history_mode").is_some_and(everybody),
            admin_reports: stanza.child("allow_admin_reports").is_some(),
            no_frequently_forwarded: stanza.child("no_frequently_forwarded").is_some(),
            limit_sharing: stanza.child("limit_sharing_enabled").is_some(),
            members_create_subgroups: stanza.child("allow_non_admin_sub_group_creation").is_some(),
        }),
        community: stanza.child("parent").is_some(),
        parent: stanza
            .child("linked_parent")
            .and_then(|parent| parent.jid("jid"))
            .map(|jid| jid.to_string())
            .unwrap_or_default(),
        announcements_of_community: stanza.child("default_sub_group").is_some(),
        general_chat_of_community: stanza.child("general_chat").is_some(),
        suspended: stanza.child("suspended").is_some(),
        left_out: Vec::new(),
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

fn timer(stanza: &Stanza) -> Option<api::Duration> {
    let seconds = i64::try_from(stanza.number("expiration")?).ok()?;
    (seconds > 0).then_some(api::Duration { seconds, nanos: 0 })
}

/// Whether a mode gives every member what admins have: `all_member_add`, `all_member_link`, `all_member_share`.
fn everybody(mode: &Stanza) -> bool {
    mode.leaf_text().is_some_and(|mode| mode.starts_with("all_member_"))
}

fn approves(mode: &Stanza) -> bool {
    mode.child("group_join").and_then(|join| join.text("state")).as_deref() == Some("on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Builder;

    fn member(lid: &str) -> Stanza {
        Builder::new("participant").attr("jid", Jid::lid(lid)).build()
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
                Builder::new("member_link_mode").bytes("all_member_link").build(),
                Builder::new("member_share_group_history_mode").bytes("admin_share").build(),
                Builder::new("limit_sharing_enabled").attr("trigger", 1u8).build(),
            ])
            .build();
        let read = group(&stanza);
        assert_eq!((read.group.as_str(), read.subject.as_str()), ("120363000000000001@g.us", "Hens"));
        assert_eq!((read.description.as_str(), read.size), ("what for", 2));
        assert_eq!(read.participants[0].role(), Role::SuperAdmin);
        let settings = read.settings.expect("settings");
        assert!(settings.announce && !settings.locked);
        assert!(settings.members_link && !settings.members_share_history && settings.limit_sharing);
    }
}
