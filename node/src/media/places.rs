//! Places for work of one sort in a node, of which every tenant has a share.
//!
//! What must hold: a tenant has a quarter of the places at most, so others find one however long it keeps its own; whoever
//! waits for a place waits first for one of his tenant's, so the line for all has no more of a tenant than may go in; no
//! wait is without an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use roost_proto::id::BusinessId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::MediaProblem;

/// Tenants that together fill all places.
const SHARES: usize = 4;

/// See the module.
pub(super) struct Places {
    all: Arc<Semaphore>,
    share: usize,
    longest: Duration,
    /// Of the tenants that have a place or wait for one.
    shares: Mutex<BTreeMap<BusinessId, Weak<Semaphore>>>,
}

/// A place, which is free again when this is dropped.
pub struct Place {
    _share: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, for which nobody waits longer than this.
    pub(super) fn new(count: usize, longest: Duration) -> Places {
        let share = (count / SHARES).max(1);
        Places { all: Arc::new(Semaphore::new(count)), share, longest, shares: Mutex::default() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`MediaProblem::Busy`] when there is none in time.
    pub(super) async fn take(&self, tenant: &BusinessId) -> Result<Place, MediaProblem> {
        let (share, all) = (self.share_of(tenant), self.all.clone());
        let taking = async {
            let share = share.acquire_owned().await.expect("it is never closed");
            Place { _share: share, _of_all: all.acquire_owned().await.expect("it is never closed") }
        };
        tokio::time::timeout(self.longest, taking).await.map_err(|_| MediaProblem::Busy)
    }

    fn share_of(&self, tenant: &BusinessId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    fn tenant(id: &str) -> BusinessId {
        id.parse().expect("an id")
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_keeps_all_it_can_have_leaves_places_for_others() {
        let places = Places::new(8, LONGEST);
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let first = places.take(&acme).await.expect("a place");
        let _second = places.take(&acme).await.expect("a place");
        assert!(matches!(places.take(&acme).await, Err(MediaProblem::Busy)));
        let theirs = places.take(&globex).await.expect("the places of others are free");
        drop(first);
        places.take(&acme).await.expect("a place is free again");
        drop(theirs);
        places.take(&tenant("initech")).await.expect("a place");
        assert_eq!(places.shares.lock().expect("nobody failed").len(), 2, "who is gone is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_that_others_keep_is_told_so() {
        let places = Places::new(2, LONGEST);
        let _kept = (places.take(&tenant("acme")).await, places.take(&tenant("globex")).await);
        assert!(matches!(places.take(&tenant("initech")).await, Err(MediaProblem::Busy)));
    }
}
