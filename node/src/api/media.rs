//! `MediaService`: files in and out.
//!
//! What must hold: a file that a caller gives is described only when it is stored whole; a file that a caller gets
//! is whole only when the stream ends without an error. What only the owner of a device can do (ask WhatsApp
//! for hosts, ask the phone for a file) goes through `route.rs`; the bytes go through the node that was asked.

use roost_actors::device::LostMedia;
use roost_placement::ledger::Unavailable;
use roost_proto::api;
use roost_proto::api::event::Payload;
use roost_proto::api::event_unreadable::Reason;
use roost_proto::api::media_service_server::MediaService;
use roost_proto::ask::newsletters::ListNewsletterMessages;
use roost_proto::id::{BusinessId, DeviceKey, Sequence};
use roost_proto::media::{media_of, media_of_mut};
use roost_proto::prost::Message as _;
use roost_proto::stanza::{Jid, Server};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::call::{Call, DEFAULT_DEADLINE};
use super::streams::{Answers, Sink, Until};
use super::{Api, method, parse};
use crate::directory::LoggedEvent;
use crate::errors::{ApiError, Resource};
use crate::media::{BlobKey, location_row};

mod attach;
mod down;
mod lost;
mod packs;
mod up;

const SERVICE: &str = "MediaService";

/// A handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// What a caller has uploaded.
    Uploaded(BlobKey),
    /// The file of a received message.
    Received(DeviceKey, Sequence),
    /// The file of a post that was listed: digits of the newsletter, and the server's number.
    Posted(DeviceKey, String, u64),
    /// A sticker of a public pack: the id of that, and the SHA-256 of the file.
    Packed(DeviceKey, String, [u8; 32]),
}

impl Handle {
    fn tenant(&self) -> &BusinessId {
        match self {
            Handle::Uploaded(key) => &key.tenant,
            Handle::Received(key, _) | Handle::Posted(key, ..) | Handle::Packed(key, ..) => &key.business_id,
        }
    }
}

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Handle::Uploaded(key) => write!(f, "tenants/{}/media/{}", key.tenant, key.id),
            Handle::Received(key, sequence) => write!(f, "{key}/media/{sequence}"),
            Handle::Posted(key, digits, number) => write!(f, "{key}/newsletters/{digits}/media/{number}"),
            Handle::Packed(key, pack, hash) => write!(f, "{key}/stickers/{pack}/media/{}", hex::encode(hash)),
        }
    }
}

/// `tenants/{business_id}/media/{id}`, `tenants/{business_id}/devices/{device_id}/media/{sequence}`,
/// `tenants/{business_id}/devices/{device_id}/newsletters/{digits}/media/{server_id}` or
/// `tenants/{business_id}/devices/{device_id}/stickers/{pack_id}/media/{hash}`.
pub(super) fn handle(field: &str, name: &str) -> Result<Handle, ApiError> {
    let form = || ApiError::field(field, "is not the name of a file: take it from an upload or an event");
    let parts: Vec<&str> = name.split('/').collect();
    let device = || parse::device(field, &parts[..4].join("/"));
    match parts[..] {
        ["tenants", _, "media", id] => {
            let well_formed = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
            let tenant = parse::tenant(field, &parts[..2].join("/"))?;
            match well_formed {
                true => Ok(Handle::Uploaded(BlobKey { tenant, id: id.to_owned() })),
                false => Err(form()),
            }
        }
        ["tenants", _, "devices", _, "media", id] => {
            let sequence = id.parse().ok().filter(|sequence| *sequence > 0).ok_or_else(form)?;
            Ok(Handle::Received(device()?, Sequence(sequence)))
        }
        ["tenants", _, "devices", _, "newsletters", digits, "media", id] => {
            let newsletter = parse::newsletter(field, &format!("{digits}@newsletter")).map_err(|_| form())?;
            let number = id.parse().ok().filter(|number| *number > 0).ok_or_else(form)?;
            Ok(Handle::Posted(device()?, newsletter.user.to_string(), number))
        }
        ["tenants", _, "devices", _, "stickers", pack, "media", id] => {
            let (pack, mut hash) = (packs::pack_id(field, pack).map_err(|_| form())?, [0; 32]);
            hex::decode_to_slice(id, &mut hash).map_err(|_| form())?;
            Ok(Handle::Packed(device()?, pack, hash))
        }
        _ => Err(form()),
    }
}

/// Says in an event of a message with a file how the file is called.
pub(super) fn name_in(event: &mut LoggedEvent) {
    let handle = Handle::Received(event.key.clone(), event.sequence);
    let message = message_in(&mut event.payload);
    if let Some(media) = message.and_then(|message| message.content.as_mut()).and_then(media_of_mut) {
        media.name = handle.to_string();
    }
}

/// The message that an event tells of, which may have a file.
fn message_in(payload: &mut Payload) -> Option<&mut api::MessageReceived> {
    match payload {
        Payload::MessageReceived(message) => Some(message),
        Payload::NewsletterPosted(posted) => posted.post.as_mut()?.message.as_mut(),
        Payload::StatusReceived(posted) => posted.message.as_mut(),
        Payload::CommentReceived(comment) => comment.comment.as_mut(),
        _ => None,
    }
}

/// The same in a post that WhatsApp has listed.
pub(super) fn name_in_post(key: &DeviceKey, newsletter: &Jid, post: &mut api::NewsletterPost) {
    let handle = Handle::Posted(key.clone(), newsletter.user.to_string(), post.server_id);
    let content = post.message.as_mut().and_then(|message| message.content.as_mut());
    if let Some(media) = content.and_then(media_of_mut) {
        media.name = handle.to_string();
    }
}

#[async_trait]
impl MediaService for Api {
    async fn upload_media(
        &self,
        request: Request<Streaming<api::UploadMediaRequest>>,
    ) -> Result<Response<api::Media>, Status> {
        self.unary(method(SERVICE, "UploadMedia"), request, |call, parts| async move {
            self.take_file(&call, parts).await
        })
        .await
    }

    type DownloadMediaStream = Answers<api::DownloadMediaResponse>;

    async fn download_media(
        &self,
        request: Request<api::DownloadMediaRequest>,
    ) -> Result<Response<Self::DownloadMediaStream>, Status> {
        let named = method(SERVICE, "DownloadMedia");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let handle = handle("name", &request.name)?;
            call.may_name(handle.tenant())?;
            let found = self.find_file(&call, &handle).await?;
            let api = self.clone();
            Ok(move |sink: Sink<api::DownloadMediaResponse>| async move {
                api.give_file(&call, &handle, found, (request.offset, request.limit), sink).await
            })
        })
        .await
    }

    async fn get_media(
        &self,
        request: Request<api::GetMediaRequest>,
    ) -> Result<Response<api::Media>, Status> {
        self.unary(method(SERVICE, "GetMedia"), request, |call, request| async move {
            let handle = handle("name", &request.name)?;
            call.may_name(handle.tenant())?;
            Ok(self.find_file(&call, &handle).await?.media)
        })
        .await
    }

    async fn delete_media(
        &self,
        request: Request<api::DeleteMediaRequest>,
    ) -> Result<Response<api::DeleteMediaResponse>, Status> {
        self.unary(method(SERVICE, "DeleteMedia"), request, |call, request| async move {
            let handle = handle("name", &request.name)?;
            call.may_name(handle.tenant())?;
            let Handle::Uploaded(key) = handle else {
                return Err(ApiError::field("name", "is the file of a message: only uploads can be deleted"));
            };
            self.parts().media.blobs.delete(&key).await.map_err(|error| ApiError::Media(error.into()))?;
            match self.directory().remove_media(&key.tenant, &key.id).await? {
                true => Ok(api::DeleteMediaResponse {}),
                false => Err(ApiError::not_found(Resource::Media, request.name)),
            }
        })
        .await
    }

    async fn refresh_media(
        &self,
        request: Request<api::RefreshMediaRequest>,
    ) -> Result<Response<api::Media>, Status> {
        self.unary(method(SERVICE, "RefreshMedia"), request, |call, request| async move {
            let handle = handle("name", &request.name)?;
            call.may_name(handle.tenant())?;
            let Handle::Received(key, sequence) = &handle else {
                let why = "is no file of a message of a chat: only those can be asked for";
                return Err(ApiError::field("name", why));
            };
            let found = self.find_file(&call, &handle).await?;
            self.refresh(&call, key, *sequence, found).await
        })
        .await
    }

    async fn get_sticker_pack(
        &self,
        request: Request<api::GetStickerPackRequest>,
    ) -> Result<Response<api::PublicStickerPack>, Status> {
        self.unary(method(SERVICE, "GetStickerPack"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let pack_id = packs::pack_id("pack_id", &request.pack_id)?;
            let language = packs::language("language", &request.language)?;
            self.device(&key).await?;
            self.public_pack(&key, &pack_id, &language).await
        })
        .await
    }
}

/// A file and what is known of its message.
pub(super) struct Found {
    pub(super) media: api::Media,
    /// How its phone is asked for it.
    lost: Option<LostMedia>,
}

impl Api {
    /// What a handle names.
    pub(super) async fn find_file(&self, call: &Call, handle: &Handle) -> Result<Found, ApiError> {
        let missing = || ApiError::not_found(Resource::Media, handle);
        match handle {
            Handle::Uploaded(key) => {
                let body = self.directory().media(&key.tenant, &key.id).await?.ok_or_else(missing)?;
                Ok(Found { media: decoded(&body)?, lost: None })
            }
            Handle::Received(key, sequence) => {
                let before = Sequence(sequence.0 - 1);
                let event = self.directory().events(key, before, 1).await?.pop();
                let event = event.filter(|event| event.sequence == *sequence);
                let mut payload = event.ok_or_else(missing)?.payload;
                if let Payload::EventUnreadable(why) = &payload
                    && why.reason() == Reason::KindUnknown
                {
                    let why = "a later release has written the event of this file";
                    return Err(ApiError::StoreUnavailable(Unavailable(why.into())));
                }
                let status = matches!(payload, Payload::StatusReceived(_));
                let message = message_in(&mut payload).ok_or_else(missing)?;
                let mut media = message.content.as_ref().and_then(media_of).cloned().ok_or_else(missing)?;
                media.name = handle.to_string();
                let row = location_row(&key.device_id, *sequence);
                if let Some(moved) = self.directory().media(&key.business_id, &row).await?
                    && let (Some(file), Some(moved)) = (&mut media.file, decoded(&moved)?.file)
                    // A number whose event a failover has lost may have been given again.
                    && moved.encrypted_sha256 == file.encrypted_sha256
                {
                    file.direct_path = moved.direct_path;
                }
                let lost = lost::lost(message, status, &media);
                Ok(Found { media, lost })
            }
            Handle::Posted(key, digits, number) => {
                let newsletter = Jid::new(&**digits, Server::Newsletter);
                let before = number.saturating_add(1);
                let one = ListNewsletterMessages { newsletter, count: 1, before };
                let post = self.ask(&on_behalf(call), key, &one).await?.pop();
                let post = post.filter(|post| post.server_id == *number).ok_or_else(missing)?;
                let content = post.message.and_then(|message| message.content);
                let media = content.as_ref().and_then(media_of).cloned().ok_or_else(missing)?;
                Ok(Found { media: api::Media { name: handle.to_string(), ..media }, lost: None })
            }
            Handle::Packed(key, pack, hash) => {
                let media = self.packed(key, pack, hash).await?.ok_or_else(missing)?;
                Ok(Found { media, lost: None })
            }
        }
    }
}

/// What is asked on behalf of a call may be about another device, so it is forwarded to the owner of that also when the call
/// was forwarded; and it has as long as a call, because a stream has no deadline of its own.
fn on_behalf(call: &Call) -> Call {
    Call { deadline: Instant::now() + DEFAULT_DEADLINE, forwarded: false, ..call.clone() }
}

fn decoded(body: &[u8]) -> Result<api::Media, ApiError> {
    // Ours, and authenticated: only a damaged row, which the store reports, or a newer program gets here.
    api::Media::decode(body).map_err(|error| ApiError::StoreUnavailable(Unavailable(error.into())))
}

/// The tenant that a file is for must exist.
async fn must_exist(api: &Api, call: &Call, tenant: &BusinessId) -> Result<(), ApiError> {
    call.may_name(tenant)?;
    let found = api.directory().tenant(tenant).await?;
    let missing = || ApiError::not_found(Resource::Tenant, format!("tenants/{tenant}"));
    found.map(drop).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_as_they_are_written() {
        for name in [
            "tenants/acme/media/01J9ZK",
            "tenants/acme/devices/shop/media/17",
            "tenants/acme/devices/shop/newsletters/120363000000000009/media/101",
            "tenants/media/devices/media/media/17",
            "tenants/newsletters/devices/stickers/media/17",
            &format!("tenants/acme/devices/shop/stickers/Hens_1-a/media/{}", "0a".repeat(32)),
        ] {
            assert_eq!(handle("name", name).expect("well formed").to_string(), name);
        }
        for bad in [
            "",
            "tenants/acme",
            "tenants/acme/media/",
            "tenants/acme/media/a.b",
            "tenants/acme/media/../x",
            "tenants/acme/devices/shop/media/0",
            "tenants/acme/devices/shop/media/x",
            "tenants/acme/devices/shop/media/-1",
            "tenants/acme/devices/shop/newsletters/1/media/101",
            "tenants/acme/devices/shop/newsletters/120363000000000009/media/0",
            "tenants/acme/newsletters/120363000000000009/media/1",
            "tenants/acme/devices/shop/stickers/hens/media/1",
            &format!("tenants/acme/devices/shop/stickers/he.ns/media/{}", "0a".repeat(32)),
            &format!("tenants/acme/stickers/hens/media/{}", "0a".repeat(32)),
        ] {
            assert!(matches!(handle("name", bad), Err(ApiError::InvalidField { .. })), "{bad:?}");
        }
    }
}
