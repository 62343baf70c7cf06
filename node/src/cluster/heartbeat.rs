//! The heartbeat: renews the lease, on a thread of its own.
//!
//! What must hold: the clock is read before the statement leaves; the lease is renewed here, so that no
//! queue stands between an answer and the deadline; a beat that takes too long counts as failed, even
//! if it succeeds later; no beat goes out when the main runtime stands still (`heart`). A dead row ends
//! everything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roost_placement::egress::Report;
use roost_placement::heart::{Heart, Pulse};
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Beaten, Ledger, Timing};
use roost_proto::id::Life;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::permission::Permission;
use crate::metrics::Metrics;
use crate::outside::Dice;

/// What the heartbeat and the driver tell each other.
#[derive(Clone, Default)]
pub(super) struct Vitals {
    /// Moves while the main runtime does.
    pub(super) progress: Arc<AtomicU64>,
    /// What the next heartbeat says of this node.
    report: Arc<Mutex<Report>>,
    /// Ends the heartbeat.
    pub(super) stop: CancellationToken,
}

impl Vitals {
    /// What the next heartbeat says. Held for no longer than to read or replace it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeat of one life.
pub(super) struct Heartbeat {
    pub(super) life: Life,
    pub(super) timing: Timing,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) permission: Arc<Permission>,
    pub(super) vitals: Vitals,
    pub(super) beats: mpsc::Sender<(BootTime, Beaten)>,
    pub(super) dice: Dice,
    pub(super) metrics: Metrics,
}

impl Heartbeat {
    /// Runs on a thread with a small runtime of its own, where its database connection lives too.
    pub(super) fn on_own_thread(self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || runtime.block_on(self.run()))?;
        Ok(())
    }

    /// Beats until the life is over or it is told to stop.
    pub(super) async fn run(self) {
        let clock = self.permission.clock().clone();
        let mut heart = Heart::new(self.timing, clock(), self.vitals.progress.load(Ordering::Relaxed));
        let stop = self.vitals.stop.clone();
        let beating = async {
            loop {
                match heart.poll(clock(), self.vitals.progress.load(Ordering::Relaxed)) {
                    Pulse::Wait(span) => tokio::time::sleep(span).await,
                    Pulse::Beat => {
                        let sent = clock();
                        let report = *self.vitals.lock();
                        let beat = self.ledger.beat(&self.life, &report, &self.timing);
                        let answer = tokio::time::timeout(heart.patience(), beat).await;
                        let renewed = matches!(answer, Ok(Ok(Beaten::Renewed(_))));
                        heart.answered(sent, clock(), renewed, self.dice.fraction());
                        self.metrics.time("roost_lease_renew_duration_seconds", &[], clock().since(sent));
                        if self.answered(sent, answer).await.is_break() {
                            return;
                        }
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = beating => {}
            () = stop.cancelled() => {}
        }
    }

    async fn answered(
        &self,
        sent: BootTime,
        answer: Result<Result<Beaten, roost_placement::ledger::Unavailable>, tokio::time::error::Elapsed>,
    ) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        match answer {
            Ok(Ok(beaten)) => {
                match &beaten {
                    Beaten::Renewed(_) => self.permission.renewed(sent, &self.timing),
                    Beaten::Dead => self.permission.revoke(),
                }
                let over = beaten == Beaten::Dead;
                if self.beats.send((sent, beaten)).await.is_err() || over {
                    return Break(());
                }
            }
            Ok(Err(error)) => tracing::warn!(life = %self.life, %error, "a heartbeat failed"),
            Err(_) => tracing::warn!(life = %self.life, "a heartbeat was not answered in time"),
        }
        Continue(())
    }
}
