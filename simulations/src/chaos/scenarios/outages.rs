//! The database goes away and comes back with everything it had: restarted, killed, silent.

use std::time::Duration;

use rand::RngExt as _;

use crate::chaos::arena::Arena;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::postgres::{PostgresError, TempPostgres};
use crate::world::Failed;

/// How long it may be away, in milliseconds: nothing, less than a lease, more than lease and grace.
const AWAY: [u64; 3] = [0, 1_200, 6_000];

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(2);

/// In order.
pub const RESTART: Scenario = Scenario {
    name: "database-restart",
    about: "Stops the database in order and starts it again, at once or after longer than a lease.",
    needs: Needs::OwnServer,
    price: Price::Nothing,
    play: |arena| Box::pin(outages(arena, "the database stops", TempPostgres::stop, TempPostgres::resume)),
};

/// With a bang.
pub const KILL: Scenario = Scenario {
    name: "database-kill",
    about: "Kills every process of the database with SIGKILL and lets it recover.",
    needs: Needs::OwnServer,
    price: Price::Nothing,
    play: |arena| {
        Box::pin(outages(arena, "the database is killed", TempPostgres::kill, TempPostgres::resume))
    },
};

/// In silence.
pub const SILENCE: Scenario = Scenario {
    name: "database-silence",
    about: "Stops the database with SIGSTOP, so that connections stay and nobody answers, and lets it go on.",
    needs: Needs::OwnServer,
    price: Price::Nothing,
    play: |arena| {
        let thaw = |server: &mut TempPostgres| {
            server.thaw();
            Ok(())
        };
        Box::pin(outages(arena, "the database is silent", |server| server.freeze(), thaw))
    },
};

async fn outages(
    arena: &mut Arena,
    what: &str,
    begin: fn(&mut TempPostgres),
    end: fn(&mut TempPostgres) -> Result<(), PostgresError>,
) -> Result<(), Failed> {
    while arena.another_round() {
        let before = arena.world.owners().await?;
        let away = Duration::from_millis(AWAY[arena.dice.random_range(0..AWAY.len())]);
        let fault = arena.diary.fault(None, &format!("{what} for {away:?}"));
        let server = arena.database.server()?;
        tokio::task::block_in_place(|| begin(server));
        tokio::time::sleep(away).await;
        tokio::task::block_in_place(|| end(server))?;
        arena.diary.mended(fault);
        arena.settled("an outage of the database").await?;
        if arena.world.owners().await? != before {
            return Err("a device moved in an outage that struck all nodes alike".into());
        }
        arena.calm(PAUSE).await;
    }
    Ok(())
}
