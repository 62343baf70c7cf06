//! Pairing that asks for a passkey: the stages between the scanned code, or the typed one, and the phone's
//! signature.
//!
//! What must hold: an assertion is taken once, for the challenge that was asked; the secret that the phone
//! gets at the end is durable before it goes out, because the phone's signature can be checked with nothing
//! else. The stages live in memory, as WhatsApp's side of them lives with the connection: an attempt that
//! loses its node begins anew.

use std::time::Duration;

use roost_proto::id::UnixMillis;
use roost_proto::passkey::{Assertion, AssertionRequest};
use roost_proto::stanza::{Builder, Read, Stanza, iq, server_jid};

use super::commit::{After, Pending};
use super::connect::encode;
use super::crypto::{Purpose, with_state};
use super::pairing::is_from_server;
use super::requests::Asked;
use super::timer::Timer;
use super::{CryptoRequest, Effect, Machine, Reply};
use crate::device::{PairError, PairingUpdate, PasskeyAnswer, PasskeyError};
use crate::port::StateChange;

/// How long an authenticator, and then a person, may take: as long as the proof of the scanned code is good
/// for in whatsmeow.
const LASTING: Duration = Duration::from_secs(300);

/// Where an attempt with a passkey is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The authenticator is waited for.
    Asked { challenge: Vec<u8> },
    /// It has answered; the phone's part is waited for.
    Answered { assertion: Box<Assertion>, compare: bool, agreement: Agreement },
    /// Both sides show a code.
    Showing { code: String, assertion: Box<Assertion>, compare: bool },
    /// The codes are the same, or need not be compared.
    Same,
}

/// How far the agreement with the phone has come: each part is taken once, or whoever stands between could put another
/// key behind the code that people compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// WhatsApp is asked how to name it.
    Begun,
    /// The phone has our commitment.
    Offered,
    /// It has given its key.
    Met,
}

/// A step that needs keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An ephemeral key and a commitment.
    Prologue {
        /// WhatsApp's name for the attempt.
        reference: String,
        /// Prove that this is who showed the scanned code.
        prove: bool,
    },
    /// The phone's ephemeral key has come.
    Meet {
        /// As it came.
        primary: Vec<u8>,
    },
    /// Our keys and a new secret, for the phone.
    Seal,
}

/// What came of a [`Step`].
#[derive(Debug)]
pub enum Made {
    /// Of [`Step::Prologue`].
    Prologue {
        /// What goes with the assertion.
        prologue: Vec<u8>,
        /// Over it.
        proof: Option<[u8; 32]>,
    },
    /// Of [`Step::Meet`].
    Met {
        /// What was committed to.
        nonce: [u8; 32],
        /// `XXXX-XXXX`.
        code: String,
    },
    /// Of [`Step::Seal`].
    Sealed {
        /// The keys with the new secret.
        changes: Vec<StateChange>,
        /// What the phone opens.
        sealed: Vec<u8>,
    },
}

/// A request of ours to WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Options,
    Reference,
    Prologue,
    Nonce,
    Sealed,
}

impl Machine {
    /// `<notification type=passkey_prologue_request>`
    pub(super) fn on_passkey_asked(&mut self, stanza: &Stanza) {
        let Some(attempt) = self.attempt_number().filter(|_| is_from_server(stanza)) else { return };
        match stanza.child("passkey_request_options").and_then(Read::leaf) {
            Some(options) => self.ask_authenticator(attempt, options),
            None => self.request_passkey(attempt, Part::Options, Builder::new("passkey_request_options")),
        }
    }

    fn ask_authenticator(&mut self, number: u64, options: &[u8]) {
        let read = AssertionRequest::read(options);
        let Some(attempt) = self.attempt_mut(number) else { return };
        match read {
            Ok(AssertionRequest { json, challenge }) => {
                attempt.passkey = Some(Stage::Asked { challenge });
                let expires = self.passkey_lasts();
                self.effects.push(Effect::Pairing(PairingUpdate::Passkey { options: json, expires }));
            }
            Err(error) => {
                self.end_attempt("PASSKEY_REFUSED", &format!("WhatsApp asks for a passkey: {error}"))
            }
        }
    }

    /// The stage that begins may take its time.
    fn passkey_lasts(&mut self) -> UnixMillis {
        self.set_timer(Timer::Qr, LASTING);
        UnixMillis(self.now.wall.0 + i64::try_from(LASTING.as_millis()).expect("five minutes"))
    }

    pub(super) fn answer_passkey(&mut self, token: u64, answer: PasskeyAnswer) {
        let result = self.take_passkey(answer);
        self.effects.push(Effect::Reply { token, reply: Reply::Passkey(result) });
    }

    fn take_passkey(&mut self, answer: PasskeyAnswer) -> Result<(), PasskeyError> {
        if !self.loaded || !self.may_act() {
            return Err(PairError::Unavailable.into());
        }
        let number = self.attempt_number().ok_or(PasskeyError::NotAsked)?;
        let stage = self.attempt_mut(number).and_then(|attempt| attempt.passkey.as_mut());
        match (stage.ok_or(PasskeyError::NotAsked)?, answer) {
            (stage @ Stage::Asked { .. }, PasskeyAnswer::Assertion { assertion, compare }) => {
                let answers = assertion.said().map(|(challenge, _)| challenge);
                if !matches!(stage, Stage::Asked { challenge } if answers.as_ref() == Some(challenge)) {
                    return Err(PasskeyError::OtherChallenge);
                }
                let agreement = Agreement::Begun;
                *stage = Stage::Answered { assertion: Box::new(assertion), compare, agreement };
                self.request_passkey(number, Part::Reference, Builder::new("ref"));
                Ok(())
            }
            (
                Stage::Answered { assertion, .. } | Stage::Showing { assertion, .. },
                PasskeyAnswer::Assertion { assertion: again, .. },
            ) if **assertion == again => Ok(()),
            (Stage::Showing { .. }, PasskeyAnswer::Same) => {
                self.seal_passkey(number);
                Ok(())
            }
            (Stage::Same, PasskeyAnswer::Same) => Ok(()),
            _ => Err(PasskeyError::NotAsked),
        }
    }

    fn request_passkey(&mut self, attempt: u64, part: Part, child: Builder) {
        let kind = if matches!(part, Part::Options | Part::Reference) { "get" } else { "set" };
        self.request_unpaired(Asked::Passkey { attempt, part }, |id| {
            iq::request(id, kind, "md", server_jid()).children([child.build()])
        });
    }

    pub(super) fn on_passkey_answer(&mut self, number: u64, part: Part, outcome: Result<Stanza, u16>) {
        if self.attempt_mut(number).is_none() {
            return;
        }
        let answer = match outcome {
            Ok(answer) => answer,
            // The end of the link has ended the attempt, or will.
            Err(0) => return,
            Err(code) => {
                let what = match part {
                    Part::Options => "gives no options for the passkey",
                    Part::Reference => "does not go on with the passkey",
                    Part::Prologue => "does not take the answer of the passkey",
                    Part::Nonce | Part::Sealed => "does not finish the pairing behind the passkey",
                };
                return self.end_attempt("PASSKEY_REFUSED", &format!("WhatsApp {what} (code {code})"));
            }
        };
        match part {
            Part::Options => {
                let options = answer.child("passkey_request_options").and_then(Read::leaf);
                self.ask_authenticator(number, options.unwrap_or_default());
            }
            Part::Reference => {
                let reference = answer.child("ref").and_then(Read::leaf_text).unwrap_or_default();
                self.send_prologue(number, reference);
            }
            Part::Nonce => self.show_passkey_code(number),
            Part::Prologue | Part::Sealed => {}
        }
    }

    fn send_prologue(&mut self, attempt: u64, reference: &str) {
        if reference.is_empty() {
            return self.end_attempt("PASSKEY_REFUSED", "WhatsApp names no attempt behind the passkey");
        }
        let stage = self.attempt_mut(attempt).and_then(|attempt| attempt.passkey.as_ref());
        let Some(Stage::Answered { compare, .. }) = stage else { return };
        let step = Step::Prologue { reference: reference.to_owned(), prove: !compare };
        self.ask_crypto(CryptoRequest::Passkey(step), Purpose::Passkey { attempt, sealing: None });
    }

    /// `<notification type=crsc_continuation>`: the phone's part.
    pub(super) fn on_passkey_continued(&mut self, stanza: &Stanza) {
        let Some(attempt) = self.attempt_number().filter(|_| is_from_server(stanza)) else { return };
        let stage = self.attempt_mut(attempt).and_then(|attempt| attempt.passkey.as_mut());
        let Some(Stage::Answered { agreement, .. }) = stage else { return };
        if *agreement != Agreement::Offered {
            return;
        }
        *agreement = Agreement::Met;
        let primary = stanza.child("primary_ephemeral_identity").and_then(Read::leaf).unwrap_or_default();
        let step = Step::Meet { primary: primary.to_vec() };
        self.ask_crypto(CryptoRequest::Passkey(step), Purpose::Passkey { attempt, sealing: None });
    }

    pub(super) fn on_passkey_made(&mut self, number: u64, sealing: Option<(u64, u64)>, made: Option<Made>) {
        let stage = self.attempt_mut(number).and_then(|attempt| attempt.passkey.as_mut());
        match (made, stage, sealing) {
            (Some(Made::Sealed { changes, sealed }), _, Some((slot, link))) => {
                self.send_sealed(number, (slot, link), changes, sealed);
            }
            (
                Some(Made::Prologue { prologue, proof }),
                Some(Stage::Answered { assertion, agreement, .. }),
                _,
            ) => {
                *agreement = Agreement::Offered;
                let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
                let mut parts = vec![
                    leaf("credential_id", assertion.credential.clone()),
                    leaf("webauthn_assertion", assertion.json()),
                    leaf("prologue_payload", prologue),
                ];
                parts.extend(proof.map(|proof| leaf("pairing_handoff_proof", proof.to_vec())));
                let prologue = Builder::new("passkey_prologue").children(parts);
                self.request_passkey(number, Part::Prologue, prologue);
            }
            (Some(Made::Met { nonce, code }), Some(stage @ Stage::Answered { .. }), _) => {
                if let Stage::Answered { assertion, compare, .. } = stage {
                    *stage = Stage::Showing { code, assertion: assertion.clone(), compare: *compare };
                }
                let nonce = Builder::new("companion_nonce").bytes(nonce.to_vec());
                self.request_passkey(number, Part::Nonce, nonce);
            }
            (None, Some(_), sealing) => {
                if let Some((slot, _)) = sealing {
                    self.lane.fill(slot, Pending::default());
                }
                self.end_attempt("PASSKEY_REFUSED", "the phone's part behind the passkey is of no use");
            }
            (_, _, sealing) => {
                if let Some((slot, _)) = sealing {
                    self.lane.fill(slot, Pending::default());
                }
            }
        }
    }

    /// The phone has our nonce, and with it the code.
    fn show_passkey_code(&mut self, number: u64) {
        let expires = self.passkey_lasts();
        let stage = self.attempt_mut(number).and_then(|attempt| attempt.passkey.as_ref());
        let Some(Stage::Showing { code, compare, .. }) = stage else { return };
        let (code, compare) = (code.clone(), *compare);
        self.effects.push(Effect::Pairing(PairingUpdate::PasskeyCode { code, compare, expires }));
        if !compare {
            self.seal_passkey(number);
        }
    }

    fn seal_passkey(&mut self, number: u64) {
        let Some(link) = self.connection.up() else { return };
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.passkey = Some(Stage::Same);
        }
        let slot = self.lane.open();
        let purpose = Purpose::Passkey { attempt: number, sealing: Some((slot, link)) };
        self.ask_crypto(CryptoRequest::Passkey(Step::Seal), purpose);
    }

    /// The last part, behind the commit of the secret in it.
    fn send_sealed(&mut self, attempt: u64, to: (u64, u64), changes: Vec<StateChange>, sealed: Vec<u8>) {
        let (slot, link) = to;
        let mut outcome = with_state(changes);
        if self.attempt_mut(attempt).is_some() && self.connection.up() == Some(link) {
            let id = self.expect_answer(Asked::Passkey { attempt, part: Part::Sealed });
            let sealed = Builder::new("encrypted_pairing_request").bytes(sealed).build();
            let request = iq::request(&id, "set", "md", server_jid()).children([sealed]).build();
            outcome.after.extend(encode(&request).map(|bytes| After::Wire(link, bytes)));
        }
        self.lane.fill(slot, outcome);
    }
}
