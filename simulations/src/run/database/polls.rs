//! Polls and their votes, in a run's database.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{StateKey, Vote};
use roost_node::polls::PollRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Database;

#[async_trait]
impl PollRows for Database {
    async fn state(&self, key: &DeviceKey, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unavailable> {
        self.model.state(key, keys).await
    }

    async fn votes(&self, key: &DeviceKey, ballot: [u8; 16], limit: usize) -> Result<Vec<Vote>, Unavailable> {
        self.model.votes(key, ballot, limit).await
    }
}
