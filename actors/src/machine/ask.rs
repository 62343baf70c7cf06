//! What callers ask WhatsApp through the device.
//!
//! What must hold: a question goes out only while the node may act and messages flow; every caller gets one
//! answer, at the latest when his time is over; not more than [`Limits::asks`](crate::device::Limits::asks)
//! wait at a time.

use std::time::Duration;

use roost_proto::stanza::Stanza;

use super::requests::{Asked, NoAnswer};
use super::{Effect, Machine, Reply};
use crate::device::AskError;

impl Machine {
    pub(super) fn ask(&mut self, token: u64, request: Stanza, patience: Duration) {
        match self.may_ask() {
            Err(refusal) => self.asked_reply(token, Err(refusal)),
            Ok(()) if self.callers() >= self.limits.asks => self.asked_reply(token, Err(AskError::Busy)),
            Ok(()) => self.request_within(patience, Asked::Caller { token }, request),
        }
    }

    /// Whether a question could go out now.
    pub(super) fn may_ask(&self) -> Result<(), AskError> {
        match &self.account {
            None if !self.loaded => Err(AskError::Unavailable),
            None => Err(AskError::NotPaired),
            Some(account) if account.logged_out => Err(AskError::LoggedOut),
            Some(_) if !self.may_act() => Err(AskError::Unavailable),
            Some(_) if self.connection.online().is_none() => Err(AskError::NotConnected),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn asked(&mut self, token: u64, outcome: Result<Stanza, NoAnswer>) {
        if let Ok(answer) = &outcome {
            self.learn_from_answer(answer);
        }
        self.asked_reply(token, outcome.map(Box::new).map_err(AskError::from));
    }

    fn asked_reply(&mut self, token: u64, result: Result<Box<Stanza>, AskError>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Asked(result) });
    }
}

impl From<NoAnswer> for AskError {
    fn from(why: NoAnswer) -> AskError {
        match why {
            NoAnswer::Lost => AskError::Lost,
            NoAnswer::Late => AskError::Late,
            NoAnswer::Refused(refused) => AskError::Refused(refused),
        }
    }
}
