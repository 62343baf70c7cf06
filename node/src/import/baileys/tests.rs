//! Folders as Baileys leaves them, also after it was killed while it wrote.

use std::time::Duration;

use serde_json::json;

use super::super::Library;
use super::*;

/// A folder with a device, and where it is.
struct Store {
    folder: tempfile::TempDir,
    from: From,
}

impl Store {
    fn new() -> Store {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().display().to_string();
        let from = From { library: Library::Baileys, place, phone: None, stopped: true };
        let store = Store { folder, from };
        store.put("creds.json", &creds().to_string());
        store
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("written");
    }

    fn read(&self) -> Result<Found, ImportError> {
        read(&self.from)
    }

    /// What is wrong with these credentials.
    fn malformed(&self, creds: &Value) -> String {
        self.put("creds.json", &creds.to_string());
        match self.read() {
            Err(ImportError::Malformed { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }
}

fn creds() -> Value {
    let key = |byte| json!({ "type": "Buffer", "data": STANDARD.encode([byte; 32]) });
    json!({
        "registrationId": 5,
        "noiseKey": { "private": key(1) },
        "signedIdentityKey": { "private": key(2) },
        "signedPreKey": { "keyId": 1, "keyPair": { "private": key(3) }, "signature": key(4) },
        "advSecretKey": STANDARD.encode([5; 32]),
        "nextPreKeyId": 3,
        "firstUnuploadedPreKeyId": 3,
        "account": {
            "details": key(6), "accountSignatureKey": key(7), "accountSignature": key(8), "deviceSignature": key(9),
        },
        "me": { "id": "4915:7@s.whatsapp.net", "lid": "555:7@lid", "name": "Shop" },
    })
}

#[test]
fn a_damaged_file_costs_what_is_in_it_and_nothing_else() {
    let store = Store::new();
    store.put("pre-key-1.json", &json!({ "private": creds()["noiseKey"]["private"] }).to_string());
    store.put("pre-key-2.json", "{\"private\":{\"type\":\"Buf");
    store.put("session-777_1.0.json", "");
    store.put("identity-key-777_1.0.json", "{");
    store.put("lid-mapping-4916.json", "\"8");
    store.put("sender-key-1@g.us--777_1--0.json", "\"AAAA");
    store.put("tctoken-777@lid.json", "{\"token\"");
    let found = store.read().expect("the rest is readable");
    assert_eq!(found.credentials.prekeys.iter().map(|prekey| prekey.id).collect::<Vec<_>>(), [1]);
    let what: Vec<_> = found.left.keys().map(|(what, _)| *what).collect();
    let all = [
        "LIDs of phone numbers",
        "identity keys",
        "prekeys",
        "ratchets",
        "sender keys",
        "tokens of contacts",
    ];
    assert_eq!(what, all);
}

#[test]
fn the_device_itself_must_be_whole() {
    let store = Store::new();
    let without = |path: &[&str]| {
        let mut creds = creds();
        let (last, way) = path.split_last().expect("a path");
        let place = way.iter().fold(&mut creds, |value, name| &mut value[*name]);
        place.as_object_mut().expect("an object").remove(*last);
        creds
    };
    assert_eq!(store.malformed(&without(&["registrationId"])), "creds.json: registrationId");
    assert_eq!(store.malformed(&without(&["signedPreKey", "keyId"])), "creds.json: signedPreKey.keyId");
    assert_eq!(store.malformed(&without(&["noiseKey", "private"])), "creds.json: noiseKey.private");
    store.put("creds.json", "{\"noiseKey\":");
    assert!(matches!(store.read(), Err(ImportError::Malformed { what, .. }) if what == "creds.json"));
}

#[test]
fn a_file_that_goes_away_while_it_is_read_shows_that_the_folder_is_in_use() {
    let store = Store::new();
    let mut listed = files(store.folder.path()).expect("listed");
    listed.insert("session-777_1.0.json".to_owned(), SystemTime::UNIX_EPOCH);
    let refused = of_files(&store.from, store.folder.path(), &listed);
    assert!(matches!(refused, Err(ImportError::InUse(_))), "{refused:?}");
}

#[test]
fn a_file_that_is_dated_ahead_counts_as_just_written() {
    let mut store = Store::new();
    store.from.stopped = false;
    let date = |at: SystemTime| {
        let creds =
            fs::File::options().append(true).open(store.folder.path().join("creds.json")).expect("there");
        creds.set_modified(at).expect("dated");
        read(&store.from)
    };
    let minute = Duration::from_secs(60);
    assert!(matches!(date(SystemTime::now() + minute), Err(ImportError::InUse(_))));
    assert!(date(SystemTime::now() - minute).is_ok());
}

#[test]
fn a_folder_of_another_number_is_not_taken_for_the_one_that_was_named() {
    let mut store = Store::new();
    let mut named = |phone: &str| {
        store.from.phone = Some(phone.to_owned());
        read(&store.from).map(|found| found.credentials.phone_number)
    };
    assert!(matches!(named("4916"), Err(ImportError::NoDevice(of)) if of == " of 4916"));
    assert!(matches!(named("4915:8"), Err(ImportError::NoDevice(_))));
    assert_eq!(named("+4915").expect("it is this one"), "4915:7@s.whatsapp.net");
}

#[test]
fn tokens_of_contacts_are_read_with_their_times() {
    let store = Store::new();
    let token = json!({ "type": "Buffer", "data": STANDARD.encode([1, 2]) });
    let told = json!({ "token": token, "timestamp": "1700000000", "senderTimestamp": 1_700_000_009 });
    store.put("tctoken-777@lid.json", &told.to_string());
    store.put("tctoken-__index.json", &json!({ "token": token }).to_string());
    let found = store.read().expect("readable");
    let expected = api::ImportedToken {
        contact: "777@lid".to_owned(),
        token: vec![1, 2],
        given_at: 1_700_000_000,
        issued_at: 1_700_000_009,
    };
    assert_eq!((found.tokens, found.left.len()), (vec![expected], 0));
}
