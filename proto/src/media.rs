//! Media files as WhatsApp keeps them: encrypted blobs on blind servers, with the key in the message.
//!
//! What must hold: a file of any size passes through in pieces, with memory that does not grow with it; its
//! hashes and its MAC are always checked, and a reader of the pieces must not trust them before
//! [`Decryptor::finish`] has said so. What moves the bytes is elsewhere.
//!
//! What is shown in newsletters lies there as it is, with a hash and nothing else.
//!
//! A blob is AES-256-CBC of the file, then the first 10 bytes of HMAC-SHA-256 over IV and ciphertext. The
//! keys come from the 32 bytes of the message by HKDF with a text that names the kind.

mod annotations;
mod cipher;
mod compose;
mod keys;
mod message;
mod plain;
mod retry;
mod sidecar;
mod stickers;

pub(crate) use annotations::is_one as is_annotation;
pub use cipher::{Decryptor, Encryptor, Hashes, Sealed, SealedError};
pub(crate) use compose::{image, put};
pub use compose::{media_to_send, media_to_send_mut};
pub use keys::{MediaKey, MediaKind};
pub use message::{File, content_in, file_in, kind, media_of, media_of_mut};
pub(crate) use message::{picture, read};
pub use plain::{AnyFile, Opener, PlainFile};
pub use retry::{
    RetryAnswer, RetryError, open_retry_answer, open_retry_request, retry_answer, retry_request,
};
