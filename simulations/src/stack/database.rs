//! The database as one node reaches it: behind a link that is slow, cut, or loses answers.
//!
//! What must hold: a statement that has left runs, whether or not somebody still waits for its answer, so
//! its outcome is unknown exactly when it would be.

mod devices;
mod directory;
mod imported;
mod ledger;
mod media;
mod polls;
mod protocol;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, timeout_at};

use crate::run::Database;

/// How long a call may take in all, as the adapters of real databases bound it.
const BOUND: Duration = Duration::from_secs(3);

/// Between two looks at a link that is cut or held.
const LOOK: Duration = Duration::from_millis(20);

/// How a link is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Way {
    /// It works.
    #[default]
    Open,
    /// Calls are refused at once.
    Refused,
    /// Nothing comes through, in either direction, until it is open again.
    Held,
    /// No statement comes through until it is open again; answers do.
    Deaf,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("the link to the database: {0}")]
struct Broken(&'static str);

/// One node's link. Cloning gives the same link.
#[derive(Clone)]
pub(super) struct Link {
    database: Database,
    state: Arc<Mutex<State>>,
    /// Commits that this node made.
    commits: broadcast::Sender<DeviceKey>,
}

struct State {
    way: Way,
    /// Shortest and longest time for one direction.
    latency: (Duration, Duration),
    /// Of this many parts of a thousand calls the answer is lost.
    lost: u32,
    /// Answers take so much longer.
    late: Duration,
    rng: StdRng,
}

impl Link {
    /// A link that works.
    pub(super) fn new(database: Database, latency: (Duration, Duration), seed: u64) -> Link {
        let state = State {
            way: Way::Open,
            latency,
            lost: 0,
            late: Duration::ZERO,
            rng: StdRng::seed_from_u64(seed),
        };
        Link { database, state: Arc::new(Mutex::new(state)), commits: broadcast::channel(4096).0 }
    }

    /// How the link is from now on.
    pub(super) fn set(&self, way: Way) {
        self.lock().way = way;
    }

    /// Loses the answers of this many of a thousand calls.
    pub(super) fn lose(&self, per_mille: u32) {
        self.lock().lost = per_mille;
    }

    /// Answers take so much longer from now on.
    pub(super) fn delay(&self, late: Duration) {
        self.lock().late = late;
    }

    /// Tells what was committed through this link.
    pub(super) fn commits(&self) -> broadcast::Receiver<DeviceKey> {
        self.commits.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(why: &'static str) -> Unavailable {
        Unavailable(Box::new(Broken(why)))
    }

    /// A statement gets there. Fails when the call is refused or has taken too long.
    async fn ask(&self, until: Instant) -> Result<(), Unavailable> {
        self.travel(until, Duration::ZERO, &[Way::Open]).await
    }

    /// Its answer gets back.
    async fn hear(&self, until: Instant) -> Result<(), Unavailable> {
        let late = self.lock().late;
        self.travel(until, late, &[Way::Open, Way::Deaf]).await
    }

    async fn travel(&self, until: Instant, late: Duration, ways: &[Way]) -> Result<(), Unavailable> {
        let pause = {
            let mut state = self.lock();
            let (short, long) = state.latency;
            short + (long - short).mul_f64(state.rng.random())
        };
        sleep(pause + late).await;
        loop {
            match self.lock().way {
                way if ways.contains(&way) => return Ok(()),
                Way::Refused => return Err(Self::refuse("refused")),
                _ if Instant::now() >= until => return Err(Self::refuse("silent")),
                _ => {}
            }
            sleep(LOOK).await;
        }
    }

    fn answer_is_lost(&self) -> bool {
        let mut state = self.lock();
        let lost = state.lost;
        lost > 0 && state.rng.random_range(0..1000) < lost
    }

    /// A question that changes nothing.
    async fn read<T, E: From<Unavailable>>(
        &self,
        question: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let until = Instant::now() + BOUND;
        self.ask(until).await?;
        let answer = question.await;
        self.hear(until).await?;
        if self.answer_is_lost() {
            return Err(Self::refuse("the answer was lost").into());
        }
        answer
    }

    /// A statement that may change something: it runs in a task of its own, because nobody can call it
    /// back.
    async fn write<T, E, F>(&self, statement: impl FnOnce(Link) -> F + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let until = Instant::now() + BOUND;
        let link = self.clone();
        let sent = tokio::spawn(async move {
            link.ask(until).await?;
            let answer = statement(link.clone()).await;
            link.hear(until).await?;
            if link.answer_is_lost() {
                return Err(Link::refuse("the answer was lost").into());
            }
            answer
        });
        match timeout_at(until, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Self::refuse("the connection is gone").into()),
            Err(_) => Err(Self::refuse("too late").into()),
        }
    }
}
