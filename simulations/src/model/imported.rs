//! What has been imported, in the model.

use async_trait::async_trait;
use roost_node::imported::ImportRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Model;

#[async_trait]
impl ImportRows for Model {
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<bool, Unavailable> {
        self.step(|tables, _| {
            let row = tables.imported.entry(identity).or_insert_with(|| Some(key.clone()));
            let ours = again || row.as_ref() == Some(key);
            if ours {
                *row = Some(key.clone());
            }
            ours
        })
    }
}
