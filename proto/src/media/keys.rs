//! Media keys: 32 random bytes in the message, and what is derived from them.

use std::fmt;

use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// What a blob holds. It decides how its keys are derived and under which path servers keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// A picture; stickers have keys and path of pictures too.
    Image,
    /// A film, also a video note.
    Video,
    /// Sound, also a voice message.
    Audio,
    /// Any file.
    Document,
    /// The large thumbnail of a link.
    LinkThumbnail,
    /// A collection of stickers.
    StickerPack,
    /// Application state that is too large for a stanza.
    AppState,
    /// A piece of history.
    History,
}

impl MediaKind {
    /// All of them.
    pub const ALL: [MediaKind; 8] = [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Document,
        MediaKind::LinkThumbnail,
        MediaKind::StickerPack,
        MediaKind::AppState,
        MediaKind::History,
    ];

    /// The word in a media server's path: `/mms/{word}/…`.
    pub fn path(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
            MediaKind::Document => "document",
            MediaKind::LinkThumbnail => "thumbnail-link",
            MediaKind::StickerPack => "sticker-pack",
            MediaKind::AppState => "md-app-state",
            MediaKind::History => "md-msg-hist",
        }
    }

    /// Reads the word of a path.
    pub fn from_path(word: &str) -> Option<MediaKind> {
        MediaKind::ALL.into_iter().find(|kind| kind.path() == word)
    }

    fn info(self) -> &'static [u8] {
        match self {
            MediaKind::Image => b"WhatsApp Image Keys",
            MediaKind::Video => b"WhatsApp Video Keys",
            MediaKind::Audio => b"WhatsApp Audio Keys",
            MediaKind::Document => b"WhatsApp Document Keys",
            MediaKind::LinkThumbnail => b"WhatsApp Link Thumbnail Keys",
            MediaKind::StickerPack => b"WhatsApp Sticker Pack Keys",
            MediaKind::AppState => b"WhatsApp App State Keys",
            MediaKind::History => b"WhatsApp History Keys",
        }
    }
}

/// The key of one blob. Wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaKey")
    }
}

/// What encrypts and authenticates one blob.
pub(super) struct BlobKeys {
    pub(super) iv: [u8; 16],
    pub(super) cipher: Zeroizing<[u8; 32]>,
    pub(super) mac: Zeroizing<[u8; 32]>,
}

impl MediaKey {
    /// A new key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> MediaKey {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut key[..]);
        MediaKey(key)
    }

    /// The key in a message; `None` unless it has 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<MediaKey> {
        bytes.try_into().ok().map(|key| MediaKey(Zeroizing::new(key)))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn blob(&self, kind: MediaKind) -> BlobKeys {
        // 16 of IV, 32 of cipher key, 32 of MAC key; the 32 that follow name the blob and are not used.
        let mut okm = [0; 112];
        self.expand(kind.info(), &mut okm);
        let mut keys = BlobKeys { iv: [0; 16], cipher: Zeroizing::default(), mac: Zeroizing::default() };
        keys.iv.copy_from_slice(&okm[..16]);
        keys.cipher.copy_from_slice(&okm[16..48]);
        keys.mac.copy_from_slice(&okm[48..80]);
        okm.zeroize();
        keys
    }

    pub(super) fn expand(&self, info: &[u8], out: &mut [u8]) {
        Hkdf::<Sha256>::new(None, &self.0[..]).expand(info, out).expect("at most 255 times 32 bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_keys_and_a_path_of_its_own() {
        let key = MediaKey(Zeroizing::new([7; 32]));
        let mut seen = std::collections::BTreeSet::new();
        for kind in MediaKind::ALL {
            assert_eq!(MediaKind::from_path(kind.path()), Some(kind));
            let keys = key.blob(kind);
            assert!(seen.insert((keys.iv, *keys.cipher, *keys.mac)), "{kind:?} has the keys of another");
        }
        assert_eq!(MediaKind::from_path("ptt"), None);
    }

    #[test]
    fn a_key_has_32_bytes_and_does_not_show_itself() {
        assert!(MediaKey::from_slice(&[1; 31]).is_none() && MediaKey::from_slice(&[1; 33]).is_none());
        let key = MediaKey::from_slice(&[1; 32]).expect("32 bytes");
        assert_eq!((key.as_bytes(), format!("{key:?}").as_str()), (&[1; 32], "MediaKey"));
    }
}
