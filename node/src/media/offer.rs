//! Uploading to WhatsApp's media hosts: an encrypted file, a file that is shown in newsletters, or a picture that
//! everybody may see.
//!
//! What must hold: the same file may be uploaded again at any time, so every failure may be tried again; hosts are
//! tried in the order that WhatsApp gave, and the budget of tries is bounded and jittered.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{Request, StatusCode};
use roost_proto::ask::media::MediaHosts;
use roost_proto::media::{Decryptor, File, MediaKind};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Media;
use super::blobs::{BlobKey, Pieces};
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

/// Uploads a stored blob of this length, whose SHA-256 is given. Returns its direct path. `Err(None)` means that
/// the hosts' `auth` was refused: ask for new ones.
pub async fn offer(
    media: &Media,
    hosts: &MediaHosts,
    key: &BlobKey,
    kind: MediaKind,
    sha256: &[u8; 32],
    length: u64,
) -> Result<String, Option<MediaProblem>> {
    let folder = format!("mms/{}", kind.path());
    let upload = Upload { folder, bytes: Source::Stored(key), sha256: *sha256, length, form: None };
    Ok(try_hosts(media, hosts, &upload).await?.direct_path)
}

/// Uploads what is in a stored blob as it is, for newsletters: so many bytes. Returns what the host says of it; `Err(None)`
/// as above.
pub async fn publish(
    media: &Media,
    hosts: &MediaHosts,
    key: &BlobKey,
    file: &File,
    length: u64,
) -> Result<Uploaded, Option<MediaProblem>> {
    let folder = format!("newsletter/newsletter-{}", file.kind.path());
    let (bytes, sha256) = (Source::Opened(key, file), file.hashes.plain);
    try_hosts(media, hosts, &Upload { folder, bytes, sha256, length, form: None }).await
}

/// Uploads a picture that everybody may see. Returns what the host says of it; `Err(None)` as above.
pub async fn show(
    media: &Media,
    hosts: &MediaHosts,
    form: Shown,
    picture: Bytes,
) -> Result<Uploaded, Option<MediaProblem>> {
    let folder = match form {
        Shown::Product => "product/image",
        Shown::Cover => "pps/biz-cover-photo",
    };
    let (sha256, length) = (Sha256::digest(&picture).into(), picture.len() as u64);
    let bytes = Source::Here(picture);
    let upload = Upload { folder: folder.to_owned(), bytes, sha256, length, form: Some(form) };
    try_hosts(media, hosts, &upload).await
}

async fn try_hosts(
    media: &Media,
    hosts: &MediaHosts,
    upload: &Upload<'_>,
) -> Result<Uploaded, Option<MediaProblem>> {
    let token = URL_SAFE_NO_PAD.encode(upload.sha256);
    let (mut last, mut pause) = (String::new(), FIRST_PAUSE);
    for attempt in 0..TRIES {
        let host = &hosts.hosts[attempt % hosts.hosts.len()];
        let body = match &upload.bytes {
            Source::Stored(key) => streamed(media.blobs.get(key).await.map_err(|error| Some(error.into()))?),
            Source::Opened(key, file) => {
                let blob = media.blobs.get(key).await.map_err(|error| Some(error.into()))?;
                streamed(opened(blob, file))
            }
            Source::Here(bytes) => whole(bytes.clone()),
        };
        let scheme = media.http.scheme();
        let path = format!("/{}/{token}?auth={}&token={token}", upload.folder, escaped(&hosts.auth));
        let request = Request::post(format!("{scheme}://{host}{path}"))
            .header(CONTENT_LENGTH, upload.length)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(ORIGIN, WEB_ORIGIN)
            .body(body);
        let Ok(request) = request else { return Err(Some(MediaProblem::HostsFailed(host.clone()))) };
        let tried = tokio::time::timeout(LIMIT, one(media, upload.form, request)).await;
        match tried.unwrap_or_else(|_| Ok(Tried::Next("it took too long".to_owned()))) {
            Ok(Tried::Done(uploaded)) => return Ok(uploaded),
            Ok(Tried::Unauthorised(status)) => {
                tracing::debug!(host, status, "the permission to upload media is over");
                return Err(None);
            }
            Ok(Tried::Refused(status)) => return Err(Some(MediaProblem::Refused(status))),
            Ok(Tried::Next(why)) => last = format!("{host}: {why}"),
            Err(error) => last = format!("{host}: {error}"),
        }
        tracing::info!(why = last, attempt, "an upload of media failed; the next host is tried");
        if attempt + 1 < TRIES {
            tokio::time::sleep(pause.mul_f64(media.dice.between(0.5, 1.5))).await;
            pause *= 2;
        }
    }
    Err(Some(MediaProblem::HostsFailed(last)))
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
    use roost_proto::media::{Encryptor, MediaKey};

    use super::*;

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
