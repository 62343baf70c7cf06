//! Accounts with a passkey: a companion is linked only after an authenticator of the account has answered.
//!
//! What must hold: the server checks the assertion as W3C Web Authentication says (section 7.2), apart from the
//! counter: challenge, origin, relying party, presence and verification, signature. The phone takes nothing that was
//! not committed to or sealed for it. Without a proof that the companion showed the scanned code, it shows a code to
//! compare; that it is the companion that waits for the person then is what the clients say. Which codes the real
//! server refuses with is not known: 400 for what is malformed and 401 for a wrong assertion are guesses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use rand::Rng as _;
use roost_proto::id::UnixMillis;
use roost_proto::passkey::{Assertion, Met, Primary, Prologue, RequestError, is_handoff_proof};
use roost_proto::stanza::{Builder, Read as _, Stanza, iq, server_jid};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::account::{Pn, seconds};
use super::authenticator::Authenticator;
use super::machine::{Connection, ConnectionId, Machine, Refusal};

/// Whose passkeys they are.
pub(super) const RELYING_PARTY: &str = "web.whatsapp.com";
/// The page that may use them.
pub(super) const ORIGIN: &str = "https://web.whatsapp.com";
/// Flags of authenticator data.
pub(super) const USER_PRESENT: u8 = 1;
pub(super) const USER_VERIFIED: u8 = 1 << 2;
/// What a phone takes to look at the keys of a new companion. A guess; it is never at once.
const THOUGHT_MS: i64 = 250;

/// What the server keeps of an authenticator.
#[derive(Debug, Clone)]
pub struct Passkey {
    credential: Vec<u8>,
    key: VerifyingKey,
}

impl Passkey {
    pub(super) fn new(credential: Vec<u8>, key: VerifyingKey) -> Passkey {
        Passkey { credential, key }
    }

    /// What is wrong with an assertion, if anything is.
    fn fault(&self, assertion: &Assertion, challenge: &[u8]) -> Option<&'static str> {
        let Assertion { credential, client_data, authenticator_data, signature, .. } = assertion;
        let Some((answered, origin)) = assertion.said() else { return Some("its client data is malformed") };
        let Some((party, rest)) = authenticator_data.split_first_chunk::<32>() else {
            return Some("its authenticator data is too short");
        };
        let needed = USER_PRESENT | USER_VERIFIED;
        let message = [&authenticator_data[..], &Sha256::digest(client_data)].concat();
        let signature = DerSignature::try_from(&signature[..]);
        if *credential != self.credential {
            Some("it is of another credential")
        } else if answered != challenge {
            Some("it answers another challenge")
        } else if origin != ORIGIN {
            Some("it is for another page")
        } else if party[..] != Sha256::digest(RELYING_PARTY)[..] || rest.len() < 5 {
            Some("it is for another party")
        } else if rest[0] & needed != needed {
            Some("nobody was there, or nobody unlocked it")
        } else if !signature.is_ok_and(|signature| self.key.verify(&message, &signature).is_ok()) {
            Some("its signature does not fit")
        } else {
            None
        }
    }
}

/// A scanned code whose account has a passkey.
pub(super) struct Demand {
    pn: Pn,
    passkey: Passkey,
    challenge: [u8; 32],
    /// From the scanned code: what a proof is checked with.
    scanned: [u8; 32],
    /// Names that were given to the attempt.
    references: Vec<String>,
    stage: Stage,
}

enum Stage {
    Asked,
    /// The assertion was right.
    Answered(Box<Answered>),
    /// Both sides can compare, and the request may come.
    Met(Box<Met>),
}

struct Answered {
    prologue: Prologue,
    primary: Primary,
    /// The companion has proved that it showed the scanned code.
    proved: bool,
}

impl Demand {
    fn options(&self) -> Vec<u8> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let credential = text(&self.passkey.credential);
        let options = json!({
            "challenge": text(&self.challenge), "timeout": 60_000, "rpId": RELYING_PARTY,
            "allowCredentials": [{"id": credential, "type": "public-key", "transports": ["internal", "hybrid"]}],
            "userVerification": "required", "extensions": {},
        });
        options.to_string().into_bytes()
    }
}

impl Machine {
    /// From now on the account has this passkey, and links nobody without it. It is not kept across restarts.
    pub fn take_passkey(&mut self, pn: Pn, passkey: Passkey) {
        if let Some(account) = self.accounts.get_mut(&pn) {
            account.passkey = Some(passkey);
        }
    }

    /// The phone makes a passkey of its own, and from now on the account links nobody without it.
    pub fn make_passkey(&mut self, pn: Pn) {
        let authenticator = Authenticator::new(&mut self.rng);
        self.take_passkey(pn, authenticator.passkey());
        if let Some(account) = self.accounts.get_mut(&pn) {
            account.authenticator = Some(authenticator);
        }
    }

    /// The phone's own passkey.
    pub fn authenticator(&self, pn: Pn) -> Option<&Authenticator> {
        self.accounts.get(&pn)?.authenticator.as_ref()
    }

    /// The phone answers options with its passkey; `None` when it has none.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn use_passkey(&mut self, pn: Pn, options: &str) -> Option<Result<String, RequestError>> {
        let account = self.accounts.get_mut(&pn)?;
        account.authenticator.as_mut().map(|authenticator| authenticator.answer(options))
    }

    /// The code that the phone shows to be compared, if it shows one.
    pub fn passkey_code(&self, pn: Pn) -> Option<String> {
        self.accounts.get(&pn)?.passkey_code.clone()
    }

    /// Asks for the passkey, if the account has one; says whether it does.
    pub(super) fn demand_passkey(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        pn: Pn,
        scanned: [u8; 32],
    ) -> bool {
        let Some(passkey) = self.account(pn).passkey.clone() else { return false };
        let mut challenge = [0; 32];
        self.rng.fill_bytes(&mut challenge);
        let demand = Demand { pn, passkey, challenge, scanned, references: Vec::new(), stage: Stage::Asked };
        let options = Builder::new("passkey_request_options").bytes(demand.options()).build();
        if let Some(Connection::Pairing { demand: place, .. }) = self.connections.get_mut(&connection) {
            *place = Some(Box::new(demand));
        }
        self.notify_unpaired(now, connection, "passkey_prologue_request", options);
        true
    }

    pub(super) fn notify_unpaired(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        kind: &'static str,
        child: Stanza,
    ) {
        let notification = Builder::new("notification")
            .attr("type", kind)
            .attr("from", server_jid())
            .attr("id", self.server_id())
            .attr("t", seconds(now))
            .children([child]);
        self.send(now, connection, notification.build());
    }

    /// A request of a companion that is being paired, if it is about a passkey: what is wrong with it.
    pub(super) fn passkey_query(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
    ) -> Option<Result<(), Refusal>> {
        let child = stanza.all().first()?;
        let tag = &*child.tag;
        if !matches!(
            tag,
            "ref"
                | "passkey_request_options"
                | "passkey_prologue"
                | "companion_nonce"
                | "encrypted_pairing_request"
        ) {
            return None;
        }
        let Some(Connection::Pairing { demand, .. }) = self.connections.get_mut(&connection) else {
            return None;
        };
        // Taken while it is looked at; what goes on puts it back.
        let Some(mut demand) = demand.take() else {
            self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
            return Some(Err("nobody with a passkey has scanned the code".into()));
        };
        let outcome = match tag {
            "ref" => Ok(vec![self.name_attempt(&mut demand)]),
            "passkey_request_options" => {
                Ok(vec![Builder::new("passkey_request_options").bytes(demand.options()).build()])
            }
            "passkey_prologue" => self.take_prologue(connection, &mut demand, child),
            "companion_nonce" => self.take_nonce(&mut demand, child),
            _ => return Some(self.take_request(now, connection, &demand, stanza, child)),
        };
        let (answered, outcome) = match outcome {
            Ok(children) => (iq::result(stanza).children(children).build(), Ok(())),
            Err((code, why)) => (iq::error(stanza, &iq::Refused::new(code)), Err(why.into())),
        };
        self.send(now, connection, answered);
        if outcome.is_ok()
            && let ("passkey_prologue", Stage::Answered(answered)) = (tag, &demand.stage)
        {
            let identity = answered.primary.identity();
            let identity = Builder::new("primary_ephemeral_identity").bytes(identity).build();
            self.notify_unpaired(now, connection, "crsc_continuation", identity);
        }
        if let Some(Connection::Pairing { demand: place, .. }) = self.connections.get_mut(&connection) {
            *place = Some(demand);
        }
        Some(outcome)
    }

    fn name_attempt(&mut self, demand: &mut Demand) -> Stanza {
        let reference = self.reference();
        let named = Builder::new("ref").bytes(reference.as_bytes()).build();
        demand.references.push(reference);
        named
    }

    fn take_prologue(
        &mut self,
        connection: ConnectionId,
        demand: &mut Demand,
        part: &Stanza,
    ) -> Result<Vec<Stanza>, (u16, &'static str)> {
        let leaf = |tag| part.child(tag).and_then(|child| child.leaf());
        let (Some(credential), Some(assertion), Some(payload)) =
            (leaf("credential_id"), leaf("webauthn_assertion"), leaf("prologue_payload"))
        else {
            return Err((400, "a passkey_prologue without all of its parts"));
        };
        let assertion = Assertion::read(assertion).map_err(|_| (400, "a malformed assertion"))?;
        let prologue = Prologue::read(payload).map_err(|_| (400, "a malformed prologue"))?;
        if credential != assertion.credential {
            return Err((400, "another credential than that of the assertion"));
        }
        let platform = match self.connections.get(&connection) {
            Some(Connection::Pairing { registration, .. }) => registration.platform.number(),
            _ => return Err((400, "a connection that is not being paired")),
        };
        if prologue.platform != platform || !demand.references.contains(&prologue.reference) {
            return Err((400, "a prologue of another device, or of another attempt"));
        }
        if let Some(fault) = demand.passkey.fault(&assertion, &demand.challenge) {
            return Err((401, fault));
        }
        let proved = match leaf("pairing_handoff_proof") {
            None => false,
            Some(proof) if is_handoff_proof(proof, &demand.scanned, payload) => true,
            Some(_) => return Err((401, "the proof is not of the code that was scanned")),
        };
        let primary = Primary::new(&mut self.rng);
        demand.stage = Stage::Answered(Box::new(Answered { prologue, primary, proved }));
        Ok(Vec::new())
    }

    fn take_nonce(&mut self, demand: &mut Demand, part: &Stanza) -> Result<Vec<Stanza>, (u16, &'static str)> {
        let Stage::Answered(answered) = &demand.stage else {
            return Err((400, "a nonce before the passkey"));
        };
        let nonce: Option<[u8; 32]> = part.leaf().and_then(|nonce| nonce.try_into().ok());
        let nonce = nonce.filter(|nonce| answered.prologue.is_kept_by(nonce));
        let nonce = nonce.ok_or((400, "not the nonce that was committed to"))?;
        let met = answered.primary.meet(&answered.prologue, &nonce);
        let met = met.map_err(|_| (400, "a key that gives no secret"))?;
        let code = (!answered.proved).then(|| met.code.to_string());
        self.account_mut(demand.pn).passkey_code = code;
        demand.stage = Stage::Met(Box::new(met));
        Ok(Vec::new())
    }

    /// The last part. Whatever comes of it, the demand is over.
    fn take_request(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        demand: &Demand,
        stanza: &Stanza,
        part: &Stanza,
    ) -> Result<(), Refusal> {
        let request = match &demand.stage {
            Stage::Met(met) => met.open(part.leaf().unwrap_or_default()).map_err(|error| error.to_string()),
            _ => Err("a pairing request before both sides have met".to_owned()),
        };
        let (registration, noise) = match self.connections.get(&connection) {
            Some(Connection::Pairing { registration, noise, .. }) => ((**registration).clone(), *noise),
            _ => return Err("a connection that is not being paired".into()),
        };
        let fits = request.and_then(|request| {
            let same = request.noise == noise && request.identity == registration.identity;
            if same { Ok(request) } else { Err("other keys than those of the connection".to_owned()) }
        });
        self.account_mut(demand.pn).passkey_code = None;
        match fits {
            Ok(request) => {
                self.send(now, connection, iq::result(stanza).build());
                // whatsapp-rust changes to the new secret when it hears that the request has come.
                let then = UnixMillis(now.0 + THOUGHT_MS);
                let done =
                    self.phone_accepts(then, connection, registration, noise, &request.adv_secret, demand.pn);
                done.map(drop).map_err(|error| error.to_string().into())
            }
            Err(why) => {
                self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
                Err(why.into())
            }
        }
    }
}
