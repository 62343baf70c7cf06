//! Files, with the library's own upload and download; and its question to the phone for what the servers have dropped.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use whatsapp_rust::download::{DownloadParams, Downloadable, MediaType};
use whatsapp_rust::media::{self, AudioOptions, DocumentOptions, ImageOptions, VideoOptions};
use whatsapp_rust::prelude::*;
use whatsapp_rust::waproto::whatsapp::interactive_annotation::Action;
use whatsapp_rust::waproto::whatsapp::message::{
    FutureProofMessage, StickerMessage, StickerPackMessage, sticker_pack_message,
};
use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;
use whatsapp_rust::{ErrorChainExt as _, MediaRetryResult, MediaReuploadRequest, UploadOptions};

use crate::events::{Said, Shown};
use crate::{Command, shop};

/// Uploads the file of a command and sends it. Returns the id of its message.
///
/// # Errors
/// An unknown kind, a file that cannot be read, or what the library says.
pub async fn send(client: &Client, to: Jid, command: &Command) -> anyhow::Result<String> {
    let data = std::fs::read(&command.path).with_context(|| command.path.clone())?;
    let media_type = match command.kind.as_str() {
        "image" | "view_once" | "edited_caption" | "located" | "product" => MediaType::Image,
        "sticker" => MediaType::Sticker,
        "video" | "note" => MediaType::Video,
        "audio" | "voice" => MediaType::Audio,
        "document" => MediaType::Document,
        "sticker_pack" => MediaType::StickerPack,
        unknown => bail!("unknown kind of file {unknown:?}"),
    };
    let file = client.upload(data, media_type, UploadOptions::new()).await?;
    let (caption, mimetype) = (Some(command.text.clone()), Some(command.mime.clone()));
    let mut message = match command.kind.as_str() {
        "image" | "view_once" | "edited_caption" | "located" | "product" => {
            media::image_message(file, ImageOptions { caption, mimetype, ..Default::default() })
        }
        "video" => media::video_message(file, VideoOptions { caption, mimetype, ..Default::default() }),
        "note" => {
            let mut film = media::video_message(file, VideoOptions { mimetype, ..Default::default() });
            let ptv_message = std::mem::take(&mut film.video_message);
            wa::Message { ptv_message, ..Default::default() }
        }
        "document" => {
            let file_name = Some("file.bin".to_owned());
            let options = DocumentOptions { file_name, caption, mimetype, ..Default::default() };
            media::document_message(file, options)
        }
        "sticker_pack" => {
            let hen = sticker_pack_message::Sticker {
                file_name: Some("hen.webp".to_owned()),
                ..Default::default()
            };
            let pack = StickerPackMessage {
                sticker_pack_id: Some("hens".to_owned()),
                name: Some("Hens".to_owned()),
                publisher: Some("whatsapp-rust".to_owned()),
                stickers: vec![hen],
                direct_path: Some(file.direct_path),
                media_key: Some(file.media_key.to_vec()),
                file_sha256: Some(file.file_sha256.to_vec()),
                file_enc_sha256: Some(file.file_enc_sha256.to_vec()),
                file_length: Some(file.file_length),
                caption,
                ..Default::default()
            };
            wa::Message { sticker_pack_message: MessageField::some(pack), ..Default::default() }
        }
        "sticker" => {
            let sticker = StickerMessage {
                url: Some(file.url),
                direct_path: Some(file.direct_path),
                media_key: Some(file.media_key.to_vec()),
                file_sha256: Some(file.file_sha256.to_vec()),
                file_enc_sha256: Some(file.file_enc_sha256.to_vec()),
                file_length: Some(file.file_length),
                media_key_timestamp: Some(file.media_key_timestamp),
                mimetype,
                ..Default::default()
            };
            wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() }
        }
        kind => {
            let ptt = Some(kind == "voice");
            media::audio_message(file, AudioOptions { ptt, mimetype, ..Default::default() })
        }
    };
    if command.kind == "edited_caption" {
        return Ok(client.edit_message(to, &command.about, message).await?);
    }
    if !command.about.is_empty() {
        message.message_context_info = in_album(&to, &command.about);
    }
    if command.kind == "product" {
        message = shop::pictured(message.image_message, command, client.pn().as_ref());
    }
    if command.kind == "located" {
        message.image_message.get_or_insert_default().interactive_annotations = vec![located()];
    }
    if command.kind == "view_once" {
        let envelope = FutureProofMessage { message: message.into() };
        message = wa::Message { view_once_message: MessageField::some(envelope), ..Default::default() };
    }
    Ok(client.send_message(to, message).await?.message_id)
}

/// A part of a picture that leads to a place.
fn located() -> wa::InteractiveAnnotation {
    let place = wa::Location {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(13.5),
        name: Some("Alex".to_owned()),
    };
    let corner = |(x, y)| wa::Point { x: Some(x), y: Some(y), ..Default::default() };
    wa::InteractiveAnnotation {
        polygon_vertices: [(0.25, 0.5), (0.75, 0.5), (0.5, 1.0)].map(corner).to_vec(),
        action: Some(Action::Location(Box::new(place))),
        ..Default::default()
    }
}

/// The place that a part of a picture leads to.
fn place_of(picture: &wa::message::ImageMessage) -> String {
    let place = picture.interactive_annotations.iter().find_map(|one| match &one.action {
        Some(Action::Location(place)) => Some(place),
        _ => None,
    });
    let words = |place: &wa::Location| {
        let (latitude, longitude) =
            (place.degrees_latitude.unwrap_or(0.0), place.degrees_longitude.unwrap_or(0.0));
        format!("{latitude} {longitude} {}", place.name.as_deref().unwrap_or_default())
    };
    place.map(|place| words(place)).unwrap_or_default()
}

/// That a picture belongs to an album of ours.
fn in_album(chat: &Jid, album: &str) -> MessageField<wa::MessageContextInfo> {
    let key = wa::MessageKey {
        remote_jid: Some(chat.to_string()),
        from_me: Some(true),
        id: Some(album.to_owned()),
        ..Default::default()
    };
    let association = wa::MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        parent_message_key: MessageField::some(key),
        ..Default::default()
    };
    let message_association = MessageField::some(association);
    MessageField::some(wa::MessageContextInfo { message_association, ..Default::default() })
}

/// The album that a picture belongs to; empty for none.
fn album_of(inbound: &InboundMessage) -> String {
    let association = |message: &wa::Message| {
        let association = message.message_context_info.as_option()?.message_association.as_option()?;
        let of_album = association.association_type == Some(AssociationType::MEDIA_ALBUM);
        association.parent_message_key.as_option()?.id.clone().filter(|_| of_album)
    };
    let inner = association(inbound.message.get_base_message());
    inner.or_else(|| association(&inbound.message)).unwrap_or_default()
}

/// Fetches the file of a message, if it has one, and says what it is.
///
/// # Errors
/// What the library says, or that the phone does not have it either.
pub async fn received(client: Arc<Client>, inbound: InboundMessage) -> anyhow::Result<Option<Said<'static>>> {
    let message = inbound.message.get_base_message();
    let Some((kind, mime, caption, part)) = file_of(message) else { return Ok(None) };
    let kind = if inbound.message.is_view_once() { "view_once" } else { kind };
    let data = fetch(&client, &inbound.info, part).await;
    let data = data.with_context(|| format!("download of {kind} {}", inbound.info.id))?;
    Ok(Some(Said::File {
        id: inbound.info.id.clone(),
        kind,
        mime: mime.clone().unwrap_or_default(),
        caption: caption.clone().unwrap_or_default(),
        size: data.len(),
        sha256: crate::kinds::hex(&Sha256::digest(&data)),
        from_me: inbound.info.source.is_from_me,
        about: album_of(&inbound),
        chat: inbound.info.source.chat.to_string(),
        shown: shown_of(message),
    }))
}

/// What can be shown of a file before it is there.
fn shown_of(message: &wa::Message) -> Shown {
    if let Some(audio) = message.audio_message.as_option() {
        let waveform = crate::kinds::hex(audio.waveform.as_deref().unwrap_or_default());
        return Shown { seconds: audio.seconds.unwrap_or_default(), waveform, ..Shown::default() };
    }
    let film = message.video_message.as_option().or_else(|| message.ptv_message.as_option());
    let picture = message.image_message.as_option();
    let either = |of_film: Option<u32>, of_picture: Option<u32>| of_film.or(of_picture).unwrap_or_default();
    Shown {
        seconds: film.and_then(|film| film.seconds).unwrap_or_default(),
        width: either(film.and_then(|film| film.width), picture.and_then(|picture| picture.width)),
        height: either(film.and_then(|film| film.height), picture.and_then(|picture| picture.height)),
        place: picture.map(place_of).unwrap_or_default(),
        ..Shown::default()
    }
}

type File<'a> = (&'static str, &'a Option<String>, &'a Option<String>, &'a dyn Downloadable);

/// Its kind, its type, what is said with it, and itself.
fn file_of(message: &wa::Message) -> Option<File<'_>> {
    if let Some(image) = message.image_message.as_option() {
        return Some(("image", &image.mimetype, &image.caption, image));
    }
    if let Some(video) = message.video_message.as_option() {
        return Some(("video", &video.mimetype, &video.caption, video));
    }
    if let Some(note) = message.ptv_message.as_option() {
        return Some(("note", &note.mimetype, &None, note));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let kind = if audio.ptt == Some(true) { "voice" } else { "audio" };
        return Some((kind, &audio.mimetype, &None, audio));
    }
    if let Some(document) = message.document_message.as_option() {
        return Some(("document", &document.mimetype, &document.caption, document));
    }
    if let Some(pack) = message.sticker_pack_message.as_option() {
        return Some(("sticker_pack", &None, &pack.caption, pack));
    }
    if let Some(product) = message.product_message.as_option() {
        let picture = product.product.as_option()?.product_image.as_option()?;
        return Some(("product", &picture.mimetype, &None, picture));
    }
    let sticker = message.sticker_message.as_option()?;
    Some(("sticker", &sticker.mimetype, &None, sticker))
}

/// Fetches a pack that everybody may take, with its files: its name, who made it, and the emojis and hash of each.
///
/// # Errors
/// What the library says.
pub async fn stickers(client: &Client, id: &str) -> anyhow::Result<Vec<String>> {
    let pack = client.fetch_sticker_pack(id, "en").await?;
    let mut words = vec![pack.name.unwrap_or_default(), pack.publisher.unwrap_or_default()];
    for sticker in &pack.stickers {
        let hash = crate::kinds::hex(&Sha256::digest(client.download(sticker).await?));
        words.push(format!("{} {hash}", sticker.emojis.concat()));
    }
    Ok(words)
}

/// From the servers, or after that from where the phone has uploaded it again.
async fn fetch(client: &Client, info: &MessageInfo, part: &dyn Downloadable) -> anyhow::Result<Vec<u8>> {
    let refused = match client.download(part).await {
        Err(refused) if matches!(refused.http_status(), Some(404 | 410)) => refused,
        fetched => return fetched,
    };
    let hashes = part.media_key().zip(part.file_sha256()).zip(part.file_enc_sha256());
    let ((media_key, hash), sealed_hash) = hashes.context("a file without its key and hashes")?;
    let question = MediaReuploadRequest {
        msg_id: &info.id,
        chat_jid: &info.source.chat,
        media_key,
        is_from_me: info.source.is_from_me,
        participant: info.source.is_group.then_some(&info.source.sender),
    };
    match client.media_reupload().request(&question).await? {
        MediaRetryResult::Success { direct_path } => {
            let length = part.file_length().unwrap_or_default();
            let kind = part.app_info();
            let there = DownloadParams::encrypted(direct_path, media_key, hash, sealed_hash, length, kind);
            client.download_from_params(&there).await
        }
        answer => Err(refused.context(format!("the phone says {answer:?}"))),
    }
}
