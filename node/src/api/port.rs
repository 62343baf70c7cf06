//! What the API needs of the rest of its node: the devices that run here, and the cluster's membership.
//!
//! What must hold in every adapter: [`Hosts::find`] answers from memory and never waits; what it finds
//! may have lost its grant meanwhile, which every write of it will say.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::device::DeviceHandle;
use roost_actors::port::ProxyUri;
use roost_placement::ledger::{Grant, Member, Unavailable, View};
use roost_placement::ring::{Share, Spread};
use roost_placement::wish::Wish;
use roost_proto::id::{BusinessId, DeviceKey, Epoch, Life, NodeId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::warm::NotWarm;

/// The devices that run on this node.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// The device, if it runs here.
    fn find(&self, key: &DeviceKey) -> Option<DeviceHandle>;
    /// All of them, in order of key.
    fn all(&self) -> Vec<DeviceHandle>;
    /// How many devices wait for their turn to log in.
    fn waiting(&self) -> usize;
    /// Prepares for a device that another node is about to give to this one, and that connects through this proxy.
    async fn prepare(&self, key: &DeviceKey, via: Option<&ProxyUri>) -> Result<(), NotWarm>;
    /// The device was given to this node, and had been stopped for so long.
    fn given(&self, key: &DeviceKey, epoch: Epoch, stopped: Duration);
    /// Ends everything that acts for the device and frees its ownership row; fine when it is not here.
    /// The caller has written before that it is not wanted online.
    async fn stop(&self, key: &DeviceKey) -> Result<(), Unavailable>;
}

/// A view, and when it was read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The members.
    pub view: View,
    /// Moment of the answer; `remaining` in the view counts from here.
    pub at: Instant,
}

impl Seen {
    /// The address of a life, when the view shows it living.
    pub fn address(&self, life: &Life) -> Option<&str> {
        self.view.members.iter().find(|member| member.life == *life).map(|member| member.address.as_str())
    }

    /// The present life of a node.
    pub fn life(&self, node: &NodeId) -> Option<&Life> {
        self.member(node).map(|member| &member.life)
    }

    /// What the view says of a node, if it is a member.
    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.view.members.iter().find(|member| member.life.node == *node)
    }
}

/// A hand-off that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOff {
    /// What the target was given.
    pub grant: Grant,
    /// From the last byte on the old connection to the grant.
    pub pause: Duration,
}

/// Why a hand-off did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HandOffError {
    /// This node does not own the device.
    #[error("this node does not own the device")]
    NotOwner,
    /// The target cannot take it.
    #[error("the target cannot take the device: {0}")]
    Target(&'static str),
    /// No answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A drain is under way already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a drain is under way already")]
pub struct AlreadyDraining;

/// Membership and placement, as this node sees them.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// This node in its present life.
    fn me(&self) -> Life;
    /// The view with each heartbeat.
    fn views(&self) -> watch::Receiver<Arc<Seen>>;
    /// Nodes in the order in which they should try to own the device.
    fn preference(&self, key: &DeviceKey, wish: &Wish) -> Vec<NodeId>;
    /// The tenants that this node looks up by device.
    fn spread(&self) -> Spread;
    /// The same for a tenant whose devices live together.
    fn preference_of_tenant(&self, tenant: &BusinessId) -> Vec<NodeId>;
    /// Parts of the ring.
    fn shares(&self) -> Vec<Share>;
    /// Devices that this node owns now; after its death those that it had last.
    fn owned(&self) -> usize;
    /// How long this node may act without another heartbeat; zero when it may not.
    fn may_act_for(&self) -> Duration;
    /// What is about to happen to a device of this node, in a sentence.
    async fn doing(&self, key: &DeviceKey) -> Result<Option<String>, Unavailable>;
    /// Hands a device of this node to another.
    async fn hand_off(&self, key: &DeviceKey, to: &Life) -> Result<HandedOff, HandOffError>;
    /// Another node says that it has just given us this device, or that it should be looked at.
    fn adopt(&self, key: &DeviceKey, epoch: Epoch);
    /// There may be a device to claim: look now instead of with the next sweep. May be lost.
    fn sweep(&self) {}
    /// Begins to drain this node.
    fn drain(&self) -> Result<(), AlreadyDraining>;
    /// Whether this life is over without a drain to its end: its row says dead.
    fn is_dead(&self) -> bool;
    /// Whether this node drains or leaves.
    fn draining(&self) -> watch::Receiver<bool>;
}
