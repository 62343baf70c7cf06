//! What has been imported, in the database. Written once for both dialects.
//!
//! What must hold: the row outlives the device that it names (`remove_device` only empties the names), as the key does that
//! was used. `business_id` is no part of its key: what may not be imported twice may not in two tenants either.

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Store;
use super::rows::SqlResult;
use crate::imported::ImportRows;

/// The statements of an adapter.
#[async_trait]
pub(super) trait Claims: Send + Sync {
    async fn claim_identity(&self, identity: &[u8], b: &str, d: &str, again: bool) -> SqlResult<bool>;
}

macro_rules! claims {
    ($adapter:ty) => {
        #[async_trait]
        impl $crate::store::imported::Claims for $adapter {
            async fn claim_identity(&self, identity: &[u8], b: &str, d: &str, again: bool) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "INSERT INTO imported_device AS i (identity, business_id, device_id) VALUES ($1, $2, $3)
                           ON CONFLICT (identity) DO UPDATE SET
                             business_id = excluded.business_id, device_id = excluded.device_id
                           WHERE $4 OR (i.business_id = excluded.business_id AND i.device_id = excluded.device_id)";
                let query = sqlx::query(sql).bind(identity).bind(b).bind(d).bind(again);
                let claimed = query.execute(&mut *tx).await?.rows_affected() == 1;
                tx.commit().await?;
                Ok(claimed)
            }
        }
    };
}

pub(super) use claims;

#[async_trait]
impl ImportRows for Store {
    async fn claim_import(
        &self,
        identity: [u8; 32],
        key: &DeviceKey,
        again: bool,
    ) -> Result<bool, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        self.sql(self.backend.claim_identity(&identity, b, d, again)).await
    }
}
