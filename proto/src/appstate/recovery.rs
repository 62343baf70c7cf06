//! A whole collection as a phone gives it to its companion, which could not read what WhatsApp has of it.
//!
//! What must hold: it comes inside a message of the phone and is not encrypted again; its records come to the hash that
//! is given with them, because the next patches build on that hash. What is unpacked is bounded.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use wacore_appstate::WAPATCH_INTEGRITY;
use wacore_appstate::hash::generate_index_mac;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::{
    SyncActionData, SyncdPlainTextRecord, SyncdSnapshot, SyncdSnapshotRecovery, SyncdVersion,
};

use super::patch::{MAX_RECORDS, have_all, key_id, mutation_of_plain};
use super::{Applied, ApplyError, Collection, Head, Keyring, apply_snapshot};

/// The most that a recovery may unpack to.
const UNPACKED: u64 = 64 << 20;

/// An encoded collection, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// A `SyncdSnapshotRecovery`, or that inside of gzip.
    pub bytes: Bytes,
    /// Whether gzip is around it.
    pub packed: bool,
}

impl Recovery {
    /// What a phone gives: what it reads in this snapshot of WhatsApp's.
    ///
    /// # Errors
    /// [`ApplyError`]; the keys are the phone's own.
    pub fn of_snapshot(
        collection: Collection,
        snapshot: &[u8],
        keys: &Keyring,
    ) -> Result<Recovery, ApplyError> {
        let applied = apply_snapshot(collection, snapshot, keys)?;
        let snapshot = SyncdSnapshot::decode_from_slice(snapshot).map_err(|_| malformed())?;
        let ids = snapshot.records.iter().map(key_id);
        let records = applied.mutations.iter().zip(ids).filter_map(|(mutation, id)| {
            let record = mutation.record.as_ref()?;
            let value = SyncActionData::decode_from_slice(&record.content).ok()?;
            Some(SyncdPlainTextRecord {
                value: MessageField::some(value),
                key_id: id.map(<[u8]>::to_vec),
                mac: Some(record.value_mac.to_vec()),
            })
        });
        let recovery = SyncdSnapshotRecovery {
            version: MessageField::some(SyncdVersion { version: Some(applied.head.version) }),
            collection_name: Some(collection.as_str().to_owned()),
            mutation_records: records.collect(),
            collection_lthash: Some(applied.head.hash.to_vec()),
        };
        Ok(Recovery { bytes: recovery.encode_to_vec().into(), packed: false })
    }

    fn read(&self) -> Result<SyncdSnapshotRecovery, ApplyError> {
        let mut plain = self.bytes.clone();
        if self.packed {
            let mut unpacked = Vec::new();
            let read = GzDecoder::new(&self.bytes[..]).take(UNPACKED + 1).read_to_end(&mut unpacked);
            if read.is_err() || unpacked.len() as u64 > UNPACKED {
                return Err(malformed());
            }
            plain = unpacked.into();
        }
        SyncdSnapshotRecovery::decode_from_slice(&plain).map_err(|_| malformed())
    }
}

/// Reads a collection that the phone gave.
///
/// # Errors
/// [`ApplyError`].
pub fn recover(collection: Collection, recovery: &Recovery, keys: &Keyring) -> Result<Applied, ApplyError> {
    let recovery = recovery.read()?;
    if recovery.collection_name.as_deref() != Some(collection.as_str()) {
        return Err(ApplyError::Mismatch("it is another collection".to_owned()));
    }
    let version = recovery.version.as_option().and_then(|version| version.version);
    let (records, version) = (&recovery.mutation_records, version.ok_or_else(malformed)?);
    if records.len() > MAX_RECORDS {
        return Err(ApplyError::Mismatch("it is too large".to_owned()));
    }
    have_all(keys, records.iter().filter_map(|record| record.key_id.as_deref()))?;
    let mut mutations = Vec::with_capacity(records.len());
    for record in records {
        let keys = record.key_id.as_deref().and_then(|id| keys.expanded(id)).ok_or_else(malformed)?;
        let data = record.value.as_option().ok_or_else(malformed)?;
        let index_mac = generate_index_mac(data.index.as_deref().unwrap_or_default(), &keys.index);
        let index_mac = index_mac.try_into().map_err(|_| malformed())?;
        let value_mac = record.mac.as_deref().and_then(|mac| mac.try_into().ok()).ok_or_else(malformed)?;
        let index = data.index.as_deref().and_then(|index| serde_json::from_slice(index).ok());
        let index = index.ok_or_else(malformed)?;
        mutations.push(mutation_of_plain(index_mac, value_mac, index, data.value.as_option().cloned()));
    }
    let mut hash = Head::EMPTY.hash;
    let macs = records.iter().filter_map(|record| record.mac.as_deref());
    WAPATCH_INTEGRITY.subtract_then_add_in_place(&mut hash, &[] as &[&[u8]], &macs.collect::<Vec<_>>());
    if recovery.collection_lthash.as_deref() != Some(&hash[..]) {
        return Err(ApplyError::Mismatch("the hash of the collection is another".to_owned()));
    }
    Ok(Applied { head: Head { version, hash }, mutations })
}

fn malformed() -> ApplyError {
    ApplyError::Mismatch("it is no collection of a phone".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::appstate::{Action, Key, Mute, Patch, encode, snapshot_of};
    use crate::id::UnixMillis;
    use crate::stanza::Jid;

    const OF: Collection = Collection::RegularHigh;

    fn keys() -> Keyring {
        let mut keys = Keyring::default();
        keys.add(Key::new(&[0, 0, 0, 0, 0, 1], &[7; 32], 5).expect("a good key"));
        keys
    }

    /// Two chats are muted.
    fn snapshot(keys: &Keyring) -> Vec<u8> {
        let mute = |user| Action::Mute { chat: Jid::pn(user), mute: Mute::Forever };
        let (actions, rng) = ([mute("15550000001"), mute("15550000002")], &mut StdRng::seed_from_u64(1));
        let key = (keys, keys.newest().expect("a key"));
        let patch = encode(OF, &Head::EMPTY, &actions, key, |_| None, UnixMillis(9), rng).expect("a patch");
        snapshot_of(&[Patch::numbered(patch, 1)])
    }

    fn changed(recovery: &Recovery, change: impl FnOnce(&mut SyncdSnapshotRecovery)) -> Recovery {
        let mut inside = recovery.read().expect("it can be read");
        change(&mut inside);
        Recovery { bytes: inside.encode_to_vec().into(), packed: false }
    }

    #[test]
    fn what_a_phone_gives_says_the_same_as_whatsapps_snapshot_also_packed() {
        let keys = keys();
        let snapshot = snapshot(&keys);
        let read = apply_snapshot(OF, &snapshot, &keys).expect("it verifies");
        let plain = Recovery::of_snapshot(OF, &snapshot, &keys).expect("the phone has the keys");
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&plain.bytes).expect("into memory");
        let bytes = packed.finish().expect("into memory").into();
        for recovery in [plain, Recovery { bytes, packed: true }] {
            assert_eq!(recover(OF, &recovery, &keys), Ok(read.clone()));
        }
    }

    #[test]
    fn what_does_not_come_to_its_hash_or_is_something_else_is_refused() {
        let keys = keys();
        let good = Recovery::of_snapshot(OF, &snapshot(&keys), &keys).expect("the phone has the keys");
        let less = changed(&good, |inside| _ = inside.mutation_records.pop());
        let nameless = changed(&good, |inside| inside.collection_name = None);
        let unnumbered = changed(&good, |inside| inside.version = MessageField::none());
        let no_gzip = Recovery { packed: true, ..good.clone() };
        let noise = Recovery { bytes: Bytes::from_static(b"\xff"), packed: false };
        for bad in [less, nameless, unnumbered, no_gzip, noise] {
            let refused = recover(OF, &bad, &keys);
            assert!(matches!(refused, Err(ApplyError::Mismatch(_))), "{refused:?}");
        }
        let other = recover(Collection::Regular, &good, &keys);
        assert!(matches!(other, Err(ApplyError::Mismatch(_))), "{other:?}");
        let missing = Err(ApplyError::MissingKeys(vec![vec![0, 0, 0, 0, 0, 1]]));
        assert_eq!(recover(OF, &good, &Keyring::default()), missing);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..65 {
            packed.write_all(&vec![0; 1 << 20]).expect("into memory");
        }
        let bomb = Recovery { bytes: packed.finish().expect("into memory").into(), packed: true };
        assert!(bomb.read().is_err());
    }
}
