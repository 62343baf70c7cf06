//! Pairing by a code that is typed on the phone: the stages between the first connection and the phone's
//! signature, which is the same as with a QR code.
//!
//! What must hold: the secret that both sides derive is durable before the phone is told that we have it,
//! because its signature can be checked with nothing else.

use std::time::Duration;

use roost_proto::id::UnixMillis;
use roost_proto::login::Platform;
use roost_proto::pair_code::{self, PairCode};
use roost_proto::stanza::{Builder, Jid, Read, Stanza, iq, server_jid};

use super::commit::After;
use super::connect::encode;
use super::crypto::{Purpose, with_state};
use super::requests::Asked;
use super::timer::Timer;
use super::{CryptoRequest, Effect, Machine};
use crate::device::PairingUpdate;
use crate::port::StateChange;

/// How long a code can be typed.
const LASTING: Duration = Duration::from_secs(180);
/// How often a code may be typed; then the attempt is over.
const TRIES: u32 = 5;

/// An attempt by code.
#[derive(Debug)]
pub(super) struct ByCode {
    /// The phone, digits.
    pub(super) phone: String,
    /// The code that it shall be.
    pub(super) wanted: Option<PairCode>,
    code: String,
    /// What the server calls it.
    reference: Vec<u8>,
    tries: u32,
}

impl ByCode {
    pub(super) fn new(phone: String, wanted: Option<PairCode>) -> ByCode {
        ByCode { phone, wanted, code: String::new(), reference: Vec::new(), tries: 0 }
    }

    /// Whether a code was typed: the phone may know the secret by now.
    pub(super) fn was_typed(&self) -> bool {
        self.tries > 0
    }
}

/// What crypto makes for the first stage.
#[derive(Debug)]
pub struct PairHello {
    /// For the person.
    pub code: String,
    /// Our ephemeral key under the code.
    pub wrapped: [u8; pair_code::WRAPPED],
    /// Our Noise key.
    pub noise: [u8; 32],
    /// What the device registers as.
    pub platform: Platform,
}

/// What crypto makes of the phone's answer.
#[derive(Debug)]
pub struct PairFinish {
    /// The keys with the new secret.
    pub changes: Vec<StateChange>,
    /// The sealed bundle.
    pub bundle: Vec<u8>,
    /// Our identity key.
    pub identity: [u8; 32],
}

impl Machine {
    /// `companion_hello`: says that we wait for a code to be typed.
    pub(super) fn on_pair_hello(&mut self, number: u64, hello: PairHello) {
        let Some(by_code) = self.code_attempt(number) else { return };
        let phone = by_code.phone.clone();
        by_code.code = hello.code;
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let part = Builder::new("link_code_companion_reg")
            .attr("jid", Jid::pn(phone))
            .attr("stage", "companion_hello")
            .attr("should_show_push_notification", "true")
            .children([
                leaf("link_code_pairing_wrapped_companion_ephemeral_pub", hello.wrapped.to_vec()),
                leaf("companion_server_auth_key_pub", hello.noise.to_vec()),
                leaf("companion_platform_id", hello.platform.client_type().to_string().into_bytes()),
                leaf("companion_platform_display", hello.platform.display().as_bytes().to_vec()),
                leaf("link_code_pairing_nonce", b"0".to_vec()),
            ]);
        self.request_unpaired(Asked::PairHello { attempt: number }, |id| {
            iq::set(id, "md").children([part.build()])
        });
    }

    pub(super) fn on_pair_hello_answer(&mut self, number: u64, outcome: Result<Stanza, u16>) {
        let UnixMillis(wall) = self.now.wall;
        let Some(by_code) = self.code_attempt(number) else { return };
        let answer = match outcome {
            Ok(answer) => answer,
            // The end of the link has ended the attempt, or will.
            Err(0) => return,
            Err(code) => {
                let why = format!("WhatsApp does not take this number now (code {code})");
                return self.end_attempt("CODE_REFUSED", &why);
            }
        };
        let part = answer.child("link_code_companion_reg");
        let reference = part.and_then(|part| part.child("link_code_pairing_ref")).and_then(Read::leaf);
        let Some(reference) = reference else {
            return self.end_attempt("CODE_REFUSED", "WhatsApp's answer cannot be read");
        };
        by_code.reference = reference.to_vec();
        let code = by_code.code.clone();
        let expires = UnixMillis(wall + i64::try_from(LASTING.as_millis()).expect("three minutes"));
        self.effects.push(Effect::Pairing(PairingUpdate::TypeCode { code, expires }));
        self.set_timer(Timer::Qr, LASTING);
    }

    /// `<notification type=link_code_companion_reg>`: somebody typed a code.
    pub(super) fn on_primary_hello(&mut self, link: u64, stanza: &Stanza) {
        let Some(number) = self.attempt_number() else { return };
        let Some(by_code) = self.code_attempt(number) else { return };
        let Some(part) = stanza.child("link_code_companion_reg") else { return };
        let wrapped = part.child("link_code_pairing_wrapped_primary_ephemeral_pub").and_then(Read::leaf);
        let identity: Option<[u8; 32]> = part.need_bytes("primary_identity_pub").ok();
        let reference = part.child("link_code_pairing_ref").and_then(Read::leaf);
        let (Some(wrapped), Some(identity)) = (wrapped, identity) else { return };
        if part.text("stage").as_deref() != Some("primary_hello") || reference != Some(&by_code.reference[..])
        {
            return;
        }
        by_code.tries += 1;
        if by_code.tries > TRIES {
            return self.end_attempt("CODE_REFUSED", "the code was typed too often");
        }
        let wrapped = wrapped.to_vec();
        let slot = self.lane.open();
        let purpose = Purpose::PairFinish { slot, link, attempt: number };
        self.ask_crypto(CryptoRequest::PairFinish { wrapped, identity }, purpose);
    }

    /// `companion_finish`, behind the commit of the secret.
    pub(super) fn on_pair_finish(&mut self, slot: u64, link: u64, number: u64, finish: Option<PairFinish>) {
        let Some(PairFinish { changes, bundle, identity }) = finish else {
            return self.lane.fill(slot, with_state(Vec::new()));
        };
        let mut outcome = with_state(changes);
        let id = self.next_request_id();
        if let Some(by_code) = self.code_attempt(number) {
            let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
            let part = Builder::new("link_code_companion_reg")
                .attr("jid", Jid::pn(by_code.phone.clone()))
                .attr("stage", "companion_finish")
                .children([
                    leaf("link_code_pairing_wrapped_key_bundle", bundle),
                    leaf("companion_identity_public", identity.to_vec()),
                    leaf("link_code_pairing_ref", by_code.reference.clone()),
                ]);
            let finish = iq::request(&id, "set", "md", server_jid()).children([part.build()]).build();
            outcome.after.extend(encode(&finish).map(|bytes| After::Wire(link, bytes)));
        }
        self.lane.fill(slot, outcome);
    }
}
