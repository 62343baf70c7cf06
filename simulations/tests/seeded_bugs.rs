//! The checkers' own test: deliberate defects are planted, and the simulation finds each within a bounded number of
//! seeds and names the invariant that it breaks. That the same seeds are clean without them is tested beside.
//!
//! The table says at which depth a defect shows: *machines* where the guard is in pure code or in a statement,
//! *stack* where only the production shells have it. `cargo test --test seeded_bugs -- --nocapture` prints what
//! was found where.

use std::ops::RangeInclusive;
use std::time::Instant;

use roost_placement::seeded::{Bug, plant};
use roost_simulations::history::Violation;
use roost_simulations::run::{Plan, Size};
use roost_simulations::{machines, stack};

/// How much of a node is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Machines,
    Stack,
}
use Depth::{Machines, Stack};

/// Defects, where they show, and among which seeds.
const TABLE: &[(Bug, Depth, RangeInclusive<u64>)] = &[
    (Bug::PlainFence, Machines, 1..=60),
    (Bug::AntiJoinClaim, Machines, 1..=5),
    (Bug::EpochStays, Machines, 1..=5),
    (Bug::AckBeforeCommit, Machines, 1..=5),
    (Bug::AckBeforeCommit, Stack, 1..=4),
    (Bug::WireBeforeCommit, Machines, 1..=5),
    (Bug::RatchetApart, Machines, 1..=20),
    (Bug::DeadRenewed, Machines, 1..=30),
    (Bug::IncarnationReused, Machines, 1..=20),
    (Bug::CommittedTwice, Machines, 1..=20),
    (Bug::LeftRunning, Machines, 1..=20),
];

/// What is wrong with a seed at a depth.
fn violation(depth: Depth, seed: u64) -> Option<Violation> {
    let plan = Plan::draw(seed, Size::DRAWN);
    let outcome = match depth {
        Machines => machines::run(&plan, plan.history(false)),
        Stack => stack::run(&plan, plan.history(false)).expect("the run can be carried out"),
    };
    outcome.violation
}

#[test]
fn every_planted_defect_is_found_and_named_within_its_seeds() {
    let mut wrong = Vec::new();
    for (bug, depth, seeds) in TABLE {
        let begin = Instant::now();
        let planted = plant(*bug);
        let found = seeds.clone().find_map(|seed| Some((seed, violation(*depth, seed)?)));
        drop(planted);
        let (took, invariant) = (begin.elapsed().as_secs_f64(), bug.invariant());
        match found {
            Some((seed, violation)) => {
                let tried = seed - seeds.start() + 1;
                println!(
                    "{bug:?}: {} | {invariant} | {depth:?} | seed {seed} | {tried} tried | {took:.1} s | {violation}",
                    bug.what()
                );
                if violation.invariant != invariant {
                    wrong.push(format!("{bug:?} breaks {invariant}, and seed {seed} says {violation}"));
                }
            }
            None => {
                println!("{bug:?}: NOT FOUND | {took:.1} s");
                wrong.push(format!("{bug:?} was not found in {seeds:?} at depth {depth:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
