//! Rows of files of a run's database.

use std::time::Duration;

use async_trait::async_trait;
use roost_node::media::MediaRows;
use roost_placement::ledger::Unavailable;
use roost_proto::id::BusinessId;

use super::Database;

#[async_trait]
impl MediaRows for Database {
    async fn put_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        self.model.put_media(tenant, id, body).await
    }

    async fn replace_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        self.model.replace_media(tenant, id, body).await
    }

    async fn media(&self, tenant: &BusinessId, id: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.model.media(tenant, id).await
    }

    async fn remove_media(&self, tenant: &BusinessId, id: &str) -> Result<bool, Unavailable> {
        self.model.remove_media(tenant, id).await
    }

    async fn old_media(
        &self,
        retention: Duration,
        limit: usize,
    ) -> Result<Vec<(BusinessId, String)>, Unavailable> {
        self.model.old_media(retention, limit).await
    }
}
