//! A small HTTP client: one request on one connection, bodies in pieces both ways.
//!
//! What must hold: certificates are always checked, against the same authorities as WhatsApp's socket or the
//! public ones; every wait is bounded; redirects are not followed, so that a server cannot send us elsewhere.
//! It does not keep connections: what it moves is large.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use roost_actors::port::ProxyUri;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::blobs::Pieces;
use crate::outside::Network;
use crate::proxy::Proxy;

/// Time for TCP, TLS and the opening of HTTP.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
/// Time for a piece in either direction, and for the head of the answer after the last one.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Longest answer that is read as a whole.
const TEXT_LIMIT: usize = 64 << 10;

/// Body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It is not a URL that can be asked.
    #[error("{0} cannot be asked")]
    Address(String),
    /// No connection.
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// The answer is longer than it may be.
    #[error("an answer of more than {0} bytes")]
    TooLong(usize),
}

/// The client.
pub struct HttpClient {
    tls: Option<TlsConnector>,
    network: Network,
}

impl HttpClient {
    /// A client over this network that trusts what the connector trusts; without one it speaks to nobody over
    /// TLS.
    pub fn new(tls: Option<TlsConnector>, network: Network) -> HttpClient {
        HttpClient { tls, network }
    }

    /// One that trusts the same and goes through this proxy. As none keeps connections, it costs nothing to make.
    pub(super) fn through(&self, proxy: &ProxyUri) -> HttpClient {
        HttpClient { tls: self.tls.clone(), network: Network::Other(Arc::new(Proxy(proxy.clone()))) }
    }

    /// How WhatsApp's media hosts are spoken to: over TLS always, but for a simulation on the same machine.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What a URL answers to GET: the status, and the body, of which more than `most` bytes are refused. Whoever calls sets
    /// the limit of the time.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&'static str, &'static str)],
        most: usize,
    ) -> Result<(StatusCode, Vec<u8>), HttpError> {
        let request =
            headers.iter().fold(Request::get(url), |request, (name, value)| request.header(*name, *value));
        let request = request.body(nothing()).map_err(|_| HttpError::Address(url.to_owned()))?;
        let answer = self.send(request).await?;
        let (status, mut body) = (answer.status(), answer.into_body());
        let mut bytes = Vec::new();
        while let Some(piece) = piece(&mut body).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > most {
                return Err(HttpError::TooLong(most));
            }
        }
        Ok((status, bytes))
    }

    /// Sends a request to an absolute URL; the answer's body is still to be read.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, HttpError> {
        let uri = request.uri().clone();
        let bad = || HttpError::Address(uri.host().unwrap_or("it").to_owned());
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_| bad())?);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| bad())?;
        let opening = async {
            let tcp = self.network.connect(&host, port).await.map_err(HttpError::Connect)?;
            if !secure {
                return Ok::<_, HttpError>(tcp);
            }
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            let stream =
                self.tls.as_ref().ok_or_else(bad)?.connect(name, tcp).await.map_err(HttpError::Connect)?;
            Ok(Box::new(stream) as Box<dyn crate::outside::Duplex>)
        };
        let stream = tokio::time::timeout(OPEN_LIMIT, opening).await.map_err(|_| HttpError::Late)??;
        exchange(stream, request).await
    }
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Response<Incoming>, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let opening = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) =
        tokio::time::timeout(OPEN_LIMIT, opening).await.map_err(|_| HttpError::Late)??;
    // It ends when the answer is read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    });
    // Each piece that the server takes gives it time for the next, and the last for its answer.
    let (took, taken) = watch::channel(Instant::now());
    let request = request.map(|body| {
        let noted = body.map_frame(move |frame| {
            took.send_replace(Instant::now());
            frame
        });
        noted.boxed_unsync()
    });
    let answering = sender.send_request(request);
    tokio::pin!(answering);
    loop {
        let until = *taken.borrow() + IDLE_LIMIT;
        match tokio::time::timeout_at(until, &mut answering).await {
            Ok(answer) => return Ok(answer?),
            Err(_) if *taken.borrow() + IDLE_LIMIT <= until => return Err(HttpError::Late),
            Err(_) => {}
        }
    }
}

/// The next piece of an answer; `None` at its end.
pub(super) async fn piece(answer: &mut Incoming) -> Result<Option<Bytes>, HttpError> {
    loop {
        let frame = tokio::time::timeout(IDLE_LIMIT, answer.frame()).await.map_err(|_| HttpError::Late)?;
        match frame.transpose()?.map(Frame::into_data) {
            None => return Ok(None),
            Some(Ok(data)) => return Ok(Some(data)),
            // Trailers.
            Some(Err(_)) => {}
        }
    }
}

/// A short answer as a whole; what is beyond the limit is cut.
pub(super) async fn text(mut answer: Incoming) -> Result<Vec<u8>, HttpError> {
    let mut text = Vec::new();
    while let Some(piece) = piece(&mut answer).await?
        && text.len() < TEXT_LIMIT
    {
        text.extend_from_slice(&piece);
    }
    text.truncate(TEXT_LIMIT);
    Ok(text)
}

/// No body.
pub(super) fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is here.
pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces. A server that takes none of them for too long ends it.
pub(super) fn streamed(pieces: Pieces) -> Body {
    StreamBody::new(Frames(pieces)).boxed_unsync()
}

struct Frames(Pieces);

impl Stream for Frames {
    type Item = std::io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What comes of a request to a server that reads so many bytes of it and says nothing.
    async fn silence(body: Body, reads: usize) -> (Result<Response<Incoming>, HttpError>, Duration) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        let server = tokio::spawn(async move {
            let mut read = vec![0; reads];
            _ = theirs.read_exact(&mut read).await;
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        let request = Request::put("/file").header(HOST, "media").body(body).expect("a request");
        let answer = exchange(ours, request).await;
        server.abort();
        (answer, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_a_request_and_never_answers_is_left() {
        for (body, reads) in [(nothing(), 10), (whole(Bytes::from(vec![0; 1 << 20])), 10)] {
            let (answer, after) = silence(body, reads).await;
            assert!(matches!(answer, Err(HttpError::Late)), "{answer:?}");
            assert!(after < IDLE_LIMIT * 2, "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_taken_slowly_is_given_time() {
        let pieces = futures_util::stream::unfold(0, |number| async move {
            _ = tokio::time::timeout(IDLE_LIMIT / 2, std::future::pending::<()>()).await;
            (number < 6).then(|| (Ok(Bytes::from_static(b"piece")), number + 1))
        });
        let (answer, after) = silence(streamed(Box::pin(pieces)), 1 << 20).await;
        assert!(matches!(answer, Err(HttpError::Late)), "{answer:?}");
        assert!(after > IDLE_LIMIT * 3, "{after:?}");
    }
}
