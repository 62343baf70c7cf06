//! Pairing: attempts, QR codes and their times, the phone's answer, and the restart that follows.
//!
//! What must hold: keys are durable before the first code shows them; the account is durable before
//! WhatsApp learns that we took it; of an account that was not expected nothing is kept, and nothing of the one before
//! goes on under another (`tenure`). A restart (515) after that is the normal way.

use std::time::Duration;

use bytes::Bytes;
use roost_proto::adv::{AdvError, DeviceIdentity};
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::id::UnixMillis;
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq, is_server};

use super::commit::{After, Pending};
use super::connect::encode;
use super::crypto::Purpose;
use super::pair_code::ByCode;
use super::passkey;
use super::timer::Timer;
use super::{Account, CryptoRequest, DialAs, Effect, Machine, Reply};
use crate::device::{Appearance, HistoryWanted, PairError, PairMethod, Pairing, PairingUpdate};
use crate::port::{StateKey, StateKind};

/// How long the first code of an attempt is shown, and the others.
const FIRST_CODE: Duration = Duration::from_secs(60);
const NEXT_CODE: Duration = Duration::from_secs(20);

/// A pairing attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    number: u64,
    /// References that were not shown yet, the next one first.
    references: Vec<String>,
    shown: u32,
    /// The reference that is shown now, and until when.
    showing: Option<(String, Option<UnixMillis>)>,
    by_code: Option<ByCode>,
    appearance: Appearance,
    /// The phone number of the account, when only that one will do.
    expected: Option<String>,
    history: HistoryWanted,
    pub(super) passkey: Option<passkey::Stage>,
}

impl Attempt {
    /// What its links are for.
    pub(super) fn dial(&self) -> DialAs {
        DialAs::Pairing(self.appearance.clone(), self.history.full())
    }

    fn is(&self, wanted: &Pairing) -> bool {
        let same = match (&self.by_code, &wanted.method) {
            (None, PairMethod::Qr) => true,
            (Some(by_code), PairMethod::PhoneCode { phone, code }) => {
                by_code.phone == *phone && by_code.wanted == *code
            }
            _ => false,
        };
        let Pairing { appearance, expected, history, .. } = wanted;
        same && self.appearance == *appearance && self.expected == *expected && self.history == *history
    }
}

/// Who the phone says we are.
#[derive(Debug)]
pub(super) struct PairedAs {
    pn: Jid,
    lid: Option<Jid>,
}

impl Machine {
    pub(super) fn pair(&mut self, token: u64, wanted: Pairing) {
        let paired = self.account.as_ref().is_some_and(|account| !account.logged_out);
        let refusal = if paired {
            Some(PairError::AlreadyPaired)
        } else if !self.loaded || !self.may_act() || self.commits.failing() || self.outbox.is_accepting() {
            Some(PairError::Unavailable)
        } else {
            None
        };
        if refusal.is_none() && self.attempt.as_ref().is_some_and(|attempt| !attempt.is(&wanted)) {
            self.end_attempt("REPLACED", "another attempt has begun");
        }
        let reply = Reply::Pairing(refusal.clone().map_or(Ok(()), Err));
        self.effects.push(Effect::Reply { token, reply });
        if refusal.is_some() || self.attempt.is_some() {
            return;
        }
        let number = self.token();
        let Pairing { method, appearance, expected, history } = wanted;
        let by_code = match method {
            PairMethod::Qr => None,
            PairMethod::PhoneCode { phone, code } => Some(ByCode::new(phone, code)),
        };
        self.attempt = Some(Attempt {
            number,
            references: Vec::new(),
            shown: 0,
            showing: None,
            by_code,
            appearance,
            expected,
            history,
            passkey: None,
        });
        self.effects.push(Effect::Pairing(PairingUpdate::Connecting));
        // A device that was unlinked is a new device to everybody: it gets new keys, and is nobody's until it is paired.
        let unlinked = self.account.take().is_some();
        self.set_status(api::device::State::Pairing, "it is being paired", 0);
        if self.keys && !unlinked {
            self.dial();
        } else {
            let slot = self.lane.open();
            self.ask_crypto(
                CryptoRequest::MakeKeys { now: self.now.wall },
                Purpose::Keys { slot, anew: true },
            );
        }
    }

    pub(super) fn keys_made(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        match &attempt.showing {
            // The code on show has the secret from before.
            Some((reference, _)) => self.make_code(reference.clone()),
            None => self.dial(),
        }
    }

    /// `<notification type=companion_reg_refresh>`: the secret that codes show is retired. One that the phone may have
    /// by now stays, or its signature could not be checked.
    pub(super) fn on_registration_refresh(&mut self, stanza: &Stanza) {
        let asked = ["companion_reg_refresh", "pair-device-rotate-qr"];
        let asked = is_from_server(stanza) && asked.iter().any(|tag| stanza.child(tag).is_some());
        let Some(attempt) = self.attempt.as_ref().filter(|_| asked && self.account.is_none()) else { return };
        if attempt.passkey.is_none() && !attempt.by_code.as_ref().is_some_and(ByCode::was_typed) {
            let slot = self.lane.open();
            self.ask_crypto(CryptoRequest::RenewSecret, Purpose::Keys { slot, anew: false });
        }
    }

    fn make_code(&mut self, reference: String) {
        if let Some(attempt) = self.attempt_number() {
            self.ask_crypto(CryptoRequest::Qr { reference }, Purpose::Qr { attempt });
        }
    }

    /// `<iq><pair-device><ref/>*</pair-device></iq>`
    pub(super) fn on_pair_device(&mut self, stanza: &Stanza, pair_device: &Stanza) {
        if self.account.is_some() {
            return self.drop_link("WhatsApp treats the device as one that was never paired");
        }
        self.send(&iq::reply(stanza).build());
        self.clear_timer(Timer::Greeting);
        self.keepalive_begin();
        let references = pair_device.all_named("ref").filter_map(|reference| reference.leaf_text());
        let references: Vec<String> =
            references.filter(|text| !text.is_empty() && !text.contains(',')).map(str::to_owned).collect();
        let Some(attempt) = self.attempt.as_mut() else { return self.close_link() };
        attempt.references = references;
        attempt.references.truncate(16);
        attempt.shown = 0;
        attempt.passkey = None;
        attempt.showing = None;
        if let Some(by_code) = &attempt.by_code {
            let (attempt, wanted) = (attempt.number, by_code.wanted.clone());
            return self.ask_crypto(CryptoRequest::PairHello(wanted), Purpose::PairHello { attempt });
        }
        self.next_code();
    }

    pub(super) fn attempt_number(&self) -> Option<u64> {
        self.attempt.as_ref().map(|attempt| attempt.number)
    }

    /// The attempt with this number, if it runs.
    pub(super) fn attempt_mut(&mut self, number: u64) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|attempt| attempt.number == number)
    }

    /// The attempt with this number, if it runs and is by code.
    pub(super) fn code_attempt(&mut self, number: u64) -> Option<&mut ByCode> {
        self.attempt_mut(number)?.by_code.as_mut()
    }

    pub(super) fn next_code(&mut self) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        if attempt.passkey.is_some() {
            return self.end_attempt("PASSKEY_EXPIRED", "the passkey was not answered or confirmed in time");
        }
        if attempt.by_code.is_some() {
            return self.end_attempt("CODE_EXPIRED", "the code was not typed in time");
        }
        if attempt.references.is_empty() {
            return self.end_attempt("QR_EXPIRED", "no code was scanned in time");
        }
        let reference = attempt.references.remove(0);
        attempt.showing = Some((reference.clone(), None));
        self.make_code(reference);
    }

    pub(super) fn show_code(&mut self, number: u64, payload: String) {
        let wall = self.now.wall;
        let Some(attempt) = self.attempt_mut(number).filter(|attempt| attempt.passkey.is_none()) else {
            return;
        };
        let left = u32::try_from(attempt.references.len()).expect("at most 16");
        let Some((_, until)) = &mut attempt.showing else { return };
        let lasting = if attempt.shown == 0 { FIRST_CODE } else { NEXT_CODE };
        let again = *until;
        let expires =
            again.unwrap_or(UnixMillis(wall.0 + i64::try_from(lasting.as_millis()).expect("a minute")));
        *until = Some(expires);
        attempt.shown += u32::from(again.is_none());
        self.effects.push(Effect::Pairing(PairingUpdate::Code { payload, expires, left }));
        // A code that is shown again ends when it was to end.
        if again.is_none() {
            self.set_timer(Timer::Qr, lasting);
        }
    }

    /// `<iq><pair-success>…</pair-success></iq>`
    pub(super) fn on_pair_success(&mut self, stanza: &Stanza, success: &Stanza) {
        let (Some(attempt), Some(link)) = (self.attempt_number(), self.connection.link()) else { return };
        self.clear_timer(Timer::Qr);
        let iq = stanza.text("id").unwrap_or_default().into_owned();
        let device = success.child("device");
        let pn = device.and_then(|device| device.jid("jid"));
        let identity = success.child("device-identity").and_then(Read::leaf);
        let (Some(pn), Some(identity)) = (pn, identity) else {
            self.refuse_pairing(&iq, 500, "internal-error");
            return self.end_attempt("SIGNATURE_MISMATCH", "WhatsApp sent an incomplete answer of the phone");
        };
        let lid = device.and_then(|device| device.jid("lid"));
        let bytes = Bytes::copy_from_slice(identity);
        let slot = self.lane.open();
        let device = Box::new(PairedAs { pn, lid });
        self.ask_crypto(
            CryptoRequest::AcceptDevice { bytes },
            Purpose::AcceptDevice { attempt, slot, link, iq, device },
        );
    }

    pub(super) fn device_accepted(
        &mut self,
        slot: u64,
        (attempt, link): (u64, u64),
        iq: &str,
        device: PairedAs,
        result: Result<(DeviceIdentity, Vec<u8>, Vec<u8>), AdvError>,
    ) {
        // WhatsApp would never hear that we took it.
        if self.attempt_number() != Some(attempt) || self.connection.link() != Some(link) {
            return self.lane.fill(slot, Pending::default());
        }
        let (identity, full, reply) = match result {
            Ok(accepted) => accepted,
            Err(error) => {
                self.lane.fill(slot, Pending::default());
                let text = if error == AdvError::Hmac { "hmac-mismatch" } else { "signature-mismatch" };
                self.refuse_pairing(iq, 401, text);
                return self.end_attempt("SIGNATURE_MISMATCH", &error.to_string());
            }
        };
        let expected = self.attempt.as_ref().and_then(|attempt| attempt.expected.as_deref());
        if expected.is_some_and(|expected| device.pn.user != expected) {
            self.lane.fill(slot, Pending::default());
            self.refuse_pairing(iq, 500, "internal-error");
            let scanned = format!("the phone of another account answered, that of {}", device.pn.user);
            return self.end_attempt("OTHER_ACCOUNT", &scanned);
        }
        let account = Account {
            pn: device.pn.clone(),
            lid: device.lid.clone(),
            identity: full.into(),
            push_name: String::new(),
            logged_out: false,
            without_history: self
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempt.history == HistoryWanted::None),
        };
        let signed =
            Builder::new("device-identity").attr("key-index", identity.key_index).bytes(reply).build();
        let sign = Builder::new("pair-device-sign").children([signed]).build();
        let answer = Builder::new("iq")
            .attr("to", roost_proto::stanza::server_jid())
            .attr("type", "result")
            .attr("id", iq.to_owned())
            .children([sign])
            .build();
        let paired = api::Identity {
            lid: device.lid.as_ref().map(ToString::to_string).unwrap_or_default(),
            phone_number: device.pn.to_string(),
            push_name: String::new(),
        };
        let event = self.synthetic(
            format!("paired/{}/{}", device.pn, identity.key_index),
            Payload::Paired(api::Paired { account: Some(paired), imported_from: String::new() }),
        );
        let mut outcome = Pending::default();
        outcome.batch.state.push((account_key(), Some(account.to_bytes())));
        outcome.batch.events.push(event);
        if let Some(bytes) = encode(&answer) {
            outcome.after.push(After::Wire(link, bytes));
        }
        outcome.after.push(After::Pairing(PairingUpdate::Reconnecting));
        self.app_state_reset(&mut outcome);
        self.history_reset(&mut outcome);
        self.take_salt(&mut outcome, Bytes::new());
        self.begin_tenure(&mut outcome, &account, None);
        self.lane.fill(slot, outcome);
        self.lane_advance();
        self.account = Some(account);
        self.set_status(api::device::State::Connecting, "it was paired; WhatsApp restarts the connection", 0);
    }

    /// Logged in: if that was the end of a pairing attempt, say so.
    pub(super) fn attempt_succeeded(&mut self) {
        if let (Some(_), Some(account)) = (self.attempt.as_ref(), self.account.as_ref()) {
            let pn = account.pn.to_string();
            let lid = account.lid.as_ref().map(ToString::to_string);
            self.attempt = None;
            self.effects.push(Effect::Pairing(PairingUpdate::Paired { pn, lid }));
        }
    }

    /// Over without success.
    pub(super) fn end_attempt(&mut self, reason: &'static str, message: &str) {
        self.attempt_failed(reason, message);
        if self.account.is_none() {
            self.set_status(api::device::State::Unpaired, "the last pairing attempt did not succeed", 0);
        }
        self.close_link();
    }

    /// The followers of an attempt, if there is one, hear that it failed.
    pub(super) fn attempt_failed(&mut self, reason: &'static str, message: &str) {
        if self.attempt.take().is_some() {
            let message = message.to_owned();
            self.effects.push(Effect::Pairing(PairingUpdate::Failed { reason, message }));
        }
    }

    fn refuse_pairing(&mut self, iq: &str, code: u16, text: &'static str) {
        let error = Builder::new("error").attr("code", code).attr("text", text).build();
        let answer = Builder::new("iq")
            .attr("to", roost_proto::stanza::server_jid())
            .attr("type", "error")
            .attr("id", iq.to_owned())
            .children([error])
            .build();
        self.send(&answer);
        // Before the link is closed, which forgets what was not sent.
        if self.may_act() {
            while let Some((link, bytes)) = self.wire.pop_front() {
                self.effects.push(Effect::Send { link, bytes });
            }
        }
    }
}

/// Whether WhatsApp itself says it.
pub(super) fn is_from_server(stanza: &Stanza) -> bool {
    stanza.jid("from").is_some_and(|from| is_server(&from))
}

/// The row of the account.
pub(super) fn account_key() -> StateKey {
    StateKey { kind: StateKind::Account, name: String::new() }
}
