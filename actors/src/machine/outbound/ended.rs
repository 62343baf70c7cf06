//! The end of a message's way: WhatsApp's word on it, a receipt that comes first, or a failure.
//!
//! What must hold: a message leaves the outbox behind the commit that says what became of it.

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::Stage;
use crate::machine::commit::{After, Pending};
use crate::machine::{Effect, Machine};
use crate::port::MessageState;

/// What a failure is called that is a code of WhatsApp.
const NACK: &str = "UPSTREAM_NACK_";

/// WhatsApp's code when a group is addressed in another form than it was known to be.
const READDRESSED: &str = "421";

impl Machine {
    /// `<ack class=message id t error? phash?/>`
    pub(in crate::machine) fn on_message_ack(&mut self, ack: &Stanza) {
        let id = ack.text("id").unwrap_or_default();
        let in_newsletter = self.outbox.unanswered.answered(&id);
        let item = match in_newsletter {
            Some(ordinal) => self.outbox.items.get(&ordinal),
            None => self.outbox.items.values().find(|item| item.message.whatsapp_id == id),
        };
        let Some(item) = item.filter(|item| matches!(item.stage, Stage::Sending { .. })) else {
            return self.effects.push(Effect::Credit(1));
        };
        let (message, phash, trusts) = (item.message.clone(), item.phash.clone(), item.trusts.clone());
        let outrun = ack.text("phash").zip(phash).is_some_and(|(theirs, ours)| theirs != ours);
        let readdressed = ack.text("error").as_deref() == Some(READDRESSED);
        if (outrun || readdressed)
            && let Ok(chat) = message.chat.parse::<Jid>()
        {
            match chat.server {
                Server::Group => self.forget_crowd(&chat),
                _ => self.forget_audience(&chat),
            }
        }
        let seconds = ack.number("t").and_then(|t| i64::try_from(t).ok()?.checked_mul(1000));
        let at = seconds.map_or(self.now.wall, UnixMillis);
        let error = ack.text("error").filter(|error| error != "0").map(|code| {
            let digits: String = code.chars().filter(char::is_ascii_digit).take(5).collect();
            format!("{NACK}{digits}")
        });
        if let (Some(contact), None) = (trusts, &error) {
            self.issue_token(contact);
        }
        let state = if error.is_some() { MessageState::Failed } else { MessageState::Sent };
        let mut outcome = Pending::default();
        let (ours, theirs) = (&message.message_id, &message.whatsapp_id);
        self.move_message(&mut outcome, ours, theirs, state, at, error.as_deref());
        match &error {
            None => self.note_reached(&mut outcome, &message.chat),
            Some(refused) => self.note_nack(refused.trim_start_matches(NACK).parse().unwrap_or_default()),
        }
        outcome.after.push(After::Settled);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
    }

    /// Never again: says so, and takes it out.
    pub(super) fn fail(&mut self, ordinal: i64, reason: &'static str) {
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let (message_id, whatsapp_id) = (item.message.message_id.clone(), item.message.whatsapp_id.clone());
        let mut outcome = Pending::default();
        let at = self.now.wall;
        self.move_message(&mut outcome, &message_id, &whatsapp_id, MessageState::Failed, at, Some(reason));
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    /// A message of ours reaches a state beyond sending, by an acknowledgement, by a receipt (whose
    /// acknowledgement was lost then), or by failing: its way ends with the commit of that.
    /// With `taken`, WhatsApp has had it since then.
    pub(in crate::machine) fn outbox_reached(
        &mut self,
        outcome: &mut Pending,
        whatsapp_id: &str,
        taken: Option<UnixMillis>,
    ) {
        let found = self.outbox.items.iter_mut().find(|(_, item)| item.message.whatsapp_id == whatsapp_id);
        let Some((ordinal, item)) = found else { return };
        item.stage = Stage::Settling;
        outcome.after.push(After::Gone(*ordinal));
        if let Some(at) = taken {
            let message = item.message.clone();
            self.count_sent(outcome, &message, at);
        }
    }
}
