//! Messages that could not be decrypted, while their senders are asked for them again.
//!
//! What must hold: how often a message was asked for, and the stanza as it came, are durable before it is
//! asked for. A message that has not come after the limit of tries, or of time, is put aside whole with an
//! event, by whoever owns the device then. Nothing is given up for its time while there is no connection, nor
//! shortly after a login: the answer may lie in the backlog.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{self, Builder, Read};

use super::Machine;
use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::inbound::{bounded, person};
use super::timer::Timer;
use crate::port::{StateKey, StateKind};

/// Bytes of stanzas that are kept at a time; for more, the oldest is given up.
const KEPT: usize = 1 << 20;
/// After a login the backlog may bring the answer.
const BACKLOG: Duration = Duration::from_secs(30);
/// First byte of a row.
const FORMAT: u8 = 1;

/// A message that was asked for again.
#[derive(Debug)]
struct Awaited {
    /// How often.
    asked: u32,
    /// When for the last time.
    since: UnixMillis,
    /// Why it could not be decrypted, for a person.
    why: String,
    /// The stanza as it came.
    raw: Bytes,
}

impl Awaited {
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.bytes(&self.asked.to_be_bytes());
        out.bytes(&self.since.0.to_be_bytes());
        out.text(&self.why);
        out.bytes(&self.raw);
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Awaited> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let asked = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let since = UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let why = rest.text()?.to_owned();
        Some(Awaited { asked, since, why, raw: Bytes::copy_from_slice(rest.bytes()?) })
    }
}

/// All of a device, by the names of their rows.
#[derive(Debug, Default)]
pub(super) struct Messages(BTreeMap<String, Awaited>);

impl Messages {
    /// How often a message was asked for.
    pub(super) fn asked(&self, name: &str) -> u32 {
        self.0.get(name).map_or(0, |message| message.asked)
    }

    fn oldest(&self) -> Option<(&String, &Awaited)> {
        self.0.iter().min_by_key(|(_, message)| message.since)
    }
}

impl Machine {
    /// What the last owner still waited for. A row that cannot be read is left out: the stanza behind it
    /// was acknowledged, and nobody can say more of it.
    pub(super) fn awaited_load(&mut self, rows: Vec<(String, Bytes)>) {
        for (name, bytes) in rows {
            if let Some(mut message) = Awaited::from_bytes(&bytes) {
                message.since = message.since.min(self.now.wall);
                self.awaited.0.insert(name, message);
            }
        }
    }

    /// It is asked for once more.
    pub(super) fn await_again(&mut self, outcome: &mut Pending, name: String, why: String, raw: Bytes) {
        let asked = self.awaited.asked(&name) + 1;
        let message = Awaited { asked, since: self.now.wall, why, raw };
        outcome.batch.state.push((row(name.clone()), Some(message.to_bytes())));
        self.awaited.0.insert(name, message);
        let bytes = |awaited: &Messages| awaited.0.values().map(|message| message.raw.len()).sum::<usize>();
        while self.awaited.0.len() > self.limits.awaited || bytes(&self.awaited) > KEPT {
            let Some((oldest, _)) = self.awaited.oldest() else { break };
            self.give_up_awaited(outcome, &oldest.clone());
        }
        self.plan_giving_up(Duration::ZERO);
    }

    /// It has come.
    pub(super) fn awaited_came(&mut self, outcome: &mut Pending, name: String) {
        if self.awaited.0.remove(&name).is_some() {
            outcome.batch.state.push((row(name), None));
        }
    }

    /// Puts it aside, with the events that say so.
    pub(super) fn give_up_awaited(&mut self, outcome: &mut Pending, name: &str) {
        let Some(Awaited { asked, why, raw, .. }) = self.awaited.0.remove(name) else { return };
        let stanza = stanza::decode(&raw).unwrap_or_else(|_| Builder::new("unreadable").build());
        let undecryptable = api::Undecryptable {
            whatsapp_id: stanza.text("id").unwrap_or_default().into_owned(),
            sender: Some(person(&[stanza.jid("from"), stanza.jid("participant")])),
            attempts: i32::try_from(asked).unwrap_or(i32::MAX),
            reason: why.clone(),
        };
        let dedupe = bounded(format!("undecryptable/{name}"));
        outcome.batch.events.push(self.synthetic(dedupe, Payload::Undecryptable(undecryptable)));
        self.quarantine(outcome, raw, &stanza, &why);
        outcome.batch.state.push((row(name.to_owned()), None));
    }

    /// Messages flow again: what is overdue may be in the backlog.
    pub(super) fn awaited_online(&mut self) {
        self.plan_giving_up(BACKLOG);
    }

    /// Gives up what has waited for too long.
    pub(super) fn awaited_overdue(&mut self) {
        if self.connection.online().is_none() {
            return;
        }
        let mut outcome = Pending::default();
        while let Some((name, message)) = self.awaited.oldest()
            && self.patience(message).is_zero()
        {
            self.give_up_awaited(&mut outcome, &name.clone());
        }
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.plan_giving_up(Duration::ZERO);
    }

    /// For how long the sender may still answer.
    fn patience(&self, message: &Awaited) -> Duration {
        let waited = u64::try_from(self.now.wall.0 - message.since.0).unwrap_or(0);
        self.limits.awaiting.saturating_sub(Duration::from_millis(waited))
    }

    fn plan_giving_up(&mut self, at_least: Duration) {
        match self.awaited.oldest().map(|(_, message)| self.patience(message)) {
            Some(patience) => {
                self.set_timer(Timer::Awaited, patience.max(at_least.min(self.limits.awaiting)))
            }
            None => self.clear_timer(Timer::Awaited),
        }
    }
}

fn row(name: String) -> StateKey {
    StateKey { kind: StateKind::Retry, name }
}
