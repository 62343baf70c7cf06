//! What the cluster module needs of the devices and of the other nodes.
//!
//! What must hold in every adapter: `stop` returns only when nothing of the device sends, dials or
//! writes any more, within seconds, whatever the device does; a hint may be lost.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::device::Opening;
use roost_placement::egress::Reach;
use roost_placement::lease::BootTime;
use roost_proto::id::{DeviceKey, Epoch, Life};

/// Ends when the device has ended, for whatever reason. The text says why, for the log.
pub type Ending = Pin<Box<dyn Future<Output = String> + Send>>;

/// A device could not be opened; nothing of it runs.
#[derive(Debug, thiserror::Error)]
#[error("the device cannot be opened: {0}")]
pub struct StartError(pub String);

/// The devices of this node, as the driver moves them. Calls for one device never overlap.
#[async_trait]
pub trait Hosting: Send + Sync + 'static {
    /// Opens a device under a grant. Bounded in time by the adapter.
    async fn start(&self, opening: Opening) -> Result<Ending, StartError>;
    /// How many devices get through to WhatsApp and how many fail to, at `now`.
    fn reach(&self, now: BootTime) -> Reach;
    /// Whether WhatsApp can be reached from here: tries it, logs nobody in. Bounded in time by the adapter.
    async fn probe(&self) -> bool;
    /// Whether the device is connected to WhatsApp: then it is worth preparing its new place before it is
    /// stopped here.
    fn is_connected(&self, key: &DeviceKey) -> bool;
    /// Ends a device; fine when it has ended or never ran.
    async fn stop(&self, key: &DeviceKey);
    /// No device may act from now on; connections stay open and unread.
    async fn quiesce(&self);
    /// Devices may act again.
    async fn resume(&self);
    /// Ends everything at once: this life is over.
    async fn close(&self);
}

/// Tells another node that something concerns it.
#[async_trait]
pub trait PeerHint: Send + Sync + 'static {
    /// The node was given this device, which had been `stopped` for so long. `address` is `host:port`.
    /// Errors do not matter: it finds out by itself.
    async fn adopt(&self, peer: &Life, address: &str, key: &DeviceKey, epoch: Epoch, stopped: Duration);
    /// The node is about to be given this device: returns when it has prepared, or cannot, at the latest
    /// after `within`.
    async fn warm(&self, peer: &Life, address: &str, key: &DeviceKey, within: Duration);
}
