//! The devices that run in this process, by key: opened and ended for the cluster module, found by the
//! API.
//!
//! What must hold: a device is in the map from the moment it is opened until nothing of it can act any
//! more, and one key has at most one device. The map is no proof of ownership; the fence is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use roost_actors::device::{self, DeviceHandle, Opening, Ports};
use roost_actors::port::{ProxyUri, Reached};
use roost_actors::warm::WarmLink;
use roost_placement::egress::Reach;
use roost_placement::lease::BootTime;
use roost_placement::ledger::Unavailable;
use roost_proto::api::device::State;
use roost_proto::id::{DeviceKey, Epoch, Life};
use roost_proto::peer::peer_service_client::PeerServiceClient;
use roost_proto::peer::{AdoptRequest, WarmRequest};
use tokio::time::Instant;

use crate::api::channels::Channels;
use crate::api::port::Hosts;
use crate::cluster::{ClusterHandle, Ending, Hosting, NodeGate, PeerHint, StartError};
use crate::counted;
use crate::metrics::Metrics;
use crate::outside::Network;
use crate::warm::{Expected, NotWarm};

type Devices = BTreeMap<DeviceKey, DeviceHandle>;

/// The map. Cloning gives the same map.
#[derive(Clone)]
pub struct Hosted {
    ports: Ports,
    metrics: Metrics,
    devices: Arc<Mutex<Devices>>,
    expected: Expected,
}

impl Hosted {
    /// No device yet; these ports for each.
    pub fn new(ports: Ports, metrics: Metrics) -> Hosted {
        Hosted { ports, metrics, devices: Arc::default(), expected: Expected::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<DeviceHandle> {
        self.lock().values().cloned().collect()
    }

    /// Removes the device if it still is the one of this grant.
    fn remove(&self, ended: &DeviceHandle) {
        let mut devices = self.lock();
        if devices.get(&ended.grant().key).is_some_and(|found| found.grant() == ended.grant()) {
            devices.remove(&ended.grant().key);
        }
    }
}

#[async_trait]
impl Hosting for Hosted {
    async fn start(&self, opening: Opening) -> Result<Ending, StartError> {
        let key = opening.grant.key.clone();
        let handle = {
            let mut devices = self.lock();
            if devices.contains_key(&key) {
                return Err(StartError(format!("{key} runs here already")));
            }
            let taken_over = opening.reason == "take-over";
            let stopped = self.expected.stopped(&key, opening.grant.epoch);
            let link = self.expected.link(&key);
            let how = if link.is_some() { "warm" } else { "cold" };
            let handle = device::open_with(opening, link, self.ports.clone());
            devices.insert(key, handle.clone());
            if taken_over {
                tokio::spawn(counted::takeover(handle.clone(), Instant::now(), self.metrics.clone()));
            } else if let Some(stopped) = stopped {
                tokio::spawn(counted::hand_off(handle.clone(), stopped, how, self.metrics.clone()));
            }
            handle
        };
        let hosted = self.clone();
        Ok(Box::pin(async move {
            let why = handle.finished().await;
            hosted.remove(&handle);
            format!("{why:?}")
        }))
    }

    fn reach(&self, now: BootTime) -> Reach {
        let mut reach = Reach::default();
        for device in self.lock().values() {
            let Reached { heard, failing, apart } = device.reached();
            if apart {
                continue;
            }
            let connected = device.status().borrow().state == State::Online;
            reach.count(connected, heard, failing, now);
        }
        reach
    }

    async fn probe(&self) -> bool {
        WarmLink::probe(&self.ports).await
    }

    fn is_connected(&self, key: &DeviceKey) -> bool {
        let found = self.lock().get(key).map(DeviceHandle::status);
        found.is_some_and(|status| status.borrow().state == State::Online)
    }

    async fn stop(&self, key: &DeviceKey) {
        let found = self.lock().get(key).cloned();
        if let Some(handle) = found {
            handle.stop().await;
            self.remove(&handle);
        }
    }

    async fn quiesce(&self) {
        let devices = self.all();
        join_all(devices.iter().map(DeviceHandle::quiesce)).await;
    }

    async fn resume(&self) {
        let devices = self.all();
        join_all(devices.iter().map(DeviceHandle::resume)).await;
    }

    async fn close(&self) {
        let devices = self.all();
        join_all(devices.iter().map(DeviceHandle::stop)).await;
        self.lock().clear();
    }
}

/// The map as the API sees it.
pub struct LocalHosts {
    /// The devices.
    pub hosted: Hosted,
    /// Who may free a row.
    pub cluster: ClusterHandle,
    /// Where devices wait before they log in.
    pub gate: NodeGate,
}

#[async_trait]
impl Hosts for LocalHosts {
    fn find(&self, key: &DeviceKey) -> Option<DeviceHandle> {
        self.hosted.lock().get(key).cloned()
    }

    fn all(&self) -> Vec<DeviceHandle> {
        self.hosted.all()
    }

    fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    async fn prepare(&self, key: &DeviceKey, via: Option<&ProxyUri>) -> Result<(), NotWarm> {
        self.hosted.expected.prepare(key, via, &self.hosted.ports).await
    }

    fn given(&self, key: &DeviceKey, epoch: Epoch, stopped: Duration) {
        self.hosted.expected.given(key, epoch, stopped);
    }

    async fn stop(&self, key: &DeviceKey) -> Result<(), Unavailable> {
        self.cluster.free(key).await
    }
}

/// Hints over the peers' gRPC API.
#[derive(Debug, Default)]
pub struct GrpcHints {
    channels: Channels,
}

impl GrpcHints {
    /// Over this network.
    pub fn new(network: Network) -> GrpcHints {
        GrpcHints { channels: Channels::new(network) }
    }
}

#[async_trait]
impl PeerHint for GrpcHints {
    async fn adopt(&self, peer: &Life, address: &str, key: &DeviceKey, epoch: Epoch, stopped: Duration) {
        let Some(channel) = self.channels.to(address) else { return };
        let stopped_micros = i64::try_from(stopped.as_micros()).unwrap_or(i64::MAX);
        let request = AdoptRequest { device: key.to_string(), epoch: epoch.0, stopped_micros };
        if let Err(status) = PeerServiceClient::new(channel).adopt(request).await {
            tracing::debug!(%peer, %key, %status, "the hint was lost; the sweep will find the device");
        }
    }

    async fn warm(&self, peer: &Life, address: &str, key: &DeviceKey, within: Duration) {
        let Some(channel) = self.channels.to(address) else { return };
        let mut request = tonic::Request::new(WarmRequest { device: key.to_string() });
        request.set_timeout(within);
        if let Err(status) = PeerServiceClient::new(channel).warm(request).await {
            tracing::debug!(%peer, %key, %status, "the target is not prepared; the hand-off goes on cold");
        }
    }
}
