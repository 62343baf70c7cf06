//! What receipts say: who has which messages, and how far they have come with him.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Stanza};

use crate::machine::Machine;
use crate::port::{MessageState, SOUGHT};

/// What one person says of messages.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) by: Jid,
    /// All names of his that the receipt has.
    pub(super) forms: [Option<Jid>; 3],
    pub(super) ids: Vec<String>,
    pub(super) state: MessageState,
    pub(super) at: UnixMillis,
}

/// The messages that a receipt is about.
pub(in crate::machine) fn ids_of(receipt: &Stanza) -> Vec<String> {
    let items = receipt.child("list").into_iter().flat_map(|list| list.all_named("item"));
    let ids = receipt.text("id").into_iter().chain(items.filter_map(|item| item.text("id")));
    ids.take(SOUGHT).map(|id| id.into_owned()).collect()
}

impl Machine {
    /// What a receipt says.
    pub(super) fn said_in(&self, receipt: &Stanza, state: MessageState) -> Vec<Said> {
        let participant = receipt.jid("participant");
        let Some(by) = participant.clone().or_else(|| receipt.jid("from")) else { return Vec::new() };
        let forms = [participant, receipt.jid("participant_pn"), receipt.jid("participant_lid")];
        vec![Said { by, forms, ids: ids_of(receipt), state, at: self.told_at(receipt) }]
    }
}
