//! Forgets uploaded files that are older than the retention, and what was known about moved ones.
//!
//! What must hold: a blob has a row before it is there and for as long as it is, so that nothing is left that no row names; a
//! row without one is of a file that did not come in whole. A store that does not answer is asked again later. Every node runs it; two at a time remove nothing twice.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::Clocks;
use roost_proto::id::UnixMillis;

use super::Media;
use super::blobs::BlobKey;
use super::rows::MediaRows;
use crate::metrics::Metrics;

/// Between rounds, before jitter.
const ROUND: Duration = Duration::from_secs(300);
const PIECE: usize = 100;

/// Runs until it is dropped.
pub async fn run<R: MediaRows + ?Sized>(
    rows: Arc<R>,
    media: Media,
    clocks: Arc<dyn Clocks>,
    metrics: Metrics,
) {
    let retention = i64::try_from(media.options.retention.as_millis()).unwrap_or(i64::MAX);
    loop {
        tokio::time::sleep(ROUND.mul_f64(media.dice.between(0.5, 1.5))).await;
        if clocks.may_act() {
            let before = UnixMillis(clocks.wall().0.saturating_sub(retention));
            let removed = round(&*rows, &media, before).await;
            metrics.add("roost_media_expired_total", &[], removed);
        }
    }
}

/// Removes everything that was first written before this moment. Returns how many that were.
pub async fn round<R: MediaRows + ?Sized>(rows: &R, media: &Media, before: UnixMillis) -> u64 {
    let mut removed = 0;
    loop {
        let old = match rows.media_before(before, PIECE).await {
            Ok(old) => old,
            Err(error) => {
                tracing::warn!(%error, "the retention of media waits for the store");
                return removed;
            }
        };
        let last = old.len() < PIECE;
        for (tenant, id) in old {
            let key = BlobKey { tenant, id };
            if let Err(error) = media.blobs.delete(&key).await {
                tracing::warn!(%key, %error, "the retention of media waits for the media store");
                return removed;
            }
            match rows.remove_media(&key.tenant, &key.id).await {
                Ok(gone) => removed += u64::from(gone),
                Err(error) => {
                    tracing::warn!(%error, "the retention of media waits for the store");
                    return removed;
                }
            }
        }
        if last {
            return removed;
        }
    }
}
