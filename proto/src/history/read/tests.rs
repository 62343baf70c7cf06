//! Whole pieces, read in all sorts of portions.

use proptest::prelude::*;
use waproto::buffa::Message as _;
use waproto::whatsapp::HistorySync;

use super::super::{Beside, Conversation, Past, STATUSES, pack};
use super::*;
use crate::id::UnixMillis;
use crate::stanza::Jid;

fn past(id: String, words: &str) -> Past {
    Past {
        id,
        from_me: false,
        participant: None,
        at: UnixMillis(1_700_000_000_000),
        push_name: "Ada".to_owned(),
        content: crate::e2e::text(words).into(),
        beside: Beside::default(),
    }
}

fn people() -> People {
    People {
        push_names: vec![("1@lid".to_owned(), "Ada".to_owned())],
        lids: vec![("4915112345678@s.whatsapp.net".to_owned(), "1@lid".to_owned())],
        salt: Some(Bytes::from_static(b"salt")),
        nonce: Some("nonce".to_owned()),
    }
}

/// Chats with these numbers of messages.
fn conversations(counts: &[usize]) -> Vec<Conversation> {
    let chat = |(number, count): (usize, &usize)| {
        let messages: Vec<Past> = (0..*count).map(|at| past(format!("{number}-{at}"), "hello")).collect();
        let mut chat = Conversation::new(Jid::pn(format!("1555999{number:04}")), "friend", &messages);
        chat.about.lid = Some(Jid::lid(format!("9{number}")));
        chat.about.token = Some((Bytes::from_static(b"trust"), 1_700_000_000));
        chat.about.token_issued = Some(1_699_000_000);
        chat
    };
    counts.iter().enumerate().map(chat).collect()
}

fn survey(packed: &[u8], portion: usize) -> Result<Outline, HistoryError> {
    let mut survey = Survey::default();
    for part in packed.chunks(portion) {
        survey.feed(Bytes::copy_from_slice(part))?;
    }
    survey.finish()
}

fn slices(packed: &[u8], portion: usize, begin: Position) -> Result<Vec<Slice>, HistoryError> {
    let (mut slices, mut parts, mut read) =
        (Slices::from(begin), packed.chunks(portion), Vec::<Slice>::new());
    while read.last().is_none_or(|slice| !slice.last) {
        match slices.slice()? {
            Some(slice) => read.push(slice),
            None => match parts.next() {
                Some(part) => slices.feed(Bytes::copy_from_slice(part)),
                None => slices.close(),
            },
        }
    }
    Ok(read)
}

fn ids(slices: &[Slice]) -> Vec<String> {
    let messages = slices.iter().flat_map(|slice| &slice.messages);
    messages.map(|(_, bytes)| Past::read(bytes).expect("ours").id).collect()
}

#[test]
fn status_posts_in_a_row_are_read_as_if_they_were_a_chat_wherever_one_goes_on() {
    let posts: Vec<Past> = (0..150).map(|at| past(format!("S{at}"), "seen")).collect();
    let mut all = conversations(&[2]);
    all.push(Conversation::new(STATUSES.parse().expect("a JID"), "", &posts));
    let packed = pack(Kind::Status, 100, &all, &people());
    let outline = survey(&packed, 7).expect("well formed");
    let chats: Vec<(String, u32)> = outline
        .chats
        .iter()
        .map(|chat| (chat.about.as_ref().expect("told").jid.to_string(), chat.messages))
        .collect();
    assert_eq!(chats, [("15559990000@s.whatsapp.net".to_owned(), 2), (STATUSES.to_owned(), 150)]);
    assert_eq!(outline.people, people());
    let whole = slices(&packed, 64, Position::default()).expect("well formed");
    assert_eq!(ids(&whole).len(), 152);
    assert_eq!(whole[0].messages.last().expect("a slice").0, 1);
    let rest = slices(&packed, 1000, whole[0].next).expect("well formed");
    assert_eq!([ids(&whole[..1]), ids(&rest)].concat(), ids(&whole));
}

/// A conversation whose bytes end in the middle of a field, between two that are well.
fn with_a_malformed_chat() -> Vec<u8> {
    let parts = conversations(&[2, 2, 2]).into_iter().enumerate().map(|(at, chat)| {
        let mut bytes = chat.to_slice().encode_to_vec();
        if at == 1 {
            bytes.truncate(bytes.len() - 1);
        }
        let mut field = vec![0x12];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        [field, bytes].concat()
    });
    let plain = [vec![0x08, 3, 0x30, 77], parts.flatten().collect()].concat();
    deflated(&plain)
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; zlib_rs::compress_bound(plain.len())];
    let config = zlib_rs::DeflateConfig::default();
    zlib_rs::compress_slice(&mut packed, plain, config).0.to_vec()
}

#[test]
fn history_reads_back_as_it_was_packed() {
    let told = conversations(&[3, 0, 250]);
    let packed = pack(Kind::Recent, 50, &told, &people());
    for portion in [1, 7, packed.len()] {
        let outline = survey(&packed, portion).expect("it is ours");
        assert_eq!((outline.kind, outline.progress, &outline.people), (Kind::Recent, 50, &people()));
        let about: Vec<(Option<&Chat>, u32)> =
            outline.chats.iter().map(|chat| (chat.about.as_ref(), chat.messages)).collect();
        let expected = [(&told[0], 3), (&told[1], 0), (&told[2], 250)];
        assert_eq!(about, expected.map(|(chat, count)| (Some(&chat.about), count)));
        let read = slices(&packed, portion, Position::default()).expect("it is ours");
        assert_eq!(read.iter().map(|slice| slice.messages.len()).collect::<Vec<_>>(), [100, 100, 53]);
        assert_eq!(read[0].messages[2].1, told[0].messages[2]);
        assert_eq!(read[0].messages[3], (2, told[2].messages[0].clone()));
    }
}

#[test]
fn the_full_schema_reads_what_is_packed() {
    let packed = pack(Kind::Recent, 50, &conversations(&[1]), &people());
    let plain = wacore_binary::zlib_pool::decompress_zlib_pooled(&packed, 1 << 20).expect("inflates");
    let sync = HistorySync::decode_from_slice(&plain).expect("the full schema reads it");
    let message = &sync.conversations[0].messages[0].message;
    assert_eq!(message.key.id.as_deref(), Some("0-0"));
    assert_eq!(message.message.conversation.as_deref(), Some("hello"));
    assert_eq!(sync.pushnames[0].pushname.as_deref(), Some("Ada"));
}

#[test]
fn a_malformed_conversation_does_not_hide_the_next() {
    let packed = with_a_malformed_chat();
    let outline = survey(&packed, 5).expect("the others are well");
    assert_eq!((outline.kind, outline.progress), (Kind::Recent, 77));
    assert_eq!(
        outline.chats.iter().map(|chat| chat.about.is_some()).collect::<Vec<_>>(),
        [true, false, true]
    );
    let read = slices(&packed, 5, Position::default()).expect("the others are well");
    assert_eq!(ids(&read), ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]);
}

#[test]
fn a_message_that_is_too_large_is_counted_and_left_out() {
    let large = "x".repeat(2 << 20);
    let messages = [past("a".to_owned(), "1"), past("b".to_owned(), &large), past("c".to_owned(), "3")];
    let chat = Conversation::new(Jid::lid("1"), "", &messages);
    let packed = pack(Kind::Full, 1, &[chat], &People::default());
    let read = slices(&packed, 1000, Position::default()).expect("the others are well");
    assert_eq!((ids(&read), read[0].left_out), (vec!["a".to_owned(), "c".to_owned()], 1));
    assert_eq!(survey(&packed, 1000).expect("well").chats[0].messages, 3);
    let rest = slices(&packed, 1000, Position { chat: 0, message: 2 }).expect("well");
    assert_eq!((ids(&rest), rest[0].left_out), (vec!["c".to_owned()], 0));
}

#[test]
fn what_is_not_history_is_refused() {
    let packed = pack(Kind::Recent, 50, &conversations(&[3]), &people());
    assert!(matches!(survey(&packed[..packed.len() / 2], 10), Err(HistoryError::Packed(_))));
    assert!(matches!(survey(b"", 1), Err(HistoryError::Packed(_))));
    assert!(matches!(survey(b"no zlib at all", 3), Err(HistoryError::Packed(_))));
    assert_eq!(survey(&deflated(&[0x0b]), 1), Err(HistoryError::Malformed), "a group of the old kind");
    assert_eq!(survey(&deflated(&[0x12, 5, 1]), 1), Err(HistoryError::Malformed), "cut short inside");
}

#[test]
fn names_without_end_are_refused_and_not_kept() {
    let many: Vec<(String, String)> = (0..200_000).map(|n| (format!("{n}@lid"), "A".repeat(40))).collect();
    let packed = pack(Kind::PushNames, 0, &[], &People { push_names: many, ..People::default() });
    assert_eq!(survey(&packed, 1 << 16), Err(HistoryError::TooLarge));
}

#[test]
fn a_piece_that_came_with_its_message_inflates_to_a_little_only() {
    // One field that nobody knows, of zeros.
    let zeros = |length: usize| {
        let mut plain = vec![0x08, 3, 0xa2, 0x06];
        prost::encoding::encode_varint(length as u64, &mut plain);
        plain.resize(plain.len() + length, 0);
        deflated(&plain)
    };
    let read = |packed: Vec<u8>, mut survey: Survey| {
        survey.feed(packed.into())?;
        survey.finish()
    };
    let limit = usize::try_from(INLINE).expect("it fits");
    let (below, above) = (zeros(limit - 100), zeros(limit));
    assert!(above.len() < limit / 500, "it is small before");
    read(below, Survey::inline()).expect("just as large as allowed");
    assert_eq!(read(above.clone(), Survey::inline()), Err(HistoryError::TooLarge));
    read(above, Survey::default()).expect("a file may have more");
}

proptest! {
    #[test]
    fn a_reading_goes_on_from_any_slice(counts in prop::collection::vec(0usize..180, 0..5), portion in 1usize..500) {
        let packed = pack(Kind::Full, 9, &conversations(&counts), &People::default());
        let whole = slices(&packed, portion, Position::default()).expect("ours");
        let mut told = Vec::new();
        for (at, slice) in whole.iter().enumerate() {
            told.extend(ids(std::slice::from_ref(slice)));
            let rest = if slice.last { Vec::new() } else { slices(&packed, portion, slice.next).expect("ours") };
            prop_assert_eq!(&rest[..], &whole[at + 1..]);
        }
        prop_assert_eq!(told.len(), counts.iter().sum::<usize>());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, packed: bool, portion in 1usize..50) {
        let bytes = if packed { deflated(&bytes) } else { bytes };
        let _ = survey(&bytes, portion);
        let _ = slices(&bytes, portion, Position::default());
    }
}

#[test]
fn what_stands_behind_the_end_of_a_piece_stays_unread() {
    let mut packed = pack(Kind::Recent, 100, &conversations(&[3]), &people());
    let whole = survey(&packed, 10).expect("good");
    packed.extend([7; 50]);
    assert_eq!(survey(&packed, 10), Ok(whole));
    assert_eq!(ids(&slices(&packed, 10, Position::default()).expect("good")).len(), 3);
}
