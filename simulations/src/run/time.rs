//! Time of a run: one true clock, and the clocks of machines that may be wrong about it.
//!
//! What must hold: the true clock never falls, whichever host reads it; a machine's clock shows only what
//! its own faults make of true time, so a run of the same seed reads the same times.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roost_node::cluster::BootClock;
use roost_node::outside::WallClock;
use roost_placement::lease::BootTime;
use roost_proto::id::UnixMillis;

use crate::model::DatabaseClock;

/// When every run begins, in Unix milliseconds.
pub(crate) const EPOCH: i64 = 1_750_000_000_000;

/// True time, in microseconds since the run began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Time {
    reached: Arc<AtomicU64>,
    /// There are hosts, and each of them may be further than the loop that steps them.
    hosts: bool,
}

impl Time {
    /// Time of a run with hosts of their own.
    pub(crate) fn of_hosts() -> Time {
        Time { hosts: true, ..Time::default() }
    }

    /// Now, on the host that asks; hosts run one after the other within a tick, so it is kept from falling.
    pub(crate) fn now(&self) -> u64 {
        if !self.hosts {
            return self.reached.load(Ordering::Relaxed);
        }
        let host = turmoil::sim_elapsed().map_or(0, micros);
        self.reached.fetch_max(host, Ordering::Relaxed).max(host)
    }

    /// What the loop that steps everything knows.
    pub(crate) fn reached(&self, elapsed: Duration) {
        self.reached.fetch_max(micros(elapsed), Ordering::Relaxed);
    }

    /// A wall clock that is ahead by so much, or behind.
    pub(crate) fn wall(&self, skew: i64) -> WallClock {
        let time = self.clone();
        Arc::new(move || UnixMillis(EPOCH + millis(time.now()) + skew))
    }

    /// The clock of a database: `steps` is added to it and may change during the run.
    pub(crate) fn database(&self, steps: Arc<AtomicI64>) -> DatabaseClock {
        let time = self.clone();
        Arc::new(move || UnixMillis(EPOCH + millis(time.now()) + steps.load(Ordering::Relaxed)))
    }
}

/// The boot clock of one machine: it runs a little too fast or too slow, and stands still while the whole
/// machine does.
#[derive(Debug, Clone)]
pub(crate) struct Boot {
    time: Time,
    base: u64,
    /// Parts per million.
    drift: i64,
    pauses: Arc<Mutex<Pauses>>,
}

#[derive(Debug, Default)]
struct Pauses {
    since: Option<u64>,
    missed: u64,
}

impl Boot {
    /// It began `base` seconds before the run and drifts by so many parts per million.
    pub(crate) fn new(time: Time, base: u64, drift: i64) -> Boot {
        Boot { time, base, drift, pauses: Arc::default() }
    }

    /// The machine stands still from now on.
    pub(crate) fn pause(&self) {
        let now = self.time.now();
        self.lock().since.get_or_insert(now);
    }

    /// The machine runs again and knows nothing of the time between.
    pub(crate) fn go_on(&self) {
        let now = self.time.now();
        let mut pauses = self.lock();
        if let Some(since) = pauses.since.take() {
            pauses.missed += now - since;
        }
    }

    /// It, as nodes read it.
    pub(crate) fn clock(&self) -> BootClock {
        let boot = self.clone();
        Arc::new(move || boot.read())
    }

    fn read(&self) -> BootTime {
        let now = self.time.now();
        let pauses = self.lock();
        let seen = pauses.since.unwrap_or(now) - pauses.missed;
        let drifted = i128::from(seen) * i128::from(1_000_000 + self.drift) / 1000;
        BootTime(self.base * 1_000_000_000 + u64::try_from(drifted).unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> i64 {
    i64::try_from(micros / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stood_still_has_missed_the_time() {
        let time = Time::default();
        let boot = Boot::new(time.clone(), 10, 0);
        time.reached(Duration::from_secs(1));
        boot.pause();
        time.reached(Duration::from_secs(4));
        assert_eq!(boot.read(), BootTime(11_000_000_000));
        boot.go_on();
        time.reached(Duration::from_secs(5));
        assert_eq!(boot.read(), BootTime(12_000_000_000));
    }
}
