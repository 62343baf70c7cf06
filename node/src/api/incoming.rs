//! Accepted connections, whatever network they come from, as the server wants to have them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::{Connected, TcpIncoming};

use crate::outside::Duplex;

/// Connections as they come.
pub(super) struct Incoming(BoxStream<'static, io::Result<Accepted>>);

impl Incoming {
    /// Those of a port of this machine. Small answers are not delayed on them.
    pub(super) fn tcp(address: SocketAddr) -> io::Result<(Incoming, SocketAddr)> {
        let incoming = TcpIncoming::bind(address)?;
        let bound = incoming.local_addr()?;
        let incoming = incoming.with_nodelay(Some(true));
        Ok((Incoming::from_streams(incoming.map(|accepted| accepted.map(|tcp| Box::new(tcp) as _))), bound))
    }

    /// Those of another network.
    pub(super) fn from_streams(
        streams: impl Stream<Item = io::Result<Box<dyn Duplex>>> + Send + 'static,
    ) -> Incoming {
        Incoming(streams.map(|accepted| accepted.map(Accepted)).boxed())
    }
}

impl Stream for Incoming {
    type Item = io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// One connection. Nothing is known of the other side: callers are known by what they say.
pub(super) struct Accepted(Box<dyn Duplex>);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
