//! The tenants' data keys, opened and kept for a while.
//!
//! What must hold: memory is bounded whatever the number of tenants; a key that does not open is an
//! error, never a new key. It does not write: a tenant gets its key when it is made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use roost_actors::port::DeviceStoreError;
use roost_proto::id::BusinessId;

use super::backend::Backend;
use super::rows::unavailable;
use super::seal::SealKey;

/// Opened keys kept at most; a few hundred bytes each.
const KEPT: usize = 4096;

pub(super) struct Vault {
    kek: SealKey,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: BTreeMap<BusinessId, (SealKey, u64)>,
    uses: u64,
}

impl Vault {
    pub(super) fn new(kek: SealKey) -> Vault {
        Vault { kek, kept: Mutex::default() }
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
        if let Some(key) = self.kept(|kept| kept.find(tenant)) {
            return Ok(Some(key));
        }
        let Some(wrapped) = backend.data_key(tenant.as_str()).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let key = self.kek.unwrap(tenant, &wrapped).map_err(|why| DeviceStoreError::Damaged {
            what: format!("data key of tenant {tenant}"),
            why: why.to_string(),
        })?;
        self.kept(|kept| kept.keep(tenant, &key));
        Ok(Some(key))
    }

    fn kept<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn find(&mut self, tenant: &BusinessId) -> Option<SealKey> {
        self.uses += 1;
        let (key, used) = self.keys.get_mut(tenant)?;
        *used = self.uses;
        Some(key.clone())
    }

    fn keep(&mut self, tenant: &BusinessId, key: &SealKey) {
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
        kept.keep(&hot, &key);
        for n in 0..3 * KEPT {
            let tenant: BusinessId = format!("t{n}").parse().expect("id");
            assert!(kept.find(&tenant).is_none());
            kept.keep(&tenant, &key);
            assert!(kept.keys.len() <= KEPT);
            assert!(kept.find(&hot).is_some(), "after {n}");
        }
    }
}
