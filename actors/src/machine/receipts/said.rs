//! What receipts say: who has which messages, and how far they have come with him.
//!
//! What must hold: what is told together is read as if each had told it alone; what we say ourselves is no receipt.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Stanza};

use crate::machine::Machine;
use crate::port::{MessageState, SOUGHT};

/// The most people whose receipts come in one: as many as a large group has members.
const PEOPLE: usize = 2048;

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

/// How far a message has come, by the kind of a receipt.
pub(super) fn state_of(kind: Option<&str>) -> Option<MessageState> {
    match kind {
        None | Some("delivery" | "inactive") => Some(MessageState::Delivered),
        Some("read") => Some(MessageState::Read),
        Some("played") => Some(MessageState::Played),
        Some(_) => None,
    }
}

/// Whether a recipient cannot take the message because of how it was addressed. WhatsApp has it then, and he has not.
fn is_incapable(receipt: &Stanza) -> bool {
    let error = receipt.child("error");
    let is = |key, value: &str| error.and_then(|error| error.text(key)).as_deref() == Some(value);
    is("type", "feature-incapable") && is("reason", "lid")
}

/// The messages that a receipt is about.
pub(in crate::machine) fn ids_of(receipt: &Stanza) -> Vec<String> {
    let items = receipt.child("list").into_iter().flat_map(|list| list.all_named("item"));
    let ids = receipt.text("id").into_iter().chain(items.filter_map(|item| item.text("id")));
    ids.take(SOUGHT).map(|id| id.into_owned()).collect()
}

impl Machine {
    /// What a receipt says. In a group, and of a status post, it may be what several people say of one message:
    /// `<participants key><user jid t/>*</participants>` in one receipt of its kind, or, each of his kind,
    /// `<participants message_id><user jid t type/>*</participants>`.
    pub(super) fn said_in(&self, receipt: &Stanza, state: MessageState) -> Vec<Said> {
        let at = self.told_at(receipt);
        let ours = |jid: &Jid| self.account.as_ref().is_some_and(|account| account.is_own(jid));
        let incapable = is_incapable(receipt);
        let reached = |state| match state {
            MessageState::Delivered if incapable => MessageState::Sent,
            state => state,
        };
        let of =
            |who: &Stanza, name: &str| [who.jid(name), who.jid("participant_pn"), who.jid("participant_lid")];
        if receipt.child("participants").is_none() {
            let by = receipt.jid("participant").or_else(|| receipt.jid("from"));
            let (forms, state) = (of(receipt, "participant"), reached(state));
            return by.map(|by| Said { by, forms, ids: ids_of(receipt), state, at }).into_iter().collect();
        }
        let together = receipt.all_named("participants").take(SOUGHT).filter_map(|all| {
            let id = all.text("message_id").or_else(|| all.text("key"))?.into_owned();
            Some(all.all_named("user").map(move |user| (id.clone(), user)))
        });
        let said = together.flatten().take(PEOPLE).filter_map(|(id, user)| {
            let by = user.jid("jid").filter(|by| !ours(by))?;
            let kind = user.text("type");
            let state = reached(kind.map_or(Some(state), |kind| state_of(Some(&kind)))?);
            let at = if user.text("t").is_some() { self.told_at(user) } else { at };
            Some(Said { by, forms: of(user, "jid"), ids: vec![id], state, at })
        });
        said.collect()
    }
}
