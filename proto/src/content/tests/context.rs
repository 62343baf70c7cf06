//! What other clients put beside their messages.

use waproto::buffa::MessageField;
use waproto::whatsapp::ContextInfo;
use waproto::whatsapp::message::{ExtendedTextMessage, ImageMessage};

use super::*;

/// What goes with a text to which a client puts this.
fn beside(info: ContextInfo) -> api::Context {
    let text = ExtendedTextMessage {
        text: Some("hens".into()),
        context_info: MessageField::some(info),
        ..Default::default()
    };
    let message = Message { extended_text_message: MessageField::some(text), ..Default::default() };
    match read(&message.encode_to_vec()) {
        Ok(Meaning::Said(said)) => said.context.unwrap_or_default(),
        other => panic!("it says nothing: {other:?}"),
    }
}

#[test]
fn the_first_forward_counts_as_one_though_its_score_is_zero() {
    for (forwarded, score, told) in [
        (None, None, 0),
        (Some(true), None, 1),
        (Some(true), Some(0), 1),
        (Some(true), Some(1), 1),
        (Some(true), Some(4), 4),
        (Some(false), Some(0), 0),
    ] {
        let info = ContextInfo { is_forwarded: forwarded, forwarding_score: score, ..Default::default() };
        assert_eq!(beside(info).forwarding_score, told, "{forwarded:?} {score:?}");
    }
}

#[test]
fn the_quote_of_a_picture_says_what_was_said_with_it() {
    let image = ImageMessage { caption: Some("look".into()), ..Default::default() };
    let quoted = Message { image_message: MessageField::some(image), ..Default::default() };
    let info = ContextInfo {
        stanza_id: Some("3EB0".into()),
        quoted_message: MessageField::some(quoted),
        ..Default::default()
    };
    assert_eq!(beside(info).quote.unwrap_or_default().text, "look");
}
