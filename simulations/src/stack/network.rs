//! The simulated network, as nodes and callers reach it.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use futures_util::stream::unfold;
use roost_node::outside::{Connect, Duplex, Network};
use turmoil::net::{TcpListener, TcpStream};

use super::resets::ResetOnce;

/// The port of every API.
pub(super) const API: u16 = 7000;
/// The port of the simulated WhatsApp.
pub(super) const WHATSAPP: u16 = 8080;

struct Wire;

#[async_trait]
impl Connect for Wire {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Duplex>> {
        Ok(carrying(port, TcpStream::connect((host, port)).await?))
    }
}

/// A connection to a port, as both sides of it write.
fn carrying(port: u16, stream: TcpStream) -> Box<dyn Duplex> {
    match port {
        API => Box::new(ResetOnce::new(stream)),
        _ => Box::new(stream),
    }
}

/// The network of the host that uses it.
pub(super) fn network() -> Network {
    Network::Other(Arc::new(Wire))
}

/// Connections that come to a port of this host.
pub(super) async fn listen(port: u16) -> io::Result<impl Stream<Item = io::Result<Box<dyn Duplex>>> + Send> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    Ok(unfold((listener, port), async |(listener, port)| {
        let accepted = listener.accept().await.map(|(stream, _)| carrying(port, stream));
        Some((accepted, (listener, port)))
    }))
}
