//! The end of a message's way: WhatsApp's word on it, a receipt that comes first, or a failure.
//!
//! What must hold: a message leaves the outbox behind the commit that says what became of it.

use std::time::Duration;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::{Item, Stage};
use crate::machine::commit::{After, Pending};
use crate::machine::{CryptoRequest, Effect, Machine};
use crate::port::{MessageState, NewMessage};

/// What a failure is called that is a code of WhatsApp.
const NACK: &str = "UPSTREAM_NACK_";

/// WhatsApp's code when a group is addressed in another form than it was known to be, or the list of its devices is stale.
const READDRESSED: &str = "421";

/// How often a message is encrypted anew because of that, by one owner.
const RESTARTS: u32 = 2;

/// The longest pause before that.
const PAUSE: Duration = Duration::from_secs(1);

/// Copies of a message on the wire of this link that WhatsApp has not answered.
#[derive(Debug, Default)]
pub(super) struct Copies {
    unanswered: u32,
    /// How many of them have other bytes than the message has now.
    outdated: u32,
}

impl Copies {
    pub(super) fn sent(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// One was answered; returns whether it was an outdated one.
    fn answered(&mut self) -> bool {
        let outdated = self.outdated > 0;
        self.unanswered = self.unanswered.saturating_sub(1);
        self.outdated = self.outdated.saturating_sub(1);
        outdated
    }
}

impl Item {
    /// WhatsApp has answered; returns whether that settles it. A refusal of bytes that others have replaced does not.
    fn is_settled(&mut self, refused: bool) -> bool {
        let outdated = self.copies.answered();
        matches!(self.stage, Stage::Sending { .. }) && !(outdated && refused)
    }
}

impl super::Outbox {
    /// The message of this id, and whether it may have been on the wire; `None` when none is on its way, or its end is.
    pub(in crate::machine) fn on_its_way(&self, whatsapp_id: &str) -> Option<(&NewMessage, bool)> {
        let is_it = |item: &&Item| item.message.whatsapp_id == whatsapp_id && item.stage != Stage::Settling;
        let item = self.items.values().find(is_it)?;
        let was_sent = match &item.stage {
            Stage::Sending { since, .. } => since.is_some() || item.unsure,
            _ => false,
        };
        Some((&item.message, was_sent))
    }
}

impl Machine {
    /// `<ack class=message id t error? phash?/>`
    pub(in crate::machine) fn on_message_ack(&mut self, ack: &Stanza) {
        let id = ack.text("id").unwrap_or_default();
        let in_newsletter = self.outbox.unanswered.answered(&id);
        let error = ack.text("error").filter(|error| error != "0");
        let mut items = self.outbox.items.iter_mut();
        let found = items.find(|(ordinal, item)| match in_newsletter {
            Some(place) => **ordinal == place,
            None => item.message.whatsapp_id == id,
        });
        let settled =
            found.and_then(|(ordinal, item)| item.is_settled(error.is_some()).then_some((*ordinal, item)));
        let Some((ordinal, item)) = settled else { return self.on_late_ack(ack, &id) };
        let unheard = error.is_some() && item.is_for_a_crowd();
        let (message, phash, trusts) = (item.message.clone(), item.phash.clone(), item.trusts.clone());
        // A sender key that was in it has reached nobody, which is durable no later than what became of the message.
        if unheard {
            self.change_state(CryptoRequest::EndChain { group: message.chat.clone() });
        }
        let outrun = ack.text("phash").zip(phash).is_some_and(|(theirs, ours)| theirs != ours);
        let readdressed = error.as_deref() == Some(READDRESSED);
        if (outrun || readdressed)
            && let Ok(chat) = message.chat.parse::<Jid>()
        {
            match chat.server {
                Server::Group => self.forget_crowd(&chat),
                _ => self.forget_audience(&chat),
            }
        }
        if readdressed && in_newsletter.is_none() && self.encrypt_anew(ordinal) {
            return self.effects.push(Effect::Credit(1));
        }
        let at = self.told_at(ack);
        let error = error.map(|code| {
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
        if let Some(refused) = &error {
            self.note_nack(refused.trim_start_matches(NACK).parse().unwrap_or_default());
        }
        outcome.after.push(After::Settled);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
    }

    /// WhatsApp has given a message to nobody, because its list of devices is stale: it is made anew under its id for those
    /// who are there now, a few times. Until the new bytes are durable the row has the old ones, with which a next owner
    /// comes to the same point.
    fn encrypt_anew(&mut self, ordinal: i64) -> bool {
        let pause = self.jitter(PAUSE);
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return false };
        if item.restarts == RESTARTS {
            return false;
        }
        item.restarts += 1;
        item.copies.outdated = item.copies.unanswered;
        item.rounds = 0;
        item.bundles.clear();
        item.skip.clear();
        item.unsure = false;
        item.stage = Stage::Accepted(self.now.boot.plus(pause));
        self.plan_next_look();
        true
    }

    /// Never again: says so, and takes it out.
    pub(super) fn fail(&mut self, ordinal: i64, reason: &'static str) {
        self.end(ordinal, MessageState::Failed, Some(reason));
    }

    /// The way of a message ends in this state.
    pub(super) fn end(&mut self, ordinal: i64, state: MessageState, failure: Option<&'static str>) {
        // Of a number that is not on WhatsApp it stays counted, because WhatsApp was asked about it.
        if matches!(state, MessageState::Expired | MessageState::Cancelled) {
            self.give_turn_back(ordinal);
        }
        let Some(item) = self.outbox.items.get(&ordinal) else { return };
        let (message_id, whatsapp_id) = (item.message.message_id.clone(), item.message.whatsapp_id.clone());
        let mut outcome = Pending::default();
        let at = self.now.wall;
        self.move_message(&mut outcome, &message_id, &whatsapp_id, state, at, failure);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    /// A message of ours reaches a state beyond sending, by an acknowledgement, by a receipt (whose
    /// acknowledgement was lost then), or by failing: its way ends with the commit of that.
    /// With `taken`, WhatsApp has had it since then. Returns the chat, when it was on its way.
    pub(in crate::machine) fn outbox_reached(
        &mut self,
        outcome: &mut Pending,
        whatsapp_id: &str,
        taken: Option<UnixMillis>,
    ) -> Option<String> {
        let mut items = self.outbox.items.iter_mut();
        let (ordinal, item) = items.find(|(_, item)| item.message.whatsapp_id == whatsapp_id)?;
        item.stage = Stage::Settling;
        outcome.after.push(After::Gone(*ordinal));
        let message = item.message.clone();
        if let Some(at) = taken {
            self.count_arrived(outcome, &message, at);
        }
        Some(message.chat)
    }

    /// WhatsApp has a message: there is a chat, and if it is a vote, it counts.
    pub(in crate::machine) fn count_arrived(
        &mut self,
        outcome: &mut Pending,
        message: &NewMessage,
        at: UnixMillis,
    ) {
        self.note_reached(outcome, &message.chat);
        self.count_sent(outcome, message, at);
    }
}
