//! What phones do in the world of the machine: take what is addressed to device 0, and talk on request.
//!
//! What must hold: a phone speaks through the same routes as a companion, so its messages are fanned out,
//! recorded and settled in the same way; what it cannot decrypt it asks for again, at most five times.

use bytes::Bytes;
use roost_proto::content::Wire;
use roost_proto::e2e::{self, DeviceSent};
use roost_proto::id::UnixMillis;
use roost_proto::retry;
use roost_proto::signal::{Bundle, CiphertextKind, DecryptError};
use roost_proto::stanza::{Builder, Jid, Read as _, Stanza, message_id};

use super::account::{DeviceRef, Form, Pn};
use super::bots;
use super::calls::Unsaid;
use super::machine::{Effect, Machine};
use super::phone::{Phone, Sent};

/// How often a phone asks for one message again.
const RETRIES: u32 = 5;

/// Why a phone did not send.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// There is no such phone.
    #[error("there is no account {0}")]
    UnknownPhone(Pn),
    /// The receiver is not an account.
    #[error("{0:?} is not the address of an account")]
    UnknownReceiver(String),
    /// It has made no such call.
    #[error("this phone has made no call {0:?}")]
    UnknownCall(String),
    /// What it says of a call is not for it to say, or comes too late.
    #[error("the phone says that of no call: {0}")]
    Call(#[from] Unsaid),
    /// It shares nothing with its companions.
    #[error("this phone has no memory")]
    NoMemory,
    /// What companions have written does not verify.
    #[error("the phone cannot follow app state: {0}")]
    AppState(String),
}

impl Machine {
    /// The phone `pn` sends a text to an account, named by number, PN or LID; the message goes to all
    /// devices of both accounts. Returns its id.
    ///
    /// # Errors
    /// [`PhoneError`]; nothing was sent.
    pub fn phone_sends(
        &mut self,
        now: UnixMillis,
        pn: Pn,
        to: &str,
        text: &str,
    ) -> Result<(String, Vec<Effect>), PhoneError> {
        if !self.accounts.contains_key(&pn) {
            return Err(PhoneError::UnknownPhone(pn));
        }
        let to: Option<Jid> = match to.contains('@') {
            true => to.parse().ok(),
            false => Some(Jid::pn(to.trim_start_matches('+'))),
        };
        let known = to.as_ref().and_then(|to| self.account_of(to)).map(|account| account.pn);
        let (Some(to), Some(receiver)) = (to, known) else {
            return Err(PhoneError::UnknownReceiver(text.chars().take(60).collect()));
        };
        let (to, form) = (to.to_non_ad(), Form::of(&to));
        let id = message_id(&mut self.rng);
        let message = e2e::text(text);
        let own =
            e2e::wrap_device_sent(&DeviceSent { destination: to.to_string(), message: message.clone() });
        let phone = DeviceRef { pn, device: 0 };
        let mut devices: Vec<DeviceRef> = Vec::new();
        for account in [receiver, pn] {
            let numbers = self.account(account).devices();
            devices.extend(numbers.map(|device| DeviceRef { pn: account, device }));
        }
        devices.sort();
        devices.dedup();
        devices.retain(|device| *device != phone);
        let mut entries = Vec::new();
        for device in devices {
            let plaintext = if device.pn == pn { &own } else { &message };
            if let Some(enc) = self.phone_encrypts(now, phone, device, plaintext, None) {
                let jid = self.account(device.pn).device_jid(device.device, form);
                entries.push(Builder::new("to").attr("jid", jid).children([enc]).build());
            }
        }
        let sent = Sent { id: id.clone(), to: to.to_string(), message, peer: false };
        self.account_mut(pn).phone.remember(sent);
        let participants = Builder::new("participants").children(entries).build();
        let stanza = Builder::new("message")
            .attr("id", id.as_str())
            .attr("to", to)
            .attr("type", "text")
            .children([participants])
            .build();
        self.from_phones.push_back((phone, stanza));
        Ok((id, self.settle_phones(now)))
    }

    /// One `<enc>` from a phone for a device; with `fresh` keys a new ratchet is opened first. None when
    /// the device has no usable keys.
    pub(super) fn phone_encrypts(
        &mut self,
        now: UnixMillis,
        phone: DeviceRef,
        to: DeviceRef,
        plaintext: &[u8],
        fresh: Option<Bundle>,
    ) -> Option<Stanza> {
        let known = self.account(phone.pn).phone.knows(to);
        let bundle = match fresh {
            Some(bundle) => Some(bundle),
            None if known => None,
            None => Some(self.bundle_of(now, to)?),
        };
        let account = self.accounts.get_mut(&phone.pn)?;
        if let Some(bundle) = bundle
            && let Err(error) = account.phone.open(to, &bundle, &mut self.rng)
        {
            tracing::warn!(%phone, %to, %error, "a device published unusable keys");
            return None;
        }
        let sealed = account.phone.encrypt(to, plaintext, &mut self.rng);
        let sealed =
            sealed.inspect_err(|error| tracing::warn!(%phone, %to, %error, "a phone cannot encrypt")).ok()?;
        let enc = Builder::new("enc").attr("v", "2").attr("type", sealed.kind.as_str());
        Some(enc.bytes(sealed.bytes.to_vec()).build())
    }

    /// The published keys of any device; a one-time prekey is taken. None if it does not exist.
    pub(super) fn bundle_of(&mut self, now: UnixMillis, device: DeviceRef) -> Option<Bundle> {
        let account = self.accounts.get_mut(&device.pn)?;
        if device.device == 0 {
            return Some(account.phone.bundle(&mut self.rng));
        }
        let companion = account.companions.get_mut(&device.device)?;
        let bundle = Bundle {
            registration_id: companion.registration_id,
            identity: companion.identity,
            signed_prekey: companion.signed_prekey.clone(),
            one_time: companion.one_time.pop_front(),
        };
        let left = companion.one_time.len();
        if bundle.one_time.is_some() {
            self.watch_prekeys(now, device, left);
        }
        Some(bundle)
    }

    /// Device 0 of an account takes a stanza.
    pub(super) fn phone_takes(&mut self, now: UnixMillis, pn: Pn, stanza: &Stanza) {
        let phone = DeviceRef { pn, device: 0 };
        let Some(from) = self.sender_of(stanza) else { return };
        match &*stanza.tag {
            "message" => self.phone_reads(now, phone, from, stanza),
            "receipt" if stanza.text("type").as_deref() == Some("retry") => {
                self.phone_sends_again(now, phone, from, stanza);
            }
            _ => {}
        }
    }

    fn phone_reads(&mut self, now: UnixMillis, phone: DeviceRef, from: DeviceRef, stanza: &Stanza) {
        let id = stanza.text("id").unwrap_or_default().into_owned();
        self.ledger.delivered(from, &id, phone);
        self.ledger.settled(from, &id, phone, now);
        if !self.phones_read {
            return;
        }
        for enc in stanza.all_named("enc") {
            let kind = enc.text("type").and_then(|kind| CiphertextKind::parse(&kind));
            let (Some(kind), Some(bytes)) = (kind, enc.leaf()) else { continue };
            let Some(account) = self.accounts.get_mut(&phone.pn) else { return };
            let bytes = Bytes::copy_from_slice(bytes);
            let read = account.phone.receive(from, &id, kind, &bytes, now.0, &mut self.rng);
            let to = stanza.jid("from").expect("looked at before");
            if read.is_ok() && account.phone.is_news(from, &id) {
                self.ledger.read(phone, from, &id);
                let own = account.jid(Form::of(&to));
                // Nobody reports from the account of a bot.
                if phone.pn != bots::PN
                    && let Some(fits) = token_fits(stanza, &account.phone, &id, &own)
                {
                    self.ledger.compared(from, fits);
                }
            }
            let mut receipt = Builder::new("receipt").attr("id", id.as_str()).attr("to", to);
            if let Some(participant) = stanza.jid("participant") {
                receipt = receipt.attr("participant", participant);
            }
            match read {
                Ok(_) | Err(DecryptError::Duplicate) => {
                    let peer = stanza.text("category").as_deref() == Some("peer");
                    match (peer, from.pn == phone.pn) {
                        (true, _) => receipt = receipt.attr("type", "peer_msg"),
                        (false, true) => receipt = beside(receipt.attr("type", "sender"), stanza),
                        (false, false) => {}
                    }
                    if bots::called_into(stanza).is_none() {
                        self.from_phones.push_back((phone, receipt.build()));
                    }
                    let asks = read.is_ok() && phone.pn == bots::PN;
                    if let Ok(Some(asked)) = read
                        && from.pn == phone.pn
                    {
                        self.phone_is_asked(now, from, &id, asked);
                    }
                    if asks {
                        self.bot_reads(now, from.pn, stanza);
                    }
                }
                Err(error) => {
                    let count = account.phone.count_retry(from, &id);
                    tracing::warn!(%phone, %from, id, count, %error, "a phone cannot decrypt");
                    if count <= RETRIES {
                        let keys = self.phone_keys(now, phone.pn);
                        let retry = Builder::new("retry")
                            .attr("count", count)
                            .attr("id", id.as_str())
                            .attr("t", stanza.text("t").unwrap_or_default().into_owned())
                            .attr("v", "1")
                            .build();
                        let receipt = beside(receipt.attr("type", "retry"), stanza);
                        let receipt = receipt.children([retry].into_iter().chain(keys));
                        self.from_phones.push_back((phone, receipt.build()));
                    }
                }
            }
        }
    }

    /// `<registration>` and `<keys>` of a phone, with a fresh one-time prekey.
    fn phone_keys(&mut self, now: UnixMillis, pn: Pn) -> Vec<Stanza> {
        let Some(bundle) = self.bundle_of(now, DeviceRef { pn, device: 0 }) else { return Vec::new() };
        let mut keys = vec![
            Builder::new("type").bytes([5]).build(),
            Builder::new("identity").bytes(bundle.identity).build(),
            super::query::prekey_element(
                "skey",
                bundle.signed_prekey.id,
                &bundle.signed_prekey.public,
                Some(&bundle.signed_prekey.signature),
            ),
        ];
        keys.extend(
            bundle.one_time.map(|(id, public)| super::query::prekey_element("key", id, &public, None)),
        );
        let registration = Builder::new("registration").bytes(bundle.registration_id.to_be_bytes()).build();
        vec![registration, Builder::new("keys").children(keys).build()]
    }

    fn phone_sends_again(&mut self, now: UnixMillis, phone: DeviceRef, to: DeviceRef, receipt: &Stanza) {
        let id = receipt.text("id").unwrap_or_default().into_owned();
        let Some(sent) = self.account(phone.pn).phone.sent(&id).cloned() else {
            tracing::info!(%phone, %to, id, "asked for a message that the phone does not have");
            return;
        };
        let own = e2e::wrap_device_sent(&DeviceSent { destination: sent.to, message: sent.message.clone() });
        let plaintext = if to.pn == phone.pn && !sent.peer { own } else { sent.message };
        // A retry means that the ratchet is of no use: open a new one, from the keys in it if it has any.
        let bundle = retry::bundle(receipt).or_else(|| self.bundle_of(now, to));
        let Some(enc) = self.phone_encrypts(now, phone, to, &plaintext, bundle) else { return };
        let count = receipt.child("retry").and_then(|retry| retry.number("count")).unwrap_or(1);
        let form = receipt.jid("from").map_or(Form::Pn, |from| Form::of(&from));
        let stanza = Builder::new("message")
            .attr("id", id.as_str())
            .attr("to", self.account(to.pn).device_jid(to.device, form))
            .attr("type", "text")
            .attr("device_fanout", "false")
            .children([enc.with("count", count)]);
        let stanza = beside(stanza, receipt);
        let stanza = if sent.peer { stanza.attr("category", "peer") } else { stanza }.build();
        self.from_phones.push_back((phone, stanza));
    }
}

/// An answer to what names a chat beside the device names it too.
fn beside(answer: Builder, stanza: &Stanza) -> Builder {
    stanza.jid("recipient").into_iter().fold(answer, |answer, chat| answer.attr("recipient", chat))
}

/// Whether the token by which a message would be reported is that of what the phone has read; `None` when it came
/// without one.
fn token_fits(stanza: &Stanza, phone: &Phone, id: &str, own: &Jid) -> Option<bool> {
    let shown = stanza.child("reporting")?.child("reporting_token")?.leaf()?;
    let sender = stanza.jid("from")?;
    let read = phone.has(id)?;
    let expected = Wire::of(&read.content).report_token(id, &sender, own);
    Some(expected.is_some_and(|expected| expected == shown))
}
