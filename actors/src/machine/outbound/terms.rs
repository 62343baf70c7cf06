//! What the sender of a message allows: until when it may be sent, whether again, and that it takes it back.
//!
//! What must hold: from its encryption on a message goes out; before that it may expire or be cancelled, with or
//! without a link, and then none of it ever reaches the wire.

use std::time::Duration;

use roost_placement::lease::BootTime;

use super::ended::Copies;
use super::{Item, Stage};
use crate::device::CommandError;
use crate::machine::Machine;
use crate::machine::commit::{After, Pending};
use crate::port::{MessageState, NewMessage};

impl Item {
    /// Whether nothing of it can be on the wire, now or soon.
    fn is_unsent(&self) -> bool {
        use Stage::{Accepted, Fetching, FindingLid, Resolving};
        matches!(self.stage, Accepted(_) | FindingLid | Resolving | Fetching)
    }

    /// When it expires, while it can.
    pub(super) fn ends(&self) -> Option<BootTime> {
        self.expires.filter(|_| self.is_unsent())
    }
}

impl Machine {
    pub(super) fn expires(&self, message: &NewMessage) -> Option<BootTime> {
        let left = message.terms.expires?.0.saturating_sub(self.now.wall.0);
        Some(self.now.boot.plus(Duration::from_millis(u64::try_from(left).unwrap_or_default())))
    }

    /// Ends what is too late to be sent.
    pub(super) fn outbox_expire(&mut self) {
        let now = self.now.boot;
        let late = self.outbox.items.iter().filter(|(_, item)| item.ends().is_some_and(|end| end <= now));
        for ordinal in late.map(|(ordinal, _)| *ordinal).collect::<Vec<_>>() {
            self.end(ordinal, MessageState::Expired, None);
        }
    }

    /// A caller takes a message back. Answered when what is stored of it says whether that was in time; one that is being
    /// encrypted is about to be under way, or waits again soon.
    pub(in crate::machine) fn cancel(&mut self, token: u64, message_id: &str) {
        if !self.loaded || !self.may_act() || self.commits.failing() {
            return self.done(token, Err(CommandError::Unavailable));
        }
        let mut unsent = self.outbox.items.iter().filter(|(_, item)| item.is_unsent());
        let found = unsent.find(|(_, item)| item.message.message_id == message_id);
        if let Some(ordinal) = found.map(|(ordinal, _)| *ordinal) {
            self.end(ordinal, MessageState::Cancelled, None);
        }
        let slot = self.lane.open();
        self.lane.fill(slot, Pending { after: vec![After::Done(token)], ..Pending::default() });
        self.lane_advance();
    }

    /// What is on the wire of a lost link may not have arrived.
    pub(in crate::machine) fn outbox_link_lost(&mut self) {
        self.outbox.unanswered.link_lost();
        for item in self.outbox.items.values_mut() {
            item.copies = Copies::default();
            if let Stage::Sending { since, .. } = &mut item.stage {
                item.unsure |= since.take().is_some();
            }
        }
    }
}
