//! The client's XX handshake, one type per state: hello sent, server verified, finished.

use rand::CryptoRng;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello};

use super::symmetric::{Symmetric, XX};
use super::transport::Transport;
use super::{HandshakeError, parse, public};
use crate::cert::{self, CertError};
use crate::id::UnixMillis;
use crate::signal::KeyPair;

/// The hello is made; the server's answer is due.
pub struct ClientHandshake {
    state: Symmetric,
    ephemeral: KeyPair,
}

impl ClientHandshake {
    /// Starts a handshake; for which device is not said before the last message. The bytes are the payload
    /// of the first frame ([`crate::frame::opening`] puts the intro before it).
    pub fn new<R: CryptoRng>(rng: &mut R) -> (Self, Vec<u8>) {
        let ephemeral = KeyPair::generate(rng);
        let mut state = Symmetric::new(XX);
        // The specification would also mix the empty payload of this message; WhatsApp does not.
        state.mix_hash(ephemeral.public());
        let hello = ClientHello { ephemeral: Some(ephemeral.public().to_vec()), ..Default::default() };
        let message = HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() };
        (Self { state, ephemeral }, message.encode_to_vec())
    }

    /// Reads the server's answer and verifies its certificate chain against `root` (32 bytes, XEdDSA) at
    /// the time `now`.
    ///
    /// # Errors
    /// [`HandshakeError`]: the connection must be closed, nothing secret was sent.
    pub fn read_server_hello(
        mut self,
        bytes: &[u8],
        root: &[u8; 32],
        now: UnixMillis,
    ) -> Result<VerifiedServer, HandshakeError> {
        let message = parse(bytes)?;
        let hello =
            message.server_hello.as_option().ok_or(HandshakeError::Malformed("not a server hello"))?;
        let server_ephemeral = public(hello.ephemeral.as_deref())?;
        let state = &mut self.state;
        state.mix_hash(&server_ephemeral);
        state.mix_dh(self.ephemeral.private(), &server_ephemeral)?;
        let server_static = state.decrypt_key(hello.r#static.as_deref().unwrap_or_default())?;
        state.mix_dh(self.ephemeral.private(), &server_static)?;
        let chain = state.decrypt(hello.payload.as_deref().unwrap_or_default())?;
        let leaf = cert::verify(&chain, root, now)?;
        if leaf != server_static {
            return Err(CertError::OtherKey.into());
        }
        Ok(VerifiedServer { state: self.state, server_ephemeral })
    }
}

/// Proof that the server at the other end is WhatsApp's (or the simulation's, if that root was passed).
/// Nothing has identified the device yet; dropping this value leaves no trace of it at the server.
pub struct VerifiedServer {
    state: Symmetric,
    server_ephemeral: [u8; 32],
}

impl VerifiedServer {
    /// Makes the last message, which carries `payload` (a [`crate::login`] payload) and logs in the device
    /// whose Noise key is `static_key` as soon as the server reads it, and the ciphers of the connection.
    ///
    /// # Errors
    /// [`HandshakeError::WeakKey`].
    pub fn finish(
        mut self,
        static_key: &KeyPair,
        payload: &[u8],
    ) -> Result<(Vec<u8>, Transport), HandshakeError> {
        let sealed_static = self.state.encrypt(static_key.public());
        self.state.mix_dh(static_key.private(), &self.server_ephemeral)?;
        let sealed_payload = self.state.encrypt(payload);
        let finish = ClientFinish {
            r#static: Some(sealed_static),
            payload: Some(sealed_payload),
            ..Default::default()
        };
        let message = HandshakeMessage { client_finish: MessageField::some(finish), ..Default::default() };
        let (to_server, to_client) = self.state.split();
        Ok((message.encode_to_vec(), Transport::new(&to_server, &to_client)))
    }
}

#[cfg(test)]
impl ClientHandshake {
    /// A client whose IK was refused, as the responder's tests need it.
    pub(super) fn resumed(state: Symmetric, ephemeral: KeyPair) -> Self {
        Self { state, ephemeral }
    }
}
