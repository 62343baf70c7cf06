//! Where WhatsApp wants files to go and come from, remembered per device for as long as it said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use roost_proto::ask::media::MediaHosts;
use roost_proto::id::DeviceKey;
use tokio::time::Instant;

/// Devices that are remembered; when there are more, all are asked again.
const REMEMBERED: usize = 4096;

/// Answers that are still good.
#[derive(Debug, Default)]
pub struct HostCache {
    known: Mutex<BTreeMap<DeviceKey, (MediaHosts, Instant)>>,
}

impl HostCache {
    /// What a device was told, if that is still good.
    pub fn find(&self, key: &DeviceKey) -> Option<MediaHosts> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| Instant::now() < *until).map(|(hosts, _)| hosts.clone())
    }

    /// A device was told this just now.
    pub fn keep(&self, key: &DeviceKey, hosts: &MediaHosts) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key.clone(), (hosts.clone(), Instant::now() + hosts.ttl));
    }

    /// It is not good after all.
    pub fn forget(&self, key: &DeviceKey) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_for_as_long_as_it_was_said_to_be_good() {
        let (cache, key) = (HostCache::default(), "tenants/a/devices/b".parse().expect("a key"));
        let ttl = Duration::from_secs(60);
        let hosts = MediaHosts { auth: "x".to_owned(), hosts: vec!["h".to_owned()], ttl };
        cache.keep(&key, &hosts);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(cache.find(&key), Some(hosts.clone()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cache.find(&key), None);
        cache.keep(&key, &hosts);
        cache.forget(&key);
        assert_eq!(cache.find(&key), None);
    }
}
