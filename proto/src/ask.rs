//! Questions that a device asks WhatsApp on behalf of a caller: typed values, the `<iq>` that each becomes,
//! and what its answer says.
//!
//! What must hold: a question is pure; who asks it gives it its id and waits. One that changes something at
//! WhatsApp says so, because nobody may repeat it by himself when its outcome is unknown.

pub mod bots;
pub mod business;
pub mod calls;
pub mod catalog;
pub mod groups;
pub mod health;
pub mod links;
pub mod making;
pub mod media;
mod mex;
pub mod newsletters;
pub mod numbers;
pub mod orders;
pub mod pictures;
pub mod privacy;
pub mod push;
pub mod reports;
pub mod settings;
pub mod statuses;
pub mod trusted;
pub mod users;

use std::fmt::Debug;

use crate::stanza::{Builder, Jid, Missing, Stanza, server_jid};

/// Something to ask.
pub trait Question: Debug + Send + Sync {
    /// What the answer says.
    type Answer;

    /// Whether it changes something at WhatsApp. (`type=set` does not tell: some of those only read.)
    const CHANGES: bool;

    /// The `<iq>` without an id; begun with [`get`], [`set`] or [`request`].
    fn request(&self) -> Stanza;

    /// Reads a good answer; refusals never come here.
    ///
    /// # Errors
    /// [`Missing`]: WhatsApp's answer lacks what the protocol promises.
    fn read(&self, answer: &Stanza) -> Result<Self::Answer, Missing>;
}

/// `<iq type=get xmlns to=server>`.
pub fn get(xmlns: &'static str) -> Builder {
    request("get", xmlns, server_jid())
}

/// `<iq type=set xmlns to=server>`.
pub fn set(xmlns: &'static str) -> Builder {
    request("set", xmlns, server_jid())
}

/// The same to any address: groups and newsletters have their own.
pub fn request(kind: &'static str, xmlns: &'static str, to: Jid) -> Builder {
    Builder::new("iq").attr("type", kind).attr("xmlns", xmlns).attr("to", to)
}

/// The request under the id that its answer will have.
pub fn with_id(mut request: Stanza, id: &str) -> Stanza {
    request.attrs.insert("id", id.to_owned());
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Read as _;

    #[test]
    fn a_request_has_the_id_that_it_was_given_and_only_that() {
        let request = with_id(with_id(get("usync").build(), "1"), "2");
        assert_eq!(request.attrs.keys().filter(|key| *key == "id").count(), 1);
        assert_eq!(request.text("id").as_deref(), Some("2"));
        assert_eq!(request.jid("to"), Some(server_jid()));
    }
}
