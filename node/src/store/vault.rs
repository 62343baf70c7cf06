//! The tenants' data keys, opened and kept for a while.
//!
//! What must hold: memory is bounded whatever the number of tenants; a key that does not open is an
//! error, never a new key; none outlives the age of the database in which it was read, whose tail may be lost, and with it
//! a tenant that is then made again with another key. It does not write: a tenant gets its key when it is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use roost_actors::port::DeviceStoreError;
use roost_proto::id::{Age, BusinessId};

use super::backend::Backend;
use super::rows::unavailable;
use super::seal::SealKey;

/// Opened keys kept at most; a few hundred bytes each.
const KEPT: usize = 4096;

/// The newest age of the database that this process has heard of.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<AtomicI64>);

impl Heard {
    pub(super) fn of(&self, age: Age) {
        self.0.fetch_max(age.0, Ordering::SeqCst);
    }

    fn newest(&self) -> Age {
        Age(self.0.load(Ordering::SeqCst))
    }
}

pub(super) struct Vault {
    kek: SealKey,
    kept: Mutex<Kept>,
    /// Whoever hears of an age says so here, before anything is sealed or opened in it.
    pub(super) heard: Heard,
}

#[derive(Default)]
struct Kept {
    keys: BTreeMap<BusinessId, (SealKey, u64)>,
    uses: u64,
    /// What had been heard of when these were asked for.
    age: Age,
}

impl Vault {
    pub(super) fn new(kek: SealKey) -> Vault {
        Vault { kek, kept: Mutex::default(), heard: Heard::default() }
    }

    /// A new data key for a tenant, wrapped.
    pub(super) fn new_data_key(&self, tenant: &BusinessId) -> Vec<u8> {
        self.kek.new_data_key(tenant)
    }

    /// The data key of a tenant; `None` when there is no such tenant.
    pub(super) async fn key(
        &self,
        backend: &dyn Backend,
        tenant: &BusinessId,
    ) -> Result<Option<SealKey>, DeviceStoreError> {
        let age = self.heard.newest();
        if let Some(key) = self.kept(|kept| kept.find(tenant, age)) {
            return Ok(Some(key));
        }
        let Some(wrapped) = backend.data_key(tenant.as_str()).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let key = self.kek.unwrap(tenant, &wrapped).map_err(|why| DeviceStoreError::Damaged {
            what: format!("data key of tenant {tenant}"),
            why: why.to_string(),
        })?;
        self.kept(|kept| kept.keep(tenant, &key, age));
        Ok(Some(key))
    }

    fn kept<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn find(&mut self, tenant: &BusinessId, age: Age) -> Option<SealKey> {
        if age > self.age {
            self.keys.clear();
            self.age = age;
        }
        self.uses += 1;
        let (key, used) = self.keys.get_mut(tenant)?;
        *used = self.uses;
        Some(key.clone())
    }

    fn keep(&mut self, tenant: &BusinessId, key: &SealKey, asked: Age) {
        if asked < self.age {
            return;
        }
        if self.keys.len() >= KEPT {
            // Full means thousands of active tenants: dropping the older half costs a look-up each.
            let mut ages: Vec<u64> = self.keys.values().map(|(_, used)| *used).collect();
            let (_, median, _) = ages.select_nth_unstable(KEPT / 2);
            let median = *median;
            self.keys.retain(|_, (_, used)| *used > median);
        }
        self.keys.insert(tenant.clone(), (key.clone(), self.uses));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_bound_and_keeps_what_is_used() {
        let mut kept = Kept::default();
        let key = SealKey::new(&[1; 32]);
        let hot: BusinessId = "hot".parse().expect("id");
        let age = Age(0);
        kept.keep(&hot, &key, age);
        for n in 0..3 * KEPT {
            let tenant: BusinessId = format!("t{n}").parse().expect("id");
            assert!(kept.find(&tenant, age).is_none());
            kept.keep(&tenant, &key, age);
            assert!(kept.keys.len() <= KEPT);
            assert!(kept.find(&hot, age).is_some(), "after {n}");
        }
    }

    #[test]
    fn a_key_that_was_asked_for_in_an_earlier_age_is_not_kept() {
        let mut kept = Kept::default();
        let key = SealKey::new(&[1; 32]);
        let tenant: BusinessId = "acme".parse().expect("id");
        assert!(kept.find(&tenant, Age(1)).is_none());
        kept.keep(&tenant, &key, Age(1));
        assert!(kept.find(&tenant, Age(1)).is_some());
        assert!(kept.find(&tenant, Age(2)).is_none());
        kept.keep(&tenant, &key, Age(1));
        assert!(kept.find(&tenant, Age(2)).is_none(), "its answer was under way");
        kept.keep(&tenant, &key, Age(2));
        assert!(kept.find(&tenant, Age(2)).is_some());
    }
}
