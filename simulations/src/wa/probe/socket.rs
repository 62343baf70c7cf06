//! A [`Probe`] on a real socket: TLS, WebSocket, frames, Noise, by the client half of `proto`.
//!
//! What must hold: the server is verified by both its TLS authority and its Noise root before the probe
//! says who it is; every wait has a limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use roost_node::outside::wall_clock;
use roost_proto::frame::{self, FrameDecoder};
use roost_proto::noise::{ClientHandshake, Transport};
use roost_proto::stanza::{self, Stanza};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use super::Probe;

/// How long a step may take; busy machines are slow.
const LIMIT: Duration = Duration::from_secs(20);

/// A probe and its connection.
pub struct SocketProbe {
    /// The device.
    pub probe: Probe,
    socket: WebSocketStream<TlsStream<TcpStream>>,
    transport: Transport,
    decoder: FrameDecoder,
    frames: Vec<Bytes>,
}

/// Why a probe is not connected (any more), or did not see what it waited for.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// TCP or TLS.
    #[error("the server was not reached")]
    Io(#[from] std::io::Error),
    /// The WebSocket broke.
    #[error("the WebSocket broke")]
    WebSocket(#[from] tokio_websockets::Error),
    /// The server closed.
    #[error("the server closed the connection")]
    Closed,
    /// Malformed frames.
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] roost_proto::noise::HandshakeError),
    /// A frame did not decrypt.
    #[error(transparent)]
    Transport(#[from] roost_proto::noise::TransportError),
    /// A stanza was malformed.
    #[error(transparent)]
    Stanza(#[from] stanza::StanzaError),
    /// It took too long; the last stanza that came meanwhile.
    #[error("waited in vain for {0}; the last stanza was {1}")]
    Late(&'static str, String),
}

/// Trust in one server's TLS authority.
///
/// # Panics
/// When `ca_pem` is not a certificate: it comes from the server of the same test.
pub fn trust(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl SocketProbe {
    /// Connects and finishes the handshake: registration before pairing, login after.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn connect(
        probe: Probe,
        addr: SocketAddr,
        tls: Arc<ClientConfig>,
        root: &[u8; 32],
    ) -> Result<Self, ProbeError> {
        let late = |_| ProbeError::Late("the connection", String::new());
        timeout(LIMIT, Self::dial(probe, addr, tls, root)).await.map_err(late)?
    }

    async fn dial(
        mut probe: Probe,
        addr: SocketAddr,
        tls: Arc<ClientConfig>,
        root: &[u8; 32],
    ) -> Result<Self, ProbeError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        let uri = "wss://localhost/ws/chat";
        let (mut socket, _) = ClientBuilder::new().uri(uri).expect("a URI").connect_on(stream).await?;
        let (handshake, hello) = ClientHandshake::new(&mut probe.rng);
        socket.send(Message::binary(frame::opening(None, &hello)?)).await?;
        let mut frames = Vec::new();
        let mut decoder = FrameDecoder::new(frame::MAX_PAYLOAD);
        while frames.is_empty() {
            let message = socket.next().await.ok_or(ProbeError::Closed)??;
            decoder.push(message.as_payload(), &mut frames)?;
        }
        let verified = handshake.read_server_hello(&frames.remove(0), root, wall_clock()())?;
        let (finish, transport) = verified.finish(probe.keys.noise(), &probe.payload())?;
        let mut bytes = Vec::new();
        frame::encode(&finish, &mut bytes)?;
        socket.send(Message::binary(bytes)).await?;
        Ok(Self { probe, socket, transport, decoder, frames })
    }

    /// Writes one stanza.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn say(&mut self, stanza: &Stanza) -> Result<(), ProbeError> {
        let frame = self.transport.sealer.seal(&stanza::encode(stanza)?)?;
        Ok(self.socket.send(Message::binary(frame)).await?)
    }

    /// Writes a text message, as no client does.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn say_text(&mut self, text: &str) -> Result<(), ProbeError> {
        Ok(self.socket.send(Message::text(text.to_owned())).await?)
    }

    /// Reads, answers what must be answered, and returns the first stanza after which `done` holds.
    ///
    /// # Errors
    /// [`ProbeError::Late`] after 20 s, or what broke the connection.
    pub async fn until(
        &mut self,
        what: &'static str,
        mut done: impl FnMut(&Probe, &Stanza) -> bool,
    ) -> Result<Stanza, ProbeError> {
        let mut last = String::from("none");
        let wait = async {
            loop {
                let stanza = self.next().await?;
                for answer in self.probe.take(&stanza) {
                    self.say(&answer).await?;
                }
                last = format!("{:.300?}", stanza);
                if done(&self.probe, &stanza) {
                    return Ok(stanza);
                }
            }
        };
        let ended = timeout(LIMIT, wait).await;
        ended.unwrap_or_else(|_| Err(ProbeError::Late(what, last)))
    }

    async fn next(&mut self) -> Result<Stanza, ProbeError> {
        while self.frames.is_empty() {
            let message = self.socket.next().await.ok_or(ProbeError::Closed)??;
            if message.is_close() {
                return Err(ProbeError::Closed);
            }
            self.decoder.push(message.as_payload(), &mut self.frames)?;
        }
        let frame = self.frames.remove(0);
        Ok(stanza::decode(&self.transport.opener.open(&frame)?)?)
    }

    /// Leaves without a word and gives the device back.
    pub fn leave(self) -> Probe {
        self.probe
    }
}
