//! Actions on the wire: WhatsApp's `SyncActionValue`, and the version of each form.

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::sync_action_value as wire;
use waproto::whatsapp::{MessageKey, SyncActionValue};

use super::{Action, Call, Contact, Label, MessageRef, Mute, QuickReply, Range};
use crate::id::UnixMillis;
use crate::stanza::Jid;

impl Action {
    /// The version of its form.
    pub(in crate::appstate) fn form(&self) -> i32 {
        match self {
            Action::Mute { .. } | Action::Star { .. } | Action::Contact { .. } => 2,
            Action::QuickReply { .. } => 2,
            Action::Pin { .. } => 5,
            Action::ClearChat { .. } | Action::DeleteChat { .. } => 6,
            Action::MuteStatus { .. } => 7,
            Action::PushName(_) | Action::Salt(_) | Action::Call { .. } => 1,
            Action::NoLinkPreviews(_) => 8,
            Action::Record { form, .. } => *form,
            Action::UnarchiveChats(_) => 4,
            _ => 3,
        }
    }

    /// Its value on the wire.
    pub(in crate::appstate) fn value(&self, at: UnixMillis) -> SyncActionValue {
        let mut value = SyncActionValue { timestamp: Some(at.0), ..Default::default() };
        match self {
            Action::Mute { mute, .. } => {
                value.mute_action = MessageField::some(wire::MuteAction {
                    muted: Some(*mute != Mute::Off),
                    mute_end_timestamp: match mute {
                        Mute::Off => None,
                        Mute::Until(end) => Some(end.0),
                        Mute::Forever => Some(-1),
                    },
                    ..Default::default()
                });
            }
            Action::Pin { pinned, .. } => {
                value.pin_action = MessageField::some(wire::PinAction { pinned: Some(*pinned) });
            }
            Action::Archive { archived, range, .. } => {
                value.archive_chat_action = MessageField::some(wire::ArchiveChatAction {
                    archived: Some(*archived),
                    message_range: range.to_wire(),
                });
            }
            Action::MarkRead { read, range, .. } => {
                value.mark_chat_as_read_action = MessageField::some(wire::MarkChatAsReadAction {
                    read: Some(*read),
                    message_range: range.to_wire(),
                });
            }
            Action::ClearChat { range, .. } => {
                value.clear_chat_action =
                    MessageField::some(wire::ClearChatAction { message_range: range.to_wire() });
            }
            Action::DeleteChat { range, .. } => {
                value.delete_chat_action =
                    MessageField::some(wire::DeleteChatAction { message_range: range.to_wire() });
            }
            Action::Star { starred, .. } => {
                value.star_action = MessageField::some(wire::StarAction { starred: Some(*starred) });
            }
            Action::DeleteForMe { delete_media, sent, .. } => {
                value.delete_message_for_me_action = MessageField::some(wire::DeleteMessageForMeAction {
                    delete_media: Some(*delete_media),
                    message_timestamp: Some(sent.0 / 1000),
                });
            }
            Action::Contact { contact, .. } => {
                let contact = contact.clone().unwrap_or_default();
                value.contact_action = MessageField::some(wire::ContactAction {
                    full_name: Some(contact.full_name),
                    first_name: Some(contact.first_name).filter(|name| !name.is_empty()),
                    lid_jid: Some(contact.lid).filter(|lid| !lid.is_empty()),
                    save_on_primary_addressbook: contact.on_phone,
                    ..Default::default()
                });
            }
            Action::Label { label, .. } => {
                value.label_edit_action = MessageField::some(wire::LabelEditAction {
                    name: Some(label.name.clone()),
                    color: Some(label.color),
                    deleted: Some(label.deleted),
                    predefined_id: label.predefined,
                    ..Default::default()
                });
            }
            Action::LabelChat { labeled, .. } | Action::LabelMessage { labeled, .. } => {
                value.label_association_action = MessageField::some(wire::LabelAssociationAction {
                    labeled: Some(*labeled),
                    ..Default::default()
                });
            }
            Action::PushName(name) => {
                value.push_name_setting =
                    MessageField::some(wire::PushNameSetting { name: Some(name.clone()) });
            }
            Action::QuickReply { reply, .. } => {
                value.quick_reply_action = MessageField::some(wire::QuickReplyAction {
                    shortcut: Some(reply.shortcut.clone()),
                    message: Some(reply.message.clone()),
                    keywords: reply.keywords.clone(),
                    deleted: Some(reply.deleted),
                    ..Default::default()
                });
            }
            Action::UnarchiveChats(on) => {
                value.unarchive_chats_setting =
                    MessageField::some(wire::UnarchiveChatsSetting { unarchive_chats: Some(*on) });
            }
            Action::MuteStatus { muted, .. } => {
                value.user_status_mute_action =
                    MessageField::some(wire::UserStatusMuteAction { muted: Some(*muted) });
            }
            Action::Salt(salt) => {
                value.nct_salt_sync_action =
                    MessageField::some(wire::NctSaltSyncAction { salt: salt.clone() });
            }
            Action::NoLinkPreviews(disabled) => {
                let disabled =
                    wire::PrivacySettingDisableLinkPreviewsAction { is_previews_disabled: Some(*disabled) };
                value.privacy_setting_disable_link_previews_action = MessageField::some(disabled);
            }
            Action::Call { caller, id, call, .. } => {
                let call_log_record = call.to_wire(caller, id);
                value.call_log_action = MessageField::some(wire::CallLogAction { call_log_record });
            }
            Action::Record { value: bytes, .. } => {
                let bytes = bytes.as_deref().unwrap_or_default();
                if let Ok(other) = SyncActionValue::decode_from_slice(bytes) {
                    value = SyncActionValue { timestamp: other.timestamp.or(value.timestamp), ..other };
                }
            }
            Action::Other { value: bytes, .. } => {
                let bytes = bytes.as_deref().unwrap_or_default();
                if let Ok(other) = SyncActionValue::decode_from_slice(bytes) {
                    value = other;
                }
            }
        }
        value
    }

    /// Reads a record: its index, and its value unless it was removed. What is malformed or of another kind
    /// is [`Action::Other`].
    pub(in crate::appstate) fn read(index: &[String], value: Option<&SyncActionValue>) -> Action {
        let other =
            || Action::Other { index: index.to_vec(), value: value.map(SyncActionValue::encode_to_vec) };
        Self::known(index, value).unwrap_or_else(other)
    }

    fn known(index: &[String], value: Option<&SyncActionValue>) -> Option<Action> {
        let part = |at: usize| index.get(at).map(String::as_str);
        let jid = |at: usize| part(at)?.parse::<Jid>().ok();
        let message = |at: usize| {
            let participant = part(at + 3).filter(|text| *text != "0").and_then(|text| text.parse().ok());
            let (id, from_me) = (part(at + 1)?.to_owned(), part(at + 2)? == "1");
            Some(MessageRef { chat: jid(at)?, id, from_me, participant })
        };
        let name = part(0)?;
        if name == "contact" && value.is_none() {
            return Some(Action::Contact { jid: jid(1)?, contact: None });
        }
        if name == "nct_salt_sync" && value.is_none() {
            return Some(Action::Salt(None));
        }
        let value = value?;
        Some(match name {
            "mute" => {
                let mute = value.mute_action.as_option()?;
                let mute = match (mute.muted.unwrap_or(false), mute.mute_end_timestamp) {
                    (false, _) => Mute::Off,
                    (true, Some(end)) if end > 0 => Mute::Until(UnixMillis(end)),
                    (true, _) => Mute::Forever,
                };
                Action::Mute { chat: jid(1)?, mute }
            }
            "pin_v1" => {
                let pinned = value.pin_action.as_option()?.pinned.unwrap_or(false);
                Action::Pin { chat: jid(1)?, pinned }
            }
            "archive" => {
                let action = value.archive_chat_action.as_option()?;
                let (archived, range) =
                    (action.archived.unwrap_or(false), Range::read(&action.message_range));
                Action::Archive { chat: jid(1)?, archived, range }
            }
            "markChatAsRead" => {
                let action = value.mark_chat_as_read_action.as_option()?;
                let (read, range) = (action.read.unwrap_or(false), Range::read(&action.message_range));
                Action::MarkRead { chat: jid(1)?, read, range }
            }
            "clearChat" => Action::ClearChat {
                chat: jid(1)?,
                keep_starred: part(2) != Some("1"),
                delete_media: part(3) == Some("1"),
                range: Range::read(&value.clear_chat_action.as_option()?.message_range),
            },
            "deleteChat" => Action::DeleteChat {
                chat: jid(1)?,
                delete_media: part(2) == Some("1"),
                range: Range::read(&value.delete_chat_action.as_option()?.message_range),
            },
            "star" => {
                let starred = value.star_action.as_option()?.starred.unwrap_or(false);
                Action::Star { message: message(1)?, starred }
            }
            "deleteMessageForMe" => {
                let action = value.delete_message_for_me_action.as_option()?;
                let sent = UnixMillis(action.message_timestamp.unwrap_or(0).saturating_mul(1000));
                let delete_media = action.delete_media.unwrap_or(false);
                Action::DeleteForMe { message: message(1)?, delete_media, sent }
            }
            "contact" => {
                let action = value.contact_action.as_option()?;
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let contact = Contact {
                    full_name: text(&action.full_name),
                    first_name: text(&action.first_name),
                    lid: text(&action.lid_jid),
                    on_phone: action.save_on_primary_addressbook,
                };
                Action::Contact { jid: jid(1)?, contact: Some(contact) }
            }
            "label_edit" => {
                let action = value.label_edit_action.as_option()?;
                let label = Label {
                    name: action.name.clone().unwrap_or_default(),
                    color: action.color.unwrap_or(0),
                    deleted: action.deleted.unwrap_or(false),
                    predefined: action.predefined_id,
                };
                Action::Label { id: part(1)?.to_owned(), label }
            }
            "label_jid" | "label_message" => {
                let labeled = value.label_association_action.as_option()?.labeled.unwrap_or(false);
                let label = part(1)?.to_owned();
                match name {
                    "label_jid" => Action::LabelChat { label, chat: jid(2)?, labeled },
                    _ => Action::LabelMessage { label, message: message(2)?, labeled },
                }
            }
            "setting_pushName" => {
                Action::PushName(value.push_name_setting.as_option()?.name.clone().unwrap_or_default())
            }
            "quick_reply" => {
                let action = value.quick_reply_action.as_option()?;
                let reply = QuickReply {
                    shortcut: action.shortcut.clone().unwrap_or_default(),
                    message: action.message.clone().unwrap_or_default(),
                    keywords: action.keywords.clone(),
                    deleted: action.deleted.unwrap_or(false),
                };
                Action::QuickReply { id: part(1)?.to_owned(), reply }
            }
            "userStatusMute" => {
                let muted = value.user_status_mute_action.as_option()?.muted.unwrap_or(false);
                Action::MuteStatus { user: jid(1)?, muted }
            }
            "setting_disableLinkPreviews" => {
                let action = value.privacy_setting_disable_link_previews_action.as_option()?;
                Action::NoLinkPreviews(action.is_previews_disabled?)
            }
            "call_log" => {
                let record = value.call_log_action.as_option()?.call_log_record.as_option()?;
                let (id, outgoing) = (part(2)?.to_owned(), part(3) == Some("1"));
                let call = Box::new(Call::read(record));
                Action::Call { caller: jid(1)?.to_non_ad(), id, outgoing, call }
            }
            "nct_salt_sync" => {
                let salt = value.nct_salt_sync_action.as_option()?.salt.clone();
                Action::Salt(Some(salt.filter(|salt| !salt.is_empty())?))
            }
            "setting_unarchiveChats" => {
                let action = value.unarchive_chats_setting.as_option()?;
                Action::UnarchiveChats(action.unarchive_chats.unwrap_or(false))
            }
            _ => return None,
        })
    }
}

impl Range {
    fn to_wire(&self) -> MessageField<wire::SyncActionMessageRange> {
        let seconds = Some(self.last.0 / 1000);
        let key = |message: &MessageRef| MessageKey {
            remote_jid: Some(message.chat.to_string()),
            from_me: Some(message.from_me),
            id: Some(message.id.clone()),
            participant: message.participant.as_ref().map(ToString::to_string),
        };
        let messages = self.message.iter().map(|message| wire::SyncActionMessage {
            key: MessageField::some(key(message)),
            timestamp: seconds,
        });
        MessageField::some(wire::SyncActionMessageRange {
            last_message_timestamp: seconds,
            last_system_message_timestamp: None,
            messages: messages.collect(),
        })
    }

    fn read(range: &MessageField<wire::SyncActionMessageRange>) -> Range {
        let Some(range) = range.as_option() else { return Range { last: UnixMillis(0), message: None } };
        let seconds = range.last_message_timestamp.unwrap_or(0);
        let message = range.messages.last().and_then(|message| {
            let key = message.key.as_option()?;
            Some(MessageRef {
                chat: key.remote_jid.as_deref()?.parse().ok()?,
                id: key.id.clone()?,
                from_me: key.from_me.unwrap_or(false),
                participant: key.participant.as_deref().and_then(|jid| jid.parse().ok()),
            })
        });
        Range { last: UnixMillis(seconds.saturating_mul(1000)), message }
    }
}
