//! Where a message was said, by whom and when, however it has come.

use roost_proto::api;
use roost_proto::id::UnixMillis;

use crate::machine::inbound::{Inbound, message_key};

/// Where a message was said, by whom.
#[derive(Debug, Clone)]
pub(in crate::machine) struct Scene {
    pub(in crate::machine) chat: api::Person,
    pub(in crate::machine) group: String,
    pub(in crate::machine) sender: api::Person,
}

impl Scene {
    /// What names a message of it in the log.
    pub(in crate::machine) fn key(&self, id: &str) -> String {
        match self.group.is_empty() {
            true => message_key(&self.chat, &self.sender, id),
            // A group is named where a person would be.
            false => {
                let group = api::Person { lid: self.group.clone(), ..Default::default() };
                message_key(&group, &self.sender, id)
            }
        }
    }
}

/// What is known of a message beside what it says, however it has come.
#[derive(Debug, Clone)]
pub(in crate::machine) struct Head {
    pub(in crate::machine) id: String,
    /// It is of our account.
    pub(in crate::machine) own: bool,
    pub(in crate::machine) push_name: String,
    pub(in crate::machine) verified_name: String,
    /// The broadcast list through which it came.
    pub(in crate::machine) list: String,
    /// When it came; of the past, when it was said.
    pub(in crate::machine) at: UnixMillis,
}

impl Head {
    /// Of something from the past.
    pub(in crate::machine) fn past(id: &str, own: bool, at: UnixMillis) -> Head {
        let none = String::new;
        Head { id: id.to_owned(), own, push_name: none(), verified_name: none(), list: none(), at }
    }

    pub(in crate::machine) fn of(message: &Inbound) -> Head {
        Head {
            id: message.id.clone(),
            own: message.own,
            push_name: message.push_name(),
            verified_name: message.verified_name(),
            list: message.list.as_ref().map(|list| list.to_string()).unwrap_or_default(),
            at: message.occurred,
        }
    }
}
