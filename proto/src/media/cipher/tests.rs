//! Blobs of any size in any pieces, a blob that another client made, and blobs that lie.

use proptest::prelude::*;

use super::*;

fn key() -> MediaKey {
    MediaKey::from_slice(&[3; 32]).expect("32 bytes")
}

fn seal(key: &MediaKey, kind: MediaKind, file: &[u8], piece: usize) -> (Vec<u8>, Sealed) {
    let (mut encryptor, mut blob) = (Encryptor::new(key, kind), Vec::new());
    for piece in file.chunks(piece) {
        encryptor.update(piece, &mut blob);
        assert!(encryptor.rest.len() < BLOCK);
    }
    let sealed = encryptor.finish(&mut blob);
    (blob, sealed)
}

fn open(
    key: &MediaKey,
    kind: MediaKind,
    blob: &[u8],
    hashes: &Hashes,
    piece: usize,
) -> Result<Vec<u8>, SealedError> {
    let (mut decryptor, mut file) = (Decryptor::new(key, kind), Vec::new());
    for piece in blob.chunks(piece) {
        decryptor.update(piece, &mut file);
        assert!(decryptor.held.len() <= 2 * BLOCK + MAC);
    }
    let length = decryptor.finish(hashes, &mut file)?;
    assert_eq!(length, file.len() as u64);
    Ok(file)
}

#[test]
fn films_and_sound_have_a_mac_for_each_part_and_nothing_else_has() {
    for kind in MediaKind::ALL {
        let (blob, sealed) = seal(&key(), kind, &[9; 200_000], 4096);
        let parts = if matches!(kind, MediaKind::Video | MediaKind::Audio) {
            blob.len().div_ceil(64 << 10)
        } else {
            0
        };
        assert_eq!(sealed.sidecar.len(), 10 * parts, "{kind:?}");
    }
}

proptest! {
    #[test]
    fn a_file_comes_back_whatever_the_pieces(file: Vec<u8>, a in 1usize..70, b in 1usize..70) {
        let (blob, sealed) = seal(&key(), MediaKind::Video, &file, a);
        prop_assert_eq!((sealed.length, sealed.sealed_length), (file.len() as u64, blob.len() as u64));
        prop_assert_eq!(sealed.hashes.plain, <[u8; 32]>::from(Sha256::digest(&file)));
        prop_assert_eq!(sealed.hashes.sealed, <[u8; 32]>::from(Sha256::digest(&blob)));
        prop_assert_eq!(open(&key(), MediaKind::Video, &blob, &sealed.hashes, b), Ok(file));
    }

    #[test]
    fn no_changed_blob_is_taken(file in prop::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0u8..8) {
        let (mut blob, sealed) = seal(&key(), MediaKind::Image, &file, 64);
        let at = at % blob.len();
        blob[at] ^= 1 << bit;
        prop_assert_eq!(open(&key(), MediaKind::Image, &blob, &sealed.hashes, 64), Err(SealedError::SealedHash));
        // A server that lies about the blob's hash too meets the MAC.
        let hashes = Hashes { sealed: Sha256::digest(&blob).into(), ..sealed.hashes };
        prop_assert_eq!(open(&key(), MediaKind::Image, &blob, &hashes, 64), Err(SealedError::Mac));
    }

    #[test]
    fn a_blob_that_is_cut_is_not_taken(file in prop::collection::vec(any::<u8>(), 0..200), cut in 1usize..300) {
        let (blob, sealed) = seal(&key(), MediaKind::Image, &file, 64);
        let rest = &blob[..blob.len().saturating_sub(cut)];
        let refused = open(&key(), MediaKind::Image, rest, &sealed.hashes, 50);
        prop_assert!(matches!(refused, Err(SealedError::Length | SealedError::SealedHash)), "{:?}", refused);
    }
}

#[test]
fn a_blob_of_another_kind_or_key_or_file_is_refused() {
    let (blob, sealed) = seal(&key(), MediaKind::Image, b"a picture", 64);
    let other = MediaKey::from_slice(&[4; 32]).expect("32 bytes");
    assert_eq!(open(&key(), MediaKind::Audio, &blob, &sealed.hashes, 64), Err(SealedError::Mac));
    assert_eq!(open(&other, MediaKind::Image, &blob, &sealed.hashes, 64), Err(SealedError::Mac));
    let hashes = Hashes { plain: [0; 32], ..sealed.hashes };
    assert_eq!(open(&key(), MediaKind::Image, &blob, &hashes, 64), Err(SealedError::PlainHash));
}

#[test]
fn a_sender_that_pads_wrongly_is_refused() {
    let keys = key().blob(MediaKind::Document);
    for last in [0u8, 17, 2] {
        let mut block = [9u8; BLOCK];
        block[BLOCK - 1] = last;
        let mut encryptor = Encryptor::new(&key(), MediaKind::Document);
        encryptor.seal(&mut block);
        let mut blob = block.to_vec();
        let mut mac = authenticator(&keys.mac, &keys.iv);
        mac.update(&blob);
        blob.extend_from_slice(&mac.finalize().into_bytes()[..MAC]);
        let hashes = Hashes { plain: [0; 32], sealed: Sha256::digest(&blob).into() };
        assert_eq!(open(&key(), MediaKind::Document, &blob, &hashes, 7), Err(SealedError::Padding), "{last}");
    }
}

#[test]
fn blobs_that_baileys_made_are_read_and_made_the_same() {
    let file = b"Roost and Baileys read the same file.";
    for (kind, key, blob, sealed) in [
        (
            MediaKind::Image,
            "a210d3f94b900f10f7a7e5f9104b875dbcc90f2cb90594dbf6ef650a94def366",
            "dd143f3d6f876bac1b000f379dec8d9b545f95b8ed30b666f2744daa38680552c8c0c1e6753651e39049dcbe0d874168d3799deba5d14d80f609",
            "4f6a7033425f68b19eb787fdcc1957b7314605c128d058d90198f7821cc4403d",
        ),
        (
            MediaKind::Document,
            "afe7494ddef650c9ffceca20a6c5ef360b8d3f781c3e9aa43bf51adeed02e462",
            "fbb8017188d62964614a800d66f87d15484940d5cd35e1d28cde95d0e1ac809b20a926b5781e4f7787f70595e98f642526612d733b413678bdc5",
            "6d3ef1fdf418342c4bbb07e12e8f89ca7152f49684badaed1350e46b89aae3a7",
        ),
    ] {
        let key = MediaKey::from_slice(&hex::decode(key).expect("hex")).expect("32 bytes");
        let blob = hex::decode(blob).expect("hex");
        let mut hashes = Hashes { plain: Sha256::digest(file).into(), sealed: [0; 32] };
        hex::decode_to_slice(sealed, &mut hashes.sealed).expect("32 bytes");
        assert_eq!(open(&key, kind, &blob, &hashes, 13), Ok(file.to_vec()));
        assert_eq!(seal(&key, kind, file, 5).0, blob);
    }
}
