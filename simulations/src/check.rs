//! Checkers: one small file per invariant of `design.md` section 6, each a judge of a history.
//!
//! What must hold: a checker knows only facts, so the same checkers judge every kind of run; it says what it
//! saw in one line that names the devices and lives involved; each can fail, which a test shows. A depth that
//! cannot observe a kind of fact leaves it out: a checker accuses only by facts, never by their absence,
//! except of those that its header says it needs as evidence of innocence.

mod ack_after_commit;
mod converge;
mod deliver;
mod epochs_grow;
mod fenced;
mod fresh_state;
mod gapless;
mod guarded_login;
mod isolated;
mod members;
mod no_early_death;
mod no_key_reuse;
mod one_owner;
mod persist_first;
mod quarantine;
#[cfg(test)]
mod scene;
mod send_once;
mod stopped;
mod undone;

use std::time::Duration;

use roost_placement::ledger::Timing;
use roost_placement::machine::Pace;

use crate::history::Fact;

use self::undone::Undone;

/// One invariant.
pub trait Check: Send {
    /// As `design.md` section 6 names it.
    fn name(&self) -> &'static str;

    /// Takes one fact in.
    ///
    /// # Errors
    /// The invariant does not hold: what was seen, in one line.
    fn see(&mut self, fact: &Fact) -> Result<(), String>;

    /// The database has lost this fact, which was seen. Called for those that [`What::is_stored`], oldest first.
    fn forget(&mut self, fact: &Fact) {
        let _ = fact;
    }

    /// The run is over at this microsecond.
    ///
    /// # Errors
    /// The invariant does not hold: what was missing, in one line.
    fn end(&mut self, at: u64) -> Result<(), String> {
        let _ = at;
        Ok(())
    }
}

/// What checkers have to know of the run that they judge: its settings, and the bounds that follow.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The cluster's lease times.
    pub timing: Timing,
    /// Logins per second and node.
    pub logins_per_second: f64,
    /// Logins at once.
    pub login_burst: u32,
    /// How long a consumer may wait for an event, and a device that moves in quiet times for its connection.
    pub prompt: Duration,
    /// How long relief of members above their bound may take, once faults are over; `None` when it is slower
    /// than the run.
    pub relief: Option<Duration>,
    /// A device that was given is not given on before this, in quiet times.
    pub cooldown: Duration,
}

impl Rules {
    /// For a cluster with these lease times and logins per second and node, otherwise with the defaults of a
    /// node.
    pub fn new(timing: Timing, logins_per_second: f64) -> Rules {
        Rules {
            timing,
            logins_per_second,
            login_burst: 10,
            prompt: Duration::from_secs(5),
            relief: None,
            cooldown: Pace::default().cooldown,
        }
    }

    /// Once faults are over, members come and go for this long at most: a process begins again and waits for
    /// the end of its own old lease, and others may have to end a quarantine.
    pub fn settled(&self) -> Duration {
        let timing = &self.timing;
        2 * (timing.ttl + timing.grace + timing.quarantine()) + Duration::from_secs(10)
    }
}

/// All checkers, for one run. When one fact breaks several invariants, the first of these names it.
pub fn all(rules: Rules) -> Vec<Box<dyn Check>> {
    vec![
        Box::<epochs_grow::EpochsGrow>::default(),
        Box::new(Undone::new(no_early_death::NoEarlyDeath::new(rules.timing))),
        Box::new(Undone::new(quarantine::Quarantine::new(rules.timing))),
        Box::new(Undone::new(fenced::Fenced::default())),
        Box::new(Undone::new(guarded_login::GuardedLogin::new(rules))),
        Box::new(Undone::new(stopped::Stopped::default())),
        Box::new(one_owner::OneOwner::new(rules.timing)),
        Box::<fresh_state::FreshState>::default(),
        Box::<persist_first::PersistFirst>::default(),
        Box::<no_key_reuse::NoKeyReuse>::default(),
        Box::new(Undone::new(ack_after_commit::AckAfterCommit::default())),
        Box::new(Undone::new(gapless::Gapless::default())),
        Box::new(Undone::new(send_once::SendOnce::default())),
        Box::new(Undone::new(deliver::Deliver::new(rules.prompt))),
        Box::new(Undone::new(isolated::Isolated::default())),
        Box::new(Undone::new(converge::Converge::new(rules))),
    ]
}

/// Refuses unless it holds.
fn hold(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}

/// Milliseconds, as the database counts.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Microseconds, as a history counts.
fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}
