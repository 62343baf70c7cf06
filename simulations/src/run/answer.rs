//! What one seed came to, and how it is told to people.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Between two lines of progress.
pub(crate) const SAY: Duration = Duration::from_secs(5);

/// What one seed came to, in plain data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Which seed.
    pub seed: u64,
    /// The hash of its history.
    pub hash: String,
    /// Facts in it.
    pub facts: u64,
    /// What was wrong, when something was.
    pub violation: Option<String>,
    /// The last steps that matter to it.
    pub story: Vec<String>,
    /// How often each kind of rare thing happened.
    pub seen: BTreeMap<String, u64>,
}

impl Answer {
    pub(crate) fn of(seed: u64, outcome: Outcome) -> Answer {
        let Outcome { hash, facts, violation, story, seen, .. } = outcome;
        let violation = violation.map(|violation| violation.to_string());
        Answer { seed, hash, facts, violation, story, seen }
    }

    /// A run that came to nothing.
    pub(crate) fn failed(seed: u64, why: String, story: Vec<String>) -> Answer {
        let (hash, seen) = (String::new(), BTreeMap::new());
        Answer { seed, hash, facts: 0, violation: Some(why), story, seen }
    }

    /// Adds what was seen to what others have seen.
    pub(crate) fn add_to(&self, seen: &mut BTreeMap<String, u64>) {
        for (what, count) in &self.seen {
            *seen.entry(what.clone()).or_insert(0) += count;
        }
    }

    /// Says what it came to. Exit code 1 when an invariant was broken.
    pub(crate) fn say(&self, depth: &str) -> ExitCode {
        println!("seed {}: {} facts, hash {}", self.seed, self.facts, self.hash);
        println!("seen: {}", counts(&self.seen));
        if self.violation.is_none() {
            return ExitCode::SUCCESS;
        }
        self.tell(depth);
        ExitCode::FAILURE
    }

    /// Tells what went wrong, and how to see it again.
    pub(crate) fn tell(&self, depth: &str) {
        let seed = self.seed;
        println!("seed {seed} FAILED: {}", self.violation.as_deref().unwrap_or_default());
        for line in &self.story {
            println!("  {line}");
        }
        println!("replay: roost chaos sim --depth {depth} --seed {seed}");
    }
}

/// One line of progress.
pub(crate) fn say(done: u64, of: u64, took: Duration) {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    println!("{done} of {of} seeds in {:.0} s, {rate:.2} seeds per second", took.as_secs_f64());
}

/// What was seen how often, in one line.
pub(crate) fn counts(seen: &BTreeMap<String, u64>) -> String {
    let words = seen.iter().map(|(what, count)| format!("{what} {count}"));
    words.collect::<Vec<_>>().join(", ")
}
