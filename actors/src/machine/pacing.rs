//! The pace of sending: so many new chats a day, so many messages a minute in those that exist. What is above
//! it waits.
//!
//! What must hold: a new chat is counted in the transaction that makes its first message ready for the wire, so
//! a new owner goes on counting where the last one was; nothing is lost by waiting, and the order within a chat
//! stays.

use std::time::Duration;

use roost_proto::id::UnixMillis;

use super::codec::{Reader, Writer};
use super::commit::{After, Pending};
use super::{Effect, Machine, Reply};
use crate::device::{CommandError, Pace, PacingPolicy};
use crate::port::{StateChange, StateKey, StateKind};

/// First byte of the row.
const FORMAT: u8 = 1;
const DAY_MS: i64 = 24 * 3600 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

/// A limit of so many in a span, all of them at once if nothing came before (the generic cell rate algorithm): the
/// moment until which what was sent is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Meter {
    paid_until: i64,
}

impl Meter {
    /// When the next one may go.
    fn next(self, per: u32, span: i64) -> UnixMillis {
        UnixMillis(self.paid_until - (span - span / i64::from(per)))
    }

    /// Returns for how long that is paid.
    fn take(&mut self, per: u32, span: i64, now: UnixMillis) -> i64 {
        let share = span / i64::from(per);
        self.paid_until = self.paid_until.max(now.0) + share;
        share
    }

    /// How many may go at once.
    fn left(self, per: u32, span: i64, now: UnixMillis) -> u32 {
        let free = (now.0 + span - self.paid_until.max(now.0)).max(0);
        u32::try_from(free / (span / i64::from(per))).unwrap_or(u32::MAX).min(per)
    }
}

/// What a turn took, so that it can be given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    begins: bool,
    share: i64,
}

/// The policy, and how far it is used up.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    policy: PacingPolicy,
    reach_outs: Meter,
    replies: Meter,
}

impl Pacing {
    pub(super) fn from_bytes(row: &[u8]) -> Option<Pacing> {
        let mut rest = Reader::new(FORMAT, row)?;
        let mut number = || Some(u32::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let policy = PacingPolicy { reply_per_minute: number()?, reach_out_per_day: number()? };
        let paid_until = i64::from_be_bytes(rest.bytes()?.try_into().ok()?);
        Some(Pacing { policy, reach_outs: Meter { paid_until }, replies: Meter::default() })
    }

    /// The row. What a minute allows is not worth one.
    fn row(&self) -> StateChange {
        let mut row = Writer::new(FORMAT);
        row.bytes(&self.policy.reply_per_minute.to_be_bytes());
        row.bytes(&self.policy.reach_out_per_day.to_be_bytes());
        row.bytes(&self.reach_outs.paid_until.to_be_bytes());
        (StateKey { kind: StateKind::Pacing, name: String::new() }, Some(row.finish()))
    }

    /// Takes a turn for a message, or says how long there is none.
    pub(super) fn turn(&mut self, begins: bool, now: UnixMillis) -> Result<Taken, Duration> {
        let (per, span) = match begins {
            true => (self.policy.reach_out_per_day, DAY_MS),
            false => (self.policy.reply_per_minute, MINUTE_MS),
        };
        if per == 0 {
            return Ok(Taken { begins, share: 0 });
        }
        let meter = if begins { &mut self.reach_outs } else { &mut self.replies };
        let wait = meter.next(per, span).0 - now.0;
        if wait > 0 {
            return Err(Duration::from_millis(wait.unsigned_abs()));
        }
        Ok(Taken { begins, share: meter.take(per, span, now) })
    }

    pub(super) fn give_back(&mut self, Taken { begins, share }: Taken) {
        let meter = if begins { &mut self.reach_outs } else { &mut self.replies };
        meter.paid_until -= share;
    }

    fn pace(&self, now: UnixMillis) -> Pace {
        let per = self.policy.reach_out_per_day;
        let limited = (per > 0).then_some(self.reach_outs);
        let left = limited.map(|meter| meter.left(per, DAY_MS, now));
        let next = limited.map(|meter| meter.next(per, DAY_MS)).filter(|at| *at > now);
        Pace { policy: self.policy, reach_outs_left: left, next_reach_out: next }
    }
}

impl Machine {
    /// What a message that begins a chat adds to its transaction.
    pub(super) fn note_pace(&self, outcome: &mut Pending) {
        if self.pacing.policy.reach_out_per_day > 0 {
            outcome.batch.state.push(self.pacing.row());
        }
    }

    /// Another account has sent nothing yet; the pace stays.
    pub(super) fn pacing_reset(&mut self, outcome: &mut Pending) {
        self.pacing = Pacing { policy: self.pacing.policy, ..Pacing::default() };
        self.note_pace(outcome);
    }

    pub(super) fn set_pacing(&mut self, token: u64, policy: PacingPolicy) {
        if !self.loaded || !self.may_act() {
            return self.done(token, Err(CommandError::Unavailable));
        }
        self.pacing.policy = policy;
        let row = self.pacing.row();
        let gathering = self.commits.pending();
        gathering.batch.state.push(row);
        gathering.after.push(After::Done(token));
        self.outbox_paced_anew();
    }

    pub(super) fn tell_pace(&mut self, token: u64) {
        let reply = match self.loaded {
            true => Ok(self.pacing.pace(self.now.wall)),
            false => Err(CommandError::Unavailable),
        };
        self.effects.push(Effect::Reply { token, reply: Reply::Pace(reply) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn pacing(reply_per_minute: u32, reach_out_per_day: u32) -> Pacing {
        Pacing { policy: PacingPolicy { reply_per_minute, reach_out_per_day }, ..Pacing::default() }
    }

    #[test]
    fn a_day_has_as_many_new_chats_as_it_may_and_the_next_one_waits_for_its_share() {
        let mut pacing = pacing(0, 24);
        for _ in 0..24 {
            assert!(pacing.turn(true, NOW).is_ok());
        }
        assert_eq!(pacing.turn(true, NOW), Err(Duration::from_secs(3600)));
        assert_eq!(pacing.pace(NOW).reach_outs_left, Some(0));
        let later = UnixMillis(NOW.0 + 3_600_000);
        assert_eq!(pacing.pace(later).reach_outs_left, Some(1));
        let taken = pacing.turn(true, later).expect("its hour has come");
        assert!(pacing.turn(true, later).is_err());
        pacing.give_back(taken);
        assert!(pacing.turn(true, later).is_ok() && pacing.turn(true, later).is_err(), "one was given back");
        assert!(pacing.turn(false, later).is_ok(), "replies have no limit here");
    }

    #[test]
    fn a_minute_has_as_many_messages_as_it_may() {
        let mut pacing = pacing(2, 0);
        assert!(pacing.turn(false, NOW).is_ok() && pacing.turn(false, NOW).is_ok());
        assert_eq!(pacing.turn(false, NOW), Err(Duration::from_secs(30)));
        assert_eq!(pacing.pace(NOW).reach_outs_left, None);
        assert!(pacing.turn(true, NOW).is_ok());
    }

    #[test]
    fn the_next_owner_counts_on() {
        let mut first = pacing(5, 2);
        assert!(first.turn(true, NOW).is_ok() && first.turn(true, NOW).is_ok());
        let (_, row) = first.row();
        let mut next = Pacing::from_bytes(&row.expect("a row")).expect("ours");
        assert_eq!(next.policy, first.policy);
        assert_eq!(next.turn(true, NOW), Err(Duration::from_secs(12 * 3600)));
        assert!(Pacing::from_bytes(&[9]).is_none() && Pacing::from_bytes(&[FORMAT, 0]).is_none());
    }
}
