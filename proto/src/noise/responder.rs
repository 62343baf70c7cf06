//! The server's side of the handshake, for simulations: XX, IK, and XXfallback after a failed IK.
//!
//! Which of the three is told by the client's hello: with a static key it is an IK attempt. One that does
//! not decrypt (the client remembers another server key) is answered with XXfallback, never with plain XX,
//! which would send such clients into an endless loop.

use rand::CryptoRng;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};

use super::symmetric::{IK, Symmetric, XX, XX_FALLBACK};
use super::transport::Transport;
use super::{HandshakeError, parse, public};
use crate::signal::KeyPair;

/// How the two sides came to their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// The whole handshake.
    Xx,
    /// Resumed: the client knew the server's key.
    Ik,
    /// The client tried to resume and was answered with the whole handshake.
    XxFallback,
}

/// What a server answers handshakes with: its static key and the certificate chain for it.
#[derive(Debug, Clone)]
pub struct Responder {
    static_key: KeyPair,
    chain: Vec<u8>,
    accept_ik: bool,
}

/// The answer to a client's hello.
pub enum ServerStep {
    /// XX or XXfallback: send `hello`, then the client's finish is due.
    Reply {
        /// The payload of the server's first frame.
        hello: Vec<u8>,
        /// Which of the two.
        pattern: Pattern,
        /// Reads the client's next frame.
        next: AwaitsFinish,
    },
    /// IK: send `hello`; the client is known already and the connection is up.
    Accepted {
        /// The payload of the server's first frame.
        hello: Vec<u8>,
        /// Who it is.
        accepted: Box<Accepted>,
    },
}

/// The server's hello is made; the client's finish is due.
pub struct AwaitsFinish {
    pattern: Pattern,
    state: Symmetric,
    ephemeral: KeyPair,
}

/// A finished handshake, seen by the server.
pub struct Accepted {
    /// The device's Noise key: the credential of its later logins.
    pub client_static: [u8; 32],
    /// The login or registration payload ([`crate::login::parse`]).
    pub payload: Vec<u8>,
    /// The ciphers of the connection.
    pub transport: Transport,
    /// How it came about.
    pub pattern: Pattern,
}

impl Responder {
    /// A server with this static key. `chain` is [`crate::cert::issue`]d for its public half. `accept_ik`
    /// false answers every IK hello with the fallback.
    pub fn new(static_key: KeyPair, chain: Vec<u8>, accept_ik: bool) -> Self {
        Self { static_key, chain, accept_ik }
    }

    /// The same server, answering every IK hello with the fallback.
    pub fn refusing_ik(&self) -> Self {
        Self { accept_ik: false, ..self.clone() }
    }

    /// Reads a client's first frame and makes the answer.
    ///
    /// # Errors
    /// [`HandshakeError`] when the hello is malformed; a refused IK is not an error.
    pub fn read_client_hello<R: CryptoRng>(
        &self,
        bytes: &[u8],
        rng: &mut R,
    ) -> Result<ServerStep, HandshakeError> {
        let message = parse(bytes)?;
        let hello =
            message.client_hello.as_option().ok_or(HandshakeError::Malformed("not a client hello"))?;
        let client_ephemeral = public(hello.ephemeral.as_deref())?;
        let ephemeral = KeyPair::generate(rng);
        let resumes = hello.r#static.as_deref().is_some_and(|s| !s.is_empty());
        if resumes && self.accept_ik {
            match self.read_ik(hello, &client_ephemeral) {
                Ok((state, client_static, payload)) => {
                    return self.accept_ik(state, ephemeral, client_ephemeral, client_static, payload);
                }
                Err(HandshakeError::Decrypt) => {}
                Err(other) => return Err(other),
            }
        }
        let (pattern, name) = if resumes { (Pattern::XxFallback, XX_FALLBACK) } else { (Pattern::Xx, XX) };
        let mut state = Symmetric::new(name);
        state.mix_hash(&client_ephemeral);
        state.mix_hash(ephemeral.public());
        state.mix_dh(ephemeral.private(), &client_ephemeral)?;
        let sealed_static = state.encrypt(self.static_key.public());
        state.mix_dh(self.static_key.private(), &client_ephemeral)?;
        let sealed_chain = state.encrypt(&self.chain);
        let hello = server_hello(ephemeral.public(), Some(sealed_static), sealed_chain);
        Ok(ServerStep::Reply { hello, pattern, next: AwaitsFinish { pattern, state, ephemeral } })
    }

    fn read_ik(
        &self,
        hello: &ClientHello,
        client_ephemeral: &[u8; 32],
    ) -> Result<(Symmetric, [u8; 32], Vec<u8>), HandshakeError> {
        let mut state = Symmetric::new(IK);
        state.mix_hash(self.static_key.public());
        state.mix_hash(client_ephemeral);
        state.mix_dh(self.static_key.private(), client_ephemeral)?;
        let client_static = state.decrypt_key(hello.r#static.as_deref().unwrap_or_default())?;
        state.mix_dh(self.static_key.private(), &client_static)?;
        let payload = state.decrypt(hello.payload.as_deref().unwrap_or_default())?;
        Ok((state, client_static, payload))
    }

    fn accept_ik(
        &self,
        mut state: Symmetric,
        ephemeral: KeyPair,
        client_ephemeral: [u8; 32],
        client_static: [u8; 32],
        payload: Vec<u8>,
    ) -> Result<ServerStep, HandshakeError> {
        state.mix_hash(ephemeral.public());
        state.mix_dh(ephemeral.private(), &client_ephemeral)?;
        state.mix_dh(ephemeral.private(), &client_static)?;
        let sealed = state.encrypt(&self.chain);
        let hello = server_hello(ephemeral.public(), None, sealed);
        let (to_server, to_client) = state.split();
        let transport = Transport::new(&to_client, &to_server);
        let accepted = Accepted { client_static, payload, transport, pattern: Pattern::Ik };
        Ok(ServerStep::Accepted { hello, accepted: Box::new(accepted) })
    }
}

impl AwaitsFinish {
    /// Reads the client's second frame. There is no answer: the server's next frame is encrypted already.
    ///
    /// # Errors
    /// [`HandshakeError`] when the finish is malformed or does not decrypt.
    pub fn read_client_finish(mut self, bytes: &[u8]) -> Result<Accepted, HandshakeError> {
        let message = parse(bytes)?;
        let finish =
            message.client_finish.as_option().ok_or(HandshakeError::Malformed("not a client finish"))?;
        let client_static = self.state.decrypt_key(finish.r#static.as_deref().unwrap_or_default())?;
        self.state.mix_dh(self.ephemeral.private(), &client_static)?;
        let payload = self.state.decrypt(finish.payload.as_deref().unwrap_or_default())?;
        let (to_server, to_client) = self.state.split();
        let transport = Transport::new(&to_client, &to_server);
        Ok(Accepted { client_static, payload, transport, pattern: self.pattern })
    }
}

fn server_hello(ephemeral: &[u8; 32], sealed_static: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    let hello = ServerHello {
        ephemeral: Some(ephemeral.to_vec()),
        r#static: sealed_static,
        payload: Some(payload),
        ..Default::default()
    };
    HandshakeMessage { server_hello: MessageField::some(hello), ..Default::default() }.encode_to_vec()
}
