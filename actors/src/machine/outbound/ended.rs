//! The end of a message's way: WhatsApp's word on it, a receipt that comes first, or a failure.
//!
//! What must hold: a message leaves the outbox behind the commit that says what became of it.

use std::time::Duration;

use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Jid, Read, Server, Stanza};

use super::Stage;
use crate::machine::commit::{After, Pending};
use crate::machine::{Effect, Machine};
use crate::port::MessageState;

/// What a failure is called that is a code of WhatsApp.
const NACK: &str = "UPSTREAM_NACK_";

/// WhatsApp's code when a group is addressed in another form than it was known to be, or the list of its devices is stale.
const READDRESSED: &str = "421";

/// How often a message is encrypted anew because of that, by one owner.
const RESTARTS: u32 = 2;

/// The longest pause before that.
const PAUSE: Duration = Duration::from_secs(1);

impl Machine {
    /// `<ack class=message id t error? phash?/>`
    pub(in crate::machine) fn on_message_ack(&mut self, ack: &Stanza) {
        let id = ack.text("id").unwrap_or_default();
        let in_newsletter = self.outbox.unanswered.answered(&id);
        let mut items = self.outbox.items.iter();
        let found = items.find(|(ordinal, item)| match in_newsletter {
            Some(place) => **ordinal == place,
            None => item.message.whatsapp_id == id,
        });
        let Some((&ordinal, item)) = found.filter(|(_, item)| matches!(item.stage, Stage::Sending { .. }))
        else {
            return self.on_late_ack(ack, &id);
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
        if readdressed && in_newsletter.is_none() && self.encrypt_anew(ordinal) {
            return self.effects.push(Effect::Credit(1));
        }
        let at = self.told_at(ack);
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

    /// WhatsApp has given a message to nobody, because its list of devices is stale: it is made anew under its id for those
    /// who are there now, a few times. Until the new bytes are durable the row has the old ones, with which a next owner
    /// comes to the same point.
    fn encrypt_anew(&mut self, ordinal: i64) -> bool {
        let pause = self.jitter(PAUSE);
        let Some(item) = self.outbox.items.get_mut(&ordinal) else { return false };
        if item.is_for_a_crowd() {
            self.outbox.unheard.insert(item.message.chat.clone());
        }
        if item.restarts == RESTARTS {
            return false;
        }
        item.restarts += 1;
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
