//! Many seeds, in threads of this process: `roost chaos sim`.
//!
//! What must hold: a run is in one thread from its beginning to its end; of the seeds that fail, the first is
//! told, whichever thread was quicker; a panic of the code under test is a failed seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::run;
use crate::run::{Answer, Outcome, Plan, SAY, Size, counts, say};
use crate::seeds::Written;

/// As the command line has it.
const DEPTH: &str = "machines";

/// Runs one seed in this thread. Its process is both ends of every conversation. `keep` keeps what a story is told from.
pub fn one(seed: u64, size: Size, keep: bool) -> Answer {
    roost_proto::signal::remember_agreements();
    attempt(&Plan::draw(seed, size), keep).map_or_else(|failed| failed, |outcome| Answer::of(seed, outcome))
}

fn attempt(plan: &Plan, keep: bool) -> Result<Outcome, Answer> {
    catch_unwind(AssertUnwindSafe(|| run(plan, plan.history(keep)))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        Answer::failed(plan.seed, format!("a panic: {text}"), Vec::new())
    })
}

/// Runs one seed, says what it came to, and writes what is wanted of it.
pub(crate) fn replay(seed: u64, written: &Written) -> ExitCode {
    let plan = Plan::draw(seed, Size::DRAWN);
    match attempt(&plan, true) {
        Ok(outcome) => outcome.show(DEPTH, &plan, written),
        Err(failed) => failed.say(DEPTH),
    }
}

/// Runs the seeds `from..to` in `jobs` threads until all have run, `limit` is over or one has failed. Exit code 1
/// when one has.
pub(crate) fn many(from: u64, to: u64, jobs: usize, limit: Option<Duration>) -> ExitCode {
    let begin = Instant::now();
    let (next, stop) = (AtomicU64::new(from), AtomicU64::new(to));
    let (mut done, mut seen, mut said) = (0, BTreeMap::new(), begin);
    let mut failed: Option<u64> = None;
    std::thread::scope(|threads| {
        let (answers_in, answers) = mpsc::sync_channel::<Answer>(jobs);
        for _ in 0..jobs {
            let (answers, next, stop) = (answers_in.clone(), &next, &stop);
            threads.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = limit.is_some_and(|limit| begin.elapsed() >= limit);
                    if seed >= stop.load(Ordering::Relaxed)
                        || over
                        || answers.send(one(seed, Size::DRAWN, false)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(answers_in);
        for answer in answers {
            done += 1;
            answer.add_to(&mut seen);
            if answer.violation.is_some() && failed.is_none_or(|first| answer.seed < first) {
                failed = Some(answer.seed);
                // Those before it may fail too, and then they are the first.
                stop.fetch_min(answer.seed, Ordering::Relaxed);
            }
            if said.elapsed() > SAY {
                said = Instant::now();
                say(done, to - from, begin.elapsed());
            }
        }
    });
    say(done, to - from, begin.elapsed());
    println!("seen: {}", counts(&seen));
    match failed {
        None => ExitCode::SUCCESS,
        Some(seed) => {
            one(seed, Size::DRAWN, true).tell(DEPTH);
            ExitCode::FAILURE
        }
    }
}
