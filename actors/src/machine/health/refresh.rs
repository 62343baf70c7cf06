//! What WhatsApp says of the account when somebody wants to know it now.
//!
//! What must hold: who waits is answered once, when what was said is durable; whoever comes while WhatsApp is being
//! asked waits with the others, and who comes within a minute gets what it has said.

use std::time::Duration;

use roost_placement::lease::BootTime;
use roost_proto::ask::Question;
use roost_proto::ask::health::{GetCapping, GetTimeLock};
use roost_proto::stanza::Stanza;

use super::super::commit::After;
use super::super::requests::Asked;
use super::Machine;
use crate::device::{AskError, CommandError};

/// For so long what WhatsApp has said is fresh.
const FRESH: Duration = Duration::from_secs(60);

/// Who wants to know it, and when it was told last.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    waiting: Vec<u64>,
    until: Option<BootTime>,
}

impl Machine {
    pub(in crate::machine) fn refresh_health(&mut self, token: u64) {
        if let Err(refusal) = self.may_ask() {
            return self.done(token, Err(refused(&refusal)));
        }
        let fresh = &mut self.health.fresh;
        if fresh.until.is_some_and(|until| self.now.boot < until) {
            return self.commits.pending().after.push(After::Done(token));
        }
        if fresh.waiting.len() >= self.limits.asks {
            return self.done(token, Err(CommandError::Busy));
        }
        fresh.waiting.push(token);
        if fresh.waiting.len() == 1 {
            self.request_of_ours(Asked::FreshTimeLock, GetTimeLock.request());
        }
    }

    pub(in crate::machine) fn on_fresh_time_lock(&mut self, answer: Result<Stanza, u16>) {
        match read(&GetTimeLock, answer) {
            Ok(lock) => {
                self.set_lock(lock);
                self.request_of_ours(Asked::FreshCapping, GetCapping.request());
            }
            Err(error) => self.refreshed(Err(error)),
        }
    }

    pub(in crate::machine) fn on_fresh_capping(&mut self, answer: Result<Stanza, u16>) {
        match read(&GetCapping, answer) {
            Ok(quota) => {
                self.set_capping(&quota);
                self.health.fresh.until = Some(self.now.boot.plus(FRESH));
                self.refreshed(Ok(()));
            }
            Err(error) => self.refreshed(Err(error)),
        }
    }

    fn refreshed(&mut self, result: Result<(), CommandError>) {
        for token in std::mem::take(&mut self.health.fresh.waiting) {
            match &result {
                Ok(()) => self.commits.pending().after.push(After::Done(token)),
                Err(error) => self.done(token, Err(error.clone())),
            }
        }
    }
}

fn read<Q: Question>(question: &Q, answer: Result<Stanza, u16>) -> Result<Q::Answer, CommandError> {
    match answer {
        Ok(answer) => question.read(&answer).map_err(CommandError::Unreadable),
        // The link is lost.
        Err(0) => Err(CommandError::NotConnected),
        Err(code) => Err(CommandError::Refused(code)),
    }
}

fn refused(why: &AskError) -> CommandError {
    match why {
        AskError::NotPaired | AskError::LoggedOut => CommandError::NotPaired,
        AskError::NotConnected => CommandError::NotConnected,
        _ => CommandError::Unavailable,
    }
}
