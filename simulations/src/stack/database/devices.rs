//! The devices' port of a link.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{Batch, Committed, DeviceStore, DeviceStoreError, Loaded, StateKey, StoredMessage};
use roost_placement::ledger::Grant;
use roost_proto::id::Age;

use super::Link;

#[async_trait]
impl DeviceStore for Link {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        Link::read(self, self.database.load(grant)).await
    }

    async fn read(
        &self,
        grant: &Grant,
        age: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError> {
        Link::read(self, DeviceStore::read(&self.database, grant, age, keys)).await
    }

    async fn sent_messages(
        &self,
        grant: &Grant,
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        Link::read(self, self.database.sent_messages(grant, whatsapp_ids)).await
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        let grant = grant.clone();
        self.write(async move |link| {
            let done = link.database.commit(&grant, batch).await?;
            // Nobody may be watching.
            let _ = link.commits.send(grant.key);
            Ok(done)
        })
        .await
    }
}
