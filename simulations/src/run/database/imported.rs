//! What has been imported, in a run's database.

use async_trait::async_trait;
use roost_node::imported::{Claim, ImportRows};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Database;

#[async_trait]
impl ImportRows for Database {
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<Claim, Unavailable> {
        self.model.claim_import(identity, key, again).await
    }
    async fn unclaim_import(&self, identity: [u8; 32], key: &DeviceKey) -> Result<(), Unavailable> {
        self.model.unclaim_import(identity, key).await
    }
}
