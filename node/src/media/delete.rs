//! Deleting a file from WhatsApp's media hosts when it was made for this device alone and has been read.
//!
//! What must hold: nobody waits for this and nothing depends on it, so one round over the hosts is all that is tried. Clients
//! are known to delete the files of history, and these alone: whether the hosts would take it for what was uploaded for a
//! message is not known, so no file of a message is ever asked about.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::header::{HeaderName, ORIGIN};
use http::{Request, StatusCode};
use roost_actors::port::Unneeded;
use roost_proto::ask::media::MediaHosts;

use super::Media;
use super::fetch::FIRST_PAUSE;
use super::http::{Body, HttpError, nothing};
use super::offer::{WEB_ORIGIN, escaped, may_pass};

/// Shows that the device is the one that the file was made for.
const SECRET: HeaderName = HeaderName::from_static("companion_user_secret");
/// Hosts that are asked.
const HOSTS: usize = 3;

/// Asks one host after the other until one says that the file is gone; says why none did.
pub(super) async fn delete(media: &Media, hosts: &MediaHosts, unneeded: &Unneeded) -> Result<(), String> {
    let mut last = String::new();
    for (place, host) in hosts.hosts.iter().take(HOSTS).enumerate() {
        if place > 0 {
            tokio::time::sleep(FIRST_PAUSE.mul_f64(media.dice.between(0.5, 1.5))).await;
        }
        let address = format!("{}://{host}{}", media.http.scheme(), path(hosts, unneeded));
        let request = request(&address, unneeded).map_err(|error| error.to_string())?;
        last = match media.http.send(request).await.map(|answer| answer.status()) {
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) => return Ok(()),
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) if may_pass(status) => format!("{host}: status {status}"),
            Ok(status) => return Err(format!("{host} refused it with status {status}")),
            Err(error) => format!("{host}: {error}"),
        };
    }
    Err(last)
}

fn request(address: &str, unneeded: &Unneeded) -> Result<Request<Body>, HttpError> {
    let mut request = Request::delete(address).header(ORIGIN, WEB_ORIGIN);
    if !unneeded.handle.is_empty() && !unneeded.nonce.is_empty() {
        request = request.header(SECRET, &unneeded.nonce);
    }
    request.body(nothing()).map_err(|_| HttpError::Address("a file to be deleted".to_owned()))
}

/// `/mms/{kind}/{hash}` with what shows that we may.
fn path(hosts: &MediaHosts, unneeded: &Unneeded) -> String {
    let file = &unneeded.file;
    let token = escaped(&URL_SAFE.encode(file.hashes.sealed));
    let place = URL_SAFE_NO_PAD.encode(file.direct_path.split('?').next().unwrap_or_default());
    let (kind, auth) = (file.kind.path(), escaped(&hosts.auth));
    let handle = match unneeded.handle.as_str() {
        "" => String::new(),
        handle => format!("&e_handle={}", escaped(handle)),
    };
    format!("/mms/{kind}/{token}?auth={auth}&d_md={place}&token={token}{handle}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roost_proto::media::{File, Hashes, MediaKey, MediaKind};

    use super::*;

    fn unneeded(handle: &str, nonce: &str) -> Unneeded {
        let file = File {
            kind: MediaKind::History,
            key: MediaKey::from_slice(&[1; 32]).expect("32 bytes"),
            hashes: Hashes { plain: [2; 32], sealed: [255; 32] },
            direct_path: "/v/x?oh=1".to_owned(),
        };
        Unneeded { file, handle: handle.to_owned(), nonce: nonce.to_owned() }
    }

    #[test]
    fn a_deletion_names_the_file_its_handle_and_what_the_phone_gave_for_it() {
        let hosts =
            MediaHosts { auth: "a/b".to_owned(), hosts: vec!["h".to_owned()], ttl: Duration::from_secs(60) };
        let hash = format!("{}8%3D", "_".repeat(42));
        assert_eq!(
            path(&hosts, &unneeded("h&1", "")),
            format!("/mms/md-msg-hist/{hash}?auth=a%2Fb&d_md=L3YveA&token={hash}&e_handle=h%261")
        );
        assert!(path(&hosts, &unneeded("", "n")).ends_with(&format!("token={hash}")));
        let shown = |handle, nonce| {
            let request = request("https://h/x", &unneeded(handle, nonce)).expect("a request");
            request.headers().get(SECRET).map(|secret| secret.to_str().expect("text").to_owned())
        };
        assert_eq!([shown("h", "n"), shown("", "n"), shown("h", "")], [Some("n".to_owned()), None, None]);
        assert!(request("https://h/x", &unneeded("h", "a\nb")).is_err(), "it cannot be sent");
    }
}
