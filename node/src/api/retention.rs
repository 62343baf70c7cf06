//! Removes events that are older than the retention, and stanzas that were put aside before it.
//!
//! What must hold: it goes in small pieces with pauses, so that it never disturbs commits; a store that
//! does not answer is asked again later. Every node runs it; two at a time remove nothing twice.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::Clocks;
use roost_proto::id::UnixMillis;

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
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    loop {
        // Nodes of a cluster spread over the round.
        tokio::time::sleep(ROUND.mul_f64(dice.between(0.5, 1.5))).await;
        if clocks.may_act() {
            let before = UnixMillis(clocks.wall().0.saturating_sub(retention));
            round(&*directory, before, &metrics).await;
            clear_quarantine(&*directory, before).await;
        }
    }
}

/// Removes everything committed before this moment. Returns how many events that were.
pub async fn round(directory: &dyn Directory, before: UnixMillis, metrics: &Metrics) -> usize {
    let mut removed = 0;
    loop {
        match directory.expire_events(before, PIECE).await {
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

/// Removes every stanza that was put aside before this moment. Returns how many that were.
pub async fn clear_quarantine(directory: &dyn Directory, before: UnixMillis) -> usize {
    let mut removed = 0;
    loop {
        match directory.expire_quarantine(before, PIECE).await {
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
