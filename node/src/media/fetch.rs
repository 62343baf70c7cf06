//! Downloading a file from WhatsApp's media hosts, decrypted on its way unless everybody may read it.
//!
//! What must hold: after a broken connection the next host goes on where the last one ended, and hashes and MAC
//! still cover the whole; no host holds a download up for long; the host never comes from a message, whose sender must not choose whom we ask; what
//! was handed on counts only after the end.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_RANGE, ORIGIN, RANGE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use roost_proto::media::{AnyFile, Opener};

use super::Media;
use super::http::{HttpError, nothing, piece};
use super::offer::{WEB_ORIGIN, may_pass};
use super::pace::Pace;
use super::problem::MediaProblem;

/// Where files are when no device can say it.
const HOST: &str = "mmg.whatsapp.net";
/// Failures in a row, without a byte between them, that are borne.
const TRIES: usize = 6;
/// Hosts that may be too slow, one after the other.
const SLOW: usize = 2;
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often hosts are asked whether a file is there.
const LOOKS: usize = 3;
/// What a host says that has dropped a file.
const GONE: [StatusCode; 3] = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE];
/// WhatsApp's own limit for a file, with room for what encryption adds.
const LARGEST: u64 = (2 << 30) + 64;

/// How a download ended, beside its failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Whole and verified: so many bytes.
    Whole(u64),
    /// The hosts do not have it any more: ask the phone, and go on with the new path.
    Gone(u16),
}

/// A download that may go on elsewhere.
pub struct Download {
    opener: Opener,
    /// Bytes of the blob so far.
    received: u64,
}

impl Download {
    /// Nothing yet.
    pub fn new(file: &AnyFile) -> Download {
        Download { opener: Opener::new(file), received: 0 }
    }
}

/// Takes a file in order, as far as it has come.
#[async_trait]
pub trait Taker: Send {
    /// Why it takes no more, or what the download failed with.
    type Error: From<MediaProblem> + Send;
    /// The next piece.
    async fn take(&mut self, piece: Bytes) -> Result<(), Self::Error>;
}

/// Whether the hosts still have a file: asked of one after the other, for its first byte.
///
/// # Errors
/// [`MediaProblem::HostsFailed`] when none of them says it.
pub async fn is_there(media: &Media, hosts: &[String], file: &AnyFile) -> Result<bool, MediaProblem> {
    let fallback = [HOST.to_owned()];
    let hosts = if hosts.is_empty() { &fallback[..] } else { hosts };
    let mut last = String::new();
    for (place, host) in hosts.iter().cycle().take(LOOKS).enumerate() {
        if place > 0 {
            tokio::time::sleep(FIRST_PAUSE.mul_f64(media.dice.between(0.5, 1.5))).await;
        }
        last = match ask(media, host, file, Some("bytes=0-0".to_owned())).await.map(|answer| answer.status())
        {
            Ok(status) if GONE.contains(&status) => return Ok(false),
            Ok(status) if status.is_success() => return Ok(true),
            Ok(status) => format!("{host}: status {status}"),
            Err(error) => format!("{host}: {error}"),
        };
    }
    Err(MediaProblem::HostsFailed(last))
}

/// Downloads from the first host that gives it. `download` keeps what is there when the file is gone halfway.
pub async fn fetch<T: Taker>(
    media: &Media,
    hosts: &[String],
    file: &AnyFile,
    download: &mut Option<Download>,
    taker: &mut T,
) -> Result<Fetched, T::Error> {
    let fallback = [HOST.to_owned()];
    let hosts = if hosts.is_empty() { &fallback[..] } else { hosts };
    let going = download.get_or_insert_with(|| Download::new(file));
    let (mut failures, mut pause, mut last) = (0, FIRST_PAUSE, String::new());
    let (mut next, mut slow, mut pace) = (0, 0, Pace::default());
    while failures < TRIES && slow < SLOW {
        if failures > 0 {
            tokio::time::sleep(pause.mul_f64(media.dice.between(0.5, 1.5))).await;
            pause *= 2;
        }
        let host = &hosts[next % hosts.len()];
        next += 1;
        let from = going.received;
        let span = (from > 0).then(|| format!("bytes={from}-"));
        let asked = pace.wait(ask(media, host, file, span)).await;
        let why = match asked.unwrap_or(Err(HttpError::Late)) {
            Ok(answer) => match answer.status() {
                status if GONE.contains(&status) => return Ok(Fetched::Gone(status.as_u16())),
                status if follows(&answer, from) => {
                    let whole = length_told(&answer);
                    let mut body = answer.into_body();
                    match read(&mut body, going, status, &mut pace, taker).await? {
                        None if whole.is_some_and(|whole| going.received < whole) => {
                            "it gave a part alone".to_owned()
                        }
                        None => {
                            let Download { opener, .. } = download.take().expect("it is going on");
                            let mut rest = Vec::new();
                            let whole = opener.finish(&mut rest);
                            let whole = whole.map_err(MediaProblem::Corrupt)?;
                            taker.take(rest.into()).await?;
                            return Ok(Fetched::Whole(whole));
                        }
                        Some(why) => why.to_string(),
                    }
                }
                status if may_pass(status) => format!("status {status}"),
                status => format!("an answer that does not fit: {status}"),
            },
            Err(error) => error.to_string(),
        };
        if going.received > from {
            (failures, pause) = (0, FIRST_PAUSE);
        }
        failures += 1;
        if pace.is_over() {
            (slow, pace) = (slow + 1, Pace::default());
        }
        last = format!("{host}: {why}");
        tracing::info!(why = last, failures, "a download of media failed; the next host is tried");
    }
    Err(MediaProblem::HostsFailed(last).into())
}

async fn ask(
    media: &Media,
    host: &str,
    file: &AnyFile,
    span: Option<String>,
) -> Result<Response<Incoming>, HttpError> {
    let (direct_path, kind) = (file.direct_path(), file.kind().path());
    let joint = if direct_path.contains('?') { '&' } else { '?' };
    let hash = match file {
        AnyFile::Sealed(file) => format!("{}%3D", URL_SAFE_NO_PAD.encode(file.hashes.sealed)),
        // whatsmeow names none either.
        AnyFile::Plain(_) => String::new(),
    };
    let path = format!("{direct_path}{joint}hash={hash}&mms-type={kind}&__wa-mms=");
    let mut request =
        Request::get(format!("{}://{host}{path}", media.http.scheme())).header(ORIGIN, WEB_ORIGIN);
    if let Some(span) = span {
        request = request.header(RANGE, span);
    }
    let request = request.body(nothing()).map_err(|_| HttpError::Address(host.to_owned()))?;
    media.http.send(request).await
}

/// Whether an answer goes on where we are.
fn follows(answer: &Response<Incoming>, from: u64) -> bool {
    let begins = format!("bytes {from}-");
    let span = answer.headers().get(CONTENT_RANGE).and_then(|span| span.to_str().ok());
    match answer.status() {
        // From the beginning: what we have is left out.
        StatusCode::OK => true,
        StatusCode::PARTIAL_CONTENT => span.is_some_and(|span| span.starts_with(&begins)),
        _ => false,
    }
}

/// How long the whole is of which an answer gives a part; `None` when it does not say so.
fn length_told(answer: &Response<Incoming>) -> Option<u64> {
    answer.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// Reads to the end (`None`) or until the connection fails.
async fn read<T: Taker>(
    body: &mut Incoming,
    going: &mut Download,
    status: StatusCode,
    pace: &mut Pace,
    taker: &mut T,
) -> Result<Option<HttpError>, T::Error> {
    let mut known = if status == StatusCode::OK { going.received } else { 0 };
    let mut plain = Vec::new();
    loop {
        let piece = match pace.wait(piece(body)).await.unwrap_or(Err(HttpError::Late)) {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        let skip = usize::try_from(known).unwrap_or(usize::MAX).min(piece.len());
        known -= skip as u64;
        let piece = &piece[skip..];
        going.received += piece.len() as u64;
        pace.passed(piece.len());
        if going.received > LARGEST {
            return Err(MediaProblem::Endless { most: LARGEST }.into());
        }
        going.opener.update(piece, &mut plain);
        if !plain.is_empty() {
            taker.take(std::mem::take(&mut plain).into()).await?;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use roost_proto::media::{Encryptor, File, MediaKey, MediaKind};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::Instant;

    use super::super::{Folder, HttpClient, MediaOptions};
    use super::*;
    use crate::outside::{Connect, Dice, Duplex, Network};

    /// How a host behaves.
    #[derive(Clone, Copy)]
    pub(in crate::media) enum Manner {
        /// It gives so many bytes of what was asked for, and says which.
        Parts(usize),
        /// It gives one byte of a long answer every so often.
        Drips(Duration),
    }

    /// Hosts that all have one blob.
    struct Hosts {
        blob: Vec<u8>,
        manners: Vec<(String, Manner)>,
    }

    #[async_trait]
    impl Connect for Hosts {
        async fn connect(&self, host: &str, _port: u16) -> std::io::Result<Box<dyn Duplex>> {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let known = self.manners.iter().find(|(name, _)| name == host);
            let (blob, (_, manner)) = (self.blob.clone(), known.expect("one of them").clone());
            tokio::spawn(async move { _ = answer(theirs, &blob, manner).await });
            Ok(Box::new(ours))
        }
    }

    async fn answer(mut to: DuplexStream, blob: &[u8], manner: Manner) -> std::io::Result<()> {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(to.read_u8().await?);
        }
        let asked = String::from_utf8_lossy(&asked).to_lowercase();
        let from = asked.split("bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
        let (from, whole) = (from.unwrap_or(0_usize), blob.len());
        match manner {
            Manner::Parts(most) => {
                let end = whole.min(from + most);
                let span = format!("bytes {from}-{}/{whole}", end - 1);
                let length = end - from;
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: {span}\r\ncontent-length: {length}\r\n\r\n"
                );
                to.write_all(head.as_bytes()).await?;
                to.write_all(&blob[from..end]).await?;
            }
            Manner::Drips(pause) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {whole}\r\n\r\n");
                to.write_all(head.as_bytes()).await?;
                for byte in blob {
                    let never = std::future::pending::<()>();
                    _ = tokio::time::timeout(pause, never).await;
                    to.write_all(&[*byte]).await?;
                }
            }
        }
        to.shutdown().await
    }

    struct Taken(Vec<u8>);

    #[async_trait]
    impl Taker for Taken {
        type Error = MediaProblem;

        async fn take(&mut self, piece: Bytes) -> Result<(), MediaProblem> {
            self.0.extend(piece);
            Ok(())
        }
    }

    /// A file of 10,000 bytes on hosts that behave so: what fetches it, the hosts, where it is, and what it says.
    pub(in crate::media) fn served(manners: &[Manner]) -> (Media, Vec<String>, File, Vec<u8>) {
        let (key, kind) = (MediaKey::generate(&mut rand::rng()), MediaKind::History);
        let plain: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        let (mut encryptor, mut blob) = (Encryptor::new(&key, kind), Vec::new());
        encryptor.update(&plain, &mut blob);
        let hashes = encryptor.finish(&mut blob).hashes;
        let file = File { kind, key, hashes, direct_path: "/v/x".to_owned() };
        let manners: Vec<(String, Manner)> =
            (0..).zip(manners).map(|(n, manner)| (format!("host{n}"), *manner)).collect();
        let hosts = manners.iter().map(|(host, _)| host.clone()).collect();
        let network = Network::Other(Arc::new(Hosts { blob, manners }));
        let http = Arc::new(HttpClient::new(None, network));
        let media = Media::new(MediaOptions::default(), Arc::new(Folder::new("none")), http, Dice::default());
        (media, hosts, file, plain)
    }

    /// Downloads it; what comes of it, and whether it is the file.
    async fn downloaded(manners: &[Manner]) -> (Result<Fetched, MediaProblem>, bool) {
        let (media, hosts, file, plain) = served(manners);
        let mut taken = Taken(Vec::new());
        let fetched = fetch(&media, &hosts, &AnyFile::Sealed(file), &mut None, &mut taken).await;
        (fetched, taken.0 == plain)
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_gives_parts_is_asked_until_the_file_is_whole() {
        for most in [1_000, 9_999, 20_000] {
            let (fetched, right) = downloaded(&[Manner::Parts(most)]).await;
            assert!(matches!(fetched, Ok(Fetched::Whole(10_000))) && right, "{most}: {fetched:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_gives_a_byte_now_and_then_is_left() {
        let begun = Instant::now();
        let drips = Manner::Drips(Duration::from_secs(7));
        let (fetched, _) = downloaded(&[drips]).await;
        assert!(matches!(fetched, Err(MediaProblem::HostsFailed(_))), "{fetched:?}");
        assert!(begun.elapsed() < Duration::from_secs(150), "{:?}", begun.elapsed());
        let (fetched, right) = downloaded(&[drips, Manner::Parts(20_000)]).await;
        assert!(matches!(fetched, Ok(Fetched::Whole(10_000))) && right, "the next one gives it: {fetched:?}");
    }
}
