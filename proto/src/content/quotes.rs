//! What is quoted: of any kind, with the chat where it was said when that is another one.
//!
//! Rules: a quote is the whole message that is quoted, without what goes with it (Baileys and whatsapp-rust); where it
//! is from another chat that is named beside it (Baileys).

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::{ContextInfo, Message};

use super::MessageContent;
use super::encode::{Surroundings, body};
use super::meaning::{content, owned, peel, words};
use crate::api;
use crate::api::message_received::Content as Received;
use crate::api::quote::Content as Quoted;
use crate::api::send_message_request::Content;
use crate::media::{File, media_of};

/// What is quoted, as if it were to be sent.
pub fn quoted_kind(quoted: Quoted) -> Content {
    match quoted {
        Quoted::Location(it) => Content::Location(it),
        Quoted::LiveLocation(it) => Content::LiveLocation(it),
        Quoted::Contacts(it) => Content::Contacts(it),
        Quoted::Poll(it) => Content::Poll(it),
        Quoted::CalendarEvent(it) => Content::CalendarEvent(it),
        Quoted::List(it) => Content::List(it),
        Quoted::ListAnswer(it) => Content::ListAnswer(it),
        Quoted::Buttons(it) => Content::Buttons(it),
        Quoted::ButtonAnswer(it) => Content::ButtonAnswer(it),
        Quoted::Product(it) => Content::Product(it),
        Quoted::Order(it) => Content::Order(it),
        Quoted::GroupInvite(it) => Content::GroupInvite(it),
        Quoted::Raw(it) => Content::Raw(it),
        Quoted::Image(it) => Content::Image(it),
        Quoted::Video(it) => Content::Video(it),
        Quoted::Audio(it) => Content::Audio(it),
        Quoted::Document(it) => Content::Document(it),
        Quoted::Sticker(it) => Content::Sticker(it),
        Quoted::Album(it) => Content::Album(it),
        Quoted::StickerPack(it) => Content::StickerPack(it),
    }
}

/// The description of its file, to fill it in.
pub fn quoted_media(quoted: &mut Quoted) -> Option<&mut api::Media> {
    match quoted {
        Quoted::Image(image) => image.media.as_mut(),
        Quoted::Video(video) => video.media.as_mut(),
        Quoted::Audio(audio) => audio.media.as_mut(),
        Quoted::Document(document) => document.media.as_mut(),
        Quoted::Sticker(sticker) => sticker.media.as_mut(),
        Quoted::StickerPack(pack) => pack.media.as_mut(),
        Quoted::Product(product) => product.picture.as_mut(),
        _ => None,
    }
}

/// The same of what came; `None` for a text, and for what nobody quotes.
fn kind_of(received: Received) -> Option<Quoted> {
    Some(match received {
        Received::Location(it) => Quoted::Location(it),
        Received::LiveLocation(it) => Quoted::LiveLocation(it),
        Received::Contacts(it) => Quoted::Contacts(it),
        Received::Poll(it) => Quoted::Poll(it),
        Received::CalendarEvent(it) => Quoted::CalendarEvent(it),
        Received::List(it) => Quoted::List(it),
        Received::ListAnswer(it) => Quoted::ListAnswer(it),
        Received::Buttons(it) => Quoted::Buttons(it),
        Received::ButtonAnswer(it) => Quoted::ButtonAnswer(it),
        Received::Product(it) => Quoted::Product(it),
        Received::Order(it) => Quoted::Order(it),
        Received::GroupInvite(it) => Quoted::GroupInvite(it),
        Received::Raw(it) => Quoted::Raw(it),
        Received::Image(it) => Quoted::Image(it),
        Received::Video(it) => Quoted::Video(it),
        Received::Audio(it) => Quoted::Audio(it),
        Received::Document(it) => Quoted::Document(it),
        Received::Sticker(it) => Quoted::Sticker(it),
        Received::Album(it) => Quoted::Album(it),
        Received::StickerPack(it) => Quoted::StickerPack(it),
        Received::Text(_) | Received::SharePhoneNumber(_) | Received::RequestPhoneNumber(_) => return None,
    })
}

/// The quoted message as it travels.
pub(super) fn message(quote: &api::Quote, around: &Surroundings) -> Message {
    let plain = |text: &String| Message { conversation: Some(text.clone()), ..Default::default() };
    let mut message = match quote.content.clone() {
        None => return plain(&quote.text),
        Some(Quoted::Raw(raw)) => Message::decode_from_slice(&raw).unwrap_or_else(|_| plain(&quote.text)),
        Some(quoted) => {
            let context = api::Context::default();
            body(&MessageContent { kind: quoted_kind(quoted), context }, around)
        }
    };
    // Its secret is nobody else's, and neither is the album that it belongs to.
    message.message_context_info = MessageField::none();
    message
}

/// Who said what is quoted: a JID.
pub(super) fn author(quote: &api::Quote, around: &Surroundings) -> String {
    let said = quote.message.clone().unwrap_or_default();
    match (said.from_me, &*said.sender, &*quote.chat) {
        (true, ..) => around.own.to_string(),
        (false, "", "") => around.chat.to_string(),
        (false, "", chat) => chat.to_owned(),
        (false, sender, _) => sender.to_owned(),
    }
}

/// What a message quotes, if it does.
pub(super) fn quote(info: &ContextInfo) -> Option<api::Quote> {
    let whatsapp_id = info.stanza_id.clone()?;
    let quoted = peel(&info.quoted_message);
    let whole = |read: &Received| media_of(read).is_none_or(|media| File::of(media).is_some());
    let kind = match content(quoted).map(|(read, _)| read) {
        Some(read) if whole(&read) => kind_of(read),
        _ if *quoted == Message::default() => None,
        _ => Some(Quoted::Raw(info.quoted_message.encode_to_vec())),
    };
    let message = api::MessageRef { whatsapp_id, from_me: false, sender: owned(&info.participant) };
    let (text, chat) = (words(quoted), owned(&info.remote_jid));
    Some(api::Quote { message: Some(message), text, chat, content: kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Meaning, encode, read};
    use crate::id::UnixMillis;
    use crate::stanza::Jid;

    fn told(quote: &api::Quote) -> (api::Quote, ContextInfo) {
        let (chat, own) = (Jid::lid("7654321"), Jid::lid("1234567"));
        let now = UnixMillis(1_700_000_000_000);
        let around = Surroundings { chat, own, now, edited: None, secret: [7; 32] };
        let context = api::Context { quote: Some(quote.clone()), ..Default::default() };
        let bytes = encode(&MessageContent { kind: Content::Text("so".into()), context }, &around);
        let Ok(Meaning::Said(said)) = read(&bytes) else { panic!("nothing is said") };
        let decoded = Message::decode_from_slice(&bytes).expect("encoded here");
        let info = decoded.extended_text_message.context_info.clone();
        (said.context.unwrap_or_default().quote.unwrap_or_default(), (*info).clone())
    }

    fn of(sender: &str, chat: &str, content: Option<Quoted>) -> api::Quote {
        let message = api::MessageRef { whatsapp_id: "A".into(), from_me: false, sender: sender.to_owned() };
        api::Quote { message: Some(message), chat: chat.to_owned(), content, ..Default::default() }
    }

    #[test]
    fn what_is_quoted_is_told_as_what_it_is() {
        let place = api::Location { latitude: 52.5, longitude: 13.4, ..Default::default() };
        let options = vec!["yes".to_owned(), "no".to_owned()];
        let poll = api::Poll { question: "?".into(), options, selectable: 1, ..Default::default() };
        let file = api::WhatsAppFile {
            direct_path: "/v/1".into(),
            media_key: vec![1; 32],
            encrypted_sha256: vec![2; 32],
            ..Default::default()
        };
        let kind = api::media::Kind::Image.into();
        let media = Some(api::Media { kind, sha256: vec![3; 32], file: Some(file), ..Default::default() });
        let image = api::Image { media, caption: "look".into(), ..Default::default() };
        for (content, words) in
            [(Quoted::Location(place), ""), (Quoted::Poll(poll), ""), (Quoted::Image(image), "look")]
        {
            let (quote, _) = told(&of("55555@lid", "", Some(content.clone())));
            assert_eq!((quote.content, &*quote.text), (Some(content), words));
        }
        // As the bytes that it is: a kind without a field.
        let template_id = Some("T".to_owned());
        let raw = waproto::whatsapp::message::TemplateMessage { template_id, ..Default::default() };
        let raw = Message { template_message: raw.into(), ..Default::default() }.encode_to_vec();
        let (quote, _) = told(&of("55555@lid", "", Some(Quoted::Raw(raw.clone()))));
        assert_eq!(quote.content, Some(Quoted::Raw(raw)));
        let mut text = of("55555@lid", "", None);
        text.text = "before".into();
        assert_eq!(told(&text).0, text);
    }

    #[test]
    fn what_was_said_in_another_chat_is_quoted_with_that() {
        let group = "120363000000000001@g.us";
        let (quote, info) = told(&of("55555@lid", group, None));
        assert_eq!((&*quote.chat, info.participant.as_deref()), (group, Some("55555@lid")));
        assert_eq!(info.remote_jid.as_deref(), Some(group));
        let (_, info) = told(&of("", "55555@lid", None));
        assert_eq!(info.participant.as_deref(), Some("55555@lid"), "who speaks in a chat of two");
        let (_, info) = told(&of("", "", None));
        assert_eq!((info.participant.as_deref(), info.remote_jid), (Some("7654321@lid"), None));
    }
}
