//! Many seeds, one process for each: `roost chaos sim --depth stack`.
//!
//! What must hold: a run shares its process with no other run, because what a runtime does may depend on
//! what the process did before; a seed that fails is reported with its story and the line that replays it,
//! whatever becomes of the others.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::task::JoinSet;

use super::{Plan, Size, run};
use crate::run::{Answer, SAY, counts, say};
use crate::seeds::Written;

/// How long one seed may take before its process is ended and counted as failed: real time, of which a busy machine needs
/// many times as much as the half minute that the longest seeds compute.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Variable by which a process knows that it is to run one seed and to answer in one line of JSON.
const CHILD: &str = "ROOST_SIM_CHILD";

/// As the command line has it.
const DEPTH: &str = "stack";

/// Runs one seed in this process.
pub fn one(seed: u64, size: Size) -> Answer {
    let plan = Plan::draw(seed, size);
    match run(&plan, plan.history(true)) {
        Ok(outcome) => Answer::of(seed, outcome),
        Err(error) => Answer::failed(seed, format!("the run failed: {error}"), Vec::new()),
    }
}

/// Runs the seeds `from..to` in processes of this program, `jobs` at a time, until all have run, `limit` is
/// over or one has failed. Exit code 1 when one has.
pub async fn many(from: u64, to: u64, jobs: usize, limit: Option<Duration>) -> ExitCode {
    let begin = Instant::now();
    let (mut next, mut done, mut running) = (from, 0u64, JoinSet::new());
    let (mut seen, mut said) = (BTreeMap::new(), begin);
    let mut failed: Option<Answer> = None;
    loop {
        let on = failed.is_none() && limit.is_none_or(|limit| begin.elapsed() < limit);
        while on && next < to && running.len() < jobs {
            running.spawn(in_a_process(next));
            next += 1;
        }
        let Some(ended) = running.join_next().await else { break };
        let verdict = match ended {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => {
                eprintln!("a seed could not be run: {error}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("a seed could not be run: {error}");
                return ExitCode::FAILURE;
            }
        };
        done += 1;
        verdict.add_to(&mut seen);
        if verdict.violation.is_some() && failed.as_ref().is_none_or(|first| verdict.seed < first.seed) {
            failed = Some(verdict);
        }
        if said.elapsed() > SAY {
            said = Instant::now();
            say(done, to - from, begin.elapsed());
        }
    }
    say(done, to - from, begin.elapsed());
    println!("seen: {}", counts(&seen));
    match failed {
        None => ExitCode::SUCCESS,
        Some(verdict) => {
            verdict.tell(DEPTH);
            ExitCode::FAILURE
        }
    }
}

/// Runs one seed in this process and says what it came to, to a person or to the process that asked; writes
/// what is wanted of it.
pub(crate) fn replay(seed: u64, written: &Written) -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        let line = serde_json::to_string(&one(seed, Size::DRAWN)).expect("a verdict is plain data");
        // Whoever asked may be gone.
        let _ = writeln!(std::io::stdout(), "{line}");
        return ExitCode::SUCCESS;
    }
    let plan = Plan::draw(seed, Size::DRAWN);
    match run(&plan, plan.history(true)) {
        Ok(outcome) => outcome.show(DEPTH, &plan, written),
        Err(error) => Answer::failed(seed, format!("the run failed: {error}"), Vec::new()).say(DEPTH),
    }
}

/// A process of this program for one seed.
async fn in_a_process(seed: u64) -> std::io::Result<Answer> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["chaos", "sim", "--depth", DEPTH, "--seed", &seed.to_string()]);
    command.env(CHILD, "1").stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |why: String, log: &str| {
        Answer::failed(seed, why, log.lines().rev().take(30).map(str::to_owned).collect())
    };
    let Ok(output) = tokio::time::timeout(PATIENCE, command.output()).await else {
        return Ok(failed(format!("its process did not end within {PATIENCE:?}"), ""));
    };
    let output = output?;
    let verdict = serde_json::from_slice(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    Ok(verdict.unwrap_or_else(|_| failed(format!("its process ended with {}", output.status), &log)))
}
