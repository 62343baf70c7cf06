//! Finds the owner of a device and runs a call there: on this node, or on another in one hop.
//!
//! What must hold: a forwarded call is never forwarded again; a stale answer (not the owner, fenced,
//! unreachable, buried meanwhile) leads to another look-up, jittered and bounded by the call's deadline
//! and by [`PATIENCE`]; every operation that is run here is safe to repeat. The router decides nothing
//! about ownership: it reads the row, and the row may have changed when the call arrives.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use roost_actors::device::DeviceHandle;
use roost_placement::ledger::{Desired, Ledger};
use roost_proto::api::device::State;
use roost_proto::id::{DeviceKey, Life};
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

mod answers;

use self::answers::is_stale;
pub(super) use self::answers::{of_node, of_owner};
use super::call::Call;
use super::channels::Channels;
use super::port::{Cluster, Hosts};
use crate::errors::{ApiError, Resource, Unfit};
use crate::metrics::Metrics;
use crate::outside::{Dice, Outside};

/// How long a call waits for a device to get an owner. A take-over is within it.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a forwarded call waits on the owner's side for a device that was granted just now.
const STARTING: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Owners that are remembered, per generation of the cache.
const REMEMBERED: usize = 50_000;

/// Finds owners.
pub struct Router {
    ledger: Arc<dyn Ledger>,
    hosts: Arc<dyn Hosts>,
    cluster: Arc<dyn Cluster>,
    channels: Channels,
    owners: Mutex<Owners>,
    dice: Dice,
    metrics: Metrics,
}

/// Where a device is.
pub enum Place {
    /// On this node.
    Here(DeviceHandle),
    /// On another.
    There(Peer),
}

/// Another node that owns a device.
pub struct Peer {
    /// Who it is.
    pub life: Life,
    /// The connection to it.
    pub channel: Channel,
}

impl Router {
    /// A router with an empty memory.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        hosts: Arc<dyn Hosts>,
        cluster: Arc<dyn Cluster>,
        outside: Outside,
        metrics: Metrics,
    ) -> Router {
        let Outside { dice, network, .. } = outside;
        let channels = Channels::new(network);
        Router { ledger, hosts, cluster, channels, owners: Mutex::default(), dice, metrics }
    }

    /// Runs `here` on the owner's device or `there` through a connection to the owner, as often as the
    /// owner turns out to be another one.
    pub async fn at_owner<T, H, HF, F, FF>(
        &self,
        call: &Call,
        key: &DeviceKey,
        here: H,
        there: F,
    ) -> Result<T, ApiError>
    where
        H: FnMut(DeviceHandle) -> HF,
        HF: Future<Output = Result<T, ApiError>>,
        F: FnMut(Channel) -> FF,
        FF: Future<Output = Result<T, Status>>,
    {
        self.find_owner(call, key, here, there, is_stale).await
    }

    /// The same for what must not be done twice: another try only when it was certainly not done.
    pub async fn at_owner_once<T, H, HF, F, FF>(
        &self,
        call: &Call,
        key: &DeviceKey,
        here: H,
        there: F,
    ) -> Result<T, ApiError>
    where
        H: FnMut(DeviceHandle) -> HF,
        HF: Future<Output = Result<T, ApiError>>,
        F: FnMut(Channel) -> FF,
        FF: Future<Output = Result<T, Status>>,
    {
        let not_done = |error: &ApiError| {
            is_stale(error) && !matches!(error, ApiError::OwnerUnreachable { heard: true, .. })
        };
        self.find_owner(call, key, here, there, not_done).await
    }

    async fn find_owner<T, H, HF, F, FF>(
        &self,
        call: &Call,
        key: &DeviceKey,
        mut here: H,
        mut there: F,
        again: impl Fn(&ApiError) -> bool,
    ) -> Result<T, ApiError>
    where
        H: FnMut(DeviceHandle) -> HF,
        HF: Future<Output = Result<T, ApiError>>,
        F: FnMut(Channel) -> FF,
        FF: Future<Output = Result<T, Status>>,
    {
        let patience = if call.forwarded { STARTING } else { PATIENCE };
        let until = call.deadline.min(Instant::now() + patience);
        let mut search = Search { until, pause: FIRST_PAUSE, dice: self.dice.clone() };
        loop {
            let done = match self.place(call, key, &mut search).await? {
                Place::Here(device) => here(device).await,
                Place::There(peer) => self.forward(key, &peer, there(peer.channel.clone())).await,
            };
            match done {
                Err(error) if again(&error) && !call.forwarded => {
                    self.forget(key);
                    search.wait().await.map_err(|_| error)?;
                }
                done => return done,
            }
        }
    }

    /// The owner's place. Waits within the search for a device that nobody holds, or that is loaded here still.
    async fn place(&self, call: &Call, key: &DeviceKey, search: &mut Search) -> Result<Place, ApiError> {
        let no_owner = || ApiError::NoOwner { key: key.clone(), retry: Duration::from_secs(1) };
        loop {
            // One that has ended is only waiting to be cleared away.
            if let Some(device) = self.hosts.find(key)
                && device.finished().now_or_never().is_none()
            {
                if device.status().borrow().state != State::Starting {
                    return Ok(Place::Here(device));
                }
                // It was opened just now and takes nothing before its state is read.
                search.wait().await.map_err(|_| no_owner())?;
                continue;
            }
            if !call.forwarded
                && let Some(life) = self.remembered(key)
                && let Some(peer) = self.peer(life)
            {
                return Ok(Place::There(peer));
            }
            let row = self.ledger.ownership(key).await?;
            let Some(row) = row.filter(|row| row.desired != Desired::Deleted) else {
                return Err(ApiError::not_found(Resource::Device, key));
            };
            let mine = row.owner.as_ref() == Some(&self.cluster.me());
            if call.forwarded && !mine {
                return Err(ApiError::NotOwner { key: key.clone() });
            }
            if row.desired == Desired::Offline && !mine {
                return Err(ApiError::Unfit { key: key.clone(), unfit: Unfit::Stopped });
            }
            if let Some(life) = row.owner.filter(|_| !mine)
                && let Some(peer) = self.peer(life)
            {
                self.remember(key, &peer.life);
                return Ok(Place::There(peer));
            }
            // Nobody holds it, its owner is dead, or it was given to this node a moment ago.
            search.wait().await.map_err(|_| no_owner())?;
        }
    }

    /// The connection to a life that the view shows living.
    pub fn peer(&self, life: Life) -> Option<Peer> {
        let seen = self.cluster.views().borrow().clone();
        let channel = self.channels.to(seen.address(&life)?)?;
        Some(Peer { life, channel })
    }

    /// The peer that was last seen to own the device, if any; no look-up.
    pub fn known(&self, key: &DeviceKey) -> Option<Peer> {
        self.remembered(key).and_then(|life| self.peer(life))
    }

    /// Forgets connections that no member has any more.
    pub fn tidy(&self) {
        let seen = self.cluster.views().borrow().clone();
        self.channels.keep(|address| seen.view.members.iter().any(|member| member.address == address));
    }

    /// Waits for the answer of a peer, or for its death: a frozen process keeps its connections open.
    async fn forward<T>(
        &self,
        key: &DeviceKey,
        peer: &Peer,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, ApiError> {
        let done = tokio::select! {
            biased;
            done = answer => done.map_err(|status| of_owner(key, &peer.life.node, status)),
            () = self.death(&peer.life) => {
                let (key, node) = (key.clone(), peer.life.node.clone());
                Err(ApiError::OwnerUnreachable { key, node, heard: true })
            }
        };
        let result = match &done {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.reason(),
        };
        self.metrics.count("roost_forwarded_requests_total", &[("result", &result)]);
        done
    }

    /// Ends when the view does not show this life any more.
    pub async fn death(&self, life: &Life) {
        let mut views = self.cluster.views();
        loop {
            if views.borrow_and_update().address(life).is_none() {
                return;
            }
            if views.changed().await.is_err() {
                // Nobody looks any more: this node is leaving, and the call's deadline decides.
                std::future::pending::<()>().await;
            }
        }
    }

    fn remembered(&self, key: &DeviceKey) -> Option<Life> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    fn remember(&self, key: &DeviceKey, life: &Life) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).put(key, life);
    }

    /// The next look-up of this device reads its row.
    pub fn forget(&self, key: &DeviceKey) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Pauses between look-ups: doubling, jittered, bounded.
struct Search {
    until: Instant,
    pause: Duration,
    dice: Dice,
}

/// The search has run out of time.
struct Over;

impl Search {
    async fn wait(&mut self) -> Result<(), Over> {
        let pause = self.pause.mul_f64(self.dice.between(0.5, 1.5));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if Instant::now() + pause >= self.until {
            return Err(Over);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Who was seen to own a device, in two generations: when the young one is full it becomes the old one,
/// and what nobody has asked for since is gone with the one before.
#[derive(Default)]
struct Owners {
    young: HashMap<DeviceKey, Life>,
    old: HashMap<DeviceKey, Life>,
}

impl Owners {
    fn get(&mut self, key: &DeviceKey) -> Option<Life> {
        if let Some(life) = self.young.get(key) {
            return Some(life.clone());
        }
        let life = self.old.remove(key)?;
        self.put(key, &life);
        Some(life)
    }

    fn put(&mut self, key: &DeviceKey, life: &Life) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.clone(), life.clone());
    }

    fn remove(&mut self, key: &DeviceKey) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::Incarnation;

    use super::*;

    fn key(n: usize) -> DeviceKey {
        format!("tenants/acme/devices/d{n}").parse().expect("well formed")
    }

    #[test]
    fn the_memory_of_owners_is_bounded_and_keeps_what_is_used() {
        let life = Life { node: "n1".parse().expect("well formed"), incarnation: Incarnation(1) };
        let mut owners = Owners::default();
        for n in 0..REMEMBERED * 3 {
            owners.put(&key(n), &life);
            assert!(owners.get(&key(0)).is_some(), "asked for again and again");
        }
        assert!(owners.young.len() + owners.old.len() <= 2 * REMEMBERED);
        assert!(owners.get(&key(1)).is_none(), "nobody has asked for it");
        owners.remove(&key(0));
        assert!(owners.get(&key(0)).is_none());
    }

    #[tokio::test]
    async fn a_search_ends_with_its_time() {
        let until = Instant::now() + Duration::from_millis(60);
        let mut search = Search { until, pause: FIRST_PAUSE, dice: Dice::default() };
        let mut waits = 0;
        while search.wait().await.is_ok() {
            waits += 1;
        }
        assert!((1..=8).contains(&waits), "{waits} waits");
        assert!(Instant::now() <= search.until + Duration::from_millis(50));
    }
}
