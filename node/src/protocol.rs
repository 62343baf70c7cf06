//! The version of WhatsApp Web that devices log in with, as operators choose it while nodes run.
//!
//! What must hold: the choice is one row, and a change of it moves the view epoch, so that every node hears of
//! it with its next heartbeat; a node that cannot read it goes on with what it read last.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::UnixMillis;
use roost_proto::version::{Canary, ProtocolVersion, Rollout};
use tokio::sync::watch;

use crate::api::port::Seen;
use crate::directory::Directory;
use crate::outside::Dice;

/// Pause after the row could not be read, before jitter.
const AGAIN: Duration = Duration::from_secs(1);

/// What operators have chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Which devices have which version.
    pub rollout: Rollout,
    /// When it was changed last, by the database's clock.
    pub changed: Option<UnixMillis>,
}

/// The row of the choice.
#[async_trait]
pub trait ProtocolRow: Send + Sync + 'static {
    /// Reads it.
    async fn protocol(&self) -> Result<Chosen, Unavailable>;
    /// Chooses a version for all devices, or the one that is built in. There are no canaries then.
    async fn choose_protocol(&self, stable: Option<ProtocolVersion>) -> Result<Chosen, Unavailable>;
    /// Tries a version on some devices, or on none any more.
    async fn try_protocol(&self, canary: Option<&Canary>) -> Result<Chosen, Unavailable>;
}

/// Tells what is chosen, now and after each change. Ends when nobody sends views any more.
pub async fn follow(
    directory: Arc<dyn Directory>,
    mut views: watch::Receiver<Arc<Seen>>,
    told: watch::Sender<Rollout>,
    dice: Dice,
) {
    loop {
        let epoch = views.borrow().view.view_epoch;
        match directory.protocol().await {
            Ok(Chosen { rollout, .. }) => {
                told.send_if_modified(|known| {
                    let other = *known != rollout;
                    *known = rollout;
                    other
                });
                if views.wait_for(|seen| seen.view.view_epoch != epoch).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the chosen protocol version cannot be read");
                tokio::time::sleep(AGAIN.mul_f64(dice.between(0.8, 1.2))).await;
            }
        }
    }
}
