//! One node id started twice: the second is refused while the first lives, and when the first dies under it, one of
//! them becomes the node.

use std::time::Duration;

use roost_node::serve::EXIT_IN_USE;

use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::findings::{OWNERSHIP, gifts, tenures};
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::processes::NodeProcess;
use crate::trouble;
use crate::world::Failed;

/// How long a twin may go on hoping.
const HOPE: Duration = Duration::from_secs(40);

/// A twin for a node.
pub const TWINS: Scenario = Scenario {
    name: "twins",
    about: "Starts a second process under the id of a node that runs, and once more while that node dies.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(twins(arena)),
};

async fn twins(arena: &mut Arena) -> Result<(), Failed> {
    let mut round = 0;
    while arena.another_round() {
        round += 1;
        let place = arena.world.busiest(None).await?;
        let before = arena.world.owners().await?;
        let mut twin = arena.twin(place, &format!("twin-{round}"))?;
        let fault = arena.strike(place, "started a second time");
        twin.spawn()?;
        refused(&mut twin).await?;
        arena.diary.mended(fault);
        // Those that are still being levelled out after the round before may be given meanwhile.
        let log = tenures(&arena.database.sql(OWNERSHIP)?, &arena.diary)?;
        if gifts(&before, &log).is_none() {
            return Err("a device was taken because of a twin that was refused".into());
        }

        let fault = arena.strike(place, "started a second time, and killed");
        twin.spawn()?;
        let old = trouble::lives_of(&arena.world, place).await?;
        trouble::kill(&arena.world, place)?;
        arena.gone(place, &old).await?;
        arena.settled("the death of a twin").await?;
        // Whichever of the two it was, the one that is not the node gives up.
        let (first, second) = (arena.world.nodes[place].ended(HOPE), twin.ended(HOPE));
        let which = tokio::select! {
            first = first => first?.map(|status| (status, "the first")),
            second = second => second?.map(|status| (status, "the second")),
        };
        let (status, which) = which.ok_or("both twins hope for ever")?;
        if status.code() != Some(EXIT_IN_USE.into()) {
            return Err(format!("{which} of the twins ended with {status}").into());
        }
        drop(twin);
        arena.world.nodes[place].spawn()?;
        arena.diary.mended(fault);
        arena.settled("the end of the twins").await?;
    }
    Ok(())
}

async fn refused(twin: &mut NodeProcess) -> Result<(), Failed> {
    match twin.ended(PATIENCE).await? {
        Some(status) if status.code() == Some(EXIT_IN_USE.into()) => Ok(()),
        Some(status) => Err(format!("a twin ended with {status}:\n{}", twin.log_tail(5)).into()),
        None => Err("a twin was not refused".into()),
    }
}
