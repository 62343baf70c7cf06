//! What callers ask WhatsApp through the device.
//!
//! What must hold: a question goes out only while the node may act and messages flow; every caller gets one
//! answer, at the latest when his time is over; not more than [`Limits::asks`](crate::device::Limits::asks)
//! wait at a time.

use std::time::Duration;

use roost_proto::stanza::Stanza;

use super::requests::NoAnswer;
use super::{Effect, Machine, Reply};
use crate::device::AskError;

impl Machine {
    pub(super) fn ask(&mut self, token: u64, request: Stanza, patience: Duration) {
        let refusal = match &self.account {
            None if !self.loaded => Some(AskError::Unavailable),
            None => Some(AskError::NotPaired),
            Some(account) if account.logged_out => Some(AskError::LoggedOut),
            Some(_) if !self.may_act() => Some(AskError::Unavailable),
            Some(_) if self.connection.online().is_none() => Some(AskError::NotConnected),
            Some(_) if self.callers() >= self.limits.asks => Some(AskError::Busy),
            Some(_) => None,
        };
        match refusal {
            Some(refusal) => self.asked_reply(token, Err(refusal)),
            None => self.request_for(token, request, patience),
        }
    }

    pub(super) fn asked(&mut self, token: u64, outcome: Result<Stanza, NoAnswer>) {
        if let Ok(answer) = &outcome {
            self.learn_from_answer(answer);
        }
        let result = outcome.map(Box::new).map_err(|why| match why {
            NoAnswer::Lost => AskError::Lost,
            NoAnswer::Late => AskError::Late,
            NoAnswer::Refused(refused) => AskError::Refused(refused),
        });
        self.asked_reply(token, result);
    }

    fn asked_reply(&mut self, token: u64, result: Result<Box<Stanza>, AskError>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Asked(result) });
    }
}
