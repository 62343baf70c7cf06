//! An authenticator in software: one credential of one account, as a phone or a security key keeps it, and the
//! browser in front of it.
//!
//! What must hold: it signs as W3C Web Authentication says (ES256: ECDSA on P-256 over SHA-256), for the page of
//! WhatsApp and no other. It asks nobody for consent: it stands for a person who always gives it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use rand::CryptoRng;
use roost_proto::passkey::{Assertion, AssertionRequest, RequestError};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::passkey::{ORIGIN, Passkey, RELYING_PARTY, USER_PRESENT, USER_VERIFIED};

/// Bytes of a credential's id.
const ID: usize = 16;

/// A credential and who uses it.
#[derive(Clone)]
pub struct Authenticator {
    credential: [u8; ID],
    key: SigningKey,
    signed: u32,
    /// What it says of the person who was asked.
    flags: u8,
    origin: String,
}

impl Authenticator {
    /// A new credential.
    pub fn new<R: CryptoRng>(rng: &mut R) -> Authenticator {
        let mut credential = [0; ID];
        rng.fill_bytes(&mut credential);
        let key = loop {
            let mut scalar = [0; 32];
            rng.fill_bytes(&mut scalar);
            // All but one in 2^32 are less than the order of the curve.
            if let Ok(key) = SigningKey::from_slice(&scalar) {
                break key;
            }
        };
        let origin = ORIGIN.to_owned();
        Authenticator { credential, key, signed: 0, flags: USER_PRESENT | USER_VERIFIED, origin }
    }

    /// What WhatsApp keeps of it.
    pub fn passkey(&self) -> Passkey {
        Passkey::new(self.credential.to_vec(), *self.key.verifying_key())
    }

    /// The same credential, used by a page of another origin.
    #[must_use]
    pub fn on_page(mut self, origin: &str) -> Authenticator {
        self.origin = origin.to_owned();
        self
    }

    /// The same credential, used by somebody who did not unlock it.
    #[must_use]
    pub fn without_verification(mut self) -> Authenticator {
        self.flags = USER_PRESENT;
        self
    }

    /// Answers `PublicKeyCredentialRequestOptions` with a `PublicKeyCredential`, both JSON.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn answer(&mut self, options: &str) -> Result<String, RequestError> {
        let request = AssertionRequest::read(options.as_bytes())?;
        let challenge = URL_SAFE_NO_PAD.encode(&request.challenge);
        let client_data = json!({
            "type": "webauthn.get", "challenge": challenge, "origin": self.origin, "crossOrigin": false,
        });
        let client_data = client_data.to_string().into_bytes();
        self.signed += 1;
        let mut authenticator_data = Sha256::digest(RELYING_PARTY).to_vec();
        authenticator_data.push(self.flags);
        authenticator_data.extend(self.signed.to_be_bytes());
        let message = [&authenticator_data[..], &Sha256::digest(&client_data)].concat();
        let signature: DerSignature = self.key.sign(&message);
        let assertion = Assertion {
            credential: self.credential.to_vec(),
            client_data,
            authenticator_data,
            signature: signature.as_bytes().to_vec(),
            user: None,
        };
        Ok(String::from_utf8(assertion.json()).expect("JSON is UTF-8"))
    }
}
