//! What messages say, between the public schema and WhatsApp's: every kind that has a field in
//! `content.proto`, and any other as the bytes that it is.
//!
//! What must hold: what [`check`] lets pass can be encoded; a kind that we do not read is carried as the
//! bytes that came. What the server must be told about a message ([`Wire`]) follows from its bytes alone, so
//! that a stored message needs nothing beside them. The types of WhatsApp's schema stay below this file.

mod bots;
mod business;
mod concealed;
mod edits;
mod encode;
mod interactive;
mod meaning;
mod plain;
mod polls;
mod quotes;
mod refuse;
mod report;
mod sealed;
mod shop;
mod texts;
mod wire;

pub use bots::{BotKey, for_bot, open_bot, seal_bot};
pub use concealed::{Concealed, Usage};
pub use edits::now_said;
pub use encode::{Surroundings, encode};
pub use meaning::{Meaning, Ref, Sealed, Statement, read, read_in_newsletter};
pub use plain::{Spoken, spoken};
pub use polls::options_of;
pub use quotes::{quoted_kind, quoted_media};
pub(crate) use refuse::is_sendable;
pub use refuse::{Invalid, MAX_RAW, MAX_TEXT, check};
pub use sealed::{MOST_OPTIONS, Parties, Secret, answered, chosen, open_answer, open_vote, seal};
pub(crate) use sealed::{answer_of, answer_to};
pub use wire::Wire;

use crate::api;

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageContent {
    /// What it says.
    pub kind: api::send_message_request::Content,
    /// What goes with it.
    pub context: api::Context,
}

impl MessageContent {
    /// A text with nothing beside it.
    pub fn text(text: impl Into<String>) -> MessageContent {
        let kind = api::send_message_request::Content::Text(text.into());
        MessageContent { kind, context: api::Context::default() }
    }
}

#[cfg(test)]
mod tests;
