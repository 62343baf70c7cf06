//! What several members of a group say of a message, told in one receipt.
//!
//! What must hold: everything is told once, as it would be alone. When the real server does so is not known (no client
//! shows it), so it is done when a test asks for it. Both clients that read such receipts know the form by kind: one kind
//! for all, the message as `key`. That by message, with a kind for each member, is whatsapp-rust's alone. That the receipt
//! has an id of its own is a guess.

use std::collections::BTreeMap;

use roost_proto::stanza::{Builder, Jid, Read as _, Server, Stanza};

use super::account::DeviceRef;

/// Which receipts come together: to whom, in which group, about which message, of which kind.
type Common = (DeviceRef, String, String, Option<String>);

/// What is held until enough of it has come.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many come together; 0 and 1 for nothing.
    count: usize,
    by_message: bool,
    held: BTreeMap<Common, Vec<Stanza>>,
    last: u64,
}

impl Gathering {
    /// How it is done from now on; returns what is held.
    pub(super) fn begin(&mut self, count: u32, by_message: bool) -> Vec<(DeviceRef, Stanza)> {
        (self.count, self.by_message) = (count as usize, by_message);
        let held = std::mem::take(&mut self.held);
        held.into_iter().map(|(common, receipts)| (common.0, self.together(&common, &receipts))).collect()
    }

    /// A receipt, as it would be told alone; returns what is to be told now.
    pub(super) fn add(&mut self, to: DeviceRef, receipt: Stanza) -> Vec<Stanza> {
        let group = receipt.jid("from").filter(|from| from.server == Server::Group && self.count > 1);
        let Some(group) = group else { return vec![receipt] };
        let kind = receipt.text("type").map(|kind| kind.into_owned()).filter(|_| !self.by_message);
        let items = receipt.child("list").into_iter().flat_map(|list| list.all_named("item"));
        let ids = receipt.text("id").into_iter().chain(items.filter_map(|item| item.text("id")));
        let mut told = Vec::new();
        for id in ids.map(|id| id.into_owned()).collect::<Vec<_>>() {
            let common = (to, group.to_string(), id, kind.clone());
            let held = self.held.entry(common.clone()).or_default();
            held.push(receipt.clone());
            if held.len() == self.count {
                let receipts = self.held.remove(&common).unwrap_or_default();
                told.push(self.together(&common, &receipts));
            }
        }
        told
    }

    fn together(&mut self, (_, group, id, kind): &Common, receipts: &[Stanza]) -> Stanza {
        self.last += 1;
        let users = receipts.iter().map(|receipt| {
            let mut user = Builder::new("user");
            for (key, from) in [("jid", "participant"), ("participant_pn", "participant_pn")] {
                if let Some(jid) = receipt.jid(from) {
                    user = user.attr(key, jid);
                }
            }
            let of_its_own = if self.by_message { &["t", "type"][..] } else { &["t"] };
            for key in of_its_own {
                if let Some(value) = receipt.text(key) {
                    user = user.attr(key, value.into_owned());
                }
            }
            user.build()
        });
        let key = if self.by_message { "message_id" } else { "key" };
        let participants = Builder::new("participants").attr(key, id.clone()).children(users);
        let mut receipt = Builder::new("receipt")
            .attr("from", group.parse::<Jid>().expect("it was one"))
            .attr("id", format!("GATHERED{}", self.last))
            .attr("t", receipts.last().and_then(|last| last.number("t")).unwrap_or_default());
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind.clone());
        }
        receipt.children([participants.build()]).build()
    }
}
