//! Patches and snapshots: reading them, applying them to a copy of a collection, and making them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::Rng;
use wacore_appstate::hash::{HashState, generate_index_mac, generate_patch_mac};
use wacore_appstate::{AppStateError, encode_record, process_patch, process_snapshot};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{
    KeyId, SyncActionData, SyncActionValue, SyncdMutation, SyncdMutations, SyncdPatch, SyncdRecord,
    SyncdSnapshot, SyncdVersion,
};

use super::{Action, Collection, Head, Key, Keyring};
use crate::history::Blob;
use crate::id::UnixMillis;

/// The most changes that one patch or snapshot may carry.
pub(super) const MAX_RECORDS: usize = 200_000;

/// Bytes are not a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a patch of app state")]
pub struct PatchError;

/// Why a patch or snapshot was not applied. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It is encrypted with keys that we do not have; the phone has them.
    #[error("{} keys are missing", .0.len())]
    MissingKeys(Vec<Vec<u8>>),
    /// It does not follow our version.
    #[error("version {got} does not follow version {ours}")]
    Version {
        /// What we have.
        ours: u64,
        /// What the patch says.
        got: u64,
    },
    /// Its mutations are kept elsewhere and must be fetched first.
    #[error("its records are not in it")]
    External,
    /// It does not verify, or cannot be read.
    #[error("it does not verify: {0}")]
    Mismatch(String),
}

/// One record, decrypted, as a copy of a collection keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the hash of the collection counts.
    pub value_mac: [u8; 32],
    /// Its index and value, encoded.
    pub content: Vec<u8>,
}

impl Record {
    /// What it says, and since when; `None` when the content is not what [`apply`] made.
    pub fn read(&self) -> Option<(Action, UnixMillis)> {
        let data = SyncActionData::decode_from_slice(&self.content).ok()?;
        let index: Vec<String> = serde_json::from_slice(data.index.as_deref()?).ok()?;
        let value = data.value.as_option();
        let at = UnixMillis(value.and_then(|value| value.timestamp).unwrap_or(0));
        Some((Action::read(&index, value), at))
    }
}

impl Record {
    /// That this record is gone.
    pub fn removal(&self, index_mac: [u8; 32]) -> Mutation {
        let data = SyncActionData::decode_from_slice(&self.content).unwrap_or_default();
        let index: Vec<String> =
            data.index.as_deref().and_then(|index| serde_json::from_slice(index).ok()).unwrap_or_default();
        Mutation { index_mac, record: None, action: Action::read(&index, None), at: UnixMillis(0) }
    }
}

/// What a patch changes about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Which record.
    pub index_mac: [u8; 32],
    /// What it is now; `None` when it is gone.
    pub record: Option<Record>,
    /// The same, read.
    pub action: Action,
    /// When somebody did it, by the clock of their device.
    pub at: UnixMillis,
}

/// What has come of a patch or snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The copy is here now.
    pub head: Head,
    /// What has changed, removals first.
    pub mutations: Vec<Mutation>,
}

/// One patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch(SyncdPatch);

impl Patch {
    /// Reads an encoded `SyncdPatch`.
    ///
    /// # Errors
    /// [`PatchError`].
    pub fn read(bytes: &[u8]) -> Result<Patch, PatchError> {
        let patch = SyncdPatch::decode_from_slice(bytes).map_err(|_| PatchError)?;
        if patch.mutations.len() > MAX_RECORDS { Err(PatchError) } else { Ok(Patch(patch)) }
    }

    /// Its encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Its number; 0 while the server has given it none.
    pub fn version(&self) -> u64 {
        self.0.version.as_option().and_then(|version| version.version).unwrap_or(0)
    }

    /// The same patch with a number, as the server hands it out.
    #[must_use]
    pub fn numbered(mut self, version: u64) -> Patch {
        self.0.version = MessageField::some(SyncdVersion { version: Some(version) });
        self
    }

    /// Where its mutations are, when they are not in it.
    pub fn external(&self) -> Option<Blob> {
        let blob = self.0.external_mutations.as_option()?;
        Some(Blob::of_reference(blob))
    }

    /// The same patch with the mutations that were fetched.
    ///
    /// # Errors
    /// [`PatchError`] when the bytes are not mutations.
    pub fn with_mutations(mut self, bytes: &[u8]) -> Result<Patch, PatchError> {
        let fetched = SyncdMutations::decode_from_slice(bytes).map_err(|_| PatchError)?;
        if fetched.mutations.len() > MAX_RECORDS {
            return Err(PatchError);
        }
        self.0.mutations = fetched.mutations;
        self.0.external_mutations = MessageField::none();
        Ok(self)
    }

    /// How many records it touches, and their mutations as a file has them.
    pub fn mutations(&self) -> (usize, Vec<u8>) {
        let mutations = SyncdMutations { mutations: self.0.mutations.clone() };
        (self.0.mutations.len(), mutations.encode_to_vec())
    }

    /// The same patch with its mutations in a file, whose content is [`Patch::mutations`].
    #[must_use]
    pub fn with_file(mut self, blob: &Blob) -> Patch {
        self.0.mutations.clear();
        self.0.external_mutations = MessageField::some(blob.to_reference());
        self
    }

    /// The records that it touches, so that their previous MACs can be read.
    pub fn index_macs(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.0.mutations.iter().filter_map(|mutation| index_mac(mutation.record.as_option()?))
    }

    #[cfg(test)]
    pub(super) fn strip_macs(&mut self) {
        (self.0.snapshot_mac, self.0.patch_mac) = (None, None);
    }

    /// The keys that it was made with.
    fn key_ids(&self) -> impl Iterator<Item = &[u8]> {
        let own = self.0.key_id.as_option().and_then(|key| key.id.as_deref());
        let records = self.0.mutations.iter().filter_map(|mutation| key_id(mutation.record.as_option()?));
        own.into_iter().chain(records)
    }
}

/// Applies a patch to a copy at `head`. `previous` gives the value MAC of a record in that copy.
///
/// # Errors
/// [`ApplyError`]; the copy is as it was.
pub fn apply(
    collection: Collection,
    head: &Head,
    patch: &Patch,
    keys: &Keyring,
    previous: impl Fn(&[u8; 32]) -> Option<[u8; 32]>,
) -> Result<Applied, ApplyError> {
    if patch.0.external_mutations.is_set() {
        return Err(ApplyError::External);
    }
    let got = patch.version();
    if got != head.version + 1 {
        return Err(ApplyError::Version { ours: head.version, got });
    }
    have_all(keys, patch.key_ids())?;
    if patch.0.snapshot_mac.is_none() || patch.0.patch_mac.is_none() || !patch.0.key_id.is_set() {
        return Err(ApplyError::Mismatch("it carries no MAC".to_owned()));
    }
    let mut state = HashState { version: head.version, hash: head.hash, ..HashState::default() };
    let find = |mac: &[u8]| Ok(mac.try_into().ok().and_then(|mac| previous(&mac)).map(|mac| mac.to_vec()));
    let name = collection.as_str();
    let done = process_patch(&patch.0, &mut state, |id| key_of(keys, id), find, true, name);
    let done = done.map_err(|error| ApplyError::Mismatch(error.to_string()))?;
    if state.mac_mismatch_fatal {
        return Err(ApplyError::Mismatch("the hash of the collection is another".to_owned()));
    }
    let records = patch.0.mutations.iter().map(|mutation| mutation.record.as_option());
    let mut mutations = Vec::with_capacity(done.mutations.len());
    for (record, mutation) in records.flatten().zip(done.mutations) {
        let removed = mutation.operation == SyncdOperation::REMOVE;
        mutations.push(mutation_of(record, mutation.index, mutation.action_value, removed)?);
    }
    // A record that is removed and set in one patch is replaced.
    mutations.sort_by_key(|mutation| mutation.record.is_some());
    Ok(Applied { head: Head { version: state.version, hash: state.hash }, mutations })
}

/// Reads a snapshot: a whole collection at one version.
///
/// # Errors
/// [`ApplyError`].
pub fn apply_snapshot(
    collection: Collection,
    snapshot: &[u8],
    keys: &Keyring,
) -> Result<Applied, ApplyError> {
    let mismatch = |what: &str| ApplyError::Mismatch(what.to_owned());
    let snapshot =
        SyncdSnapshot::decode_from_slice(snapshot).map_err(|_| mismatch("it is not a snapshot"))?;
    if snapshot.records.len() > MAX_RECORDS {
        return Err(mismatch("it is too large"));
    }
    let own = snapshot.key_id.as_option().and_then(|key| key.id.as_deref());
    have_all(keys, own.into_iter().chain(snapshot.records.iter().filter_map(key_id)))?;
    let mut state = HashState::default();
    let name = collection.as_str();
    let done = process_snapshot(&snapshot, &mut state, |id| key_of(keys, id), true, name);
    let done = done.map_err(|error| ApplyError::Mismatch(error.to_string()))?;
    let read = snapshot.records.iter().zip(done.mutations);
    let mutations =
        read.map(|(record, mutation)| mutation_of(record, mutation.index, mutation.action_value, false));
    Ok(Applied {
        head: Head { version: state.version, hash: state.hash },
        mutations: mutations.collect::<Result<_, _>>()?,
    })
}

/// The record that an action is about, under a key; `None` when the key is not in the ring.
pub fn index_of(action: &Action, keys: &Keyring, key: &Key) -> Option<[u8; 32]> {
    let index = serde_json::to_vec(&action.index()).expect("texts are JSON");
    generate_index_mac(&index, &keys.expanded(key.id())?.index).try_into().ok()
}

/// Makes the patch that follows `head`, as a device uploads it: without a number.
///
/// # Errors
/// [`ApplyError::MissingKeys`] when the key is not in the ring.
pub fn encode<R: Rng>(
    collection: Collection,
    head: &Head,
    actions: &[Action],
    (keys, key): (&Keyring, &Key),
    previous: impl Fn(&[u8; 32]) -> Option<[u8; 32]>,
    at: UnixMillis,
    rng: &mut R,
) -> Result<Patch, ApplyError> {
    let id = key.id();
    let expanded = keys.expanded(id).ok_or_else(|| ApplyError::MissingKeys(vec![id.to_vec()]))?;
    let mut mutations = Vec::with_capacity(actions.len());
    for action in actions {
        let index = serde_json::to_vec(&action.index()).expect("texts are JSON");
        let operation = if action.removes() { SyncdOperation::REMOVE } else { SyncdOperation::SET };
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let (mutation, _) =
            encode_record(operation, &index, &action.value(at), expanded, id, &iv, action.form());
        mutations.push(mutation);
    }
    let mut state = HashState { version: head.version, hash: head.hash, ..HashState::default() };
    let (_, hashed) = state.update_hash(&mutations, |mac, _| {
        Ok(mac.try_into().ok().and_then(|mac| previous(&mac)).map(|mac| mac.to_vec()))
    });
    hashed.map_err(|error| ApplyError::Mismatch(error.to_string()))?;
    state.version += 1;
    let name = collection.as_str();
    let mut patch = SyncdPatch {
        mutations,
        snapshot_mac: Some(state.generate_snapshot_mac(name, &expanded.snapshot_mac)),
        key_id: MessageField::some(KeyId { id: Some(id.to_vec()) }),
        ..Default::default()
    };
    patch.patch_mac = Some(generate_patch_mac(&patch, name, &expanded.patch_mac, state.version));
    Ok(Patch(patch))
}

/// The snapshot that patches 1 to n come to, made without any key: what a server does.
pub fn snapshot_of(patches: &[Patch]) -> Vec<u8> {
    let mut records: BTreeMap<[u8; 32], &SyncdRecord> = BTreeMap::new();
    for patch in patches {
        let removes = |mutation: &&SyncdMutation| is_removal(mutation);
        let (gone, set): (Vec<_>, Vec<_>) = patch.0.mutations.iter().partition(removes);
        for mutation in gone.into_iter().chain(set) {
            let Some(record) = mutation.record.as_option() else { continue };
            let Some(mac) = index_mac(record) else { continue };
            match is_removal(mutation) {
                true => records.remove(&mac),
                false => records.insert(mac, record),
            };
        }
    }
    let last = patches.last();
    let snapshot = SyncdSnapshot {
        version: MessageField::some(SyncdVersion { version: last.map(Patch::version) }),
        records: records.into_values().cloned().collect(),
        mac: last.and_then(|patch| patch.0.snapshot_mac.clone()),
        key_id: last.map(|patch| patch.0.key_id.clone()).unwrap_or_default(),
    };
    snapshot.encode_to_vec()
}

fn is_removal(mutation: &SyncdMutation) -> bool {
    mutation.operation.is_some_and(|operation| operation == SyncdOperation::REMOVE)
}

fn index_mac(record: &SyncdRecord) -> Option<[u8; 32]> {
    record.index.as_option()?.blob.as_deref()?.try_into().ok()
}

pub(super) fn key_id(record: &SyncdRecord) -> Option<&[u8]> {
    record.key_id.as_option()?.id.as_deref()
}

pub(super) fn have_all<'a>(keys: &Keyring, ids: impl Iterator<Item = &'a [u8]>) -> Result<(), ApplyError> {
    let mut missing: Vec<Vec<u8>> = ids.filter(|id| !keys.has(id)).map(<[u8]>::to_vec).collect();
    missing.sort();
    missing.dedup();
    if missing.is_empty() { Ok(()) } else { Err(ApplyError::MissingKeys(missing)) }
}

fn key_of(keys: &Keyring, id: &[u8]) -> Result<Arc<wacore_appstate::ExpandedAppStateKeys>, AppStateError> {
    keys.expanded(id).cloned().ok_or(AppStateError::KeyNotFound)
}

fn mutation_of(
    record: &SyncdRecord,
    index: Vec<String>,
    value: Option<SyncActionValue>,
    removed: bool,
) -> Result<Mutation, ApplyError> {
    let malformed = || ApplyError::Mismatch("a record is malformed".to_owned());
    let index_mac = index_mac(record).ok_or_else(malformed)?;
    let blob = record.value.as_option().and_then(|value| value.blob.as_deref()).unwrap_or_default();
    let value_mac = *blob.last_chunk::<32>().ok_or_else(malformed)?;
    if removed {
        let at = UnixMillis(value.and_then(|value| value.timestamp).unwrap_or(0));
        return Ok(Mutation { index_mac, record: None, action: Action::read(&index, None), at });
    }
    Ok(mutation_of_plain(index_mac, value_mac, index, value))
}

/// A record is there.
pub(super) fn mutation_of_plain(
    index_mac: [u8; 32],
    value_mac: [u8; 32],
    index: Vec<String>,
    value: Option<SyncActionValue>,
) -> Mutation {
    let at = UnixMillis(value.as_ref().and_then(|value| value.timestamp).unwrap_or(0));
    let action = Action::read(&index, value.as_ref());
    let content = SyncActionData {
        index: Some(serde_json::to_vec(&index).expect("texts are JSON")),
        value: value.map(MessageField::some).unwrap_or_default(),
        ..Default::default()
    };
    let record = Some(Record { value_mac, content: content.encode_to_vec() });
    Mutation { index_mac, record, action, at }
}
