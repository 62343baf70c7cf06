//! Forgets uploaded files that are older than the retention, and what was known about moved ones.
//!
//! What must hold: how old a file is, the database says by its own clock; a blob has a row before it is there and for as long as it is, so that nothing is left that no row names; a
//! row without one is of a file that did not come in whole. One that the store does not delete keeps no other. A store
//! that does not answer is asked again later. Every node runs it; two at a time remove nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::port::Clocks;

use super::Media;
use super::blobs::BlobKey;
use super::rows::MediaRows;
use crate::metrics::Metrics;

/// Between rounds, before jitter.
const ROUND: Duration = Duration::from_secs(300);
const PIECE: usize = 100;
/// Files that the media store may fail to delete in one round before it is left alone until the next.
const KEPT: usize = 20;

/// Runs until it is dropped.
pub async fn run<R: MediaRows + ?Sized>(
    rows: Arc<R>,
    media: Media,
    clocks: Arc<dyn Clocks>,
    metrics: Metrics,
) {
    loop {
        tokio::time::sleep(ROUND.mul_f64(media.dice.between(0.5, 1.5))).await;
        if clocks.may_act() {
            let removed = round(&*rows, &media, media.options.retention).await;
            metrics.add("roost_media_expired_total", &[], removed);
        }
    }
}

/// Removes everything that was first written this long ago or longer, but what the media store does not delete. Returns how
/// many that were.
pub async fn round<R: MediaRows + ?Sized>(rows: &R, media: &Media, retention: Duration) -> u64 {
    let (mut removed, mut kept) = (0, BTreeSet::new());
    loop {
        // What is kept is among the oldest.
        let old = match rows.old_media(retention, PIECE + kept.len()).await {
            Ok(old) => old,
            Err(error) => {
                tracing::warn!(%error, "the retention of media waits for the store");
                return removed;
            }
        };
        let last = old.len() < PIECE + kept.len();
        for (tenant, id) in old {
            let key = BlobKey { tenant, id };
            if kept.contains(&key) {
                continue;
            }
            if let Err(error) = media.blobs.delete(&key).await {
                tracing::warn!(%key, %error, "a file that is too old cannot be deleted now");
                kept.insert(key);
                if kept.len() == KEPT {
                    tracing::warn!("the retention of media waits for the media store");
                    return removed;
                }
                continue;
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
