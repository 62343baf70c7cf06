//! Files that callers get: from our store when they were uploaded here, otherwise from WhatsApp; decrypted on
//! their way, with hashes and MAC checked at the end. Those of newsletters are not encrypted, and have a hash alone.
//!
//! What must hold: a part is cut out of the whole, which is always read and checked, because nothing vouches for a
//! part; an encrypted file that WhatsApp has dropped is asked for from the phone once.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use roost_proto::api;
use roost_proto::api::download_media_response::Part;
use roost_proto::id::{DeviceKey, Sequence};
use roost_proto::media::{AnyFile, Decryptor, File};
use tonic::async_trait;

use super::{Found, Handle};
use crate::api::Api;
use crate::api::call::Call;
use crate::api::streams::Sink;
use crate::errors::ApiError;
use crate::media::{BlobError, BlobKey, Download, Fetched, Media, MediaProblem, Pace, Taker, fetch};

/// Largest piece of an answer.
const PIECE: usize = 256 << 10;

type To = Sink<api::DownloadMediaResponse>;

/// The part that was asked for, on its way out.
struct Window {
    skip: u64,
    left: u64,
    to: To,
    pace: Pace,
}

#[async_trait]
impl Taker for Window {
    type Error = ApiError;

    async fn take(&mut self, piece: Bytes) -> Result<(), ApiError> {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
        self.skip -= skipped as u64;
        let mut piece = piece.slice(skipped..);
        piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= piece.len() as u64;
        while !piece.is_empty() {
            let data = piece.split_to(PIECE.min(piece.len())).to_vec();
            let length = data.len();
            let sent = self.to.send_in_time(api::DownloadMediaResponse { part: Some(Part::Data(data)) });
            self.pace.wait(sent).await.unwrap_or(Err(ApiError::DeadlineExceeded))?;
            self.pace.passed(length);
        }
        Ok(())
    }
}

impl Api {
    pub(super) async fn give_file(
        &self,
        call: &Call,
        handle: &Handle,
        found: Found,
        (skip, limit): (u64, u64),
        to: To,
    ) -> Result<(), ApiError> {
        let broken = MediaProblem::Expired("its message does not say how to fetch it");
        let file = AnyFile::of(&found.media).ok_or(broken)?;
        let described = Part::Media(found.media.clone());
        to.send(api::DownloadMediaResponse { part: Some(described) }).await?;
        let mut window =
            Window { skip, left: if limit == 0 { u64::MAX } else { limit }, to, pace: Pace::default() };
        match (handle, file) {
            (Handle::Uploaded(key), AnyFile::Sealed(file)) => self.give_stored(key, &file, &mut window).await,
            (Handle::Uploaded(_), AnyFile::Plain(_)) => {
                Err(MediaProblem::Expired("its description is not complete").into())
            }
            (Handle::Received(key, sequence), AnyFile::Sealed(file)) => {
                self.give_sealed(call, key, *sequence, file, found, &mut window).await
            }
            (Handle::Received(key, _) | Handle::Posted(key, ..) | Handle::Packed(key, ..), file) => {
                let hosts = self.hosts_for_download(call, key).await;
                let media = self.media_of(key).await?;
                match self.give_fetched(key, &media, &hosts, &file, &mut None, &mut window).await? {
                    Fetched::Whole(_) => Ok(()),
                    Fetched::Gone(_) => Err(MediaProblem::Expired("WhatsApp has dropped it").into()),
                }
            }
        }
    }

    async fn give_stored(&self, key: &BlobKey, file: &File, window: &mut Window) -> Result<(), ApiError> {
        let (mut decryptor, mut plain) = (Decryptor::new(&file.key, file.kind), Vec::new());
        let blob = self.parts().media.blobs.get(key).await;
        let mut blob = blob.map_err(|error| ApiError::Media(error.into()))?;
        let broken = |error| MediaProblem::Store(BlobError::Unavailable(Box::new(error)));
        while let Some(piece) = blob.try_next().await.map_err(broken)? {
            decryptor.update(&piece, &mut plain);
            window.take(std::mem::take(&mut plain).into()).await?;
        }
        decryptor.finish(&file.hashes, &mut plain).map_err(MediaProblem::Corrupt)?;
        window.take(plain.into()).await
    }

    /// An encrypted file, which the phone may have when WhatsApp has not.
    async fn give_sealed(
        &self,
        call: &Call,
        key: &DeviceKey,
        sequence: Sequence,
        mut file: File,
        found: Found,
        window: &mut Window,
    ) -> Result<(), ApiError> {
        let (media, hosts) = (self.media_of(key).await?, self.hosts_for_download(call, key).await);
        let (mut going, mut lost) = (None, Some(found));
        loop {
            let wanted = AnyFile::Sealed(file.clone());
            let fetched = self.give_fetched(key, &media, &hosts, &wanted, &mut going, window).await?;
            let Fetched::Gone(status) = fetched else { return Ok(()) };
            let gone = MediaProblem::Expired("WhatsApp has dropped it, also what the phone sent again");
            let found = lost.take().ok_or(gone)?;
            tracing::debug!(%key, %sequence, status, "WhatsApp has dropped a file; the phone is asked");
            let moved = self.refresh_anywhere(call, key, sequence, found).await?;
            file.direct_path = moved.file.unwrap_or_default().direct_path;
        }
    }

    async fn give_fetched(
        &self,
        key: &DeviceKey,
        media: &Media,
        hosts: &[String],
        file: &AnyFile,
        going: &mut Option<Download>,
        window: &mut Window,
    ) -> Result<Fetched, ApiError> {
        let place = media.download_place(&key.business_id).await?;
        let done = fetch(media, hosts, file, going, window).await?;
        drop(place);
        if let Fetched::Whole(bytes) = done {
            self.parts().metrics.add("roost_media_downloaded_bytes_total", &[], bytes);
        }
        Ok(done)
    }
}
