//! The ledger's port on a store and on a heartbeat's own connection: the adapter's statements, each
//! within a bound of time.
//!
//! What must hold: no call waits longer than the bound, whatever the network does. A heartbeat ledger
//! connects when it is first used, in the runtime that uses it, and shares nothing with the store.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::egress::Report;
use roost_placement::heads;
use roost_placement::ledger::{
    Attached, Beaten, Candidate, Grant, Holder, JoinError, Ledger, MemberState, Ownership, Permit, Posted,
    Timing, Transition, Unavailable,
};
use roost_placement::wish::Surveyed;
use roost_proto::id::{Age, DeviceKey, Life};

use super::Store;
use super::backend::Backend;
use super::options::{OpenError, StoreOptions};
use super::rows::unavailable;
use super::vault::Heard;

/// The database did not answer within the bound.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {0:?}")]
pub(super) struct TooLate(pub(super) Duration);

/// Gives a future this long; what becomes of a write after that is unknown.
pub(super) async fn within<T, E: From<Unavailable>>(
    bound: Duration,
    call: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, E> {
    match tokio::time::timeout(bound, call).await {
        Ok(result) => result,
        Err(_) => Err(E::from(unavailable(TooLate(bound)))),
    }
}

/// A ledger with a single connection of its own.
pub(super) struct HeartbeatLedger {
    backend: std::sync::OnceLock<Box<dyn Backend>>,
    options: StoreOptions,
    heard: Heard,
}

impl HeartbeatLedger {
    pub(super) fn new(options: StoreOptions, heard: Heard) -> HeartbeatLedger {
        HeartbeatLedger { backend: std::sync::OnceLock::new(), options, heard }
    }

    /// Called inside the runtime that beats.
    fn ledger(&self) -> Result<&dyn Backend, Unavailable> {
        if let Some(backend) = self.backend.get() {
            return Ok(&**backend);
        }
        let made: Result<Box<dyn Backend>, OpenError> = super::lazy_backend(&self.options, 1);
        let made = made.map_err(unavailable)?;
        Ok(&**self.backend.get_or_init(|| made))
    }
}

impl HeartbeatLedger {
    /// It commits nothing, so it remembers nothing.
    fn with_heads(&self, posts: &[Posted]) -> Vec<Posted> {
        posts.to_vec()
    }

    fn heard(&self) -> &Heard {
        &self.heard
    }
}

impl Store {
    /// What this store has committed under the posted grants, as it remembers.
    fn with_heads(&self, posts: &[Posted]) -> Vec<Posted> {
        let all = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |grant: &Grant| all.get(&grant.key).filter(|(epoch, _)| *epoch == grant.epoch);
        let posted = |post: &Posted| {
            let Posted { grant, head, accepted } =
                heads::posted(&post.grant, known(&post.grant).map(|(_, heads)| *heads));
            Posted { grant, head: post.head.max(head), accepted: post.accepted.max(accepted) }
        };
        posts.iter().map(posted).collect()
    }

    fn heard(&self) -> &Heard {
        &self.vault.heard
    }
}

macro_rules! bounded_ledger {
    ($type:ty, $self:ident, $ledger:expr, $bound:expr) => {
        #[async_trait]
        impl Ledger for $type {
            async fn join(
                &$self,
                candidate: &Candidate,
                silent: Option<&Holder>,
                timing: &Timing,
            ) -> Result<Life, JoinError> {
                within($bound, $ledger.join(candidate, silent, timing)).await
            }

            async fn beat(&$self, life: &Life, said: &Report, timing: &Timing) -> Result<Beaten, Unavailable> {
                let beaten = within($bound, $ledger.beat(life, said, timing)).await?;
                // Nobody knows of an age before this.
                if let Beaten::Renewed(view) = &beaten {
                    $self.heard().of(Age(view.cluster_epoch));
                }
                Ok(beaten)
            }

            async fn set_state(&$self, life: &Life, state: MemberState) -> Result<bool, Unavailable> {
                within($bound, $ledger.set_state(life, state)).await
            }

            async fn bury(&$self, me: &Life, victim: &Life, timing: &Timing) -> Result<bool, Unavailable> {
                within($bound, $ledger.bury(me, victim, timing)).await
            }

            async fn certify_death(&$self, life: &Life) -> Result<bool, Unavailable> {
                within($bound, $ledger.certify_death(life)).await
            }

            async fn reattach(&$self, me: &Life, posts: &[Posted]) -> Result<Vec<Attached>, Unavailable> {
                within($bound, $ledger.reattach(me, &$self.with_heads(posts))).await
            }

            async fn claimable(&$self, limit: usize) -> Result<Vec<Ownership>, Unavailable> {
                within($bound, $ledger.claimable(limit)).await
            }

            async fn claim(
                &$self,
                me: &Life,
                from: Option<&Life>,
                keys: &[DeviceKey],
            ) -> Result<Vec<Grant>, Unavailable> {
                within($bound, $ledger.claim(me, from, keys)).await
            }

            async fn mine(&$self, me: &Life) -> Result<Vec<Ownership>, Unavailable> {
                within($bound, $ledger.mine(me)).await
            }

            async fn permit(&$self, grants: &[Grant], age: Age, margin: Duration) -> Result<Vec<Permit>, Unavailable> {
                within($bound, $ledger.permit(grants, age, margin)).await
            }

            async fn give(&$self, grant: &Grant, to: &Life) -> Result<Option<Grant>, Unavailable> {
                within($bound, $ledger.give(grant, to)).await
            }

            async fn release(&$self, grant: &Grant) -> Result<bool, Unavailable> {
                within($bound, $ledger.release(grant)).await
            }

            async fn survey(
                &$self,
                of: Option<&Life>,
                after: Option<&DeviceKey>,
                limit: usize,
            ) -> Result<Vec<Surveyed>, Unavailable> {
                within($bound, $ledger.survey(of, after, limit)).await
            }

            async fn ownership(&$self, key: &DeviceKey) -> Result<Option<Ownership>, Unavailable> {
                within($bound, $ledger.ownership(key)).await
            }

            async fn history(&$self, key: &DeviceKey, limit: usize) -> Result<Vec<Transition>, Unavailable> {
                within($bound, $ledger.history(key, limit)).await
            }
        }
    };
}

bounded_ledger!(Store, self, self.backend, self.bound);
bounded_ledger!(HeartbeatLedger, self, self.ledger()?, self.options.call_timeout());
