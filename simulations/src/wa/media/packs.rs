//! Packs of stickers that everybody may take. Their files lie where all others do; what is in a pack is told to whoever asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roost_proto::media::MediaKind;
use serde_json::{Value, json};

use super::{Machine, Store};

/// A pack, as somebody has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPack {
    /// By which it is asked for.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who has made it.
    pub publisher: String,
    /// Files, each with the emoji that finds it.
    pub stickers: Vec<(Vec<u8>, String)>,
}

impl Store {
    /// What is told of a pack: a list with it, or an empty one.
    pub(in crate::wa) fn pack(&self, id: &str) -> Value {
        self.packs.get(id).map_or_else(|| json!([]), |pack| json!([pack]))
    }
}

impl Machine {
    /// Everybody may take this pack from now on.
    pub fn offer_stickers(&mut self, pack: &PublicPack) {
        let stickers: Vec<Value> = pack
            .stickers
            .iter()
            .map(|(bytes, emoji)| {
                let file = self.phone_uploads(MediaKind::Image, bytes);
                json!({
                    "media-key": STANDARD.encode(file.media_key),
                    "enc-file-hash": STANDARD.encode(file.enc_sha256),
                    "file-hash": STANDARD.encode(file.sha256),
                    "direct-path": file.direct_path,
                    "url": format!("https://mmg.whatsapp.net{}", file.direct_path),
                    "file-size": file.size,
                    "mimetype": "image/webp",
                    "height": 512,
                    "width": 512,
                    "emojis": [emoji],
                    "accessibility-text": "",
                    "handle": "",
                })
            })
            .collect();
        let size: usize = pack.stickers.iter().map(|(bytes, _)| bytes.len()).sum();
        let told = json!({
            "sticker-pack-id": pack.id,
            "name": pack.name,
            "publisher": pack.publisher,
            "description": "",
            "file-size": size.to_string(),
            "image-data-hash": "",
            "animated": 0,
            "lottie": 0,
            "preview-image-ids": [],
            "tray-image-id": "",
            "tray-image-preview": "",
            "stickers": stickers,
        });
        self.media.packs.insert(pack.id.clone(), told);
    }
}
