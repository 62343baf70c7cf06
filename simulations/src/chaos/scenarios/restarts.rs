//! A rolling restart: each node is told to stop, gives everything away, and comes back.

use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::Failed;

/// Between two nodes.
const PAUSE: Duration = Duration::from_millis(500);

/// All nodes in turn.
pub const ROLLING: Scenario = Scenario {
    name: "rolling-restart",
    about: "Restarts all nodes in order, one after the other, as an upgrade does.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(rolling(arena)),
};

async fn rolling(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        for place in 0..arena.world.nodes.len() {
            let fault = arena.strike(place, "SIGTERM: it drains and leaves");
            arena.world.nodes[place].signal_parent(Signal::TERM)?;
            let id = arena.id(place);
            match arena.world.nodes[place].ended(PATIENCE).await? {
                Some(status) if status.success() => {}
                Some(status) => return Err(format!("{id} ended its drain with {status}").into()),
                None => return Err(format!("{id} did not end its drain").into()),
            }
            arena.world.nodes[place].spawn()?;
            arena.diary.mended(fault);
            arena.settled("the restart of a node").await?;
            arena.calm(PAUSE).await;
        }
    }
    Ok(())
}
