//! Messages that are about nothing, one of each kind.

use roost_proto::api;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Person;

/// One of each kind, under the name that clients give it. All say this text; the product is of this person.
pub(crate) fn statements(text: &str, owner: &Person) -> [(&'static str, Content); 8] {
    let text = || text.to_owned();
    let place = api::Location { latitude: 52.5, longitude: 13.5, name: text(), ..Default::default() };
    let live = api::LiveLocation { latitude: 52.5, longitude: 13.5, caption: text(), ..Default::default() };
    let card = api::contacts::Contact { display_name: text(), vcard: vcard(&text()) };
    let event = api::CalendarEvent {
        name: text(),
        start_time: Some(api::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
        ..Default::default()
    };
    let row =
        api::list_message::Row { id: format!("row: {}", text()), title: "one".into(), ..Default::default() };
    let list = api::ListMessage {
        text: text(),
        button: "open".into(),
        sections: vec![api::list_message::Section { title: "all".into(), rows: vec![row] }],
        ..Default::default()
    };
    let button = api::buttons_message::Button { id: format!("button: {}", text()), text: "one".into() };
    let buttons = api::ButtonsMessage { text: text(), buttons: vec![button], ..Default::default() };
    let product = api::Product {
        product_id: "1".into(),
        owner: owner.number_jid(),
        title: text(),
        ..Default::default()
    };
    let invite = api::GroupInvite {
        group: "120363000000000001@g.us".into(),
        code: "HENS".into(),
        group_name: "Hens".into(),
        caption: text(),
        ..Default::default()
    };
    [
        ("location", Content::Location(place)),
        ("live_location", Content::LiveLocation(live)),
        ("contact", Content::Contacts(api::Contacts { contacts: vec![card] })),
        ("calendar_event", Content::CalendarEvent(event)),
        ("list", Content::List(list)),
        ("buttons", Content::Buttons(buttons)),
        ("product", Content::Product(product)),
        ("group_invite", Content::GroupInvite(invite)),
    ]
}

fn vcard(name: &str) -> String {
    format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nEND:VCARD")
}

/// What clients tell of it beside the text.
pub(crate) fn detail_of(kind: &str, text: &str, owner: &Person) -> String {
    match kind {
        "location" | "live_location" => "52.5 13.5".to_owned(),
        "contact" => vcard(text),
        "calendar_event" => "1900000000".to_owned(),
        "list" => format!("open; all: row: {text} one"),
        "buttons" => format!("button: {text} one"),
        "product" => format!("1 of {}", owner.number_jid()),
        "group_invite" => "120363000000000001@g.us HENS".to_owned(),
        _ => String::new(),
    }
}

/// The same, as the API tells of it when it was received.
pub(crate) fn as_received(content: Content) -> Option<Received> {
    match content {
        Content::Location(place) => Some(Received::Location(place)),
        Content::LiveLocation(place) => Some(Received::LiveLocation(place)),
        Content::Contacts(cards) => Some(Received::Contacts(cards)),
        Content::CalendarEvent(event) => Some(Received::CalendarEvent(event)),
        Content::List(list) => Some(Received::List(list)),
        Content::Buttons(buttons) => Some(Received::Buttons(buttons)),
        Content::Product(product) => Some(Received::Product(product)),
        Content::GroupInvite(invite) => Some(Received::GroupInvite(invite)),
        _ => None,
    }
}
