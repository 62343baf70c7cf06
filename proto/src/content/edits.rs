//! Edits: another text for a message of ours, or other words beside its picture, film or document.
//!
//! Rules: clients send the whole message again, with the new caption in it, as the content of an edit.

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::{ContextInfo, Message, message};

use super::encode::{Surroundings, message_key};
use super::meaning::{Meaning, peel, read};
use super::texts::extended;
use crate::api;

/// Another content for a message of ours: other words beside its file, when it is known and has one, or else a text.
pub(super) fn an_edit(
    edit: &api::EditMessage,
    around: &Surroundings,
    with: MessageField<ContextInfo>,
) -> Message {
    let stored = around.edited.as_ref();
    let new = match stored.and_then(|stored| reworded(stored, &edit.text, &with)) {
        Some(reworded) => reworded,
        None if with.is_unset() => Message { conversation: Some(edit.text.clone()), ..Default::default() },
        None => Message {
            extended_text_message: extended(&edit.text, &api::Context::default(), with).into(),
            ..Default::default()
        },
    };
    Message {
        protocol_message: message::ProtocolMessage {
            key: message_key(Some(&edited(edit)), around),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: new.into(),
            timestamp_ms: Some(around.now.0),
            ..Default::default()
        }
        .into(),
        ..Default::default()
    }
}

/// The message of ours that is edited.
pub(super) fn edited(edit: &api::EditMessage) -> api::MessageRef {
    api::MessageRef { whatsapp_id: edit.whatsapp_id.clone(), from_me: true, ..Default::default() }
}

/// The stored message with these words beside its file, as the content of an edit. `None` when it has no file that
/// words go with. What goes with the edit replaces what went with the message, when there is any.
pub(super) fn reworded(stored: &[u8], words: &str, with: &MessageField<ContextInfo>) -> Option<Message> {
    let outer = Message::decode_from_slice(stored).ok()?;
    let before = peel(&outer);
    let mut out = Message::default();
    let caption = Some(words.to_owned());
    let context = |of: &MessageField<ContextInfo>| if with.is_set() { with.clone() } else { of.clone() };
    if let Some(image) = before.image_message.as_option() {
        let context_info = context(&image.context_info);
        out.image_message = message::ImageMessage { caption, context_info, ..image.clone() }.into();
    } else if let Some(film) = before.video_message.as_option() {
        let context_info = context(&film.context_info);
        out.video_message = message::VideoMessage { caption, context_info, ..film.clone() }.into();
    } else if let Some(document) = before.document_message.as_option() {
        let context_info = context(&document.context_info);
        let document_message = message::DocumentMessage { caption, context_info, ..document.clone() }.into();
        let inner = Message { document_message, ..Default::default() };
        // As when it is sent: WhatsApp's own clients show the caption only in this envelope.
        out.document_with_caption_message = message::FutureProofMessage { message: inner.into() }.into();
    } else {
        return None;
    }
    Some(out)
}

/// What a message says that an edit, encoded, has changed: all of it, with its file. `None` when it is no edit.
pub fn now_said(edit: &[u8]) -> Option<Meaning> {
    let outer = Message::decode_from_slice(edit).ok()?;
    let new = peel(&outer).protocol_message.as_option()?.edited_message.as_option()?;
    read(&new.encode_to_vec()).ok()
}

/// The words beside the file of a message; `None` for any other.
pub(super) fn caption(message: &Message) -> Option<String> {
    let captions = [
        message.image_message.as_option().map(|image| &image.caption),
        message.video_message.as_option().map(|film| &film.caption),
        message.document_message.as_option().map(|document| &document.caption),
    ];
    captions.into_iter().flatten().next().map(|caption| caption.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::message_edited::Content as Edited;
    use crate::api::send_message_request::Content;
    use crate::content::{MessageContent, encode};
    use crate::id::UnixMillis;
    use crate::media::file_in;
    use crate::stanza::Jid;

    fn around(edited: Option<Bytes>) -> Surroundings {
        let (chat, own) = (Jid::lid("7654321"), Jid::lid("1234567"));
        Surroundings { chat, own, now: UnixMillis(1_700_000_000_000), edited, secret: [7; 32] }
    }

    fn said(kind: Content, context: api::Context, edited: Option<Vec<u8>>) -> Vec<u8> {
        encode(&MessageContent { kind, context }, &around(edited.map(Bytes::from)))
    }

    fn media() -> Option<api::Media> {
        let (media_key, encrypted_sha256) = (vec![1; 32], vec![2; 32]);
        let direct_path = "/v/1".to_owned();
        let file = api::WhatsAppFile { direct_path, media_key, encrypted_sha256, ..Default::default() };
        let kind = api::media::Kind::Image.into();
        Some(api::Media { kind, sha256: vec![3; 32], file: Some(file), ..Default::default() })
    }

    #[test]
    fn an_edited_caption_comes_with_the_whole_file_and_what_went_with_it() {
        let caption = "before".to_owned();
        let quote = api::Quote {
            message: Some(api::MessageRef { whatsapp_id: "A".into(), ..Default::default() }),
            text: "quoted".into(),
            ..Default::default()
        };
        let context = api::Context { quote: Some(quote), ..Default::default() };
        for kind in [
            Content::Image(api::Image { media: media(), caption: caption.clone(), ..Default::default() }),
            Content::Video(api::Video { media: media(), caption: caption.clone(), ..Default::default() }),
            Content::Document(api::Document { media: media(), ..Default::default() }),
        ] {
            let before = said(kind, context.clone(), None);
            let edit = api::EditMessage { whatsapp_id: "B".into(), text: "after".into(), encrypted: false };
            let bytes = said(Content::Edit(edit), api::Context::default(), Some(before.clone()));
            let Ok(Meaning::Edited { message, content }) = read(&bytes) else { panic!("it is no edit") };
            assert_eq!((&*message.id, content), ("B", Edited::Caption("after".into())));
            let outer = Message::decode_from_slice(&bytes).expect("encoded here");
            let new = peel(&outer).protocol_message.edited_message.encode_to_vec();
            assert_eq!(file_in(&new), file_in(&before));
            let Some(Meaning::Said(statement)) = now_said(&bytes) else { panic!("nothing is said") };
            assert_eq!(
                statement.context.and_then(|context| context.quote).unwrap_or_default().text,
                "quoted"
            );
        }
    }

    #[test]
    fn what_has_no_caption_becomes_a_text() {
        let before = said(Content::Text("before".into()), api::Context::default(), None);
        for stored in [None, Some(before), Some(b"nonsense".to_vec())] {
            let edit = api::EditMessage { whatsapp_id: "B".into(), text: "after".into(), encrypted: false };
            let bytes = said(Content::Edit(edit), api::Context::default(), stored);
            let edited = read(&bytes);
            assert!(matches!(edited, Ok(Meaning::Edited { content: Edited::Text(_), .. })), "{edited:?}");
        }
    }
}
