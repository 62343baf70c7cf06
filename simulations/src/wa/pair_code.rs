//! Pairing by a code: the companion shows it, a person types it on the phone.
//!
//! What must hold: the server only hands over what both sides encrypt; the phone learns from the last
//! message whether the code was right, and a wrong one leads to nothing, so that it can be typed again.

use roost_proto::id::UnixMillis;
use roost_proto::pair_code::{self, PairCode, PairCodeError, WRAPPED};
use roost_proto::signal::KeyPair;
use roost_proto::stanza::{Builder, Read as _, Stanza, iq, server_jid};

use super::account::{Pn, seconds};
use super::machine::{Connection, ConnectionId, Effect, Machine, Refusal};

/// An attempt of a companion to be paired by code.
pub(super) struct Hello {
    /// The phone that it names.
    pn: Pn,
    wrapped: Vec<u8>,
    reference: Vec<u8>,
    typed: Option<Typed>,
}

/// What the phone keeps once the code was typed: its ephemeral key and the companion's.
type Typed = (KeyPair, [u8; 32]);

/// Why typing a code led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TypeError {
    /// Not a code, or the companion's part is malformed.
    #[error(transparent)]
    Code(#[from] PairCodeError),
    /// No companion waits for this phone.
    #[error("no companion waits for a code on phone {0}")]
    Unknown(Pn),
    /// The phone waits for what the companion makes of the last code.
    #[error("a code was typed, and the companion has not answered yet")]
    Waiting,
}

impl Machine {
    /// A person types a code on the phone `pn`. Whether it was the right one shows when the companion
    /// answers.
    ///
    /// # Errors
    /// [`TypeError`]; nothing was sent.
    pub fn type_code(&mut self, now: UnixMillis, pn: Pn, code: &str) -> Result<((), Vec<Effect>), TypeError> {
        let code: PairCode = code.parse()?;
        let waiting = self.connections.iter().find_map(|(id, connection)| match connection {
            Connection::Pairing { hello: Some(hello), .. } if hello.pn == pn => Some((*id, &**hello)),
            _ => None,
        });
        let (connection, hello) = waiting.ok_or(TypeError::Unknown(pn))?;
        if hello.typed.is_some() {
            return Err(TypeError::Waiting);
        }
        let (wrapped, reference) = (hello.wrapped.clone(), hello.reference.clone());
        let theirs = code.unwrap(&wrapped)?;
        let pn = self.find_or_create(now, Some(pn), None);
        let ephemeral = KeyPair::generate(&mut self.rng);
        let wrapped = code.wrap(ephemeral.public(), &mut self.rng);
        let identity = *self.account(pn).phone.identity();
        let leaf = |tag: &'static str, bytes: Vec<u8>| Builder::new(tag).bytes(bytes).build();
        let primary = Builder::new("link_code_companion_reg").attr("stage", "primary_hello").children([
            leaf("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped.to_vec()),
            leaf("primary_identity_pub", identity.to_vec()),
            leaf("link_code_pairing_ref", reference),
        ]);
        let notification = Builder::new("notification")
            .attr("type", "link_code_companion_reg")
            .attr("from", server_jid())
            .attr("id", self.server_id())
            .attr("t", seconds(now))
            .children([primary.build()]);
        if let Some(Connection::Pairing { hello: Some(hello), .. }) = self.connections.get_mut(&connection) {
            hello.typed = Some((ephemeral, theirs));
        }
        self.send(now, connection, notification.build());
        Ok(((), self.settle_phones(now)))
    }

    /// `<iq><link_code_companion_reg stage/></iq>` of a companion that is being paired.
    pub(super) fn link_code(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
        part: &Stanza,
    ) -> Result<(), Refusal> {
        match part.text("stage").as_deref() {
            Some("companion_hello") => self.companion_hello(now, connection, stanza, part),
            Some("companion_finish") => self.companion_finish(now, connection, stanza, part),
            _ => {
                self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
                Err("an unknown stage of pairing by code".into())
            }
        }
    }

    fn companion_hello(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
        part: &Stanza,
    ) -> Result<(), Refusal> {
        let ours = match self.connections.get(&connection) {
            Some(Connection::Pairing { noise, .. }) => Some(*noise),
            _ => None,
        };
        let hello = ours
            .ok_or("a companion_hello of who is not being paired")
            .and_then(|ours| read_hello(part, &ours));
        let (pn, wrapped) = match hello {
            Ok(hello) => hello,
            Err(why) => {
                self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
                return Err(why.into());
            }
        };
        let reference = self.server_id().into_bytes();
        let answer = Builder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([Builder::new("link_code_pairing_ref").bytes(reference.clone()).build()]);
        if let Some(Connection::Pairing { hello, .. }) = self.connections.get_mut(&connection) {
            *hello = Some(Box::new(Hello { pn, wrapped, reference, typed: None }));
        }
        self.send(now, connection, iq::result(stanza).children([answer.build()]).build());
        Ok(())
    }

    fn companion_finish(
        &mut self,
        now: UnixMillis,
        connection: ConnectionId,
        stanza: &Stanza,
        part: &Stanza,
    ) -> Result<(), Refusal> {
        let said = match self.connections.get_mut(&connection) {
            Some(Connection::Pairing { hello: Some(hello), registration, noise, .. }) => {
                let said = read_finish(part, hello, &registration.identity);
                said.map(|said| (said, hello.pn, (**registration).clone(), *noise))
            }
            _ => Err("companion_finish before companion_hello"),
        };
        let ((bundle, (ephemeral, theirs)), pn, registration, noise) = match said {
            Ok(said) => said,
            Err(why) => {
                self.send(now, connection, iq::error(stanza, &iq::Refused::new(400)));
                return Err(why.into());
            }
        };
        let phone = self.account(pn).phone.identity_pair();
        let secret = pair_code::accept(&ephemeral, &theirs, phone, &registration.identity, bundle);
        self.send(now, connection, iq::result(stanza).build());
        match secret {
            Ok(secret) if self.demand_passkey(now, connection, pn, secret) => Ok(()),
            Ok(secret) => self
                .phone_accepts(now, connection, registration, noise, &secret, pn)
                .map(drop)
                .map_err(|error| error.to_string().into()),
            // The phone tells the person that the code was wrong, and waits for another.
            Err(error) => Err(error.to_string().into()),
        }
    }
}

/// The phone that a `companion_hello` names, and its wrapped key; or what is wrong with it. Which browsers and systems the
/// real server knows by name is not known, only that it wants both: `Chrome (Linux)`.
fn read_hello(part: &Stanza, noise: &[u8; 32]) -> Result<(Pn, Vec<u8>), &'static str> {
    let pn = part.jid("jid").and_then(|jid| jid.user.parse().ok());
    let pn = pn.ok_or("companion_hello names no phone")?;
    let wrapped = part.child("link_code_pairing_wrapped_companion_ephemeral_pub").and_then(|key| key.leaf());
    let wrapped = wrapped.filter(|wrapped| wrapped.len() == WRAPPED);
    let wrapped = wrapped.ok_or("companion_hello has no wrapped key of 80 bytes")?;
    if part.child("companion_server_auth_key_pub").and_then(|key| key.leaf()) != Some(&noise[..]) {
        return Err("companion_hello has another Noise key than its connection");
    }
    let client = part.child("companion_platform_id").and_then(|id| id.leaf_text());
    // As whatsmeow lists them: browsers and others, macOS, Android.
    if !client.is_some_and(|id| matches!(id.as_bytes(), [b'0'..=b'9' | b'c' | b'e'])) {
        return Err("companion_hello is of no sort of client that is known");
    }
    let shown = part.child("companion_platform_display").and_then(|name| name.leaf_text());
    let parts = shown.as_ref().and_then(|shown| shown.strip_suffix(')')?.split_once(" ("));
    if !parts.is_some_and(|(browser, system)| !browser.is_empty() && !system.is_empty()) {
        return Err("companion_hello shows no browser and system");
    }
    Ok((pn, wrapped.to_vec()))
}

/// The bundle that a `companion_finish` has for the phone, and what the phone has kept for it; or what is wrong. The phone
/// goes on waiting when anything is. That the server itself compares the identity with what was `registered` is a guess.
fn read_finish<'a>(
    part: &'a Stanza,
    hello: &mut Hello,
    registered: &[u8; 32],
) -> Result<(&'a [u8], Typed), &'static str> {
    if part.child("link_code_pairing_ref").and_then(|text| text.leaf()) != Some(&hello.reference[..]) {
        return Err("companion_finish has another reference than its companion_hello was given");
    }
    let identity = part.child("companion_identity_public").and_then(|key| key.leaf());
    if identity != Some(&registered[..]) {
        return Err("companion_finish has another identity than was registered");
    }
    let bundle = part.child("link_code_pairing_wrapped_key_bundle").and_then(|bundle| bundle.leaf());
    let bundle = bundle.ok_or("companion_finish has no bundle of keys")?;
    let typed = hello.typed.take().ok_or("companion_finish before a code was typed on the phone")?;
    Ok((bundle, typed))
}
