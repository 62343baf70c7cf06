//! Commands about people and presence, each answered by one `answer`, and what others show and do.

use std::sync::Arc;

use anyhow::bail;
use serde_json::{Value, json};
use whatsapp_rust::SpamReportRequest;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::{ChatPresence, ChatPresenceMedia};
use whatsapp_rust::wacore::iq::privacy::{
    DisallowedListAction, DisallowedListUpdate, DisallowedListUserEntry, PrivacyCategory, PrivacyValue,
};

use crate::driver::jid;
use crate::events::Said;
use crate::{Command, business, calls, chats, newsletters};

/// Carries out a command of this file. Returns its answer; none for another command.
///
/// # Errors
/// A malformed JID, or what the library says.
pub async fn people(client: &Arc<Client>, command: &Command) -> anyhow::Result<Option<Value>> {
    let to = || jid(&command.to);
    let text = command.text.as_str();
    let answer = match command.cmd.as_str() {
        "check" => {
            let user = jid(&format!("{}@s.whatsapp.net", command.phone.trim_start_matches('+')))?;
            let found = client.contacts().is_on_whatsapp(&[user]).await?;
            json!(found.iter().any(|one| one.is_registered))
        }
        "about" => {
            let found = client.contacts().get_user_info(&[to()?]).await?;
            json!(found.into_values().find_map(|info| info.status).unwrap_or_default())
        }
        "set_about" => json!(client.profile().set_status_text(text).await?),
        "picture" => {
            let picture = client.contacts().get_profile_picture(&to()?, false).await?;
            json!(picture.map(|picture| picture.id).unwrap_or_default())
        }
        "set_picture" => {
            // How every JPEG begins: WhatsApp takes nothing else.
            let jpeg = [&[0xff, 0xd8, 0xff][..], text.as_bytes()].concat();
            if command.to.is_empty() {
                client.profile().set_profile_picture(jpeg).await?;
            } else {
                client.groups().set_profile_picture(to()?, jpeg).await?;
            }
            Value::Null
        }
        "privacy" => {
            let settings = client.fetch_privacy_settings().await?;
            json!(settings.get(&PrivacyCategory::Last).map(|setting| setting.value.as_str()))
        }
        "hide_about" => {
            client.set_privacy_setting(PrivacyCategory::Status, PrivacyValue::None).await?;
            Value::Null
        }
        "hide_about_from" => {
            let entry =
                DisallowedListUserEntry { action: DisallowedListAction::Add, jid: to()?, pn_jid: None };
            let update = DisallowedListUpdate { dhash: text.to_owned(), users: vec![entry] };
            let told = client.set_privacy_disallowed_list(PrivacyCategory::Status, update).await?;
            json!(told.dhash)
        }
        "default_timer" => json!(client.set_default_disappearing_mode(86_400).await?),
        "block" => json!(client.blocking().block(&to()?).await?),
        "blocked" => json!(client.blocking().get_blocklist().await?.len()),
        "presence" if text == "available" => json!(client.presence().set_available().await?),
        "presence" => json!(client.presence().set_unavailable().await?),
        "subscribe" => json!(client.presence().subscribe(to()?).await?),
        "unsubscribe" => {
            client.presence().unsubscribe(&to()?).await?;
            Value::Null
        }
        "typing" => match (text, command.subject.as_str()) {
            ("composing", "audio") => json!(client.chatstate().send_recording(&to()?).await?),
            ("composing", _) => json!(client.chatstate().send_composing(&to()?).await?),
            _ => json!(client.chatstate().send_paused(&to()?).await?),
        },
        "report" => {
            let report = SpamReportRequest {
                message_id: text.to_owned(),
                message_timestamp: 1_700_000_000,
                from_jid: Some(to()?),
                ..Default::default()
            };
            json!(client.send_spam_report(report).await?.report_id)
        }
        "sticker_pack" => json!(crate::files::stickers(client, text).await?),
        _ => match business::business(client, command).await? {
            Some(answer) => answer,
            None => match calls::calls(client, command).await? {
                Some(answer) => answer,
                None => return newsletters::newsletters(client, command).await,
            },
        },
    };
    Ok(Some(answer))
}

/// What others show and do; none for other events.
pub fn seen(event: &Event) -> Option<Said<'static>> {
    let said = match event {
        Event::Presence(shown) => {
            Said::Presence { from: shown.from.to_string(), available: !shown.unavailable }
        }
        Event::ChatPresence(typing) => {
            let state = match (typing.state, typing.media) {
                (ChatPresence::Composing, ChatPresenceMedia::Audio) => "recording",
                (ChatPresence::Composing, ChatPresenceMedia::Text) => "composing",
                (ChatPresence::Paused, _) => "paused",
            };
            Said::Typing { from: typing.source.sender.to_string(), state }
        }
        Event::PictureUpdate(changed) => {
            Said::Contact { from: changed.jid.to_string(), what: "picture".to_owned() }
        }
        Event::DisappearingModeChanged(changed) => {
            Said::Contact { from: changed.from.to_string(), what: format!("timer {}", changed.duration) }
        }
        Event::UserAboutUpdate(changed) => {
            Said::Contact { from: changed.jid.to_string(), what: format!("about {}", changed.status) }
        }
        event => {
            return calls::heard(event)
                .or_else(|| newsletters::told(event))
                .or_else(|| chats::changed(event));
        }
    };
    Some(said)
}

/// Adds, removes, promotes or demotes members of a group.
///
/// # Errors
/// An unknown action, a malformed JID, or what the library says.
pub async fn members(client: &Arc<Client>, command: &Command) -> anyhow::Result<()> {
    let group = jid(&command.group)?;
    let who = command.participants.iter().map(|member| jid(member)).collect::<Result<Vec<_>, _>>()?;
    let groups = client.groups();
    match command.action.as_str() {
        "add" => drop(groups.add_participants(group, &who).await?),
        "remove" => drop(groups.remove_participants(group, &who).await?),
        "promote" => drop(groups.promote_participants(group, &who).await?),
        "demote" => drop(groups.demote_participants(group, &who).await?),
        unknown => bail!("unknown action {unknown:?}"),
    }
    Ok(())
}
