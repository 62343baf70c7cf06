//! What happened in one run, in one order: the facts that checkers judge and stories are told from.
//!
//! What must hold: facts are recorded in the order in which they happened, each once, by the world and never
//! by the code under test; the running hash covers every fact with its time, so two runs with the same hash
//! were the same run; a checker sees each fact as it happens, and the first violation is kept. It keeps no
//! clock of its own: time is what the world passes in.

mod digest;
mod fact;
mod picture;
mod words;

use std::fmt;

use self::digest::Running;
use crate::check::Check;

pub use self::digest::short_digest;
pub(crate) use self::fact::is_ours;
pub use self::fact::{Commit, Fact, How, Logged, What, WireKind};

/// An invariant was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name, as in `design.md` section 6.
    pub invariant: &'static str,
    /// When, in microseconds of the run.
    pub at: u64,
    /// What was seen, in one line.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.invariant, self.at as f64 / 1e6, self.seen)
    }
}

/// The record of one run.
pub struct History {
    facts: Vec<Fact>,
    recorded: u64,
    keep: bool,
    running: Running,
    checks: Vec<Box<dyn Check>>,
    violation: Option<Violation>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History of {} facts", self.recorded)
    }
}

impl History {
    /// An empty record, judged by these. `keep` false keeps no fact after it was judged: for speed, when
    /// only the verdict and the hash count.
    pub fn new(checks: Vec<Box<dyn Check>>, keep: bool) -> History {
        let running = Running::default();
        History { facts: Vec::new(), recorded: 0, keep, running, checks, violation: None }
    }

    /// Something happened at `at` microseconds of the run.
    pub fn record(&mut self, at: u64, what: What) {
        let fact = Fact { at, what };
        self.running.add(&fact);
        self.recorded += 1;
        for check in &mut self.checks {
            let Err(seen) = check.see(&fact) else { continue };
            let invariant = check.name();
            self.violation.get_or_insert(Violation { invariant, at, seen });
        }
        if self.keep {
            self.facts.push(fact);
        }
    }

    /// The run is over: whatever can only be judged now is judged.
    pub fn end(&mut self, at: u64) {
        for check in &mut self.checks {
            let Err(seen) = check.end(at) else { continue };
            let invariant = check.name();
            self.violation.get_or_insert(Violation { invariant, at, seen });
        }
    }

    /// The first thing that was wrong.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The facts, oldest first; empty when they are not kept.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The facts that were kept, each as a line of text.
    pub fn lines(&self) -> String {
        self.facts.iter().map(|fact| format!("{fact}\n")).collect()
    }

    /// How many facts were recorded.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// SHA-256 over everything recorded so far, hexadecimal.
    pub fn hash(&self) -> String {
        self.running.hex()
    }

    /// The last facts before the violation that concern what it names, for a person: at most `lines`.
    pub fn story(&self, lines: usize) -> Vec<String> {
        let Some(violation) = &self.violation else { return Vec::new() };
        let until = self.facts.partition_point(|fact| fact.at <= violation.at);
        let tells =
            |fact: &&Fact| fact.is_weighty() && fact.subjects().any(|name| violation.seen.contains(&name));
        let told = self.facts[..until].iter().rev().filter(tells).take(lines);
        let mut story: Vec<String> = told.map(ToString::to_string).collect();
        story.reverse();
        story
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    impl Check for Never {
        fn name(&self) -> &'static str {
            "never"
        }

        fn see(&mut self, fact: &Fact) -> Result<(), String> {
            if let What::Healed = fact.what { Err("it healed".to_owned()) } else { Ok(()) }
        }
    }

    fn run(times: &[u64]) -> History {
        let mut history = History::new(vec![Box::new(Never)], true);
        for at in times {
            history.record(*at, What::Fault("cut".to_owned()));
        }
        history
    }

    #[test]
    fn the_same_facts_have_the_same_hash_and_others_another() {
        assert_eq!(run(&[1, 2]).hash(), run(&[1, 2]).hash());
        assert_ne!(run(&[1, 2]).hash(), run(&[1, 3]).hash());
        assert_ne!(run(&[1]).hash(), run(&[1, 2]).hash());
    }

    #[test]
    fn the_first_violation_is_kept_with_its_time() {
        let mut history = run(&[1]);
        history.record(7, What::Healed);
        history.record(9, What::Healed);
        let violation = history.violation().expect("the checker refuses it");
        assert_eq!((violation.invariant, violation.at), ("never", 7));
    }
}
