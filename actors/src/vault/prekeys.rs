//! The one-time prekeys of a device: making, uploading, using them.
//!
//! What must hold: the row of the highest page stays, also when it is empty, because the next page is
//! counted from it; each age of the database has pages of its own (`aged`); keys that are handed out and never used do not
//! stay for ever.

use roost_placement::seeded::{self, Bug};
use roost_proto::signal::{KeyDigest, KeyPair, PrekeyPage};

use super::{Vault, aged};
use crate::machine::{KeysCompared, PrekeyUpload};
use crate::port::{StateChange, StateKey, StateKind};

/// Keys that were handed out with requests to send a message again, and not used yet. Above this, none
/// are added: the signed prekey alone will do.
const SINGLES: usize = 64;

/// Pages that are kept. Whoever asks for our keys again and again and writes nothing uses them up at WhatsApp, which has
/// us make more: the oldest go then. A message that comes for one of them after all is asked for again.
const PAGES: usize = 200;

impl Vault {
    /// Everything that was not uploaded; new keys when that is nothing: so many pages first, and so many later.
    pub(super) fn prekeys(&mut self, first: u32, more: u32) -> (Vec<StateChange>, PrekeyUpload) {
        let mut changes = Vec::new();
        if self.pages.values().all(PrekeyPage::uploaded) {
            let count = if self.pages.is_empty() { first } else { more };
            for _ in 0..count {
                let page = PrekeyPage::generate(self.next_page(), &mut self.rng);
                changes.push(self.keep(page));
            }
            while self.pages.len() > PAGES {
                changes.extend(self.pages.pop_first().map(|(oldest, _)| (row(oldest), None)));
            }
        }
        let fresh: Vec<&PrekeyPage> = self.pages.values().filter(|page| !page.uploaded()).collect();
        let keys = self.keys.as_ref().expect("a device that is logged in has keys");
        let upload = PrekeyUpload {
            pages: fresh.iter().map(|page| page.number()).collect(),
            registration_id: keys.registration_id(),
            identity: *keys.identity().public(),
            signed_prekey: keys.newest_signed_prekey(),
            keys: fresh.iter().flat_map(|page| page.publics()).collect(),
        };
        (changes, upload)
    }

    /// Compares what WhatsApp has with what we have. A signed prekey that was offered counts as ours from then on. Of
    /// one-time prekeys that we do not know (any more) no hash can be made; they do not count.
    pub(super) fn compare_keys(&self, digest: &KeyDigest) -> KeysCompared {
        let keys = self.keys.as_ref().expect("a device that is logged in has keys");
        let signed = [keys.signed_prekey(), keys.newest_signed_prekey()];
        let find = |id: &u32| self.pages.values().find_map(|page| page.get(*id)).map(KeyPair::public);
        let known: Vec<&[u8; 32]> = digest.one_time.iter().filter_map(find).collect();
        let all_known = known.len() == digest.one_time.len();
        let ours = digest.identity == *keys.identity().public()
            && digest.registration_id == keys.registration_id()
            && signed.contains(&digest.signed_prekey)
            && (!all_known || digest.hash_with(known.iter().copied()) == digest.hash);
        if ours { KeysCompared::Ours { one_time: known.len() as u64 } } else { KeysCompared::Differ }
    }

    pub(super) fn uploaded(&mut self, pages: &[u32]) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for number in pages {
            if let Some(mut page) = self.pages.remove(number) {
                page.set_uploaded();
                changes.push(self.keep(page));
            }
        }
        changes
    }

    /// One key for one peer.
    pub(super) fn single_prekey(&mut self, changes: &mut Vec<StateChange>) -> Option<(u32, [u8; 32])> {
        if self.pages.values().filter(|page| page.uploaded() && page.len() == 1).count() >= SINGLES {
            return None;
        }
        let page = PrekeyPage::single(self.next_page(), &mut self.rng);
        let key = page.publics().next();
        changes.push(self.keep(page));
        key
    }

    pub(super) fn consume_prekey(&mut self, id: u32) -> Option<StateChange> {
        let highest = self.pages.last_key_value().map(|(number, _)| *number);
        let (number, page) = self.pages.iter_mut().find(|(_, page)| page.get(id).is_some())?;
        page.remove(id);
        let number = *number;
        if page.is_empty() && Some(number) != highest {
            self.pages.remove(&number);
            return Some((row(number), None));
        }
        Some((row(number), Some(page.to_bytes().into())))
    }

    /// New keys make all prekeys worthless; only the highest number is remembered.
    pub(super) fn drop_pages(&mut self) -> Vec<StateChange> {
        let pages = std::mem::take(&mut self.pages);
        let highest = pages.keys().last().copied();
        let mut changes: Vec<StateChange> = pages.into_keys().map(|number| (row(number), None)).collect();
        if let Some(number) = highest {
            changes.push(self.keep(PrekeyPage::empty(number)));
        }
        changes
    }

    fn next_page(&self) -> u32 {
        let counts = |page: &PrekeyPage| !(seeded::on(Bug::PrekeyNumberedAgain) && page.uploaded());
        let highest = self.pages.iter().rev().find(|(_, page)| counts(page));
        highest.map_or(0, |(number, _)| number + 1).max(aged::first_page(self.age))
    }

    pub(super) fn keep(&mut self, page: PrekeyPage) -> StateChange {
        let change = (row(page.number()), Some(page.to_bytes().into()));
        self.pages.insert(page.number(), page);
        change
    }
}

fn row(number: u32) -> StateKey {
    StateKey { kind: StateKind::Prekeys, name: number.to_string() }
}
