//! Linking and unlinking companions: QR codes, the phone's signatures, and telling everybody.
//!
//! What must hold: a device exists only after its own signature over the identity that the phone gave it
//! was checked; whoever has seen a device list hears of a change in both address forms, before any message
//! from the new device.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use roost_proto::adv::{self, DeviceIdentity};
use roost_proto::id::UnixMillis;
use roost_proto::login::{Failure, FailureReason, Registration, StreamError};
use roost_proto::pairing::{QrCode, QrError};
use roost_proto::stanza::{Builder, HOSTED, Jid, Read as _, Stanza, iq, server_jid};

use super::account::{Account, Companion, DeviceRef, Form, Pn, participants_hash, seconds};
use super::backlog::Backlog;
use super::machine::{Connection, ConnectionId, Effect, Machine, Refusal, Signing};
use super::memory::Memory;

/// References of one attempt: what the clients expect to get.
const REFS: usize = 6;

/// Which account scans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanner {
    /// Its phone number; made if it does not exist.
    pub pn: Option<Pn>,
    /// Its name; made if it does not exist. Without either, the name in the registration decides.
    pub name: Option<String>,
}

/// What a scan led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The account and the number that the new device gets if it signs.
    pub device: DeviceRef,
    /// The user part of the account's hidden identity.
    pub lid: String,
}

/// Why a scan led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Not the text of a QR code.
    #[error("this is not the text of a pairing QR code")]
    Text(#[from] QrError),
    /// Nobody shows this code (any more).
    #[error("no connection shows this code")]
    Unknown,
    /// The keys in the code are not those of the connection that shows its reference.
    #[error("the code shows other keys than the connection")]
    OtherKeys,
    /// The account has no device number left.
    #[error("the account has no room for another companion")]
    Full,
}

impl Machine {
    pub(super) fn begin_pairing(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        registration: Registration,
        noise: [u8; 32],
    ) {
        let refs: Vec<String> = (0..REFS).map(|_| self.reference()).collect();
        let children = refs.iter().map(|text| Builder::new("ref").bytes(text.as_bytes()).build());
        let pair = Builder::new("pair-device").children(children).build();
        let id = self.server_id();
        let request = server_request(&id, "md").children([pair]).build();
        let registration = Box::new(registration);
        let pairing = Connection::Pairing { registration, noise, refs, hello: None, demand: None };
        self.connections.insert(connection, pairing);
        self.send(now, connection, request);
    }

    /// Refuses who wants to be paired, or says what no client says.
    pub(super) fn refuse_registration(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        reason: FailureReason,
        why: &str,
    ) {
        self.note_refusal(now, None, ("registration", None), why);
        self.connections.insert(connection, Connection::Ending);
        self.fail(now, connection, Failure::new(reason));
    }

    pub(super) fn reference(&mut self) -> String {
        let mut random = [0; 24];
        self.rng.fill_bytes(&mut random);
        format!("2@{}", STANDARD.encode(random))
    }

    /// A phone scans the code that a connection shows. When the account has a passkey, the companion is asked for it
    /// first, and gets its number once it has answered.
    ///
    /// # Errors
    /// [`ScanError`]; nothing has changed, except that the account may have been made.
    pub fn scan(
        &mut self,
        now: UnixMillis,
        text: &str,
        scanner: &Scanner,
    ) -> Result<(Scanned, Vec<Effect>), ScanError> {
        let code: QrCode = text.parse()?;
        let found = self.connections.iter().find_map(|(id, connection)| match connection {
            Connection::Pairing { registration, noise, refs, .. } if refs.contains(&code.reference) => {
                Some((*id, (**registration).clone(), *noise))
            }
            _ => None,
        });
        let (connection, registration, noise) = found.ok_or(ScanError::Unknown)?;
        if code.noise != noise || code.identity != registration.identity {
            return Err(ScanError::OtherKeys);
        }
        let name = scanner.name.as_deref().or(match scanner.pn {
            Some(_) => None,
            None => registration.push_name.as_deref().filter(|name| !name.is_empty()),
        });
        let pn = self.find_or_create(now, scanner.pn, name);
        let scanned = if self.demand_passkey(now, connection, pn, code.adv_secret) {
            let account = self.account(pn);
            let device = account.next_number().ok_or(ScanError::Full)?;
            Scanned { device: DeviceRef { pn, device }, lid: account.lid.clone() }
        } else {
            self.phone_accepts(now, connection, registration, noise, &code.adv_secret, pn)?
        };
        Ok((scanned, self.settle_phones(now)))
    }

    /// The server retires the secrets that unpaired companions show: they are to make others.
    pub fn retire_codes(&mut self, now: UnixMillis) -> Vec<Effect> {
        let waits = |connection: &Connection| matches!(connection, Connection::Pairing { .. });
        let waiting: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, one)| waits(one)).map(|(id, _)| *id).collect();
        for connection in waiting {
            let asked = Builder::new("companion_reg_refresh").build();
            self.notify_unpaired(now, connection, "companion_reg_refresh", asked);
        }
        self.settle_phones(now)
    }

    /// The phone takes a companion, however it came to know it: signs its identity, and `pair-success`.
    pub(super) fn phone_accepts(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        registration: Registration,
        noise: [u8; 32],
        adv_secret: &[u8; 32],
        pn: Pn,
    ) -> Result<Scanned, ScanError> {
        let account = self.accounts.get_mut(&pn).expect("found or made");
        let (number, key_index) = account.next_companion().ok_or(ScanError::Full)?;
        let identity = DeviceIdentity { raw_id: account.raw_id, timestamp: seconds(now), key_index };
        let phone = account.phone.identity_pair();
        let sign = if number == HOSTED { adv::sign_hosted } else { adv::sign_device };
        let signed = sign(phone, &registration.identity, adv_secret, &identity, &mut self.rng);
        let jid = account.device_jid(number, Form::Pn);
        let lid = account.device_jid(number, Form::Lid);
        let scanned = Scanned { device: DeviceRef { pn, device: number }, lid: account.lid.clone() };
        let request = self.server_id();
        let success = Builder::new("pair-success")
            .children([
                Builder::new("device-identity").bytes(signed).build(),
                Builder::new("device").attr("jid", jid).attr("lid", lid).build(),
                Builder::new("platform").attr("name", "android").build(),
            ])
            .build();
        let iq = server_request(&request, "md").attr("t", seconds(now)).children([success]).build();
        let signing = Signing { request, registration, noise, device: scanned.device, key_index };
        self.connections.insert(connection, Connection::Signing(Box::new(signing)));
        self.send(now, connection, iq);
        Ok(scanned)
    }

    /// The next companion of an account is a hosted device.
    pub fn host(&mut self, pn: Pn) {
        if let Some(account) = self.accounts.get_mut(&pn) {
            account.hosts = true;
        }
    }

    /// The account with this number or name, made if there is none; a new one without either.
    pub fn find_or_create(&mut self, now: UnixMillis, pn: Option<Pn>, name: Option<&str>) -> Pn {
        let known = pn.filter(|pn| self.accounts.contains_key(pn));
        let named = name.filter(|_| pn.is_none()).and_then(|name| self.by_name.get(name).copied());
        if let Some(pn) = known.or(named) {
            return pn;
        }
        let pn = pn.unwrap_or_else(|| {
            while self.accounts.contains_key(&self.next_pn) {
                self.next_pn += 1;
            }
            self.next_pn
        });
        let name = name.map_or_else(|| format!("phone {pn}"), str::to_owned);
        let mut account = Account::new(pn, name.clone(), now, &mut self.rng);
        if self.phones_share {
            account.phone.memory = Some(Memory::new(now, Vec::new(), &mut self.rng));
        }
        self.add_account(account);
        pn
    }

    pub(super) fn add_account(&mut self, account: Account) {
        self.by_lid.insert(account.lid.clone(), account.pn);
        self.by_name.entry(account.name.clone()).or_insert(account.pn);
        self.accounts.insert(account.pn, account);
    }

    /// A stanza on a connection that is not logged in.
    pub(super) fn while_pairing(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        if stanza.tag == "iq"
            && let Some(part) = stanza.child("link_code_companion_reg")
        {
            return self.link_code(now, connection, stanza, part);
        }
        if stanza.tag == "iq"
            && let Some(outcome) = self.passkey_query(now, connection, stanza)
        {
            return outcome;
        }
        if stanza.tag == "iq" && stanza.text("type").is_some_and(|kind| kind == "get" || kind == "set") {
            return self.query_unpaired(now, connection, stanza);
        }
        let Some(Connection::Signing(signing)) = self.connections.get(&connection) else {
            // The client's answer to pair-device; `ib` comes around this time too.
            return if matches!(&*stanza.tag, "iq" | "ib" | "ack") {
                Ok(())
            } else {
                Err("not logged in".into())
            };
        };
        if stanza.tag != "iq" || stanza.text("id").as_deref() != Some(&signing.request) {
            return if matches!(&*stanza.tag, "ib" | "ack") || stanza.text("type").as_deref() == Some("result")
            {
                Ok(())
            } else {
                Err("the answer to pair-success is due".into())
            };
        }
        if stanza.text("type").as_deref() == Some("error") {
            return self.refuse_pairing(now, connection, "the device does not take this account");
        }
        let (identity, published) = match self.check_sign(stanza, signing) {
            Ok(checked) => checked,
            Err(why) => return self.refuse_pairing(now, connection, why),
        };
        let Some(Connection::Signing(signing)) = self.connections.remove(&connection) else { return Ok(()) };
        let companion = Companion {
            key_index: identity.key_index,
            noise: signing.noise,
            identity: signing.registration.identity,
            shown: signing.registration.os.clone(),
            platform: signing.registration.platform,
            full_history: signing.registration.full_history,
            registration_id: signing.registration.registration_id,
            signed_prekey: signing.registration.signed_prekey.clone(),
            one_time: VecDeque::new(),
            device_identity: published,
            backlog: Backlog::default(),
            push: Default::default(),
        };
        let device = signing.device;
        let account = self.accounts.get_mut(&device.pn).expect("found when it was scanned");
        account.companions.insert(device.device, companion);
        account.sign_list(now, &mut self.rng);
        tracing::info!(%device, connection, "linked");
        self.announce(now, device, identity.key_index, "add");
        self.end(now, connection, StreamError::RestartRequired, "paired");
        Ok(())
    }

    /// What a companion says to `pair-success`: the identity that the phone gave it and that it has signed, and what peers
    /// are told of that; or what is wrong. That the server compares the key index with what was signed is a guess.
    fn check_sign(
        &self,
        stanza: &Stanza,
        signing: &Signing,
    ) -> Result<(DeviceIdentity, Vec<u8>), &'static str> {
        let sign = stanza.child("pair-device-sign").and_then(|sign| sign.child("device-identity"));
        let sign = sign.ok_or("pair-device-sign has no identity")?;
        let bytes = sign.leaf().ok_or("pair-device-sign has no identity")?;
        let phone = self.account(signing.device.pn).phone.identity();
        let (identity, published) = adv::check_reply(bytes, phone, &signing.registration.identity)
            .map_err(|_| "the device's signature does not fit")?;
        if identity.key_index != signing.key_index {
            return Err("another key index was signed");
        }
        if sign.number("key-index") != Some(u64::from(identity.key_index)) {
            return Err("pair-device-sign names another key index than was signed");
        }
        Ok((identity, published))
    }

    /// Any other request before the login. Pings are answered: Baileys gives a silent connection up after a minute, and
    /// whatsapp-rust after 20 s, long before the last code was shown. How the real server refuses the rest is a guess.
    fn query_unpaired(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
    ) -> Result<(), Refusal> {
        let xmlns = stanza.text("xmlns").unwrap_or_default();
        if matches!(&*xmlns, "w:p" | "urn:xmpp:ping") {
            self.send(now, connection, iq::result(stanza).attr("t", seconds(now)).build());
            return Ok(());
        }
        self.send(now, connection, iq::error(stanza, &iq::Refused::new(501)));
        let tag = stanza.all().first().map_or("", |child| &*child.tag);
        Err(format!("a request before the login: {xmlns} <{tag}>").into())
    }

    fn refuse_pairing(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        why: &'static str,
    ) -> Result<(), Refusal> {
        // What the real server does with a bad signature, or an error in its place, is not known; the attempt cannot go on.
        self.end(now, connection, StreamError::Other(401), "pairing refused");
        Err(why.into())
    }

    /// Unlinks a companion: its credentials are void from now on. False if there is none.
    pub(super) fn unlink(&mut self, now: UnixMillis, device: DeviceRef) -> bool {
        let Some(account) = self.accounts.get_mut(&device.pn) else { return false };
        let Some(companion) = account.companions.remove(&device.device) else { return false };
        account.sign_list(now, &mut self.rng);
        tracing::info!(%device, "unlinked");
        if let Some(connection) = self.online.get(&device).copied() {
            self.end(now, connection, StreamError::DeviceRemoved, "unlinked");
        }
        self.announce(now, device, companion.key_index, "remove");
        true
    }

    /// Tells everybody who may have cached the list, once in each address form.
    fn announce(&mut self, now: UnixMillis, device: DeviceRef, key_index: u32, what: &'static str) {
        let account = self.account(device.pn);
        let hash = |form| participants_hash([account], form);
        let (by_pn, by_lid) = (hash(Form::Pn), hash(Form::Lid));
        let list = Builder::new("key-index-list")
            .attr("ts", account.list_time_s)
            .bytes(account.signed_list.clone())
            .build();
        let entry = |jid: Jid| Builder::new("device").attr("jid", jid).attr("key-index", key_index);
        let lid = account.device_jid(device.device, Form::Lid);
        let pn_entry = entry(account.device_jid(device.device, Form::Pn)).attr("lid", lid.clone()).build();
        let pn_change = Builder::new(what)
            .attr("device_hash", by_pn)
            .attr("device_lid_hash", by_lid.clone())
            .children([pn_entry, list.clone()])
            .build();
        let lid_change =
            Builder::new(what).attr("device_hash", by_lid).children([entry(lid).build(), list]).build();
        let changes = [
            (account.jid(Form::Pn), Some(account.jid(Form::Lid)), pn_change),
            (account.jid(Form::Lid), None, lid_change),
        ];
        let own = account.companions.keys().map(|number| DeviceRef { pn: device.pn, device: *number });
        let mut receivers: Vec<DeviceRef> = own.filter(|own| *own != device).collect();
        for pn in &account.watchers {
            if let Some(watcher) = self.accounts.get(pn) {
                let numbers = watcher.companions.keys();
                receivers.extend(numbers.map(|number| DeviceRef { pn: *pn, device: *number }));
            }
        }
        for receiver in receivers {
            for (from, lid, change) in &changes {
                let mut notification = Builder::new("notification")
                    .attr("from", from.clone())
                    .attr("type", "devices")
                    .attr("id", self.server_id())
                    .attr("t", seconds(now));
                if let Some(lid) = lid {
                    notification = notification.attr("lid", lid.clone());
                }
                self.deliver(now, receiver, notification.children([change.clone()]).build());
            }
        }
    }
}

/// A request of the server to a client: exactly one child is added by the caller, because clients ignore
/// any other form.
fn server_request(id: &str, xmlns: &'static str) -> Builder {
    Builder::new("iq").attr("from", server_jid()).attr("type", "set").attr("id", id).attr("xmlns", xmlns)
}
