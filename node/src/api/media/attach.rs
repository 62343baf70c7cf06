//! Files of messages that are sent: uploaded to WhatsApp when they are not there, and described in the message.
//!
//! What must hold: into a newsletter goes a file as it is, into every chat an encrypted one; a message is accepted only with a file that WhatsApp has; a sender that dies between the upload
//! and the acceptance has done no harm, because the next one finds the file where the row says, or uploads it
//! again.

use std::time::Duration;

use bytes::Bytes;
use roost_actors::device::Recipient;
use roost_proto::api;
use roost_proto::api::media::Kind;
use roost_proto::api::send_message_request::Content;
use roost_proto::ask::media::MediaHosts;
use roost_proto::content::{quoted_kind, quoted_media};
use roost_proto::id::{DeviceKey, Sequence};
use roost_proto::media::{AnyFile, File, PlainFile, media_to_send, media_to_send_mut};
use roost_proto::prost::Message as _;

use super::{Found, Handle, handle};
use crate::api::Api;
use crate::api::call::Call;
use crate::api::convert::timestamp;
use crate::errors::ApiError;
use crate::media::{BlobKey, MediaProblem, Shown, Unoffered, Uploaded, is_there, offer, publish, show};

/// For how long an upload is believed to be there. WhatsApp keeps files for weeks; for how long exactly is not known.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// The field of a content that names a file, and what the file must be.
fn named(content: &Content) -> Option<(&'static str, Kind)> {
    Some(match content {
        Content::Image(_) => ("image.media.name", Kind::Image),
        Content::Video(_) => ("video.media.name", Kind::Video),
        Content::Audio(_) => ("audio.media.name", Kind::Audio),
        Content::Document(_) => ("document.media.name", Kind::Document),
        Content::Sticker(_) => ("sticker.media.name", Kind::Sticker),
        Content::StickerPack(_) => ("sticker_pack.media.name", Kind::StickerPack),
        Content::Product(product) if product.picture.is_some() => ("product.picture.name", Kind::Image),
        _ => return None,
    })
}

impl Api {
    /// Makes the file of a message ready and describes it; contents without a file stay as they are.
    pub(in crate::api) async fn ready_file(
        &self,
        call: &Call,
        key: &DeviceKey,
        to: &Recipient,
        content: &mut Content,
    ) -> Result<(), ApiError> {
        let Some((field, kind)) = named(content) else { return Ok(()) };
        let (handle, found) = self.file_of(call, key, field, content, kind).await?;
        let mut media = found.media.clone();
        match (&handle, to) {
            (Handle::Uploaded(blob), Recipient::Newsletter(_)) => {
                let here = |file: &&api::WhatsAppFile| file.device == key.to_string() && self.is_fresh(file);
                if media.plain_file.as_ref().filter(here).is_none() {
                    media = self.publish(call, key, blob, media).await?;
                }
                media.file = media.plain_file;
            }
            (_, Recipient::Newsletter(_)) => {
                return Err(ApiError::field(field, "is no upload: nothing else goes into a newsletter"));
            }
            (Handle::Uploaded(blob), _) => {
                if media.file.as_ref().filter(|file| self.is_fresh(file)).is_none() {
                    media = self.upload(call, key, blob, media).await?;
                }
            }
            (Handle::Received(..) | Handle::Posted(..) | Handle::Packed(..), _) => {
                if PlainFile::of(&media).is_some() {
                    let why = "is of a newsletter and not encrypted: into a chat goes an upload of it";
                    return Err(ApiError::field(field, why));
                }
                if let Handle::Received(from, sequence) = &handle {
                    media = self.still_there(call, from, *sequence, found).await?;
                }
            }
        }
        media.plain_file = None;
        if let Some(named) = media_to_send_mut(content) {
            *named = media;
        }
        Ok(())
    }

    /// The file of a message that is forwarded: from the phone again when WhatsApp has dropped it, as nobody could
    /// fetch it.
    async fn still_there(
        &self,
        call: &Call,
        from: &DeviceKey,
        sequence: Sequence,
        found: Found,
    ) -> Result<api::Media, ApiError> {
        let file = File::of(&found.media).ok_or(MediaProblem::Expired("its description is not complete"))?;
        let (media, hosts) = (self.media_of(from).await?, self.hosts_for_download(call, from).await);
        match is_there(&media, &hosts, &AnyFile::Sealed(file)).await? {
            true => Ok(found.media),
            false => self.refresh_anywhere(call, from, sequence, found).await,
        }
    }

    /// The file that a content names in this field, of this kind.
    async fn file_of(
        &self,
        call: &Call,
        key: &DeviceKey,
        field: &str,
        content: &Content,
        kind: Kind,
    ) -> Result<(Handle, Found), ApiError> {
        let handle = handle(field, media_to_send(content).map_or("", |media| &media.name))?;
        let unknown = || ApiError::field(field, "names a file that does not exist");
        if *handle.tenant() != key.business_id {
            return Err(unknown());
        }
        let found = match self.find_file(call, &handle).await {
            Err(ApiError::NotFound { .. }) => return Err(unknown()),
            found => found?,
        };
        if found.media.kind() != kind {
            let why = format!("is of kind {}, not {}", found.media.kind().as_str_name(), kind.as_str_name());
            return Err(ApiError::field(field, why));
        }
        Ok((handle, found))
    }

    /// Describes the file of what a message quotes; other quotes stay as they are. It was sent once: nothing is uploaded.
    pub(in crate::api) async fn ready_quote(
        &self,
        call: &Call,
        key: &DeviceKey,
        context: &mut api::Context,
    ) -> Result<(), ApiError> {
        let Some(quoted) = context.quote.as_mut().and_then(|quote| quote.content.as_mut()) else {
            return Ok(());
        };
        let mut content = quoted_kind(quoted.clone());
        let Some((field, kind)) = named(&content) else { return Ok(()) };
        let field = format!("context.quote.{field}");
        let (_, Found { mut media, .. }) = self.file_of(call, key, &field, &content, kind).await?;
        if media.file.as_ref().is_none_or(|file| file.direct_path.is_empty()) {
            return Err(ApiError::field(field, "names an upload that was never sent"));
        }
        media.plain_file = None;
        if let Some(named) = media_to_send_mut(&mut content) {
            *named = media;
        }
        if let Some(described) = quoted_media(quoted) {
            *described = media_to_send(&content).cloned().unwrap_or_default();
        }
        Ok(())
    }

    fn is_fresh(&self, file: &api::WhatsAppFile) -> bool {
        let now = (self.parts().outside.wall)();
        let at = file.upload_time.filter(|_| !file.direct_path.is_empty()).map(|time| time.seconds);
        at.is_some_and(|at| now.0 / 1000 - at < FRESH.as_secs().cast_signed())
    }

    /// Uploads a file that waits in the store, and remembers where it is.
    async fn upload(
        &self,
        call: &Call,
        key: &DeviceKey,
        blob: &BlobKey,
        mut described: api::Media,
    ) -> Result<api::Media, ApiError> {
        let media = &self.media_of(key).await?;
        let file = File::of(&described).ok_or(MediaProblem::Expired("its description is not complete"))?;
        let length = sealed_length(described.size_bytes);
        let sealed = &file.hashes.sealed;
        let to = |hosts| async move { offer(media, &hosts, blob, file.kind, sealed, length).await };
        let direct_path = self.to_hosts(call, key, to).await?;
        if let Some(file) = &mut described.file {
            file.direct_path = direct_path;
            file.upload_time = Some(timestamp((self.parts().outside.wall)()));
        }
        self.remember(blob, &described).await?;
        Ok(described)
    }

    /// The same for newsletters: as it is.
    async fn publish(
        &self,
        call: &Call,
        key: &DeviceKey,
        blob: &BlobKey,
        mut described: api::Media,
    ) -> Result<api::Media, ApiError> {
        let media = &self.media_of(key).await?;
        let file = File::of(&described).ok_or(MediaProblem::Expired("its description is not complete"))?;
        let (file, length) = (&file, described.size_bytes);
        let to = |hosts| async move { publish(media, &hosts, blob, file, length).await };
        let Uploaded { direct_path, handle, .. } = self.to_hosts(call, key, to).await?;
        described.plain_file = Some(api::WhatsAppFile {
            direct_path,
            media_handle: handle,
            // Whether another account may use a handle is not known.
            device: key.to_string(),
            upload_time: Some(timestamp((self.parts().outside.wall)())),
            ..Default::default()
        });
        self.remember(blob, &described).await?;
        Ok(described)
    }

    /// Keeps where an upload is; one that was deleted meanwhile is not there again.
    async fn remember(&self, blob: &BlobKey, described: &api::Media) -> Result<(), ApiError> {
        let body = described.encode_to_vec();
        match self.directory().replace_media(&blob.tenant, &blob.id, &body).await? {
            true => Ok(()),
            false => Err(MediaProblem::Expired("it was deleted while it was sent").into()),
        }
    }

    /// Uploads a picture that everybody may see.
    pub(in crate::api) async fn show_picture(
        &self,
        call: &Call,
        key: &DeviceKey,
        form: Shown,
        picture: Vec<u8>,
    ) -> Result<Uploaded, ApiError> {
        let (media, picture) = (&self.media_of(key).await?, Bytes::from(picture));
        let to = |hosts| {
            let picture = picture.clone();
            async move { show(media, &hosts, form, picture).await }
        };
        self.to_hosts(call, key, to).await
    }

    /// Uploads to the hosts that WhatsApp names.
    async fn to_hosts<T, F>(
        &self,
        call: &Call,
        key: &DeviceKey,
        upload: impl Fn(MediaHosts) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, Unoffered>>,
    {
        let media = &self.parts().media;
        let _place = media.transfer_place(&key.business_id).await?;
        let mut again = true;
        loop {
            let hosts = self.media_hosts(call, key).await?;
            match upload(hosts).await {
                Ok(uploaded) => return Ok(uploaded),
                // The permission that was remembered is over: a new one is asked for once.
                Err(Unoffered::Unauthorised(_)) if again => {
                    again = false;
                    media.hosts.forget(key);
                }
                Err(Unoffered::Unauthorised(status)) => return Err(MediaProblem::Refused(status).into()),
                Err(Unoffered::Problem(problem)) => return Err(problem.into()),
            }
        }
    }
}

/// Bytes of a blob: whole blocks, at least one byte of padding, and the MAC.
fn sealed_length(length: u64) -> u64 {
    (length / 16 + 1) * 16 + 10
}
