//! The listener: TLS and plain HTTP on one port.
//!
//! What must hold: a peer that does not speak is given up; when descriptors run out, the server waits and
//! goes on.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::server::Shared;

/// How long a peer may take for TLS.
const TLS_LIMIT: Duration = Duration::from_secs(10);

/// Accepts until the server stops.
pub(super) async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (tls, shared) = (tls.clone(), shared.clone());
                shared.tasks.clone().spawn(async move {
                    if let Err(error) = greet(stream, tls, shared).await {
                        tracing::debug!(%error, "a peer left early");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: let some connections end first.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// TLS opens with a record of type 22; everything else is plain HTTP, for clients that rewrite addresses.
async fn greet(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    tokio::time::timeout(TLS_LIMIT, stream.peek(&mut first)).await??;
    if first[0] == 22 {
        let stream = tokio::time::timeout(TLS_LIMIT, tls.accept(stream)).await??;
        http(stream, shared).await;
    } else {
        http(stream, shared).await;
    }
    Ok(())
}

/// HTTP, and what it is upgraded to, on one connection until that ends.
pub(super) async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Arc<Shared>) {
    let service = hyper_util::service::TowerToHyperService::new(super::admin::router(shared.clone()));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60)).max_buf_size(64 * 1024);
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        biased;
        () = shared.stopping.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}
