//! The end of messages whose device is not linked any more.
//!
//! What must hold: one that may have been on the wire ends as indeterminate, the others as failed. None keeps its
//! bytes' way open: those are of keys that WhatsApp does not know any more.

use super::{Outbox, Stage};
use crate::machine::Machine;
use crate::machine::commit::Pending;
use crate::port::MessageState;

/// Messages that end in one commit.
const PIECE: usize = 128;
/// Why they fail.
const REASON: &str = "DEVICE_LOGGED_OUT";

impl Outbox {
    /// Whether messages are being accepted.
    pub(in crate::machine) fn is_accepting(&self) -> bool {
        self.accepting > 0
    }
}

impl Machine {
    /// Ends messages, as many as one commit may end. With `all`, those too that are with crypto or on their way to the
    /// store, whose turn comes otherwise when they are back from there.
    pub(in crate::machine) fn part_with_messages(&mut self, outcome: &mut Pending, all: bool) {
        let settling = self.outbox.items.values().filter(|item| item.stage == Stage::Settling).count();
        let most = if all { usize::MAX } else { PIECE.saturating_sub(settling) };
        let is_next = |stage: &Stage| match stage {
            Stage::Settling => false,
            Stage::Encrypting | Stage::Committing => all,
            _ => true,
        };
        let waiting = self.outbox.items.iter().filter(|(_, item)| is_next(&item.stage));
        for ordinal in waiting.map(|(ordinal, _)| *ordinal).take(most).collect::<Vec<_>>() {
            self.give_turn_back(ordinal);
            let Some(item) = self.outbox.items.get(&ordinal) else { continue };
            let wired = matches!(&item.stage, Stage::Sending { since, .. } if item.unsure || since.is_some());
            let (state, failure) = match wired {
                true => (MessageState::Indeterminate, None),
                false => (MessageState::Failed, Some(REASON)),
            };
            let (message_id, whatsapp_id) =
                (item.message.message_id.clone(), item.message.whatsapp_id.clone());
            self.move_message(outcome, &message_id, &whatsapp_id, state, self.now.wall, failure);
        }
    }
}
