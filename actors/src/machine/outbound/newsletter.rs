//! Speaking in a newsletter: nothing is encrypted, and WhatsApp itself tells the followers.

use roost_proto::content::{self, Meaning, Wire};
use roost_proto::stanza::{Builder, Jid, Stanza};

use crate::machine::Machine;
use crate::machine::commit::Pending;

impl Machine {
    pub(super) fn start_in_newsletter(&mut self, ordinal: i64, newsletter: &Jid) {
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let message = &item.message;
        let wire =
            crate::machine::connect::encode(&spoken(newsletter, &message.whatsapp_id, &message.content));
        match wire {
            Some(wire) => {
                let slot = self.lane.open();
                self.commit_message(slot, ordinal, Pending::default(), wire);
            }
            None => self.fail(ordinal, "INVALID_FIELD"),
        }
    }
}

/// A reaction names a message by the number that the server gave it; anything else is said as it is.
fn spoken(newsletter: &Jid, id: &str, bytes: &[u8]) -> Stanza {
    let stanza = Builder::new("message").attr("to", newsletter.clone()).attr("id", id.to_owned());
    if let Ok(Meaning::Reacted(about, emoji)) = content::read(bytes) {
        let stanza = stanza.attr("type", "reaction").attr("server_id", about.id);
        let (stanza, reaction) = match emoji.is_empty() {
            true => (stanza.attr("edit", "7"), Builder::new("reaction")),
            false => (stanza, Builder::new("reaction").attr("code", emoji)),
        };
        return stanza.children([reaction.build()]).build();
    }
    let marks = Wire::of(bytes);
    let plain = Builder::new("plaintext");
    let plain = match marks.media {
        Some(media) => plain.attr("mediatype", media),
        None => plain,
    };
    stanza.attr("type", marks.kind).children([plain.bytes(bytes.to_vec()).build()]).build()
}
