//! Messages that are about nothing, one of each kind.

use roost_proto::api;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::{Failure, Person};

/// One of each kind, under the name that clients give it. All say this text; the product is of this person.
pub(crate) fn statements(text: &str, owner: &Person) -> [(&'static str, Content); 8] {
    let text = || text.to_owned();
    let place = api::Location { latitude: 52.5, longitude: 13.5, name: text(), ..Default::default() };
    let live = api::LiveLocation { latitude: 1.0, caption: text(), ..Default::default() };
    let card = api::contacts::Contact {
        display_name: text(),
        vcard: "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nEND:VCARD".into(),
    };
    let event = api::CalendarEvent {
        name: text(),
        start_time: Some(api::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
        ..Default::default()
    };
    let row = api::list_message::Row { id: "1".into(), title: "one".into(), ..Default::default() };
    let list = api::ListMessage {
        text: text(),
        button: "open".into(),
        sections: vec![api::list_message::Section { title: "all".into(), rows: vec![row] }],
        ..Default::default()
    };
    let button = api::buttons_message::Button { id: "1".into(), text: "one".into() };
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

/// What such a message says, as it was received.
pub(crate) fn text_of(kind: &str, content: Option<Received>) -> Result<String, Failure> {
    match content {
        Some(Received::Location(at)) => Ok(at.name),
        Some(Received::LiveLocation(at)) => Ok(at.caption),
        Some(Received::Contacts(cards)) => Ok(cards.contacts[0].display_name.clone()),
        Some(Received::CalendarEvent(event)) => Ok(event.name),
        Some(Received::List(list)) => Ok(list.text),
        Some(Received::Buttons(buttons)) => Ok(buttons.text),
        Some(Received::Product(product)) => Ok(product.title),
        Some(Received::GroupInvite(invite)) if invite.code == "HENS" => Ok(invite.caption),
        other => Err(Failure::new(format!("{kind} came as {other:?}"))),
    }
}
