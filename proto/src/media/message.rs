//! Files in messages: from WhatsApp's `Message` to what the public schema says of it, and back.
//!
//! What must hold: only files with a key, both hashes and a path are read as files, or with neither key nor second
//! hash, as newsletters have them; any other message stays what it is. The types of WhatsApp's schema stay below this
//! file.

use waproto::buffa::Message as _;
use waproto::whatsapp::message::ImageMessage;
use waproto::whatsapp::message_association::AssociationType;
use waproto::whatsapp::{ContextInfo, Message};

use super::annotations;
use super::cipher::Hashes;
use super::keys::{MediaKey, MediaKind};
use crate::api;
use crate::api::media::Kind;
use crate::api::message_received::Content;

/// The deepest nesting of envelopes that is looked into.
const DEPTH: usize = 5;

/// What is needed to fetch the encrypted file of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// How its keys are derived.
    pub kind: MediaKind,
    /// From the message.
    pub key: MediaKey,
    /// From the message.
    pub hashes: Hashes,
    /// Begins with `/`.
    pub direct_path: String,
}

impl File {
    /// Of a description; `None` when something of it is missing, as from one of a file that is not encrypted.
    pub fn of(media: &api::Media) -> Option<File> {
        let file = media.file.as_ref()?;
        Some(File {
            kind: kind(media.kind())?,
            key: MediaKey::from_slice(&file.media_key)?,
            hashes: Hashes {
                plain: media.sha256.as_slice().try_into().ok()?,
                sealed: file.encrypted_sha256.as_slice().try_into().ok()?,
            },
            direct_path: file.direct_path.clone(),
        })
    }
}

/// How the keys of a file of this kind are derived.
pub fn kind(kind: Kind) -> Option<MediaKind> {
    match kind {
        Kind::Image | Kind::Sticker => Some(MediaKind::Image),
        Kind::Video => Some(MediaKind::Video),
        Kind::Audio => Some(MediaKind::Audio),
        Kind::Document => Some(MediaKind::Document),
        Kind::StickerPack => Some(MediaKind::StickerPack),
        Kind::Unspecified => None,
    }
}

/// The description in what a message says.
pub fn media_of(content: &Content) -> Option<&api::Media> {
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

/// The same, to change it.
pub fn media_of_mut(content: &mut Content) -> Option<&mut api::Media> {
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

/// The file in an encoded message, looking through envelopes.
pub fn file_in(message: &[u8]) -> Option<File> {
    content_in(message).as_ref().and_then(media_of).and_then(File::of)
}

/// What an encoded message with a file says, or an album, looking through envelopes; `None` for other kinds.
pub fn content_in(message: &[u8]) -> Option<Content> {
    let outer = Message::decode_from_slice(message).ok()?;
    let mut inner = &outer;
    for _ in 0..DEPTH {
        if let Some((content, _)) = read(inner, &outer) {
            return Some(content);
        }
        let envelopes = [
            &inner.ephemeral_message,
            &inner.view_once_message,
            &inner.view_once_message_v2,
            &inner.view_once_message_v2_extension,
            &inner.document_with_caption_message,
            &inner.associated_child_message,
        ];
        inner = envelopes.into_iter().find_map(|envelope| envelope.as_option()?.message.as_option())?;
    }
    None
}

macro_rules! media {
    ($kind:expr, $from:expr, $thumbnail:ident) => {
        media!($kind, $from, $thumbnail, None)
    };
    ($kind:expr, $from:expr, $thumbnail:ident, $sidecar:expr) => {{
        let from = $from;
        described(
            $kind,
            &from.mimetype,
            from.file_length,
            [&from.media_key, &from.file_sha256, &from.file_enc_sha256, &from.$thumbnail, &$sidecar],
            &from.direct_path,
        )?
    }};
}

/// The description of a picture that can be fetched.
pub(crate) fn picture(image: &ImageMessage) -> Option<api::Media> {
    let media = media!(Kind::Image, image, jpeg_thumbnail);
    Some(api::Media { width: size(image.width), height: size(image.height), ..media })
}

/// A message with a file, or an album, with what stands beside it. `outer` is the message with its envelopes.
pub(crate) fn read<'a>(message: &'a Message, outer: &Message) -> Option<(Content, Option<&'a ContextInfo>)> {
    let album = || {
        let info = if message.message_context_info.is_set() { message } else { outer };
        let association = info.message_context_info.message_association.as_option()?;
        let of_album = association.association_type == Some(AssociationType::MEDIA_ALBUM);
        association.parent_message_key.id.clone().filter(|_| of_album)
    };
    if let Some(image) = message.image_message.as_option() {
        let content = api::Image {
            media: Some(picture(image)?),
            caption: owned(&image.caption),
            album: album().unwrap_or_default(),
            annotations: annotations::read(&image.interactive_annotations, &image.annotations),
        };
        return Some((Content::Image(content), image.context_info.as_option()));
    }
    for (video, note) in [(&message.video_message, false), (&message.ptv_message, true)] {
        let Some(video) = video.as_option() else { continue };
        let media = media!(Kind::Video, video, jpeg_thumbnail, video.streaming_sidecar);
        let media = api::Media {
            width: size(video.width),
            height: size(video.height),
            duration: lasting(video.seconds),
            ..media
        };
        let content = api::Video {
            media: Some(media),
            caption: owned(&video.caption),
            album: album().unwrap_or_default(),
            note,
            gif: video.gif_playback == Some(true),
            annotations: annotations::read(&video.interactive_annotations, &video.annotations),
        };
        return Some((Content::Video(content), video.context_info.as_option()));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let media = described(
            Kind::Audio,
            &audio.mimetype,
            audio.file_length,
            [&audio.media_key, &audio.file_sha256, &audio.file_enc_sha256, &None, &audio.streaming_sidecar],
            &audio.direct_path,
        )?;
        let waveform = bytes(&audio.waveform);
        let media = api::Media { duration: lasting(audio.seconds), waveform, ..media };
        let content = api::Audio { media: Some(media), voice: audio.ptt == Some(true) };
        return Some((Content::Audio(content), audio.context_info.as_option()));
    }
    if let Some(document) = message.document_message.as_option() {
        let media = media!(Kind::Document, document, jpeg_thumbnail);
        let file_name = document.file_name.clone().or_else(|| document.title.clone()).unwrap_or_default();
        let content = api::Document {
            media: Some(api::Media { file_name: file_name.clone(), ..media }),
            caption: owned(&document.caption),
            file_name,
            pages: size(document.page_count),
        };
        return Some((Content::Document(content), document.context_info.as_option()));
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        let media = media!(Kind::Sticker, sticker, png_thumbnail);
        let media = api::Media { width: size(sticker.width), height: size(sticker.height), ..media };
        let content = api::Sticker { media: Some(media), animated: sticker.is_animated == Some(true) };
        return Some((Content::Sticker(content), sticker.context_info.as_option()));
    }
    if let Some(found) = super::stickers::read(message) {
        return Some(found);
    }
    let album = message.album_message.as_option()?;
    let content =
        api::Album { images: size(album.expected_image_count), videos: size(album.expected_video_count) };
    Some((Content::Album(content), album.context_info.as_option()))
}

pub(super) fn described(
    kind: Kind,
    mime_type: &Option<String>,
    length: Option<u64>,
    [key, plain, sealed, thumbnail, sidecar]: [&Option<impl AsRef<[u8]>>; 5],
    path: &Option<String>,
) -> Option<api::Media> {
    let exactly_32 = |bytes: &Option<_>| copied(bytes).filter(|bytes: &Vec<u8>| bytes.len() == 32);
    let (media_key, encrypted_sha256) = match (bytes(key).is_empty(), bytes(sealed).is_empty()) {
        (true, true) => (Vec::new(), Vec::new()),
        _ => (exactly_32(key)?, exactly_32(sealed)?),
    };
    Some(api::Media {
        kind: kind.into(),
        mime_type: owned(mime_type),
        size_bytes: length.unwrap_or(0),
        sha256: exactly_32(plain)?,
        thumbnail: copied(thumbnail).unwrap_or_default(),
        file: Some(api::WhatsAppFile {
            media_key,
            encrypted_sha256,
            direct_path: path.clone().filter(|path| path.starts_with('/'))?,
            streaming_sidecar: bytes(sidecar),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn copied(bytes: &Option<impl AsRef<[u8]>>) -> Option<Vec<u8>> {
    bytes.as_ref().map(|bytes| bytes.as_ref().to_vec())
}

fn bytes(bytes: &Option<impl AsRef<[u8]>>) -> Vec<u8> {
    copied(bytes).unwrap_or_default()
}

pub(super) fn owned(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn size(number: Option<u32>) -> u32 {
    number.unwrap_or(0)
}

fn lasting(seconds: Option<u32>) -> Option<api::Duration> {
    seconds.map(|seconds| api::Duration { seconds: seconds.into(), nanos: 0 })
}

#[cfg(test)]
mod tests {
    use waproto::buffa::MessageField;
    use waproto::whatsapp::message;
    use waproto::whatsapp::{MessageAssociation, MessageContextInfo, MessageKey};

    use super::*;
    use crate::media::PlainFile;

    fn image() -> message::ImageMessage {
        message::ImageMessage {
            mimetype: Some("image/jpeg".to_owned()),
            caption: Some("a cat".to_owned()),
            file_sha256: Some(vec![1; 32]),
            file_enc_sha256: Some(vec![2; 32]),
            media_key: Some(vec![3; 32]),
            file_length: Some(1234),
            width: Some(640),
            height: Some(480),
            direct_path: Some("/v/t62.7118-24/1?ccb=11-4".to_owned()),
            ..Default::default()
        }
    }

    fn said(message: Message) -> Option<Content> {
        content_in(&message.encode_to_vec())
    }

    #[test]
    fn a_picture_in_envelopes_is_a_picture() {
        let plain = Message { image_message: image().into(), ..Default::default() };
        let wrapped = Message {
            ephemeral_message: message::FutureProofMessage {
                message: MessageField::some(Message {
                    view_once_message_v2: message::FutureProofMessage { message: plain.clone().into() }
                        .into(),
                    ..Default::default()
                }),
            }
            .into(),
            ..Default::default()
        };
        for message in [plain, wrapped] {
            let bytes = message.encode_to_vec();
            let Some(Content::Image(image)) = content_in(&bytes) else { panic!("not a picture") };
            let media = image.media.expect("a file");
            assert_eq!((image.caption.as_str(), media.size_bytes), ("a cat", 1234));
            assert_eq!((media.width, media.height, media.mime_type.as_str()), (640, 480, "image/jpeg"));
            let file = file_in(&bytes).expect("a file");
            assert_eq!(
                (file.kind, file.hashes.plain, file.hashes.sealed),
                (MediaKind::Image, [1; 32], [2; 32])
            );
            assert_eq!(file.direct_path, "/v/t62.7118-24/1?ccb=11-4");
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_no_file() {
        let broken: [fn(&mut message::ImageMessage); 5] = [
            |image| image.media_key = None,
            |image| image.media_key = Some(vec![3; 31]),
            |image| image.file_sha256 = None,
            |image| image.file_enc_sha256 = Some(Vec::new()),
            |image| image.direct_path = Some("evil.example/v".to_owned()),
        ];
        for break_it in broken {
            let mut image = image();
            break_it(&mut image);
            assert_eq!(said(Message { image_message: image.into(), ..Default::default() }), None);
        }
        assert_eq!(said(Message { conversation: Some("text".to_owned()), ..Default::default() }), None);
        assert_eq!(content_in(b"\xff\xff"), None);
    }

    #[test]
    fn a_file_without_key_and_second_hash_is_one_that_is_not_encrypted() {
        let plain = message::ImageMessage { media_key: None, file_enc_sha256: None, ..image() };
        let said = said(Message { image_message: plain.into(), ..Default::default() });
        let media = said.as_ref().and_then(media_of).expect("a file");
        assert_eq!(File::of(media), None);
        let file = PlainFile::of(media).expect("a plain one");
        assert_eq!((file.kind, file.sha256), (MediaKind::Image, [1; 32]));
    }

    #[test]
    fn a_child_names_its_album() {
        let association = MessageAssociation {
            association_type: Some(AssociationType::MEDIA_ALBUM),
            parent_message_key: MessageKey { id: Some("3EB0".to_owned()), ..Default::default() }.into(),
            ..Default::default()
        };
        let info = MessageContextInfo { message_association: association.into(), ..Default::default() };
        let child = Message {
            image_message: image().into(),
            message_context_info: info.into(),
            ..Default::default()
        };
        let Some(Content::Image(image)) = said(child) else { panic!("not a picture") };
        assert_eq!(image.album, "3EB0");
        let album = message::AlbumMessage {
            expected_image_count: Some(2),
            expected_video_count: Some(1),
            ..Default::default()
        };
        let album = said(Message { album_message: album.into(), ..Default::default() });
        assert_eq!(album, Some(Content::Album(api::Album { images: 2, videos: 1 })));
    }
}
