//! SIGKILL: to workers, whose parents certify the death; to whole nodes, where only the lease tells; to all.

use std::time::Duration;

use rand::RngExt as _;

use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::scenario::{Needs, Play, Scenario};
use crate::chaos::verdict::Price;
use crate::trouble;
use crate::world::Failed;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(300);

/// Workers, one after the other.
pub const WORKERS: Scenario = Scenario {
    name: "worker-kills",
    about: "Kills the worker of one node after the other with SIGKILL; its parent certifies the death.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(workers(arena)),
};

/// Parents and workers.
pub const NODES: Scenario = Scenario {
    name: "node-kills",
    about: "Kills a whole node, parent and worker, so that only the lease tells; then starts it again.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(nodes(arena)),
};

/// Everybody.
pub const ALL_AT_ONCE: Scenario = Scenario {
    name: "all-killed",
    about: "Kills all nodes at the same moment and starts them again.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| -> Play<'_> { Box::pin(all_at_once(arena)) },
};

async fn workers(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let place = victim(arena).await?;
        let old = trouble::lives_of(&arena.world, place).await?;
        arena.strike(place, "SIGKILL to its worker");
        trouble::kill(&arena.world, place)?;
        arena.gone(place, &old).await?;
        arena.tended(place, &old, "the kill of a worker").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}

async fn nodes(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let place = victim(arena).await?;
        let old = trouble::lives_of(&arena.world, place).await?;
        arena.strike(place, "SIGKILL to its parent and worker");
        trouble::kill_whole(&arena.world, place)?;
        arena.world.nodes[place].ended(PATIENCE).await?;
        arena.gone(place, &old).await?;
        arena.connected("the kill of a node").await?;
        arena.world.nodes[place].spawn()?;
        arena.settled("its return").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}

async fn all_at_once(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let fault = arena.diary.fault(None, "SIGKILL to all nodes");
        for place in 0..arena.world.nodes.len() {
            trouble::kill_whole(&arena.world, place)?;
        }
        for node in &mut arena.world.nodes {
            node.ended(PATIENCE).await?;
            node.spawn()?;
        }
        arena.diary.mended(fault);
        arena.settled("the kill of all nodes").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}

/// Mostly the busiest node, sometimes any.
async fn victim(arena: &mut Arena) -> Result<usize, Failed> {
    if arena.dice.random_bool(0.3) {
        return Ok(arena.dice.random_range(0..arena.world.nodes.len()));
    }
    arena.world.busiest(None).await
}
