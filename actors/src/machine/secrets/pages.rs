//! The secrets of the last messages that came, in a ring of pages.
//!
//! What must hold: a secret is in a page that is written with the message that brought it, or before. A page is filled
//! by one owner alone: the next one begins another, so that none is ever read to be written.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_proto::content::Secret;
use roost_proto::phash::short_digest;

use crate::port::{StateChange, StateKey, StateKind};

/// Pages of the ring; the oldest is written over.
const PAGES: u32 = 64;
/// Secrets of one page.
const ENTRIES: usize = 16;
/// A key, and the digests of two names at most; what is not there is zero.
const ENTRY: usize = KEY + 2 * DIGEST;
const KEY: usize = 32;
const DIGEST: usize = 16;
/// First byte of a page.
const FORMAT: u8 = 1;

/// The page that is being filled, and what of the ring is not written.
#[derive(Debug, Default)]
pub(in crate::machine) struct Pages {
    /// The page that was begun last, by whichever owner.
    number: Option<u32>,
    /// What stands in it, when this owner fills it.
    page: Vec<u8>,
    unwritten: BTreeMap<StateKey, Bytes>,
}

impl Pages {
    /// The pages go on behind the one that the last owner had begun, by its row.
    pub(in crate::machine) fn behind(row: Option<&Bytes>) -> Pages {
        let number = row.and_then(|row| Some(u32::from_be_bytes(row.as_ref().try_into().ok()?)));
        Pages { number, ..Pages::default() }
    }

    /// Keeps a secret under these names, two at most.
    pub(super) fn keep(&mut self, names: &[String], secret: &Secret) {
        let Ok(key) = <[u8; KEY]>::try_from(secret.key.as_slice()) else { return };
        if self.page.is_empty() || self.page.len() > ENTRIES * ENTRY {
            let number = self.number.map_or(0, |number| (number + 1) % PAGES);
            let head = StateKey { kind: StateKind::SecretHead, name: String::new() };
            self.unwritten.insert(head, Bytes::copy_from_slice(&number.to_be_bytes()));
            self.number = Some(number);
            self.page = vec![FORMAT];
        }
        let end = self.page.len() + ENTRY;
        self.page.extend(key);
        self.page.extend(names.iter().take(2).flat_map(|name| short_digest(name.as_bytes())));
        self.page.resize(end, 0);
        let name = self.number.unwrap_or_default().to_string();
        let key = StateKey { kind: StateKind::SecretPage, name };
        self.unwritten.insert(key, Bytes::copy_from_slice(&self.page));
    }

    /// What is to be written with the next batch.
    pub(in crate::machine) fn take(&mut self) -> Vec<StateChange> {
        std::mem::take(&mut self.unwritten).into_iter().map(|(key, row)| (key, Some(row))).collect()
    }
}

/// Names of the rows of all pages.
pub(super) fn names() -> Vec<String> {
    (0..PAGES).map(|number| number.to_string()).collect()
}

/// The secret that one of these pages has under one of these names.
pub(super) fn find(pages: &[Bytes], names: &[String]) -> Option<Secret> {
    let wanted: Vec<_> = names.iter().map(|name| short_digest(name.as_bytes())).collect();
    let entries = pages.iter().filter_map(|page| page.strip_prefix(&[FORMAT])).flat_map(|page| {
        let (entries, _) = page.as_chunks::<ENTRY>();
        entries
    });
    let found = entries.map(|entry| entry.split_at(KEY)).find(|(_, digests)| {
        let (digests, _) = digests.as_chunks::<DIGEST>();
        digests.iter().any(|digest| wanted.contains(digest))
    });
    found.map(|(key, _)| Secret::bare(key.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: u32) -> Secret {
        let mut key = vec![0; KEY];
        key[..4].copy_from_slice(&number.to_be_bytes());
        Secret::bare(key)
    }

    fn named(number: u32) -> Vec<String> {
        vec![format!("77@lid/{number}"), format!("4915@s.whatsapp.net/{number}")]
    }

    /// What the store has of the ring.
    #[derive(Default)]
    struct Rows(BTreeMap<StateKey, Bytes>);

    impl Rows {
        fn write(&mut self, pages: &mut Pages) {
            self.0.extend(pages.take().into_iter().filter_map(|(key, row)| Some((key, row?))));
        }

        fn head(&self) -> Option<&Bytes> {
            self.0.iter().find(|(key, _)| key.kind == StateKind::SecretHead).map(|(_, row)| row)
        }

        fn find(&self, name: &str) -> Option<Secret> {
            let rows = self.0.iter().filter(|(key, _)| key.kind == StateKind::SecretPage);
            let rows: Vec<Bytes> = rows.map(|(_, row)| row.clone()).collect();
            find(&rows, &[name.to_owned()])
        }
    }

    #[test]
    fn a_secret_is_found_under_each_of_its_names_until_a_thousand_others_have_come() {
        let (mut pages, mut rows) = (Pages::default(), Rows::default());
        let many = PAGES * u32::try_from(ENTRIES).expect("few");
        for number in 0..many {
            pages.keep(&named(number), &secret(number));
            rows.write(&mut pages);
        }
        for number in [0, 1, many - 1] {
            for name in named(number) {
                assert_eq!(rows.find(&name), Some(secret(number)), "{name}");
            }
        }
        assert_eq!(rows.find("88@lid/0"), None, "the author is part of the name");
        pages.keep(&named(many), &secret(many));
        rows.write(&mut pages);
        assert_eq!(rows.find("77@lid/0"), None, "the oldest page was written over");
        assert!(rows.find("77@lid/16").is_some() && rows.find(&format!("77@lid/{many}")).is_some());
        assert!(rows.0.len() <= PAGES as usize + 1);
        assert!(rows.0.values().all(|row| row.len() <= 1 + ENTRIES * ENTRY));
    }

    #[test]
    fn the_next_owner_begins_a_page_behind_the_last_and_writes_over_none_that_is_newer() {
        let (mut pages, mut rows) = (Pages::default(), Rows::default());
        pages.keep(&named(1), &secret(1));
        rows.write(&mut pages);
        pages.keep(&named(2), &secret(2));
        // The second was never committed.
        let mut next = Pages::behind(rows.head());
        next.keep(&named(3), &secret(3));
        rows.write(&mut next);
        let found = [1, 2, 3].map(|number| rows.find(&format!("77@lid/{number}")).is_some());
        assert_eq!(found, [true, false, true]);
    }

    #[test]
    fn a_secret_that_was_taken_for_a_batch_is_in_no_later_one() {
        let mut pages = Pages::default();
        pages.keep(&named(1), &secret(1));
        assert_eq!(pages.take().len(), 2, "the page, and that it was begun");
        assert_eq!(pages.take(), Vec::new());
        pages.keep(&["a@lid/1".to_owned()], &secret(2));
        assert_eq!(pages.take().len(), 1, "the page alone");
    }

    #[test]
    fn rows_that_are_no_pages_have_nothing() {
        let names = named(1);
        assert_eq!(
            find(&[Bytes::new(), Bytes::from_static(b"\x02abc"), Bytes::from_static(b"\x01abc")], &names),
            None
        );
    }
}
