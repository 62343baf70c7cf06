//! What has been imported, in the database over a link.

use async_trait::async_trait;
use roost_node::imported::{Claim, ImportRows};
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Link;

#[async_trait]
impl ImportRows for Link {
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<Claim, Unavailable> {
        let key = key.clone();
        self.write(move |link| async move { link.database.claim_import(identity, &key, again).await }).await
    }
    async fn unclaim_import(&self, identity: [u8; 32], key: &DeviceKey) -> Result<(), Unavailable> {
        let key = key.clone();
        self.write(move |link| async move { link.database.unclaim_import(identity, &key).await }).await
    }
}
