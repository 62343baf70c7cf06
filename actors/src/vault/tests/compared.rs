//! Our keys, beside what WhatsApp says that it has of them.

use roost_proto::signal::KeyDigest;

use super::*;
use crate::machine::{KeysCompared, PrekeyUpload};

impl Device {
    fn upload(&mut self) -> PrekeyUpload {
        match self.work(CryptoRequest::Prekeys(4, 2)) {
            Changed::Prekeys(_, upload) => *upload,
            other => panic!("no prekeys: {other:?}"),
        }
    }

    fn compare(&mut self, digest: &KeyDigest) -> KeysCompared {
        match self.work(CryptoRequest::CompareKeys(Box::new(digest.clone()))) {
            Changed::Compared(compared) => compared,
            other => panic!("not compared: {other:?}"),
        }
    }
}

/// What WhatsApp says after it has taken an upload, and the one-time keys in it.
fn taken(upload: PrekeyUpload) -> (KeyDigest, Vec<[u8; 32]>) {
    let (one_time, keys): (_, Vec<_>) = upload.keys.into_iter().unzip();
    let PrekeyUpload { registration_id, identity, signed_prekey, .. } = upload;
    let digest = KeyDigest { registration_id, identity, signed_prekey, one_time, hash: [0; 20] };
    (KeyDigest { hash: digest.hash_with(&keys), ..digest }, keys)
}

#[test]
fn keys_at_whatsapp_are_ours_also_when_some_were_handed_out_or_are_unknown() {
    let mut ada = Device::new(44_450);
    let (there, keys) = taken(ada.upload());
    assert_eq!(ada.compare(&there), KeysCompared::Ours { one_time: 200 });
    let (one_time, hash) = (there.one_time[5..].to_vec(), there.hash_with(&keys[5..]));
    let fewer = KeyDigest { one_time, hash, ..there.clone() };
    assert_eq!(ada.compare(&fewer), KeysCompared::Ours { one_time: 195 });
    let strange = KeyDigest { one_time: vec![1, 2, 9_000_000], ..there };
    assert_eq!(ada.compare(&strange), KeysCompared::Ours { one_time: 2 }, "one is of no use to us");
}

#[test]
fn keys_at_whatsapp_differ_when_one_of_them_does() {
    let mut ada = Device::new(44_451);
    let (there, _) = taken(ada.upload());
    let mut signed_prekey = there.signed_prekey.clone();
    signed_prekey.public[0] ^= 1;
    for other in [
        KeyDigest { registration_id: there.registration_id + 1, ..there.clone() },
        KeyDigest { identity: [9; 32], ..there.clone() },
        KeyDigest { signed_prekey, ..there.clone() },
        KeyDigest { one_time: there.one_time.iter().rev().copied().collect(), ..there.clone() },
    ] {
        assert_eq!(ada.compare(&other), KeysCompared::Differ, "{other:?}");
    }
}

#[test]
fn a_signed_prekey_that_was_offered_is_ours_beside_the_one_before() {
    let mut ada = Device::new(44_452);
    let (before, _) = taken(ada.upload());
    ada.rotate(NOW);
    assert!(matches!(ada.rotate(after(1)), Rotation::Offer(_)));
    let (since, _) = taken(ada.upload());
    assert_ne!(before.signed_prekey, since.signed_prekey);
    for either in [before, since] {
        assert_eq!(ada.compare(&either), KeysCompared::Ours { one_time: 200 });
    }
}

#[test]
fn keys_that_are_handed_out_and_never_used_go_when_there_are_far_newer_ones() {
    let mut ada = Device::new(44_452);
    let pages = |ada: &Device| ada.rows.keys().filter(|key| key.kind == StateKind::Prekeys).count();
    let mut stored = Vec::new();
    let mut newest = ada.upload();
    for _ in 0..120 {
        ada.work(CryptoRequest::Uploaded { pages: newest.pages });
        newest = ada.upload();
        stored.push(pages(&ada));
    }
    assert_eq!(stored[..3], [6, 8, 10], "what is handed out may still be used");
    assert_eq!(stored[110..], [200; 10], "but not all of it for ever");
    assert_eq!(ada.taken_over_at(0).compare(&taken(newest).0), KeysCompared::Ours { one_time: 100 });
}
