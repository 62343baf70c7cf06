//! The judge at stack depth has to find deliberate defects: each is planted, and an early seed fails under
//! the name of the invariant that it breaks.

use std::ops::RangeInclusive;

use roost_placement::seeded::{Bug, plant};
use roost_simulations::history::History;
use roost_simulations::stack::{Plan, Size, Verdict, run};

/// What the first of these seeds that fails has to say.
fn found(bug: Bug, mut seeds: RangeInclusive<u64>) -> Option<String> {
    let _planted = plant(bug);
    seeds.find_map(|seed| {
        let history = History::new(vec![Box::<Verdict>::default()], false);
        let outcome = run(&Plan::draw(seed, Size::DRAWN), history).expect("the run can be carried out");
        Some(outcome.violation?.seen)
    })
}

#[test]
fn planted_defects_are_found_and_named() {
    for (bug, seeds) in
        [(Bug::AckBeforeCommit, 1..=4), (Bug::EncryptedAgain, 2..=8), (Bug::CommittedTwice, 10..=20)]
    {
        let seen = found(bug, seeds).unwrap_or_else(|| panic!("{bug:?} was not found"));
        assert!(seen.starts_with(bug.invariant()), "{bug:?}: {seen}");
    }
}
