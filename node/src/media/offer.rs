//! Uploading an encrypted file to WhatsApp's media hosts.
//!
//! What must hold: the same file may be uploaded again at any time, so every failure may be tried again; hosts are
//! tried in the order that WhatsApp gave, and the budget of tries is bounded and jittered.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{Request, StatusCode};
use roost_proto::ask::media::MediaHosts;
use roost_proto::media::MediaKind;
use serde::Deserialize;

use super::Media;
use super::blobs::BlobKey;
use super::http::{HttpError, streamed, text};
use super::problem::MediaProblem;

/// Tries of one upload over all hosts.
const TRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// One upload to one host; a file of 100 MiB passes at 1.5 Mbit/s.
const LIMIT: Duration = Duration::from_secs(600);
/// What WhatsApp's web client is.
pub(super) const WEB_ORIGIN: &str = "https://web.whatsapp.com";

#[derive(Deserialize)]
struct Uploaded {
    direct_path: String,
}

/// What became of one try.
enum Tried {
    Done(String),
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
    let token = URL_SAFE_NO_PAD.encode(sha256);
    let (mut last, mut pause) = (String::new(), FIRST_PAUSE);
    for attempt in 0..TRIES {
        let host = &hosts.hosts[attempt % hosts.hosts.len()];
        let blob = media.blobs.get(key).await.map_err(|error| Some(error.into()))?;
        let scheme = media.http.scheme();
        let path = format!("/mms/{}/{token}?auth={}&token={token}", kind.path(), escaped(&hosts.auth));
        let request = Request::post(format!("{scheme}://{host}{path}"))
            .header(CONTENT_LENGTH, length)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(ORIGIN, WEB_ORIGIN)
            .body(streamed(blob));
        let Ok(request) = request else { return Err(Some(MediaProblem::HostsFailed(host.clone()))) };
        let tried = tokio::time::timeout(LIMIT, one(media, request)).await;
        match tried.unwrap_or_else(|_| Ok(Tried::Next("it took too long".to_owned()))) {
            Ok(Tried::Done(path)) => return Ok(path),
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

async fn one(media: &Media, request: Request<super::http::Body>) -> Result<Tried, HttpError> {
    let answer = media.http.send(request).await?;
    let status = answer.status();
    let body = text(answer.into_body()).await?;
    Ok(match status {
        StatusCode::OK => match serde_json::from_slice::<Uploaded>(&body) {
            Ok(uploaded) if uploaded.direct_path.starts_with('/') => Tried::Done(uploaded.direct_path),
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
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_nothing_that_ends_it() {
        assert_eq!(escaped("a-Z_0.~&token=/+ é"), "a-Z_0.~%26token%3D%2F%2B%20%C3%A9");
    }
}
