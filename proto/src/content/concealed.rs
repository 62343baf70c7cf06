//! Edits, reactions and comments that are encrypted once more, under the secret of the message that they are
//! about: as in the announcement groups of communities, and wherever a client chooses so.
//!
//! Rules: what whatsmeow and whatsapp-rust agree on: the key as for votes, without associated data.

use waproto::buffa::Message as _;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::{Message, message};

use super::meaning::{Meaning, Ref, Sealed, bytes, new_content, owned, peel, read, reference};
use super::sealed::{Parties, Secret, open};

pub(super) const REACTION: &str = "Enc Reaction";
pub(super) const COMMENT: &str = "Enc Comment";
pub(super) const EDIT: &str = "Message Edit";
pub(super) const POLL_OPTION: &str = "Poll Add Option";

/// What is concealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A reaction.
    Reaction,
    /// A comment.
    Comment,
    /// New content of a message.
    Edit,
    /// New content of a calendar event.
    EventEdit,
    /// New content of a poll.
    PollEdit,
    /// One more option of a poll.
    PollOption,
}

impl Usage {
    fn word(self) -> &'static str {
        match self {
            Usage::Reaction => REACTION,
            Usage::Comment => COMMENT,
            Usage::Edit => EDIT,
            Usage::EventEdit => "Event Edit",
            Usage::PollEdit => "Poll Edit",
            Usage::PollOption => POLL_OPTION,
        }
    }
}

/// Something about an earlier message, still encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concealed {
    /// Which message.
    pub about: Ref,
    /// What of it.
    pub usage: Usage,
    /// What was encrypted.
    pub sealed: Sealed,
    /// The secret of the earlier message, where its sender has put it beside.
    pub secret: Option<Secret>,
}

impl Concealed {
    /// Opens it; `None` when the secret is another's.
    pub fn reveal(&self, secret: &Secret, parties: Parties<'_>) -> Option<Meaning> {
        let opened = open(&self.sealed, secret, parties, self.usage.word())?;
        let about = self.about.clone();
        if self.usage == Usage::Reaction {
            let reaction = message::ReactionMessage::decode_from_slice(&opened).ok()?;
            return Some(Meaning::Reacted(about, owned(&reaction.text)));
        }
        if self.usage == Usage::PollOption {
            let added = Message::decode_from_slice(&opened).ok()?;
            let added = peel(&added).poll_add_option_message.add_option.option_name.clone()?;
            return Some(Meaning::OptionAdded(about, added));
        }
        let meaning = read(&opened).ok()?;
        Some(match (self.usage, meaning) {
            (Usage::Comment, Meaning::Said(statement)) => Meaning::Commented(about, statement),
            (Usage::Comment, _) => return None,
            // What was edited is what is named outside, where everybody could see it.
            (_, Meaning::Edited { content, .. }) => Meaning::Edited { message: about, content },
            (_, Meaning::Said(_)) => {
                let new = Message::decode_from_slice(&opened).ok()?;
                Meaning::Edited { message: about, content: new_content(&new) }
            }
            _ => return None,
        })
    }
}

pub(super) fn concealed(message: &Message, outer: &Message) -> Option<Concealed> {
    let sealed =
        |payload: &Option<Vec<u8>>, iv: &Option<Vec<u8>>| Sealed { payload: bytes(payload), iv: bytes(iv) };
    if let Some(reaction) = message.enc_reaction_message.as_option() {
        let about = reference(&reaction.target_message_key);
        let sealed = sealed(&reaction.enc_payload, &reaction.enc_iv);
        return Some(Concealed { about, usage: Usage::Reaction, sealed, secret: None });
    }
    if let Some(comment) = message.enc_comment_message.as_option() {
        let about = reference(&comment.target_message_key);
        let sealed = sealed(&comment.enc_payload, &comment.enc_iv);
        return Some(Concealed { about, usage: Usage::Comment, sealed, secret: None });
    }
    let edit = message.secret_encrypted_message.as_option()?;
    let usage = match edit.secret_enc_type? {
        SecretEncType::MESSAGE_EDIT => Usage::Edit,
        SecretEncType::EVENT_EDIT => Usage::EventEdit,
        SecretEncType::POLL_EDIT => Usage::PollEdit,
        SecretEncType::POLL_ADD_OPTION => Usage::PollOption,
        _ => return None,
    };
    let beside = [&message.message_context_info, &outer.message_context_info];
    let secret = beside.into_iter().find_map(|context| context.message_secret.clone());
    let secret = secret.filter(|key| key.len() == 32);
    let secret = secret.map(Secret::bare);
    let sealed = sealed(&edit.enc_payload, &edit.enc_iv);
    let mut about = reference(&edit.target_message_key);
    // Nobody edits what another has said, whatever he writes.
    about.of_the_sender |= usage == Usage::Edit;
    Some(Concealed { about, usage, sealed, secret })
}
