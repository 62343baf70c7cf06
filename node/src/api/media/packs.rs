//! Packs of stickers that everybody may take: what is in them, each file with a name by which it is fetched and sent.

use roost_proto::api;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Missing;

use super::Handle;
use crate::api::Api;
use crate::errors::{ApiError, Resource, Upstream};
use crate::media::{MediaProblem, PackProblem, sticker_pack};

/// Longest id of a pack.
const MAX_ID: usize = 128;
/// Longest name of a language.
const MAX_LANGUAGE: usize = 16;
/// The language of descriptions when nothing is said.
const ENGLISH: &str = "en";

/// An id of a pack. That others than such ids are asked for is not known.
pub(super) fn pack_id(field: &str, text: &str) -> Result<String, ApiError> {
    match (1..=MAX_ID).contains(&text.len()) && is_plain(text) {
        true => Ok(text.to_owned()),
        false => Err(ApiError::field(field, "must be 1 to 128 letters, digits, - and _")),
    }
}

/// A language; English when it is empty.
pub(super) fn language(field: &str, text: &str) -> Result<String, ApiError> {
    match text {
        "" => Ok(ENGLISH.to_owned()),
        text if text.len() <= MAX_LANGUAGE && is_plain(text) => Ok(text.to_owned()),
        _ => Err(ApiError::field(field, "must be a language, as en or pt_BR")),
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Api {
    /// A pack, whose files are fetched through this device.
    pub(super) async fn public_pack(
        &self,
        key: &DeviceKey,
        id: &str,
        language: &str,
    ) -> Result<api::PublicStickerPack, ApiError> {
        let found = sticker_pack(&self.media_of(key).await?, &key.business_id, id, language).await;
        let mut pack = (*found.map_err(|problem| refused(key, id, problem))?).clone();
        for media in pack.stickers.iter_mut().filter_map(|sticker| sticker.media.as_mut()) {
            if let Ok(hash) = media.sha256.as_slice().try_into() {
                media.name = Handle::Packed(key.clone(), id.to_owned(), hash).to_string();
            }
        }
        Ok(pack)
    }

    /// The sticker of a pack with this hash; `None` when it is not in it, or there is no such pack.
    pub(super) async fn packed(
        &self,
        key: &DeviceKey,
        id: &str,
        hash: &[u8; 32],
    ) -> Result<Option<api::Media>, ApiError> {
        let pack = match self.public_pack(key, id, ENGLISH).await {
            Err(ApiError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let mut files = pack.stickers.into_iter().filter_map(|sticker| sticker.media);
        Ok(files.find(|media| media.sha256 == hash))
    }
}

fn refused(key: &DeviceKey, id: &str, problem: PackProblem) -> ApiError {
    match problem {
        PackProblem::Unknown => ApiError::not_found(Resource::StickerPack, id),
        PackProblem::Busy => MediaProblem::Busy.into(),
        PackProblem::HostFailed(why) => MediaProblem::HostsFailed(why).into(),
        PackProblem::Unreadable(what) => {
            let what = Upstream::Unreadable(Missing { tag: "sticker pack".to_owned(), what });
            ApiError::Upstream { key: key.clone(), what }
        }
    }
}
