//! Commands about groups, communities and ways into them, each answered by one `answer`, and what others change of groups.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use whatsapp_rust::RevokeType;
use whatsapp_rust::features::{
    CreateCommunityOptions, GroupDescription, GroupSubject, MemberAddMode, MemberLinkMode,
    MemberShareHistoryMode, MembershipApprovalMode, PreviousDescription,
};
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::iq::privacy::{PrivacyCategory, PrivacyValue};
use whatsapp_rust::wacore::stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo};

use crate::Command;
use crate::driver::{jid, jids};
use crate::events::Said;

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, or what the library says.
pub async fn groups(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let to = || jid(&command.to);
    let (groups, community) = (client.groups(), client.community());
    let text = command.text.as_str();
    let answer = match command.cmd.as_str() {
        "group_set" => {
            match command.what.as_str() {
                "subject" => groups.set_subject(to()?, GroupSubject::new(text)?).await?,
                "description" => {
                    let about = Some(GroupDescription::new(text)?);
                    groups.set_description(to()?, about, PreviousDescription::Resolve).await?
                }
                "timer" => groups.set_ephemeral(to()?, text.parse()?).await?,
                what => set(client, &to()?, what, command.on).await?,
            }
            Value::Null
        }
        // The settings that are on, in words.
        "group_shows" => {
            let shown = groups.get_metadata(&to()?).await?;
            let words = [
                ("admin_reports", shown.allow_admin_reports),
                ("announce", shown.is_announcement),
                ("approval", shown.membership_approval),
                ("history", shown.has_group_history),
                ("limit_sharing", shown.is_limit_sharing_enabled),
                ("locked", shown.is_locked),
                ("members_add", shown.member_add_mode == Some(MemberAddMode::AllMemberAdd)),
                ("members_link", shown.member_link_mode == Some(MemberLinkMode::AllMemberLink)),
                (
                    "members_share_history",
                    shown.member_share_history_mode == Some(MemberShareHistoryMode::AllMemberShare),
                ),
                ("no_frequently_forwarded", shown.no_frequently_forwarded),
            ];
            json!(words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect::<Vec<_>>())
        }
        "community" => {
            let made = community.create(CreateCommunityOptions::new(&command.text)).await?;
            json!(made.metadata.id.to_string())
        }
        "subgroup" => {
            let members = jids(&command.participants)?;
            let made = community.create_subgroup(&command.text, &members, to()?).await?;
            json!(made.metadata.id.to_string())
        }
        "link" => {
            let group = [jid(&command.group)?];
            let failed = match command.on {
                true => community.link_subgroups(to()?, &group).await?.failed_groups,
                false => community.unlink_subgroups(to()?, &group, false).await?.failed_groups,
            };
            if let Some((_, code)) = failed.first() {
                bail!("refused with {code}");
            }
            Value::Null
        }
        "community_people" => json!(community.get_linked_groups_participants(to()?).await?.len()),
        "linked_group" => {
            json!(community.query_linked_group(to()?, jid(&command.group)?).await?.subject)
        }
        "join_subgroup" => json!(community.join_subgroup(to()?, jid(&command.group)?).await?.subject),
        "deactivate" => json!(community.deactivate(to()?).await?),
        "member_label" => {
            groups.update_member_label(to()?, &command.text).await?;
            Value::Null
        }
        "only_invited" => {
            client.set_privacy_setting(PrivacyCategory::GroupAdd, PrivacyValue::None).await?;
            Value::Null
        }
        "join_requests" => json!(groups.get_membership_requests(to()?).await?.len()),
        "join" => {
            groups.join_with_invite_code(&command.text).await?;
            Value::Null
        }
        "answer_join" => {
            let (to, who) = (to()?, jids(&command.participants)?);
            let done = match command.on {
                true => groups.approve_membership_requests(to, &who).await?,
                false => groups.reject_membership_requests(to, &who).await?,
            };
            if let Some(code) = done.first().and_then(|one| one.error.as_deref()) {
                bail!("refused with {code}");
            }
            Value::Null
        }
        "leave" => {
            groups.leave(to()?).await?;
            Value::Null
        }
        "group_link" => {
            let link = groups.get_invite_link(to()?, command.on).await?;
            json!(link.rsplit('/').next())
        }
        "cancel_join" => {
            let own = jid(&command.sender)?;
            json!(groups.cancel_membership_requests(to()?, &[own]).await?.len())
        }
        "invite_join" => {
            let expiration = command.about.parse().context("about is not a number")?;
            let inviter = jid(&command.sender)?;
            groups.join_with_invite_v4(to()?, &command.text, expiration, inviter).await?;
            Value::Null
        }
        "invite_revoke" => {
            json!(groups.revoke_request_code(to()?, &[jid(&command.sender)?]).await?.len())
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// As whom a message is revoked: one that was heard as an admin, any other as its sender.
pub fn revoked_by(heard: Option<&InboundMessage>) -> RevokeType {
    let by_admin =
        |of: &InboundMessage| RevokeType::Admin { original_sender: of.info.source.sender.to_non_ad() };
    heard.map_or(RevokeType::Sender, by_admin)
}

/// What others have changed of a group: who is concerned by it, one each.
pub fn changed(event: &Event) -> Vec<Said<'static>> {
    let Event::GroupUpdate(update) = event else { return Vec::new() };
    let say = |what, on, text: &str| Said::Chat {
        what,
        chat: update.group_jid.to_string(),
        on,
        text: text.to_owned(),
    };
    let each = |what, on, who: &[GroupParticipantInfo]| {
        who.iter().map(|one| say(what, on, &one.jid.to_string())).collect::<Vec<_>>()
    };
    match &update.action {
        Action::Subject { subject, .. } => vec![say("subject", true, subject)],
        Action::Description { description, .. } => {
            vec![say("description", description.is_some(), description.as_deref().unwrap_or_default())]
        }
        Action::Ephemeral { expiration, .. } => vec![say("timer", *expiration > 0, &expiration.to_string())],
        Action::Announce => vec![say("announce", true, "")],
        Action::NotAnnounce => vec![say("announce", false, "")],
        Action::Locked { .. } => vec![say("locked", true, "")],
        Action::Unlocked => vec![say("locked", false, "")],
        Action::MembershipApprovalMode { enabled } => vec![say("approval", *enabled, "")],
        Action::MemberAddMode { mode } => vec![say("members_add", mode == "all_member_add", "")],
        Action::Invite { code } => vec![say("group_link", true, code)],
        Action::Promote { participants } => each("admin", true, participants),
        Action::Demote { participants } => each("admin", false, participants),
        Action::Add { participants, .. } => each("member", true, participants),
        Action::Remove { participants, .. } => each("member", false, participants),
        Action::CreatedMembershipRequests { requests, .. } => each("join_request", true, requests),
        Action::RevokedMembershipRequests { participants } => {
            participants.iter().map(|one| say("join_request", false, &one.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

async fn set(client: &Arc<Client>, group: &Jid, what: &str, on: bool) -> anyhow::Result<()> {
    let groups = client.groups();
    match (what, on) {
        ("announce", on) => groups.set_announce(group, on).await?,
        ("locked", on) => groups.set_locked(group, on).await?,
        ("history", on) => groups.set_group_history(group, on).await?,
        ("admin_reports", on) => groups.set_allow_admin_reports(group, on).await?,
        ("no_frequently_forwarded", on) => groups.set_no_frequently_forwarded(group, on).await?,
        ("limit_sharing", on) => groups.set_limit_sharing(group, on).await?,
        ("approval", true) => groups.set_membership_approval(group, MembershipApprovalMode::On).await?,
        ("approval", false) => groups.set_membership_approval(group, MembershipApprovalMode::Off).await?,
        ("members_add", true) => groups.set_member_add_mode(group, MemberAddMode::AllMemberAdd).await?,
        ("members_add", false) => groups.set_member_add_mode(group, MemberAddMode::AdminAdd).await?,
        ("members_link", true) => groups.set_member_link_mode(group, MemberLinkMode::AllMemberLink).await?,
        ("members_link", false) => groups.set_member_link_mode(group, MemberLinkMode::AdminLink).await?,
        ("members_share_history", true) => {
            groups.set_member_share_history_mode(group, MemberShareHistoryMode::AllMemberShare).await?
        }
        ("members_share_history", false) => {
            groups.set_member_share_history_mode(group, MemberShareHistoryMode::AdminShare).await?
        }
        (unknown, _) => bail!("unknown setting {unknown:?}"),
    }
    Ok(())
}
