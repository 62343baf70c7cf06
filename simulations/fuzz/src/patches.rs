//! App state and history: what the phone and WhatsApp say that the account has in common.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roost_proto::appstate::{
    Action, Collection, Head, Key, Keyring, Mute, Patch, Record, Recovery, apply, apply_snapshot, encode,
    recover,
};
use roost_proto::history::{Position, Slices, Survey};
use roost_proto::id::UnixMillis;
use roost_proto::stanza::Jid;

use super::input::{changed, choice};

const COLLECTION: Collection = Collection::RegularHigh;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// The first byte chooses what the rest is.
pub fn patches(data: &[u8]) {
    let (which, rest) = choice(data);
    let mut keys = Keyring::default();
    keys.add(Key::new(b"key", &[7; 32], 1).expect("a key"));
    match which {
        0 => patch(rest, &keys),
        1 => patch(&changed(&good(&keys).to_bytes(), rest), &keys),
        2 => {
            // The records that a patch has in a file.
            if let Ok(patch) = good(&keys).with_mutations(rest) {
                assert!(apply(COLLECTION, &Head::EMPTY, &patch, &keys, |_| None).is_err() || rest.is_empty());
            }
        }
        3 => _ = apply_snapshot(COLLECTION, rest, &keys),
        4 => {
            let record = Record { value_mac: [1; 32], content: rest.to_vec() };
            _ = record.removal([2; 32]);
            if let Some((action, _)) = record.read() {
                _ = (action.collection(), action.removes(), action.index(), action.is_settled(Some(&action)));
            }
        }
        5 | 6 => {
            let recovery = Recovery { bytes: Bytes::copy_from_slice(rest), packed: which == 6 };
            _ = recover(COLLECTION, &recovery, &keys);
        }
        7 => history(rest),
        _ => {
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(rest).expect("memory takes everything");
            history(&packed.finish().expect("memory takes everything"));
        }
    }
}

fn patch(bytes: &[u8], keys: &Keyring) {
    let Ok(patch) = Patch::read(bytes) else { return };
    let again = Patch::read(&patch.to_bytes()).expect("what is written can be read");
    assert_eq!(again, patch);
    _ = (patch.external(), patch.index_macs().count(), patch.mutations());
    let before = Head { version: patch.version().saturating_sub(1), ..Head::EMPTY };
    if let Ok(applied) = apply(COLLECTION, &before, &patch, keys, |_| None) {
        assert_eq!(applied.head.version, patch.version());
    }
}

/// A patch that verifies.
fn good(keys: &Keyring) -> Patch {
    let action = Action::Mute { chat: Jid::pn("4915188888888"), mute: Mute::Forever };
    let mut rng = StdRng::seed_from_u64(5);
    let key = keys.newest().expect("there is one");
    let patch = encode(COLLECTION, &Head::EMPTY, &[action], (keys, key), |_| None, NOW, &mut rng);
    patch.expect("the key is there").numbered(1)
}

/// A piece of history, read twice as a device does: the second reading finds the messages that the first has counted.
fn history(packed: &[u8]) {
    let mut survey = Survey::default();
    let pieces = || packed.chunks(1000).map(Bytes::copy_from_slice);
    if pieces().any(|piece| survey.feed(piece).is_err()) {
        return;
    }
    let Ok(outline) = survey.finish() else { return };
    let counted: u64 = outline.chats.iter().map(|chat| u64::from(chat.messages)).sum();
    let (mut slices, mut pieces, mut found) = (Slices::from(Position::default()), pieces(), 0);
    loop {
        match slices.slice().expect("it was read before") {
            None => match pieces.next() {
                Some(piece) => slices.feed(piece),
                None => slices.close(),
            },
            Some(slice) => {
                found += slice.messages.len() as u64 + slice.left_out;
                for (chat, message) in &slice.messages {
                    assert!(*chat < outline.chats.len() as u64);
                    _ = roost_proto::history::Past::read(message);
                }
                if slice.last {
                    break;
                }
            }
        }
    }
    assert_eq!(found, counted);
}
