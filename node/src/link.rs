//! The way to WhatsApp: TCP, TLS and WebSocket, as the devices' `Dialer`.
//!
//! What must hold: the server's certificate is always checked, against the public authorities or those
//! of the configuration; opening is bounded in time and a message in size. Noise and frames are above
//! it; one call of `send` is one binary WebSocket message.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{HeaderValue, ORIGIN};
use http::uri::{InvalidUri, Uri};
use roost_actors::port::{Dialer, LinkError, LinkSink, LinkSource, ProxyUri};
use roost_proto::{cert, frame};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};

use crate::media::HttpClient;
use crate::outside::{Connect as _, Network};
use crate::proxy::Proxy;

/// Where WhatsApp Web's clients connect.
pub const WHATSAPP_URL: &str = "wss://web.whatsapp.com/ws/chat";

/// What WhatsApp's clients send as `Origin`.
const WEB_ORIGIN: &str = "https://web.whatsapp.com";

/// Time for TCP, TLS and the upgrade together (the clients that WhatsApp knows give up after 20 s).
const OPEN_LIMIT: Duration = Duration::from_secs(20);

/// Time for one message to leave: a peer that does not read for so long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(20);

/// Time for a close in order.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Why there can be no dialer.
#[derive(Debug, thiserror::Error)]
pub enum LinkOptionsError {
    /// Not a URL.
    #[error("{url:?} is not a URL")]
    Url {
        /// As configured.
        url: String,
        /// Why.
        source: InvalidUri,
    },
    /// Neither `wss` nor `ws` with a host.
    #[error("{0} is not a WebSocket URL: it must begin with wss:// or ws:// and name a host")]
    Scheme(Uri),
    /// The file of authorities cannot be read.
    #[error("the certificate authorities in {path} cannot be read")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens links to one server.
#[derive(Clone)]
pub struct WhatsAppDialer {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    root_key: [u8; 32],
    network: Network,
}

impl WhatsAppDialer {
    /// `authorities` is a PEM file to trust instead of the public authorities; `root_key` is the root of
    /// the server's Noise certificates, `None` for WhatsApp's own. A `ws` URL has no TLS and is meant for
    /// a proxy or a simulation on the same machine.
    pub fn new(
        url: &str,
        authorities: Option<PathBuf>,
        root_key: Option<[u8; 32]>,
    ) -> Result<WhatsAppDialer, LinkOptionsError> {
        let parsed: Uri =
            url.parse().map_err(|source| LinkOptionsError::Url { url: url.to_owned(), source })?;
        let default_port = match parsed.scheme_str() {
            Some("wss") => 443,
            Some("ws") => 80,
            _ => return Err(LinkOptionsError::Scheme(parsed)),
        };
        let Some(host) = parsed.host().map(|host| host.trim_matches(['[', ']']).to_owned()) else {
            return Err(LinkOptionsError::Scheme(parsed));
        };
        let port = parsed.port_u16().unwrap_or(default_port);
        let tls = if default_port == 443 { Some(TlsConnector::from(tls_config(authorities)?)) } else { None };
        let root_key = root_key.unwrap_or(cert::WHATSAPP_ROOT);
        Ok(WhatsAppDialer { url: parsed, host, port, tls, root_key, network: Network::default() })
    }

    /// The same over another network than this machine's.
    pub fn over(mut self, network: Network) -> WhatsAppDialer {
        self.network = network;
        self
    }

    /// A client for WhatsApp's media hosts: over the same network, trusting the same authorities.
    pub fn media_client(&self) -> HttpClient {
        HttpClient::new(self.tls.clone(), self.network.clone())
    }

    async fn open(&self, via: Option<&ProxyUri>) -> Result<Halves, LinkError> {
        let dial = |what: &str, why: &dyn std::fmt::Display| LinkError::Dial(format!("{what}: {why}"));
        let tcp = match via {
            Some(proxy) => Proxy(proxy.clone())
                .connect(&self.host, self.port)
                .await
                .map_err(|error| LinkError::Proxy { proxy: proxy.clone(), why: error.to_string() })?,
            None => self.network.connect(&self.host, self.port).await.map_err(|e| dial("TCP", &e))?,
        };
        let Some(tls) = &self.tls else { return self.upgrade(tcp).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|e| dial("TLS", &e))?;
        let stream = tls.connect(name, tcp).await.map_err(|e| dial("TLS", &e))?;
        self.upgrade(stream).await
    }

    async fn upgrade<S>(&self, stream: S) -> Result<Halves, LinkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let dial = |why: &dyn std::fmt::Display| LinkError::Dial(format!("WebSocket: {why}"));
        // A message carries one frame: its payload and three bytes of length, after an opening.
        let limits = Limits::default().max_payload_len(Some(frame::MAX_PAYLOAD + 64));
        let builder = ClientBuilder::from_uri(self.url.clone()).limits(limits);
        let builder =
            builder.add_header(ORIGIN, HeaderValue::from_static(WEB_ORIGIN)).map_err(|e| dial(&e))?;
        let (socket, _) = builder.connect_on(stream).await.map_err(|e| dial(&e))?;
        let (sink, source) = socket.split();
        Ok((Box::new(Sink(sink)), Box::new(Source(source))))
    }
}

type Halves = (Box<dyn LinkSink>, Box<dyn LinkSource>);

#[async_trait]
impl Dialer for WhatsAppDialer {
    async fn dial(&self, via: Option<&ProxyUri>) -> Result<Halves, LinkError> {
        match tokio::time::timeout(OPEN_LIMIT, self.open(via)).await {
            Ok(opened) => opened,
            Err(_) => Err(LinkError::Dial(format!("nothing was open after {OPEN_LIMIT:?}"))),
        }
    }

    fn root_key(&self) -> [u8; 32] {
        self.root_key
    }
}

struct Sink<S>(SplitSink<WebSocketStream<S>, Message>);

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin> LinkSink for Sink<S> {
    async fn send(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        match tokio::time::timeout(SEND_LIMIT, self.0.send(Message::binary(bytes))).await {
            Ok(sent) => sent.map_err(|error| LinkError::Closed(error.to_string())),
            Err(_) => Err(LinkError::Closed(format!("a message did not leave within {SEND_LIMIT:?}"))),
        }
    }

    async fn close(&mut self) {
        if tokio::time::timeout(CLOSE_LIMIT, self.0.close()).await.is_err() {
            tracing::debug!("the other side did not let the link close in order");
        }
    }
}

struct Source<S>(SplitStream<WebSocketStream<S>>);

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin> LinkSource for Source<S> {
    async fn recv(&mut self) -> Result<Bytes, LinkError> {
        loop {
            match self.0.next().await {
                Some(Ok(message)) if message.is_binary() => return Ok(message.into_payload().into()),
                // Pings are answered below; text means nothing here.
                Some(Ok(message)) if !message.is_close() => {}
                Some(Ok(_)) | None => return Err(LinkError::Closed("the other side closed it".to_owned())),
                Some(Err(error)) => return Err(LinkError::Closed(error.to_string())),
            }
        }
    }
}

/// A client's side of TLS: the public authorities, or those of a file instead.
pub(crate) fn tls_config(authorities: Option<PathBuf>) -> Result<Arc<ClientConfig>, LinkOptionsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            let wrap = |source: Box<dyn std::error::Error + Send + Sync>| LinkOptionsError::Authorities {
                path: path.clone(),
                source,
            };
            for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| wrap(Box::new(e)))? {
                let certificate = certificate.map_err(|e| wrap(Box::new(e)))?;
                roots.add(certificate).map_err(|e| wrap(Box::new(e)))?;
            }
            if roots.is_empty() {
                return Err(wrap("there is no certificate in it".into()));
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_websockets::ServerBuilder;

    use super::*;

    #[test]
    fn only_websocket_urls_are_taken() {
        for bad in ["https://web.whatsapp.com", "web.whatsapp.com", "wss://", "not a url"] {
            assert!(WhatsAppDialer::new(bad, None, None).is_err(), "{bad}");
        }
        let dialer = WhatsAppDialer::new(WHATSAPP_URL, None, None).expect("the real one is fine");
        assert_eq!((dialer.host.as_str(), dialer.port), ("web.whatsapp.com", 443));
    }

    #[test]
    fn a_file_without_authorities_is_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let refused = WhatsAppDialer::new(WHATSAPP_URL, Some(file.path().to_owned()), None);
        let Err(error) = refused else { panic!("an empty file trusts nobody") };
        assert!(error.to_string().contains(&*file.path().to_string_lossy()));
    }

    #[tokio::test]
    async fn one_call_is_one_message_and_a_close_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.expect("somebody connects");
            let (request, mut socket) = ServerBuilder::new().accept(tcp).await.expect("an upgrade");
            assert_eq!(request.headers()[ORIGIN], WEB_ORIGIN);
            let message = socket.next().await.expect("a message").expect("a good one");
            socket.send(message).await.expect("it goes back");
            // The client may be gone before it has answered.
            let _ = socket.close().await;
        });
        let dialer = WhatsAppDialer::new(&format!("ws://{address}/ws/chat"), None, None).expect("a good URL");
        let (mut sink, mut source) = dialer.dial(None).await.expect("it opens");
        sink.send(Bytes::from_static(b"one frame")).await.expect("it leaves");
        assert_eq!(source.recv().await.expect("it comes back"), "one frame");
        assert!(matches!(source.recv().await, Err(LinkError::Closed(_))));
        drop((sink, source));
        server.await.expect("the server is content");
    }

    #[tokio::test]
    async fn a_server_of_a_stranger_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let dialer = WhatsAppDialer::new(&format!("wss://{address}/"), None, None).expect("a good URL");
        let server = tokio::spawn(async move { listener.accept().await.map(drop) });
        assert!(matches!(dialer.dial(None).await, Err(LinkError::Dial(why)) if why.starts_with("TLS")));
        server.await.expect("it ran").expect("somebody connected");
    }
}
