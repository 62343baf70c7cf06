//! Accepting a message, or saying why not.
//!
//! What must hold: a refusal is typed by what the caller can do about it; a message is called accepted by
//! the commit, never here.

use roost_proto::api::device::State;
use roost_proto::e2e;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::message_id;
use ulid::Ulid;

use crate::device::{Content, SendError, SendRequest};
use crate::machine::commit::After;
use crate::machine::timer::Timer;
use crate::machine::{Effect, Machine, Reply};
use crate::port::{MessageState, NewMessage, StoredMessage};

impl Machine {
    pub(in crate::machine) fn accept(&mut self, token: u64, request: SendRequest) {
        if let Some(error) = self.refusal() {
            return self.effects.push(Effect::Reply { token, reply: Reply::Sent(Err(error)) });
        }
        let Content::Text(text) = &request.content;
        let content = e2e::text(text).into();
        let random = u128::from(self.draw()) << 64 | u128::from(self.draw());
        let millis = u64::try_from(self.now.wall.0).unwrap_or_default();
        let message = NewMessage {
            message_id: Ulid::from_parts(millis, random).to_string(),
            request_id: request.request_id,
            request_hash: request.request_hash,
            whatsapp_id: message_id(&mut self.rng),
            chat: request.to.jid(),
            content,
            accepted: self.now.wall,
        };
        self.outbox.accepting += 1;
        let gathering = self.commits.pending();
        gathering.batch.accepts.push(message.clone());
        gathering.after.push(After::Accepted(token, Box::new(message)));
    }

    /// A stored message turns up that should be on its way; does nothing when it is.
    pub(in crate::machine) fn outbox_find(&mut self, stored: &StoredMessage) {
        let waits = stored.state < MessageState::Sent;
        if waits && !self.outbox.items.contains_key(&stored.ordinal) {
            self.add_item(stored.clone());
        }
    }

    fn refusal(&self) -> Option<SendError> {
        let Some(account) = &self.account else {
            return Some(if self.loaded { SendError::NotPaired } else { SendError::Unavailable });
        };
        match self.status.now.state {
            State::Conflict => return Some(SendError::Conflict),
            State::Restricted => {
                let left = self.timers.get(&Timer::Reconnect).map(|at| at.since(self.now.boot));
                let until = left.and_then(|left| i64::try_from(left.as_millis()).ok());
                return Some(SendError::Restricted(until.map(|left| UnixMillis(self.now.wall.0 + left))));
            }
            State::Outdated => return Some(SendError::Outdated),
            _ => {}
        }
        if account.logged_out {
            Some(SendError::LoggedOut)
        } else if !self.may_act() || self.commits.failing() {
            Some(SendError::Unavailable)
        } else if self.outbox.items.len() + self.outbox.accepting >= self.limits.outbox {
            Some(SendError::Busy)
        } else {
            None
        }
    }
}
