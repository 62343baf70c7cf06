//! Ranges: older messages of a chat, asked for again and again until a moment is reached.
//!
//! What must hold: how far a range has come is durable with the piece that brought it there, so whoever owns the
//! device goes on from there. The phone is asked behind that commit, and once more after each login, since it
//! may not have heard the question. What it tells twice is in the log once. A phone that does not answer is given up at
//! last, and the caller finds that in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roost_proto::api::history_chunk::Problem;
use roost_proto::history::{Outline, Past};
use roost_proto::id::UnixMillis;
use roost_proto::phone::{PeerMessage, WantHistory};
use roost_proto::stanza::message_id;

use super::piece::Cursor;
use super::row;
use crate::device::CommandError;
use crate::machine::codec::{Reader, Writer};
use crate::machine::commit::{After, Pending};
use crate::machine::timer::Timer;
use crate::machine::{Effect, Machine, Reply};
use crate::port::StateKind;

/// First byte of a row.
const FORMAT: u8 = 1;
/// Ranges at a time.
const RANGES: usize = 16;
/// How long a phone may take to answer: it may be switched off for a weekend.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Ranges that have not come to their end, by name.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    pub(super) open: BTreeMap<String, Range>,
    /// Which range a message to the phone asks for.
    asked: BTreeMap<String, String>,
}

/// One range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// What is asked for next.
    wanted: WantHistory,
    /// Nothing older is wanted.
    since: UnixMillis,
    /// When it was asked for, or went on.
    begun: UnixMillis,
}

impl Range {
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.text(&self.wanted.chat.to_string());
        let WantHistory { before_id, before_from_me, before, .. } = &self.wanted;
        Reached { id: before_id.clone(), from_me: *before_from_me, at: *before }.write(&mut out);
        out.bytes(&self.wanted.count.to_be_bytes());
        for moment in [self.since, self.begun] {
            out.bytes(&moment.0.to_be_bytes());
        }
        out.finish()
    }

    /// Reads what [`Range::to_bytes`] wrote; `None` when it is something else.
    pub(super) fn from_bytes(bytes: &[u8], now: UnixMillis) -> Option<Range> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let chat = rest.text()?.parse().ok()?;
        let Reached { id: before_id, from_me: before_from_me, at: before } = Reached::read(&mut rest)?;
        let count = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let mut moment = || Some(UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?)));
        let since = moment()?;
        // Earlier rows end here.
        let begun = moment().unwrap_or(now);
        Some(Range { wanted: WantHistory { chat, before_id, before_from_me, before, count }, since, begun })
    }

    /// Goes on before this message. `false`: there is nothing left to ask for.
    fn go_on(&mut self, reached: &Reached, now: UnixMillis) -> bool {
        self.begun = now;
        let wanted = &mut self.wanted;
        let no_further = reached.at > wanted.before || reached.id == wanted.before_id;
        (wanted.before_id, wanted.before) = (reached.id.clone(), reached.at);
        wanted.before_from_me = reached.from_me;
        reached.at > self.since && !no_further
    }

    /// How long the phone still has for its answer.
    fn left(&self, now: UnixMillis) -> Duration {
        PATIENCE.saturating_sub(Duration::from_millis(u64::try_from(now.0 - self.begun.0).unwrap_or(0)))
    }
}

/// A message up to which a chat has been told, backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) id: String,
    pub(super) from_me: bool,
    pub(super) at: UnixMillis,
}

impl Reached {
    pub(super) fn of(past: &Past) -> Reached {
        Reached { id: past.id.clone(), from_me: past.from_me, at: past.at }
    }

    /// Adds it to a row.
    pub(super) fn write(&self, out: &mut Writer) {
        out.text(&self.id);
        out.bytes(&[u8::from(self.from_me)]);
        out.bytes(&self.at.0.to_be_bytes());
    }

    /// Reads what [`Reached::write`] wrote; `None` when it is something else.
    pub(super) fn read(rest: &mut Reader<'_>) -> Option<Reached> {
        let (id, from_me) = (rest.text()?.to_owned(), rest.bytes()? == [1]);
        Some(Reached { id, from_me, at: UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?)) })
    }
}

impl Machine {
    /// A caller wants all messages of a chat between two moments.
    pub(super) fn want_range(&mut self, token: u64, wanted: WantHistory, since: UnixMillis) {
        if self.history.ranges.open.len() >= RANGES {
            let reply = Reply::AskedPhone(Err(CommandError::Busy));
            return self.effects.push(Effect::Reply { token, reply });
        }
        let name = message_id(&mut self.rng);
        let range = Range { wanted, since, begun: self.now.wall };
        let mut outcome = Pending::default();
        outcome.batch.state.push((row(StateKind::HistoryRange, &name), Some(range.to_bytes())));
        outcome.after.push(After::HistoryRange { name: name.clone(), token: Some(token) });
        self.history.ranges.open.insert(name, range);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
    }

    /// How far a range has come is durable.
    pub(in crate::machine) fn range_kept(&mut self, name: String, token: Option<u64>) {
        self.ask_range(&name);
        self.watch_ranges();
        if let Some(token) = token {
            self.effects.push(Effect::Reply { token, reply: Reply::AskedPhone(Ok(name)) });
        }
    }

    /// Logged in: the phone may not have heard what was asked before.
    pub(in crate::machine) fn ask_ranges(&mut self) {
        self.history.ranges.asked.clear();
        let names: Vec<String> = self.history.ranges.open.keys().cloned().collect();
        for name in names {
            self.ask_range(&name);
        }
    }

    /// Whether what the phone has answered is told to its end.
    fn is_told(&self, range: &str) -> bool {
        self.history.waiting.values().all(|piece| piece.cursor.request != range)
    }

    fn ask_range(&mut self, name: &str) {
        // What the phone has answered goes first; its end asks on.
        let told = self.is_told(name);
        let Some(range) = self.history.ranges.open.get(name).filter(|_| told) else { return };
        if self.connection.online().is_some() {
            let question = PeerMessage::WantHistory(range.wanted.clone());
            let id = self.tell_phone(&question, false);
            self.history.ranges.asked.insert(id, name.to_owned());
        }
    }

    /// How long the phone still has for each range that it has not answered.
    fn unanswered(&self) -> impl Iterator<Item = (&String, Duration)> {
        let open = self.history.ranges.open.iter().filter(|(name, _)| self.is_told(name));
        open.map(|(name, range)| (name, range.left(self.now.wall)))
    }

    /// Sees to it that ranges without an answer are given up in time.
    pub(super) fn watch_ranges(&mut self) {
        match self.unanswered().map(|(_, left)| left).min() {
            Some(left) => self.set_timer(Timer::Ranges, left),
            None => self.clear_timer(Timer::Ranges),
        }
    }

    /// The phone has had its time.
    pub(in crate::machine) fn give_up_ranges(&mut self) {
        let late: Vec<String> =
            self.unanswered().filter(|(_, left)| left.is_zero()).map(|(name, _)| name.clone()).collect();
        for name in late {
            self.history.ranges.open.remove(&name);
            let mut outcome = Pending::default();
            let problem = Some((Problem::Unanswered, "the phone has not answered for three days"));
            self.note_piece(&mut outcome, &name, &Cursor::asked(&name), None, problem, false);
            outcome.batch.state.push((row(StateKind::HistoryRange, &name), None));
            let slot = self.lane.open();
            self.lane.fill(slot, outcome);
            self.lane_advance();
        }
        self.watch_ranges();
    }

    /// The range that a message to the phone has asked for.
    pub(super) fn range_of(&mut self, question: &str) -> Option<String> {
        self.history.ranges.asked.remove(question)
    }

    /// A piece was told to its end, or cannot be. Whether the range that it belongs to goes on.
    pub(super) fn range_goes_on(
        &mut self,
        outcome: &mut Pending,
        cursor: &Cursor,
        outline: Option<&Outline>,
    ) -> bool {
        let name = &cursor.request;
        let Some(range) = self.history.ranges.open.get_mut(name) else { return false };
        let mut chats = outline.into_iter().flat_map(|outline| &outline.chats);
        let complete = chats.any(|chat| chat.about.as_ref().is_some_and(|about| about.complete));
        let reached = cursor.reached.as_ref().filter(|_| outline.is_some() && !complete);
        let now = self.now.wall;
        let goes_on = reached.is_some_and(|reached| range.go_on(reached, now));
        let kept = goes_on.then(|| range.to_bytes());
        outcome.batch.state.push((row(StateKind::HistoryRange, name), kept));
        if goes_on {
            outcome.after.push(After::HistoryRange { name: name.clone(), token: None });
        } else {
            self.history.ranges.open.remove(name);
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::stanza::Jid;

    use super::*;

    const NOW: UnixMillis = UnixMillis(30_000);

    fn range() -> Range {
        let wanted = WantHistory {
            chat: Jid::pn("15559990000"),
            before_id: "3EB0".to_owned(),
            before_from_me: true,
            before: UnixMillis(9_000),
            count: 50,
        };
        Range { wanted, since: UnixMillis(5_000), begun: UnixMillis(20_000) }
    }

    fn reached(id: &str, at: i64) -> Reached {
        Reached { id: id.to_owned(), from_me: false, at: UnixMillis(at) }
    }

    #[test]
    fn a_range_reads_back_as_it_was_written() {
        let bytes = range().to_bytes();
        assert_eq!(Range::from_bytes(&bytes, NOW), Some(range()));
        let earlier = Range::from_bytes(&bytes[..bytes.len() - 12], NOW);
        assert_eq!(earlier, Some(Range { begun: NOW, ..range() }), "a row of the release before");
        assert_eq!(Range::from_bytes(&bytes[..bytes.len() - 13], NOW), None);
    }

    #[test]
    fn a_range_goes_on_until_its_moment_is_reached_or_the_phone_stands_still() {
        let mut one = range();
        assert!(one.go_on(&reached("A", 8_000), NOW));
        assert_eq!((one.wanted.before_id.as_str(), one.wanted.before), ("A", UnixMillis(8_000)));
        assert!(one.go_on(&reached("B", 8_000), NOW), "of the same second");
        assert!(!one.go_on(&reached("B", 8_000), NOW), "the same message again");
        assert!(!range().go_on(&reached("C", 9_001), NOW), "newer than what was asked for");
        assert!(!range().go_on(&reached("D", 5_000), NOW), "there");
    }
}
