//! Uploading to WhatsApp's media hosts: an encrypted file, a file that is shown in newsletters, or a picture that
//! everybody may see.
//!
//! What must hold: the same file may be uploaded again at any time, so every failure may be tried again; hosts are
//! tried in the order that WhatsApp gave, or that the operator gave instead, and the budget of tries is bounded and jittered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{Request, StatusCode};
use roost_proto::ask::media::MediaHosts;
use roost_proto::media::{Decryptor, File, MediaKind, SealedError};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Media;
use super::blobs::{BlobError, BlobKey, Pieces};
use super::http::{Body, HttpError, streamed, text, whole};
use super::problem::MediaProblem;

/// Tries of one upload over all hosts.
const TRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// One upload to one host; a file of 100 MiB passes at 1.5 Mbit/s.
const LIMIT: Duration = Duration::from_secs(600);
/// What WhatsApp's web client is.
pub(super) const WEB_ORIGIN: &str = "https://web.whatsapp.com";

/// Where a picture that everybody may see belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// To a product of a catalog.
    Product,
    /// Above the profile of a business.
    Cover,
}

/// What the hosts say of an upload; of a cover picture all but the path and the handle, of a file for newsletters these two,
/// of everything else the path alone.
#[derive(Debug, Default, Deserialize)]
pub struct Uploaded {
    /// Where it is: begins with a slash.
    #[serde(default)]
    pub direct_path: String,
    /// What they call it.
    #[serde(default)]
    pub handle: String,
    /// The number of the picture, whether it came as a number or as a text.
    #[serde(default)]
    pub fbid: serde_json::Value,
    /// What shows that it was uploaded.
    #[serde(default)]
    pub meta_hmac: String,
    /// When, Unix seconds.
    #[serde(default)]
    pub ts: u64,
}

impl Uploaded {
    /// Whether it says what belongs to an upload of this form.
    fn serves(&self, form: Option<Shown>) -> bool {
        match form {
            Some(Shown::Cover) => !self.fbid.is_null() && !self.meta_hmac.is_empty(),
            _ => self.direct_path.starts_with('/'),
        }
    }
}

/// What is uploaded, and where to.
struct Upload<'a> {
    folder: String,
    bytes: Source<'a>,
    sha256: [u8; 32],
    length: u64,
    form: Option<Shown>,
}

enum Source<'a> {
    Stored(&'a BlobKey),
    /// What is in a stored blob.
    Opened(&'a BlobKey, &'a File),
    Here(Bytes),
}

/// What became of one try.
enum Tried {
    Done(Uploaded),
    /// Another host may take it.
    Next(String),
    /// The permission to upload is over.
    Unauthorised(u16),
    Refused(u16),
}

/// Why an upload was not taken.
#[derive(Debug)]
pub enum Unoffered {
    /// The hosts' `auth` was refused with this status: ask for new ones.
    Unauthorised(u16),
    /// Everything else.
    Problem(MediaProblem),
}

impl<E: Into<MediaProblem>> From<E> for Unoffered {
    fn from(error: E) -> Unoffered {
        Unoffered::Problem(error.into())
    }
}

/// Uploads a stored blob of this length, whose SHA-256 is given. Returns its direct path.
pub async fn offer(
    media: &Media,
    hosts: &MediaHosts,
    key: &BlobKey,
    kind: MediaKind,
    sha256: &[u8; 32],
    length: u64,
) -> Result<String, Unoffered> {
    let folder = format!("mms/{}", kind.path());
    let upload = Upload { folder, bytes: Source::Stored(key), sha256: *sha256, length, form: None };
    Ok(try_hosts(media, hosts, &upload).await?.direct_path)
}

/// Uploads what is in a stored blob as it is, for newsletters: so many bytes. Returns what the host says of it.
pub async fn publish(
    media: &Media,
    hosts: &MediaHosts,
    key: &BlobKey,
    file: &File,
    length: u64,
) -> Result<Uploaded, Unoffered> {
    let folder = format!("newsletter/newsletter-{}", file.kind.path());
    let (bytes, sha256) = (Source::Opened(key, file), file.hashes.plain);
    try_hosts(media, hosts, &Upload { folder, bytes, sha256, length, form: None }).await
}

/// Uploads a picture that everybody may see. Returns what the host says of it.
pub async fn show(
    media: &Media,
    hosts: &MediaHosts,
    form: Shown,
    picture: Bytes,
) -> Result<Uploaded, Unoffered> {
    let folder = match form {
        Shown::Product => "product/image",
        Shown::Cover => "pps/biz-cover-photo",
    };
    let (sha256, length) = (Sha256::digest(&picture).into(), picture.len() as u64);
    let bytes = Source::Here(picture);
    let upload = Upload { folder: folder.to_owned(), bytes, sha256, length, form: Some(form) };
    try_hosts(media, hosts, &upload).await
}

async fn try_hosts(media: &Media, hosts: &MediaHosts, upload: &Upload<'_>) -> Result<Uploaded, Unoffered> {
    let token = URL_SAFE_NO_PAD.encode(upload.sha256);
    let chosen = &media.options.upload_hosts;
    let to = if chosen.is_empty() { &hosts.hosts } else { chosen };
    let (mut last, mut pause) = (String::new(), FIRST_PAUSE);
    for attempt in 0..TRIES {
        let host = &to[attempt % to.len()];
        let broken = Broken::default();
        let body = match &upload.bytes {
            Source::Stored(key) => streamed(broken.watch(media.blobs.get(key).await?)),
            Source::Opened(key, file) => streamed(broken.watch(opened(media.blobs.get(key).await?, file))),
            Source::Here(bytes) => whole(bytes.clone()),
        };
        let scheme = media.http.scheme();
        let path = format!("/{}/{token}?auth={}&token={token}", upload.folder, escaped(&hosts.auth));
        let request = Request::post(format!("{scheme}://{host}{path}"))
            .header(CONTENT_LENGTH, upload.length)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(ORIGIN, WEB_ORIGIN)
            .body(body);
        let Ok(request) = request else { return Err(MediaProblem::HostsFailed(host.clone()).into()) };
        let tried = tokio::time::timeout(LIMIT, one(media, upload.form, request)).await;
        match tried.unwrap_or_else(|_| Ok(Tried::Next("it took too long".to_owned()))) {
            Ok(Tried::Done(uploaded)) => return Ok(uploaded),
            Ok(Tried::Unauthorised(status)) => {
                tracing::debug!(host, status, "the permission to upload media is over");
                return Err(Unoffered::Unauthorised(status));
            }
            Ok(Tried::Refused(status)) => return Err(MediaProblem::Refused(status).into()),
            Ok(Tried::Next(why)) => last = format!("{host}: {why}"),
            Err(error) => last = format!("{host}: {error}"),
        }
        if let Some(error) = broken.take() {
            return Err(error.into());
        }
        tracing::info!(why = last, attempt, "an upload of media failed; the next host is tried");
        if attempt + 1 < TRIES {
            tokio::time::sleep(pause.mul_f64(media.dice.between(0.5, 1.5))).await;
            pause *= 2;
        }
    }
    Err(MediaProblem::HostsFailed(last).into())
}

/// What was the matter with the pieces of our own store: another host gets no better ones.
#[derive(Default, Clone)]
struct Broken(Arc<Mutex<Option<std::io::Error>>>);

impl Broken {
    /// The same pieces; the error that ends them is kept.
    fn watch(&self, pieces: Pieces) -> Pieces {
        let kept = self.clone();
        Box::pin(pieces.map_err(move |error| {
            let told = std::io::Error::from(error.kind());
            *kept.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            told
        }))
    }

    fn take(&self) -> Option<MediaProblem> {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(match error.downcast::<SealedError>() {
            Ok(changed) => MediaProblem::Corrupt(changed),
            Err(error) => MediaProblem::Store(BlobError::unavailable(error)),
        })
    }
}

/// A blob decrypted on its way. It fails at its end when it is not the file that it should be.
fn opened(blob: Pieces, file: &File) -> Pieces {
    let (begin, hashes) = (Some((blob, Decryptor::new(&file.key, file.kind))), file.hashes);
    Box::pin(futures_util::stream::try_unfold(begin, move |going| async move {
        let Some((mut blob, mut decryptor)) = going else { return Ok(None) };
        let mut plain = Vec::new();
        while let Some(piece) = blob.try_next().await? {
            decryptor.update(&piece, &mut plain);
            if !plain.is_empty() {
                return Ok(Some((Bytes::from(plain), Some((blob, decryptor)))));
            }
        }
        decryptor.finish(&hashes, &mut plain).map_err(std::io::Error::other)?;
        Ok((!plain.is_empty()).then(|| (plain.into(), None)))
    }))
}

async fn one(media: &Media, form: Option<Shown>, request: Request<Body>) -> Result<Tried, HttpError> {
    let answer = media.http.send(request).await?;
    let status = answer.status();
    let body = text(answer.into_body()).await?;
    Ok(match status {
        StatusCode::OK => match serde_json::from_slice::<Uploaded>(&body) {
            Ok(uploaded) if uploaded.serves(form) => Tried::Done(uploaded),
            _ => Tried::Next("its answer cannot be read".to_owned()),
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Tried::Unauthorised(status.as_u16()),
        status if may_pass(status) => Tried::Next(format!("status {status}")),
        status => Tried::Refused(status.as_u16()),
    })
}

/// Whether another host, or the same one later, may do better.
pub(super) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || status.is_redirection()
}

/// For a query: everything but letters, digits and `-._~` as `%XX`.
pub(super) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;
    use roost_proto::media::{Encryptor, MediaKey};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::{BlobStore, HttpClient, MediaOptions};
    use super::*;
    use crate::outside::{Connect, Dice, Duplex, Network};

    /// Media hosts that read the head of a request and answer with this status.
    struct Answers(u16);

    #[async_trait]
    impl Connect for Answers {
        async fn connect(&self, _host: &str, _port: u16) -> std::io::Result<Box<dyn Duplex>> {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let answer = format!("HTTP/1.1 {} x\r\ncontent-length: 0\r\n\r\n", self.0);
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(theirs.read_u8().await?);
                }
                // All of the body, which may break before.
                let mut body = [0; 8];
                theirs.read_exact(&mut body).await?;
                theirs.write_all(answer.as_bytes()).await
            });
            Ok(Box::new(ours))
        }
    }

    /// A store with blobs of eight bytes, behind the fourth of which it may break.
    struct Halves(bool);

    #[async_trait]
    impl BlobStore for Halves {
        async fn put(&self, _: &BlobKey, _: &Path) -> Result<(), BlobError> {
            Ok(())
        }

        async fn get(&self, _: &BlobKey) -> Result<Pieces, BlobError> {
            let second = match self.0 {
                true => Err(std::io::ErrorKind::ConnectionReset.into()),
                false => Ok(Bytes::from_static(b"5678")),
            };
            Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"1234")), second])))
        }

        async fn delete(&self, _: &BlobKey) -> Result<(), BlobError> {
            Ok(())
        }
    }

    /// What becomes of the upload of a blob.
    async fn offered(status: u16, breaks: bool) -> Result<String, Unoffered> {
        let http = Arc::new(HttpClient::new(None, Network::Other(Arc::new(Answers(status)))));
        let media =
            Media::new(MediaOptions::default(), Arc::new(Halves(breaks)), http, Dice::seeded([1; 32]));
        let (auth, hosts) = ("auth".to_owned(), vec!["host".to_owned()]);
        let hosts = MediaHosts { auth, hosts, ttl: Duration::from_secs(60) };
        let key = BlobKey { tenant: "acme".parse().expect("an id"), id: "one".to_owned() };
        offer(&media, &hosts, &key, MediaKind::Document, &[1; 32], 8).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_says_who_has_failed() {
        let ours = offered(200, true).await;
        assert!(matches!(ours, Err(Unoffered::Problem(MediaProblem::Store(_)))), "{ours:?}");
        let theirs = offered(503, false).await;
        assert!(matches!(theirs, Err(Unoffered::Problem(MediaProblem::HostsFailed(_)))), "{theirs:?}");
        for status in [401, 403] {
            let refused = offered(status, false).await;
            assert!(matches!(refused, Err(Unoffered::Unauthorised(said)) if said == status), "{refused:?}");
        }
        let refused = offered(400, false).await;
        assert!(matches!(refused, Err(Unoffered::Problem(MediaProblem::Refused(400)))), "{refused:?}");
    }

    #[test]
    fn an_upload_is_done_when_its_answer_says_what_belongs_to_it() {
        let said = |json: &str| serde_json::from_str::<Uploaded>(json).expect("JSON");
        let path = said(r#"{"direct_path":"/v/1?oh=1"}"#);
        assert!(path.serves(None) && path.serves(Some(Shown::Product)) && !path.serves(Some(Shown::Cover)));
        for cover in [r#"{"fbid":7,"meta_hmac":"x","ts":5}"#, r#"{"fbid":"7","meta_hmac":"x"}"#] {
            assert!(said(cover).serves(Some(Shown::Cover)) && !said(cover).serves(None), "{cover}");
        }
        assert!(!said(r#"{"fbid":7}"#).serves(Some(Shown::Cover)));
    }

    #[tokio::test]
    async fn a_stored_file_is_published_as_it_is_and_a_broken_one_is_not() {
        let (key, kind) = (MediaKey::generate(&mut rand::rng()), MediaKind::Document);
        let plain: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let (mut encryptor, mut blob) = (Encryptor::new(&key, kind), Vec::new());
        encryptor.update(&plain, &mut blob);
        let hashes = encryptor.finish(&mut blob).hashes;
        let file = File { kind, key, hashes, direct_path: String::new() };
        let read = async |blob: &[u8]| {
            let pieces: Vec<_> = blob.chunks(999).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let pieces = opened(Box::pin(futures_util::stream::iter(pieces)), &file);
            pieces.try_collect::<Vec<Bytes>>().await.map(|pieces| pieces.concat())
        };
        assert_eq!(read(&blob).await.expect("whole"), plain);
        assert!(read(&blob[..blob.len() - 16]).await.is_err(), "cut short");
        blob[5000] ^= 1;
        assert!(read(&blob).await.is_err(), "other bytes");
    }

    #[test]
    fn a_query_holds_nothing_that_ends_it() {
        assert_eq!(escaped("a-Z_0.~&token=/+ é"), "a-Z_0.~%26token%3D%2F%2B%20%C3%A9");
    }
}
