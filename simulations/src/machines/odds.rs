//! Faults that strike between two steps of a process, by chance: how likely each is in this run.
//!
//! What must hold: the odds depend on the seed alone; most runs leave most of them out, because faults that
//! always come together hide each other. When faults are over there are none.

use rand::RngExt as _;
use rand::rngs::StdRng;
use std::time::Duration;

/// Chances, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Odds {
    /// A process ends between two steps.
    crash: f64,
    /// Its machine stands still between two steps.
    freeze: f64,
    /// It does between the last look at a permit and the login.
    freeze_at_login: f64,
    /// A parent is left to certify the death.
    pub(super) certified: f64,
    /// The clock stands still too.
    pub(super) clock_stops: f64,
    /// The kernel of a crashed process is gone with it: nobody closes its sockets.
    pub(super) silent: f64,
    /// A silent database takes statements and only its answers are lost; or answers what it has heard.
    pub(super) one_way: f64,
}

/// What strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    Crash,
    Freeze(Duration),
}

impl Odds {
    /// Draws them.
    pub(super) fn draw(rng: &mut StdRng) -> Odds {
        let mut some = |share: f64, chance: f64| {
            let (chosen, strength) = (rng.random_bool(share), rng.random::<f64>());
            if chosen { chance * strength } else { 0.0 }
        };
        Odds {
            crash: some(0.3, 0.000_5),
            freeze: some(0.3, 0.000_5),
            freeze_at_login: some(0.4, 0.5),
            certified: some(1.0, 1.0),
            clock_stops: some(0.7, 1.0),
            silent: some(0.6, 1.0),
            one_way: some(0.6, 1.0),
        }
    }

    /// No step is struck any more.
    pub(super) fn end(&mut self) {
        (self.crash, self.freeze, self.freeze_at_login) = (0.0, 0.0, 0.0);
    }

    /// What strikes after this step.
    pub(super) fn strike(&self, rng: &mut StdRng, login: bool) -> Option<Strike> {
        let freeze = if login { self.freeze_at_login.max(self.freeze) } else { self.freeze };
        if self.crash == 0.0 && freeze == 0.0 {
            return None;
        }
        let dice: f64 = rng.random();
        if dice < self.crash {
            return Some(Strike::Crash);
        }
        if dice < self.crash + freeze {
            return Some(Strike::Freeze(span(rng)));
        }
        None
    }
}

/// Between 0.1 s and 12 s, shorter ones more often.
fn span(rng: &mut StdRng) -> Duration {
    Duration::from_secs_f64(0.1 * 120f64.powf(rng.random()))
}
