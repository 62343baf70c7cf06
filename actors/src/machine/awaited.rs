//! Messages that could not be read, while their senders are asked for them again, or the phone is.
//!
//! What must hold: how often somebody was asked, and the stanza as it came, are durable before anybody is
//! asked. Who is asked next, and when, follows from the row alone, so the next owner goes on. A message that
//! has not come after the limit of tries, or of time, is put aside whole with an event. Nothing is
//! given up for its time while there is no connection, nor shortly after a login: the answer may lie in the backlog.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{self, Builder, Read, Stanza};

use super::Machine;
use super::codec::{Reader, Writer};
use super::commit::Pending;
use super::inbound::{bounded, person};
use super::timer::Timer;
use crate::port::{StateKey, StateKind};

/// Bytes of stanzas that are kept at a time; for more, the oldest of the sender who has most of them is given up.
const KEPT: usize = 1 << 20;
/// After a login the backlog may bring the answer.
const BACKLOG: Duration = Duration::from_secs(30);
/// How often the phone is asked for one message.
const PHONE: u32 = 2;
/// Why a message without a ciphertext is awaited.
const WITHHELD: &str = "WhatsApp withheld the content";
/// First byte of a row.
const FORMAT: u8 = 1;

/// A message that was asked for again.
#[derive(Debug)]
struct Awaited {
    /// How often its sender was asked.
    asked: u32,
    /// When for the last time; when it came, if it never was.
    since: UnixMillis,
    /// Why it could not be read, for a person.
    why: String,
    /// The stanza as it came.
    raw: Bytes,
    /// How often the phone was asked, and when for the last time.
    phone: (u32, UnixMillis),
    /// Who has sent it, as its stanza says.
    sender: String,
    /// WhatsApp's id of it.
    id: String,
    /// It is of our own phone and to this device alone, so that the phone has it for nobody.
    of_phone: bool,
}

/// What happens to an awaited message next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    AskPhone,
    GiveUp,
}

impl Awaited {
    fn new(asked: u32, since: UnixMillis, why: String, raw: Bytes, phone: (u32, UnixMillis)) -> Awaited {
        let stanza = stanza::decode(&raw).ok();
        let said = |name| stanza.as_ref().and_then(|stanza| stanza.text(name));
        let (id, of_phone) =
            (said("id").unwrap_or_default().into_owned(), said("category").as_deref() == Some("peer"));
        let jid = stanza.as_ref().and_then(|stanza| stanza.jid("participant").or_else(|| stanza.jid("from")));
        let sender = jid.map(|jid| jid.to_non_ad().to_string()).unwrap_or_default();
        Awaited { asked, since, why, raw, phone, sender, id, of_phone }
    }

    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(FORMAT);
        out.bytes(&self.asked.to_be_bytes());
        out.bytes(&self.since.0.to_be_bytes());
        out.text(&self.why);
        out.bytes(&self.raw);
        out.bytes(&self.phone.0.to_be_bytes());
        out.bytes(&self.phone.1.0.to_be_bytes());
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Awaited> {
        let mut rest = Reader::new(FORMAT, bytes)?;
        let asked = u32::from_be_bytes(rest.bytes()?.try_into().ok()?);
        let since = UnixMillis(i64::from_be_bytes(rest.bytes()?.try_into().ok()?));
        let why = rest.text()?.to_owned();
        let raw = Bytes::copy_from_slice(rest.bytes()?);
        // Earlier rows end here.
        let mut phone = (0, UnixMillis(0));
        if let (Some(times), Some(at)) = (rest.bytes(), rest.bytes()) {
            phone.0 = u32::from_be_bytes(times.try_into().ok()?);
            phone.1 = UnixMillis(i64::from_be_bytes(at.try_into().ok()?));
        }
        Some(Awaited::new(asked, since, why, raw, phone))
    }
}

/// All of a device.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By the names of their rows.
    rows: BTreeMap<String, Awaited>,
    /// Nothing is given up before.
    quiet: Option<BootTime>,
}

impl Messages {
    /// How often the sender of a message was asked for it.
    pub(super) fn asked(&self, name: &str) -> u32 {
        self.rows.get(name).map_or(0, |message| message.asked)
    }

    /// The names of the rows with this id of WhatsApp: each sender chooses his ids himself.
    pub(super) fn named(&self, id: &str) -> Vec<String> {
        let rows = self.rows.iter().filter(|(_, message)| !id.is_empty() && message.id == id);
        rows.map(|(name, _)| name.clone()).collect()
    }

    /// The names of all rows.
    pub(super) fn names(&self) -> Vec<String> {
        self.rows.keys().cloned().collect()
    }

    /// The stanza of a row, as it came.
    pub(super) fn raw(&self, name: &str) -> Option<Bytes> {
        self.rows.get(name).map(|message| message.raw.clone())
    }

    /// What is given up for there are too many rows, or too many bytes: the oldest of the sender who has most, so that one who
    /// sends very much costs nobody else a message.
    fn surplus(&self, most: usize) -> Option<String> {
        let mut shares: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for message in self.rows.values() {
            let (rows, bytes) = shares.entry(&message.sender).or_default();
            (*rows, *bytes) = (*rows + 1, *bytes + message.raw.len());
        }
        let rows_count = self.rows.len() > most;
        if !rows_count && shares.values().map(|(_, bytes)| bytes).sum::<usize>() <= KEPT {
            return None;
        }
        let share = |message: &Awaited| {
            let (rows, bytes) = shares[&*message.sender];
            if rows_count { rows } else { bytes }
        };
        let first = self.rows.iter().min_by_key(|(_, message)| (Reverse(share(message)), message.since));
        first.map(|(name, _)| name.clone())
    }
}

impl Machine {
    /// What the last owner still waited for. A row that cannot be read is left out: the stanza behind it
    /// was acknowledged, and nobody can say more of it.
    pub(super) fn awaited_load(&mut self, rows: Vec<(String, Bytes)>) {
        for (name, bytes) in rows {
            if let Some(mut message) = Awaited::from_bytes(&bytes) {
                message.since = message.since.min(self.now.wall);
                message.phone.1 = message.phone.1.min(self.now.wall);
                self.awaited.rows.insert(name, message);
            }
        }
    }

    /// Its sender is asked for it once more.
    pub(super) fn await_again(&mut self, outcome: &mut Pending, name: String, why: String, raw: Bytes) {
        let asked = self.awaited.asked(&name) + 1;
        let phone = self.awaited.rows.get(&name).map_or((0, UnixMillis(0)), |message| message.phone);
        self.await_message(outcome, name, Awaited::new(asked, self.now.wall, why, raw, phone));
    }

    /// Only the phone can give it.
    pub(super) fn await_withheld(&mut self, outcome: &mut Pending, name: String, raw: Bytes) {
        // It may come again while the phone is being asked.
        if !self.awaited.rows.contains_key(&name) {
            let message = Awaited::new(0, self.now.wall, WITHHELD.to_owned(), raw, (0, UnixMillis(0)));
            self.await_message(outcome, name, message);
        }
    }

    /// Its sender was asked as often as that makes sense: now only the phone is left.
    pub(super) fn sender_spent(&mut self, outcome: &mut Pending, name: &str) {
        match self.awaited.rows.get(name).is_none_or(|message| message.of_phone) {
            true => self.give_up_awaited(outcome, name),
            false => self.plan_next(),
        }
    }

    fn await_message(&mut self, outcome: &mut Pending, name: String, message: Awaited) {
        outcome.batch.state.push((row(name.clone()), Some(message.to_bytes())));
        self.awaited.rows.insert(name, message);
        while let Some(surplus) = self.awaited.surplus(self.limits.awaited) {
            self.give_up_awaited(outcome, &surplus);
        }
        self.plan_next();
    }

    /// It has come.
    pub(super) fn awaited_came(&mut self, outcome: &mut Pending, name: String) {
        if self.awaited.rows.remove(&name).is_some() {
            outcome.batch.state.push((row(name), None));
        }
    }

    /// Puts it aside, with the events that say so.
    pub(super) fn give_up_awaited(&mut self, outcome: &mut Pending, name: &str) {
        let Some(Awaited { asked, why, raw, phone, .. }) = self.awaited.rows.remove(name) else { return };
        let stanza = stanza::hear(&raw).unwrap_or_else(|_| Builder::new("unreadable").build());
        let attempts = if asked > 0 { asked } else { phone.0 };
        let undecryptable = api::Undecryptable {
            whatsapp_id: stanza.text("id").unwrap_or_default().into_owned(),
            attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
            reason: why.clone(),
            ..self.place_of(&raw, &stanza)
        };
        let dedupe = bounded(format!("undecryptable/{name}"));
        outcome.batch.events.push(self.synthetic(dedupe, Payload::Undecryptable(undecryptable)));
        self.quarantine(outcome, raw, &stanza, &why);
        outcome.batch.state.push((row(name.to_owned()), None));
    }

    /// Where a message was said and by whom, as far as its stanza says.
    fn place_of(&self, raw: &Bytes, stanza: &Stanza) -> api::Undecryptable {
        let Ok(message) = self.envelope(0, raw, stanza) else {
            let sender = Some(person(&[stanza.jid("from"), stanza.jid("participant")]));
            return api::Undecryptable { sender, ..Default::default() };
        };
        let sender = message.peer.person();
        let chat = match (&message.group, message.own) {
            (Some(_), _) => api::Person::default(),
            (None, true) => message.spoken_to(None),
            (None, false) => sender.clone(),
        };
        api::Undecryptable {
            sender: Some(sender),
            chat: Some(chat).filter(|chat| *chat != api::Person::default()),
            group: message.group.map(|group| group.to_string()).unwrap_or_default(),
            broadcast_list: message.list.map(|list| list.to_string()).unwrap_or_default(),
            from_me: message.own,
            ..Default::default()
        }
    }

    /// Messages flow again: what is overdue may be in the backlog.
    pub(super) fn awaited_online(&mut self) {
        self.awaited.quiet = Some(self.now.boot.plus(BACKLOG.min(self.limits.awaiting)));
        self.plan_next();
    }

    /// Does what is due: asks the phone, or gives up.
    pub(super) fn awaited_overdue(&mut self) {
        if self.connection.online().is_none() {
            return;
        }
        let mut outcome = Pending::default();
        let (mut first, mut again) = (Vec::new(), Vec::new());
        let due = self.awaited.rows.iter().map(|(name, message)| (name.clone(), self.next(message)));
        let due: Vec<(String, (Next, Duration))> = due.filter(|(_, (_, left))| left.is_zero()).collect();
        for (name, (next, _)) in due {
            let now = self.now.wall;
            match self.awaited.rows.get_mut(&name).filter(|_| next == Next::AskPhone) {
                None => self.give_up_awaited(&mut outcome, &name),
                Some(message) => {
                    let list = if message.phone.0 == 0 { &mut first } else { &mut again };
                    list.push(message.raw.clone());
                    message.phone = (message.phone.0 + 1, now);
                    outcome.batch.state.push((row(name), Some(message.to_bytes())));
                }
            }
        }
        let slot = self.lane.open();
        self.lane.fill(slot, outcome);
        self.ask_phone_for(&first, false);
        self.ask_phone_for(&again, true);
        self.plan_next();
    }

    /// What happens to it next, and after how long.
    fn next(&self, message: &Awaited) -> (Next, Duration) {
        let quiet = self.awaited.quiet.map_or(Duration::ZERO, |until| until.since(self.now.boot));
        match self.next_by_row(message) {
            (Next::GiveUp, left) => (Next::GiveUp, left.max(quiet)),
            ask => ask,
        }
    }

    fn next_by_row(&self, message: &Awaited) -> (Next, Duration) {
        let left = |since: UnixMillis, patience: Duration| {
            let waited = u64::try_from(self.now.wall.0 - since.0).unwrap_or(0);
            patience.saturating_sub(Duration::from_millis(waited))
        };
        let (after, pause) = self.limits.phone;
        let end = left(message.since, self.limits.awaiting);
        if message.of_phone {
            return (Next::GiveUp, end);
        }
        // Nobody but the phone will give it.
        let spent = message.asked == 0 || message.asked >= self.limits.retries;
        let (times, last) = message.phone;
        let ask = match times {
            0 if spent => Duration::ZERO,
            0 => left(message.since, after),
            _ => left(last, pause),
        };
        match times < PHONE {
            true if ask < end => (Next::AskPhone, ask),
            false if spent => (Next::GiveUp, ask.min(end)),
            _ => (Next::GiveUp, end),
        }
    }

    fn plan_next(&mut self) {
        match self.awaited.rows.values().map(|message| self.next(message).1).min() {
            Some(next) => self.set_timer(Timer::Awaited, next),
            None => self.clear_timer(Timer::Awaited),
        }
    }
}

fn row(name: String) -> StateKey {
    StateKey { kind: StateKind::Retry, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_as_it_was_written_and_as_it_was_before() {
        let raw = Bytes::from_static(b"raw");
        let message = Awaited::new(2, UnixMillis(5), "why".to_owned(), raw, (1, UnixMillis(7)));
        let bytes = message.to_bytes();
        let read = Awaited::from_bytes(&bytes).expect("ours");
        assert_eq!((read.asked, read.since, read.phone), (2, UnixMillis(5), (1, UnixMillis(7))));
        assert_eq!((&*read.why, &*read.raw), ("why", &b"raw"[..]));
        let before = Awaited::from_bytes(&bytes[..bytes.len() - 20]).expect("as it was before");
        assert_eq!((before.asked, before.phone), (2, (0, UnixMillis(0))));
        assert!(Awaited::from_bytes(b"\x01torn").is_none());
    }
}
