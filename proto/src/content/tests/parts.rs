//! What a kind shows beside its words: carried, or the message is told as the bytes that it is.

use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::buttons_message::{self, Header};
use waproto::whatsapp::{Message, message};

use super::*;

/// What a receiver reads of it.
fn told(message: &Message) -> Received {
    match read(&message.encode_to_vec()) {
        Ok(Meaning::Said(said)) => said.content,
        other => panic!("nothing is said: {other:?}"),
    }
}

#[test]
fn small_pictures_comments_and_reminders_are_carried() {
    let place = || api::Location {
        comment: "by the gate".into(),
        thumbnail: vec![0xff, 0xd8],
        accuracy_meters: 12,
        ..place()
    };
    assert_eq!(said(&plain(Content::Location(place()))).0, Received::Location(place()));
    let live = api::LiveLocation { thumbnail: vec![0xff, 0xd8], sequence: 3, ..Default::default() };
    assert_eq!(said(&plain(Content::LiveLocation(live.clone()))).0, Received::LiveLocation(live));
    for seconds in [0, 3_600] {
        let reminder = Some(api::Duration { seconds, nanos: 0 });
        let call = api::CalendarEvent { call: true, reminder, location: Some(place()), ..an_event() };
        assert_eq!(said(&plain(Content::CalendarEvent(call.clone()))).0, Received::CalendarEvent(call));
    }
    let invite = api::GroupInvite {
        group: "120363000000000001@g.us".into(),
        code: "abc".into(),
        thumbnail: vec![0xff, 0xd8],
        community: true,
        ..Default::default()
    };
    assert_eq!(said(&plain(Content::GroupInvite(invite.clone()))).0, Received::GroupInvite(invite));
}

#[test]
fn buttons_below_a_picture_and_buttons_that_open_a_flow_are_told_as_they_are() {
    let buttons = |header, button| {
        let buttons = message::ButtonsMessage {
            content_text: Some("Sure?".to_owned()),
            header,
            buttons: vec![button],
            ..Default::default()
        };
        Message { buttons_message: buttons.into(), ..Default::default() }
    };
    let flow = buttons_message::button::NativeFlowInfo::default();
    let opens = buttons_message::Button { native_flow_info: flow.into(), ..Default::default() };
    let picture = Some(Header::ImageMessage(Box::default()));
    for message in [buttons(picture, Default::default()), buttons(None, opens)] {
        assert_eq!(told(&message), Received::Raw(message.encode_to_vec()));
    }
    assert!(matches!(told(&buttons(None, Default::default())), Received::Buttons(_)));
}

#[test]
fn a_place_that_moves_without_being_a_live_one_is_told_as_it_is() {
    let at = message::LocationMessage { is_live: Some(true), ..Default::default() };
    let message = Message { location_message: MessageField::some(at), ..Default::default() };
    assert_eq!(told(&message), Received::Raw(message.encode_to_vec()));
}
