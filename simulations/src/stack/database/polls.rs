//! Polls and their votes, in the database over a link.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{StateKey, Vote};
use roost_node::polls::PollRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Link;

#[async_trait]
impl PollRows for Link {
    async fn state(&self, key: &DeviceKey, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unavailable> {
        self.read(self.database.state(key, keys)).await
    }

    async fn votes(&self, key: &DeviceKey, ballot: [u8; 16], limit: usize) -> Result<Vec<Vote>, Unavailable> {
        self.read(self.database.votes(key, ballot, limit)).await
    }
}
