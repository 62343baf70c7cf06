//! Files in messages that are sent: from what the public schema says to WhatsApp's `Message`.
//!
//! What must hold: a description is complete here (key, hashes, path); whoever lets a message come here has seen
//! to it. What stands beside the content (quotes, mentions) is the caller's.

use waproto::buffa::MessageField;
use waproto::whatsapp::message_association::AssociationType;
use waproto::whatsapp::{ContextInfo, Message, MessageAssociation, MessageContextInfo, MessageKey, message};

use super::annotations;
use crate::api;
use crate::api::send_message_request::Content;
use crate::stanza::Jid;

/// The description in what is sent.
pub fn media_to_send(content: &Content) -> Option<&api::Media> {
    match content {
        Content::Image(image) => image.media.as_ref(),
        Content::Video(video) => video.media.as_ref(),
        Content::Audio(audio) => audio.media.as_ref(),
        Content::Document(document) => document.media.as_ref(),
        Content::Sticker(sticker) => sticker.media.as_ref(),
        Content::StickerPack(pack) => pack.media.as_ref(),
        Content::Product(product) => product.picture.as_ref(),
        _ => None,
    }
}

/// The same, to fill it in.
pub fn media_to_send_mut(content: &mut Content) -> Option<&mut api::Media> {
    match content {
        Content::Image(image) => image.media.as_mut(),
        Content::Video(video) => video.media.as_mut(),
        Content::Audio(audio) => audio.media.as_mut(),
        Content::Document(document) => document.media.as_mut(),
        Content::Sticker(sticker) => sticker.media.as_mut(),
        Content::StickerPack(pack) => pack.media.as_mut(),
        Content::Product(product) => product.picture.as_mut(),
        _ => None,
    }
}

/// Puts a content with a file, or an album, into a message; nothing for other kinds. `chat` is where it goes.
pub(crate) fn put(
    out: &mut Message,
    content: &Content,
    with: MessageField<ContextInfo>,
    chat: &Jid,
    view_once: bool,
) {
    let none = api::Media::default();
    let media = media_to_send(content).unwrap_or(&none);
    let file = media.file.clone().unwrap_or_default();
    // A file that is not encrypted has no key and no second hash, and WhatsApp's clients tell it by that.
    let sealed = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
    let key = || sealed(&file.media_key);
    let hashes = (Some(media.sha256.clone()), sealed(&file.encrypted_sha256));
    let path = || Some(file.direct_path.clone());
    let sidecar = || (!file.streaming_sidecar.is_empty()).then(|| file.streaming_sidecar.clone());
    let uploaded = || file.upload_time.filter(|_| !file.media_key.is_empty()).map(|time| time.seconds);
    let mime_type = || Some(media.mime_type.clone());
    let thumbnail = || (!media.thumbnail.is_empty()).then(|| media.thumbnail.clone());
    let number = |number: u32| (number > 0).then_some(number);
    let seconds = media.duration.map(|lasting| u32::try_from(lasting.seconds).unwrap_or(u32::MAX));
    let view_once = view_once.then_some(true);
    match content {
        Content::Image(image) => {
            out.message_context_info = of_album(&image.album, chat);
            let caption = said(&image.caption);
            let (interactive_annotations, annotations) = annotations::written(&image.annotations);
            out.image_message = message::ImageMessage {
                caption,
                context_info: with,
                view_once,
                interactive_annotations,
                annotations,
                ..self::image(media)
            }
            .into();
        }
        Content::Video(video) => {
            out.message_context_info = of_album(&video.album, chat);
            let (interactive_annotations, annotations) = annotations::written(&video.annotations);
            let film = message::VideoMessage {
                interactive_annotations,
                annotations,
                mimetype: mime_type(),
                caption: said(&video.caption),
                file_sha256: hashes.0,
                file_length: Some(media.size_bytes),
                seconds,
                height: number(media.height),
                width: number(media.width),
                media_key: key(),
                file_enc_sha256: hashes.1,
                direct_path: path(),
                media_key_timestamp: uploaded(),
                jpeg_thumbnail: thumbnail(),
                gif_playback: video.gif.then_some(true),
                streaming_sidecar: sidecar(),
                context_info: with,
                view_once,
                ..Default::default()
            };
            match video.note {
                true => out.ptv_message = film.into(),
                false => out.video_message = film.into(),
            }
        }
        Content::Audio(audio) => {
            out.audio_message = message::AudioMessage {
                mimetype: mime_type(),
                file_sha256: hashes.0,
                file_length: Some(media.size_bytes),
                seconds,
                ptt: Some(audio.voice),
                media_key: key(),
                file_enc_sha256: hashes.1,
                direct_path: path(),
                media_key_timestamp: uploaded(),
                streaming_sidecar: sidecar(),
                waveform: (!media.waveform.is_empty()).then(|| media.waveform.clone()),
                context_info: with,
                view_once,
                ..Default::default()
            }
            .into();
        }
        Content::Document(document) => {
            let name = if document.file_name.is_empty() { &media.file_name } else { &document.file_name };
            let plain = message::DocumentMessage {
                mimetype: mime_type(),
                title: said(name),
                file_name: said(name),
                caption: said(&document.caption),
                file_sha256: hashes.0,
                file_length: Some(media.size_bytes),
                page_count: number(document.pages),
                media_key: key(),
                file_enc_sha256: hashes.1,
                direct_path: path(),
                media_key_timestamp: uploaded(),
                jpeg_thumbnail: thumbnail(),
                context_info: with,
                ..Default::default()
            };
            if document.caption.is_empty() {
                out.document_message = plain.into();
            } else {
                // WhatsApp's own clients show the caption only in this envelope.
                let inner = Message { document_message: plain.into(), ..Default::default() };
                out.document_with_caption_message =
                    message::FutureProofMessage { message: inner.into() }.into();
            }
        }
        Content::Sticker(sticker) => {
            out.sticker_message = message::StickerMessage {
                mimetype: mime_type(),
                file_sha256: hashes.0,
                file_length: Some(media.size_bytes),
                height: number(media.height),
                width: number(media.width),
                media_key: key(),
                file_enc_sha256: hashes.1,
                direct_path: path(),
                media_key_timestamp: uploaded(),
                png_thumbnail: thumbnail(),
                is_animated: Some(sticker.animated),
                context_info: with,
                ..Default::default()
            }
            .into();
        }
        Content::StickerPack(pack) => {
            out.sticker_pack_message = super::stickers::message(pack, media, with).into();
        }
        Content::Album(album) => {
            out.album_message = message::AlbumMessage {
                expected_image_count: Some(album.images),
                expected_video_count: Some(album.videos),
                context_info: with,
            }
            .into();
        }
        _ => {}
    }
}

/// A picture with nothing beside it.
pub(crate) fn image(media: &api::Media) -> message::ImageMessage {
    let file = media.file.clone().unwrap_or_default();
    let sealed = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
    let uploaded = file.upload_time.filter(|_| !file.media_key.is_empty()).map(|time| time.seconds);
    let number = |number: u32| (number > 0).then_some(number);
    message::ImageMessage {
        mimetype: Some(media.mime_type.clone()),
        file_sha256: Some(media.sha256.clone()),
        file_length: Some(media.size_bytes),
        height: number(media.height),
        width: number(media.width),
        media_key: sealed(&file.media_key),
        file_enc_sha256: sealed(&file.encrypted_sha256),
        direct_path: Some(file.direct_path),
        media_key_timestamp: uploaded,
        jpeg_thumbnail: (!media.thumbnail.is_empty()).then(|| media.thumbnail.clone()),
        ..Default::default()
    }
}

fn of_album(album: &str, chat: &Jid) -> MessageField<MessageContextInfo> {
    if album.is_empty() {
        return MessageField::none();
    }
    let key = MessageKey {
        remote_jid: Some(chat.to_string()),
        from_me: Some(true),
        id: Some(album.to_owned()),
        ..Default::default()
    };
    let association = MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        parent_message_key: key.into(),
        ..Default::default()
    };
    MessageContextInfo { message_association: association.into(), ..Default::default() }.into()
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
