//! Files that are not encrypted, as newsletters have them, and what opens a file of either sort while it comes.
//!
//! What must hold: a plain file has nothing but its hash to be checked by, and that is checked always.

use sha2::{Digest as _, Sha256};

use super::cipher::{Decryptor, Hashes, SealedError};
use super::keys::MediaKind;
use super::message::{File, kind};
use crate::api;

/// What is needed to fetch a file that is not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainFile {
    /// What it is.
    pub kind: MediaKind,
    /// Of the file.
    pub sha256: [u8; 32],
    /// Begins with `/`.
    pub direct_path: String,
}

impl PlainFile {
    /// Of a description; `None` when something of it is missing, or when the file is encrypted.
    pub fn of(media: &api::Media) -> Option<PlainFile> {
        let file = media.file.as_ref()?;
        let plain = file.media_key.is_empty() && file.encrypted_sha256.is_empty();
        let direct_path = Some(file.direct_path.clone()).filter(|path| plain && path.starts_with('/'))?;
        let sha256 = media.sha256.as_slice().try_into().ok()?;
        Some(PlainFile { kind: kind(media.kind())?, sha256, direct_path })
    }
}

/// A file of either sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyFile {
    /// Encrypted.
    Sealed(File),
    /// As it is.
    Plain(PlainFile),
}

impl AnyFile {
    /// Of a description; `None` when something of it is missing.
    pub fn of(media: &api::Media) -> Option<AnyFile> {
        File::of(media).map(AnyFile::Sealed).or_else(|| PlainFile::of(media).map(AnyFile::Plain))
    }

    /// What it is.
    pub fn kind(&self) -> MediaKind {
        match self {
            AnyFile::Sealed(file) => file.kind,
            AnyFile::Plain(file) => file.kind,
        }
    }

    /// Where it is.
    pub fn direct_path(&self) -> &str {
        match self {
            AnyFile::Sealed(file) => &file.direct_path,
            AnyFile::Plain(file) => &file.direct_path,
        }
    }
}

/// Opens a file that comes in pieces.
pub enum Opener {
    /// Decrypts it.
    Sealed(Box<Decryptor>, Hashes),
    /// Lets it pass, and checks it against this hash at its end.
    Plain {
        /// Of what has passed.
        seen: Sha256,
        /// How much that was.
        length: u64,
        /// What it must be.
        sha256: [u8; 32],
    },
}

impl Opener {
    /// For this file.
    pub fn new(file: &AnyFile) -> Opener {
        match file {
            AnyFile::Sealed(file) => {
                Opener::Sealed(Box::new(Decryptor::new(&file.key, file.kind)), file.hashes)
            }
            AnyFile::Plain(file) => Opener::Plain { seen: Sha256::new(), length: 0, sha256: file.sha256 },
        }
    }

    /// Takes a piece of what comes and appends what it holds of the file, which is not verified yet.
    pub fn update(&mut self, piece: &[u8], file: &mut Vec<u8>) {
        match self {
            Opener::Sealed(decryptor, _) => decryptor.update(piece, file),
            Opener::Plain { seen, length, .. } => {
                seen.update(piece);
                *length += piece.len() as u64;
                file.extend_from_slice(piece);
            }
        }
    }

    /// Checks everything and appends the end of the file. Returns the length of the file in bytes.
    ///
    /// # Errors
    /// It is not the file that its message speaks of.
    pub fn finish(self, file: &mut Vec<u8>) -> Result<u64, SealedError> {
        match self {
            Opener::Sealed(decryptor, hashes) => decryptor.finish(&hashes, file),
            Opener::Plain { seen, length, sha256 } => match <[u8; 32]>::from(seen.finalize()) == sha256 {
                true => Ok(length),
                false => Err(SealedError::PlainHash),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_passes_as_it_is_and_another_one_is_refused_at_its_end() {
        let sha256 = Sha256::digest(b"hens").into();
        let direct_path = "/v/1?ccb=11".to_owned();
        let hens = AnyFile::Plain(PlainFile { kind: MediaKind::Image, sha256, direct_path });
        for (pieces, whole) in [([&b"he"[..], b"ns"], Ok(4)), ([b"he", b"xs"], Err(SealedError::PlainHash))] {
            let (mut opener, mut file) = (Opener::new(&hens), Vec::new());
            pieces.iter().for_each(|piece| opener.update(piece, &mut file));
            assert_eq!(file, pieces.concat());
            assert_eq!(opener.finish(&mut file), whole);
        }
    }

    #[test]
    fn a_description_is_of_one_sort_or_of_none() {
        let of = |key: usize, sealed: usize, direct_path: &str| {
            let file = api::WhatsAppFile {
                media_key: vec![3; key],
                encrypted_sha256: vec![2; sealed],
                direct_path: direct_path.to_owned(),
                ..Default::default()
            };
            let kind = api::media::Kind::Document.into();
            AnyFile::of(&api::Media { kind, sha256: vec![1; 32], file: Some(file), ..Default::default() })
        };
        assert!(matches!(of(32, 32, "/v/1"), Some(AnyFile::Sealed(_))));
        assert!(matches!(of(0, 0, "/v/1"), Some(AnyFile::Plain(_))));
        assert_eq!(
            [of(32, 0, "/v/1"), of(0, 32, "/v/1"), of(0, 0, "evil.example/v"), of(0, 0, "")],
            [const { None }; 4]
        );
    }
}
