//! App state in the vault: the keys that the phone has shared, and pages of records while they are needed.
//!
//! What must hold: pages are read from the store for each request and forgotten after it, so that what is
//! applied is always on top of what is durable. The records of a collection are spread over so many pages that
//! a change writes little of a large collection again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use rand::Rng;
use roost_proto::appstate::{
    self, Action, Applied, ApplyError, Collection, Head, Key, Keyring, Mutation, Patch, Record, index_of,
};
use roost_proto::id::UnixMillis;

use crate::machine::{AppliedPatches, Work, Worked};
use crate::port::{StateChange, StateKey, StateKind};

/// Pages of one collection.
const PAGES: u8 = 64;
/// First byte of a page.
const FORMAT: u8 = 1;

type Page = BTreeMap<[u8; 32], Record>;

/// Keys, and the pages of the present request.
#[derive(Debug, Default)]
pub(super) struct Collections {
    keys: Keyring,
    pages: BTreeMap<String, Page>,
}

impl Collections {
    /// A key that the phone shared.
    pub(super) fn add(&mut self, key: Key) {
        self.keys.add(key);
    }

    /// The device gets new keys: those of the old account are of no use. Names the rows that go.
    pub(super) fn forget_keys(&mut self) -> Vec<StateChange> {
        let keys = std::mem::take(&mut self.keys);
        let row = |key: &Key| StateKey { kind: StateKind::AppStateKey, name: key.name() };
        keys.iter().map(|key| (row(key), None)).collect()
    }

    /// A request begins.
    pub(super) fn begin(&mut self) {
        self.pages.clear();
    }

    /// A page that was wanted.
    pub(super) fn give(&mut self, name: &str, bytes: Option<Bytes>) {
        // A page that cannot be read counts as empty; the hash of the collection will tell.
        let page = bytes.and_then(|bytes| read_page(&bytes)).unwrap_or_default();
        self.pages.insert(name.to_owned(), page);
    }

    /// Pages that a request needs and that are not here.
    pub(super) fn wanted(&self, work: &Work) -> Vec<StateKey> {
        let mut names = BTreeSet::new();
        match work {
            Work::Learn(_) => {}
            Work::Apply { head: Head { version: 0, .. }, .. } => {}
            Work::Apply { collection, patches, .. } => {
                for patch in patches.iter().filter_map(|bytes| Patch::read(bytes).ok()) {
                    names.extend(patch.index_macs().map(|index| page_of(*collection, &index)));
                }
            }
            Work::Encode { collection, actions, .. } => {
                if let Some(key) = self.keys.newest() {
                    let indexes = actions.iter().filter_map(|action| index_of(action, &self.keys, key));
                    names.extend(indexes.map(|index| page_of(*collection, &index)));
                }
            }
            Work::Replace { collection, .. } | Work::Recover { collection, .. } => {
                names.extend(all_pages(*collection))
            }
            Work::Read(collections) => names.extend(collections.iter().copied().flat_map(all_pages)),
        }
        names.retain(|name| !self.pages.contains_key(name));
        names.into_iter().map(|name| StateKey { kind: StateKind::AppStatePage, name }).collect()
    }

    /// Does what is asked; all pages that it needs are here.
    pub(super) fn work(&mut self, work: &Work, rng: &mut impl Rng) -> Worked {
        match work {
            Work::Learn(keys) => {
                keys.iter().cloned().for_each(|key| self.keys.add(key));
                Worked::Learned
            }
            Work::Apply { collection, head, patches } => {
                Worked::Applied(Box::new(self.apply(*collection, *head, patches)))
            }
            Work::Replace { collection, head, snapshot } => {
                let read = appstate::apply_snapshot(*collection, snapshot, &self.keys);
                Worked::Applied(Box::new(self.replace(*collection, *head, read)))
            }
            Work::Recover { collection, head, recovery } => {
                let read = appstate::recover(*collection, recovery, &self.keys);
                Worked::Applied(Box::new(self.replace(*collection, *head, read)))
            }
            Work::Encode { collection, head, actions, at } => {
                self.encode(*collection, head, actions, *at, rng)
            }
            Work::Read(_) => Worked::Read(self.read()),
        }
    }

    fn apply(&mut self, collection: Collection, head: Head, patches: &[Bytes]) -> AppliedPatches {
        let anew = head == Head::EMPTY;
        let mut applied = AppliedPatches { anew, ..AppliedPatches::nothing(head) };
        let mut touched = BTreeSet::new();
        for bytes in patches {
            match self.apply_one(collection, &applied.head, bytes) {
                Ok(None) => {}
                Ok(Some((head, mutations))) => {
                    touched.extend(mutations.iter().map(|one| page_of(collection, &one.index_mac)));
                    applied.mutations.extend(mutations.into_iter().map(|one| (head.version, one)));
                    applied.head = head;
                }
                Err(error) => {
                    applied.error = Some(error);
                    break;
                }
            }
        }
        if anew && applied.head != head {
            // Whatever an older copy left is gone.
            touched.extend(all_pages(collection));
        }
        applied.changes = touched.into_iter().map(|name| self.page_row(name)).collect();
        applied
    }

    /// Puts a whole collection in the place of the pages. What it says as they did is no change.
    fn replace(
        &mut self,
        collection: Collection,
        head: Head,
        read: Result<Applied, ApplyError>,
    ) -> AppliedPatches {
        let mut applied = AppliedPatches { anew: true, ..AppliedPatches::nothing(head) };
        let read = match read {
            Ok(read) if read.head.version >= head.version => read,
            Ok(read) => {
                let (ours, got) = (head.version, read.head.version);
                applied.error = Some(ApplyError::Version { ours, got });
                return applied;
            }
            Err(error) => {
                applied.error = Some(error);
                return applied;
            }
        };
        let mut before: BTreeMap<[u8; 32], Record> =
            std::mem::take(&mut self.pages).into_values().flatten().collect();
        for mutation in read.mutations {
            let Some(record) = mutation.record.clone() else { continue };
            let page = self.pages.entry(page_of(collection, &mutation.index_mac)).or_default();
            page.insert(mutation.index_mac, record.clone());
            let known = before.remove(&mutation.index_mac);
            if known.is_none_or(|known| known.value_mac != record.value_mac) {
                applied.mutations.push((read.head.version, mutation));
            }
        }
        let gone = before.into_iter().map(|(index, record)| (read.head.version, record.removal(index)));
        applied.mutations.extend(gone);
        applied.head = read.head;
        applied.changes = all_pages(collection).map(|name| self.page_row(name)).collect();
        applied
    }

    /// Applies one patch to the pages; `None` when it is known already.
    fn apply_one(
        &mut self,
        collection: Collection,
        head: &Head,
        bytes: &[u8],
    ) -> Result<Option<(Head, Vec<Mutation>)>, ApplyError> {
        let patch = Patch::read(bytes).map_err(|error| ApplyError::Mismatch(error.to_string()))?;
        if patch.version() <= head.version {
            return Ok(None);
        }
        let previous = |index: &[u8; 32]| self.record(collection, index).map(|record| record.value_mac);
        let applied = appstate::apply(collection, head, &patch, &self.keys, previous)?;
        for mutation in &applied.mutations {
            let page = self.pages.entry(page_of(collection, &mutation.index_mac)).or_default();
            match &mutation.record {
                Some(record) => page.insert(mutation.index_mac, record.clone()),
                None => page.remove(&mutation.index_mac),
            };
        }
        Ok(Some((applied.head, applied.mutations)))
    }

    fn encode(
        &self,
        collection: Collection,
        head: &Head,
        actions: &[Action],
        at: UnixMillis,
        rng: &mut impl Rng,
    ) -> Worked {
        let Some(key) = self.keys.newest() else { return Worked::NoKey };
        let kept = |action: &Action| self.record(collection, &index_of(action, &self.keys, key)?);
        let is_settled = |action: &Action| match kept(action) {
            Some(record) => record.says(action),
            None => action.is_settled(None),
        };
        if actions.iter().all(is_settled) {
            return Worked::Unchanged;
        }
        let amended =
            |action: &Action| kept(action).map_or_else(|| action.clone(), |kept| kept.amended(action));
        let actions: Vec<Action> = actions.iter().map(amended).collect();
        let previous = |index: &[u8; 32]| self.record(collection, index).map(|record| record.value_mac);
        match appstate::encode(collection, head, &actions, (&self.keys, key), previous, at, rng) {
            Ok(patch) => Worked::Encoded(patch.to_bytes().into()),
            Err(_) => Worked::NoKey,
        }
    }

    /// Everything in the pages. Where two keys have left two records about the same, the later counts.
    fn read(&self) -> Vec<Action> {
        let mut latest: BTreeMap<Vec<String>, (UnixMillis, Action)> = BTreeMap::new();
        for record in self.pages.values().flat_map(BTreeMap::values) {
            let Some((action, at)) = record.read() else { continue };
            let kept = latest.entry(action.index()).or_insert_with(|| (at, action.clone()));
            if kept.0 < at {
                *kept = (at, action);
            }
        }
        latest.into_values().map(|(_, action)| action).collect()
    }

    fn record(&self, collection: Collection, index: &[u8; 32]) -> Option<&Record> {
        self.pages.get(&page_of(collection, index))?.get(index)
    }

    fn page_row(&self, name: String) -> StateChange {
        let page = self.pages.get(&name).filter(|page| !page.is_empty()).map(write_page);
        (StateKey { kind: StateKind::AppStatePage, name }, page)
    }
}

fn page_of(collection: Collection, index: &[u8; 32]) -> String {
    format!("{collection}/{}", index[0] % PAGES)
}

/// Names of all pages of a collection.
pub(crate) fn all_pages(collection: Collection) -> impl Iterator<Item = String> {
    (0..PAGES).map(move |number| format!("{collection}/{number}"))
}

/// Format byte, then per record: 32 bytes of index, 32 of value MAC, length and content.
fn write_page(page: &Page) -> Bytes {
    let mut out = BytesMut::from(&[FORMAT][..]);
    for (index, record) in page {
        out.put_slice(index);
        out.put_slice(&record.value_mac);
        out.put_u32(u32::try_from(record.content.len()).expect("a record is far below 4 GiB"));
        out.put_slice(&record.content);
    }
    out.freeze()
}

fn read_page(bytes: &[u8]) -> Option<Page> {
    let (format, mut rest) = bytes.split_first()?;
    let mut page = Page::new();
    while !rest.is_empty() {
        let (index, after) = rest.split_first_chunk::<32>()?;
        let (value_mac, after) = after.split_first_chunk::<32>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (content, after) = after.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        page.insert(*index, Record { value_mac: *value_mac, content: content.to_vec() });
        rest = after;
    }
    (*format == FORMAT).then_some(page)
}

#[cfg(test)]
mod tests;
