//! The port to the files that WhatsApp keeps for a device: history and app state that are too large for a
//! stanza.
//!
//! What must hold in every adapter: a file is given when it is here whole and its hashes and MAC are right, and
//! not before; its plaintext is kept in no place that outlives the process; memory does not grow with it.

use async_trait::async_trait;
use bytes::Bytes;
use roost_proto::ask::media::MediaHosts;
use roost_proto::id::BusinessId;
use roost_proto::media::File;

use super::ProxyUri;

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// WhatsApp's hosts do not have it any more; whoever uploaded it may do so again.
    #[error("WhatsApp has dropped the file")]
    Gone,
    /// It is not what was promised. Another try would bring the same.
    #[error("the file is not what was promised: {0}")]
    Corrupt(String),
    /// It is larger than what was asked for.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// Nobody gave it, or there is no room for it here. Try again later.
    #[error("the file cannot be had now: {0}")]
    Unavailable(String),
}

/// Fetches files, each through the proxy of the device that it is for, if that has one.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// Fetches a file of at most so many bytes, from the first of these hosts (`host` or `host:port`) that gives
    /// it; without any, from where WhatsApp usually keeps files. Waits for its turn, of which no tenant has more than others.
    async fn fetch(
        &self,
        tenant: &BusinessId,
        via: Option<&ProxyUri>,
        hosts: &[String],
        file: &File,
        most: u64,
    ) -> Result<Box<dyn FetchedFile>, FileError>;

    /// Asks these hosts to delete a file, each of them once at most. Whether they did is nobody's business: what they
    /// keep goes when its time is over. Waits for its turn, and for all of it no longer than two minutes.
    async fn delete(&self, via: Option<&ProxyUri>, hosts: &MediaHosts, file: &Unneeded);
}

/// A file that was made for this device alone, and that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    /// Which.
    pub file: File,
    /// What its notice says for this; may be empty.
    pub handle: String,
    /// What the phone has given to show with a handle; may be empty.
    pub nonce: String,
}

/// A file that is here. It is gone with this value.
#[async_trait]
pub trait FetchedFile: Send {
    /// The next bytes, at most 64 KiB; `None` at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, FileError>;
    /// Back to the beginning.
    async fn rewind(&mut self) -> Result<(), FileError>;
}
