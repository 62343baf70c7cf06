//! Black holes between a node and the database, its peers, or WhatsApp, in both directions or in one.

use std::time::Duration;

use rand::RngExt as _;

use crate::chaos::arena::{Arena, Side};
use crate::chaos::network::Way;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::Failed;

/// Shorter than a lease; longer than lease and grace; longer than a connection to WhatsApp may be silent.
const CUTS: [u64; 3] = [1, 7, 35];

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// No way to the database.
pub const DATABASE: Scenario = Scenario {
    name: "database-cut",
    about: "Cuts one node off from the database only: it must fall silent before the others take over.",
    needs: Needs::Network,
    price: Price::Nothing,
    play: |arena| Box::pin(cuts(arena, Side::Database)),
};

/// No way to other nodes.
pub const PEERS: Scenario = Scenario {
    name: "peers-cut",
    about: "Cuts one node off from all other nodes only: nothing moves, and calls find another way.",
    needs: Needs::Network,
    price: Price::Nothing,
    play: |arena| Box::pin(peers(arena)),
};

/// No way to WhatsApp.
pub const WHATSAPP: Scenario = Scenario {
    name: "whatsapp-cut",
    about: "Refuses one node at WhatsApp until others have its devices, then cuts nodes off: all arrives once.",
    needs: Needs::Network,
    price: Price::Nothing,
    play: |arena| Box::pin(whatsapp(arena)),
};

/// One direction only.
pub const ONE_WAY: Scenario = Scenario {
    name: "one-way-cuts",
    about: "Loses all packets of one direction only, towards the database, WhatsApp and the peers in turn.",
    needs: Needs::Network,
    price: Price::Nothing,
    play: |arena| Box::pin(one_way(arena)),
};

async fn cuts(arena: &mut Arena, from: Side) -> Result<(), Failed> {
    while arena.another_round() {
        let place = arena.world.busiest(None).await?;
        cut(arena, place, from, Way::Both).await?;
    }
    Ok(())
}

async fn whatsapp(arena: &mut Arena) -> Result<(), Failed> {
    if arena.another_round() {
        let place = arena.world.busiest(None).await?;
        let fault = arena.strike(place, "WhatsApp refuses it");
        arena.refuse_at_whatsapp(place)?;
        arena.given_away(place).await?;
        arena.diary.event(&format!("others have the devices of {}", arena.id(place)));
        arena.reach_whatsapp(place);
        arena.diary.mended(fault);
        arena.settled("it was refused").await?;
        arena.calm(PAUSE).await;
    }
    cuts(arena, Side::WhatsApp).await
}

async fn peers(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let place = arena.dice.random_range(0..arena.world.nodes.len());
        let before = arena.world.owners().await?;
        cut(arena, place, Side::Peers, Way::Both).await?;
        if arena.world.owners().await? != before {
            return Err("a device moved although every node could renew its lease".into());
        }
    }
    Ok(())
}

async fn one_way(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let from = [Side::Database, Side::WhatsApp, Side::Peers][arena.dice.random_range(0..3)];
        let way = [Way::Out, Way::In][arena.dice.random_range(0..2)];
        let place = arena.world.busiest(None).await?;
        cut(arena, place, from, way).await?;
    }
    Ok(())
}

async fn cut(arena: &mut Arena, place: usize, from: Side, way: Way) -> Result<(), Failed> {
    let whom = match from {
        Side::Database => "the database",
        Side::Peers => "its peers",
        Side::WhatsApp => "WhatsApp",
    };
    let how = match way {
        Way::Both => "cut off from",
        Way::Out => "not heard by",
        Way::In => "does not hear",
    };
    // The last ones only where there is time for them.
    let left = arena.pace.duration.saturating_sub(arena.diary.elapsed());
    let spans = CUTS.map(Duration::from_secs);
    let fitting = spans.iter().filter(|span| **span <= left.max(spans[1])).count();
    let span = spans[arena.dice.random_range(0..fitting)];
    let fault = arena.strike(place, &format!("{how} {whom} for {span:?}"));
    arena.cut(place, from, way)?;
    arena.calm(span).await;
    arena.heal(place)?;
    arena.diary.mended(fault);
    arena.settled("a cut").await?;
    arena.calm(PAUSE).await;
    Ok(())
}
