//! The commit pipeline: one batch in flight, the next one gathering behind it.
//!
//! What must hold: whatever waits for a batch is released when that batch is durable, in order, and not
//! before. A batch whose commit failed is kept as it is and tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::seeded::{self, Bug};
use roost_proto::signal::PublicSignedPrekey;

use super::timer::Timer;
use super::{Account, Effect, Machine, Reply};
use crate::device::{AcceptedSend, PairingUpdate, SendError};
use crate::port::{Accepted, Batch, Committed, NewMessage, StoredMessage, Unneeded};

/// What waits for a commit.
#[derive(Debug)]
pub(super) enum After {
    /// An encoded stanza for the link that it answers.
    Wire(u64, Bytes),
    /// A stanza is settled.
    Settled,
    /// The next accept of the batch belongs to this command, which has noted for whom a post of this id is, or not.
    Accepted(u64, Box<NewMessage>, bool),
    /// The command is carried out.
    Done(u64),
    /// Tell the followers of the pairing attempt.
    Pairing(PairingUpdate),
    /// The device has keys now: dial to be paired.
    KeysMade,
    /// A part of an import is durable; after the last one the device is this account.
    Imported(u64, Option<Box<Account>>),
    /// A message may go on the wire.
    Outgoing(i64, Bytes),
    /// A message has reached its end: WhatsApp has it, or it failed.
    Gone(i64),
    /// Prekeys may be uploaded.
    Upload(Box<super::PrekeyUpload>),
    /// A signed prekey may be offered.
    Offer(PublicSignedPrekey),
    /// Our copy of a collection of app state has moved.
    AppState(super::appstate::AppliedThen),
    /// A slice of history is in the log.
    HistoryTold,
    /// Nobody needs this file any more.
    Unneeded(Box<Unneeded>),
    /// What is known of something that is made once, by its request id.
    Making(String),
    /// How far a range of history has come is durable; a caller may wait for that.
    HistoryRange { name: String, token: Option<u64> },
}

/// A batch that gathers, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) batch: Batch,
    pub(super) after: Vec<After>,
    /// The last crypto request whose changes are in the batch.
    pub(super) crypto: u64,
}

/// Both halves of the pipeline.
#[derive(Debug, Default)]
pub(super) struct Commits {
    gathering: Pending,
    flying: Option<(Arc<Batch>, Vec<After>, u64)>,
    /// The batch in flight failed and waits for its next try.
    waiting: bool,
    failures: u32,
}

impl Commits {
    pub(super) fn pending(&mut self) -> &mut Pending {
        &mut self.gathering
    }

    /// Whether something waits to be committed.
    pub(super) fn waits(&self) -> bool {
        self.waiting || self.gathering.batch != Batch::default()
    }

    /// Whether everything that was to be committed is.
    pub(super) fn are_done(&self) -> bool {
        self.flying.is_none() && self.gathering.batch == Batch::default()
    }

    /// Whether the store has failed and not answered since.
    pub(super) fn failing(&self) -> bool {
        self.failures > 0
    }
}

impl Machine {
    /// Releases what waits for no commit at all.
    pub(super) fn commit_pump(&mut self) {
        if self.commits.are_done() {
            let after = std::mem::take(&mut self.commits.gathering.after);
            self.release(after, Vec::new());
        }
    }

    /// Puts the gathered batch in flight, when nothing else is.
    pub(super) fn commits_begin(&mut self) {
        if self.commits.waiting && !self.timers.contains_key(&Timer::Commit) {
            let (batch, ..) = self.commits.flying.as_mut().expect("a batch that waits is in flight");
            if seeded::on(Bug::CommittedTwice) {
                let events = &mut Arc::make_mut(batch).events;
                events.iter_mut().for_each(|event| event.dedupe.push('+'));
            }
            Arc::make_mut(batch).age = self.now.age;
            self.effects.push(Effect::Commit(batch.clone()));
            self.commits.waiting = false;
        }
        if self.commits.flying.is_some() || self.commits.gathering.batch == Batch::default() {
            return;
        }
        let mut next = std::mem::take(&mut self.commits.gathering);
        if seeded::on(Bug::RatchetApart) && !next.batch.state.is_empty() && !next.batch.events.is_empty() {
            let state = std::mem::take(&mut next.batch.state);
            self.commits.gathering = std::mem::take(&mut next);
            next.batch.state = state;
        }
        let Pending { mut batch, after, crypto } = next;
        batch.state.extend(self.secrets.unwritten());
        let batch = Arc::new(Batch { age: self.now.age, ..batch });
        self.commits.flying = Some((batch.clone(), after, crypto));
        self.effects.push(Effect::Commit(batch));
    }

    pub(super) fn on_committed(&mut self, committed: Committed) {
        // What was committed in an earlier age of the database may be lost: it is given again.
        let of_now = self.commits.flying.take_if(|(batch, ..)| batch.age == self.now.age);
        let Some((_, after, crypto)) = of_now else { return self.on_commit_failed() };
        self.commits.waiting = false;
        self.commits.failures = 0;
        self.clear_timer(Timer::Commit);
        if let Some(sequence) = committed.events.iter().flatten().max() {
            self.effects.push(Effect::Tail(*sequence));
        }
        if crypto > 0 {
            self.effects.push(Effect::Durable(crypto));
        }
        if let Some(rows) = committed.swept {
            self.swept(rows);
        }
        self.release(after, committed.accepts);
    }

    /// The store did not answer. Callers are told; the batch is tried again as it is.
    pub(super) fn on_commit_failed(&mut self) {
        if self.commits.flying.is_none() {
            return;
        }
        self.tell_waiting();
        self.commits.waiting = true;
        self.commits.failures += 1;
        let exponent = self.commits.failures.min(6);
        let longest = Duration::from_millis(50) * 2u32.pow(exponent);
        let pause = self.jitter(longest);
        self.set_timer(Timer::Commit, pause);
    }

    /// Tells the callers whose messages are not durable yet to come back: a store that is silent keeps them
    /// waiting for longer than they like. What they sent stays in its batch, under their request ids.
    pub(super) fn tell_waiting(&mut self) {
        let flying = self.commits.flying.iter_mut().flat_map(|(_, after, _)| after);
        for waiting in flying.chain(&mut self.commits.gathering.after) {
            if let After::Accepted(token, ..) = waiting
                && *token != NOBODY
            {
                let reply = Reply::Sent(Err(SendError::Unavailable));
                self.effects.push(Effect::Reply { token: *token, reply });
                *token = NOBODY;
            }
        }
    }

    /// The pause is over; `commits_begin` does the rest when the node may act.
    pub(super) fn commit_again(&mut self) {
        self.clear_timer(Timer::Commit);
    }

    fn release(&mut self, after: Vec<After>, accepts: Vec<Accepted>) {
        let mut accepts = accepts.into_iter();
        let mut settled = 0;
        for step in after {
            match step {
                After::Wire(link, bytes) => self.wire.push_back((link, bytes)),
                After::Settled => settled += 1,
                After::Accepted(token, message, noted) => {
                    self.accepted(token, *message, noted, accepts.next());
                }
                After::Done(token) => self.done(token, Ok(())),
                After::Pairing(update) => self.effects.push(Effect::Pairing(update)),
                After::KeysMade => self.keys_made(),
                After::Imported(token, account) => {
                    self.import_durable(token, account.map(|account| *account))
                }
                After::Outgoing(ordinal, bytes) => self.outgoing(ordinal, bytes),
                After::Gone(ordinal) => self.outbox.forget(ordinal),
                After::Upload(upload) => self.upload_prekeys(&upload),
                After::Offer(key) => self.offer_signed_prekey(&key),
                After::AppState(then) => self.app_state_durable(then),
                After::HistoryTold => self.history_told(),
                After::Unneeded(file) => self.delete_file(file),
                After::Making(request_id) => self.making_kept(request_id),
                After::HistoryRange { name, token } => self.range_kept(name, token),
            }
        }
        if settled > 0 {
            self.effects.push(Effect::Credit(settled));
        }
    }

    fn accepted(&mut self, token: u64, message: NewMessage, noted: bool, outcome: Option<Accepted>) {
        self.outbox_answered();
        let is_there = match &outcome {
            Some(Accepted::New { .. }) => true,
            Some(Accepted::Repeated(stored)) => stored.message.whatsapp_id == message.whatsapp_id,
            _ => false,
        };
        if noted {
            self.post_decided(&message.whatsapp_id, is_there);
        }
        let result = match outcome {
            Some(Accepted::New { ordinal }) => {
                let stored = StoredMessage::accepted(message, ordinal);
                self.outbox_add(stored.clone());
                Ok(Box::new(AcceptedSend { message: stored, repeated: false }))
            }
            Some(Accepted::Repeated(stored)) => {
                // It may be this very message: then its commit went well, and only the answer was lost.
                self.outbox_find(&stored);
                Ok(Box::new(AcceptedSend { message: *stored, repeated: true }))
            }
            Some(Accepted::KeyReused) => Err(SendError::KeyReused),
            Some(Accepted::IdTaken) => Err(SendError::IdTaken),
            None => Err(SendError::Unavailable),
        };
        if token != NOBODY {
            self.effects.push(Effect::Reply { token, reply: Reply::Sent(result) });
        }
    }
}

/// The token of a command whose caller was answered already.
const NOBODY: u64 = 0;
