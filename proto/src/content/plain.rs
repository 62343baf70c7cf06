//! What is said in a newsletter, where nothing is encrypted: new posts are the message as it is; what is about an
//! earlier one is told to the server in attributes, and only the new content travels.
//!
//! Rules: whatsmeow and whatsapp-rust agree that an edit and a revocation go out under the id of the post, and that
//! a reaction names it by the server's number.

use waproto::buffa::Message as _;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type;

use super::meaning::{owned, peel};

/// How a message goes into a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// As it is.
    Post,
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
pub fn spoken(message: &[u8]) -> Spoken {
    let Ok(outer) = Message::decode_from_slice(message) else { return Spoken::Post };
    let message = peel(&outer);
    if let Some(reaction) = message.reaction_message.as_option() {
        return Spoken::Reaction { number: owned(&reaction.key.id), emoji: owned(&reaction.text) };
    }
    let Some(protocol) = message.protocol_message.as_option().filter(|protocol| protocol.key.is_set()) else {
        return Spoken::Post;
    };
    let id = owned(&protocol.key.id);
    match (protocol.r#type, protocol.edited_message.as_option()) {
        (Some(Type::MESSAGE_EDIT), Some(new)) => Spoken::Edit { id, content: new.encode_to_vec() },
        (None | Some(Type::REVOKE), _) => Spoken::Revocation { id },
        _ => Spoken::Post,
    }
}
