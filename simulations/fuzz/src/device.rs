//! A device, whole but for its sockets and its database: the machine, the vault, and rows in memory.
//!
//! What must hold, whatever WhatsApp or a stranger sends: it comes to rest, what it writes can be read, and what it
//! was given is settled once it rests, unless it waits for an answer or has ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_actors::device::{Command, Limits, PairMethod, PairingUpdate};
use roost_actors::loading::Loading;
use roost_actors::machine::{Changed, CryptoRequest, Decrypted, Effect, Event, Machine, Now};
use roost_actors::port::{self, Batch, Committed, FileError, StateKey, StateKind};
use roost_actors::vault::{Vault, Wants};
use roost_placement::lease::BootTime;
use roost_placement::ledger::Grant;
use roost_proto::adv::{self, DeviceIdentity};
use roost_proto::id::{Age, Epoch, Incarnation, Life, Sequence, UnixMillis};
use roost_proto::pairing::QrCode;
use roost_proto::signal::KeyPair;
use roost_proto::stanza::{self, Builder, Jid, Read as _, Stanza, server_jid};

use super::input::{choice, pieces};

/// More than this does not come of one stanza.
const AT_MOST: u32 = 20_000;

/// Stanzas, each as the plaintext of a frame, on the connection of a device that is logged in. Whatever answers a
/// question is taken for the answer to the oldest that is open.
pub fn stanzas(data: &[u8]) {
    let mut device = Device::online();
    for raw in pieces(data) {
        let Ok(read) = stanza::decode(raw) else { continue };
        let written = stanza::encode(&read).expect("what was read can be written");
        let again = stanza::decode(&written).expect("what is written can be read");
        let same = stanza::encode(&again).expect("what was written can be written");
        assert_eq!(same, written, "it says the same when it is written again");
        device.answer(read);
        device.rest();
    }
    device.wait();
}

/// Messages as they come out of decryption, padding and all. The first byte says from whom and where.
pub fn messages(data: &[u8]) {
    let (which, plaintexts) = choice(data);
    let mut device = Device::online();
    for (number, plaintext) in pieces(plaintexts).enumerate() {
        device.plaintext = Some(plaintext.to_vec());
        let own = which & 1 != 0;
        let sender = if own { Jid::lid("900000") } else { Jid::lid_device("800000", 2) };
        let from: Jid = match which >> 1 & 3 {
            0 | 1 => sender.clone(),
            2 => "120363000000000001@g.us".parse().expect("a group"),
            _ => "status@broadcast".parse().expect("a JID"),
        };
        let enc = Builder::new("enc").attr("v", "2").attr("type", "msg").bytes(vec![1; 40]).build();
        let mut message = Builder::new("message")
            .attr("from", from.clone())
            .attr("id", format!("3EB0{number}"))
            .attr("t", 1_700_000_000u64)
            .attr("type", "text");
        if from != sender {
            message = message.attr("participant", sender);
        }
        if own && which & 8 != 0 {
            message = message.attr("category", "peer");
        }
        device.receive(message.children([enc]).build());
        device.rest();
    }
    device.wait();
}

/// One device.
pub(crate) struct Device {
    machine: Machine,
    vault: Vault,
    rows: BTreeMap<StateKey, Bytes>,
    now: Now,
    link: Option<u64>,
    mail: VecDeque<Event>,
    /// Ids of questions without an answer.
    asked: VecDeque<String>,
    /// What the next decryption gives, instead of what the vault says.
    plaintext: Option<Vec<u8>>,
    /// Codes to scan that were shown.
    pub(crate) codes: Vec<String>,
    events: i64,
    accepted: i64,
    ended: bool,
}

impl Device {
    /// Nobody's yet.
    pub(crate) fn unpaired() -> Device {
        Device::with(BTreeMap::new())
    }

    /// Paired, logged in, and on the wire.
    fn online() -> Device {
        static PAIRED: OnceLock<BTreeMap<StateKey, Bytes>> = OnceLock::new();
        let mut device = Device::with(PAIRED.get_or_init(pair).clone());
        device.rest();
        device.go_up();
        device.receive(Builder::new("success").attr("t", 1_700_000_000u64).build());
        device.rest();
        device
    }

    fn with(rows: BTreeMap<StateKey, Bytes>) -> Device {
        let now = Now {
            boot: BootTime(1_000_000_000),
            wall: UnixMillis(1_700_000_000_000),
            may_act: true,
            age: Age(0),
            trusted: Age(0),
        };
        let loaded = rows.iter().filter(|(key, _)| !StateKind::ON_DEMAND.contains(&key.kind));
        let state = loaded.map(|(key, row)| (key.clone(), row.clone())).collect();
        let (loading, keys) = Loading::split(Box::new(port::Loaded { state, ..port::Loaded::default() }));
        let limits = Limits::default();
        let opened = Vault::open(keys, limits.ratchets, Age(0), StdRng::seed_from_u64(2));
        let (vault, account) = opened.unwrap_or_else(|_| panic!("it reads what it has written"));
        let loaded = loading.finish(account, vault.has_keys());
        let life = Life { node: "n1".parse().expect("an id"), incarnation: Incarnation(1) };
        let key = "tenants/acme/devices/shop".parse().expect("an id");
        let grant = Grant { key, life, epoch: Epoch(1) };
        Device {
            machine: Machine::new(grant.into(), limits, [3; 32], now),
            vault,
            rows,
            now,
            link: None,
            mail: VecDeque::from([Event::Loaded(Box::new(loaded))]),
            asked: VecDeque::new(),
            plaintext: None,
            codes: Vec::new(),
            events: 0,
            accepted: 0,
            ended: false,
        }
    }

    /// A command, from nobody who waits for its answer.
    pub(crate) fn command(&mut self, command: Command) {
        self.mail.push_back(Event::Command { token: 1, command });
        self.rest();
    }

    /// The link that was asked for comes up.
    pub(crate) fn go_up(&mut self) {
        if let Some(link) = self.link {
            self.mail.push_back(Event::LinkUp { link });
        }
        self.rest();
    }

    /// A stanza comes; when it answers a question, then the oldest that is open.
    pub(crate) fn answer(&mut self, mut stanza: Stanza) {
        if stanza.tag == "iq"
            && matches!(stanza.text("type").as_deref(), Some("result" | "error"))
            && let Some(id) = self.asked.pop_front()
        {
            stanza.attrs.insert("id", id);
        }
        self.receive(stanza);
    }

    /// A stanza comes, if there is a link for it.
    pub(crate) fn receive(&mut self, stanza: Stanza) {
        let Some(link) = self.link else { return };
        // One that cannot be written is kept as nothing when it is put aside; that is of no matter here.
        let raw = Bytes::from(stanza::encode(&stanza).unwrap_or_default());
        self.mail.push_back(Event::Stanza { link, raw, stanza: Ok(stanza), poisonous: false });
    }

    /// Does everything that can be done at once.
    pub(crate) fn rest(&mut self) {
        for _ in 0..AT_MOST {
            let Some(event) = self.mail.pop_front().filter(|_| !self.ended) else { return };
            for effect in self.machine.handle(self.now, event) {
                self.carry_out(effect);
            }
        }
        panic!("it goes round in circles");
    }

    /// The times come at which it does something by itself, the next few of them.
    pub(crate) fn wait(&mut self) {
        for _ in 0..8 {
            let Some(deadline) = self.machine.deadline().filter(|_| !self.ended) else { return };
            let pause = deadline.since(self.now.boot) + Duration::from_millis(1);
            self.now.boot = self.now.boot.plus(pause);
            self.now.wall.0 += i64::try_from(pause.as_millis()).expect("it waits for less than an age");
            self.mail.push_back(Event::Tick);
            self.rest();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { link, .. } => self.link = Some(link),
            Effect::Close { .. } => {
                self.link = None;
                self.asked.clear();
            }
            Effect::Send { bytes, .. } => {
                let sent = stanza::decode(&bytes).expect("what a device writes can be read");
                if sent.tag == "iq" && matches!(sent.text("type").as_deref(), Some("get" | "set")) {
                    self.asked.extend(sent.text("id").map(|id| id.into_owned()));
                }
            }
            Effect::Crypto { token, request } => {
                let changed = self.work(token, &request);
                self.mail.push_back(Event::Crypto { token, changed });
            }
            Effect::Commit(batch) => {
                let committed = self.write(&batch);
                self.mail.push_back(Event::Committed(committed));
            }
            Effect::Durable(token) => self.vault.durable(token),
            Effect::Lookup { token, .. } => {
                self.mail.push_back(Event::Found { token, messages: Vec::new() });
            }
            Effect::Fetch { token, .. } => {
                let outcome = Err(FileError::Unavailable("there are no files".to_owned()));
                self.mail.push_back(Event::Fetched { token, outcome });
            }
            Effect::AskPermit => self.mail.push_back(Event::PermitAnswered(true)),
            Effect::Pairing(PairingUpdate::Code { payload, .. }) => self.codes.push(payload),
            Effect::Finish(_) => self.ended = true,
            Effect::Delete { .. }
            | Effect::Report(_)
            | Effect::Credit(_)
            | Effect::Publish(_)
            | Effect::Reached(_)
            | Effect::Tail(_)
            | Effect::Reply { .. }
            | Effect::Paced(_)
            | Effect::Pairing(_) => {}
        }
    }

    fn work(&mut self, token: u64, request: &CryptoRequest) -> Changed {
        if matches!(request, CryptoRequest::Decrypt { .. })
            && let Some(plaintext) = self.plaintext.take()
        {
            let result = Ok((plaintext, false));
            return Changed::Decrypted(Box::new(Decrypted {
                changes: Vec::new(),
                lid: None,
                spoken_lid: None,
                result,
            }));
        }
        self.vault.begin(token);
        for _ in 0..AT_MOST {
            match self.vault.work(request) {
                Wants::Nothing(changed) => return changed,
                Wants::Rows(keys) => {
                    for key in keys {
                        let row = self.rows.get(&key).cloned();
                        self.vault.give(&key, row);
                    }
                }
            }
        }
        panic!("crypto never has enough rows");
    }

    fn write(&mut self, batch: &Batch) -> Committed {
        for (key, row) in &batch.state {
            match row {
                Some(row) => _ = self.rows.insert(key.clone(), row.clone()),
                None => _ = self.rows.remove(key),
            }
        }
        let mut committed = Committed::default();
        for _ in &batch.accepts {
            self.accepted += 1;
            committed.accepts.push(port::Accepted::New { ordinal: self.accepted });
        }
        for event in &batch.events {
            assert!(event.dedupe.len() <= 300, "a name that the store does not take: {}", event.dedupe);
            self.events += 1;
            committed.events.push(Some(Sequence(self.events)));
        }
        committed
    }
}

/// `<pair-device>`, as the server begins with it.
pub(crate) fn pair_device() -> Stanza {
    let reference = Builder::new("ref").bytes(b"2@reference".to_vec()).build();
    of_the_server(Builder::new("pair-device").children([reference]).build())
}

/// `<pair-success>` with this identity.
pub(crate) fn pair_success(identity: &[u8]) -> Stanza {
    of_the_server(
        Builder::new("pair-success")
            .children([
                Builder::new("device-identity").bytes(identity.to_vec()).build(),
                Builder::new("device")
                    .attr("jid", Jid::pn_device("4915100000000", 1))
                    .attr("lid", Jid::lid_device("900000", 1))
                    .build(),
                Builder::new("platform").attr("name", "android").build(),
            ])
            .build(),
    )
}

fn of_the_server(inside: Stanza) -> Stanza {
    let iq = Builder::new("iq").attr("from", server_jid()).attr("type", "set").attr("id", "1");
    iq.attr("xmlns", "md").children([inside]).build()
}

/// What a phone that scanned this code says of the device.
pub(crate) fn identity(code: &str) -> Vec<u8> {
    let code: QrCode = code.parse().expect("a device shows codes that can be read");
    let mut rng = StdRng::seed_from_u64(4);
    let phone = KeyPair::generate(&mut rng);
    let identity = DeviceIdentity { raw_id: 1, timestamp: 1_700_000_000, key_index: 1 };
    adv::sign_device(&phone, &code.identity, &code.adv_secret, &identity, &mut rng)
}

/// A device that shows a code.
pub(crate) fn showing_a_code() -> Device {
    let mut device = Device::unpaired();
    device.rest();
    device.command(Command::Pair(Box::new(PairMethod::Qr.into())));
    device.go_up();
    device.receive(pair_device());
    device.rest();
    device
}

/// Rows of a device that was paired.
fn pair() -> BTreeMap<StateKey, Bytes> {
    let mut device = showing_a_code();
    let code = device.codes.first().expect("it shows a code").clone();
    device.receive(pair_success(&identity(&code)));
    device.rest();
    assert!(device.rows.keys().any(|key| key.kind == StateKind::Account), "it is paired");
    device.rows
}
