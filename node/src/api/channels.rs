//! Connections to other nodes: one per address, opened when needed, bounded in number.
//!
//! What must hold: a connection attempt and a silent connection end within seconds, so that a frozen or
//! unreachable peer delays a call but never holds it; addresses come from the membership rows only.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

use crate::outside::{Connect, Duplex, Network};

/// Most connections that are kept. More peers than this share the rest of a process's life badly, but
/// still work: a connection is dropped for the new one.
const MAX_PEERS: usize = 256;
/// Largest answer of another node. What WhatsApp answers has at most 16 MiB packed, and is handed on unpacked; a report
/// grows with what a node runs.
pub const LARGEST: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
const KEEPALIVE: Duration = Duration::from_millis(1000);

/// The connections of one node.
#[derive(Debug, Default)]
pub struct Channels {
    open: Mutex<BTreeMap<String, Channel>>,
    network: Network,
}

impl Channels {
    /// No connection yet; they go over this network.
    pub fn new(network: Network) -> Channels {
        Channels { network, ..Channels::default() }
    }

    /// The connection to `host:port`; `None` when that is no address. Connects with the first call.
    pub fn to(&self, address: &str) -> Option<Channel> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(address) {
            return Some(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .ok()?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let channel = connect_lazy(&endpoint, &self.network);
        if open.len() >= MAX_PEERS {
            open.pop_first();
        }
        open.insert(address.to_owned(), channel.clone());
        Some(channel)
    }

    /// Forgets connections to addresses that no member has.
    pub fn keep(&self, living: impl Fn(&str) -> bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|address, _| living(address));
    }
}

/// A connection that opens with its first call.
pub(crate) fn connect_lazy(endpoint: &Endpoint, network: &Network) -> Channel {
    match network {
        Network::System => endpoint.connect_lazy(),
        Network::Other(network) => endpoint.connect_with_connector_lazy(Connector(network.clone())),
    }
}

/// Another network than the system's, as the transport asks for it.
struct Connector(Arc<dyn Connect>);

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Duplex>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let network = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            Ok(TokioIo::new(network.connect(host, uri.port_u16().unwrap_or(80)).await?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_kept_per_address_and_bounded() {
        let channels = Channels::default();
        for port in 1..=u16::try_from(MAX_PEERS + 10).expect("small") {
            assert!(channels.to(&format!("127.0.0.1:{port}")).is_some());
        }
        assert_eq!(channels.open.lock().expect("not poisoned").len(), MAX_PEERS);
        channels.keep(|address| address == "127.0.0.1:266");
        assert_eq!(channels.open.lock().expect("not poisoned").len(), 1);
        assert!(channels.to("not an address").is_none());
    }
}
