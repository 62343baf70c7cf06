//! Links that are bad but not gone: slow, uneven, losing packets, on all ways to the database and WhatsApp.

use std::time::Duration;

use crate::chaos::arena::Arena;
use crate::chaos::proxy::Weather;
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::Failed;

/// Slow and uneven.
pub const SLOW: Scenario = Scenario {
    name: "slow-links",
    about: "Makes the database and WhatsApp 10 to 30 ms away in each direction for every node.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| {
        let (delay, jitter) = (Duration::from_millis(10), Duration::from_millis(20));
        Box::pin(weather(arena, "slow links", Weather { delay, jitter, ..Weather::default() }))
    },
};

/// Losing packets.
pub const LOSSY: Scenario = Scenario {
    name: "lossy-links",
    about: "Loses one packet in a hundred on all ways to the database and WhatsApp, with TCP's pauses.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| {
        let delay = Duration::from_millis(2);
        Box::pin(weather(arena, "lossy links", Weather { delay, loss: 0.01, ..Weather::default() }))
    },
};

async fn weather(arena: &mut Arena, what: &str, weather: Weather) -> Result<(), Failed> {
    let fault = arena.diary.fault(None, what);
    arena.weather(weather);
    arena.calm(arena.pace.duration).await;
    arena.weather(Weather::default());
    arena.diary.mended(fault);
    Ok(())
}
