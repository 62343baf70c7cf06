//! What a phone and its companions say reads back as it was written.

use super::*;
use crate::e2e;

#[test]
fn each_message_reads_back_and_is_nothing_for_the_user() {
    let blob = Blob {
        media_key: vec![1; 32],
        direct_path: "/v/x?y".to_owned(),
        handle: "h".to_owned(),
        ..Blob::default()
    };
    let notice = |place| Notice {
        kind: Kind::Recent,
        order: 2,
        progress: 40,
        place,
        request: None,
        original: Some("3EB0".to_owned()),
    };
    let messages = [
        PeerMessage::Keys(vec![Key::new(&[0, 1], &[7; 32], 5).expect("a good key")]),
        PeerMessage::WantKeys(vec![vec![0, 9]]),
        PeerMessage::History(notice(Place::Inline(vec![1, 2, 3]))),
        PeerMessage::History(notice(Place::File(blob))),
        PeerMessage::WantHistory(WantHistory {
            chat: Jid::pn("4915112345678"),
            before_id: "3EB0".to_owned(),
            before_from_me: true,
            before: UnixMillis(1_700_000_000_000),
            count: 50,
        }),
    ];
    let group = |number: &str| WantMessage {
        chat: "120363-1@g.us".parse().expect("a JID"),
        from_me: false,
        id: number.to_owned(),
        participant: Some(Jid::lid("1")),
    };
    let resent = [
        PeerMessage::WantMessages(vec![group("3EB0"), group("3EB1")]),
        PeerMessage::Messages { request: "3EB2".to_owned(), messages: vec![Bytes::from_static(b"x")] },
        PeerMessage::Messages { request: "3EB2".to_owned(), messages: Vec::new() },
        PeerMessage::WantCollection { collection: Collection::Regular, at: UnixMillis(7_000) },
        PeerMessage::Collection { request: "3EB3".to_owned(), recovery: None },
        PeerMessage::Collection {
            request: "3EB3".to_owned(),
            recovery: Some(Recovery { bytes: Bytes::from_static(b"y"), packed: true }),
        },
    ];
    for message in messages.into_iter().chain(resent) {
        let bytes = message.to_bytes();
        assert_eq!(PeerMessage::read(&bytes), Some(message));
        assert!(matches!(e2e::content(&bytes), Ok(e2e::Content::Protocol(_))));
    }
    assert_eq!(PeerMessage::read(&e2e::text("hi")), None);
    assert_eq!(PeerMessage::read(b"\xff"), None);
}

#[test]
fn keys_that_are_malformed_are_left_out() {
    let good = Key::new(&[0, 1], &[7; 32], 5).expect("a good key");
    let mut keys = AppStateSyncKeyShare { keys: vec![wire_key(&good), wire_key(&good)] };
    keys.keys[0].key_data = MessageField::none();
    let inner = ProtocolMessage {
        r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(keys),
        ..Default::default()
    };
    let bytes = Message { protocol_message: MessageField::some(inner), ..Default::default() }.encode_to_vec();
    assert_eq!(PeerMessage::read(&bytes), Some(PeerMessage::Keys(vec![good])));
}
