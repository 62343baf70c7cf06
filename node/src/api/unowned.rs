//! Counts the devices that nobody living holds, and those of them that wait for the node to which they are pinned.
//!
//! What must hold: it only counts, and a store that does not answer is asked again later; the last count
//! stays until then. Every node shows the same number.

use std::sync::Arc;
use std::time::Duration;

use crate::directory::{Directory, Unowned};
use crate::metrics::Metrics;
use crate::outside::Dice;

/// Between two counts, before jitter.
const ROUND: Duration = Duration::from_secs(15);

/// Runs until it is dropped.
pub async fn run(directory: Arc<dyn Directory>, dice: Dice, metrics: Metrics) {
    loop {
        if let Ok(Unowned { all, unplaceable }) = directory.unowned().await {
            metrics.set("roost_devices_unowned", &[], all as f64);
            metrics.set("roost_devices_pinned_unplaceable", &[], unplaceable as f64);
        }
        tokio::time::sleep(ROUND.mul_f64(dice.between(0.8, 1.2))).await;
    }
}
