//! Packs of stickers that WhatsApp has for everybody to take: what is in one, by its id.
//!
//! What must hold: an answer is bounded in bytes, in stickers and in time. It is kept for a while, because each of its stickers
//! is looked for in it again when it is fetched. A sticker that cannot be fetched is left out. What the host says of an id
//! that it does not know is a guess, no pack or a status of 404: clients refuse both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use roost_proto::api;
use roost_proto::id::BusinessId;
use roost_proto::media::File;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::Media;
use super::http::HttpError;
use super::offer::{WEB_ORIGIN, escaped, may_pass};

/// Where WhatsApp describes its packs.
pub const STICKERS: &str = "https://static.whatsapp.net/sticker";
/// Bytes of one description.
const MOST: usize = 1 << 20;
/// Stickers that are read of one pack.
const IN_A_PACK: usize = 512;
/// Tries of one question, and how long one may take.
const TRIES: usize = 3;
const LIMIT: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Packs that are remembered, and for how long; when there are more, all are asked for again.
const REMEMBERED: usize = 64;
const FRESH: Duration = Duration::from_secs(300);

/// Why there is no pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackProblem {
    /// WhatsApp has none of this id.
    Unknown,
    /// What is said of it is no description of a pack.
    Unreadable(&'static str),
    /// The tenant moves too many files.
    Busy,
    /// The host does not answer. Another try may meet a better time.
    HostFailed(String),
}

/// Packs that were asked for lately, by id and language.
#[derive(Debug, Default)]
pub(super) struct Packs {
    known: Mutex<BTreeMap<(String, String), Known>>,
}

type Known = (Arc<api::PublicStickerPack>, Instant);

impl Packs {
    fn find(&self, key: &(String, String)) -> Option<Arc<api::PublicStickerPack>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| Instant::now() < *until).map(|(pack, _)| pack.clone())
    }

    fn keep(&self, key: (String, String), pack: &Arc<api::PublicStickerPack>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, (pack.clone(), Instant::now() + FRESH));
    }
}

/// The pack of this id for this tenant, described in this language; the files in it have no names yet.
pub async fn sticker_pack(
    media: &Media,
    tenant: &BusinessId,
    id: &str,
    language: &str,
) -> Result<Arc<api::PublicStickerPack>, PackProblem> {
    let key = (id.to_owned(), language.to_owned());
    if let Some(pack) = media.packs.find(&key) {
        return Ok(pack);
    }
    let (id, language) = (escaped(id), escaped(language));
    let url = format!("{}?lottie=1&cat=sticker_pack_data&id={id}&lg={language}", media.options.stickers);
    let _place = media.transfer_place(tenant).await.map_err(|_| PackProblem::Busy)?;
    let (mut last, mut pause) = (String::new(), FIRST_PAUSE);
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(pause.mul_f64(media.dice.between(0.5, 1.5))).await;
            pause *= 2;
        }
        let asked = tokio::time::timeout(LIMIT, media.http.get(&url, &[("origin", WEB_ORIGIN)], MOST)).await;
        last = match asked {
            Ok(Ok((StatusCode::OK, body))) => {
                let pack = Arc::new(read(&key.0, &body)?);
                media.packs.keep(key, &pack);
                return Ok(pack);
            }
            Ok(Ok((StatusCode::NOT_FOUND | StatusCode::GONE, _))) => return Err(PackProblem::Unknown),
            Ok(Ok((status, _))) if may_pass(status) => format!("status {status}"),
            Ok(Ok((status, _))) => return Err(PackProblem::HostFailed(format!("status {status}"))),
            Ok(Err(HttpError::TooLong(_))) => {
                return Err(PackProblem::Unreadable("an answer of at most 1 MiB"));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        tracing::info!(why = last, attempt, "a pack of stickers could not be asked for");
    }
    Err(PackProblem::HostFailed(last))
}

/// A pack as it is told. What may be missing may be null, too.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    name: Option<String>,
    publisher: Option<String>,
    description: Option<String>,
    animated: Option<i64>,
    stickers: Option<Vec<Value>>,
}

/// A sticker in it; keys and hashes are in base64.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sticker {
    media_key: String,
    enc_file_hash: String,
    file_hash: String,
    direct_path: String,
    file_size: Option<u64>,
    mimetype: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    emojis: Option<Vec<String>>,
    accessibility_text: Option<String>,
}

/// Reads a list whose first pack is the one that was asked for.
fn read(id: &str, body: &[u8]) -> Result<api::PublicStickerPack, PackProblem> {
    let told: Vec<Value> =
        serde_json::from_slice(body).map_err(|_| PackProblem::Unreadable("a list of packs"))?;
    let first = told.into_iter().next().ok_or(PackProblem::Unknown)?;
    let pack: Told = one(first).ok_or(PackProblem::Unreadable("a pack"))?;
    let stickers = pack.stickers.unwrap_or_default().into_iter().filter_map(|told| sticker(one(told)?));
    Ok(api::PublicStickerPack {
        pack_id: id.to_owned(),
        name: pack.name.unwrap_or_default(),
        publisher: pack.publisher.unwrap_or_default(),
        description: pack.description.unwrap_or_default(),
        animated: pack.animated.is_some_and(|animated| animated != 0),
        stickers: stickers.take(IN_A_PACK).collect(),
    })
}

fn one<T: DeserializeOwned>(told: Value) -> Option<T> {
    serde_json::from_value(told).ok()
}

/// `None` for what cannot be fetched.
fn sticker(told: Sticker) -> Option<api::PublicSticker> {
    let bytes = |text: &str| STANDARD.decode(text).ok();
    let file = api::WhatsAppFile {
        media_key: bytes(&told.media_key)?,
        encrypted_sha256: bytes(&told.enc_file_hash)?,
        direct_path: Some(told.direct_path).filter(|path| path.starts_with('/'))?,
        ..Default::default()
    };
    let media = api::Media {
        kind: api::media::Kind::Sticker.into(),
        mime_type: told.mimetype.unwrap_or_default(),
        size_bytes: told.file_size.unwrap_or(0),
        sha256: bytes(&told.file_hash)?,
        width: told.width.unwrap_or(0),
        height: told.height.unwrap_or(0),
        file: Some(file),
        ..Default::default()
    };
    File::of(&media)?;
    let (emojis, description) =
        (told.emojis.unwrap_or_default(), told.accessibility_text.unwrap_or_default());
    Some(api::PublicSticker { media: Some(media), emojis, description })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(change: impl Fn(&mut Value)) -> Value {
        let base64 = |byte: u8| STANDARD.encode([byte; 32]);
        let mut sticker = json!({
            "media-key": base64(1), "enc-file-hash": base64(2), "file-hash": base64(3), "direct-path": "/v/1?oh=2",
            "file-size": 7, "mimetype": "image/webp", "width": 512, "height": 512, "emojis": ["\u{1f414}"],
            "accessibility-text": null, "handle": "unknown to us",
        });
        change(&mut sticker);
        sticker
    }

    fn pack(stickers: &[Value]) -> Vec<u8> {
        let pack = json!({
            "sticker-pack-id": "hens", "name": "Hens", "publisher": "The shop", "description": "Of our yard",
            "file-size": "7", "animated": 1, "stickers": stickers,
        });
        json!([pack]).to_string().into_bytes()
    }

    #[test]
    fn a_pack_is_read_and_what_cannot_be_fetched_is_left_out() {
        let broken: [fn(&mut Value); 4] = [
            |sticker| sticker["media-key"] = json!("short"),
            |sticker| sticker["direct-path"] = json!("https://evil.example/v"),
            |sticker| sticker["file-hash"] = Value::Null,
            |sticker| sticker["emojis"] = json!("no list"),
        ];
        let mut stickers: Vec<Value> = broken.map(told).into();
        stickers.push(told(|_| {}));
        let read = read("hens", &pack(&stickers)).expect("a pack");
        assert_eq!((read.name.as_str(), read.publisher.as_str(), read.animated), ("Hens", "The shop", true));
        assert_eq!(read.stickers.len(), 1);
        let sticker = &read.stickers[0];
        let media = sticker.media.clone().expect("a file");
        assert_eq!((media.size_bytes, media.sha256.clone(), media.width), (7, vec![3; 32], 512));
        assert_eq!((media.kind(), sticker.emojis.len()), (api::media::Kind::Sticker, 1));
    }

    #[test]
    fn what_is_no_pack_is_none_and_a_pack_has_no_end_of_stickers() {
        assert_eq!(read("x", b"[]"), Err(PackProblem::Unknown));
        for (body, what) in [("{}", "a list of packs"), ("<html>", "a list of packs"), ("[7]", "a pack")] {
            assert_eq!(read("x", body.as_bytes()), Err(PackProblem::Unreadable(what)), "{body}");
        }
        let many = vec![told(|_| {}); IN_A_PACK + 1];
        assert_eq!(read("x", &pack(&many)).expect("a pack").stickers.len(), IN_A_PACK);
        assert_eq!(read("x", b"[{}]").expect("a pack without anything").stickers.len(), 0);
    }
}
