//! What WhatsApp says of the account when somebody wants to know it now.
//!
//! What must hold: who waits is answered once, when what was said is durable; whoever comes while WhatsApp is being
//! asked waits with the others; and who comes within a minute after that gets what it has said, or that it has refused.

use std::time::Duration;

use roost_placement::lease::BootTime;
use roost_proto::ask::Question;
use roost_proto::ask::health::{GetCapping, GetTimeLock};
use roost_proto::stanza::Stanza;

use super::super::commit::After;
use super::super::requests::Asked;
use super::Machine;
use crate::device::{AskError, CommandError};

/// For so long what WhatsApp has said is fresh, and what it refuses is not asked again.
const FRESH: Duration = Duration::from_secs(60);

/// Who wants to know it, and what came of the last question until when.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    waiting: Vec<u64>,
    last: Option<(BootTime, Result<(), CommandError>)>,
}

impl Machine {
    pub(in crate::machine) fn refresh_health(&mut self, token: u64) {
        if let Err(refusal) = self.may_ask() {
            return self.done(token, Err(refused(&refusal)));
        }
        if let Some((_, result)) = self.health.fresh.last.clone().filter(|(until, _)| self.now.boot < *until)
        {
            return self.tell_health(token, result);
        }
        let fresh = &mut self.health.fresh;
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
                self.refreshed(Ok(()));
            }
            Err(error) => self.refreshed(Err(error)),
        }
    }

    fn refreshed(&mut self, result: Result<(), CommandError>) {
        for token in std::mem::take(&mut self.health.fresh.waiting) {
            self.tell_health(token, result.clone());
        }
        // A link that was lost says nothing of WhatsApp.
        let answered = result != Err(CommandError::NotConnected);
        self.health.fresh.last = answered.then(|| (self.now.boot.plus(FRESH), result));
    }

    fn tell_health(&mut self, token: u64, result: Result<(), CommandError>) {
        match result {
            Ok(()) => self.commits.pending().after.push(After::Done(token)),
            refused => self.done(token, refused),
        }
    }
}

fn read<Q: Question>(question: &Q, answer: Result<Stanza, u16>) -> Result<Q::Answer, CommandError> {
    question.read(&answer.map_err(CommandError::of)?).map_err(CommandError::Unreadable)
}

fn refused(why: &AskError) -> CommandError {
    match why {
        AskError::NotPaired | AskError::LoggedOut => CommandError::NotPaired,
        AskError::NotConnected => CommandError::NotConnected,
        AskError::Restricted(until) => CommandError::Restricted(*until),
        _ => CommandError::Unavailable,
    }
}
