//! SIGSTOP for longer than the lease, then SIGCONT: a sleeper must not act when it wakes.

use std::time::Duration;

use rand::RngExt as _;

use crate::chaos::arena::Arena;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::trouble;
use crate::world::Failed;

/// Shorter and longer than a lease with its grace.
const SPANS: [Duration; 3] =
    [Duration::from_millis(1_000), Duration::from_millis(2_300), Duration::from_secs(5)];

/// Workers, one after the other.
pub const FREEZES: Scenario = Scenario {
    name: "freezes",
    about: "Stops a worker with SIGSTOP, for less and for more than its lease, and lets it go on with SIGCONT.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(freezes(arena)),
};

async fn freezes(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let place = arena.world.busiest(None).await?;
        let span = SPANS[arena.dice.random_range(0..SPANS.len())];
        let fault = arena.strike(place, &format!("SIGSTOP for {span:?}"));
        trouble::freeze(&arena.world, place).await?;
        arena.calm(span).await;
        trouble::wake(&arena.world, place)?;
        arena.diary.mended(fault);
        arena.settled("a freeze").await?;
        arena.calm(Duration::from_millis(500)).await;
    }
    Ok(())
}
