//! Packs of stickers: a ZIP with a key like any file, and a list of what is in it.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::StickerPackMessage;
use waproto::whatsapp::message::sticker_pack_message::{Sticker, StickerPackOrigin};
use waproto::whatsapp::{ContextInfo, Message};

use super::message::{described, owned};
use crate::api;
use crate::api::media::Kind;
use crate::api::message_received::Content;

/// The most stickers that are read of one pack.
const MOST: usize = 512;

/// The pack in a message.
pub(super) fn read(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    let pack = message.sticker_pack_message.as_option()?;
    let media = described(
        Kind::StickerPack,
        &Some("application/zip".to_owned()),
        pack.file_length,
        [&pack.media_key, &pack.file_sha256, &pack.file_enc_sha256, &None, &None],
        &pack.direct_path,
    )?;
    let sticker = |sticker: &Sticker| api::PackedSticker {
        file_name: owned(&sticker.file_name),
        emojis: sticker.emojis.clone(),
        animated: sticker.is_animated == Some(true),
        description: owned(&sticker.accessibility_label),
    };
    let content = api::StickerPack {
        media: Some(media),
        pack_id: owned(&pack.sticker_pack_id),
        name: owned(&pack.name),
        publisher: owned(&pack.publisher),
        description: owned(&pack.pack_description),
        caption: owned(&pack.caption),
        stickers: pack.stickers.iter().take(MOST).map(sticker).collect(),
        tray_file_name: owned(&pack.tray_icon_file_name),
    };
    Some((Content::StickerPack(content), pack.context_info.as_option()))
}

/// A pack as it is sent. Its thumbnail is left out: it would be a second file.
pub(super) fn message(
    pack: &api::StickerPack,
    media: &api::Media,
    with: MessageField<ContextInfo>,
) -> StickerPackMessage {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let file = media.file.clone().unwrap_or_default();
    let sticker = |sticker: &api::PackedSticker| Sticker {
        file_name: Some(sticker.file_name.clone()),
        is_animated: Some(sticker.animated),
        emojis: sticker.emojis.clone(),
        accessibility_label: said(&sticker.description),
        is_lottie: Some(false),
        mimetype: Some("image/webp".to_owned()),
        ..Default::default()
    };
    StickerPackMessage {
        sticker_pack_id: Some(pack.pack_id.clone()),
        name: Some(pack.name.clone()),
        publisher: Some(pack.publisher.clone()),
        stickers: pack.stickers.iter().map(sticker).collect(),
        file_length: Some(media.size_bytes),
        file_sha256: Some(media.sha256.clone()),
        file_enc_sha256: Some(file.encrypted_sha256),
        media_key: Some(file.media_key),
        direct_path: Some(file.direct_path),
        caption: said(&pack.caption),
        context_info: with,
        pack_description: said(&pack.description),
        media_key_timestamp: file.upload_time.map(|time| time.seconds),
        tray_icon_file_name: said(&pack.tray_file_name),
        sticker_pack_size: Some(media.size_bytes),
        sticker_pack_origin: Some(StickerPackOrigin::USER_CREATED),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_that_is_sent_is_read_as_it_was_described_and_without_a_key_it_is_none() {
        let file = api::WhatsAppFile {
            media_key: vec![2; 32],
            encrypted_sha256: vec![3; 32],
            direct_path: "/v/1?ccb=11".to_owned(),
            ..Default::default()
        };
        let media = api::Media {
            kind: Kind::StickerPack.into(),
            mime_type: "application/zip".to_owned(),
            size_bytes: 1234,
            sha256: vec![1; 32],
            file: Some(file),
            ..Default::default()
        };
        let sticker = api::PackedSticker {
            file_name: "hen.webp".to_owned(),
            emojis: vec!["🐔".to_owned()],
            animated: true,
            description: "a hen".to_owned(),
        };
        let pack = api::StickerPack {
            media: Some(media.clone()),
            pack_id: "hens".to_owned(),
            name: "Hens".to_owned(),
            publisher: "The shop".to_owned(),
            description: "Of our yard".to_owned(),
            caption: "take them".to_owned(),
            stickers: vec![sticker],
            tray_file_name: "hens.webp".to_owned(),
        };
        let sent = message(&pack, &media, MessageField::none());
        let keyless = StickerPackMessage { media_key: None, ..sent.clone() };
        let said = |pack: StickerPackMessage| {
            let message = Message { sticker_pack_message: pack.into(), ..Default::default() };
            read(&message).map(|(content, _)| content)
        };
        assert_eq!(said(sent), Some(Content::StickerPack(pack)));
        assert_eq!(said(keyless), None);
    }
}
