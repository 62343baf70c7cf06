//! Messages that are about nothing, one of each kind.

use roost_proto::api;
use roost_proto::api::message_received::Content as Received;
use roost_proto::api::send_message_request::Content;
use roost_simulations::interop::Person;

/// One of each kind, under the name that clients give it. All say this text; the product is of this person.
pub(crate) fn statements(text: &str, owner: &Person) -> [(&'static str, Content); 10] {
    let text = || text.to_owned();
    let place = api::Location { latitude: 52.5, longitude: 13.5, name: text(), ..Default::default() };
    let live = api::LiveLocation { latitude: 52.5, longitude: 13.5, caption: text(), ..Default::default() };
    let card = api::contacts::Contact { display_name: text(), vcard: vcard(&text()), own: false };
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
    let section = api::list_message::ProductSection { title: "fresh".into(), product_ids: vec!["7".into()] };
    let products = api::list_message::Products {
        owner: owner.number_jid(),
        sections: vec![section],
        ..Default::default()
    };
    let offer = api::ListMessage {
        text: text(),
        button: "see".into(),
        products: Some(products),
        ..Default::default()
    };
    let order = api::OrderMessage {
        order_id: "1".into(),
        token: "opens".into(),
        seller: owner.number_jid(),
        message: text(),
        item_count: 2,
        total_thousandths: 3980,
        currency: "EUR".into(),
        status: api::order_message::Status::Inquiry.into(),
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
        ("product_list", Content::List(offer)),
        ("order", Content::Order(order)),
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
        "product_list" => format!("see; fresh: 7 of {}", owner.number_jid()),
        "order" => format!("1 opens of {}: 2, 3980 EUR", owner.number_jid()),
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
        Content::Order(order) => Some(Received::Order(order)),
        Content::GroupInvite(invite) => Some(Received::GroupInvite(invite)),
        _ => None,
    }
}
