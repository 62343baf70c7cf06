//! Media over HTTP, as clients move it: uploads to `/mms/{kind}/{token}`, downloads from a direct path, with
//! ranges, and deletions. All hosts that clients are told of are this server; which one is meant stands in
//! the request.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::account::seconds;
use super::media::{Deletion, Form, LARGEST, Refused};
use super::server::Shared;

type World = State<Arc<Shared>>;

#[derive(Deserialize)]
pub(super) struct Upload {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    token: String,
}

/// `POST /mms/{kind}/{token}?auth=&token=`, and the same of what everybody may see.
pub(super) async fn upload(
    State(shared): World,
    Path((kind, path)): Path<(String, String)>,
    Query(query): Query<Upload>,
    request: Request,
) -> Response {
    let host = host(request.headers());
    let form = Form::of(request.uri().path(), &kind);
    let now_s = seconds(shared.now());
    let checked = shared.media(|media, _| {
        media.admit(&host)?;
        media.may_upload(form, &path, (&query.auth, now_s), &query.token)
    });
    let hash = match checked {
        Ok(hash) => hash,
        Err(why) => return refused("an upload", &host, why),
    };
    let Ok(bytes) = to_bytes(request.into_body(), LARGEST).await else {
        return refused("an upload", &host, (413, "it broke off, or is larger than files may be"));
    };
    match shared.media(|media, rng| media.upload(rng, hash, bytes)) {
        Ok(path) => {
            let now = seconds(shared.now());
            Json(shared.media(|media, rng| media.uploaded(rng, now, form, &host, &path))).into_response()
        }
        Err(why) => refused("an upload", &host, why),
    }
}

/// `GET {direct_path}`, also `HEAD`.
pub(super) async fn download(State(shared): World, headers: HeaderMap, uri: Uri) -> Response {
    let host = host(&headers);
    let found = shared.media(|media, _| {
        media.admit(&host)?;
        media.download(uri.path(), uri.query().unwrap_or_default())
    });
    let bytes = match found {
        Ok(bytes) => bytes,
        Err(why) => return refused("a download", &host, why),
    };
    let whole = bytes.len();
    let kind = (header::CONTENT_TYPE, "application/octet-stream".to_owned());
    let ranges = (header::ACCEPT_RANGES, "bytes".to_owned());
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return ([kind, ranges], Body::from(bytes)).into_response();
    };
    let Some((from, to)) = span(range, whole) else {
        return (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{whole}"))])
            .into_response();
    };
    let span = (header::CONTENT_RANGE, format!("bytes {from}-{}/{whole}", to - 1));
    (StatusCode::PARTIAL_CONTENT, [kind, ranges, span], Body::from(bytes.slice(from..to))).into_response()
}

/// `DELETE /mms/{kind}/{token}?auth=&token=&d_md=&e_handle=`
pub(super) async fn delete(
    State(shared): World,
    headers: HeaderMap,
    Path((kind, path)): Path<(String, String)>,
    Query(said): Query<Deletion>,
) -> Response {
    let host = host(&headers);
    let nonce = headers.get("companion_user_secret").and_then(|nonce| nonce.to_str().ok());
    let now_s = seconds(shared.now());
    let done = shared.media(|media, _| {
        media.admit(&host)?;
        media.delete((&kind, &path), &said, nonce, now_s)
    });
    match done {
        Ok(()) => StatusCode::OK.into_response(),
        Err(why) => refused("a deletion", &host, why),
    }
}

#[derive(Deserialize)]
pub(super) struct WantPack {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    id: String,
}

/// `GET /sticker?lottie=1&cat=sticker_pack_data&id=&lg=` of `static.whatsapp.net`, where nobody needs an `auth`. That no pack
/// is an empty list is a guess.
pub(super) async fn sticker_pack(State(shared): World, Query(wanted): Query<WantPack>) -> Response {
    if wanted.cat != "sticker_pack_data" {
        tracing::info!(category = wanted.cat, "a pack of stickers was asked for in a way that is not known");
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(shared.media(|media, _| media.pack(&wanted.id))).into_response()
}

fn refused(what: &str, host: &str, (status, why): Refused) -> Response {
    tracing::warn!(host, status, why, "{what} of media was refused");
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or_default().to_owned()
}

/// `bytes=from-[to]` of RFC 9110 as a half-open span; `None` when it lies outside or is no such range.
fn span(range: &str, whole: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = match to {
        "" => whole,
        to => to.parse::<usize>().ok()?.checked_add(1)?.min(whole),
    };
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        assert_eq!(span("bytes=0-", 10), Some((0, 10)));
        assert_eq!(span("bytes=3-4", 10), Some((3, 5)));
        assert_eq!(span("bytes=3-400", 10), Some((3, 10)));
        for outside in ["bytes=10-", "bytes=4-3", "bytes=a-", "items=0-1", "bytes=-5"] {
            assert_eq!(span(outside, 10), None, "{outside}");
        }
    }
}
