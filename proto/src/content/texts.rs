//! Texts that are more than their words: with the preview of a link, or with a look of their own.

use waproto::buffa::{Enumeration as _, MessageField};
use waproto::whatsapp::ContextInfo;
use waproto::whatsapp::message::ExtendedTextMessage;
use waproto::whatsapp::message::extended_text_message::FontType;

use super::encode::said;
use super::meaning::{bytes, owned};
use crate::api;

/// Whether a text needs no more than itself.
pub(super) fn is_plain(context: &api::Context) -> bool {
    context.link_preview.is_none() && context.text_style.is_none()
}

/// A text with all that goes with it.
pub(super) fn extended(
    text: &str,
    context: &api::Context,
    with: MessageField<ContextInfo>,
) -> ExtendedTextMessage {
    let preview = context.link_preview.clone().unwrap_or_default();
    let style = context.text_style.as_ref();
    let colour = |argb: u32| (argb > 0).then_some(argb);
    ExtendedTextMessage {
        text: Some(text.to_owned()),
        matched_text: said(&preview.url),
        title: said(&preview.title),
        description: said(&preview.description),
        jpeg_thumbnail: Some(preview.thumbnail).filter(|thumbnail| !thumbnail.is_empty()),
        background_argb: style.and_then(|style| colour(style.background_argb)),
        text_argb: style.and_then(|style| colour(style.text_argb)),
        font: style.and_then(|style| font(style.font)),
        context_info: with,
        ..Default::default()
    }
}

/// The font of this number, when WhatsApp has one.
pub(super) fn font(number: u32) -> Option<FontType> {
    FontType::from_i32(i32::try_from(number).ok()?)
}

/// The preview of a link that stands in a text.
pub(super) fn preview(text: &ExtendedTextMessage) -> Option<api::LinkPreview> {
    text.title.as_ref().map(|title| api::LinkPreview {
        url: owned(&text.matched_text),
        title: title.clone(),
        description: owned(&text.description),
        thumbnail: bytes(&text.jpeg_thumbnail),
    })
}

/// How a text looks; `None` when that is left to the client.
pub(super) fn style(text: &ExtendedTextMessage) -> Option<api::TextStyle> {
    let style = api::TextStyle {
        background_argb: text.background_argb.unwrap_or(0),
        font: text.font.and_then(|font| u32::try_from(font.to_i32()).ok()).unwrap_or(0),
        text_argb: text.text_argb.unwrap_or(0),
    };
    (style != api::TextStyle::default()).then_some(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_look_of_a_text_is_read_without_the_others() {
        let (background_argb, font, text_argb) = (0xff1e_6e4f, 2, 0xffff_ffff);
        for look in [
            api::TextStyle { background_argb, font, text_argb },
            api::TextStyle { background_argb, ..Default::default() },
            api::TextStyle { font, ..Default::default() },
            api::TextStyle { text_argb, ..Default::default() },
        ] {
            let context = api::Context { text_style: Some(look), ..Default::default() };
            assert!(!is_plain(&context));
            assert_eq!(style(&extended("hello", &context, MessageField::none())), Some(look));
        }
        let plain = extended("hello", &api::Context::default(), MessageField::none());
        assert_eq!((style(&plain), preview(&plain)), (None, None));
    }
}
