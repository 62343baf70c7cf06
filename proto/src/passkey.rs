//! Pairing that asks for a passkey: what WhatsApp asks an authenticator, what the authenticator answers, and
//! what companion and phone agree on after it.
//!
//! An account with a passkey does not trust a scanned code alone. WhatsApp asks the companion for a WebAuthn
//! assertion; then both sides exchange ephemeral keys, committed to before they are shown, so that a short
//! code tells whether somebody stands between; then the companion sends its keys and a new ADV secret under
//! what they share, and the rest is pairing as by QR code. Lengths, labels and JSON: what whatsmeow and
//! whatsapp-rust agree on.

mod agreement;
mod webauthn;

pub use agreement::{
    AgreementError, Companion, Met, PairingRequest, Primary, Prologue, handoff_proof, is_handoff_proof,
};
pub use webauthn::{Assertion, AssertionError, AssertionRequest, RequestError};
