//! Status posts, and what is said of messages that were received, as typed values.

use roost_actors::device::{MarkRead, Recipient, Seen};
use roost_proto::api;
use roost_proto::api::send_message_request::Content;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::{Jid, Server};

use super::{MAX_AUDIENCE, device, newsletter, user, user_or_group};
use crate::errors::ApiError;

/// Most ids in one receipt.
const MAX_IDS: usize = 256;

/// Who sees a post; nobody when the account's settings shall say.
pub(super) fn audience(audience: &api::StatusAudience) -> Result<Vec<Jid>, ApiError> {
    if audience.people.len() > MAX_AUDIENCE {
        return Err(ApiError::field("to.status.people", format!("must be at most {MAX_AUDIENCE}")));
    }
    let people = audience.people.iter().enumerate();
    people.map(|(place, text)| user(&format!("to.status.people[{place}]"), text)).collect()
}

/// Whether a message of this kind can go where it shall go.
pub(super) fn fits(to: &Recipient, kind: &Content) -> Result<(), ApiError> {
    match (to, kind) {
        (
            Recipient::Status(_),
            Content::Text(_)
            | Content::Image(_)
            | Content::Video(_)
            | Content::Audio(_)
            | Content::Raw(_)
            | Content::Revoke(_),
        ) => Ok(()),
        (Recipient::Status(people), Content::Reaction(_)) if !people.is_empty() => {
            Err(ApiError::field("to.status.people", "must be nobody: a reaction goes to who has posted"))
        }
        (Recipient::Status(_), Content::Reaction(reaction)) if reaction.concealed => {
            Err(ApiError::field("reaction.concealed", "is for messages in groups"))
        }
        (Recipient::Status(_), Content::Reaction(_)) => Ok(()),
        (Recipient::Status(_), _) => Err(ApiError::field(
            "content",
            "must be text, image, video, audio, raw, reaction or revoke in a status post",
        )),
        (
            Recipient::Newsletter(_),
            Content::Text(_)
            | Content::Image(_)
            | Content::Video(_)
            | Content::Audio(_)
            | Content::Document(_)
            | Content::Sticker(_)
            | Content::Reaction(_)
            | Content::Edit(_)
            | Content::Revoke(_)
            | Content::Raw(_),
        ) => Ok(()),
        (Recipient::Newsletter(_), _) => Err(ApiError::field(
            "content",
            "must be text, image, video, audio, document, sticker, reaction, edit, revoke or raw in a newsletter",
        )),
        (Recipient::Bot(_), Content::Text(_) | Content::Raw(_)) => Ok(()),
        (Recipient::Bot(_), _) => Err(ApiError::field("content", "must be text or raw to a bot")),
        (
            Recipient::Group(_),
            Content::SharePhoneNumber(_) | Content::RequestPhoneNumber(_) | Content::LimitSharing(_),
        ) => Err(ApiError::field("content", "of this kind only goes to one person")),
        _ => Ok(()),
    }
}

/// A reaction to a post is for who has posted it.
pub(super) fn whose(to: Recipient, kind: &Content) -> Result<Recipient, ApiError> {
    let (Recipient::Status(_), Content::Reaction(reaction)) = (&to, kind) else { return Ok(to) };
    let post = reaction.message.clone().unwrap_or_default();
    if post.from_me || post.sender.is_empty() {
        return Err(ApiError::field(
            "reaction.message.sender",
            "is required: who has posted it, somebody else",
        ));
    }
    Ok(Recipient::Status(vec![user("reaction.message.sender", &post.sender)?]))
}

/// A whole `MarkReadRequest`; how reading is told is for who knows the privacy settings.
pub fn mark_read(request: &api::MarkReadRequest) -> Result<(DeviceKey, MarkRead), ApiError> {
    let key = device("device", &request.device)?;
    let chat = match &*request.chat {
        "status@broadcast" => Jid::new("status", Server::Broadcast),
        text if text.ends_with("@newsletter") => newsletter("chat", text)?,
        text => user_or_group("chat", text)?,
    };
    let among_many = matches!(chat.server, Server::Group | Server::Broadcast);
    let sender = match &*request.sender {
        "" if among_many => {
            return Err(ApiError::field("sender", "is required in a group and for status posts"));
        }
        "" => None,
        text => Some(user("sender", text)?).filter(|_| among_many),
    };
    let count = request.whatsapp_ids.len();
    if count == 0 || count > MAX_IDS {
        return Err(ApiError::field("whatsapp_ids", format!("must be 1 to {MAX_IDS}, not {count}")));
    }
    for (place, id) in request.whatsapp_ids.iter().enumerate() {
        let number = chat.server != Server::Newsletter || id.bytes().all(|byte| byte.is_ascii_digit());
        if id.is_empty() || id.len() > 128 || !number || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let field = format!("whatsapp_ids[{place}]");
            return Err(ApiError::field(field, "must be the whatsapp_id of an event"));
        }
    }
    let how = match (request.played, request.privately) {
        (true, false) => Seen::Played,
        (false, false) => Seen::Read,
        (false, true) => Seen::Privately,
        (true, true) => return Err(ApiError::field("privately", "is only for reading")),
    };
    Ok((key, MarkRead { chat, sender, whatsapp_ids: request.whatsapp_ids.clone(), how }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(chat: &str, sender: &str, ids: &[&str]) -> api::MarkReadRequest {
        api::MarkReadRequest {
            device: "tenants/acme/devices/shop".into(),
            chat: chat.into(),
            sender: sender.into(),
            whatsapp_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn refused(request: &api::MarkReadRequest) -> String {
        match mark_read(request) {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_receipt_names_its_sender_where_many_speak() {
        let (_, group) = mark_read(&request("120363000000000001@g.us", "77777@lid", &["A"])).expect("good");
        assert_eq!(group.sender, Some(Jid::lid("77777")));
        let (_, post) = mark_read(&request("status@broadcast", "77777@lid", &["A"])).expect("good");
        assert_eq!(post.chat.to_string(), "status@broadcast");
        let (_, alone) = mark_read(&request("77777@lid", "77777@lid", &["A"])).expect("good");
        assert_eq!(alone.sender, None, "the chat says it");
        assert_eq!(refused(&request("120363000000000001@g.us", "", &["A"])), "sender");
        assert_eq!(refused(&request("status@broadcast", "", &["A"])), "sender");
        assert_eq!(refused(&request("news@newsletter", "", &["A"])), "chat");
        assert_eq!(refused(&request("77777@lid", "", &[])), "whatsapp_ids");
        assert_eq!(refused(&request("77777@lid", "", &["A", "b c"])), "whatsapp_ids[1]");
    }

    #[test]
    fn only_what_a_status_can_show_is_posted() {
        let status = Recipient::Status(vec![Jid::lid("77777")]);
        assert!(fits(&status, &Content::Text("x".into())).is_ok());
        assert!(fits(&status, &Content::Poll(api::Poll::default())).is_err());
        assert!(fits(&Recipient::Lid("77777".into()), &Content::Poll(api::Poll::default())).is_ok());
        let reaction = |from_me, sender: &str| {
            let message = api::MessageRef { whatsapp_id: "A".into(), from_me, sender: sender.into() };
            Content::Reaction(api::Reaction { message: Some(message), ..Default::default() })
        };
        assert!(fits(&status, &reaction(false, "77777@lid")).is_err(), "it goes to nobody else");
        let nobody = || Recipient::Status(Vec::new());
        assert!(fits(&nobody(), &reaction(false, "77777@lid")).is_ok());
        assert_eq!(whose(nobody(), &reaction(false, "77777@lid")).ok(), Some(status));
        assert!(
            whose(nobody(), &reaction(true, "")).is_err() && whose(nobody(), &reaction(false, "")).is_err()
        );
        let newsletter = Recipient::Newsletter("120363000000000001".into());
        assert!(fits(&newsletter, &Content::Sticker(api::Sticker::default())).is_ok());
        assert!(fits(&newsletter, &Content::StickerPack(api::StickerPack::default())).is_err());
        let share = Content::SharePhoneNumber(api::SharePhoneNumber {});
        assert!(fits(&Recipient::Group("120363000000000001".into()), &share).is_err());
        assert!(fits(&Recipient::Lid("77777".into()), &share).is_ok());
        let crowd = api::StatusAudience { people: vec!["77777@lid".into(); MAX_AUDIENCE + 1] };
        assert!(audience(&crowd).is_err());
        assert!(audience(&api::StatusAudience { people: vec!["x".into()] }).is_err());
        assert!(audience(&api::StatusAudience::default()).expect("the settings say").is_empty());
    }
}
