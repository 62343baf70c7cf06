//! Files that callers give: taken in pieces, encrypted on their way to the store, described when they are whole.

use std::path::Path;
use std::time::Duration;

use roost_proto::api;
use roost_proto::api::media::Kind;
use roost_proto::api::upload_media_request::{Header, Part};
use roost_proto::id::{BusinessId, UnixMillis};
use roost_proto::media::kind as keys_of;
use roost_proto::prost::Message as _;
use tonic::Streaming;

use super::{Handle, must_exist};
use crate::api::call::Call;
use crate::api::convert::timestamp;
use crate::api::streams::unread;
use crate::api::{Api, parse};
use crate::errors::{ApiError, Resource};
use crate::media::{BlobKey, Pace, Seen, Sight, Spooled, Spooling, TooSlow, look, looking_place};

/// Largest piece.
const PIECE: usize = 1 << 20;
/// Largest thumbnail that a caller may give.
const THUMBNAIL: usize = 64 << 10;
const WAVEFORM: usize = 256;
const MIME_TYPE: usize = 200;
const FILE_NAME: usize = 1024;
/// Longest film or sound.
const LONGEST_S: i64 = 7 * 24 * 3600;

impl Api {
    pub(super) async fn take_file(
        &self,
        call: &Call,
        mut parts: Streaming<api::UploadMediaRequest>,
    ) -> Result<api::Media, ApiError> {
        let mut pace = Pace::default();
        let Some(Part::Header(header)) = next(&mut parts, &mut pace).await? else {
            return Err(ApiError::field("header", "must come first"));
        };
        let (tenant, kind) = check(&header)?;
        must_exist(self, call, &tenant).await?;
        let media = &self.parts().media;
        let _place = media.upload_place(&tenant).await?;
        let name = self.parts().outside.name();
        let keys = keys_of(kind).expect("it was checked");
        let spool = Spooling::begin(&media.options.spool, &name, keys, media.options.max_bytes);
        let mut spool = spool.await?;
        while let Some(part) = next(&mut parts, &mut pace).await? {
            let Part::Data(data) = part else { return Err(ApiError::field("header", "must come once")) };
            if data.len() > PIECE {
                return Err(ApiError::field("data", format!("must be at most {PIECE} bytes long")));
            }
            spool.write(&data).await?;
            pace.passed(data.len());
        }
        let spooled = spool.finish().await?;
        if spooled.sealed.length == 0 {
            return Err(ApiError::field("data", "must not be empty"));
        }
        if !header.sha256.is_empty() && header.sha256 != spooled.sealed.hashes.plain {
            return Err(ApiError::field("header.sha256", "is not that of the file that came"));
        }
        let seen = find(kind, &header, &spooled, media.options.ffmpeg.as_deref()).await?;
        let key = BlobKey { tenant, id: name };
        let described = self.describe(&key, kind, header, &spooled, seen);
        // The row first: whatever becomes of this call, the retention finds what lies in the store, also when the store says
        // that it has not taken it.
        if !self.directory().put_media(&key.tenant, &key.id, &described.encode_to_vec()).await? {
            return Err(ApiError::not_found(Resource::Tenant, format!("tenants/{}", key.tenant)));
        }
        media.blobs.put(&key, spooled.path()).await.map_err(|error| ApiError::Media(error.into()))?;
        self.parts().metrics.add("roost_media_uploaded_bytes_total", &[], described.size_bytes);
        Ok(described)
    }

    fn describe(
        &self,
        key: &BlobKey,
        kind: Kind,
        header: Header,
        spooled: &Spooled,
        seen: Seen,
    ) -> api::Media {
        let now = (self.parts().outside.wall)();
        let retention = self.parts().media.options.retention.min(Duration::from_secs(1 << 32));
        let until = now.0.saturating_add(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let first = |given: u32, found: u32| if given > 0 { given } else { found };
        api::Media {
            name: Handle::Uploaded(key.clone()).to_string(),
            kind: kind.into(),
            mime_type: header.mime_type,
            file_name: header.file_name,
            size_bytes: spooled.sealed.length,
            sha256: spooled.sealed.hashes.plain.to_vec(),
            width: first(header.width, seen.width),
            height: first(header.height, seen.height),
            duration: header.duration.or_else(|| seen.seconds.map(whole)),
            thumbnail: if header.thumbnail.is_empty() { seen.thumbnail } else { header.thumbnail },
            waveform: if header.waveform.is_empty() { seen.waveform } else { header.waveform },
            create_time: Some(timestamp(now)),
            expire_time: Some(timestamp(UnixMillis(until))),
            file: Some(api::WhatsAppFile {
                media_key: spooled.key.as_bytes().to_vec(),
                encrypted_sha256: spooled.sealed.hashes.sealed.to_vec(),
                streaming_sidecar: spooled.sealed.sidecar.clone(),
                ..Default::default()
            }),
            plain_file: None,
        }
    }
}

/// What the file itself tells of what a caller has not said.
async fn find(
    kind: Kind,
    header: &Header,
    spooled: &Spooled,
    ffmpeg: Option<&Path>,
) -> Result<Seen, ApiError> {
    let Some(sight) = Sight::of(kind, &header.mime_type) else { return Ok(Seen::default()) };
    let sized = header.width > 0 && header.height > 0;
    let ffmpeg = ffmpeg.filter(|_| header.thumbnail.is_empty());
    let described = match sight {
        Sight::Picture | Sight::Sticker => sized && !header.thumbnail.is_empty(),
        Sight::Sound => header.duration.is_some() && !header.waveform.is_empty(),
        Sight::Film => header.duration.is_some() && sized && ffmpeg.is_none(),
    };
    if described {
        return Ok(Seen::default());
    }
    let Some(place) = looking_place().await else { return Ok(Seen::default()) };
    let keys = keys_of(kind).expect("it was checked");
    Ok(look(place, sight, spooled.plain(keys).await?, ffmpeg).await)
}

fn whole(seconds: u32) -> api::Duration {
    api::Duration { seconds: seconds.into(), nanos: 0 }
}

/// The next part, of a caller who may not be too slow while he has a place.
async fn next(
    parts: &mut Streaming<api::UploadMediaRequest>,
    pace: &mut Pace,
) -> Result<Option<Part>, ApiError> {
    match pace.wait(parts.message()).await.map_err(|TooSlow| ApiError::DeadlineExceeded)? {
        Ok(None) => Ok(None),
        Ok(Some(message)) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(ApiError::field("part", "must be header or data")),
        },
        Err(status) => Err(unread("data", &status)),
    }
}

fn check(header: &Header) -> Result<(BusinessId, Kind), ApiError> {
    let tenant = parse::tenant("header.parent", &header.parent)?;
    let kind = header.kind();
    if kind == Kind::Unspecified {
        return Err(ApiError::field("header.kind", "must be IMAGE, VIDEO, AUDIO, DOCUMENT or STICKER"));
    }
    let mime = &header.mime_type;
    let is_mime = mime.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    if !is_mime || mime.len() > MIME_TYPE || mime.chars().any(char::is_control) {
        return Err(ApiError::field("header.mime_type", "must be a media type, as image/jpeg"));
    }
    if header.file_name.len() > FILE_NAME || header.file_name.chars().any(char::is_control) {
        let why = format!("must have at most {FILE_NAME} bytes and no control characters");
        return Err(ApiError::field("header.file_name", why));
    }
    if header.thumbnail.len() > THUMBNAIL {
        return Err(ApiError::field("header.thumbnail", format!("must be at most {THUMBNAIL} bytes long")));
    }
    if header.waveform.len() > WAVEFORM || header.waveform.iter().any(|value| *value > 100) {
        return Err(ApiError::field(
            "header.waveform",
            format!("must be at most {WAVEFORM} values of 0 to 100"),
        ));
    }
    if !matches!(header.sha256.len(), 0 | 32) {
        return Err(ApiError::field("header.sha256", "must be 32 bytes long"));
    }
    let lasting = header.duration.unwrap_or_default();
    if !(0..=LONGEST_S).contains(&lasting.seconds) || !(0..1_000_000_000).contains(&lasting.nanos) {
        return Err(ApiError::field("header.duration", "must be 0 to a week"));
    }
    Ok((tenant, kind))
}
