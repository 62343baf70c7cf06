//! The database runs out of something: space, connections.

use std::time::Duration;

use crate::chaos::arena::Arena;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::Failed;

/// How long there is none.
const SHORTAGE: Duration = Duration::from_secs(6);

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(2);

/// No space.
pub const DISK_FULL: Scenario = Scenario {
    name: "disk-full",
    about: "Fills the database's file system to the last block for a while.",
    needs: Needs::SmallDisk,
    price: Price::Nothing,
    play: |arena| Box::pin(disk_full(arena)),
};

/// No connections.
pub const CONNECTIONS: Scenario = Scenario {
    name: "connection-limit",
    about: "Takes all connections of the database, ends those of the nodes, and gives them back after a while.",
    needs: Needs::OwnServer,
    price: Price::Nothing,
    play: |arena| Box::pin(connections(arena)),
};

async fn disk_full(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let fault = arena.diary.fault(None, "the database's disk is full");
        tokio::task::block_in_place(|| arena.database.disk()?.fill())?;
        arena.calm(SHORTAGE).await;
        tokio::task::block_in_place(|| {
            arena.database.disk()?.empty()?;
            // It may have given up: without space for its log it must not go on.
            let server = arena.database.server()?;
            match server.is_running() {
                true => Ok::<_, Failed>(()),
                false => Ok(server.resume()?),
            }
        })?;
        arena.diary.mended(fault);
        arena.settled("a full disk").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}

async fn connections(arena: &mut Arena) -> Result<(), Failed> {
    const EVICT: &str =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'roost/%'";
    while arena.another_round() {
        let database = arena.database.server()?.url("postgres");
        let mut evictor = arena.database.server()?.session("postgres", "evictor")?;
        let fault = arena.diary.fault(None, "no connection to the database is free");
        let hog = arena.database.hog();
        arena.diary.say(&format!("all connections of {database} are taken"));
        let end = tokio::time::Instant::now() + SHORTAGE;
        while tokio::time::Instant::now() < end {
            tokio::task::block_in_place(|| evictor.run(&format!("{EVICT};")));
            arena.calm(Duration::from_millis(100)).await;
        }
        tokio::task::block_in_place(|| drop(hog));
        arena.diary.mended(fault);
        arena.settled("a shortage of connections").await?;
        arena.calm(PAUSE).await;
    }
    Ok(())
}
