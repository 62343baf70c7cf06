//! Polls and their votes, in the model.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{StateKey, Vote};
use roost_node::polls::PollRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Model;

#[async_trait]
impl PollRows for Model {
    async fn state(&self, key: &DeviceKey, keys: &[StateKey]) -> Result<Vec<Option<Bytes>>, Unavailable> {
        self.step(|tables, _| {
            let row = tables.devices.get(key);
            keys.iter().map(|name| row.and_then(|row| row.state.get(name)).cloned()).collect()
        })
    }

    async fn votes(&self, key: &DeviceKey, ballot: [u8; 16], limit: usize) -> Result<Vec<Vote>, Unavailable> {
        self.step(|tables, _| {
            let votes = tables.devices.get(key).into_iter().flat_map(|row| &row.votes);
            let votes = votes.filter(|((of, _), _)| *of == ballot);
            votes.map(|(_, vote)| vote.clone()).take(limit).collect()
        })
    }
}
