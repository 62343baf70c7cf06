//! What callers ask WhatsApp through the device.
//!
//! What must hold: a question goes out only while the node may act and messages flow; every caller gets one
//! answer, at the latest when his time is over; not more than [`Limits::asks`](crate::device::Limits::asks)
//! wait at a time.

use std::time::Duration;

use roost_proto::ask::trusted::{self, with_tokens};
use roost_proto::stanza::{Jid, Stanza};

use super::crypto::Purpose;
use super::requests::{Asked, NoAnswer};
use super::tokens::takes_part;
use super::{CryptoRequest, Effect, Machine, Reply, Token};
use crate::device::AskError;

impl Machine {
    pub(super) fn ask(&mut self, token: u64, request: Stanza, patience: Duration) {
        match self.may_ask() {
            Err(refusal) => self.asked_reply(token, Err(refusal)),
            Ok(()) if self.callers() >= self.limits.asks => self.asked_reply(token, Err(AskError::Busy)),
            Ok(()) => self.ask_with_tokens(patience, Asked::Caller { token }, request),
        }
    }

    /// Asks WhatsApp something for a caller; whom it brings into a group, or wants to see something of, shows the token
    /// that he has given us.
    pub(super) fn ask_with_tokens(&mut self, patience: Duration, asked: Asked, question: Stanza) {
        let mut people = trusted::people(&question);
        // WhatsApp never answers who shows it a token of his own.
        people.retain(|jid| takes_part(jid) && !self.account.as_ref().is_some_and(|own| own.is_own(jid)));
        if people.is_empty() {
            return self.request_within(patience, asked, question);
        }
        let of = people.iter().map(|jid| self.peer_name(jid)).collect();
        let showing = Showing { people, patience, asked, question };
        self.ask_crypto(CryptoRequest::Tokens { of }, Purpose::Showing(Box::new(showing)));
    }

    /// What is known of the tokens of those people, in their order.
    pub(super) fn on_tokens_to_show(&mut self, showing: Showing, tokens: &[Token]) {
        let Showing { people, patience, asked, question } = showing;
        let refusal = match self.may_ask() {
            Ok(()) => {
                let now = self.seconds();
                let shown = |jid: &Jid| {
                    let at = people.iter().position(|person| person == jid)?;
                    tokens.get(at)?.valid(now).map(|token| token.to_vec())
                };
                let question = with_tokens(question, shown);
                return self.request_within(patience, asked, question);
            }
            Err(refusal) => refusal,
        };
        match asked {
            Asked::Making { request_id } => self.making_not_asked(&request_id, refusal),
            Asked::Caller { token } => self.asked_reply(token, Err(refusal)),
            other => unreachable!("{other:?} shows no tokens"),
        }
    }

    /// Whether a question could go out now.
    pub(super) fn may_ask(&self) -> Result<(), AskError> {
        match &self.account {
            None if !self.loaded => Err(AskError::Unavailable),
            None => Err(AskError::NotPaired),
            Some(account) if account.logged_out => Err(AskError::LoggedOut),
            Some(_) if !self.may_act() => Err(AskError::Unavailable),
            Some(_) => self.unheard().map_or(Ok(()), Err),
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

/// A question that waits for the tokens of people that it shows.
#[derive(Debug)]
pub(super) struct Showing {
    people: Vec<Jid>,
    patience: Duration,
    asked: Asked,
    question: Stanza,
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
