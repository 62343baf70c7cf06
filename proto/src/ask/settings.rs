//! Settings of the own account: about text, the default timer of disappearing messages, and whom it has blocked.

use super::{Question, get, set};
use crate::stanza::{Builder, Jid, Missing, Read, Stanza};

/// Sets the about text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAbout {
    /// The text; empty for none.
    pub text: String,
}

impl Question for SetAbout {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let status = Builder::new("status").bytes(self.text.as_bytes()).build();
        set("status").children([status]).build()
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Sets the timer that new chats begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDefaultTimer {
    /// 0 for off.
    pub seconds: u32,
}

impl Question for SetDefaultTimer {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let mode = Builder::new("disappearing_mode").attr("duration", self.seconds).build();
        set("disappearing_mode").children([mode]).build()
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}

/// Asks whom the account has blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBlocked;

impl Question for GetBlocked {
    type Answer = Vec<Jid>;

    const CHANGES: bool = false;

    fn request(&self) -> Stanza {
        get("blocklist").build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<Jid>, Missing> {
        Ok(blocked(answer.child("list")))
    }
}

/// Blocks somebody, or ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBlocked {
    /// The hidden identity.
    pub lid: Jid,
    /// The phone number; WhatsApp wants it for blocking.
    pub pn: Option<Jid>,
    /// Block, or unblock.
    pub block: bool,
}

impl Question for SetBlocked {
    /// The whole list, when WhatsApp tells it.
    type Answer = Vec<Jid>;

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let action = if self.block { "block" } else { "unblock" };
        let mut item = Builder::new("item").attr("action", action).attr("jid", self.lid.clone());
        if let Some(pn) = self.pn.as_ref().filter(|_| self.block) {
            item = item.attr("pn_jid", pn.clone());
        }
        set("blocklist").children([item.build()]).build()
    }

    fn read(&self, answer: &Stanza) -> Result<Vec<Jid>, Missing> {
        Ok(blocked(answer.child("list")))
    }
}

fn blocked(list: Option<&Stanza>) -> Vec<Jid> {
    let items = list.map(Read::all).unwrap_or_default().iter().filter(|item| item.tag == "item");
    items.filter_map(|item| Some(item.jid("jid")?.to_non_ad())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocking_names_the_phone_number() {
        let block = |block| SetBlocked { lid: Jid::lid("7"), pn: Some(Jid::pn("4915")), block };
        let item = |question: SetBlocked| question.request().child("item").expect("one").clone();
        assert_eq!(item(block(true)).jid("pn_jid"), Some(Jid::pn("4915")));
        assert_eq!(item(block(false)).jid("pn_jid"), None);
        assert_eq!(item(block(false)).text("action").as_deref(), Some("unblock"));
    }
}
