//! The store: the three ports of the program (ledger, device state, directory) on one database.
//!
//! What must hold: the pools never leave this module, and the only code that writes device tables is
//! the fenced transaction, so nothing in the workspace can write device state without a grant that
//! stands. Every call is bounded in time. What is private is sealed before it reaches an adapter. It
//! does not decide who owns what, and keeps no ownership in memory.

mod backend;
mod committer;
mod devices;
mod directory;
mod fenced;
mod imported;
mod ledger;
mod leftovers;
mod media;
mod names;
mod near;
mod options;
mod plain;
mod polls;
mod postgres;
mod prepared;
mod protocol;
mod rows;
mod schema;
mod seal;
mod sqlite;
mod swept;
mod vault;
mod wishes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roost_actors::port::StateKind;
use roost_placement::heads::Heads;
use roost_placement::ledger::{Ledger, Unavailable};
use roost_proto::id::{DeviceKey, Epoch, Life};
use tokio::sync::{Semaphore, broadcast};

use self::backend::Backend;
use self::committer::Committer;
use self::ledger::HeartbeatLedger;
use self::rows::{SqlResult, unavailable};
use self::seal::{Place, SealKey};
use self::vault::{Heard, Vault};

pub use self::options::{OpenError, StoreOptions};
pub use self::seal::{KeyError, KeyFile, KeySource};

/// Commits that a slow watcher may lag behind; after that it only knows that it missed some.
const WATCH: usize = 4096;

/// The kinds that `load` returns: all but those on demand.
const LOADED_KINDS: [StateKind; 19] = [
    StateKind::Credentials,
    StateKind::Account,
    StateKind::Tenure,
    StateKind::Leftovers,
    StateKind::Prekeys,
    StateKind::Retry,
    StateKind::AppStateKey,
    StateKind::AppStateHead,
    StateKind::History,
    StateKind::HistoryPiece,
    StateKind::HistoryFile,
    StateKind::HistoryRange,
    StateKind::HistoryNonce,
    StateKind::Presence,
    StateKind::StatusPost,
    StateKind::SecretHead,
    StateKind::Making,
    StateKind::Pacing,
    StateKind::Salt,
];

/// An open database. Implements `Ledger`, `DeviceStore` and `Directory`. Its tasks and connections
/// belong to the runtime that opened it.
pub struct Store {
    backend: Arc<dyn Backend>,
    vault: Vault,
    committer: Committer,
    commits: broadcast::Sender<DeviceKey>,
    /// What was committed last for each device, and under which epoch: one entry for each device that this process
    /// has ever written for.
    heads: Mutex<BTreeMap<DeviceKey, (Epoch, Heads)>>,
    /// Turns of devices that begin: after a mass take-over their reads must not keep the commits of the others out.
    loads: Semaphore,
    options: StoreOptions,
    bound: Duration,
}

impl Store {
    /// Opens the database: connects, checks the schema (applies missing migrations when the options
    /// say so), and checks the key-encryption key against the one that the database was made with.
    pub async fn open(options: &StoreOptions) -> Result<Arc<Store>, OpenError> {
        let kek = SealKey::new(&*options.kek.key()?);
        schema::patiently(|| schema::check(options)).await?;
        let connections = options.max_connections.max(2);
        let backend: Arc<dyn Backend> = lazy_backend(options, connections)?.into();
        schema::patiently(|| check_key(&*backend, &kek, &options.url)).await?;
        let (commits, _) = broadcast::channel(WATCH);
        let committer = Committer::start(backend.clone(), options, commits.clone());
        let vault = Vault::new(kek);
        let (options, bound) = (options.clone(), options.call_timeout());
        let loads = Semaphore::new(usize::try_from(connections / 2).unwrap_or(1));
        let heads = Mutex::default();
        Ok(Arc::new(Store { backend, vault, committer, commits, heads, loads, options, bound }))
    }

    /// Brings the schema up to date; does nothing when it is. Several processes may do it at once.
    pub async fn migrate(options: &StoreOptions) -> Result<(), OpenError> {
        let options = StoreOptions { migrate: true, ..options.clone() };
        schema::patiently(|| schema::check(&options)).await
    }

    /// A ledger on a single connection of its own, for the heartbeat. It connects when it is first
    /// used, in the runtime of that call, so it may be handed to another thread's runtime. Its
    /// connection carries the name of `application`, or of the store's life when that is `None`.
    pub fn heartbeat_ledger(&self, application: Option<&Life>) -> Arc<dyn Ledger> {
        let mut options = self.options.clone();
        options.application = application.cloned().or(options.application);
        Arc::new(HeartbeatLedger::new(options, self.vault.heard.clone()))
    }

    /// Such a ledger without a store: for joining before the first store opens, and for the parent
    /// process, which writes the death certificate. Nothing is checked until it is used.
    pub fn lone_ledger(options: &StoreOptions) -> Arc<dyn Ledger> {
        Arc::new(HeartbeatLedger::new(options.clone(), Heard::default()))
    }

    /// Tells of each device that this process has committed something for, after the commit. A
    /// receiver that lags has only to read again.
    pub fn commits(&self) -> broadcast::Receiver<DeviceKey> {
        self.commits.subscribe()
    }

    async fn in_time<T, E: From<Unavailable>>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        ledger::within(self.bound, call).await
    }

    async fn sql<T>(&self, call: impl Future<Output = SqlResult<T>> + Send) -> Result<T, Unavailable> {
        self.in_time(async { call.await.map_err(unavailable) }).await
    }
}

/// The adapter for a URL, with pools that connect when they are first used.
fn lazy_backend(options: &StoreOptions, connections: u32) -> Result<Box<dyn Backend>, OpenError> {
    Ok(match schema::dialect(&options.url)? {
        schema::Dialect::Postgres => Box::new(postgres::Postgres::lazy(options, connections)?),
        schema::Dialect::Sqlite => Box::new(sqlite::Lite::lazy(options, connections)?),
    })
}

/// Opens the constant that the database keeps under its key; the first to come leaves it there.
async fn check_key(backend: &dyn Backend, kek: &SealKey, url: &str) -> Result<(), OpenError> {
    let place = Place { business_id: "", device_id: "", column: "cluster_control.key_check", row: "" };
    let stored = backend.key_check(&kek.seal(&place, b"roost")).await;
    let stored = stored.map_err(|error| schema::unreachable(url, error))?;
    kek.open(&place, &stored).map_err(|_| OpenError::WrongKey)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_read_share_the_kinds_between_them() {
        let statement = include_str!("store/plain.rs");
        for kind in LOADED_KINDS {
            assert!(!StateKind::ON_DEMAND.contains(&kind));
            assert!(statement.contains(&format!("'{}'", kind.as_str())), "{kind:?} is not loaded");
        }
        assert_eq!(LOADED_KINDS.len() + StateKind::ON_DEMAND.len(), 29, "as many as there are");
    }
}
