//! Wakes readers when this node has committed something for a device: watchers of messages and events.
//!
//! What must hold: a wake-up is a hint and nothing more; it comes after the commit, may come without
//! need, and never comes for other nodes' commits, so every reader also polls. Only devices and tenants
//! that somebody watches cost memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roost_proto::id::{BusinessId, DeviceKey};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

/// What can be watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Tenant(BusinessId),
    Device(DeviceKey),
}

type Topics = BTreeMap<Topic, watch::Sender<()>>;

/// The hub. Cloning gives the same hub.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    topics: Arc<Mutex<Topics>>,
}

impl Commits {
    /// A hub that nobody watches yet.
    pub fn new() -> Commits {
        Commits::default()
    }

    /// Announces what a store tells, until the store is gone.
    pub async fn relay(self, mut told: broadcast::Receiver<DeviceKey>) {
        loop {
            match told.recv().await {
                Ok(key) => self.announce(&key),
                // Some were missed: everybody looks once.
                Err(RecvError::Lagged(_)) => self.lock().values().for_each(|watchers| {
                    watchers.send_replace(());
                }),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Something of this device was committed.
    pub fn announce(&self, key: &DeviceKey) {
        let topics = self.lock();
        if topics.is_empty() {
            return;
        }
        for topic in [Topic::Device(key.clone()), Topic::Tenant(key.business_id.clone())] {
            if let Some(watchers) = topics.get(&topic) {
                watchers.send_replace(());
            }
        }
    }

    /// Watches one device. Subscribe first, then read, then wait: nothing is missed in between.
    pub fn device(&self, key: &DeviceKey) -> Subscription {
        self.subscribe(Topic::Device(key.clone()))
    }

    /// Watches all devices of a tenant.
    pub fn tenant(&self, tenant: &BusinessId) -> Subscription {
        self.subscribe(Topic::Tenant(tenant.clone()))
    }

    fn subscribe(&self, topic: Topic) -> Subscription {
        let receiver = self.lock().entry(topic.clone()).or_insert_with(|| watch::channel(()).0).subscribe();
        Subscription { receiver, topic, hub: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher. Dropping it ends the watch.
#[derive(Debug)]
pub struct Subscription {
    receiver: watch::Receiver<()>,
    topic: Topic,
    hub: Commits,
}

impl Subscription {
    /// Waits for the next announcement since the last call; several become one. Cancel safe.
    pub async fn changed(&mut self) {
        // The sender stays in the hub as long as this subscription exists.
        let _ = self.receiver.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.hub.lock();
        // This receiver is still counted.
        if topics.get(&self.topic).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn key(name: &str) -> DeviceKey {
        name.parse().expect("well formed")
    }

    #[tokio::test]
    async fn a_commit_wakes_its_device_and_its_tenant_and_nobody_else() {
        let commits = Commits::new();
        let shop = key("tenants/acme/devices/shop");
        let mut device = commits.device(&shop);
        let mut tenant = commits.tenant(&shop.business_id);
        let mut other = commits.device(&key("tenants/acme/devices/office"));
        commits.announce(&shop);
        device.changed().await;
        tenant.changed().await;
        assert!(other.changed().now_or_never().is_none());
        assert!(device.changed().now_or_never().is_none(), "one commit wakes once");
    }

    #[tokio::test]
    async fn a_commit_between_subscribing_and_waiting_is_not_missed() {
        let commits = Commits::new();
        let shop = key("tenants/acme/devices/shop");
        let mut device = commits.device(&shop);
        commits.announce(&shop);
        commits.announce(&shop);
        device.changed().await;
    }

    #[tokio::test]
    async fn whoever_watches_is_woken_when_the_store_tells_more_than_can_be_kept() {
        let commits = Commits::new();
        let mut device = commits.device(&key("tenants/acme/devices/shop"));
        let (store, told) = broadcast::channel(1);
        for _ in 0..3 {
            store.send(key("tenants/acme/devices/office")).expect("there is a receiver");
        }
        drop(store);
        commits.relay(told).await;
        device.changed().await;
    }

    #[test]
    fn nothing_remains_of_watchers_that_are_gone() {
        let commits = Commits::new();
        let shop = key("tenants/acme/devices/shop");
        let first = commits.device(&shop);
        let second = commits.device(&shop);
        drop(first);
        assert_eq!(commits.lock().len(), 1);
        drop(second);
        assert!(commits.lock().is_empty());
    }
}
