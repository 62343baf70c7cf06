//! A rolling restart: each node is told to stop, gives everything away, and comes back; as an upgrade it comes back
//! with another program.
//!
//! What must hold: with one node that is empty at first, as an upgrade has that starts one more, each device
//! moves once: to the node that has just come back. Where a lease was lost meanwhile, as on a machine that is too
//! busy, that is not judged, and said.

use std::collections::BTreeSet;
use std::time::Duration;

use roost_proto::api::ListNodesRequest;
use roost_proto::api::node::State;
use rustix::process::Signal;

use crate::callers::within;
use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::findings::{OWNERSHIP, gifts, tenures};
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::{Failed, until};

/// Between two nodes.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a node may take to say what it sees.
const LOOK: Duration = Duration::from_secs(1);

/// All nodes in turn.
pub const ROLLING: Scenario = Scenario {
    name: "rolling-restart",
    about: "Restarts one node, which is empty then, and all others after it, as an upgrade does: each device moves once.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(rolling(arena)),
};

/// All nodes in turn, from the release before to this one.
pub const UPGRADE: Scenario = Scenario {
    name: "rolling-upgrade",
    about: "The same from the release before to this one: both share the cluster and its database meanwhile.",
    needs: Needs::ReleaseBefore,
    price: Price::Nothing,
    play: |arena| Box::pin(rolling(arena)),
};

async fn rolling(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let last = arena.world.nodes.len() - 1;
        restart(arena, last).await?;
        let before = arena.world.owners().await?;
        for place in 0..last {
            restart(arena, place).await?;
        }
        let log = tenures(&arena.database.sql(OWNERSHIP)?, &arena.diary)?;
        match gifts(&before, &log) {
            Some(moves) => {
                // Where the loads cannot be equal, some go to a node that still has to restart.
                let allowed = if before.len() % last == 0 { 0 } else { last };
                let twice = moves.values().filter(|moves| **moves != 1).count();
                arena.diary.event(&format!("{} devices moved once, {twice} did not", moves.len() - twice));
                if twice > allowed {
                    return Err(format!("of {} devices {twice} did not move once", moves.len()).into());
                }
            }
            None => arena.diary.event("a lease was lost meanwhile: the moves are not judged"),
        }
    }
    Ok(())
}

async fn restart(arena: &mut Arena, place: usize) -> Result<(), Failed> {
    let fault = arena.strike(place, "SIGTERM: it drains and leaves");
    arena.world.nodes[place].signal_parent(Signal::TERM)?;
    let id = arena.id(place);
    match arena.world.nodes[place].ended(PATIENCE).await? {
        Some(status) if status.success() => {}
        Some(status) => return Err(format!("{id} ended its drain with {status}").into()),
        None => return Err(format!("{id} did not end its drain").into()),
    }
    arena.world.nodes[place].install(&arena.pace.program);
    arena.world.nodes[place].spawn()?;
    arena.diary.mended(fault);
    arena.settled("the restart of a node").await?;
    let agreed = || async { agree(arena).await.unwrap_or(false) };
    until("every node sees all others active, with the devices that they have", PATIENCE, agreed).await?;
    arena.calm(PAUSE).await;
    Ok(())
}

/// Whether each node sees the same: all are active, and all devices are theirs. A drain plans by what it sees.
async fn agree(arena: &Arena) -> Result<bool, Failed> {
    let mut seen = BTreeSet::new();
    for place in 0..arena.world.nodes.len() {
        let request = within(ListNodesRequest {}, LOOK);
        let nodes = arena.world.lookers.node(place).cluster().list_nodes(request).await?.into_inner().nodes;
        let owned: usize = nodes.iter().map(|node| node.owned as usize).sum();
        let active = nodes.iter().filter(|node| node.state() == State::Active).count();
        if active != arena.world.nodes.len() || owned != arena.world.speakers.len() {
            return Ok(false);
        }
        let mut lives: Vec<_> =
            nodes.into_iter().map(|node| (node.name, node.incarnation, node.owned)).collect();
        lives.sort_unstable();
        seen.insert(lives);
    }
    Ok(seen.len() == 1)
}
