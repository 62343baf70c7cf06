//! Everything around a machine, reduced to what it may do: a store that commits or not, crypto that
//! answers in order, a WhatsApp that says anything at any time. It checks the rules after every event.

mod answers;
mod beginnings;
mod chains;
mod kept;
mod steps;

pub(in crate::machine) use beginnings::alone;
pub(super) use steps::GROUP;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::id::{Age, UnixMillis};
use roost_proto::stanza::{self, Read, Stanza};

use crate::device::{AskError, Limits, SendError};
use crate::machine::*;
use crate::port::{Batch, CastVote, MessageState, StateKey, StateKind, StoredMessage};

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    LinkUp,
    LinkDown,
    /// An attempt to connect ends on the way to WhatsApp.
    Unreached,
    Success,
    AnswerRequest,
    RefuseRequest,
    /// A new message; readable or not.
    Message(bool),
    MessageAgain,
    AckOurs,
    ReceiptForOurs,
    RetryForOurs,
    Notification,
    CommitDone,
    CommitFailed,
    /// The store commits, and the answer is lost.
    CommitUnheard,
    Crypto,
    Lookup,
    Time(u64),
    Quiesce,
    Resume,
    LeaseLost,
    LeaseBack,
    Send(u8),
    /// Somebody asks WhatsApp something and waits so many milliseconds.
    Ask(u64),
    StreamError,
}

pub(super) struct World {
    machine: Machine,
    now: Now,
    dialling: Option<u64>,
    up: Option<u64>,
    quiesced: bool,
    pub(super) dials: u32,
    crypto: VecDeque<(u64, CryptoRequest)>,
    lookups: VecDeque<(u64, Vec<String>)>,
    flying: Option<Arc<Batch>>,
    failed: Option<Arc<Batch>>,
    /// The one that failed was written all the same.
    unheard: bool,
    pub(super) requests: VecDeque<Stanza>,
    status: State,
    events: BTreeSet<String>,
    received: BTreeSet<String>,
    /// What was told, in order.
    pub(super) payloads: Vec<Payload>,
    /// What messages say, by their ids; others say their ids.
    pub(super) said: BTreeMap<String, Vec<u8>>,
    wires: BTreeSet<Bytes>,
    /// Votes that were kept, in order.
    pub(super) votes: Vec<CastVote>,
    pub(super) messages: BTreeMap<String, StoredMessage>,
    pub(super) rows: BTreeMap<StateKey, Bytes>,
    /// Of the one ratchet that everything uses: what crypto made last, and what was committed last.
    made: u64,
    kept: u64,
    /// Whether crypto knows of a sender key of ours.
    chain: bool,
    /// What crypto has decrypted in this life.
    decrypted: BTreeSet<String>,
    unreadable: BTreeSet<String>,
    tokens_kept: BTreeMap<String, Token>,
    delivered: Vec<String>,
    settled: BTreeSet<(u64, String)>,
    arrived: BTreeSet<(u64, String)>,
    on_wire: Vec<String>,
    read: usize,
    credits: usize,
    replies: BTreeMap<u64, Reply>,
    /// Who asked WhatsApp something.
    askers: Vec<u64>,
    /// The last one that was used.
    pub(super) tokens: u64,
}

const BEGIN: Now = Now {
    boot: BootTime(1_000_000_000),
    wall: UnixMillis(1_700_000_000_000),
    may_act: true,
    age: Age(0),
    trusted: Age(0),
};

impl World {
    fn begin(seed: u64, limits: Limits, now: Now, loaded: Loaded) -> World {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut world = World {
            machine: beginnings::machine(limits, bytes, now),
            now,
            dialling: None,
            up: None,
            quiesced: false,
            dials: 0,
            crypto: VecDeque::new(),
            lookups: VecDeque::new(),
            flying: None,
            failed: None,
            unheard: false,
            requests: VecDeque::new(),
            status: State::Starting,
            events: BTreeSet::new(),
            received: BTreeSet::new(),
            payloads: Vec::new(),
            said: BTreeMap::new(),
            wires: BTreeSet::new(),
            votes: Vec::new(),
            messages: BTreeMap::new(),
            rows: BTreeMap::new(),
            made: 0,
            kept: 0,
            chain: false,
            decrypted: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            tokens_kept: BTreeMap::new(),
            delivered: Vec::new(),
            settled: BTreeSet::new(),
            arrived: BTreeSet::new(),
            on_wire: Vec::new(),
            read: 0,
            credits: 0,
            replies: BTreeMap::new(),
            askers: Vec::new(),
            tokens: 0,
        };
        world.feed(Event::Loaded(Box::new(loaded)));
        world
    }

    pub(super) fn feed(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.machine.handle(self.now, event);
        for effect in &effects {
            self.observe(effect);
        }
        assert!(self.credits <= self.read, "more room was given back than taken");
        effects
    }

    /// The rules.
    fn observe(&mut self, effect: &Effect) {
        let may_act = self.now.may_act && !self.quiesced;
        match effect {
            Effect::Dial { link, .. } => {
                assert!(self.dialling.is_none() && self.up.is_none(), "one link at a time");
                self.dialling = Some(*link);
                self.dials += 1;
            }
            Effect::Close { link } => {
                assert!(self.dialling == Some(*link) || self.up == Some(*link));
                (self.dialling, self.up) = (None, None);
                self.requests.clear();
            }
            Effect::Send { link, bytes } => {
                assert!(may_act, "nothing is sent while the node may not act");
                assert_eq!(self.up, Some(*link), "only on the link that is up");
                let stanza = stanza::decode(bytes).expect("we write stanzas");
                self.observe_stanza(*link, &stanza, bytes);
            }
            Effect::Crypto { token, request } => self.crypto.push_back((*token, request.clone())),
            Effect::Commit(batch) => {
                assert!(may_act, "nothing is written while the node may not act");
                assert!(self.flying.is_none(), "one commit at a time");
                if let Some(failed) = self.failed.take() {
                    assert_eq!(failed, *batch, "a failed batch comes again as it was");
                }
                self.flying = Some(batch.clone());
            }
            Effect::Lookup { token, whatsapp_ids } => self.lookups.push_back((*token, whatsapp_ids.clone())),
            Effect::Credit(places) => self.credits += places,
            Effect::Publish(status) => self.status = status.state,
            Effect::Reply { token, reply } => {
                assert!(self.replies.insert(*token, reply.clone()).is_none(), "one reply per command");
            }
            _ => {}
        }
    }

    fn observe_stanza(&mut self, link: u64, stanza: &Stanza, bytes: &Bytes) {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        match &*stanza.tag {
            "iq" if stanza.text("type").is_some_and(|kind| kind == "get" || kind == "set") => {
                if stanza.child("rotate").is_some() {
                    assert_eq!(self.credentials(), Some("offered"), "offered before it was durable");
                }
                self.requests.push_back(stanza.clone());
            }
            "receipt" if stanza.text("type").is_none() => {
                assert!(self.received.contains(&id), "{id} was acknowledged before it was in the log");
                self.settled.insert((link, id));
            }
            "receipt" | "ack" => {
                self.settled.insert((link, id));
            }
            "message"
                if stanza.text("device_fanout").or(stanza.text("category")).is_none()
                    && stanza.jid("participant").is_none() =>
            {
                assert!(self.wires.contains(bytes), "{id} was on the wire before its bytes were durable");
                self.on_wire.push(id);
            }
            _ => {}
        }
    }

    /// Sends; the answer, if there is one yet.
    pub(super) fn send(&mut self, to: u8) -> Option<Result<(), SendError>> {
        self.send_command(to);
        self.told(self.tokens)
    }

    /// What the sender with this token was told, if it was.
    pub(super) fn told(&self, token: u64) -> Option<Result<(), SendError>> {
        match self.replies.get(&token) {
            Some(Reply::Sent(result)) => Some(result.clone().map(|_| ())),
            _ => None,
        }
    }

    /// What the asker with this token was told, if he was.
    pub(super) fn answer_to(&self, token: u64) -> Option<Result<Stanza, AskError>> {
        match self.replies.get(&token) {
            Some(Reply::Asked(result)) => Some(result.clone().map(|answer| *answer)),
            _ => None,
        }
    }

    pub(super) fn go_online(&mut self) {
        self.go_online_and_tell();
    }

    /// The same; what was sent on the way.
    pub(super) fn go_online_and_tell(&mut self) -> Vec<Stanza> {
        let mut effects = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..20 {
            effects.extend(self.take(Step::LinkUp));
            effects.extend(self.take(Step::Success));
            while !self.requests.is_empty() {
                effects.extend(self.take(Step::AnswerRequest));
            }
            sent.extend(stanzas(std::mem::take(&mut effects)));
            sent.extend(self.commit_everything());
        }
        assert_eq!(self.status, State::Online);
        sent
    }

    /// Everything that waits is answered; what was sent meanwhile.
    pub(super) fn commit_everything(&mut self) -> Vec<Stanza> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            if self.crypto.is_empty() && self.lookups.is_empty() && self.flying.is_none() {
                return sent;
            }
            for step in [Step::Crypto, Step::Lookup, Step::CommitDone] {
                sent.extend(stanzas(self.take(step)));
            }
        }
        panic!("the machine never comes to rest");
    }

    /// Faults stop: everything is answered, time passes.
    pub(super) fn calm_down(&mut self) {
        self.take(Step::LeaseBack);
        self.take(Step::Resume);
        for _ in 0..60 {
            self.take(Step::LinkUp);
            self.take(Step::Success);
            while !self.requests.is_empty() {
                self.take(Step::AnswerRequest);
            }
            self.commit_everything();
            self.on_wire.dedup();
            for id in std::mem::take(&mut self.on_wire) {
                self.on_wire.push(id);
                self.take(Step::AckOurs);
            }
            self.take(Step::Time(7_000));
        }
        self.commit_everything();
    }

    /// What arrived on the link that is up was settled; what was accepted has been sent.
    pub(super) fn check_all_settled(&self) {
        assert_eq!(self.status, State::Online);
        let link = self.up.expect("online");
        for (on, id) in self.arrived.iter().filter(|(on, _)| *on == link) {
            assert!(self.settled.contains(&(*on, id.clone())), "{id} was never settled");
        }
        for stored in self.messages.values() {
            assert!(stored.state >= MessageState::Sent, "{stored:?} was not sent");
        }
        for token in &self.askers {
            assert!(self.replies.contains_key(token), "a question was never answered");
        }
        assert_eq!(self.credits, self.read, "all room is given back");
    }

    /// The names of the messages that are asked for again, as the store has them.
    pub(super) fn awaited(&self) -> Vec<&str> {
        let rows = self.rows.keys().filter(|key| key.kind == StateKind::Retry);
        rows.map(|key| key.name.as_str()).collect()
    }

    /// Of whom the store has tokens.
    pub(super) fn tokens(&self) -> Vec<&str> {
        let rows = self.rows.keys().filter(|key| key.kind == StateKind::ContactToken);
        rows.map(|key| key.name.as_str()).collect()
    }

    /// How many requests crypto has not answered.
    pub(super) fn with_crypto(&self) -> usize {
        self.crypto.len()
    }

    /// The stanza that is to blame when what crypto is asked next makes it fail.
    pub(super) fn behind_crypto(&self) -> Option<Bytes> {
        self.machine.behind_request(self.crypto.front()?.0)
    }

    /// Whether a commit is on its way to the store.
    pub(super) fn commits(&self) -> bool {
        self.flying.is_some()
    }

    /// How many stanzas that were read are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.read - self.credits
    }

    pub(super) fn wall(&self) -> UnixMillis {
        self.now.wall
    }

    pub(super) fn status(&self) -> State {
        self.status
    }

    pub(super) fn events(&self) -> &BTreeSet<String> {
        &self.events
    }

    /// How long until the machine dials again.
    pub(super) fn pause(&self) -> Duration {
        let at = self.machine.timers.get(&Timer::Reconnect).copied();
        at.map_or(Duration::ZERO, |at| at.since(self.now.boot))
    }
}

/// What these effects put on the wire.
pub(super) fn stanzas(effects: Vec<Effect>) -> Vec<Stanza> {
    let sent = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send { bytes, .. } => Some(stanza::decode(&bytes).expect("ours")),
        _ => None,
    });
    sent.collect()
}
