//! The port to what is kept of polls: what the device knows of them, and their votes.
//!
//! What must hold in every adapter: `business_id` is in every predicate; nothing is written here, as votes are
//! committed by the device's owner.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{StateKey, Vote};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

/// What is kept of polls.
#[async_trait]
pub trait PollRows: Send + Sync + 'static {
    /// Pieces of a device's state as the last commit has left them, whoever owns the device: one answer per key, in
    /// order.
    async fn state(&self, key: &DeviceKey, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unavailable>;
    /// Votes of a poll, in order of voter, at most `limit`.
    async fn votes(&self, key: &DeviceKey, ballot: [u8; 16], limit: usize) -> Result<Vec<Vote>, Unavailable>;
}
