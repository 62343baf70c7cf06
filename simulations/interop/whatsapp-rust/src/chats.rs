//! Chats and settings of the account: what its devices know in common.

use std::sync::Arc;

use anyhow::bail;
use whatsapp_rust::prelude::*;
use whatsapp_rust::schemas;
use whatsapp_rust::waproto::whatsapp::sync_action_value::{
    PrivacySettingDisableLinkPreviewsAction, QuickReplyAction,
};

use crate::Command;
use crate::driver::jid;
use crate::events::Said;

/// Makes one change of a chat or a setting as a person would in the client.
///
/// # Errors
/// An unknown change, a malformed JID, or what the library says.
pub async fn change(client: &Arc<Client>, command: &Command) -> anyhow::Result<()> {
    let (actions, text) = (client.chat_actions(), command.text.as_str());
    let chat = || jid(&command.chat);
    match (command.what.as_str(), command.on) {
        ("mute", true) => actions.mute_chat(&chat()?).await?,
        ("mute", false) => actions.unmute_chat(&chat()?).await?,
        ("pin", true) => actions.pin_chat(&chat()?).await?,
        ("pin", false) => actions.unpin_chat(&chat()?).await?,
        ("archive", true) => actions.archive_chat(&chat()?, None).await?,
        ("archive", false) => actions.unarchive_chat(&chat()?, None).await?,
        ("read", read) => actions.mark_chat_as_read(&chat()?, read, None).await?,
        ("clear", _) => actions.clear_chat(&chat()?, true, false, None).await?,
        ("delete", _) => actions.delete_chat(&chat()?, false, None).await?,
        ("star", true) => actions.star_message(&chat()?, None, text, true).await?,
        ("star", false) => actions.unstar_message(&chat()?, None, text, true).await?,
        ("delete_for_me", _) => {
            let sent = Some(now() / 1000);
            actions.delete_message_for_me(&chat()?, None, text, true, false, sent).await?
        }
        ("contact", true) => actions.save_contact(&chat()?, Some(text.to_owned()), None, true).await?,
        ("label", true) => client.labels().create_label(&command.chat, text, 1).await?,
        ("label_chat", true) => client.labels().add_chat_label(text, &chat()?).await?,
        ("label_chat", false) => client.labels().remove_chat_label(text, &chat()?).await?,
        ("quick_reply", true) => {
            let mut value = wa::SyncActionValue { timestamp: Some(now()), ..Default::default() };
            value.quick_reply_action = MessageField::some(QuickReplyAction {
                shortcut: Some(command.chat.clone()),
                message: Some(text.to_owned()),
                deleted: Some(false),
                ..Default::default()
            });
            client.send_app_state_action(&schemas::QUICK_REPLY, &[&command.chat], &value).await?
        }
        ("status_mute", muted) => actions.set_user_status_mute(&chat()?, muted).await?,
        ("link_previews", disabled) => {
            let mut value = wa::SyncActionValue { timestamp: Some(now()), ..Default::default() };
            value.privacy_setting_disable_link_previews_action =
                MessageField::some(PrivacySettingDisableLinkPreviewsAction {
                    is_previews_disabled: Some(disabled),
                });
            client.send_app_state_action(&schemas::DISABLE_LINK_PREVIEWS, &[], &value).await?
        }
        ("push_name", _) => client.profile().set_push_name(text).await?,
        (unknown, _) => bail!("unknown change {unknown:?}"),
    }
    Ok(())
}

/// What others have changed; none for other events.
pub fn changed(event: &Event) -> Option<Said<'static>> {
    Some(match event {
        Event::MuteUpdate(it) => chat("mute", &it.jid, it.action.muted, ""),
        Event::PinUpdate(it) => chat("pin", &it.jid, it.action.pinned, ""),
        Event::ArchiveUpdate(it) => chat("archive", &it.jid, it.action.archived, ""),
        Event::MarkChatAsReadUpdate(it) => chat("read", &it.jid, it.action.read, ""),
        Event::ClearChatUpdate(it) => chat("clear", &it.jid, Some(true), ""),
        Event::DeleteChatUpdate(it) => chat("delete", &it.jid, Some(true), ""),
        Event::UserStatusMuteUpdate(it) => chat("status_mute", &it.jid, Some(it.muted), ""),
        Event::StarUpdate(it) => chat("star", &it.chat_jid, it.action.starred, &it.message_id),
        Event::DeleteMessageForMeUpdate(it) => {
            chat("delete_for_me", &it.chat_jid, Some(true), &it.message_id)
        }
        Event::ContactUpdate(it) => {
            chat("contact", &it.jid, Some(true), it.action.full_name.as_deref().unwrap_or_default())
        }
        Event::LabelEditUpdate(it) => {
            let (on, text) = (it.action.deleted != Some(true), it.action.name.clone().unwrap_or_default());
            Said::Chat { what: "label", chat: it.label_id.clone(), on, text }
        }
        Event::LabelAssociationUpdate(it) => {
            chat("label_chat", &it.chat_jid, it.action.labeled, &it.label_id)
        }
        Event::SelfPushNameUpdated(it) => {
            let (chat, text) = (String::new(), it.new_name.clone());
            Said::Chat { what: "push_name", chat, on: true, text }
        }
        _ => return None,
    })
}

fn chat(what: &'static str, chat: &Jid, on: Option<bool>, text: &str) -> Said<'static> {
    Said::Chat { what, chat: chat.to_string(), on: on.unwrap_or_default(), text: text.to_owned() }
}

/// Unix milliseconds.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}
