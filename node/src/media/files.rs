//! The devices' way to files of WhatsApp: fetched onto this node's disk, verified, then read in pieces.
//!
//! What must hold: what lies on disk is encrypted under a key that only this process has, and goes with its
//! handle; a file is given when it is whole and right. So many files lie here at a time and no more, and of a tenant a
//! quarter of them; pieces of history, which may be told for long, do not keep other files waiting. Deletions wait for nothing but each other.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use roost_actors::port::{FetchedFile, FileError, Files, ProxyUri, Unneeded};
use roost_proto::ask::media::MediaHosts;
use roost_proto::id::BusinessId;
use roost_proto::media::{AnyFile, Decryptor, File, MediaKind};
use tokio::sync::Semaphore;

use super::Media;
use super::blobs::Pieces;
use super::delete::delete;
use super::fetch::{Fetched, Taker, fetch};
use super::places::{Place, Places};
use super::problem::MediaProblem;
use super::spool::{Spooled, Spooling};
use crate::outside::Outside;

/// Files of one sort that lie here at a time: pieces of history, and separately all others.
const AT_ONCE: usize = 8;
/// How long one waits for its room: others may be told for long.
const ROOM: Duration = Duration::from_secs(600);
/// How long a deletion may wait for its turn, and how long it may take then.
const DELETION: Duration = Duration::from_secs(60);

/// See the module.
pub struct DeviceFiles {
    media: Media,
    outside: Outside,
    history: Places,
    others: Places,
    deletions: Semaphore,
}

impl DeviceFiles {
    /// Over the transport of other media.
    pub fn new(media: Media, outside: Outside) -> DeviceFiles {
        let places = || Places::new(AT_ONCE, ROOM);
        let deletions = Semaphore::new(AT_ONCE);
        DeviceFiles { media, outside, history: places(), others: places(), deletions }
    }
}

/// Takes a download to the disk.
struct Filling(Spooling);

#[async_trait]
impl Taker for Filling {
    type Error = MediaProblem;

    async fn take(&mut self, piece: Bytes) -> Result<(), MediaProblem> {
        self.0.write(&piece).await
    }
}

#[async_trait]
impl Files for DeviceFiles {
    async fn fetch(
        &self,
        tenant: &BusinessId,
        via: Option<&ProxyUri>,
        hosts: &[String],
        file: &File,
        most: u64,
    ) -> Result<Box<dyn FetchedFile>, FileError> {
        let places = if file.kind == MediaKind::History { &self.history } else { &self.others };
        let room = places.take(tenant).await.map_err(refused)?;
        let folder = &self.media.options.spool;
        let spooling = Spooling::begin(folder, &self.outside.name(), file.kind, most).await;
        let mut filling = Filling(spooling.map_err(refused)?.nameless().await.map_err(refused)?);
        let place = self.media.transfer_place(tenant).await.map_err(refused)?;
        let wanted = AnyFile::Sealed(file.clone());
        let media = self.media.via(via);
        let fetched = fetch(&media, hosts, &wanted, &mut None, &mut filling).await.map_err(refused)?;
        drop(place);
        if let Fetched::Gone(status) = fetched {
            tracing::debug!(status, "WhatsApp has dropped a file for a device");
            return Err(FileError::Gone);
        }
        let mut spooled = filling.0.finish().await.map_err(refused)?;
        let reading = Reading::begin(&mut spooled, file.kind).await?;
        Ok(Box::new(Here { spooled, kind: file.kind, reading, _room: room }))
    }

    async fn delete(&self, via: Option<&ProxyUri>, hosts: &MediaHosts, file: &Unneeded) {
        let Ok(turn) = tokio::time::timeout(DELETION, self.deletions.acquire()).await else {
            return tracing::debug!("a file of history stays at WhatsApp: too many are being deleted");
        };
        let deleted = tokio::time::timeout(DELETION, delete(&self.media.via(via), hosts, file)).await;
        if let Err(why) = deleted.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            tracing::debug!(why, "a file of history stays at WhatsApp");
        }
        drop(turn);
    }
}

/// A file on this node's disk.
struct Here {
    spooled: Spooled,
    kind: MediaKind,
    reading: Option<Reading>,
    _room: Place,
}

/// A file on its way from the disk.
struct Reading {
    pieces: Pieces,
    decryptor: Decryptor,
}

impl Reading {
    async fn begin(spooled: &mut Spooled, kind: MediaKind) -> Result<Option<Reading>, FileError> {
        let pieces = spooled.read().await.map_err(refused)?;
        Ok(Some(Reading { pieces, decryptor: Decryptor::new(&spooled.key, kind) }))
    }
}

#[async_trait]
impl FetchedFile for Here {
    async fn piece(&mut self) -> Result<Option<Bytes>, FileError> {
        let mut plain = Vec::new();
        while let Some(reading) = &mut self.reading
            && plain.is_empty()
        {
            match reading.pieces.next().await {
                Some(piece) => {
                    let piece = piece.map_err(|error| refused(MediaProblem::Spool(error)))?;
                    reading.decryptor.update(&piece, &mut plain);
                }
                None => {
                    let Some(Reading { decryptor, .. }) = self.reading.take() else { break };
                    let whole = decryptor.finish(&self.spooled.sealed.hashes, &mut plain);
                    whole.map_err(|error| FileError::Unavailable(format!("on disk: {error}")))?;
                }
            }
        }
        Ok((!plain.is_empty()).then(|| plain.into()))
    }

    async fn rewind(&mut self) -> Result<(), FileError> {
        self.reading = Reading::begin(&mut self.spooled, self.kind).await?;
        Ok(())
    }
}

fn refused(problem: MediaProblem) -> FileError {
    match problem {
        MediaProblem::Expired(_) => FileError::Gone,
        MediaProblem::Corrupt(error) => FileError::Corrupt(error.to_string()),
        MediaProblem::TooLarge { most } | MediaProblem::Endless { most } => FileError::TooLarge(most),
        other => FileError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fetch::tests::{Manner, served};
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_too_large_is_refused_as_such_whatever_the_hosts_would_give() {
        let (media, hosts, file, _) = served(&[Manner::Parts(20_000)]);
        let files = DeviceFiles::new(media, Outside::system());
        let tenant = "acme".parse().expect("an id");
        let refused = files.fetch(&tenant, None, &hosts, &file, 9_999).await.err();
        assert!(matches!(refused, Some(FileError::TooLarge(9_999))), "{refused:?}");
        assert!(files.fetch(&tenant, None, &hosts, &file, 10_000).await.is_ok());
    }
}
