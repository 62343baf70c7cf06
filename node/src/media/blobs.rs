//! The port to where uploaded files wait, encrypted, until they are sent.
//!
//! What must hold in every adapter: a blob is there whole or not at all; the tenant is part of its place; to
//! put the same key again replaces it, to delete what is not there is fine.

use std::fmt;
use std::path::Path;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use roost_proto::id::BusinessId;

/// Name of a blob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobKey {
    /// Whose.
    pub tenant: BusinessId,
    /// Which: letters, digits, `-` and `.`.
    pub id: String,
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.id)
    }
}

/// Why a blob was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("there is no blob {0}")]
    Missing(BlobKey),
    /// The store did not do it. Trying again is safe.
    #[error("the media store does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BlobError {
    pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BlobError {
        BlobError::Unavailable(error.into())
    }
}

/// The bytes of a blob, in order.
pub type Pieces = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Keeps blobs.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Stores the content of a file; the file may be gone afterwards.
    async fn put(&self, key: &BlobKey, file: &Path) -> Result<(), BlobError>;
    /// Reads a blob from its beginning.
    async fn get(&self, key: &BlobKey) -> Result<Pieces, BlobError>;
    /// Forgets a blob.
    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError>;
}
