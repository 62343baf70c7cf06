//! App state on the server, and what phones with a memory do for their companions.

use rand::SeedableRng;
use rand::rngs::StdRng;
use roost_proto::appstate::{self, Action, Collection, Head, Key, Keyring, Mute, Patch};
use roost_proto::history::Blob;
use roost_proto::media::{Decryptor, MediaKind};

use super::*;

/// Somebody who makes patches: with a key that the server never sees.
struct Maker {
    keys: Keyring,
    head: Head,
    rng: StdRng,
}

impl Maker {
    fn new() -> Maker {
        let mut keys = Keyring::default();
        keys.add(Key::new(&[1], &[7; 32], 1).expect("a good key"));
        Maker { keys, head: Head::EMPTY, rng: StdRng::seed_from_u64(3) }
    }

    /// A patch on top of what it has, about a chat that no patch was about before.
    fn patch(&mut self) -> Patch {
        let chat = Jid::lid(format!("1{}", self.head.version));
        let actions = [Action::Mute { chat, mute: Mute::Forever }];
        let key = self.keys.newest().expect("it has one");
        let made = appstate::encode(
            Collection::RegularHigh,
            &self.head,
            &actions,
            (&self.keys, key),
            |_| None,
            UnixMillis(1),
            &mut self.rng,
        );
        let patch = made.expect("its own key");
        let numbered = patch.clone().numbered(self.head.version + 1);
        let applied = appstate::apply(Collection::RegularHigh, &self.head, &numbered, &self.keys, |_| None);
        self.head = applied.expect("its own patch").head;
        patch
    }
}

impl World {
    fn app_state(&mut self, probe: usize, name: &str, version: u64, patch: Option<&[u8]>) -> Stanza {
        let id = format!("app-{}", self.probes[probe].seen.len());
        let mut collection = Builder::new("collection")
            .attr("name", name.to_owned())
            .attr("version", version)
            .attr("return_snapshot", "false");
        if let Some(patch) = patch {
            collection = collection.children([Builder::new("patch").bytes(patch.to_vec()).build()]);
        }
        let sync = Builder::new("sync").children([collection.build()]).build();
        let asked = iq::set(&id, "w:sync:app:state").children([sync]).build();
        self.ask(probe, asked)
    }
}

fn collection(answer: &Stanza) -> &Stanza {
    answer.child("sync").and_then(|sync| sync.child("collection")).expect("a collection")
}

fn code(stanza: &Stanza) -> Option<u64> {
    stanza.child("error").and_then(|error| error.number("code"))
}

fn patches(answer: &Stanza) -> Vec<u64> {
    let patches = collection(answer).child("patches").map(|patches| patches.all().to_vec());
    let read = |patch: &Stanza| Patch::read(patch.leaf().expect("bytes")).expect("a patch").version();
    patches.unwrap_or_default().iter().map(read).collect()
}

fn told(world: &World, probe: usize) -> usize {
    let peer = |stanza: &&Stanza| stanza.text("category").as_deref() == Some("peer");
    world.probes[probe].seen.iter().filter(peer).count()
}

#[test]
fn a_patch_is_taken_on_the_version_that_its_maker_had() {
    let mut world = World::new();
    let (one, other) = (world.linked("ada"), world.linked("ada"));
    let mut maker = Maker::new();
    let first = maker.patch().to_bytes();
    let taken = world.app_state(one, "regular_high", 0, Some(&first));
    assert_eq!(collection(&taken).number("version"), Some(1));
    let heard = |probe: usize| {
        let sync = |s: &&Stanza| s.text("type").as_deref() == Some("server_sync");
        world.probes[probe].seen.iter().filter(sync).count()
    };
    assert_eq!((heard(one), heard(other)), (0, 1), "the others hear of it");

    let late = world.app_state(other, "regular_high", 0, Some(&first));
    assert_eq!(code(collection(&late)), Some(409));
    assert_eq!(collection(&late).text("has_more_patches").as_deref(), Some("false"));
    assert_eq!(patches(&late), [1], "who was late gets what it missed");
    assert_eq!(patches(&world.app_state(other, "regular_high", 0, None)), [1]);
    assert_eq!(patches(&world.app_state(other, "regular_high", 1, None)), Vec::<u64>::new());
    assert_eq!(
        patches(&world.app_state(other, "regular", 0, None)),
        Vec::<u64>::new(),
        "collections are apart"
    );
}

#[test]
fn what_is_no_patch_of_a_collection_is_refused() {
    let mut world = World::new();
    let probe = world.linked("ada");
    let patch = Maker::new().patch().to_bytes();
    assert_eq!(code(collection(&world.app_state(probe, "regular", 0, Some(b"\xff\xff")))), Some(400));
    assert_eq!(code(collection(&world.app_state(probe, "regular", 0, Some(b"")))), Some(400));
    assert_eq!(code(&world.app_state(probe, "irregular", 0, Some(&patch))), Some(400));
    assert_eq!(code(collection(&world.app_state(probe, "regular", 7, None))), Some(400), "from the future");
    assert_eq!(patches(&world.app_state(probe, "regular", 0, None)), Vec::<u64>::new(), "nothing was kept");
}

#[test]
fn many_patches_come_in_pages() {
    let mut world = World::new();
    let probe = world.linked("ada");
    let mut maker = Maker::new();
    for version in 0..45 {
        let patch = maker.patch().to_bytes();
        world.app_state(probe, "regular_high", version, Some(&patch));
    }
    let (mut version, mut seen) = (0, Vec::new());
    loop {
        let answer = world.app_state(probe, "regular_high", version, None);
        seen.extend(patches(&answer));
        version = collection(&answer).number("version").expect("a version");
        if collection(&answer).text("has_more_patches").as_deref() == Some("false") {
            break;
        }
    }
    assert_eq!(seen, (1..=45).collect::<Vec<u64>>());
}

#[test]
fn a_whole_collection_is_a_file_for_who_asks_for_one() {
    let mut world = World::new();
    let probe = world.linked("ada");
    let mut maker = Maker::new();
    for version in 0..12 {
        let patch = maker.patch().to_bytes();
        world.app_state(probe, "regular_high", version, Some(&patch));
    }
    let unasked = world.app_state(probe, "regular_high", 0, None);
    assert!(collection(&unasked).child("snapshot").is_none() && patches(&unasked).len() == 12);
    let wanted = Builder::new("collection").attr("name", "regular_high").attr("return_snapshot", "true");
    let sync = Builder::new("sync").children([wanted.build()]).build();
    let answer = world.ask(probe, iq::set("whole", "w:sync:app:state").children([sync]).build());
    let answer = collection(&answer);
    assert_eq!((answer.number("version"), answer.child("patches")), (Some(12), None));
    let blob = answer.child("snapshot").and_then(|one| Blob::read(one.leaf()?)).expect("a reference");
    let file = blob.file(MediaKind::AppState).expect("all that is needed");
    let (path, query) = file.direct_path.split_once('?').expect("it has a query");
    let sealed = world.machine.media.download(path, query).expect("it is there");
    let (mut decryptor, mut snapshot) = (Decryptor::new(&file.key, file.kind), Vec::new());
    decryptor.update(&sealed, &mut snapshot);
    decryptor.finish(&file.hashes, &mut snapshot).expect("it is what was promised");
    let read =
        appstate::apply_snapshot(Collection::RegularHigh, &snapshot, &maker.keys).expect("it verifies");
    assert_eq!((read.head, read.mutations.len()), (maker.head, 12));
}

#[test]
fn a_phone_with_a_memory_tells_each_companion_once() {
    let mut world = World::new();
    let silent = world.linked("ada");
    assert_eq!(told(&world, silent), 0, "without a memory it has nothing to tell");
    let pn = world.device(silent).pn;
    world.machine.phone_remembers(world.now, pn, Vec::new()).expect("ada has a phone");
    let probe = world.linked("ada");
    assert_eq!(told(&world, probe), 3, "keys, the newest, names");
    world.online(probe);
    assert_eq!(told(&world, probe), 3);
    let unknown = world.machine.phone_remembers(world.now, 1, Vec::new());
    assert!(matches!(unknown, Err(PhoneError::UnknownPhone(1))));
}

#[test]
fn app_state_begins_anew_with_a_phone_that_is_set_up_anew() {
    let mut world = World::new();
    let probe = world.linked("ada");
    let pn = world.device(probe).pn;
    world.machine.phone_remembers(world.now, pn, Vec::new()).expect("ada has a phone");
    let mutes = |from: u64| -> Vec<Action> {
        let chats = (from..from + 30).map(|user| Jid::lid(user.to_string()));
        chats.map(|chat| Action::Mute { chat, mute: Mute::Forever }).collect()
    };
    for actions in [mutes(100), mutes(200)] {
        let effects = world.machine.phone_changes(world.now, pn, &actions).expect("changed");
        world.carry(effects);
    }
    assert_eq!(patches(&world.app_state(probe, "regular_high", 0, None)), [1, 2]);
    assert_eq!(world.machine.patch_files(), 2);

    let ((), effects) = world.machine.reinstall(world.now, pn).expect("set up anew");
    world.carry(effects);
    let probe = world.linked("ada");
    assert_eq!(world.device(probe).pn, pn);
    assert_eq!(patches(&world.app_state(probe, "regular_high", 0, None)), Vec::<u64>::new());
    assert_eq!(world.machine.patch_files(), 0);
    let effects =
        world.machine.phone_changes(world.now, pn, &mutes(300)).expect("it follows what it has made");
    world.carry(effects);
    assert_eq!(patches(&world.app_state(probe, "regular_high", 0, None)), [1]);
}

#[test]
fn the_owner_of_a_phone_changes_what_companions_follow() {
    let mut world = World::new();
    let probe = world.linked("ada");
    let pn = world.device(probe).pn;
    let name = [Action::PushName("Ada L".to_owned())];
    let without = world.machine.phone_changes(world.now, pn, &name);
    assert!(matches!(without, Err(PhoneError::NoMemory)));
    world.machine.phone_remembers(world.now, pn, Vec::new()).expect("ada has a phone");
    for _ in 0..2 {
        let effects = world.machine.phone_changes(world.now, pn, &name).expect("changed");
        world.carry(effects);
    }
    assert_eq!(patches(&world.app_state(probe, "critical_block", 0, None)), [1, 2]);
}
