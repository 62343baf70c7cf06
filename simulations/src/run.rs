//! A simulated run, at whichever depth: what its seed means, its clocks, its database, its record, and what
//! it came to.

mod answer;
mod database;
mod plan;
mod record;
mod time;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Violation;

pub use self::answer::Answer;
pub(crate) use self::answer::{SAY, counts, say};
pub(crate) use self::database::Database;
pub use self::plan::{Plan, Size, Trouble};
pub(crate) use self::plan::{limits, name, tenant_id};
pub(crate) use self::record::Record;
pub(crate) use self::time::{Boot, EPOCH, Time};

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The hash of its history.
    pub hash: String,
    /// Facts in it.
    pub facts: u64,
    /// Virtual time that it took.
    pub virtual_time: Duration,
    /// The first invariant that was broken.
    pub violation: Option<Violation>,
    /// The last steps that matter to it.
    pub story: Vec<String>,
    /// How often each kind of rare thing happened.
    pub seen: BTreeMap<String, u64>,
}

impl Outcome {
    /// What a record has come to after this much virtual time.
    pub(crate) fn of(record: &Record, virtual_time: Duration) -> Outcome {
        let seen = record.rare();
        record.with(|history| Outcome {
            hash: history.hash(),
            facts: history.recorded(),
            virtual_time,
            violation: history.violation().cloned(),
            story: history.story(30),
            seen,
        })
    }
}
