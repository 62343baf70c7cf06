//! What is said in a newsletter, where nothing is encrypted: new posts are the message as it is; what is about an
//! earlier one is told to the server in attributes, and only the new content travels.
//!
//! A post with a file goes out with what WhatsApp calls the upload of that file, which no field of its schema has. A
//! stored message carries it before itself, in a field with the highest number that there is, and it is cut off here.
//!
//! Rules: whatsmeow and whatsapp-rust agree that an edit and a revocation go out under the id of the post, and that
//! a reaction names it by the server's number.

use waproto::buffa::Message as _;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type;

use super::meaning::{owned, peel};
use crate::api::send_message_request::Content;
use crate::media::media_to_send;
use crate::stanza::{Jid, Server};

/// How a message goes into a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// As it is.
    Post {
        /// The encoded `Message`.
        content: Vec<u8>,
        /// What WhatsApp calls the upload of its file.
        media_handle: Option<String>,
    },
    /// A reaction.
    Reaction {
        /// The server's number of what it is about.
        number: String,
        /// Empty to take it back.
        emoji: String,
    },
    /// A post gets another content.
    Edit {
        /// Id of the post.
        id: String,
        /// The encoded `Message` that it becomes.
        content: Vec<u8>,
    },
    /// A post is taken back.
    Revocation {
        /// Id of the post.
        id: String,
    },
}

/// Reads an encoded message that is to go into a newsletter; what cannot be read goes as it is.
pub fn spoken(stored: &[u8]) -> Spoken {
    let (media_handle, bytes) = without_handle(stored);
    let post = || Spoken::Post { content: bytes.to_vec(), media_handle: media_handle.map(str::to_owned) };
    let Ok(outer) = Message::decode_from_slice(bytes) else { return post() };
    let message = peel(&outer);
    if let Some(reaction) = message.reaction_message.as_option() {
        return Spoken::Reaction { number: owned(&reaction.key.id), emoji: owned(&reaction.text) };
    }
    let Some(protocol) = message.protocol_message.as_option().filter(|protocol| protocol.key.is_set()) else {
        return post();
    };
    let id = owned(&protocol.key.id);
    match (protocol.r#type, protocol.edited_message.as_option()) {
        (Some(Type::MESSAGE_EDIT), Some(new)) => Spoken::Edit { id, content: new.encode_to_vec() },
        (None | Some(Type::REVOKE), _) => Spoken::Revocation { id },
        _ => post(),
    }
}

/// The key of field 536 870 911, whose content has a length.
const HANDLE: [u8; 5] = [0xfa, 0xff, 0xff, 0xff, 0x0f];
/// The longest handle that is carried: what the two bytes of its length can say.
const LONGEST: usize = (1 << 14) - 1;

/// An encoded message as it is stored: in a newsletter, with the handle of its file.
pub(super) fn carried(content: &Content, chat: &Jid, message: Vec<u8>) -> Vec<u8> {
    let file = media_to_send(content).and_then(|media| media.file.as_ref());
    match file.filter(|_| chat.server == Server::Newsletter) {
        Some(file) => with_handle(&file.media_handle, message),
        None => message,
    }
}

/// With this handle before it; one that is too long is left out.
fn with_handle(handle: &str, message: Vec<u8>) -> Vec<u8> {
    if handle.is_empty() || handle.len() > LONGEST {
        return message;
    }
    let length = handle.len();
    let length =
        [u8::try_from(length & 0x7f | 0x80), u8::try_from(length >> 7)].map(|byte| byte.expect("14 bits"));
    [&HANDLE[..], &length, handle.as_bytes(), &message].concat()
}

fn without_handle(stored: &[u8]) -> (Option<&str>, &[u8]) {
    let read = || {
        let ([low, high], rest) = stored.strip_prefix(&HANDLE)?.split_first_chunk()?;
        let length = usize::from(low & 0x7f) | usize::from(*high) << 7;
        let (handle, message) = rest.split_at_checked(length)?;
        Some((Some(std::str::from_utf8(handle).ok()?), message))
    };
    read().unwrap_or((None, stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::e2e;

    #[test]
    fn a_handle_goes_beside_its_post_and_never_in_it() {
        let message = e2e::text("hens");
        for handle in ["x".to_owned(), "GBQ-".repeat(500)] {
            let stored = with_handle(&handle, message.clone());
            assert!(Message::decode_from_slice(&stored).is_ok(), "it is still a message");
            let post = Spoken::Post { content: message.clone(), media_handle: Some(handle) };
            assert_eq!(spoken(&stored), post);
        }
        let bare = Spoken::Post { content: message.clone(), media_handle: None };
        for handle in [String::new(), "x".repeat(LONGEST + 1)] {
            assert_eq!(spoken(&with_handle(&handle, message.clone())), bare);
        }
        assert!(matches!(spoken(&HANDLE), Spoken::Post { media_handle: None, .. }), "cut short");
    }
}
