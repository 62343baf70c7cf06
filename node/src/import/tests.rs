//! Stores in several versions of their libraries.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::*;

/// What whatsmeow has had since it knows of LIDs.
const WHATSMEOW: &str = include_str!("tests/whatsmeow.sql");
/// What came later.
const LATER: &str = include_str!("tests/whatsmeow-later.sql");
const LATEST: &str = include_str!("tests/whatsmeow-latest.sql");
/// What whatsapp-rust has had since one store holds several devices.
const WHATSAPP_RUST: &str = include_str!("tests/whatsapp-rust.sql");
const LATER_RUST: &str = include_str!("tests/whatsapp-rust-later.sql");

struct Store {
    _folder: tempfile::TempDir,
    from: From,
}

impl Store {
    async fn of(library: Library, schema: &[&'static str]) -> Store {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("device.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection: SqliteConnection = options.connect().await.expect("opened");
        for statements in schema {
            sqlx::raw_sql(*statements).execute(&mut connection).await.expect("made");
        }
        connection.close().await.expect("closed");
        let from = From { library, place: path.display().to_string(), phone: None, stopped: false };
        Store { _folder: folder, from }
    }

    async fn read(&self) -> Result<Found, ImportError> {
        read(&self.from).await
    }
}

/// (What, how many) stays behind.
fn left(found: &Found) -> Vec<(&'static str, u64)> {
    found.left.iter().map(|((what, _), count)| (*what, *count)).collect()
}

fn token(issued_at: i64) -> api::ImportedToken {
    api::ImportedToken {
        contact: "777@lid".to_owned(),
        token: vec![1, 2],
        given_at: 1_700_000_000,
        issued_at,
    }
}

#[tokio::test]
async fn each_version_of_a_store_of_whatsmeow_is_read_with_what_it_has() {
    let found = Store::of(Library::Whatsmeow, &[WHATSMEOW]).await.read().await.expect("the first version");
    assert_eq!((found.credentials.registration_id, left(&found)), (5, Vec::new()));
    let found = Store::of(Library::Whatsmeow, &[WHATSMEOW, LATER]).await.read().await.expect("a later one");
    assert_eq!(found.tokens, [token(0)]);
    assert_eq!(left(&found), [("secrets of messages", 1)]);
    let all = Store::of(Library::Whatsmeow, &[WHATSMEOW, LATER, LATEST]).await;
    let found = all.read().await.expect("the last one");
    assert_eq!(
        (&found.tokens[..], &found.credentials.stranger_salt[..]),
        (&[token(1_700_000_009)][..], &[10][..])
    );
    let expected = [
        ("messages that were decrypted and not handed over", 1),
        ("messages that were sent lately", 1),
        ("secrets of messages", 1),
    ];
    assert_eq!(left(&found), expected);
}

#[tokio::test]
async fn each_version_of_a_store_of_whatsapp_rust_is_read_with_what_it_has() {
    let found =
        Store::of(Library::WhatsappRust, &[WHATSAPP_RUST]).await.read().await.expect("the first version");
    assert_eq!((found.credentials.next_prekey_id, left(&found)), (0, Vec::new()));
    let all = Store::of(Library::WhatsappRust, &[WHATSAPP_RUST, LATER_RUST]).await;
    let found = all.read().await.expect("the last one");
    assert_eq!((found.tokens, found.credentials.next_prekey_id), (vec![token(1_700_000_009)], 9));
    assert_eq!(found.credentials.stranger_salt, [10]);
    assert_eq!(
        found.left.iter().map(|((what, _), count)| (*what, *count)).collect::<Vec<_>>(),
        [("messages that were sent lately", 1), ("secrets of messages", 1)]
    );
}

#[tokio::test]
async fn a_database_that_is_not_known_is_refused_with_what_is_missing() {
    let said = |refused: Result<Found, ImportError>| match refused {
        Err(ImportError::Unknown(why)) => why,
        other => panic!("{other:?}"),
    };
    let other = Store::of(Library::WhatsappRust, &[WHATSMEOW]).await;
    assert!(said(other.read().await).contains("no table device"));
    let ahead = "ALTER TABLE whatsmeow_device RENAME COLUMN noise_key TO noise";
    let renamed = Store::of(Library::Whatsmeow, &[WHATSMEOW, ahead]).await;
    assert!(said(renamed.read().await).contains("noise_key"));
    let none = Store::of(Library::Whatsmeow, &[]).await;
    std::fs::write(
        &none.from.place,
        "this is no database, and long enough to be looked at as if it were one: it is text. \
        SQLite reads a hundred bytes of header before it says so.",
    )
    .expect("written");
    said(none.read().await);
}

#[tokio::test]
async fn two_devices_of_one_number_are_told_apart() {
    let second = include_str!("tests/whatsmeow-second.sql");
    let mut store = Store::of(Library::Whatsmeow, &[WHATSMEOW, second]).await;
    for phone in [None, Some("4915".to_owned())] {
        store.from.phone = phone;
        let Err(ImportError::SeveralDevices(which)) = store.read().await else { panic!("there are two") };
        assert_eq!(which, "4915:7@s.whatsapp.net, 4915:9@s.whatsapp.net");
    }
    for phone in ["4915:9", "4915:9@s.whatsapp.net"] {
        store.from.phone = Some(phone.to_owned());
        assert_eq!(store.read().await.expect("named").credentials.registration_id, 6);
    }
}

#[test]
fn a_part_of_an_import_is_bounded_by_number_and_by_size() {
    let entry = |bytes: usize| api::ImportedRatchet { record: vec![0; bytes], ..Default::default() };
    let counts = |entries: Vec<api::ImportedRatchet>| {
        let pieces = pieces(entries);
        assert!(pieces.iter().all(|piece| piece.iter().map(Message::encoded_len).sum::<usize>() <= PART));
        pieces.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(counts(vec![entry(1); MAX_ENTRIES + 1]), [MAX_ENTRIES, 1]);
    assert_eq!(counts(vec![entry(300_000); 7]), [3, 3, 1]);
    assert!(counts(Vec::new()).is_empty());
}

#[test]
fn of_too_many_prekeys_the_newest_are_taken_and_the_others_counted() {
    let mut found = Found::default();
    let most = u32::try_from(MAX_PREKEYS).expect("few");
    let ids = (1..=most + 3).rev();
    found.credentials.prekeys = ids.map(|id| api::ImportedPrekey { id, private_key: Vec::new() }).collect();
    keep_newest(&mut found);
    let prekeys = &found.credentials.prekeys;
    assert_eq!((prekeys.len(), prekeys[0].id), (MAX_PREKEYS, 4));
    assert_eq!(found.left.values().sum::<u64>(), 3);
}

#[test]
fn chains_of_status_posts_are_taken_like_those_of_groups() {
    let mut found = Found::default();
    found.credentials.lid = "555:1@lid".to_owned();
    for group in ["1@g.us", STATUS, "1@broadcast"] {
        found.sender_key(group, Some("777@lid".to_owned()), Ok(Bytes::new()));
    }
    assert_eq!(found.sender_keys.len(), 2);
    assert!(found.left.keys().all(|(_, why)| why.contains("neither groups nor status posts")));
}

#[test]
fn tokens_of_contacts_are_taken_with_their_times_and_what_is_none_is_counted() {
    let mut found = Found::default();
    found.token("777@lid", vec![1], 5, 6);
    found.token("4915@s.whatsapp.net", Vec::new(), 9, 7);
    let taken: Vec<_> =
        found.tokens.iter().map(|token| (&*token.contact, token.given_at, token.issued_at)).collect();
    assert_eq!(taken, [("777@lid", 5, 6), ("4915@s.whatsapp.net", 0, 7)]);
    found.token("777@lid", Vec::new(), 5, 0);
    found.token("777@lid", vec![1; MAX_TOKEN + 1], 5, 0);
    found.token("777@lid", vec![1], -5, 0);
    found.token("1@g.us", vec![1], 5, 0);
    assert_eq!((found.tokens.len(), found.left.values().sum::<u64>()), (2, 4));
}
