//! Removes events that are older than the retention, and stanzas that were put aside before it.
//!
//! What must hold: how old something is, the database says by its own clock: that of a node removes nothing; it goes log
//! by log, each for a moment, and passes over those that somebody holds, so that no commit waits long for it; a store that
//! does not answer is asked again later. Every node runs it; two at a time remove nothing twice.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::Clocks;

use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::outside::Dice;

/// Between rounds, before jitter.
const ROUND: Duration = Duration::from_secs(60);
const PIECE: usize = 500;
const BETWEEN_PIECES: Duration = Duration::from_millis(50);

/// Runs until it is dropped.
pub async fn run(
    directory: Arc<dyn Directory>,
    clocks: Arc<dyn Clocks>,
    retention: Duration,
    dice: Dice,
    metrics: Metrics,
) {
    loop {
        // Nodes of a cluster spread over the round.
        tokio::time::sleep(ROUND.mul_f64(dice.between(0.5, 1.5))).await;
        if clocks.may_act() {
            round(&*directory, retention, &metrics).await;
            clear_quarantine(&*directory, retention).await;
        }
    }
}

/// Removes everything that was committed this long ago or longer. Returns how many events that were.
pub async fn round(directory: &dyn Directory, retention: Duration, metrics: &Metrics) -> usize {
    let mut removed = 0;
    loop {
        match directory.expire_events(retention, PIECE).await {
            Ok(piece) => {
                removed += piece;
                metrics.add("roost_events_expired_total", &[], u64::try_from(piece).unwrap_or(u64::MAX));
                if piece < PIECE {
                    return removed;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "retention waits for the store");
                return removed;
            }
        }
        tokio::time::sleep(BETWEEN_PIECES).await;
    }
}

/// Removes every stanza that was put aside this long ago or longer. Returns how many that were.
pub async fn clear_quarantine(directory: &dyn Directory, retention: Duration) -> usize {
    let mut removed = 0;
    loop {
        match directory.expire_quarantine(retention, PIECE).await {
            Ok(piece) => {
                removed += piece;
                if piece < PIECE {
                    return removed;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what was put aside waits for the store");
                return removed;
            }
        }
        tokio::time::sleep(BETWEEN_PIECES).await;
    }
}
