//! The store as a model: the three ports in memory, in ordered maps, on a clock that is passed in.
//!
//! What must hold: it passes the conformance suite of the real stores, so a simulation that runs on it
//! runs on what they promise; every call is one atomic step; faults come only when they are asked for.
//! It keeps nothing sealed and nothing on disk.

mod devices;
mod directory;
mod imported;
mod ledger;
mod looks;
mod media;
mod polls;
mod protocol;
mod tables;
mod timeline;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roost_placement::ledger::Unavailable;
use roost_proto::id::{DeviceKey, UnixMillis};
use tokio::sync::broadcast;

use self::tables::Tables;
use self::timeline::Unsettled;

pub use self::imported::ClaimGate;
pub use self::timeline::Checkpoint;

/// The clock of the modelled database, in Unix milliseconds.
pub type DatabaseClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The clock of this machine, for tests that run in real time.
pub fn system_clock() -> DatabaseClock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// A clock that moves only when it is told to, forward or back. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Stands at this moment.
    pub fn at(now: UnixMillis) -> ManualClock {
        ManualClock(Arc::new(AtomicI64::new(now.0)))
    }

    /// Moves it on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets it, also back.
    pub fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// It, as the clock of a model.
    pub fn clock(&self) -> DatabaseClock {
        let moment = self.0.clone();
        Arc::new(move || UnixMillis(moment.load(Ordering::SeqCst)))
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and the caller hears "unavailable".
    Refused,
    /// It happens, and the caller hears "unavailable": the outcome is unknown to it.
    AnswerLost,
}

/// The error of an injected fault.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected: {0:?}")]
pub struct Injected(Fault);

/// The database. Every process of a simulation holds the same `Arc`.
pub struct Model {
    inner: Mutex<Inner>,
    clock: DatabaseClock,
    commits: broadcast::Sender<DeviceKey>,
    claims: ClaimGate,
}

struct Inner {
    tables: Tables,
    faults: VecDeque<Option<Fault>>,
    down: bool,
    /// The time-line that the server is on.
    time_line: u64,
}

impl Model {
    /// An empty database on this clock.
    pub fn new(clock: DatabaseClock) -> Arc<Model> {
        let inner = Inner { tables: Tables::default(), faults: VecDeque::new(), down: false, time_line: 0 };
        Arc::new(Model {
            inner: Mutex::new(inner),
            clock,
            commits: broadcast::channel(4096).0,
            claims: ClaimGate::default(),
        })
    }

    /// The next calls meet these fates, one each; `None` is a call that goes well.
    pub fn fates(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().faults.extend(fates);
    }

    /// Refuses every call until it is up again.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Holds back all burials and claims until then, as an operator may.
    pub fn block_take_overs(&self, until: UnixMillis) {
        self.lock().tables.takeover_blocked_until = until.0;
    }

    /// Tells of each device that something was committed for.
    pub fn commits(&self) -> broadcast::Receiver<DeviceKey> {
        self.commits.subscribe()
    }

    /// Where claims of imports can be held up.
    pub fn claims(&self) -> &ClaimGate {
        &self.claims
    }

    /// One atomic step at one moment of the clock.
    fn step<T>(&self, act: impl FnOnce(&mut Tables, i64) -> T) -> Result<T, Unavailable> {
        let mut inner = self.lock();
        let now = (self.clock)().0;
        let fate = if inner.down { Some(Fault::Refused) } else { inner.faults.pop_front().flatten() };
        let failed = |fault| Unavailable(Box::new(Injected(fault)));
        if fate != Some(Fault::Refused) && inner.tables.time_line != inner.time_line {
            return Err(Unavailable(Box::new(Unsettled)));
        }
        match fate {
            None => Ok(act(&mut inner.tables, now)),
            Some(Fault::AnswerLost) => {
                act(&mut inner.tables, now);
                Err(failed(Fault::AnswerLost))
            }
            Some(Fault::Refused) => Err(failed(Fault::Refused)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
