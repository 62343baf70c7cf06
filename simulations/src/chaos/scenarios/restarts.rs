//! A rolling restart: each node is told to stop, gives everything away, and comes back; as an upgrade it comes back
//! with another program.
//!
//! What must hold: with one node that is empty at first, as an upgrade has that starts one more, each device
//! moves once: to the node that has just come back. Where a lease was lost meanwhile, as on a machine that is too
//! busy, that is not judged, and said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roost_proto::api::ListNodesRequest;
use roost_proto::api::node::State;
use rustix::process::Signal;

use crate::callers::within;
use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::findings::{OWNERSHIP, Tenure, tenures};
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::{Failed, Owner, until};

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
        match moves(&before, &log) {
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

/// How often each device was given since then; `None` when any changed its owner in another way.
fn moves<'a>(before: &'a BTreeMap<String, Owner>, log: &[Tenure]) -> Option<BTreeMap<&'a str, usize>> {
    let mut moves: BTreeMap<&str, usize> = before.keys().map(|device| (device.as_str(), 0)).collect();
    for tenure in log {
        let Some((device, owner)) = before.get_key_value(&tenure.device) else { continue };
        if tenure.epoch > owner.epoch {
            if tenure.reason != "give" {
                return None;
            }
            *moves.get_mut(device.as_str()).expect("it was there before") += 1;
        }
    }
    Some(moves)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(device: &str, epoch: i64, reason: &str) -> Tenure {
        let (node, from) = ("node-1".to_owned(), Duration::ZERO);
        Tenure { device: device.to_owned(), epoch, node, reason: reason.to_owned(), from }
    }

    #[test]
    fn only_gifts_since_the_beginning_count_and_anything_else_forbids_to_judge() {
        let owner = |epoch| Owner { node: "node-1".to_owned(), incarnation: 1, epoch };
        let before = BTreeMap::from([("a".to_owned(), owner(3)), ("b".to_owned(), owner(1))]);
        let mut log = vec![tenure("a", 3, "give"), tenure("a", 4, "give"), tenure("b", 1, "claim")];
        assert_eq!(moves(&before, &log), Some(BTreeMap::from([("a", 1), ("b", 0)])));
        log.push(tenure("b", 2, "take-over"));
        assert_eq!(moves(&before, &log), None);
    }
}
