//! Commands about settings of groups, communities and personal invites, each answered by one `answer`.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use whatsapp_rust::features::{
    CreateCommunityOptions, MemberAddMode, MemberLinkMode, MemberShareHistoryMode, MembershipApprovalMode,
};
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::iq::privacy::{PrivacyCategory, PrivacyValue};

use crate::Command;
use crate::driver::{jid, jids};

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, or what the library says.
pub async fn groups(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let to = || jid(&command.to);
    let (groups, community) = (client.groups(), client.community());
    let answer = match command.cmd.as_str() {
        "group_set" => {
            set(client, &to()?, &command.what, command.on).await?;
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
