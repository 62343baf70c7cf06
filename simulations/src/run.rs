//! A simulated run, at whichever depth: what its seed means, its clocks, its database, its record, and what
//! it came to.

mod aim;
mod answer;
mod database;
mod plan;
mod record;
mod time;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use crate::history::{History, Violation};
use crate::seeds::Written;

pub use self::aim::Aim;
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
    /// The record itself.
    pub history: History,
}

impl Outcome {
    /// Says what it came to, and writes what is wanted of it.
    pub(crate) fn show(self, depth: &str, plan: &Plan, written: &Written) -> ExitCode {
        let html = written.html.as_ref().map(|file| (file, self.html(depth, plan)));
        let facts = written.facts.as_ref().map(|file| (file, self.history.lines()));
        for (file, text) in html.into_iter().chain(facts) {
            if let Err(error) = std::fs::write(file, text) {
                eprintln!("roost: {} cannot be written: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
        Answer::of(plan.seed, self).say(depth)
    }

    /// The run as an HTML page.
    fn html(&self, depth: &str, plan: &Plan) -> String {
        let seed = plan.seed;
        let verdict = match &self.violation {
            None => "Nothing was broken.".to_owned(),
            Some(violation) => format!("BROKEN: {violation}"),
        };
        let size = format!(
            "{} nodes, {} devices of {} tenants; leases of {:?}; {:.0} s in all, of which {:.0} s under faults; {} facts",
            plan.nodes,
            plan.all_devices(),
            plan.tenants,
            plan.timing.ttl,
            self.virtual_time.as_secs_f64(),
            plan.under_faults.as_secs_f64(),
            self.facts
        );
        let again =
            format!("Again: roost chaos sim --depth {depth} --seed {seed} (history {})", &self.hash[..16]);
        let title = format!("Seed {seed} at depth {depth}");
        self.history.timeline(&title, vec![verdict, size, again]).html()
    }

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
            history: std::mem::replace(history, History::new(Vec::new(), false)),
        })
    }
}
