//! PgBouncer in transaction mode between the nodes and the database: no session state may matter.

use std::time::Duration;

use crate::chaos::arena::Arena;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::trouble;
use crate::world::Failed;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// Kills and an outage, behind a pooler.
pub const POOLER: Scenario = Scenario {
    name: "pooler",
    about: "Kills workers and restarts the database while all nodes work through PgBouncer in transaction mode.",
    needs: Needs::Pooler,
    price: Price::Nothing,
    play: |arena| Box::pin(pooler(arena)),
};

async fn pooler(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let place = arena.world.busiest(None).await?;
        let old = trouble::lives_of(&arena.world, place).await?;
        arena.strike(place, "SIGKILL to its worker");
        trouble::kill(&arena.world, place)?;
        arena.gone(place, &old).await?;
        arena.tended(place, &old, "the kill of a worker").await?;
        arena.calm(PAUSE).await;
        let fault = arena.diary.fault(None, "the database restarts behind the pooler");
        let server = arena.database.server()?;
        tokio::task::block_in_place(|| {
            server.stop();
            server.resume()
        })?;
        arena.diary.mended(fault);
        arena.settled("a restart of the database").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}
