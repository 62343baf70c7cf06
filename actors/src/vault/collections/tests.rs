//! Copies of collections in a store of their own: changed, damaged, replaced.

use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_proto::appstate::{Mute, Recovery};

use super::*;

/// Pages in a store of their own, as the actor reads and writes them.
struct Shelf {
    rows: BTreeMap<String, Bytes>,
    vault: Collections,
    head: Head,
    rng: StdRng,
}

impl Shelf {
    fn new() -> Shelf {
        let mut vault = Collections::default();
        vault.add(Key::new(&[1], &[9; 32], 1).expect("a good key"));
        Shelf { rows: BTreeMap::new(), vault, head: Head::EMPTY, rng: StdRng::seed_from_u64(1) }
    }

    fn work(&mut self, work: &Work) -> Worked {
        self.vault.begin();
        for key in self.vault.wanted(work) {
            self.vault.give(&key.name, self.rows.get(&key.name).cloned());
        }
        self.vault.work(work, &mut self.rng)
    }

    /// Makes a patch and applies it; false when nothing had to be changed.
    fn change(&mut self, action: &Action) -> bool {
        let (collection, head) = (action.collection(), self.head);
        let work = Work::Encode { collection, head, actions: vec![action.clone()], at: UnixMillis(5) };
        let Worked::Encoded(bytes) = self.work(&work) else { return false };
        let patch = Patch::read(&bytes).expect("a patch").numbered(head.version + 1);
        let applied = self.take(collection, vec![patch.to_bytes().into()]);
        assert_eq!(applied.error, None);
        true
    }

    fn take(&mut self, collection: Collection, patches: Vec<Bytes>) -> AppliedPatches {
        let Worked::Applied(applied) = self.work(&Work::Apply { collection, head: self.head, patches })
        else {
            unreachable!("patches are applied")
        };
        self.keep(&applied);
        *applied
    }

    fn keep(&mut self, applied: &AppliedPatches) {
        self.head = applied.head;
        for (key, row) in &applied.changes {
            match row {
                Some(row) => self.rows.insert(key.name.clone(), row.clone()),
                None => self.rows.remove(&key.name),
            };
        }
    }
}

fn mute(user: u32, mute: Mute) -> Action {
    Action::Mute { chat: format!("{user}@lid").parse().expect("a JID"), mute }
}

#[test]
fn a_change_is_read_back_and_made_once() {
    let mut shelf = Shelf::new();
    for user in 1..100 {
        assert!(shelf.change(&mute(user, Mute::Forever)));
        assert!(!shelf.change(&mute(user, Mute::Forever)), "it is so already");
    }
    assert!(shelf.change(&mute(7, Mute::Off)));
    let Worked::Read(actions) = shelf.work(&Work::Read(vec![Collection::RegularHigh])) else {
        unreachable!("it was read")
    };
    assert_eq!(actions.len(), 99);
    assert!(actions.contains(&mute(7, Mute::Off)) && !actions.contains(&mute(7, Mute::Forever)));
    assert!(shelf.rows.len() > 32, "records are spread over pages");
}

#[test]
fn a_copy_that_lost_a_page_is_noticed_and_read_anew() {
    let mut shelf = Shelf::new();
    let mut all = Vec::new();
    for user in 1..20 {
        let (head, action) = (shelf.head, mute(user, Mute::Forever));
        let work = Work::Encode {
            collection: Collection::RegularHigh,
            head,
            actions: vec![action],
            at: UnixMillis(5),
        };
        let Worked::Encoded(bytes) = shelf.work(&work) else { unreachable!("it is new") };
        let patch = Patch::read(&bytes).expect("a patch").numbered(head.version + 1);
        let patch = Bytes::from(patch.to_bytes());
        all.push(patch.clone());
        assert_eq!(shelf.take(Collection::RegularHigh, vec![patch]).error, None);
    }
    let mut other = Shelf::new();
    assert_eq!(other.take(Collection::RegularHigh, all.clone()).error, None);
    other.rows.clear();
    other.rows.insert("regular_high/0".to_owned(), Bytes::from_static(b"\x01torn"));
    let work = Work::Encode {
        collection: Collection::RegularHigh,
        head: shelf.head,
        actions: vec![mute(3, Mute::Off)],
        at: UnixMillis(6),
    };
    let Worked::Encoded(bytes) = shelf.work(&work) else { unreachable!("it is new") };
    let next = Patch::read(&bytes).expect("a patch").numbered(20);
    all.push(next.to_bytes().into());
    let noticed = other.take(Collection::RegularHigh, all[19..].to_vec());
    assert!(matches!(noticed.error, Some(ApplyError::Mismatch(_))), "{:?}", noticed.error);
    other.head = Head::EMPTY;
    let anew = other.take(Collection::RegularHigh, all);
    assert_eq!((anew.error, anew.head.version, anew.changes.len()), (None, 20, usize::from(PAGES)));
}

#[test]
fn without_a_key_nothing_is_encrypted() {
    let mut shelf = Shelf::new();
    let gone = shelf.vault.forget_keys();
    assert_eq!(gone.len(), 1);
    let work = Work::Encode {
        collection: Collection::RegularHigh,
        head: Head::EMPTY,
        actions: vec![mute(1, Mute::Off)],
        at: UnixMillis(5),
    };
    assert_eq!(shelf.work(&work), Worked::NoKey);
}

/// A shelf of a device, and the patches that made it.
fn made(users: std::ops::Range<u32>) -> (Shelf, Vec<Patch>) {
    let (mut shelf, mut patches) = (Shelf::new(), Vec::new());
    for user in users {
        let (head, action) = (shelf.head, mute(user, Mute::Forever));
        let collection = action.collection();
        let work = Work::Encode { collection, head, actions: vec![action], at: UnixMillis(5) };
        let Worked::Encoded(bytes) = shelf.work(&work) else { unreachable!("it is new") };
        let patch = Patch::read(&bytes).expect("a patch").numbered(head.version + 1);
        assert_eq!(shelf.take(collection, vec![patch.to_bytes().into()]).error, None);
        patches.push(patch);
    }
    (shelf, patches)
}

impl Shelf {
    fn replace(&mut self, snapshot: Vec<u8>) -> AppliedPatches {
        let (collection, head) = (Collection::RegularHigh, self.head);
        let work = Work::Replace { collection, head, snapshot: snapshot.into() };
        let Worked::Applied(applied) = self.work(&work) else { unreachable!("a snapshot is applied") };
        self.keep(&applied);
        *applied
    }
}

#[test]
fn a_collection_of_the_phone_takes_the_place_of_a_copy_and_the_next_patch_builds_on_it() {
    let (mut other, patches) = made(1..30);
    let collection = Collection::RegularHigh;
    let snapshot = appstate::snapshot_of(&patches);
    let recovery =
        Recovery::of_snapshot(collection, &snapshot, &other.vault.keys).expect("the phone reads it");
    let mut shelf = Shelf::new();
    let work = Work::Recover { collection, head: shelf.head, recovery };
    let Worked::Applied(applied) = shelf.work(&work) else { unreachable!("it is applied") };
    shelf.keep(&applied);
    assert_eq!((&applied.error, applied.head, applied.mutations.len()), (&None, other.head, 29));
    let (actions, at) = (vec![mute(7, Mute::Off)], UnixMillis(9));
    let Worked::Encoded(bytes) = other.work(&Work::Encode { collection, head: other.head, actions, at })
    else {
        unreachable!("it is new")
    };
    let patch = Patch::read(&bytes).expect("a patch").numbered(30);
    assert_eq!(shelf.take(collection, vec![patch.to_bytes().into()]).error, None);
}

#[test]
fn a_whole_collection_is_read_and_only_what_differs_is_a_change() {
    let (mut other, mut patches) = made(1..30);
    let mut shelf = Shelf::new();
    let applied = shelf.replace(appstate::snapshot_of(&patches));
    assert_eq!((applied.error, applied.head, applied.mutations.len()), (None, other.head, 29));
    assert!(applied.anew);
    // What is read again says nothing; what has changed, and what is gone, does.
    assert_eq!(shelf.replace(appstate::snapshot_of(&patches)).mutations, []);
    let (actions, at) = (vec![mute(7, Mute::Off)], UnixMillis(9));
    let work = Work::Encode { collection: Collection::RegularHigh, head: other.head, actions, at };
    let Worked::Encoded(bytes) = other.work(&work) else { unreachable!("it is new") };
    patches.push(Patch::read(&bytes).expect("a patch").numbered(30));
    let changed = shelf.replace(appstate::snapshot_of(&patches)).mutations;
    assert_eq!(
        changed.iter().map(|(version, one)| (*version, &one.action)).collect::<Vec<_>>(),
        [(30, &mute(7, Mute::Off))]
    );
    let mut fewer = Shelf::new();
    assert_eq!(fewer.replace(appstate::snapshot_of(&patches)).error, None);
    fewer.head = Head::EMPTY;
    let gone = fewer.replace(appstate::snapshot_of(&made(1..3).1)).mutations;
    assert_eq!(gone.iter().filter(|(_, one)| one.record.is_none()).count(), 27);
    let Worked::Read(actions) = fewer.work(&Work::Read(vec![Collection::RegularHigh])) else {
        unreachable!("it was read")
    };
    assert_eq!(actions.len(), 2);
}

#[test]
fn a_whole_collection_that_does_not_verify_or_is_older_changes_nothing() {
    let (shelf, patches) = made(1..10);
    let snapshot = appstate::snapshot_of(&patches);
    let mut torn = snapshot.clone();
    // Inside a record.
    torn[120] ^= 1;
    let mut other = Shelf::new();
    let refused = other.replace(torn);
    assert!(matches!(refused.error, Some(ApplyError::Mismatch(_))), "{:?}", refused.error);
    assert!(refused.changes.is_empty() && other.rows.is_empty() && other.head == Head::EMPTY);
    assert!(matches!(other.replace(b"\xff".to_vec()).error, Some(ApplyError::Mismatch(_))));
    other.head = Head { version: shelf.head.version + 1, ..shelf.head };
    assert!(matches!(other.replace(snapshot.clone()).error, Some(ApplyError::Version { ours: 10, got: 9 })));
    other.head = Head::EMPTY;
    other.vault.forget_keys();
    assert!(matches!(other.replace(snapshot).error, Some(ApplyError::MissingKeys(_))));
}
