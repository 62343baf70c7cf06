//! Messages through WhatsApp's schema and back.

mod concealed;
mod context;
mod parts;

use proptest::prelude::*;
use waproto::buffa::Message as _;
use waproto::whatsapp::Message;

use super::*;
use crate::api::message_received::Content as Received;
use crate::api::send_message_request::Content;
use crate::id::UnixMillis;
use crate::stanza::{Jid, Read as _, Server};

fn around() -> Surroundings {
    let (chat, own) = (Jid::lid("7654321"), Jid::lid("1234567"));
    Surroundings { chat, own, now: UnixMillis(1_700_000_000_000), edited: None, secret: [7; 32] }
}

fn plain(kind: Content) -> MessageContent {
    MessageContent { kind, context: api::Context::default() }
}

fn target(from_me: bool) -> Option<api::MessageRef> {
    Some(api::MessageRef { whatsapp_id: "3EB0TARGET".into(), from_me, sender: String::new() })
}

/// What a receiver reads of it.
fn heard(content: &MessageContent) -> Meaning {
    check(content).expect("it can be sent");
    read(&encode(content, &around())).expect("it can be read")
}

fn said(content: &MessageContent) -> (Received, Option<api::Context>) {
    match heard(content) {
        Meaning::Said(said) => (said.content, said.context),
        other => panic!("it says nothing: {other:?}"),
    }
}

fn place() -> api::Location {
    let (latitude, longitude) = (52.52, 13.405);
    api::Location { latitude, longitude, name: "Alex".into(), address: "Berlin".into(), ..Default::default() }
}

fn a_poll() -> api::Poll {
    api::Poll {
        question: "When?".into(),
        options: vec!["now".into(), "later".into()],
        selectable: 1,
        open: true,
        end_time: Some(api::Timestamp { seconds: 1_900_000_000, nanos: 250_000_000 }),
        hide_voters: true,
        ..Default::default()
    }
}

fn a_quiz() -> api::Poll {
    api::Poll { correct_option: "later".into(), ..a_poll() }
}

fn an_event() -> api::CalendarEvent {
    api::CalendarEvent {
        name: "Party".into(),
        location: Some(place()),
        start_time: Some(api::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
        ..Default::default()
    }
}

fn an_edit(encrypted: bool) -> api::EditMessage {
    api::EditMessage { whatsapp_id: "3EB0TARGET".into(), text: "better".into(), encrypted }
}

#[test]
fn what_is_said_is_what_a_receiver_reads() {
    let cards = |names: &[&str]| {
        let card = |name: &&str| api::contacts::Contact {
            display_name: (*name).into(),
            vcard: format!("BEGIN:VCARD\nFN:{name}\nEND:VCARD"),
            own: *name == "Bob",
        };
        api::Contacts { contacts: names.iter().map(card).collect() }
    };
    let row = api::list_message::Row { id: "r1".into(), title: "One".into(), description: "first".into() };
    let section = api::list_message::Section { title: "All".into(), rows: vec![row] };
    let list = api::ListMessage {
        text: "Choose".into(),
        button: "Open".into(),
        sections: vec![section],
        ..Default::default()
    };
    let button = api::buttons_message::Button { id: "b".into(), text: "Yes".into() };
    let buttons = api::ButtonsMessage {
        text: "Sure?".into(),
        footer: "f".into(),
        buttons: vec![button],
        header: "h".into(),
    };
    let live = api::LiveLocation { latitude: 1.5, longitude: -2.5, sequence: 3, ..Default::default() };
    let invite = api::GroupInvite {
        group: "120363000000000001@g.us".into(),
        code: "abc".into(),
        ..Default::default()
    };
    let answer = api::ListAnswer { row_id: "r1".into(), title: "One".into(), description: String::new() };
    let pressed = api::ButtonAnswer { id: "b".into(), text: "Yes".into() };
    let kinds = [
        (Content::Text("hello".into()), Received::Text("hello".into())),
        (Content::Location(place()), Received::Location(place())),
        (Content::LiveLocation(live.clone()), Received::LiveLocation(live)),
        (Content::Contacts(cards(&["Ada"])), Received::Contacts(cards(&["Ada"]))),
        (Content::Contacts(cards(&["Ada", "Bob"])), Received::Contacts(cards(&["Ada", "Bob"]))),
        (Content::Poll(a_poll()), Received::Poll(a_poll())),
        (Content::Poll(a_quiz()), Received::Poll(a_quiz())),
        (
            Content::SharePhoneNumber(api::SharePhoneNumber {}),
            Received::SharePhoneNumber(api::SharePhoneNumber {}),
        ),
        (
            Content::RequestPhoneNumber(api::RequestPhoneNumber {}),
            Received::RequestPhoneNumber(api::RequestPhoneNumber {}),
        ),
        (Content::CalendarEvent(an_event()), Received::CalendarEvent(an_event())),
        (Content::List(list.clone()), Received::List(list)),
        (Content::ListAnswer(answer.clone()), Received::ListAnswer(answer)),
        (Content::Buttons(buttons.clone()), Received::Buttons(buttons)),
        (Content::ButtonAnswer(pressed.clone()), Received::ButtonAnswer(pressed)),
        (Content::GroupInvite(invite.clone()), Received::GroupInvite(invite)),
    ];
    for (sent, received) in kinds {
        assert_eq!(said(&plain(sent)).0, received);
    }
}

#[test]
fn what_goes_with_a_message_arrives_with_it() {
    let quote = api::Quote { message: target(false), text: "as you said".into(), ..Default::default() };
    let context = api::Context {
        mentions: vec!["1111111@lid".into()],
        quote: Some(quote),
        link_preview: Some(api::LinkPreview {
            url: "https://example.org".into(),
            title: "Example".into(),
            description: "of a page".into(),
            thumbnail: vec![1, 2],
        }),
        forwarding_score: 2,
        expires_after: Some(api::Duration { seconds: 86_400, nanos: 0 }),
        view_once: true,
        mentions_everybody: true,
        text_style: Some(api::TextStyle { background_argb: 0xff1e_6e4f, font: 2, text_argb: 0xffff_ffff }),
    };
    let text = MessageContent { kind: Content::Text("see https://example.org".into()), context };
    let (content, read) = said(&text);
    assert_eq!(content, Received::Text("see https://example.org".into()));
    let mut expected = text.context;
    // The other side's message in a one-to-one chat is named by the chat.
    let quoted = expected.quote.as_mut().and_then(|quote| quote.message.as_mut()).expect("a quote");
    quoted.sender = "7654321@lid".into();
    assert_eq!(read, Some(expected));
}

#[test]
fn what_is_about_an_earlier_message_names_it() {
    let own = Ref { id: "3EB0TARGET".into(), of_the_sender: true, participant: String::new() };
    let other = Ref { of_the_sender: false, ..own.clone() };
    let reaction = |emoji: &str| {
        Content::Reaction(api::Reaction { message: target(false), emoji: emoji.into(), concealed: false })
    };
    assert_eq!(heard(&plain(reaction("👍"))), Meaning::Reacted(other.clone(), "👍".into()));
    assert_eq!(heard(&plain(reaction(""))), Meaning::Reacted(other.clone(), String::new()));
    let edit = Content::Edit(an_edit(false));
    let better = api::message_edited::Content::Text("better".into());
    assert_eq!(heard(&plain(edit)), Meaning::Edited { message: own.clone(), content: better });
    let revoke = Content::Revoke(api::RevokeMessage { message: target(true) });
    assert_eq!(heard(&plain(revoke)), Meaning::Revoked(own));
    let week = Some(api::Duration { seconds: 604_800, nanos: 0 });
    let pin = |duration| Content::Pin(api::PinMessage { message: target(false), duration });
    assert_eq!(heard(&plain(pin(week))), Meaning::Pinned(other.clone(), Some(604_800)));
    assert_eq!(heard(&plain(pin(None))), Meaning::Pinned(other.clone(), None));
    let keep = |undo| Content::Keep(api::KeepMessage { message: target(false), undo });
    assert_eq!(heard(&plain(keep(false))), Meaning::Kept(other.clone(), true));
    assert_eq!(heard(&plain(keep(true))), Meaning::Kept(other, false));
    let timer = Content::DisappearingTimer(api::DisappearingTimer { duration: week });
    assert_eq!(heard(&plain(timer)), Meaning::Timer(604_800));
    let label = |label: &str| plain(Content::MemberLabel(api::MemberLabel { label: label.into() }));
    assert_eq!(heard(&label("cock")), Meaning::Labelled("cock".into()));
    for (text, reason) in [("cock", "user_update"), ("", "user_delete")] {
        let meta = Wire::of(&encode(&label(text), &around())).children(around().now, true).remove(0);
        assert_eq!(meta.text("appdata").as_deref(), Some("member_tag"));
        assert_eq!(meta.text("tag_reason").as_deref(), Some(reason));
    }
    for limited in [true, false] {
        let limit = Content::LimitSharing(api::LimitSharing { limited });
        assert_eq!(heard(&plain(limit)), Meaning::SharingLimited(limited));
    }
}

#[test]
fn in_a_group_the_author_is_part_of_a_messages_name() {
    let group = Surroundings { chat: "120363000000000001@g.us".parse().expect("a JID"), ..around() };
    let message = Some(api::MessageRef {
        whatsapp_id: "3EB0TARGET".into(),
        from_me: false,
        sender: "1111111@lid".into(),
    });
    let revoke = plain(Content::Revoke(api::RevokeMessage { message }));
    let encoded = encode(&revoke, &group);
    let named = Ref { id: "3EB0TARGET".into(), of_the_sender: false, participant: "1111111@lid".into() };
    assert_eq!(read(&encoded), Ok(Meaning::Revoked(named)));
    assert_eq!(Wire::of(&encoded).edit, Some("8"), "an admin's deletion");
}

#[test]
fn a_vote_is_read_by_whoever_knows_the_poll_and_by_nobody_else() {
    let poll = encode(&plain(Content::Poll(a_poll())), &around());
    let secret = Secret::of(&poll).expect("polls carry a secret");
    assert_eq!(secret.poll.as_ref().map(|poll| poll.options.concat()), Some("nowlater".into()));
    let vote = api::PollVote { poll: target(false), options: vec!["later".into(), "never".into()] };
    let vote = plain(Content::PollVote(vote));
    let (author, voter) = ("7654321@lid", "1234567@lid");
    let sealed = seal(&vote, &around(), &secret, author, [9; 12]).expect("a vote");
    let Ok(Meaning::Voted(about, sealed, cast)) = read(&sealed) else { panic!("it is no vote") };
    let forms = |jid: &str| vec!["4915112345678@s.whatsapp.net".to_owned(), jid.to_owned()];
    let open = |secret: &Secret, author: &[String], answerer: &[String]| {
        open_vote(&sealed, secret, Parties { id: &about.id, author, answerer })
    };
    let (names, unknown) = open(&secret, &forms(author), &forms(voter)).expect("it opens");
    assert_eq!((names, unknown.len(), cast), (vec!["later".to_owned()], 1, around().now.0));
    assert_eq!(open(&secret, &forms(author), &forms("999999@lid")), None, "another voter");
    assert_eq!(open(&Secret { key: vec![8; 32], ..secret }, &forms(author), &forms(voter)), None);
}

#[test]
fn an_answer_to_an_event_opens_with_the_secret_of_the_event() {
    let secret = Secret::of(&encode(&plain(Content::CalendarEvent(an_event())), &around()));
    let secret = secret.expect("events carry a secret");
    let response = api::EventResponse {
        event: target(false),
        answer: api::event_response::Answer::Maybe.into(),
        extra_guests: 2,
    };
    let response = plain(Content::EventResponse(response));
    let sealed = seal(&response, &around(), &secret, "7654321@lid", [9; 12]).expect("an answer");
    let Ok(Meaning::Answered(about, sealed)) = read(&sealed) else { panic!("it is no answer") };
    let (author, answerer) = (["7654321@lid".to_owned()], ["1234567@lid".to_owned()]);
    let parties = Parties { id: &about.id, author: &author, answerer: &answerer };
    let opened = open_answer(&sealed, &secret, parties);
    assert_eq!(opened, Some((api::event_response::Answer::Maybe, 2)));
}

#[test]
fn what_says_something_of_its_own_has_a_secret_and_a_token_to_report_it_by() {
    let token = |kind, chat: &Jid| {
        let bytes = encode(&plain(kind), &Surroundings { chat: chat.clone(), ..around() });
        assert_eq!(Secret::of(&bytes).is_some(), Wire::of(&bytes).report_token("A", chat, chat).is_some());
        Wire::of(&bytes).report_token("A", chat, chat)
    };
    let (chat, news) = (Jid::lid("7654321"), Jid::new("120363000000000009", Server::Newsletter));
    for said in [Content::Text("x".into()), Content::Location(place()), Content::Poll(a_poll())] {
        assert!(token(said, &chat).is_some());
    }
    let reaction = api::Reaction { message: target(true), emoji: "x".into(), concealed: false };
    let pin = api::PinMessage { message: target(true), duration: None };
    for remark in [Content::Reaction(reaction), Content::Pin(pin)] {
        assert_eq!(token(remark, &chat), None);
    }
    assert_eq!(token(Content::Text("x".into()), &news), None, "nothing is encrypted there");
}

#[test]
fn the_server_is_told_what_the_clients_tell_it() {
    let told = |kind| {
        let wire = Wire::of(&encode(&plain(kind), &around()));
        (wire.kind, wire.edit, wire.media, wire.hidden)
    };
    assert_eq!(told(Content::Text("x".into())), ("text", None, None, false));
    assert_eq!(told(Content::Poll(a_poll())), ("poll", None, None, false));
    assert_eq!(told(Content::CalendarEvent(an_event())), ("event", None, None, false));
    assert_eq!(told(Content::Location(place())), ("text", None, None, false));
    let reaction = |emoji: &str| {
        Content::Reaction(api::Reaction { message: target(true), emoji: emoji.into(), concealed: false })
    };
    assert_eq!(told(reaction("x")), ("reaction", None, None, true));
    assert_eq!(told(reaction("")), ("reaction", Some("7"), None, true));
    assert_eq!(told(Content::Edit(an_edit(false))), ("text", Some("1"), None, true));
    let revoke = |own| Content::Revoke(api::RevokeMessage { message: target(own) });
    assert_eq!(told(revoke(true)), ("text", Some("7"), None, false), "a revocation is never hidden");
    assert_eq!(told(revoke(false)), ("text", Some("8"), None, false));
    let pin = Content::Pin(api::PinMessage { message: target(true), duration: None });
    assert_eq!(told(pin), ("text", Some("2"), None, true));
    assert_eq!(Wire::of(b"\xff\xff"), Wire::default());
}

#[test]
fn a_kind_that_has_no_field_keeps_its_bytes() {
    let image = Message {
        image_message: waproto::whatsapp::message::ImageMessage {
            caption: Some("cat".to_owned()),
            ..Default::default()
        }
        .into(),
        ..Default::default()
    }
    .encode_to_vec();
    assert_eq!(said(&plain(Content::Raw(image.clone()))).0, Received::Raw(image.clone()));
    assert_eq!(encode(&plain(Content::Raw(image.clone())), &around()), image);
}

#[test]
fn what_cannot_be_sent_is_refused_by_the_name_of_its_field() {
    let refused = |kind| check(&plain(kind)).expect_err("refused").field;
    assert_eq!(refused(Content::Text(String::new())), "text");
    assert_eq!(refused(Content::Location(api::Location { latitude: 91.0, ..place() })), "location.latitude");
    let nowhere = api::Location { longitude: f64::NAN, ..place() };
    assert_eq!(refused(Content::Location(nowhere)), "location.longitude");
    assert_eq!(refused(Content::Contacts(api::Contacts::default())), "contacts.contacts");
    assert_eq!(refused(Content::PollVote(api::PollVote::default())), "poll_vote.poll");
    let endless = api::CalendarEvent { start_time: None, ..an_event() };
    assert_eq!(refused(Content::CalendarEvent(endless)), "calendar_event.start_time");
    let silent = api::EventResponse { event: target(true), ..Default::default() };
    assert_eq!(refused(Content::EventResponse(silent)), "event_response.answer");
    assert_eq!(refused(Content::List(api::ListMessage::default())), "list.text");
    assert_eq!(refused(Content::Buttons(api::ButtonsMessage::default())), "buttons.text");
    assert_eq!(refused(Content::Reaction(api::Reaction::default())), "reaction.message");
    assert_eq!(refused(Content::Edit(api::EditMessage::default())), "edit.whatsapp_id");
    assert_eq!(refused(Content::GroupInvite(api::GroupInvite::default())), "group_invite.group");
    let label = api::MemberLabel { label: "x".repeat(31) };
    assert_eq!(refused(Content::MemberLabel(label)), "member_label.label");
    let pack = api::StickerPack::default();
    assert_eq!(refused(Content::StickerPack(pack.clone())), "sticker_pack.pack_id");
    let pack = api::StickerPack { pack_id: "p".into(), name: "n".into(), publisher: "b".into(), ..pack };
    assert_eq!(refused(Content::StickerPack(pack)), "sticker_pack.stickers");
    assert_eq!(refused(Content::Raw(vec![0xff])), "raw");
    assert_eq!(refused(Content::Raw(Vec::new())), "raw");
    let half = Some(api::Duration { seconds: 1, nanos: 5 });
    assert_eq!(
        refused(Content::Pin(api::PinMessage { message: target(true), duration: half })),
        "pin.duration"
    );
    let context = api::Context { mentions: vec!["you".into()], ..Default::default() };
    let mention = MessageContent { kind: Content::Text("x".into()), context };
    assert_eq!(check(&mention).expect_err("refused").field, "context.mentions[0]");
    let text_style = Some(api::TextStyle { font: 3, ..Default::default() });
    let context = api::Context { text_style, ..Default::default() };
    let odd = MessageContent { kind: Content::Text("x".into()), context };
    assert_eq!(check(&odd).expect_err("refused").field, "context.text_style.font");
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = Secret::of(&bytes);
        let _ = Wire::of(&bytes);
    }
}

#[test]
fn a_file_that_is_sent_is_read_as_it_was_described() {
    let media = api::Media {
        name: "tenants/acme/media/1".to_owned(),
        kind: api::media::Kind::Document.into(),
        mime_type: "application/pdf".to_owned(),
        file_name: "bill.pdf".to_owned(),
        size_bytes: 1234,
        sha256: vec![1; 32],
        file: Some(api::WhatsAppFile {
            media_key: vec![2; 32],
            encrypted_sha256: vec![3; 32],
            direct_path: "/v/1?ccb=11".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let pictured = api::Media { kind: api::media::Kind::Image.into(), ..media.clone() };
    let image = api::Image { media: Some(pictured), album: "3EB0ALBUM".into(), ..Default::default() };
    let bytes = encode(&plain(Content::Image(image)), &around());
    assert!(Secret::of(&bytes).is_some());
    assert!(matches!(read(&bytes), Ok(Meaning::Said(said))
        if matches!(&said.content, Received::Image(image) if image.album == "3EB0ALBUM")));
    for caption in ["", "for you"] {
        let document =
            api::Document { media: Some(media.clone()), caption: caption.to_owned(), ..Default::default() };
        let kind = api::send_message_request::Content::Document(document);
        let bytes = encode(&MessageContent { kind, context: api::Context::default() }, &around());
        let Ok(Meaning::Said(said)) = read(&bytes) else { panic!("{caption:?} says nothing") };
        let Received::Document(read) = said.content else { panic!("{caption:?} is no document") };
        assert_eq!((read.caption.as_str(), read.file_name.as_str()), (caption, "bill.pdf"));
        let read = read.media.expect("a file");
        assert_eq!((&read.sha256, &read.file), (&media.sha256, &media.file));
        assert_eq!(Wire::of(&bytes).media, Some("document"));
    }
}
