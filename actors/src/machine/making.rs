//! What is made at WhatsApp once, however often a caller asks for it.
//!
//! What must hold: that something is about to be made is durable before WhatsApp is asked for it. When the answer was
//! lost, the next time that the request comes, whoever owns the device then, WhatsApp is asked what there is before it
//! is asked to make anything, and that on a later connection; two can come of one request only if WhatsApp takes it
//! after it has answered that one. Nothing is made for callers who have given up. A day later a request is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::api;
use roost_proto::ask::making::{Made, New};
use roost_proto::id::UnixMillis;
use roost_proto::prost::Message as _;
use roost_proto::stanza::{Read, Stanza, message_id};

use super::codec::{Reader, Writer};
use super::commit::{After, Pending};
use super::requests::{Asked, NoAnswer};
use super::timer::Timer;
use super::{Effect, Machine, Reply};
use crate::device::{AskError, Make, MakeError};
use crate::port::{StateChange, StateKey, StateKind};

/// For so long a request is known, in milliseconds.
const LIFETIME: i64 = 24 * 3600 * 1000;
/// Requests that are remembered; beyond, the oldest is forgotten.
const REMEMBERED: usize = 256;
/// First byte of a row.
const FORMAT: u8 = 1;

/// A request of the last day.
#[derive(Debug, Clone, PartialEq)]
struct Making {
    at: UnixMillis,
    hash: [u8; 32],
    /// What WhatsApp knows it by.
    key: String,
    /// What was made, once that is known.
    made: Option<Made>,
    /// On which link of this life WhatsApp was asked for it last.
    asked_on: Option<u64>,
}

impl Making {
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.bytes(&self.at.0.to_be_bytes());
        out.bytes(&self.hash);
        out.text(&self.key);
        let made = self.made.clone().unwrap_or(Made::of(""));
        out.text(&made.jid);
        out.bytes(&api::UpdateParticipantsResponse { outcomes: made.left_out }.encode_to_vec());
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Making> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let at = UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let hash = rest.bytes()?.try_into().ok()?;
        let key = rest.text()?.to_owned();
        let jid = Some(rest.text()?.to_owned()).filter(|jid| !jid.is_empty());
        // Rows of earlier versions end here.
        let left_out = rest.bytes().and_then(|bytes| api::UpdateParticipantsResponse::decode(bytes).ok());
        let made = jid.map(|jid| Made { jid, left_out: left_out.unwrap_or_default().outcomes });
        Some(Making { at, hash, key, made, asked_on: None })
    }
}

/// What is being made now, and who waits for it.
#[derive(Debug)]
struct UnderWay {
    what: New,
    /// Tokens, and until when each waits.
    waiting: Vec<(u64, BootTime)>,
}

/// All by request id.
#[derive(Debug, Default)]
pub(super) struct Makings {
    known: BTreeMap<String, Making>,
    under_way: BTreeMap<String, UnderWay>,
}

impl Machine {
    /// What the last owner knew. A row that cannot be read is left out.
    pub(super) fn makings_load(&mut self, rows: Vec<(String, Bytes)>) {
        let read = rows.into_iter().filter_map(|(id, bytes)| Some((id, Making::from_bytes(&bytes)?)));
        self.makings.known.extend(read);
    }

    pub(super) fn make(&mut self, token: u64, make: Make, patience: Duration) {
        let Make { what, request_id, request_hash } = make;
        let known = self.makings.known.get(&request_id);
        if known.is_some_and(|known| known.hash != request_hash) {
            return self.making_reply(token, Err(MakeError::KeyReused));
        }
        if let Some(made) = known.and_then(|known| known.made.clone()) {
            return self.making_reply(token, Ok(made));
        }
        let until = self.now.boot.plus(patience);
        if let Some(under_way) = self.makings.under_way.get_mut(&request_id) {
            if under_way.waiting.len() >= self.limits.asks {
                return self.making_reply(token, Err(AskError::Busy.into()));
            }
            under_way.waiting.push((token, until));
            return self.set_timer_at_most(Timer::Requests, patience);
        }
        let busy = self.makings.under_way.len() >= self.limits.asks;
        let away = self.commits.failing().then_some(AskError::Unavailable);
        if let Some(refusal) = self.may_ask().err().or(away).or(busy.then_some(AskError::Busy)) {
            return self.making_reply(token, Err(refusal.into()));
        }
        let in_doubt = known.is_some();
        let look = what.look();
        let waiting = vec![(token, until)];
        self.makings.under_way.insert(request_id.clone(), UnderWay { what, waiting });
        self.set_timer_at_most(Timer::Requests, patience);
        if in_doubt {
            return self.request_of_ours(Asked::Made { request_id }, look);
        }
        let key = message_id(&mut self.rng);
        let making = Making { at: self.now.wall, hash: request_hash, key, made: None, asked_on: None };
        self.makings.known.insert(request_id.clone(), making);
        let mut changes = self.forget_makings();
        changes.extend(self.making_row(&request_id));
        self.keep_making(request_id, changes);
    }

    /// All that was made was made by another account.
    pub(super) fn makings_reset(&mut self, outcome: &mut Pending) {
        for id in std::mem::take(&mut self.makings.known).into_keys() {
            outcome.batch.state.push((row(&id), None));
            self.making_ended(&id, &Err(AskError::LoggedOut));
        }
    }

    /// The rows of those that are too old or too many.
    fn forget_makings(&mut self) -> Vec<StateChange> {
        let Makings { known, under_way } = &mut self.makings;
        let mut by_age: Vec<(UnixMillis, String)> =
            known.iter().map(|(id, making)| (making.at, id.clone())).collect();
        by_age.sort();
        let surplus = by_age.len().saturating_sub(REMEMBERED);
        let mut gone = Vec::new();
        for (place, (at, id)) in by_age.into_iter().enumerate() {
            let over = place < surplus || self.now.wall.0 - at.0 > LIFETIME;
            if over && !under_way.contains_key(&id) {
                known.remove(&id);
                gone.push((row(&id), None));
            }
        }
        gone
    }

    fn making_row(&self, request_id: &str) -> Option<StateChange> {
        self.makings.known.get(request_id).map(|making| (row(request_id), Some(making.to_bytes())))
    }

    fn keep_making(&mut self, request_id: String, changes: Vec<StateChange>) {
        let gathering = self.commits.pending();
        gathering.batch.state.extend(changes);
        gathering.after.push(After::Making(request_id));
    }

    /// What is known of a request is durable: make it, or tell what was made.
    pub(super) fn making_kept(&mut self, request_id: String) {
        let (may_ask, online) = (self.may_ask(), self.connection.online());
        let Makings { known, under_way } = &mut self.makings;
        let Some(making) = known.get_mut(&request_id) else { return };
        if let Some(made) = making.made.clone() {
            return self.making_ended(&request_id, &Ok(made));
        }
        let Some(under_way) = under_way.get(&request_id) else { return };
        // Nobody waits any more, or WhatsApp was asked on this connection and has not said its word.
        let late = under_way.waiting.is_empty() || online.is_some() && making.asked_on == online;
        if let Some(refusal) = may_ask.err().or(late.then_some(AskError::Late)) {
            return self.making_ended(&request_id, &Err(refusal));
        }
        making.asked_on = online;
        let request = under_way.what.request(&making.key);
        self.ask_with_tokens(self.limits.request, Asked::Making { request_id }, request);
    }

    /// Those who have waited long enough hear that nothing is known yet, or what a notification has said; what is being made
    /// goes on. Returns when the next of them has.
    pub(super) fn expire_makings(&mut self) -> Option<BootTime> {
        let now = self.now.boot;
        let Makings { known, under_way } = &mut self.makings;
        let mut late = Vec::new();
        for (id, one) in under_way.iter_mut() {
            let made = known.get(id).and_then(|making| making.made.clone());
            let over = one.waiting.extract_if(.., |(_, until)| *until <= now);
            late.extend(over.map(|(token, _)| (token, made.clone().ok_or(MakeError::from(AskError::Late)))));
        }
        for (token, result) in late {
            self.making_reply(token, result);
        }
        self.makings.under_way.values().flat_map(|one| &one.waiting).map(|(_, until)| *until).min()
    }

    /// WhatsApp has made it, or not.
    pub(super) fn on_making(&mut self, request_id: String, outcome: Result<Stanza, NoAnswer>) {
        let Some(under_way) = self.makings.under_way.get(&request_id) else { return };
        match outcome {
            Ok(answer) => match under_way.what.made(&answer) {
                Ok(made) => self.is_made(request_id, made),
                Err(missing) => self.making_ended(&request_id, &Err(missing.into())),
            },
            Err(why) => {
                match &why {
                    // What is refused for what it is was certainly not made.
                    NoAnswer::Refused(refused) if refused.code < 500 => {
                        self.makings.known.remove(&request_id);
                        self.commits.pending().batch.state.push((row(&request_id), None));
                    }
                    // WhatsApp has said its word, and may be asked again on this connection.
                    NoAnswer::Refused(_) => {
                        if let Some(making) = self.makings.known.get_mut(&request_id) {
                            making.asked_on = None;
                        }
                    }
                    NoAnswer::Lost | NoAnswer::Late => {}
                }
                match self.makings.known.get(&request_id).is_some_and(|making| making.made.is_some()) {
                    true => self.keep_making(request_id, Vec::new()),
                    false => self.making_ended(&request_id, &Err(why.into())),
                }
            }
        }
    }

    /// WhatsApp has said what there is, of which one may have been made by a request whose answer was lost.
    pub(super) fn on_made(&mut self, request_id: String, outcome: Result<Stanza, NoAnswer>) {
        let Makings { known, under_way } = &self.makings;
        let (Some(making), Some(under_way)) = (known.get(&request_id), under_way.get(&request_id)) else {
            return;
        };
        let own = |jid: &_| self.account.as_ref().is_some_and(|account| account.is_own(jid));
        let found = match outcome {
            Ok(answer) => under_way.what.found(&answer, making.at.0 / 1000, own).map_err(AskError::from),
            Err(why) => Err(why.into()),
        };
        match found {
            Err(error) => self.making_ended(&request_id, &Err(error)),
            Ok(found) => {
                let made: Vec<_> = known.values().filter_map(|other| other.made.as_ref()).collect();
                match found.into_iter().find(|jid| !made.iter().any(|made| made.jid == *jid)) {
                    Some(jid) => self.is_made(request_id, Made::of(jid)),
                    // It may have become known otherwise meanwhile; else it is asked for again, by the same key.
                    None => self.making_kept(request_id),
                }
            }
        }
    }

    /// A notification names the key of a request: what it tells of was made by that. Who waits for an answer gets that,
    /// which may be behind: it says who was left out, too.
    pub(super) fn made_by_key(&mut self, key: &str, made: &str, outcome: &mut Pending) {
        let online = self.connection.online();
        let found = self.makings.known.iter_mut().find(|(_, making)| making.key == key);
        let Some((id, making)) = found.filter(|(_, making)| making.made.is_none()) else { return };
        making.made = Some(Made::of(made));
        outcome.batch.state.push((row(id), Some(making.to_bytes())));
        if online.is_none() || making.asked_on != online {
            outcome.after.push(After::Making(id.clone()));
        }
    }

    fn is_made(&mut self, request_id: String, made: Made) {
        if let Some(making) = self.makings.known.get_mut(&request_id) {
            making.made = Some(made);
        }
        let row = self.making_row(&request_id);
        self.keep_making(request_id, row.into_iter().collect());
    }

    /// It could not be asked for after all.
    pub(super) fn making_not_asked(&mut self, request_id: &str, refusal: AskError) {
        if let Some(making) = self.makings.known.get_mut(request_id) {
            making.asked_on = None;
        }
        self.making_ended(request_id, &Err(refusal));
    }

    fn making_ended(&mut self, request_id: &str, result: &Result<Made, AskError>) {
        let Some(under_way) = self.makings.under_way.remove(request_id) else { return };
        for (token, _) in under_way.waiting {
            self.making_reply(token, result.clone().map_err(MakeError::from));
        }
    }

    fn making_reply(&mut self, token: u64, result: Result<Made, MakeError>) {
        self.effects.push(Effect::Reply { token, reply: Reply::Made(result) });
    }
}

/// The key that the notification of a new group names.
pub(super) fn key_of(notification: &Stanza) -> Option<String> {
    Some(notification.child("create")?.text("key")?.into_owned())
}

fn row(request_id: &str) -> StateKey {
    StateKey { kind: StateKind::Making, name: request_id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        let outcome = api::update_participants_response::Outcome { code: 403, ..Default::default() };
        let group = "120363000000000001@g.us".to_owned();
        let with = |left_out| Some(Made { jid: group.clone(), left_out });
        for made in [None, with(Vec::new()), with(vec![outcome])] {
            let key = "3EB0AA".to_owned();
            let making = Making { at: UnixMillis(7), hash: [3; 32], key, made, asked_on: None };
            let bytes = making.to_bytes();
            assert_eq!(Making::from_bytes(&bytes), Some(making));
            assert_eq!(Making::from_bytes(&bytes[..20]), None);
        }
    }
}
