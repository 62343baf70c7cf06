//! The way to the cluster module: what it knows, and what can be asked of it.
//!
//! What must hold: everything that is read here is a hint for balance, routing and people; requests go
//! through a bounded queue and are answered or refused with a type.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roost_placement::choice::Choice;
use roost_placement::ledger::{MemberState, Unavailable, View};
use roost_placement::machine;
use roost_placement::ring::{Ring, RingKey, Share, Spread};
use roost_placement::wish::Wish;
use roost_proto::id::{BusinessId, DeviceKey, Epoch, Life, NodeId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::permission::Permission;
use crate::api::port::{AlreadyDraining, Cluster, HandOffError, HandedOff, Seen};

/// How long a caller waits for a device to be stopped and freed.
const FREEING: Duration = Duration::from_secs(15);

/// How long a caller waits for an answer that needs no work.
const ASKING: Duration = Duration::from_secs(2);

/// How long a caller waits for a hand-off.
const HANDING: Duration = Duration::from_secs(30);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// After a drain: the node owns nothing and its row is closed.
    Drained,
    /// The row said dead. Another life may begin.
    Dead,
}

/// The ring as this node sees it.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) ring: Ring,
    pub(super) spread: Spread,
}

/// What callers ask of the driver.
pub(super) enum Command {
    HandOff(DeviceKey, NodeId, oneshot::Sender<Result<machine::HandedOff, machine::HandOffError>>),
    Doing(DeviceKey, oneshot::Sender<Option<String>>),
    Drain(oneshot::Sender<Result<(), machine::AlreadyDraining>>),
    Adopt(DeviceKey),
    Sweep,
    Free(DeviceKey, oneshot::Sender<()>),
}

/// What the driver publishes and what leads to it.
pub(super) struct Shared {
    pub(super) life: Life,
    pub(super) permission: Arc<Permission>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) views: watch::Sender<Arc<Seen>>,
    pub(super) placed: watch::Sender<Arc<Placed>>,
    pub(super) owned: watch::Sender<usize>,
    pub(super) standing: watch::Sender<MemberState>,
    pub(super) draining: watch::Sender<bool>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Shared {
    pub(super) fn new(
        life: Life,
        permission: Arc<Permission>,
        commands: mpsc::Sender<Command>,
        ended: watch::Receiver<Option<Ended>>,
    ) -> Arc<Shared> {
        let seen = Seen { view: View::default(), at: Instant::now() };
        let placed = Placed { ring: Ring::new([]), spread: Spread::default() };
        Arc::new(Shared {
            life,
            permission,
            commands,
            views: watch::Sender::new(Arc::new(seen)),
            placed: watch::Sender::new(Arc::new(placed)),
            owned: watch::Sender::new(0),
            standing: watch::Sender::new(MemberState::Joining),
            draining: watch::Sender::new(false),
            ended,
        })
    }
}

/// A cloneable way to the cluster module of this node.
#[derive(Clone)]
pub struct ClusterHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterHandle({})", self.shared.life)
    }
}

impl ClusterHandle {
    pub(super) fn new(shared: Arc<Shared>) -> ClusterHandle {
        ClusterHandle { shared }
    }

    /// Whether devices of this node may act now.
    pub fn may_act(&self) -> bool {
        self.shared.permission.may_act()
    }

    /// Own state as the ledger has confirmed it.
    pub fn standing(&self) -> watch::Receiver<MemberState> {
        self.shared.standing.subscribe()
    }

    /// Devices that this node owns, as it changes; during a drain, what remains.
    pub fn remaining(&self) -> watch::Receiver<usize> {
        self.shared.owned.subscribe()
    }

    /// Says once, at the end, how this life ended. A channel that is closed without a word means that the
    /// driver has failed: leave the process, the lease ends by itself.
    pub fn ended(&self) -> watch::Receiver<Option<Ended>> {
        self.shared.ended.clone()
    }

    /// A device was made, or is wanted online again: look for what can be claimed now instead of with
    /// the next sweep. May be lost.
    pub fn sweep(&self) {
        // A full queue means that the driver is busy; its next sweep comes anyway.
        let _ = self.shared.commands.try_send(Command::Sweep);
    }

    /// Ends everything that acts for the device here and frees its row; fine when it is not here. The
    /// caller has written before that it is not wanted online.
    pub async fn free(&self, key: &DeviceKey) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Free(key.clone(), reply), answer, FREEING).await
    }

    /// The same request for the driver and its answer, both within `limit`.
    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<T>,
        limit: Duration,
    ) -> Result<T, Unavailable> {
        let asked = async {
            self.shared
                .commands
                .send(command)
                .await
                .map_err(|_| Unavailable("this node is leaving".into()))?;
            answer.await.map_err(|_| Unavailable("this node is leaving".into()))
        };
        timeout(limit, asked).await.map_err(|_| Unavailable("the node did not get it done in time".into()))?
    }

    fn names(preference: Vec<&NodeId>) -> Vec<NodeId> {
        preference.into_iter().cloned().collect()
    }
}

#[async_trait]
impl Cluster for ClusterHandle {
    fn me(&self) -> Life {
        self.shared.life.clone()
    }

    fn views(&self) -> watch::Receiver<Arc<Seen>> {
        self.shared.views.subscribe()
    }

    fn preference(&self, key: &DeviceKey, wish: &Wish) -> Vec<NodeId> {
        let (placed, seen) = (self.shared.placed.borrow().clone(), self.shared.views.borrow().clone());
        Self::names(Choice::new(&placed.ring, &seen.view, &placed.spread).order(key, wish))
    }

    fn spread(&self) -> Spread {
        self.shared.placed.borrow().spread.clone()
    }

    fn preference_of_tenant(&self, tenant: &BusinessId) -> Vec<NodeId> {
        Self::names(self.shared.placed.borrow().ring.preference(RingKey::Tenant(tenant)))
    }

    fn shares(&self) -> Vec<Share> {
        self.shared.placed.borrow().ring.shares()
    }

    fn owned(&self) -> usize {
        *self.shared.owned.borrow()
    }

    fn is_dead(&self) -> bool {
        *self.shared.ended.borrow() == Some(Ended::Dead)
    }

    fn may_act_for(&self) -> Duration {
        self.shared.permission.remaining()
    }

    async fn doing(&self, key: &DeviceKey) -> Result<Option<String>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Doing(key.clone(), reply), answer, ASKING).await
    }

    async fn hand_off(&self, key: &DeviceKey, to: &Life) -> Result<HandedOff, HandOffError> {
        let seen = self.shared.views.borrow().clone();
        if seen.life(&to.node) != Some(to) {
            return Err(HandOffError::Target("it is not a member in that life any more"));
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::HandOff(key.clone(), to.node.clone(), reply);
        match self.ask(command, answer, HANDING).await? {
            Ok(machine::HandedOff { grant, pause }) => Ok(HandedOff { grant, pause }),
            Err(error) => Err(match error {
                machine::HandOffError::NotOwner | machine::HandOffError::Lost => HandOffError::NotOwner,
                machine::HandOffError::UnknownTarget(_) => HandOffError::Target("there is no such member"),
                machine::HandOffError::TargetNotActive(_) => HandOffError::Target("it is not active"),
                machine::HandOffError::TargetCordoned(_) => HandOffError::Target("it is cordoned"),
                machine::HandOffError::AlreadyHere => HandOffError::Target("it owns the device already"),
                machine::HandOffError::TargetRefused => HandOffError::Target("its lease was about to end"),
                error @ (machine::HandOffError::Busy | machine::HandOffError::Suspended) => {
                    HandOffError::Unavailable(Unavailable(Box::new(error)))
                }
            }),
        }
    }

    fn adopt(&self, key: &DeviceKey, _epoch: Epoch) {
        // A full queue means that the driver is busy; its next audit finds the device.
        let _ = self.shared.commands.try_send(Command::Adopt(key.clone()));
    }

    fn sweep(&self) {
        ClusterHandle::sweep(self);
    }

    fn drain(&self) -> Result<(), AlreadyDraining> {
        if self.shared.ended.borrow().is_some() {
            return Err(AlreadyDraining);
        }
        // Two callers at once: one of them wins here, before the driver hears of it.
        if !self.shared.draining.send_if_modified(|draining| !std::mem::replace(draining, true)) {
            return Err(AlreadyDraining);
        }
        let (reply, _answer) = oneshot::channel();
        let commands = self.shared.commands.clone();
        tokio::spawn(async move {
            // The driver only refuses what has begun already.
            let _ = commands.send(Command::Drain(reply)).await;
        });
        Ok(())
    }

    fn draining(&self) -> watch::Receiver<bool> {
        self.shared.draining.subscribe()
    }
}
