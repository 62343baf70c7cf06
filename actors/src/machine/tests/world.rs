//! Everything around a machine, reduced to what it may do: a store that commits or not, crypto that
//! answers in order, a WhatsApp that says anything at any time. It checks the rules after every event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roost_placement::lease::BootTime;
use roost_placement::ledger::Grant;
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::e2e;
use roost_proto::id::{Epoch, Incarnation, Life, Sequence, UnixMillis};
use roost_proto::signal::{Ciphertext, CiphertextKind, PublicSignedPrekey};
use roost_proto::stanza::{self, Builder, Jid, Read, Stanza, server_jid};

use crate::device::{Command, Content, Limits, Recipient, SendError, SendRequest};
use crate::machine::*;
use crate::port::{Accepted, Batch, Committed, MessageState, StateKey, StateKind, StoredMessage};

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    LinkUp,
    LinkDown,
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
    Crypto,
    Lookup,
    Time(u64),
    Quiesce,
    Resume,
    LeaseLost,
    LeaseBack,
    Send(u8),
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
    lookups: VecDeque<(u64, String)>,
    flying: Option<Arc<Batch>>,
    failed: Option<Arc<Batch>>,
    requests: VecDeque<Stanza>,
    status: State,
    events: BTreeSet<String>,
    received: BTreeSet<String>,
    wires: BTreeSet<Bytes>,
    messages: BTreeMap<String, StoredMessage>,
    rows: BTreeMap<StateKey, Bytes>,
    /// What crypto made last, and what was committed last, of the one ratchet that everything uses.
    made: u64,
    kept: u64,
    /// What crypto has decrypted in this life.
    decrypted: BTreeSet<String>,
    unreadable: BTreeSet<String>,
    delivered: Vec<String>,
    settled: BTreeSet<(u64, String)>,
    arrived: BTreeSet<(u64, String)>,
    on_wire: Vec<String>,
    read: usize,
    credits: usize,
    replies: BTreeMap<u64, Reply>,
    tokens: u64,
}

impl World {
    pub(super) fn unpaired(seed: u64) -> World {
        World::begin(seed, Limits::default(), None)
    }

    /// Loaded with an account, and dialling.
    pub(super) fn loaded(seed: u64) -> World {
        World::with_limits(seed, Limits::default())
    }

    pub(super) fn new(seed: u64) -> World {
        World::loaded(seed)
    }

    pub(super) fn with_limits(seed: u64, limits: Limits) -> World {
        let account = Account {
            pn: Jid::pn_device("4915100000000", 1),
            lid: Some(Jid::lid_device("900000", 1)),
            identity: Bytes::from_static(b"identity"),
            push_name: String::new(),
            logged_out: false,
        };
        World::begin(seed, limits, Some(account))
    }

    pub(super) fn online(seed: u64) -> World {
        let mut world = World::loaded(seed);
        world.go_online();
        world
    }

    fn begin(seed: u64, limits: Limits, account: Option<Account>) -> World {
        let key = "tenants/acme/devices/shop".parse().expect("an id");
        let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
        let grant = Grant { key, life, epoch: Epoch(1) };
        let now = Now { boot: BootTime(1_000_000_000), wall: UnixMillis(1_700_000_000_000), may_act: true };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut world = World {
            machine: Machine::new(grant.into(), limits, bytes, now),
            now,
            dialling: None,
            up: None,
            quiesced: false,
            dials: 0,
            crypto: VecDeque::new(),
            lookups: VecDeque::new(),
            flying: None,
            failed: None,
            requests: VecDeque::new(),
            status: State::Starting,
            events: BTreeSet::new(),
            received: BTreeSet::new(),
            wires: BTreeSet::new(),
            messages: BTreeMap::new(),
            rows: BTreeMap::new(),
            made: 0,
            kept: 0,
            decrypted: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            delivered: Vec::new(),
            settled: BTreeSet::new(),
            arrived: BTreeSet::new(),
            on_wire: Vec::new(),
            read: 0,
            credits: 0,
            replies: BTreeMap::new(),
            tokens: 0,
        };
        let keys = account.is_some();
        world.feed(Event::Loaded(Box::new(Loaded { account, keys, outbox: Vec::new(), status: None })));
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
            Effect::Lookup { token, whatsapp_id } => self.lookups.push_back((*token, whatsapp_id.clone())),
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
                self.requests.push_back(stanza.clone());
            }
            "receipt" if stanza.text("type").is_none() => {
                assert!(self.received.contains(&id), "{id} was acknowledged before it was in the log");
                self.settled.insert((link, id));
            }
            "receipt" | "ack" => {
                self.settled.insert((link, id));
            }
            "message" if stanza.text("device_fanout").is_none() => {
                assert!(self.wires.contains(bytes), "{id} was on the wire before its bytes were durable");
                self.on_wire.push(id);
            }
            _ => {}
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Vec<Effect> {
        match step {
            Step::LinkUp => match self.dialling.take() {
                Some(link) => {
                    self.up = Some(link);
                    self.feed(Event::LinkUp { link })
                }
                None => Vec::new(),
            },
            Step::LinkDown => match self.dialling.take().or(self.up.take()) {
                Some(link) => {
                    self.requests.clear();
                    self.feed(Event::LinkDown { link, why: "test".to_owned() })
                }
                None => Vec::new(),
            },
            Step::Success => self.stanza(Builder::new("success").build()),
            Step::AnswerRequest => match self.requests.pop_front() {
                Some(request) => self.stanza(answer(&request)),
                None => Vec::new(),
            },
            Step::RefuseRequest => match self.requests.pop_front() {
                Some(request) => {
                    let refused = stanza::iq::Refused::new(500);
                    self.stanza(stanza::iq::error(&request, &refused))
                }
                None => Vec::new(),
            },
            Step::Message(readable) => {
                let id = format!("3EB0{}", self.delivered.len());
                if !readable {
                    self.unreadable.insert(id.clone());
                }
                self.delivered.push(id.clone());
                self.deliver(&id)
            }
            Step::MessageAgain => match self.delivered.last().cloned() {
                Some(id) => self.deliver(&id),
                None => Vec::new(),
            },
            Step::AckOurs => match self.on_wire.last().cloned() {
                Some(id) => self.stanza(
                    Builder::new("ack").attr("class", "message").attr("id", id).attr("t", 1u64).build(),
                ),
                None => Vec::new(),
            },
            Step::ReceiptForOurs => self.receipt(None),
            Step::RetryForOurs => self.receipt(Some("retry")),
            Step::Notification => {
                let count = Builder::new("count").attr("value", 3u64).build();
                let notification = Builder::new("notification").attr("type", "encrypt").attr("id", "n");
                self.stanza(notification.attr("from", server_jid()).children([count]).build())
            }
            Step::CommitDone => self.commit_done(),
            Step::CommitFailed => match self.flying.take() {
                Some(batch) => {
                    self.failed = Some(batch);
                    self.feed(Event::CommitFailed)
                }
                None => Vec::new(),
            },
            Step::Crypto => self.answer_crypto(),
            Step::Lookup => match self.lookups.pop_front() {
                Some((token, id)) => {
                    let found = self.messages.values().find(|stored| stored.message.whatsapp_id == id);
                    let message = found.cloned().map(Box::new);
                    self.feed(Event::Found { token, message })
                }
                None => Vec::new(),
            },
            Step::Time(millis) => {
                self.now.boot = self.now.boot.plus(Duration::from_millis(millis));
                self.feed(Event::Tick)
            }
            Step::Quiesce => self.quiesce(Command::Quiesce),
            Step::Resume => self.quiesce(Command::Resume),
            Step::LeaseLost => {
                self.now.may_act = false;
                self.feed(Event::Tick)
            }
            Step::LeaseBack => {
                self.now.may_act = true;
                self.feed(Event::Tick)
            }
            Step::Send(to) => {
                let before = self.tokens;
                let effects = self.send_command(to);
                assert!(self.tokens > before);
                effects
            }
            Step::StreamError => {
                let effects = self.stanza(Builder::new("stream:error").attr("code", 503u64).build());
                self.requests.clear();
                effects
            }
        }
    }

    fn quiesce(&mut self, command: Command) -> Vec<Effect> {
        self.quiesced = command == Command::Quiesce;
        self.tokens += 1;
        self.feed(Event::Command { token: self.tokens, command })
    }

    pub(super) fn stanza(&mut self, stanza: Stanza) -> Vec<Effect> {
        self.stanza_that(stanza, false)
    }

    /// A stanza that may have made a machine fail before.
    pub(super) fn stanza_that(&mut self, stanza: Stanza, poisonous: bool) -> Vec<Effect> {
        let Some(link) = self.up else { return Vec::new() };
        self.read += 1;
        let raw = Bytes::from(stanza::encode(&stanza).expect("it can be written"));
        self.feed(Event::Stanza { link, raw, stanza: Ok(stanza), poisonous })
    }

    pub(super) fn message_stanza(&self, id: &str) -> Stanza {
        let enc =
            Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(id.as_bytes().to_vec()).build();
        Builder::new("message")
            .attr("from", Jid::lid_device("800000", 2))
            .attr("sender_pn", Jid::pn("4915188888888"))
            .attr("id", id.to_owned())
            .attr("t", 1_700_000_000u64)
            .attr("type", "text")
            .children([enc])
            .build()
    }

    fn deliver(&mut self, id: &str) -> Vec<Effect> {
        if let Some(link) = self.up {
            self.arrived.insert((link, id.to_owned()));
        }
        self.stanza(self.message_stanza(id))
    }

    fn receipt(&mut self, kind: Option<&'static str>) -> Vec<Effect> {
        let Some(id) = self.on_wire.last().cloned() else { return Vec::new() };
        let mut receipt = Builder::new("receipt").attr("from", Jid::lid_device("800000", 2)).attr("id", id);
        if let Some(kind) = kind {
            let retry = Builder::new("retry").attr("count", 1u64).build();
            receipt = receipt.attr("type", kind).children([retry]);
        }
        self.stanza(receipt.build())
    }

    fn commit_done(&mut self) -> Vec<Effect> {
        let Some(batch) = self.flying.take() else { return Vec::new() };
        for (key, bytes) in &batch.state {
            if key.kind == StateKind::Session
                && let Some(bytes) = bytes
            {
                let version = u64::from_be_bytes(bytes.as_ref().try_into().expect("ours"));
                assert!(version > self.kept, "a ratchet went back from {} to {version}", self.kept);
                self.kept = version;
            }
            match bytes {
                Some(bytes) => self.rows.insert(key.clone(), bytes.clone()),
                None => self.rows.remove(key),
            };
        }
        let mut committed = Committed::default();
        for accept in &batch.accepts {
            let ordinal = i64::try_from(self.messages.len()).expect("few") + 1;
            let stored = StoredMessage {
                message: accept.clone(),
                state: MessageState::Accepted,
                wire: None,
                ordinal,
                failure: None,
                sent: None,
                server_ack: None,
                delivered: None,
                read: None,
            };
            self.messages.insert(accept.message_id.clone(), stored);
            committed.accepts.push(Accepted::New { ordinal });
        }
        for update in &batch.messages {
            let stored = self.messages.get_mut(&update.message_id).expect("it was accepted");
            stored.state = stored.state.max(update.state);
            self.wires.extend(update.wire.clone());
        }
        for event in &batch.events {
            let new = self.events.insert(event.dedupe.clone());
            let sequence = Sequence(i64::try_from(self.events.len()).expect("few"));
            committed.events.push(new.then_some(sequence));
            if let Payload::MessageReceived(message) = &event.payload {
                self.received.insert(message.whatsapp_id.clone());
            }
        }
        self.feed(Event::Committed(committed))
    }

    /// Crypto answers the oldest request. One row stands for all ratchets: its value counts the changes.
    fn answer_crypto(&mut self) -> Vec<Effect> {
        let Some((token, request)) = self.crypto.pop_front() else { return Vec::new() };
        let changed = match request {
            CryptoRequest::Decrypt { bytes, retry, .. } => {
                let id = String::from_utf8(bytes.to_vec()).expect("ours");
                let result = if self.unreadable.contains(&id) {
                    let key = StateKey { kind: StateKind::Retry, name: retry };
                    let counted = self.rows.get(&key).map(|bytes| bytes.as_ref().try_into().expect("ours"));
                    let attempts = counted.map_or(0, u32::from_be_bytes);
                    Err(DecryptFailure::Undecryptable {
                        attempts,
                        why: "test".to_owned(),
                        registration_id: 7,
                        keys: (attempts > 0).then(|| {
                            Box::new(RetryKeys { identity: [1; 32], signed_prekey: prekey(), one_time: None })
                        }),
                    })
                } else if self.decrypted.insert(id.clone()) {
                    let mut plaintext = e2e::text(&id);
                    plaintext.push(1);
                    Ok((plaintext, false))
                } else {
                    Err(DecryptFailure::Duplicate)
                };
                let changes = if result.is_ok() { vec![self.change()] } else { Vec::new() };
                Changed::Decrypted(Box::new(Decrypted { changes, lid: Some("800000".to_owned()), result }))
            }
            CryptoRequest::Encrypt { bundles, targets, .. } => {
                if bundles.is_empty() && self.made == 0 {
                    Changed::Encrypted(Encryption::Missing(vec![targets[0].peer.clone()]))
                } else {
                    let changes = vec![self.change()];
                    let made = |_: &Target| {
                        Some(Ciphertext { kind: CiphertextKind::Msg, bytes: Bytes::from(vec![3; 40]) })
                    };
                    let ciphertexts = targets.iter().map(made).collect();
                    Changed::Encrypted(Encryption::Done { changes, ciphertexts, renewed: Vec::new() })
                }
            }
            CryptoRequest::Prekeys => {
                let upload = PrekeyUpload {
                    pages: vec![0],
                    registration_id: 7,
                    identity: [1; 32],
                    signed_prekey: prekey(),
                    keys: vec![(1, [2; 32])],
                };
                let key = StateKey { kind: StateKind::Prekeys, name: "0".to_owned() };
                Changed::Prekeys(vec![(key, Some(Bytes::from_static(b"page")))], Box::new(upload))
            }
            CryptoRequest::Uploaded { .. } | CryptoRequest::Forget { .. } => Changed::State(Vec::new()),
            CryptoRequest::Lid { .. } => Changed::Lid(None),
            CryptoRequest::MakeKeys => Changed::Keys(Vec::new()),
            CryptoRequest::Qr { reference } => Changed::Qr(reference),
            CryptoRequest::AcceptDevice { .. } => Changed::Device(Err(roost_proto::adv::AdvError::Hmac)),
        };
        self.feed(Event::Crypto { token, changed })
    }

    fn change(&mut self) -> crate::port::StateChange {
        self.made += 1;
        let key = StateKey { kind: StateKind::Session, name: "ratchet".to_owned() };
        (key, Some(Bytes::copy_from_slice(&self.made.to_be_bytes())))
    }

    fn send_command(&mut self, to: u8) -> Vec<Effect> {
        self.tokens += 1;
        let request = SendRequest {
            to: Recipient::Phone(format!("491518888888{to}")),
            content: Content::Text("x".to_owned()),
            request_id: format!("r{}", self.tokens),
            request_hash: [0; 32],
        };
        self.feed(Event::Command { token: self.tokens, command: Command::Send(Box::new(request)) })
    }

    /// Sends; the answer, if there is one yet.
    pub(super) fn send(&mut self, to: u8) -> Option<Result<(), SendError>> {
        self.send_command(to);
        match self.replies.get(&self.tokens) {
            Some(Reply::Sent(result)) => Some(result.clone().map(|_| ())),
            _ => None,
        }
    }

    pub(super) fn go_online(&mut self) {
        for _ in 0..20 {
            self.take(Step::LinkUp);
            self.take(Step::Success);
            while !self.requests.is_empty() {
                self.take(Step::AnswerRequest);
            }
            self.commit_everything();
        }
        assert_eq!(self.status, State::Online);
    }

    /// Everything that waits is answered; what was sent meanwhile.
    pub(super) fn commit_everything(&mut self) -> Vec<Stanza> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            if self.crypto.is_empty() && self.lookups.is_empty() && self.flying.is_none() {
                return sent;
            }
            for step in [Step::Crypto, Step::Lookup, Step::CommitDone] {
                for effect in self.take(step) {
                    if let Effect::Send { bytes, .. } = effect {
                        sent.push(stanza::decode(&bytes).expect("ours"));
                    }
                }
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
        assert_eq!(self.credits, self.read, "all room is given back");
    }

    /// An unreadable message comes; what is sent because of it.
    pub(super) fn undecryptable(&mut self, id: &str) -> Vec<Stanza> {
        self.unreadable.insert(id.to_owned());
        self.deliver(id);
        self.commit_everything()
    }

    pub(super) fn status(&self) -> State {
        self.status
    }

    pub(super) fn events(&self) -> &BTreeSet<String> {
        &self.events
    }

    pub(super) fn account(&self) -> Option<Account> {
        let key = StateKey { kind: StateKind::Account, name: String::new() };
        self.rows.get(&key).and_then(|bytes| Account::from_bytes(bytes))
    }

    /// How long until the machine dials again.
    pub(super) fn pause(&self) -> Duration {
        let at = self.machine.timers.get(&Timer::Reconnect).copied();
        at.map_or(Duration::ZERO, |at| at.since(self.now.boot))
    }
}

fn prekey() -> PublicSignedPrekey {
    PublicSignedPrekey { id: 1, public: [2; 32], signature: [3; 64] }
}

/// A good answer to any request of a device.
fn answer(request: &Stanza) -> Stanza {
    let result = stanza::iq::result(request);
    if let Some(usync) = request.child("usync") {
        let asked = usync.child("list").map(Read::all).unwrap_or_default();
        let users = asked.iter().filter_map(|user| user.jid("jid")).map(|jid| {
            let device = |id: u64| Builder::new("device").attr("id", id).build();
            let list = Builder::new("device-list").children([device(0), device(1)]).build();
            let devices = Builder::new("devices").children([list]).build();
            let mut children = vec![devices];
            if jid.is_pn() {
                children.push(Builder::new("lid").attr("val", Jid::lid("800000")).build());
            }
            Builder::new("user").attr("jid", jid).children(children).build()
        });
        let list = Builder::new("list").children(users).build();
        return result.children([Builder::new("usync").children([list]).build()]).build();
    }
    if let Some(keys) = request.child("key") {
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let users = keys.all().iter().filter_map(|user| user.jid("jid")).map(|jid| {
            let signed =
                [leaf("id", vec![0, 0, 1]), leaf("value", vec![2; 32]), leaf("signature", vec![3; 64])];
            let children = [
                leaf("registration", vec![0, 0, 0, 9]),
                leaf("identity", vec![1; 32]),
                Builder::new("skey").children(signed).build(),
            ];
            Builder::new("user").attr("jid", jid).children(children).build()
        });
        return result.children([Builder::new("list").children(users).build()]).build();
    }
    if request.child("count").is_some() {
        return result.children([Builder::new("count").attr("value", 100u64).build()]).build();
    }
    result.build()
}
