//! The database fails over to a standby: a synchronous one that has everything, and an asynchronous one that
//! does not have the last moments.

use std::time::Duration;

use crate::chaos::arena::Arena;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::Failed;

/// What the asynchronous standby does not hear of.
const TAIL: Duration = Duration::from_millis(1_500);

/// Between two failovers.
const PAUSE: Duration = Duration::from_secs(2);

/// With everything.
pub const SYNCHRONOUS: Scenario = Scenario {
    name: "failover-synchronous",
    about: "Kills the database and promotes a synchronous standby in its place: nothing committed is lost.",
    needs: Needs::OwnServer,
    price: Price::Nothing,
    play: |arena| Box::pin(failovers(arena, true)),
};

/// Without the last moments.
pub const ASYNCHRONOUS: Scenario = Scenario {
    name: "failover-asynchronous",
    about: "Kills the database and promotes a standby that lost the last 1.5 s: exclusivity holds, that tail is lost.",
    needs: Needs::OwnServer,
    price: Price::Tail,
    play: |arena| Box::pin(failovers(arena, false)),
};

async fn failovers(arena: &mut Arena, synchronous: bool) -> Result<(), Failed> {
    while arena.another_round() {
        let server = arena.database.server()?;
        let standby = tokio::task::block_in_place(|| {
            let standby = server.standby()?;
            server.wait_for_standbys(synchronous)?;
            Ok::<_, Failed>(standby)
        })?;
        arena.calm(PAUSE).await;
        if !synchronous {
            arena.diary.event("the standby hears nothing any more");
            tokio::task::block_in_place(|| standby.cut_off())?;
            arena.calm(TAIL).await;
        }
        let fault = arena.diary.fault(None, "the database dies, its standby is promoted");
        tokio::task::block_in_place(|| {
            arena.database.fail_over(standby)?;
            // It came with the setting of its primary, and has no standby of its own.
            Ok::<_, Failed>(arena.database.server()?.wait_for_standbys(false)?)
        })?;
        arena.diary.mended(fault);
        arena.settled("a failover").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}
