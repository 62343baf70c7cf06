//! The pure half of the simulated WhatsApp: accounts, devices and connections; events in, effects out.
//!
//! What must hold: no I/O, no clock, randomness from one seeded generator; effects are in the order in
//! which they must be carried out, and for one connection they stay in that order. A device has at most one
//! connection that is online. Every stanza that is refused is logged with the reason and counted. The
//! topics are in the files beside this one: pairing, logins, queries, routing, receipts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::appstate::Collection;
use roost_proto::history::Blob;
use roost_proto::id::UnixMillis;
use roost_proto::login::{ClientPayload, Failure, FailureReason, Registration, StreamError};
use roost_proto::noise::Pattern;
use roost_proto::stanza::{Jid, Read as _, Server, Stanza};

use super::account::{Account, DeviceRef, Form, Pn};
use super::bots;
use super::damage::Damage;
use super::fault::Faults;
use super::groups::Group;
use super::journal::Seen;
use super::ledger::Ledger;
use super::media;
use super::newsletters::Newsletter;
use super::pair_code::Hello;
use super::passkey::Demand;
use super::resume::Resume;
use super::trust::Trust;

/// Number of one connection, unique in one run.
pub type ConnectionId = u64;

/// What happened on a connection.
#[derive(Debug)]
pub enum Event {
    /// A handshake is finished.
    Opened {
        /// The Noise key that the client proved.
        noise: [u8; 32],
        /// Its payload, serialised.
        payload: Vec<u8>,
        /// How the handshake went.
        pattern: Pattern,
    },
    /// A stanza came.
    Received(Stanza),
    /// It is gone, whoever closed it.
    Closed,
}

/// What the shell must do, in order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Write one stanza.
    Send {
        /// To which connection.
        connection: ConnectionId,
        /// What.
        stanza: Stanza,
        /// Not before this time, and never before an earlier one to the same connection.
        not_before: UnixMillis,
    },
    /// Write something that the client cannot take.
    Damage {
        /// To which connection.
        connection: ConnectionId,
        /// What.
        what: Damage,
    },
    /// Close the connection after everything before was written.
    Close {
        /// Which.
        connection: ConnectionId,
    },
}

/// The whole server, without its sockets.
pub struct Machine {
    pub(super) accounts: BTreeMap<Pn, Account>,
    pub(super) by_lid: BTreeMap<String, Pn>,
    pub(super) by_name: BTreeMap<String, Pn>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) online: BTreeMap<DeviceRef, ConnectionId>,
    pub(super) subscribers: BTreeMap<Pn, BTreeSet<ConnectionId>>,
    pub(super) ledger: Ledger,
    pub(super) faults: Faults,
    pub(super) rng: StdRng,
    /// What phones have to say; carried out before the event that made them say it is over.
    pub(super) from_phones: VecDeque<(DeviceRef, Stanza)>,
    pub(super) phones_read: bool,
    /// New accounts have phones with a memory.
    pub(super) phones_share: bool,
    pub(super) media: media::Store,
    /// Files with the changes of large patches.
    pub(super) patch_files: BTreeMap<(Pn, Collection, u64), Blob>,
    pub(super) trust: Trust,
    pub(super) newsletters: BTreeMap<String, Newsletter>,
    pub(super) next_pn: Pn,
    pub(super) next_id: u64,
    effects: Vec<Effect>,
}

/// One connection after its handshake.
pub(super) enum Connection {
    /// An unpaired device shows its QR code.
    Pairing {
        registration: Box<Registration>,
        noise: [u8; 32],
        refs: Vec<String>,
        /// It wants to be paired by code.
        hello: Option<Box<Hello>>,
        /// It was scanned by an account with a passkey.
        demand: Option<Box<Demand>>,
    },
    /// It was scanned; its signature is due.
    Signing(Box<Signing>),
    /// A device that is logged in.
    Online(Online),
    /// The server has said its last word.
    Ending,
}

/// A pairing whose `pair-success` is on its way.
pub(super) struct Signing {
    pub(super) request: String,
    pub(super) registration: Registration,
    pub(super) noise: [u8; 32],
    pub(super) device: DeviceRef,
    pub(super) key_index: u32,
}

/// A device that is logged in.
pub(super) struct Online {
    pub(super) device: DeviceRef,
    /// It has asked for its messages.
    pub(super) active: bool,
    /// What has waited for it is not handed out to its end.
    pub(super) resume: Option<Resume>,
    /// It shows itself as available.
    pub(super) available: bool,
    /// Whose presence it wants to see, and in which form it asked.
    pub(super) subscriptions: BTreeMap<Pn, Form>,
}

/// Why a stanza was refused; becomes a log line and a count.
pub(super) type Refusal = std::borrow::Cow<'static, str>;

impl Machine {
    /// An empty world. `phones_read` false lets phones take messages without decrypting them, which saves
    /// most of the server's work under load.
    pub fn new(seed: u64, phones_read: bool) -> Self {
        Self {
            accounts: BTreeMap::new(),
            by_lid: BTreeMap::new(),
            by_name: BTreeMap::new(),
            groups: BTreeMap::new(),
            connections: BTreeMap::new(),
            online: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            ledger: Ledger::default(),
            faults: Faults::default(),
            rng: StdRng::seed_from_u64(seed),
            from_phones: VecDeque::new(),
            phones_read,
            phones_share: false,
            media: media::Store::default(),
            patch_files: BTreeMap::new(),
            trust: Trust::default(),
            newsletters: BTreeMap::new(),
            next_pn: 15_550_001_000,
            next_id: 0,
            effects: Vec::new(),
        }
    }

    /// Takes one event and returns what must be done.
    pub fn handle(&mut self, now: UnixMillis, connection: ConnectionId, event: Event) -> Vec<Effect> {
        match event {
            Event::Opened { noise, payload, pattern } => {
                self.opened(now, connection, noise, &payload, pattern);
            }
            Event::Received(stanza) => self.received(now, connection, stanza),
            Event::Closed => self.closed(now, connection, "closed"),
        }
        self.settle_phones(now)
    }

    /// Keeps a journal from now on.
    pub fn keep_journal(&mut self) {
        self.ledger.keep_journal();
    }

    /// What was seen since it was last asked, in order.
    pub fn take_journal(&mut self) -> Vec<Seen> {
        self.ledger.take_journal()
    }

    /// What was seen so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// All accounts by phone number.
    pub fn accounts(&self) -> &BTreeMap<Pn, Account> {
        &self.accounts
    }

    /// Whether a fault has it that WhatsApp lost the keys of this device, which has not given them again.
    pub fn lacks_keys(&self, device: DeviceRef) -> bool {
        self.faults.keyless(device)
    }

    /// Devices that are logged in now.
    pub fn online(&self) -> impl Iterator<Item = DeviceRef> + '_ {
        self.online.keys().copied()
    }

    /// Devices of one account that are logged in now.
    pub fn online_of(&self, pn: Pn) -> impl Iterator<Item = DeviceRef> + '_ {
        let devices = DeviceRef { pn, device: 0 }..=DeviceRef { pn, device: u16::MAX };
        self.online.range(devices).map(|(device, _)| *device)
    }

    /// Lets phones say what they have to say, and hands out the effects.
    pub(super) fn settle_phones(&mut self, now: UnixMillis) -> Vec<Effect> {
        while let Some((device, stanza)) = self.from_phones.pop_front() {
            let outcome = match &*stanza.tag {
                "message" => self.message(now, device, &stanza),
                _ => self.receipt(now, device, &stanza),
            };
            if let Err(reason) = outcome {
                self.note_refusal(now, Some(device), (&stanza.tag, None), &format!("a phone: {reason}"));
            }
        }
        std::mem::take(&mut self.effects)
    }

    fn opened(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        noise: [u8; 32],
        payload: &[u8],
        pattern: Pattern,
    ) {
        let version = roost_proto::login::version(payload);
        match roost_proto::login::parse(payload) {
            Ok(ClientPayload::Registration(_)) if !self.faults.takes(version) => {
                self.refuse_registration(
                    now,
                    connection,
                    FailureReason::ClientOutdated,
                    "an outdated client",
                );
            }
            Ok(ClientPayload::Registration(registration)) => match self.faults.registration() {
                Some(reason) => self.refuse_registration(now, connection, reason, "a fault"),
                None => self.begin_pairing(now, connection, registration, noise),
            },
            Ok(ClientPayload::Login(login)) => {
                self.login(now, connection, (&login, version), (&noise, pattern))
            }
            Err(error) => {
                // That it looks at the signature of the prekey, too, and the code, are guesses.
                self.refuse_registration(now, connection, FailureReason::Generic, &error.to_string());
            }
        }
    }

    fn received(&mut self, now: UnixMillis, connection: ConnectionId, stanza: Stanza) {
        let outcome = match self.connections.get(&connection) {
            None | Some(Connection::Ending) => return,
            Some(Connection::Pairing { .. } | Connection::Signing(_)) => {
                self.while_pairing(now, connection, &stanza)
            }
            Some(Connection::Online(online)) => {
                let device = online.device;
                match &*stanza.tag {
                    "iq" => self.query(now, connection, device, &stanza),
                    "message" => self.message(now, device, &stanza),
                    "receipt" => self.receipt(now, device, &stanza),
                    "ack" => self.ack(now, device, &stanza),
                    "presence" => self.presence(now, connection, device, &stanza),
                    "chatstate" => self.chat_state(now, device, &stanza),
                    "call" => self.call(now, device, &stanza),
                    "ib" => self.information(now, connection, &stanza),
                    _ => Err("unknown stanza".into()),
                }
            }
        };
        if let Err(reason) = outcome {
            let id = stanza.text("id");
            self.note_refusal(now, self.device_of(connection), (&stanza.tag, id.as_deref()), &reason);
        }
    }

    pub(super) fn closed(&mut self, now: UnixMillis, connection: ConnectionId, why: &str) {
        let Some(Connection::Online(online)) = self.connections.remove(&connection) else { return };
        self.leave(now, connection, &online, why);
    }

    /// Undoes what being online did. The connection is out of the table already.
    fn leave(&mut self, now: UnixMillis, connection: ConnectionId, online: &Online, why: &str) {
        self.ledger.end(online.device, connection, why, now);
        if self.online.get(&online.device) == Some(&connection) {
            self.online.remove(&online.device);
        }
        for pn in online.subscriptions.keys() {
            if let Some(subscribers) = self.subscribers.get_mut(pn) {
                subscribers.remove(&connection);
            }
        }
        if online.available {
            self.tell_presence(now, online.device.pn);
        }
    }

    pub(super) fn device_of(&self, connection: ConnectionId) -> Option<DeviceRef> {
        match self.connections.get(&connection) {
            Some(Connection::Online(online)) => Some(online.device),
            _ => None,
        }
    }

    pub(super) fn online_mut(&mut self, connection: ConnectionId) -> Option<&mut Online> {
        match self.connections.get_mut(&connection) {
            Some(Connection::Online(online)) => Some(online),
            _ => None,
        }
    }

    /// Writes to a connection, as late as the faults want it.
    pub(super) fn send(&mut self, now: UnixMillis, connection: ConnectionId, stanza: Stanza) {
        let delay = self.device_of(connection).map_or(0, |device| self.faults.delay_ms(device));
        let not_before = UnixMillis(now.0 + i64::from(delay));
        self.effects.push(Effect::Send { connection, stanza, not_before });
    }

    /// Says why and closes. `why` is the word in the ledger.
    pub(super) fn end(&mut self, now: UnixMillis, connection: ConnectionId, error: StreamError, why: &str) {
        self.send(now, connection, error.to_stanza());
        self.close(now, connection, why);
    }

    /// Writes what the client cannot take, and closes where that belongs to it.
    pub(super) fn damage(&mut self, now: UnixMillis, connection: ConnectionId, what: Damage) {
        self.effects.push(Effect::Damage { connection, what });
        if what.ends() {
            self.close(now, connection, "torn");
        }
    }

    /// Closes without a word.
    pub(super) fn close(&mut self, now: UnixMillis, connection: ConnectionId, why: &str) {
        let before = self.connections.insert(connection, Connection::Ending);
        if let Some(Connection::Online(online)) = before {
            self.leave(now, connection, &online, why);
        }
        self.effects.push(Effect::Close { connection });
    }

    pub(super) fn fail(&mut self, now: UnixMillis, connection: ConnectionId, failure: Failure) {
        self.send(now, connection, failure.to_stanza());
        self.close(now, connection, "failure");
    }

    /// An id for a stanza of the server: a shape that no client chooses.
    pub(super) fn server_id(&mut self) -> String {
        self.next_id += 1;
        format!("s-{}", self.next_id)
    }

    /// The account that an address belongs to, in either form.
    pub(super) fn account_of(&self, jid: &Jid) -> Option<&Account> {
        let pn = match jid.server {
            Server::Pn | Server::Legacy => jid.user.parse().ok()?,
            Server::Lid => *self.by_lid.get(jid.user.as_str())?,
            Server::Bot if jid.user == bots::BOT => bots::PN,
            _ => return None,
        };
        self.accounts.get(&pn)
    }

    /// The device that an address names; the phone when it names none.
    pub(super) fn device_at(&self, jid: &Jid) -> Option<DeviceRef> {
        Some(DeviceRef { pn: self.account_of(jid)?.pn, device: jid.device })
    }

    pub(super) fn account(&self, pn: Pn) -> &Account {
        self.accounts.get(&pn).expect("accounts are never removed")
    }

    pub(super) fn account_mut(&mut self, pn: Pn) -> &mut Account {
        self.accounts.get_mut(&pn).expect("accounts are never removed")
    }
}
