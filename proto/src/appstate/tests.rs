//! One device makes patches, another applies them; what was tampered with is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::id::UnixMillis;
use crate::stanza::Jid;

/// A copy of one collection.
struct Copy {
    collection: Collection,
    head: Head,
    records: BTreeMap<[u8; 32], Record>,
    keys: Keyring,
    rng: StdRng,
}

impl Copy {
    fn new(collection: Collection, keys: &[u8]) -> Copy {
        let mut ring = Keyring::default();
        for key in keys {
            ring.add(Key::new(&[0, *key], &[*key; 32], i64::from(*key)).expect("a good key"));
        }
        let rng = StdRng::seed_from_u64(7);
        Copy { collection, head: Head::EMPTY, records: BTreeMap::new(), keys: ring, rng }
    }

    fn previous(&self) -> impl Fn(&[u8; 32]) -> Option<[u8; 32]> {
        |index| self.records.get(index).map(|record| record.value_mac)
    }

    fn make(&mut self, actions: &[Action]) -> Patch {
        let Copy { collection, head, records, keys, rng } = self;
        let key = keys.newest().expect("it has one");
        let previous = |index: &[u8; 32]| records.get(index).map(|record: &Record| record.value_mac);
        let patch = encode(*collection, head, actions, (keys, key), previous, UnixMillis(1_000), rng);
        patch.expect("all keys are there").numbered(head.version + 1)
    }

    fn take(&mut self, patch: &Patch) -> Result<Vec<Action>, ApplyError> {
        let applied = apply(self.collection, &self.head, patch, &self.keys, self.previous())?;
        self.head = applied.head;
        for mutation in &applied.mutations {
            match &mutation.record {
                Some(record) => self.records.insert(mutation.index_mac, record.clone()),
                None => self.records.remove(&mutation.index_mac),
            };
        }
        Ok(applied.mutations.into_iter().map(|mutation| mutation.action).collect())
    }
}

fn mute(chat: &str, mute: Mute) -> Action {
    Action::Mute { chat: chat.parse().expect("a JID"), mute }
}

fn samples() -> Vec<Action> {
    let chat: Jid = "491511@s.whatsapp.net".parse().expect("a JID");
    let group: Jid = "120363@g.us".parse().expect("a JID");
    let message = MessageRef {
        chat: group.clone(),
        id: "3EB0".to_owned(),
        from_me: false,
        participant: Some(chat.clone()),
    };
    let own = MessageRef { chat: chat.clone(), id: "3EB1".to_owned(), from_me: true, participant: None };
    let range = Range { last: UnixMillis(5_000), message: Some(own.clone()) };
    let (flag, text) = (true, |text: &str| text.to_owned());
    vec![
        mute("491511@s.whatsapp.net", Mute::Until(UnixMillis(9_000))),
        Action::Pin { chat: chat.clone(), pinned: flag },
        Action::Archive { chat: chat.clone(), archived: flag, range: range.clone() },
        Action::MarkRead { chat: chat.clone(), read: false, range: range.clone() },
        Action::ClearChat {
            chat: chat.clone(),
            keep_starred: flag,
            delete_media: false,
            range: range.clone(),
        },
        Action::DeleteChat { chat: chat.clone(), delete_media: flag, range },
        Action::Star { message: message.clone(), starred: flag },
        Action::DeleteForMe { message: own, delete_media: flag, sent: UnixMillis(4_000) },
        Action::Contact {
            jid: chat.clone(),
            contact: Some(Contact {
                full_name: text("Käthe K"),
                first_name: text("Käthe"),
                lid: text("1@lid"),
                on_phone: Some(flag),
            }),
        },
        Action::Label {
            id: text("4"),
            label: Label { name: text("new"), color: 3, deleted: false, predefined: Some(2) },
        },
        Action::LabelChat { label: text("4"), chat, labeled: flag },
        Action::LabelMessage { label: text("4"), message, labeled: flag },
        Action::PushName(text("Shop")),
        Action::QuickReply {
            id: text("17"),
            reply: QuickReply {
                shortcut: text("hi"),
                message: text("Hello!"),
                keywords: vec![text("greet")],
                deleted: false,
            },
        },
        Action::UnarchiveChats(flag),
        Action::Salt(Some(vec![7; 32])),
        Action::NoLinkPreviews(flag),
        Action::Call {
            caller: Jid::lid("77"),
            id: text("CALL"),
            outgoing: false,
            call: Box::new(Call {
                start: UnixMillis(1_700_000_000_000),
                duration: 65,
                video: flag,
                group: Some(group),
                result: crate::api::call_logged::Result::AcceptedElsewhere,
                participants: vec![(Jid::lid("78"), crate::api::call_logged::Result::Missed)],
            }),
        },
    ]
}

#[test]
fn every_action_is_read_as_it_was_written() {
    for action in samples() {
        let mut writer = Copy::new(action.collection(), &[1]);
        let mut reader = Copy::new(action.collection(), &[1]);
        let patch = writer.make(std::slice::from_ref(&action));
        let read = Patch::read(&patch.to_bytes()).expect("it is a patch");
        assert_eq!(reader.take(&read), Ok(vec![action.clone()]));
        let record = reader.records.values().next().expect("one record");
        assert_eq!(record.read(), Some((action.clone(), UnixMillis(1_000))), "a kept record says the same");
        let key = reader.keys.newest().expect("it has one");
        let index = index_of(&action, &reader.keys, key).expect("the key is there");
        assert!(reader.records.contains_key(&index), "it is found by what it is about");
    }
}

#[test]
fn a_later_record_about_the_same_replaces_the_earlier_and_removal_takes_it_out() {
    let jid: Jid = "1@s.whatsapp.net".parse().expect("a JID");
    let contact = |name: Option<&str>| Action::Contact {
        jid: jid.clone(),
        contact: name.map(|name| Contact { full_name: name.to_owned(), ..Contact::default() }),
    };
    let mut copy = Copy::new(Collection::CriticalUnblockLow, &[1]);
    let empty = copy.head.hash;
    for (action, left) in [(contact(Some("a")), 1), (contact(Some("b")), 1), (contact(None), 0)] {
        let patch = copy.make(std::slice::from_ref(&action));
        assert_eq!(copy.take(&patch), Ok(vec![action]));
        assert_eq!(copy.records.len(), left);
    }
    assert_eq!((copy.head.version, copy.head.hash), (3, empty), "nothing is left in the hash either");
}

#[test]
fn a_record_that_is_written_as_it_is_is_read_as_its_own_kind_and_can_be_removed() {
    let chat: Jid = "1@lid".parse().expect("a JID");
    let record = |value: Option<&[u8]>| Action::Record {
        collection: Collection::RegularHigh,
        form: 2,
        index: vec!["mute".to_owned(), chat.to_string()],
        value: value.map(<[u8]>::to_vec),
    };
    let mut copy = Copy::new(Collection::RegularHigh, &[1]);
    // SyncActionValue { mute_action: { muted: true } }
    let patch = copy.make(&[record(Some(&[0x22, 2, 8, 1]))]);
    assert_eq!(copy.take(&patch), Ok(vec![mute("1@lid", Mute::Forever)]));
    let kept = copy.records.values().next().and_then(Record::read).expect("one record");
    assert_eq!(kept.1, UnixMillis(1_000), "the time was added");
    let patch = copy.make(&[record(None)]);
    let index = vec!["mute".to_owned(), chat.to_string()];
    assert_eq!(copy.take(&patch), Ok(vec![Action::Other { index, value: None }]));
    assert!(copy.records.is_empty());
    assert!(is_value(&[0x22, 2, 8, 1]) && !is_value(&[0xff]));
}

#[test]
fn what_does_not_verify_changes_nothing() {
    let mut writer = Copy::new(Collection::RegularHigh, &[1]);
    let good = writer.make(&[mute("1@lid", Mute::Forever)]);
    let bytes = good.to_bytes();
    let mut reader = Copy::new(Collection::RegularHigh, &[1]);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let Ok(bad) = Patch::read(&bad) else { continue };
        if bad != good && bad.version() == 1 {
            let outcome = reader.take(&bad);
            // Fields that are not in the schema may change: the patch reads the same then.
            assert!(outcome.is_err() || bad.to_bytes().len() != bytes.len(), "byte {at}: {outcome:?}");
            if outcome.is_ok() {
                reader = Copy::new(Collection::RegularHigh, &[1]);
            }
        }
    }
    let stripped = Patch::read(&bytes).map(|mut patch| {
        patch.strip_macs();
        patch
    });
    assert!(matches!(reader.take(&stripped.expect("reads")), Err(ApplyError::Mismatch(_))));
    let other = Copy::new(Collection::Regular, &[1]).take(&good);
    assert!(matches!(other, Err(ApplyError::Mismatch(_))), "it belongs to one collection: {other:?}");
    assert_eq!(reader.take(&good), Ok(vec![mute("1@lid", Mute::Forever)]));
    assert_eq!(reader.take(&good), Err(ApplyError::Version { ours: 1, got: 1 }), "once");
}

#[test]
fn a_lost_record_is_noticed_with_the_next_patch_that_touches_it() {
    let mut writer = Copy::new(Collection::RegularHigh, &[1]);
    let mut reader = Copy::new(Collection::RegularHigh, &[1]);
    let first = writer.make(&[mute("1@lid", Mute::Forever)]);
    writer.take(&first).expect("its own");
    reader.take(&first).expect("follows");
    reader.records.clear();
    let second = writer.make(&[mute("1@lid", Mute::Off)]);
    assert!(matches!(reader.take(&second), Err(ApplyError::Mismatch(_))));
}

#[test]
fn missing_keys_are_named() {
    let mut writer = Copy::new(Collection::Regular, &[2]);
    let patch = writer.make(&[Action::LabelChat {
        label: "1".to_owned(),
        chat: "1@lid".parse().expect("a JID"),
        labeled: true,
    }]);
    let outcome = Copy::new(Collection::Regular, &[1]).take(&patch);
    assert_eq!(outcome, Err(ApplyError::MissingKeys(vec![vec![0, 2]])));
}

#[test]
fn a_snapshot_made_without_keys_is_the_collection() {
    let mut writer = Copy::new(Collection::RegularHigh, &[1]);
    let mut patches = Vec::new();
    let chats = ["1@lid", "2@lid", "1@lid", "3@lid", "2@lid"];
    for (n, chat) in chats.iter().enumerate() {
        let until = Mute::Until(UnixMillis(i64::try_from(n).expect("small") + 1));
        let patch = writer.make(&[mute(chat, until)]);
        writer.take(&patch).expect("its own");
        patches.push(patch);
    }
    let snapshot = snapshot_of(&patches);
    let applied = apply_snapshot(Collection::RegularHigh, &snapshot, &writer.keys).expect("it verifies");
    assert_eq!(applied.head, writer.head);
    assert_eq!(applied.mutations.len(), 3);
    let mut bad = snapshot.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert!(apply_snapshot(Collection::RegularHigh, &bad, &writer.keys).is_err());
    let foreign = apply_snapshot(Collection::Regular, &snapshot, &writer.keys);
    assert!(matches!(foreign, Err(ApplyError::Mismatch(_))), "{foreign:?}");
}

#[test]
fn keys_and_heads_read_back_and_bad_ones_are_refused() {
    let key = Key::new(&[1, 2, 3], &[9; 32], 77).expect("a good key");
    assert_eq!(Key::from_bytes(&key.to_bytes()), Ok(key));
    for (id, data) in [(&[][..], &[9; 32][..]), (&[1; 65], &[9; 32]), (&[1], &[9; 31])] {
        assert_eq!(Key::new(id, data, 0), Err(KeyError));
    }
    let head = Head { version: 3, hash: [5; 128] };
    assert_eq!(Head::from_bytes(&head.to_bytes()), Some(head));
    assert_eq!(Head::from_bytes(&head.to_bytes()[1..]), None);
    assert!("regular".parse::<Collection>().is_ok() && "irregular".parse::<Collection>().is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let ring = Copy::new(Collection::Regular, &[1]).keys;
        if let Ok(patch) = Patch::read(&bytes) {
            let _ = apply(Collection::Regular, &Head::EMPTY, &patch.numbered(1), &ring, |_| None);
        }
        let _ = apply_snapshot(Collection::Regular, &bytes, &ring);
    }
}
