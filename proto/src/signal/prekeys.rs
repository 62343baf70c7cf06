//! One-time prekeys, in pages: a page is one row of the store, made whole and emptied key by key.
//!
//! What must hold: a page number stands for fixed ids, so a prekey id is used again only after the
//! 24-bit id space has been gone through; the row of the highest page stays even when it is empty,
//! because the next page number is counted from it. Whether a page has reached WhatsApp is part of it.

use std::collections::BTreeMap;
use std::fmt;

use prost::Message as _;
use rand::{CryptoRng, Rng};

use super::keys::KeyPair;

/// Ids have 24 bits; 0 is not used.
pub const PREKEY_ID_MAX: u32 = 0x00FF_FFFF;

/// Why a stored page cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PrekeyPageError {
    /// Not an encoding of a page.
    #[error("a stored page of prekeys cannot be decoded")]
    Encoding(#[source] prost::DecodeError),
    /// A key with a wrong length or id.
    #[error("a stored page of prekeys holds a bad key")]
    Key,
}

/// A page of one-time prekeys.
#[derive(Clone)]
pub struct PrekeyPage {
    number: u32,
    uploaded: bool,
    keys: BTreeMap<u32, KeyPair>,
}

impl PrekeyPage {
    /// Keys per page.
    pub const SIZE: u32 = 50;

    /// Makes all keys of page `number`: ids `number × SIZE + 1` and following, going round at 24 bits.
    pub fn generate<R: Rng + CryptoRng>(number: u32, rng: &mut R) -> PrekeyPage {
        PrekeyPage::with(number, Self::SIZE, rng)
    }

    /// The first so many keys of a page.
    fn with<R: Rng + CryptoRng>(number: u32, count: u32, rng: &mut R) -> PrekeyPage {
        let first = u64::from(number) * u64::from(Self::SIZE);
        let keys = (first..first + u64::from(count))
            .map(|index| {
                let id = u32::try_from(index % u64::from(PREKEY_ID_MAX)).expect("below 24 bits") + 1;
                (id, KeyPair::generate(rng))
            })
            .collect();
        PrekeyPage { number, uploaded: false, keys }
    }

    /// Makes a page of one key, to be handed to one peer directly: it counts as uploaded, so that nobody
    /// else is ever given the key.
    pub fn single<R: Rng + CryptoRng>(number: u32, rng: &mut R) -> PrekeyPage {
        PrekeyPage { uploaded: true, ..PrekeyPage::with(number, 1, rng) }
    }

    /// Keys that were made and uploaded elsewhere, on the pages of their ids, and after them an empty page when
    /// one is needed so that later ids begin at `next` or above. `None` when an id has not 24 bits or is 0.
    pub fn restore(keys: BTreeMap<u32, KeyPair>, next: u32) -> Option<Vec<PrekeyPage>> {
        let mut pages: BTreeMap<u32, PrekeyPage> = BTreeMap::new();
        for (id, pair) in keys {
            let number = id.checked_sub(1).filter(|_| id <= PREKEY_ID_MAX)? / Self::SIZE;
            pages.entry(number).or_insert_with(|| PrekeyPage::empty(number)).keys.insert(id, pair);
        }
        // The page of the last id that may have been given away.
        if let Some(last) = next.checked_sub(2) {
            let number = last.min(PREKEY_ID_MAX - 1) / Self::SIZE;
            pages.entry(number).or_insert_with(|| PrekeyPage::empty(number));
        }
        Some(pages.into_values().collect())
    }

    /// A page that only holds its number, so that no later page gets it again.
    pub fn empty(number: u32) -> PrekeyPage {
        PrekeyPage { number, uploaded: true, keys: BTreeMap::new() }
    }

    /// Which page.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether WhatsApp has confirmed the upload.
    pub fn uploaded(&self) -> bool {
        self.uploaded
    }

    /// WhatsApp has confirmed the upload.
    pub fn set_uploaded(&mut self) {
        self.uploaded = true;
    }

    /// Ids and public keys (32 bytes) of what is left, in order of id.
    pub fn publics(&self) -> impl Iterator<Item = (u32, [u8; 32])> + '_ {
        self.keys.iter().map(|(id, pair)| (*id, *pair.public()))
    }

    /// How many keys are left.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether all were used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// One key.
    pub fn get(&self, id: u32) -> Option<&KeyPair> {
        self.keys.get(&id)
    }

    /// Takes a used key out; `false` when it was not there.
    pub fn remove(&mut self, id: u32) -> bool {
        self.keys.remove(&id).is_some()
    }

    /// For the store. Secret: seal it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys = self.keys.iter().map(|(id, pair)| StoredKey {
            id: *id,
            private: pair.private().to_vec(),
            public: pair.public().to_vec(),
        });
        StoredPage { number: self.number, uploaded: self.uploaded, keys: keys.collect() }.encode_to_vec()
    }

    /// Reads what [`PrekeyPage::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<PrekeyPage, PrekeyPageError> {
        let page = StoredPage::decode(bytes).map_err(PrekeyPageError::Encoding)?;
        let keys = page.keys.iter().map(|key| {
            let private: [u8; 32] = key.private.as_slice().try_into().map_err(|_| PrekeyPageError::Key)?;
            if key.id == 0 || key.id > PREKEY_ID_MAX {
                return Err(PrekeyPageError::Key);
            }
            // Rows of earlier releases have no public half; it takes a multiplication on the curve to find.
            let pair = match key.public.as_slice().try_into() {
                Ok(public) => KeyPair::of_halves(private, public),
                Err(_) if key.public.is_empty() => KeyPair::from_private(private),
                Err(_) => return Err(PrekeyPageError::Key),
            };
            Ok((key.id, pair))
        });
        Ok(PrekeyPage { number: page.number, uploaded: page.uploaded, keys: keys.collect::<Result<_, _>>()? })
    }
}

impl fmt::Debug for PrekeyPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrekeyPage({}, {} left, uploaded {})", self.number, self.keys.len(), self.uploaded)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredPage {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bool, tag = "2")]
    uploaded: bool,
    #[prost(message, repeated, tag = "3")]
    keys: Vec<StoredKey>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredKey {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    private: Vec<u8>,
    /// 32 bytes, or empty.
    #[prost(bytes = "vec", tag = "3")]
    public: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn pages_share_no_id() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ids = std::collections::BTreeSet::new();
        for number in 0..4 {
            for (id, _) in PrekeyPage::generate(number, &mut rng).publics() {
                assert!(ids.insert(id));
            }
        }
        assert_eq!(ids.first(), Some(&1));
        assert_eq!(ids.len(), 200);
    }

    #[test]
    fn ids_go_round_within_24_bits() {
        let number = PREKEY_ID_MAX / PrekeyPage::SIZE;
        let page = PrekeyPage::generate(number, &mut StdRng::seed_from_u64(2));
        assert!(page.publics().all(|(id, _)| (1..=PREKEY_ID_MAX).contains(&id)));
        assert!(page.get(1).is_some() && page.get(PREKEY_ID_MAX).is_some());
    }

    #[test]
    fn keys_from_elsewhere_keep_their_ids_and_later_ones_follow() {
        let mut rng = StdRng::seed_from_u64(4);
        let keys = [1, 50, 51, 812].map(|id| (id, KeyPair::generate(&mut rng)));
        let pages = PrekeyPage::restore(keys.clone().into(), 1_000).expect("good ids");
        let numbers: Vec<(u32, usize)> = pages.iter().map(|page| (page.number(), page.len())).collect();
        assert_eq!(numbers, [(0, 2), (1, 1), (16, 1), (19, 0)]);
        assert!(pages.iter().all(PrekeyPage::uploaded));
        assert_eq!(pages[2].get(812).map(KeyPair::public), Some(keys[3].1.public()));
        let first = PrekeyPage::generate(20, &mut rng).publics().next().map(|(id, _)| id);
        assert!(first.is_some_and(|id| id >= 1_000));
        for bad in [0, PREKEY_ID_MAX + 1] {
            assert!(PrekeyPage::restore([(bad, KeyPair::generate(&mut rng))].into(), 1).is_none());
        }
    }

    #[test]
    fn a_page_reads_back_without_its_used_keys() {
        let mut page = PrekeyPage::generate(3, &mut StdRng::seed_from_u64(3));
        page.set_uploaded();
        assert!(page.remove(151));
        assert!(!page.remove(151));
        let again = PrekeyPage::from_bytes(&page.to_bytes()).expect("own encoding");
        assert!(again.uploaded() && again.number() == 3 && again.len() == 49 && again.get(151).is_none());
        assert_eq!(again.get(152).map(KeyPair::public), page.get(152).map(KeyPair::public));
    }

    #[test]
    fn a_row_without_public_halves_reads_as_the_same_page() {
        let page = PrekeyPage::generate(0, &mut StdRng::seed_from_u64(4));
        let mut stored = StoredPage::decode(page.to_bytes().as_slice()).expect("own encoding");
        stored.keys.iter_mut().for_each(|key| key.public.clear());
        let again = PrekeyPage::from_bytes(&stored.encode_to_vec()).expect("an earlier encoding");
        assert!(again.publics().eq(page.publics()));
        stored.keys[0].public = vec![1; 31];
        assert!(matches!(PrekeyPage::from_bytes(&stored.encode_to_vec()), Err(PrekeyPageError::Key)));
    }

    #[test]
    fn a_single_key_is_the_first_of_its_page_and_counts_as_uploaded() {
        let page = PrekeyPage::single(2, &mut StdRng::seed_from_u64(5));
        assert!(page.uploaded() && page.len() == 1 && page.get(101).is_some());
    }
}
