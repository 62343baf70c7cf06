//! History: what the phone tells of the time before the device was linked, in a lane of its own.
//!
//! What must hold: a piece, or where its file is, is durable with the message that brought it, and is told in
//! slices, each a commit of its own that says how far it has come; so a new owner goes on where the last one
//! stopped, after fetching the file again. One slice is under way at a time, between the commits of live
//! messages. A message has the same key in the log whether it came live or with history, so it is there once.
//! Behind the last message stands one event about the piece, and behind its commit the phone hears that we have it and
//! its file is deleted.

mod again;
mod around;
mod behind;
mod names;
mod piece;
mod range;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roost_proto::api::history_chunk::Problem;
use roost_proto::content::Secret;
use roost_proto::history::{Chat, HistoryError, Kind, Outline, Position, Slice, Slices, Survey};
use roost_proto::id::UnixMillis;
use roost_proto::media::MediaKind;
use roost_proto::phone::{Notice, PeerMessage, Place, WantHistory};
use roost_proto::stanza::Jid;

use super::commit::{After, Pending};
use super::crypto::PeerName;
use super::files::Wants;
use super::inbound::{Inbound, bounded};
use super::timer::Timer;
use super::tokens::takes_part;
use super::{CryptoRequest, Effect, Fetched, Fetching, Machine, Reply, Token};
use crate::device::CommandError;
use crate::port::{FileError, StateKey, StateKind};
pub(super) use names::Unnamed;
use piece::{Cursor, Piece, Source};
use range::{Range, Ranges};

/// Pieces that wait; the phone is not believed to have more.
const PIECES: usize = 64;
/// First and longest pause before a file that could not be had is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3600));
/// Pairs of identities that are learned in one commit.
const LEARNED: usize = 512;

/// Pieces that have not been told to their end, by the messages that brought them.
#[derive(Default)]
pub(super) struct Pieces {
    waiting: BTreeMap<String, Piece>,
    /// The piece that is being told.
    open: Option<Open>,
    /// A slice is on its way into the log, or a file is on its way here.
    busy: bool,
    ranges: Ranges,
    /// What the hosts want to see with a deletion; empty when the phone has not said it.
    nonce: String,
}

/// A piece that is being told.
struct Open {
    name: String,
    outline: Outline,
    /// Hidden identities by phone number, as the piece says, and as the store does.
    lids: BTreeMap<String, String>,
    /// Reads its messages when they came with the message; those of a file are read where it is.
    slices: Option<Slices>,
}

impl Open {
    fn new(name: &str, outline: Outline, slices: Option<Slices>) -> Open {
        let lids = outline.people.lids.iter().cloned().collect();
        Open { name: name.to_owned(), outline, lids, slices }
    }

    /// A chat of it, by its place.
    fn chat(&self, place: u64) -> Option<&Chat> {
        usize::try_from(place).ok().and_then(|place| self.outline.chats.get(place)?.about.as_ref())
    }
}

impl Machine {
    /// What the last owner had not told.
    pub(super) fn history_load(&mut self, rows: Vec<(StateKey, Bytes)>) {
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let mut cursors = BTreeMap::new();
        for (key, bytes) in rows {
            match key.kind {
                StateKind::History => cursors.extend(Some(key.name).zip(Cursor::from_bytes(&bytes))),
                StateKind::HistoryNonce => {
                    self.history.nonce = std::str::from_utf8(&bytes).unwrap_or_default().to_owned();
                }
                StateKind::HistoryRange => {
                    let range = Range::from_bytes(&bytes, self.now.wall);
                    self.history.ranges.open.extend(Some(key.name).zip(range));
                }
                kind => sources.extend(Some(key.name).zip(Source::from_row(kind, bytes))),
            }
        }
        for (name, cursor) in cursors {
            if let Some(source) = sources.remove(&name) {
                self.history.waiting.insert(name, Piece::new(cursor, source));
            }
        }
        self.watch_ranges();
    }

    /// The device belongs to another pairing now, whose phone tells everything itself.
    pub(super) fn history_reset(&mut self, outcome: &mut Pending) {
        for (name, piece) in std::mem::take(&mut self.history.waiting) {
            let kinds = [StateKind::History, piece.source.kind()];
            outcome.batch.state.extend(kinds.map(|kind| (row(kind, &name), None)));
        }
        for name in std::mem::take(&mut self.history.ranges).open.into_keys() {
            outcome.batch.state.push((row(StateKind::HistoryRange, &name), None));
        }
        self.history.open = None;
        self.take_nonce(outcome, String::new());
    }

    /// The phone has a piece of history for us: durable with the message that says so.
    pub(super) fn take_history(&mut self, message: &Inbound, notice: Notice, outcome: &mut Pending) {
        let name = bounded(message.id.clone());
        if self.take_again(&name, &notice, outcome) {
            return;
        }
        let mut cursor = Cursor::new(&notice);
        // What a caller has asked for is told to devices without history, too.
        let unasked = notice.kind != Kind::OnDemand;
        if unasked && self.account.as_ref().is_some_and(|account| account.without_history) {
            let why = "the device was paired without history";
            return self.end_piece(outcome, &name, &cursor, None, Some((Problem::NotWanted, why)));
        }
        if let Some(range) = self.range_of(&cursor.request) {
            cursor.request = range;
        }
        if self.history.waiting.len() >= PIECES {
            let why = "the phone tells too much history at once";
            return self.end_piece(outcome, &name, &cursor, None, Some((Problem::TooMany, why)));
        }
        let source = match notice.place {
            Place::Inline(packed) => Source::Inline(packed.into()),
            Place::File(blob) => Source::File(blob),
        };
        outcome.batch.state.push((row(StateKind::History, &name), Some(cursor.to_bytes())));
        outcome.batch.state.push((row(source.kind(), &name), Some(source.to_bytes())));
        self.history.waiting.insert(name, Piece::new(cursor, source));
    }

    /// Goes on with the next slice, when the one before is durable.
    pub(super) fn history_pump(&mut self) {
        if self.history.busy || !self.may_act() || self.commits.failing() || self.account.is_none() {
            return;
        }
        let Some(name) = self.next_piece() else { return };
        self.history.busy = true;
        let piece = &self.history.waiting[&name];
        let (source, next) = (piece.source.clone(), piece.cursor.next);
        let open = self.history.open.is_some();
        match source {
            Source::Inline(packed) => match self.read_inline(&name, packed, next) {
                Ok(slice) => self.take_slice(name, slice),
                Err(error) => self.fail_piece(&name, problem_of(error), &error.to_string()),
            },
            Source::File(_) if open => self.fetch_file(Fetching::Slice(next), Wants::History(name)),
            Source::File(blob) => match blob.file(MediaKind::History) {
                Some(file) => self.fetch_file(Fetching::History(Box::new(file)), Wants::History(name)),
                None => self.fail_piece(&name, Problem::Corrupt, "nothing says how to fetch its file"),
            },
        }
    }

    /// The piece that is being told, or the first of those that can be told now.
    fn next_piece(&mut self) -> Option<String> {
        let waiting = &self.history.waiting;
        if let Some(open) = self.history.open.take_if(|open| waiting.contains_key(&open.name)) {
            let name = open.name.clone();
            self.history.open = Some(open);
            return Some(name);
        }
        self.history.open = None;
        let (now, online) = (self.now.boot, self.connection.online().is_some());
        let can = |piece: &&Piece| online || matches!(piece.source, Source::Inline(_));
        let late = |piece: &Piece| piece.trouble.map(|(_, at)| at).filter(|at| *at > now);
        let ready = waiting.iter().filter(|(_, piece)| can(piece) && late(piece).is_none());
        let next = ready.min_by_key(|(name, piece)| (piece.cursor.rank(), *name));
        if next.is_none()
            && let Some(at) = waiting.values().filter(can).filter_map(late).min()
        {
            self.timers.insert(Timer::History, at);
        }
        next.map(|(name, _)| name.clone())
    }

    fn read_inline(&mut self, name: &str, packed: Bytes, next: Position) -> Result<Slice, HistoryError> {
        if self.history.open.is_none() {
            let mut survey = Survey::inline();
            survey.feed(packed.clone())?;
            let outline = survey.finish()?;
            let mut slices = Slices::from(next);
            slices.feed(packed);
            self.open_piece(name, outline, Some(slices));
        }
        let slices = self.history.open.as_mut().and_then(|open| open.slices.as_mut());
        let slices = slices.expect("it was opened above");
        match slices.slice()? {
            Some(slice) => Ok(slice),
            None => {
                slices.close();
                slices.slice()?.ok_or(HistoryError::Malformed)
            }
        }
    }

    fn open_piece(&mut self, name: &str, outline: Outline, slices: Option<Slices>) {
        let user = |jid: &str| Some(jid.split_once('@')?.0.to_owned());
        let pairs: Vec<PeerName> = outline
            .people
            .lids
            .iter()
            .filter_map(|(pn, lid)| Some(PeerName { pn: Some(user(pn)?), lid: Some(user(lid)?), device: 0 }))
            .collect();
        for pairs in pairs.chunks(LEARNED) {
            self.change_state(CryptoRequest::Learn { pairs: pairs.to_vec() });
        }
        if let Some(salt) = &outline.people.salt {
            self.learn_salt(salt);
        }
        if let Some(nonce) = &outline.people.nonce {
            self.learn_nonce(nonce);
        }
        let chats = outline.chats.iter().filter_map(|chat| chat.about.as_ref());
        let tokens: Vec<(PeerName, Token)> = chats.filter_map(token_of).collect();
        for tokens in tokens.chunks(LEARNED) {
            self.keep_tokens(tokens.to_vec());
        }
        self.history.open = Some(Open::new(name, outline, slices));
    }

    /// A file of history has come, or something of it, or it has not.
    pub(super) fn on_history_file(&mut self, name: &str, outcome: Result<Fetched, FileError>) {
        let offline = self.connection.online().is_none();
        let Some(piece) = self.history.waiting.get_mut(name) else {
            return self.history.busy = false;
        };
        // The phone is asked for it when there is a connection.
        let may_be_asked = !piece.asked && !matches!(outcome, Err(FileError::TooLarge(_)));
        match outcome {
            Ok(Fetched::History(outline)) => {
                piece.trouble = None;
                self.history.busy = false;
                self.open_piece(name, *outline, None);
            }
            Ok(Fetched::Slice(slice)) => self.take_slice(name.to_owned(), slice),
            Ok(Fetched::Whole(_)) => unreachable!("history is read in slices"),
            Err(error) if matches!(error, FileError::Unavailable(_)) || may_be_asked && offline => {
                let times = piece.trouble.map_or(0, |(times, _)| times);
                let pause = PAUSES.0.saturating_mul(2u32.saturating_pow(times)).min(PAUSES.1);
                piece.trouble = Some((times + 1, self.now.boot.plus(pause)));
                (self.history.open, self.history.busy) = (None, false);
            }
            Err(error) if self.ask_for_piece(name, &error) => {
                (self.history.open, self.history.busy) = (None, false);
            }
            Err(error) => {
                let problem = match error {
                    FileError::Gone => Problem::Expired,
                    FileError::TooLarge(_) => Problem::TooLarge,
                    _ => Problem::Corrupt,
                };
                self.fail_piece(name, problem, &error.to_string());
            }
        }
    }

    /// Tells a slice; `kept` are the secrets of polls in it that were kept before.
    fn tell_slice(&mut self, name: &str, slice: Slice, kept: &[Secret]) {
        let mut outcome = Pending::default();
        let mut cursor = self.history.waiting[name].cursor.clone();
        let Some(open) = self.history.open.take() else { return self.history.busy = false };
        cursor.left_out += slice.left_out;
        // All are read before the first is told, since the secret that one needs comes behind it: the newest is first.
        let mut read = Vec::new();
        for (chat, bytes) in &slice.messages {
            read.extend(self.read_past(&mut outcome, &mut cursor, (&open, kept), *chat, bytes));
        }
        let mut room = told::ADD_ONS;
        for message in read {
            self.tell_past(&mut outcome, &mut cursor, &open, message, &mut room);
        }
        cursor.next = slice.next;
        if slice.last {
            self.end_piece(&mut outcome, name, &cursor, Some(&open.outline), None);
        } else {
            outcome.batch.state.push((row(StateKind::History, name), Some(cursor.to_bytes())));
            if let Some(piece) = self.history.waiting.get_mut(name) {
                piece.cursor = cursor;
            }
            self.history.open = Some(open);
        }
        self.commit_history(outcome);
    }

    /// It cannot be told, or not to its end.
    fn fail_piece(&mut self, name: &str, problem: Problem, why: &str) {
        let cursor = self.history.waiting[name].cursor.clone();
        let mut outcome = Pending::default();
        self.end_piece(&mut outcome, name, &cursor, None, Some((problem, why)));
        self.commit_history(outcome);
    }

    fn commit_history(&mut self, mut outcome: Pending) {
        outcome.after.push(After::HistoryTold);
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.lane_advance();
    }

    /// A slice is durable.
    pub(super) fn history_told(&mut self) {
        self.history.busy = false;
    }

    /// Everything of a piece is told, or it cannot be.
    fn end_piece(
        &mut self,
        outcome: &mut Pending,
        name: &str,
        cursor: &Cursor,
        outline: Option<&Outline>,
        problem: Option<(Problem, &str)>,
    ) {
        let goes_on = self.range_goes_on(outcome, cursor, outline);
        self.note_piece(outcome, name, cursor, outline, problem, goes_on);
        for kind in [StateKind::History, StateKind::HistoryPiece, StateKind::HistoryFile] {
            outcome.batch.state.push((row(kind, name), None));
        }
        let piece = self.history.waiting.remove(name).filter(|_| problem.is_none());
        self.history.open.take_if(|open| open.name == name);
        // A phone that has not heard it tells it again, and the file must be there then.
        if self.thank(outcome, name) {
            outcome.after.extend(piece.and_then(|piece| self.leave_behind(piece)));
        }
    }

    /// A caller wants older messages of a chat: so many, or all since then.
    pub(super) fn want_history(&mut self, token: u64, wanted: WantHistory, since: Option<UnixMillis>) {
        let refusal = match self.unpaired().or_else(|| self.unconnected()) {
            Some(error) => Some(error),
            None if !self.may_act() || self.commits.failing() => Some(CommandError::Unavailable),
            None => None,
        };
        let result = match (refusal, since) {
            (Some(error), _) => Err(error),
            (None, Some(since)) => return self.want_range(token, wanted, since),
            (None, None) => Ok(self.tell_phone(&PeerMessage::WantHistory(wanted), false)),
        };
        self.effects.push(Effect::Reply { token, reply: Reply::AskedPhone(result) });
    }
}

/// The tokens between us and the other side of a chat with one person.
fn token_of(chat: &Chat) -> Option<(PeerName, Token)> {
    let forms = [Some(&chat.jid), chat.lid.as_ref(), chat.pn.as_ref()];
    let digits =
        |fits: fn(&Jid) -> bool| forms.iter().flatten().find(|jid| fits(jid)).map(|jid| jid.user.to_string());
    let of = PeerName { pn: digits(Jid::is_pn), lid: digits(Jid::is_lid), device: 0 };
    let token = Token { given: chat.token.clone(), issued: chat.token_issued };
    (takes_part(&chat.jid) && token != Token::default()).then_some((of, token))
}

fn problem_of(error: HistoryError) -> Problem {
    match error {
        HistoryError::TooLarge => Problem::TooLarge,
        HistoryError::Packed(_) | HistoryError::Malformed => Problem::Corrupt,
    }
}

fn row(kind: StateKind, name: &str) -> StateKey {
    StateKey { kind, name: name.to_owned() }
}
