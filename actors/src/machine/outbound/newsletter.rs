//! Speaking in a newsletter: nothing is encrypted, and WhatsApp itself tells the followers.
//!
//! What must hold: an edit and a revocation of a post go out under the id of the post, so an acknowledgement does not
//! say whether it is meant for the post, for one of those, or for a repetition. On one link acknowledgements come in
//! the order of the stanzas, so each settles the oldest message that went out under its id.

use std::collections::VecDeque;

use roost_proto::content::{Spoken, Wire, spoken};
use roost_proto::stanza::{Builder, Jid, Stanza};

use crate::machine::Machine;
use crate::machine::commit::Pending;
use crate::port::NewMessage;

/// What went into newsletters on one link and was not acknowledged: ids of stanzas, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Unanswered(VecDeque<(String, i64)>);

impl Unanswered {
    /// Enough for the largest outbox and a repetition of each; what is older is sent again anyway.
    const MOST: usize = 4096;

    /// Notes a stanza that goes out now; one without an id is not for a newsletter.
    pub(super) fn sent(&mut self, id: Option<&String>, ordinal: i64) {
        let Some(id) = id else { return };
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((id.clone(), ordinal));
    }

    /// Whose stanza an acknowledgement with this id is for.
    pub(super) fn answered(&mut self, id: &str) -> Option<i64> {
        let place = self.0.iter().position(|(sent, _)| sent == id)?;
        self.0.remove(place).map(|(_, ordinal)| ordinal)
    }

    /// On the next link everything goes out again.
    pub(super) fn link_lost(&mut self) {
        self.0.clear();
    }
}

/// Id of the stanza of a message; `None` outside of newsletters, where it is WhatsApp's id of the message.
pub(super) fn stanza_id(message: &NewMessage) -> Option<String> {
    if !message.chat.ends_with("@newsletter") {
        return None;
    }
    Some(match spoken(&message.content) {
        Spoken::Edit { id, .. } | Spoken::Revocation { id } => id,
        Spoken::Post { .. } | Spoken::Reaction { .. } => message.whatsapp_id.clone(),
    })
}

impl Machine {
    pub(super) fn start_in_newsletter(&mut self, ordinal: i64, newsletter: &Jid) {
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let message = &item.message;
        let id = item.stanza_id.as_ref().unwrap_or(&message.whatsapp_id);
        let wire = crate::machine::connect::encode(&stanza(newsletter, id, &message.content));
        match wire {
            Some(wire) => {
                let slot = self.lane.open();
                self.commit_message(slot, ordinal, Pending::default(), wire);
            }
            None => self.fail(ordinal, "INVALID_FIELD"),
        }
    }
}

fn stanza(newsletter: &Jid, id: &str, bytes: &[u8]) -> Stanza {
    let message = Builder::new("message").attr("to", newsletter.clone()).attr("id", id.to_owned());
    match spoken(bytes) {
        Spoken::Post { content, media_handle } => {
            let message = match media_handle {
                Some(handle) => message.attr("media_id", handle),
                None => message,
            };
            plain(message, &content)
        }
        Spoken::Edit { content, .. } => plain(message.attr("edit", "3"), &content),
        Spoken::Revocation { .. } => {
            let nothing = Builder::new("plaintext").build();
            message.attr("type", "text").attr("edit", "8").children([nothing]).build()
        }
        Spoken::Reaction { number, emoji } => {
            let message = message.attr("type", "reaction").attr("server_id", number);
            let (message, reaction) = match emoji.is_empty() {
                true => (message.attr("edit", "7"), Builder::new("reaction")),
                false => (message, Builder::new("reaction").attr("code", emoji)),
            };
            message.children([reaction.build()]).build()
        }
    }
}

fn plain(message: Builder, bytes: &[u8]) -> Stanza {
    let marks = Wire::of(bytes);
    let plain = Builder::new("plaintext");
    let plain = match marks.media {
        Some(media) => plain.attr("mediatype", media),
        None => plain,
    };
    message.attr("type", marks.kind).children([plain.bytes(bytes.to_vec()).build()]).build()
}
