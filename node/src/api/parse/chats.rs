//! Changes of chats, contacts, labels and settings, and wishes for history, as typed values.
//!
//! What must hold: every refusal names its field; a chat is a person or a group, never a device.

use roost_proto::api;
use roost_proto::appstate::{Action, Collection, Contact, Label, MessageRef, Mute, QuickReply, Range};
use roost_proto::id::{DeviceKey, UnixMillis};
use roost_proto::phone::WantHistory;
use roost_proto::stanza::{Jid, Server};

use super::device;
use crate::errors::ApiError;

/// A change of one device's account.
pub type Change = (DeviceKey, Vec<Action>);

/// Messages that one wish for history may ask for, and how many when nothing is said.
const HISTORY: (u32, u32) = (500, 50);

fn text(field: &str, text: &str, most: usize) -> Result<String, ApiError> {
    let length = text.chars().count();
    if !(1..=most).contains(&length) || text.chars().any(char::is_control) {
        let why = format!("must have 1 to {most} characters and no control characters");
        return Err(ApiError::field(field, why));
    }
    Ok(text.to_owned())
}

/// A JID of a person or a group.
pub fn chat(field: &str, text: &str) -> Result<Jid, ApiError> {
    let form = "must be {digits}@s.whatsapp.net, {digits}@lid or {id}@g.us";
    let jid: Jid = text.parse().map_err(|_| ApiError::field(field, form))?;
    let known = matches!(jid.server, Server::Pn | Server::Lid | Server::Group);
    let user = jid.user.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !jid.user.is_empty();
    if known && user && jid.device == 0 && text.len() <= 100 {
        Ok(jid)
    } else {
        Err(ApiError::field(field, form))
    }
}

/// A JID of a person.
fn person(field: &str, text: &str) -> Result<Jid, ApiError> {
    let jid = chat(field, text)?;
    match jid.server {
        Server::Group => Err(ApiError::field(field, "must be a person")),
        _ => Ok(jid),
    }
}

pub(super) fn moment(field: &str, at: Option<&api::Timestamp>) -> Result<UnixMillis, ApiError> {
    let at = at.ok_or_else(|| ApiError::field(field, "is required"))?;
    let millis = at.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(at.nanos) / 1_000_000));
    match millis {
        Some(millis) if millis > 0 && (0..1_000_000_000).contains(&at.nanos) => Ok(UnixMillis(millis)),
        _ => Err(ApiError::field(field, "must be a moment after 1970")),
    }
}

fn message(field: &str, key: Option<&api::MessageKey>) -> Result<MessageRef, ApiError> {
    let key = key.ok_or_else(|| ApiError::field(field, "is required"))?;
    let participant = match &*key.sender {
        "" => None,
        sender => Some(person(&format!("{field}.sender"), sender)?),
    };
    Ok(MessageRef {
        chat: chat(&format!("{field}.chat"), &key.chat)?,
        id: text(&format!("{field}.whatsapp_id"), &key.whatsapp_id, 128)?,
        from_me: key.from_me,
        participant,
    })
}

fn range(
    now: UnixMillis,
    last: Option<&api::MessageKey>,
    at: Option<&api::Timestamp>,
) -> Result<Range, ApiError> {
    let message = last.map(|last| message("last_message", Some(last))).transpose()?;
    let last = at.map(|at| moment("last_message_time", Some(at))).transpose()?;
    Ok(Range { last: last.unwrap_or(now), message })
}

/// `MuteChat`.
pub fn mute(request: &api::MuteChatRequest) -> Result<Change, ApiError> {
    use api::mute::Until;
    let until = request.mute.as_ref().map(|mute| mute.until.as_ref());
    let mute = match until {
        None => Mute::Off,
        Some(Some(Until::Time(at))) => Mute::Until(moment("mute.time", Some(at))?),
        Some(Some(Until::Forever(true))) => Mute::Forever,
        Some(_) => return Err(ApiError::field("mute", "must say a time or forever")),
    };
    let action = Action::Mute { chat: chat("chat", &request.chat)?, mute };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `PinChat`.
pub fn pin(request: &api::PinChatRequest) -> Result<Change, ApiError> {
    let action = Action::Pin { chat: chat("chat", &request.chat)?, pinned: request.pinned };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `ArchiveChat`: what is put away is not pinned.
pub fn archive(request: &api::ArchiveChatRequest, now: UnixMillis) -> Result<Change, ApiError> {
    let chat = chat("chat", &request.chat)?;
    let range = range(now, request.last_message.as_ref(), request.last_message_time.as_ref())?;
    let mut actions = vec![Action::Archive { chat: chat.clone(), archived: request.archived, range }];
    if request.archived {
        actions.push(Action::Pin { chat, pinned: false });
    }
    Ok((device("parent", &request.parent)?, actions))
}

/// `MarkChat`.
pub fn mark(request: &api::MarkChatRequest, now: UnixMillis) -> Result<Change, ApiError> {
    let range = range(now, request.last_message.as_ref(), request.last_message_time.as_ref())?;
    let action = Action::MarkRead { chat: chat("chat", &request.chat)?, read: request.read, range };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `ClearChat`.
pub fn clear(request: &api::ClearChatRequest, now: UnixMillis) -> Result<Change, ApiError> {
    let action = Action::ClearChat {
        chat: chat("chat", &request.chat)?,
        keep_starred: request.keep_starred,
        delete_media: request.delete_media,
        range: range(now, request.last_message.as_ref(), request.last_message_time.as_ref())?,
    };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `DeleteChat`.
pub fn delete(request: &api::DeleteChatRequest, now: UnixMillis) -> Result<Change, ApiError> {
    let action = Action::DeleteChat {
        chat: chat("chat", &request.chat)?,
        delete_media: request.delete_media,
        range: range(now, request.last_message.as_ref(), request.last_message_time.as_ref())?,
    };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `StarMessage`.
pub fn star(request: &api::StarMessageRequest) -> Result<Change, ApiError> {
    let message = message("message", request.message.as_ref())?;
    Ok((device("parent", &request.parent)?, vec![Action::Star { message, starred: request.starred }]))
}

/// `DeleteMessageForMe`.
pub fn delete_for_me(request: &api::DeleteMessageForMeRequest) -> Result<Change, ApiError> {
    let action = Action::DeleteForMe {
        message: message("message", request.message.as_ref())?,
        delete_media: request.delete_media,
        sent: moment("message_time", request.message_time.as_ref())?,
    };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `SaveContact`.
pub fn save_contact(request: &api::SaveContactRequest) -> Result<Change, ApiError> {
    let entry = request.contact.as_ref().ok_or_else(|| ApiError::field("contact", "is required"))?;
    let first_name = match &*entry.first_name {
        "" => String::new(),
        name => text("contact.first_name", name, 200)?,
    };
    let jid = person("contact.jid", &entry.jid)?;
    let lid = match &*entry.lid {
        "" => String::new(),
        text => match person("contact.lid", text)? {
            lid if lid.is_lid() && jid.is_pn() => lid.to_string(),
            _ => return Err(ApiError::field("contact.lid", "must be {digits}@lid, beside a phone number")),
        },
    };
    let full_name = text("contact.full_name", &entry.full_name, 200)?;
    let contact = Contact { full_name, first_name, lid, on_phone: entry.on_phone };
    let action = Action::Contact { jid, contact: Some(contact) };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `RemoveContact`.
pub fn remove_contact(request: &api::RemoveContactRequest) -> Result<Change, ApiError> {
    let action = Action::Contact { jid: person("jid", &request.jid)?, contact: None };
    Ok((device("parent", &request.parent)?, vec![action]))
}

fn label_id(field: &str, id: &str) -> Result<String, ApiError> {
    match (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(id.to_owned()),
        false => Err(ApiError::field(field, "must be 1 to 20 digits")),
    }
}

/// `EditLabel`.
pub fn edit_label(request: &api::EditLabelRequest) -> Result<Change, ApiError> {
    let label = request.label.as_ref().ok_or_else(|| ApiError::field("label", "is required"))?;
    if !(0..20).contains(&label.color) {
        return Err(ApiError::field("label.color", "must be 0 to 19"));
    }
    if label.predefined_id.is_some() {
        return Err(ApiError::field("label.predefined_id", "is WhatsApp's: it is only told"));
    }
    let name = text("label.name", &label.name, 100)?;
    let edited = Label { name, color: label.color, deleted: label.deleted, predefined: None };
    let action = Action::Label { id: label_id("label.id", &label.id)?, label: edited };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `AssignLabel`.
pub fn assign_label(request: &api::AssignLabelRequest) -> Result<Change, ApiError> {
    use api::assign_label_request::To;
    let (label, labeled) = (label_id("label", &request.label)?, request.assigned);
    let action = match &request.to {
        Some(To::Chat(jid)) => Action::LabelChat { label, chat: chat("chat", jid)?, labeled },
        Some(To::Message(key)) => {
            Action::LabelMessage { label, message: message("message", Some(key))?, labeled }
        }
        None => return Err(ApiError::field("to", "is required: chat or message")),
    };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `SetPushName`.
pub fn push_name(request: &api::SetPushNameRequest) -> Result<Change, ApiError> {
    let name = text("push_name", &request.push_name, 100)?;
    Ok((device("parent", &request.parent)?, vec![Action::PushName(name)]))
}

/// `EditQuickReply`.
pub fn quick_reply(request: &api::EditQuickReplyRequest) -> Result<Change, ApiError> {
    let reply = request.quick_reply.as_ref().ok_or_else(|| ApiError::field("quick_reply", "is required"))?;
    if reply.message.is_empty() || reply.message.len() > roost_proto::content::MAX_TEXT {
        let why = format!("must be 1 to {} bytes long", roost_proto::content::MAX_TEXT);
        return Err(ApiError::field("quick_reply.message", why));
    }
    if reply.keywords.len() > 20 {
        return Err(ApiError::field("quick_reply.keywords", "must be at most 20"));
    }
    let keywords = reply.keywords.iter().map(|word| text("quick_reply.keywords", word, 100));
    let edited = QuickReply {
        shortcut: text("quick_reply.shortcut", &reply.shortcut, 100)?,
        message: reply.message.clone(),
        keywords: keywords.collect::<Result<_, _>>()?,
        deleted: reply.deleted,
    };
    let action = Action::QuickReply { id: text("quick_reply.id", &reply.id, 40)?, reply: edited };
    Ok((device("parent", &request.parent)?, vec![action]))
}

/// `PutAppStateRecord`.
pub fn record(request: &api::PutAppStateRecordRequest) -> Result<Change, ApiError> {
    let key = device("parent", &request.parent)?;
    let collection = request.collection.parse::<Collection>();
    let collection = collection.map_err(|error| ApiError::field("collection", error.to_string()))?;
    let index = &request.index;
    if !(1..=16).contains(&index.len()) || index[0].is_empty() || index.iter().any(|part| part.len() > 256) {
        let form = "must be 1 to 16 texts of at most 256 bytes, the first of which names the kind";
        return Err(ApiError::field("index", form));
    }
    if !(1..=1000).contains(&request.version) {
        return Err(ApiError::field("version", "must be 1 to 1000"));
    }
    if request.value.len() > 64 << 10 || !roost_proto::appstate::is_value(&request.value) {
        return Err(ApiError::field("value", "must be an encoded SyncActionValue of at most 64 KiB"));
    }
    let value = Some(request.value.clone()).filter(|value| !value.is_empty());
    let (form, index) = (request.version, index.clone());
    Ok((key, vec![Action::Record { collection, form, index, value }]))
}

/// `SyncHistory`.
pub fn history(
    request: &api::SyncHistoryRequest,
) -> Result<(DeviceKey, WantHistory, Option<UnixMillis>), ApiError> {
    let count = match u32::try_from(request.count) {
        Ok(0) => HISTORY.1,
        Ok(count) if count <= HISTORY.0 => count,
        _ => return Err(ApiError::field("count", format!("must be 0 to {}", HISTORY.0))),
    };
    let wanted = WantHistory {
        chat: chat("chat", &request.chat)?,
        before_id: text("before_whatsapp_id", &request.before_whatsapp_id, 128)?,
        before_from_me: request.before_from_me,
        before: moment("before_time", request.before_time.as_ref())?,
        count,
    };
    let since = request.since.as_ref().map(|since| moment("since", Some(since))).transpose()?;
    if since.is_some_and(|since| since >= wanted.before) {
        return Err(ApiError::field("since", "must be before before_time"));
    }
    Ok((device("parent", &request.parent)?, wanted, since))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "tenants/acme/devices/shop";

    fn field(refused: Result<impl Sized, ApiError>) -> String {
        match refused.err() {
            Some(ApiError::InvalidField { field, .. }) => field,
            other => panic!("not a refused field: {other:?}"),
        }
    }

    #[test]
    fn chats_are_people_and_groups() {
        for good in ["4915112345678@s.whatsapp.net", "123456@lid", "120363-12@g.us"] {
            assert_eq!(chat("chat", good).expect(good).to_string(), good);
        }
        for bad in ["", "4915", "1:2@s.whatsapp.net", "status@broadcast", "x@g.us", "@lid", "1@example.com"] {
            assert_eq!(field(chat("chat", bad)), "chat", "{bad:?}");
        }
        assert_eq!(field(person("jid", "1@g.us")), "jid");
    }

    #[test]
    fn an_archived_chat_is_not_pinned() {
        let request = api::ArchiveChatRequest {
            parent: PARENT.to_owned(),
            chat: "1@lid".to_owned(),
            archived: true,
            ..Default::default()
        };
        let (_, actions) = archive(&request, UnixMillis(1)).expect("well formed");
        assert!(matches!(&actions[1], Action::Pin { pinned: false, .. }));
        let back = api::ArchiveChatRequest { archived: false, ..request };
        assert_eq!(archive(&back, UnixMillis(1)).expect("well formed").1.len(), 1);
    }

    #[test]
    fn refusals_name_their_field() {
        let mute_for = |mute| api::MuteChatRequest {
            parent: PARENT.to_owned(),
            chat: "1@lid".to_owned(),
            mute: Some(api::Mute { until: mute }),
        };
        assert_eq!(field(mute(&mute_for(None))), "mute");
        let past = Some(api::mute::Until::Time(api::Timestamp { seconds: -1, nanos: 0 }));
        assert_eq!(field(mute(&mute_for(past))), "mute.time");
        let label = |id: &str, color| api::EditLabelRequest {
            parent: PARENT.to_owned(),
            label: Some(api::Label { id: id.to_owned(), name: "x".to_owned(), color, ..Default::default() }),
        };
        assert_eq!(field(edit_label(&label("x", 0))), "label.id");
        assert_eq!(field(edit_label(&label("1", 20))), "label.color");
        let mut numbered = label("1", 0);
        numbered.label.get_or_insert_default().predefined_id = Some(3);
        assert_eq!(field(edit_label(&numbered)), "label.predefined_id");
        let contact = |jid: &str, lid: &str| api::SaveContactRequest {
            parent: PARENT.to_owned(),
            contact: Some(api::ContactEntry {
                jid: jid.to_owned(),
                full_name: "Ada".to_owned(),
                lid: lid.to_owned(),
                ..Default::default()
            }),
        };
        assert!(save_contact(&contact("1@s.whatsapp.net", "2@lid")).is_ok());
        for (jid, lid) in [("1@s.whatsapp.net", "2@s.whatsapp.net"), ("1@lid", "2@lid"), ("1@lid", "x")] {
            assert_eq!(field(save_contact(&contact(jid, lid))), "contact.lid");
        }
        assert_eq!(field(star(&api::StarMessageRequest::default())), "message");
        assert_eq!(field(assign_label(&api::AssignLabelRequest::default())), "label");
        assert_eq!(field(push_name(&api::SetPushNameRequest::default())), "push_name");
        let put = api::PutAppStateRecordRequest {
            parent: PARENT.to_owned(),
            collection: "regular".to_owned(),
            index: vec!["a_kind".to_owned()],
            version: 3,
            value: Vec::new(),
        };
        assert!(record(&put).is_ok_and(|(_, actions)| actions[0].removes()), "nothing is no record");
        let elsewhere = api::PutAppStateRecordRequest { collection: "odd".to_owned(), ..put.clone() };
        assert_eq!(field(record(&elsewhere)), "collection");
        assert_eq!(
            field(record(&api::PutAppStateRecordRequest { index: Vec::new(), ..put.clone() })),
            "index"
        );
        assert_eq!(field(record(&api::PutAppStateRecordRequest { version: 0, ..put.clone() })), "version");
        assert_eq!(field(record(&api::PutAppStateRecordRequest { value: vec![0xff], ..put })), "value");
        let wish = api::SyncHistoryRequest { count: 501, ..Default::default() };
        assert_eq!(field(history(&wish)), "count");
        let wish = api::SyncHistoryRequest {
            parent: PARENT.to_owned(),
            chat: "1@lid".to_owned(),
            before_whatsapp_id: "3EB0".to_owned(),
            ..Default::default()
        };
        assert_eq!(field(history(&wish)), "before_time");
        let at = |seconds| Some(api::Timestamp { seconds, nanos: 0 });
        for since in [at(0), at(9), at(10)] {
            let wish = api::SyncHistoryRequest { before_time: at(9), since, ..wish.clone() };
            assert_eq!(field(history(&wish)), "since");
        }
    }
}
