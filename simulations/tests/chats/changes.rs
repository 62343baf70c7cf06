//! One change of a chat or a setting: how a device is asked for it, and how its event tells of it.

use roost_proto::api;
use roost_proto::api::assign_label_request::To;
use roost_proto::api::chat_changed::Change;
use roost_proto::api::event::Payload;
use roost_proto::api::label_assigned::To as Labelled;
use roost_proto::api::setting_changed::Setting;
use roost_simulations::interop::Failure;

use super::World;

/// How app state names a message.
fn message(chat: String, whatsapp_id: String, from_me: bool) -> api::MessageKey {
    api::MessageKey { chat, whatsapp_id, from_me, sender: String::new() }
}

impl World {
    /// Makes one change through the API.
    pub(crate) async fn change(&self, what: &str, chat: &str, on: bool, text: &str) -> Result<(), Failure> {
        let (parent, chat, text) = (self.device.clone(), chat.to_owned(), text.to_owned());
        match what {
            "mute" => {
                let mute = api::Mute { until: Some(api::mute::Until::Forever(true)) };
                let wanted = api::MuteChatRequest { parent, chat, mute: on.then_some(mute) };
                self.cluster.ask(wanted, async |api, it| api.chats().mute_chat(it).await).await
            }
            "pin" => {
                let wanted = api::PinChatRequest { parent, chat, pinned: on };
                self.cluster.ask(wanted, async |api, it| api.chats().pin_chat(it).await).await
            }
            "archive" => {
                let wanted = api::ArchiveChatRequest { parent, chat, archived: on, ..Default::default() };
                self.cluster.ask(wanted, async |api, it| api.chats().archive_chat(it).await).await
            }
            "read" => {
                let wanted = api::MarkChatRequest { parent, chat, read: on, ..Default::default() };
                self.cluster.ask(wanted, async |api, it| api.chats().mark_chat(it).await).await
            }
            "star" => {
                let message = Some(message(chat, text, true));
                let wanted = api::StarMessageRequest { parent, message, starred: on };
                self.cluster.ask(wanted, async |api, it| api.chats().star_message(it).await).await
            }
            "push_name" => {
                let wanted = api::SetPushNameRequest { parent, push_name: text };
                self.cluster.ask(wanted, async |api, it| api.settings().set_push_name(it).await).await
            }
            "status_mute" => {
                let user = chat.trim_end_matches("@s.whatsapp.net").to_owned();
                let wanted = api::MuteStatusRequest { device: parent, user, muted: on };
                self.cluster.ask(wanted, async |api, it| api.statuses().mute_status(it).await).await.map(drop)
            }
            "link_previews" => {
                let wanted = api::SetLinkPreviewsRequest { parent, disabled: on };
                self.cluster.ask(wanted, async |api, it| api.settings().set_link_previews(it).await).await
            }
            "clear" => {
                let wanted = api::ClearChatRequest { parent, chat, ..Default::default() };
                self.cluster.ask(wanted, async |api, it| api.chats().clear_chat(it).await).await
            }
            "delete" => {
                let wanted = api::DeleteChatRequest { parent, chat, ..Default::default() };
                self.cluster.ask(wanted, async |api, it| api.chats().delete_chat(it).await).await
            }
            "delete_for_me" => {
                let wanted = api::DeleteMessageForMeRequest {
                    parent,
                    message: Some(message(chat, text, true)),
                    delete_media: false,
                    message_time: Some(api::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                };
                self.cluster.ask(wanted, async |api, it| api.chats().delete_message_for_me(it).await).await
            }
            "contact" if on => {
                let contact = api::ContactEntry { jid: chat, full_name: text, ..Default::default() };
                let wanted = api::SaveContactRequest { parent, contact: Some(contact) };
                self.cluster.ask(wanted, async |api, it| api.address_book().save_contact(it).await).await
            }
            "contact" => {
                let wanted = api::RemoveContactRequest { parent, jid: chat };
                self.cluster.ask(wanted, async |api, it| api.address_book().remove_contact(it).await).await
            }
            "label" => {
                let label = api::Label { id: chat, name: text, color: 1, deleted: !on, ..Default::default() };
                let wanted = api::EditLabelRequest { parent, label: Some(label) };
                self.cluster.ask(wanted, async |api, it| api.labels().edit_label(it).await).await
            }
            "label_chat" | "label_message" => {
                let (label, to) = match text.split_once(' ') {
                    None => (text, To::Chat(chat)),
                    Some((label, id)) => (label.to_owned(), To::Message(message(chat, id.to_owned(), false))),
                };
                let wanted = api::AssignLabelRequest { parent, label, to: Some(to), assigned: on };
                self.cluster.ask(wanted, async |api, it| api.labels().assign_label(it).await).await
            }
            "quick_reply" => {
                let reply = api::QuickReply {
                    id: chat.clone(),
                    shortcut: chat,
                    message: text,
                    keywords: Vec::new(),
                    deleted: !on,
                };
                let wanted = api::EditQuickReplyRequest { parent, quick_reply: Some(reply) };
                self.cluster.ask(wanted, async |api, it| api.settings().edit_quick_reply(it).await).await
            }
            other => unreachable!("{other} is no change"),
        }
    }
}

/// Whether this tells of such a change.
pub(crate) fn fits(payload: &Payload, what: &str, chat: &str, on: bool, text: &str) -> bool {
    match payload {
        Payload::ChatChanged(changed) if changed.chat == chat => match &changed.change {
            Some(Change::Mute(mute)) => what == "mute" && mute.until.is_some() == on,
            Some(Change::Pinned(pinned)) => what == "pin" && *pinned == on,
            Some(Change::Archived(archived)) => what == "archive" && *archived == on,
            Some(Change::Read(read)) => what == "read" && *read == on,
            Some(Change::Cleared(_)) => what == "clear",
            Some(Change::Deleted(_)) => what == "delete",
            None => false,
        },
        Payload::MessageStarred(starred) => {
            let message = starred.message.clone().unwrap_or_default();
            what == "star" && message.whatsapp_id == text && starred.starred == on
        }
        Payload::MessageDeletedForMe(deleted) => {
            let message = deleted.message.clone().unwrap_or_default();
            what == "delete_for_me" && (message.chat.as_str(), message.whatsapp_id.as_str()) == (chat, text)
        }
        Payload::ContactChanged(changed) => {
            let contact = changed.contact.clone().unwrap_or_default();
            what == "contact"
                && changed.removed != on
                && (contact.jid.as_str(), contact.full_name.as_str()) == (chat, text)
        }
        Payload::LabelChanged(changed) => {
            let label = changed.label.clone().unwrap_or_default();
            what == "label" && label.deleted != on && (label.id.as_str(), label.name.as_str()) == (chat, text)
        }
        Payload::LabelAssigned(assigned) => match &assigned.to {
            Some(Labelled::Chat(labelled)) => {
                what == "label_chat" && labelled == chat && assigned.label == text && assigned.assigned == on
            }
            Some(Labelled::Message(message)) => {
                what == "label_message"
                    && message.chat == chat
                    && format!("{} {}", assigned.label, message.whatsapp_id) == text
                    && assigned.assigned == on
            }
            None => false,
        },
        Payload::QuickReplyChanged(changed) => {
            let reply = changed.quick_reply.clone().unwrap_or_default();
            what == "quick_reply"
                && reply.deleted != on
                && (reply.id.as_str(), reply.message.as_str()) == (chat, text)
        }
        Payload::SettingChanged(changed) => match &changed.setting {
            Some(Setting::PushName(name)) => what == "push_name" && name == text,
            Some(Setting::LinkPreviewsDisabled(disabled)) => what == "link_previews" && *disabled == on,
            _ => false,
        },
        Payload::StatusMuted(muted) => what == "status_mute" && muted.user == chat && muted.muted == on,
        _ => false,
    }
}
