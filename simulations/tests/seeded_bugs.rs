//! The checkers' own test: deliberate defects are planted, and the simulation finds each within a bounded number of
//! seeds and names the invariant that it breaks. The seed that finds it is clean without it.
//!
//! The table says at which depth a defect shows: *machines* where the guard is in pure code or in a statement,
//! *stack* where only the production shells have it; and in which plans: those that seeds draw at random, or those
//! with an aim. `cargo test --test seeded_bugs -- --nocapture` prints what was found where.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::Instant;

use roost_placement::seeded::{Bug, plant};
use roost_simulations::history::Violation;
use roost_simulations::run::{Aim, Plan, Size};
use roost_simulations::{machines, stack};

/// How much of a node is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Machines,
    Stack,
}
use Depth::{Machines, Stack};

/// A defect, where it shows, in plans with which aim, and among which seeds.
struct Row(Bug, Depth, Option<Aim>, RangeInclusive<u64>);

const TABLE: &[Row] = &[
    Row(Bug::PlainFence, Machines, Some(Aim::StoppedClocks), 1..=30),
    Row(Bug::UnfencedStatus, Machines, Some(Aim::StoppedClocks), 1..=30),
    Row(Bug::AntiJoinClaim, Machines, None, 1..=5),
    Row(Bug::EpochStays, Machines, None, 1..=5),
    Row(Bug::PermitByEpochAlone, Machines, Some(Aim::NoPermits), 1..=30),
    Row(Bug::NoPermit, Machines, Some(Aim::NoPermits), 1..=30),
    Row(Bug::DeadlineFromAnswer, Machines, Some(Aim::LateAnswers), 1..=30),
    Row(Bug::NoLocalDeadline, Machines, Some(Aim::CutOff), 1..=30),
    Row(Bug::BlindRedial, Machines, Some(Aim::StoppedClocks), 1..=30),
    Row(Bug::AckBeforeCommit, Machines, None, 1..=5),
    Row(Bug::AckBeforeCommit, Stack, None, 1..=4),
    Row(Bug::WireBeforeCommit, Machines, None, 1..=5),
    Row(Bug::RatchetApart, Machines, Some(Aim::Moves), 1..=30),
    Row(Bug::DeadRenewed, Machines, Some(Aim::StoppedClocks), 1..=30),
    Row(Bug::JoinByDatabaseClock, Machines, Some(Aim::NoPermits), 1..=30),
    Row(Bug::IncarnationReused, Machines, Some(Aim::Restarts), 1..=30),
    Row(Bug::NoQuarantine, Machines, Some(Aim::Gaps), 1..=30),
    Row(Bug::EarlyBurial, Machines, Some(Aim::Gaps), 1..=30),
    Row(Bug::GiveBeforeFlush, Machines, Some(Aim::Moves), 1..=30),
    // In the first one a session is lost with its ratchet, and what the phone is asked because of that comes first.
    Row(Bug::EncryptedAgain, Machines, Some(Aim::Moves), 3..=30),
    Row(Bug::PrekeyNumberedAgain, Machines, Some(Aim::Moves), 1..=30),
    Row(Bug::SequenceFromCache, Machines, Some(Aim::Moves), 1..=30),
    Row(Bug::PositionFirst, Stack, Some(Aim::LostConsumers), 1..=30),
    Row(Bug::TieByInsertion, Machines, Some(Aim::Restarts), 1..=30),
    Row(Bug::DrainAccepts, Machines, Some(Aim::Drains), 1..=30),
    Row(Bug::CommittedTwice, Machines, None, 1..=60),
    Row(Bug::LeftRunning, Machines, Some(Aim::Moves), 1..=30),
];

impl Row {
    /// What is wrong with a seed.
    fn violation(&self, seed: u64) -> Option<Violation> {
        let Row(_, depth, aim, _) = self;
        let plan = aim.map_or_else(|| Plan::draw(seed, Size::DRAWN), |aim| Plan::aimed(seed, aim));
        let outcome = match depth {
            Machines => machines::run(&plan, plan.history(false)),
            Stack => stack::run(&plan, plan.history(false)).expect("the run can be carried out"),
        };
        outcome.violation
    }

    /// Plants the defect until a seed finds it. Fails with what is not as the table says.
    fn try_out(&self) -> Result<(), String> {
        let Row(bug, depth, aim, seeds) = self;
        let begin = Instant::now();
        let planted = plant(*bug);
        let found = seeds.clone().find_map(|seed| Some((seed, self.violation(seed)?)));
        drop(planted);
        let (took, invariant) = (begin.elapsed().as_secs_f64(), bug.invariant());
        let Some((seed, violation)) = found else {
            return Err(format!(
                "{bug:?} was not found in {seeds:?} at {depth:?} with {aim:?} ({took:.1} s)"
            ));
        };
        println!("{bug:?}: {} | {depth:?} {aim:?} | seed {seed} | {took:.1} s | {violation}", bug.what());
        if violation.invariant != invariant {
            return Err(format!("{bug:?} breaks {invariant}, and seed {seed} says {violation}"));
        }
        match self.violation(seed) {
            None => Ok(()),
            Some(violation) => Err(format!("without {bug:?} seed {seed} says {violation}")),
        }
    }
}

#[test]
fn every_defect_has_a_row() {
    for bug in Bug::ALL {
        assert!(TABLE.iter().any(|Row(planted, ..)| planted == bug), "{bug:?}");
    }
}

#[test]
fn every_planted_defect_is_found_and_named_within_its_seeds() {
    let (rows, wrong) = (Mutex::new(TABLE.iter()), Mutex::new(Vec::new()));
    let next = || rows.lock().expect("nobody fails while it is held").next();
    let work = || {
        while let Some(row) = next() {
            if let Err(words) = row.try_out() {
                println!("{words}");
                wrong.lock().expect("nobody fails while it is held").push(words);
            }
        }
    };
    // A defect is planted for a thread, and a run stays in its own.
    std::thread::scope(|threads| {
        threads.spawn(work);
        threads.spawn(work);
    });
    let wrong = wrong.into_inner().expect("no row has failed otherwise");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
