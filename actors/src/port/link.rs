//! A link to WhatsApp: opened, written, read.

use async_trait::async_trait;
use bytes::Bytes;

use super::ProxyUri;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side closed, or the network did.
    #[error("the link is closed: {0}")]
    Closed(String),
    /// It could not be opened in time.
    #[error("the link could not be opened: {0}")]
    Dial(String),
    /// The proxy of the device lets nothing through.
    #[error("its proxy {proxy} let nothing through: {why}")]
    Proxy {
        /// Which.
        proxy: ProxyUri,
        /// Why.
        why: String,
    },
}

/// The writing half of a link: one WebSocket message per call, in order.
#[async_trait]
pub trait LinkSink: Send {
    /// Hands the bytes to the transport.
    async fn send(&mut self, bytes: Bytes) -> Result<(), LinkError>;
    /// Closes in order; errors do not matter any more.
    async fn close(&mut self);
}

/// The reading half of a link.
#[async_trait]
pub trait LinkSource: Send {
    /// The next WebSocket message. Cancel safe.
    async fn recv(&mut self) -> Result<Bytes, LinkError>;
}

/// Opens links to WhatsApp: TCP, TLS and WebSocket, nothing of Noise.
#[async_trait]
pub trait Dialer: Send + Sync + 'static {
    /// Opens one link, bounded in time by the adapter: through this proxy, or the way that all go.
    async fn dial(
        &self,
        via: Option<&ProxyUri>,
    ) -> Result<(Box<dyn LinkSink>, Box<dyn LinkSource>), LinkError>;
    /// Root public key (32 bytes) that the server's certificate chain must lead to.
    fn root_key(&self) -> [u8; 32];
}
