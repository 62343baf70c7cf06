//! What this node has prepared for devices that others are about to give to it.
//!
//! What must hold: only half-open links are kept, nothing of a device's state, so nothing here can be out
//! of date; they are few, and each is dropped when it is too old to be used, whoever forgets it. That a
//! device is expected here is a hint for measuring, never a reason to act.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roost_actors::device::Ports;
use roost_actors::port::ProxyUri;
use roost_actors::warm::{FRESH, WarmLink};
use roost_proto::id::{DeviceKey, Epoch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Links that are kept or being opened at once.
const LINKS: usize = 256;

/// A link that could not be opened in this time is too late for whoever waits for it.
const OPENING: Duration = Duration::from_secs(30);

/// Why nothing was prepared.
#[derive(Debug, thiserror::Error)]
pub enum NotWarm {
    /// As much as may be prepared is.
    #[error("{LINKS} devices are being prepared already")]
    Full,
    /// There is no link.
    #[error("no link could be opened: {0}")]
    NoLink(String),
}

/// What is prepared. Cloning gives the same.
#[derive(Clone)]
pub(crate) struct Expected {
    kept: Arc<Mutex<Kept>>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Kept {
    links: BTreeMap<DeviceKey, (Instant, WarmLink, OwnedSemaphorePermit)>,
    /// Since when devices that were given to this node have been stopped, by this node's clock.
    stopped: BTreeMap<DeviceKey, (Epoch, Instant)>,
}

impl Expected {
    pub(crate) fn new() -> Expected {
        Expected { kept: Arc::default(), room: Arc::new(Semaphore::new(LINKS)) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a link for this device, the way that it goes, up to the last handshake message, and keeps it for a while.
    pub(crate) async fn prepare(
        &self,
        key: &DeviceKey,
        via: Option<&ProxyUri>,
        ports: &Ports,
    ) -> Result<(), NotWarm> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| NotWarm::Full)?;
        let opened = timeout(OPENING, WarmLink::open(key, via, ports)).await;
        let link = match opened {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => return Err(NotWarm::NoLink(error.to_string())),
            Err(_) => return Err(NotWarm::NoLink(format!("not within {OPENING:?}"))),
        };
        let at = Instant::now();
        self.lock().links.insert(key.clone(), (at, link, room));
        let (kept, key) = (Arc::downgrade(&self.kept), key.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(at + FRESH).await;
            let Some(kept) = kept.upgrade() else { return };
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.links.get(&key).is_some_and(|(opened, ..)| *opened == at) {
                kept.links.remove(&key);
            }
        });
        Ok(())
    }

    /// The link for a device, if there is one.
    pub(crate) fn link(&self, key: &DeviceKey) -> Option<WarmLink> {
        self.lock().links.remove(key).map(|(_, link, _)| link)
    }

    /// The device was given to this node under this epoch, and had been stopped for so long.
    pub(crate) fn given(&self, key: &DeviceKey, epoch: Epoch, stopped: Duration) {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.stopped.retain(|_, (_, since)| now - *since < OPENING);
        if kept.stopped.len() < 10 * LINKS {
            let since = now.checked_sub(stopped).unwrap_or(now);
            kept.stopped.insert(key.clone(), (epoch, since));
        }
    }

    /// Since when the device has been stopped, if the giver of this epoch has said so.
    pub(crate) fn stopped(&self, key: &DeviceKey, epoch: Epoch) -> Option<Instant> {
        let stopped = self.lock().stopped.remove(key);
        stopped.filter(|(given, _)| *given == epoch).map(|(_, since)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DeviceKey {
        "tenants/acme/devices/shop".parse().expect("well formed")
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_counts_from_the_stop_and_for_its_own_grant_only() {
        let expected = Expected::new();
        let now = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        expected.given(&key(), Epoch(7), Duration::from_millis(300));
        assert_eq!(expected.stopped(&key(), Epoch(8)), None, "another hand-off");
        expected.given(&key(), Epoch(7), Duration::from_millis(300));
        assert_eq!(expected.stopped(&key(), Epoch(7)), Some(now + Duration::from_millis(700)));
        assert_eq!(expected.stopped(&key(), Epoch(7)), None, "told once");
    }
}
