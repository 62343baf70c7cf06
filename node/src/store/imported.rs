//! What has been imported, in the database. Written once for both dialects.
//!
//! What must hold: the row outlives the device that it names (`remove_device` only empties the names), as the key does that
//! was used. `business_id` is no part of its key: what may not be imported twice may not in two tenants either.

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Store;
use super::rows::SqlResult;
use crate::imported::{Claim, ImportRows};

/// The statements of an adapter.
#[async_trait]
pub(super) trait Claims: Send + Sync {
    async fn claim_identity(&self, identity: &[u8], b: &str, d: &str, again: bool) -> SqlResult<Claim>;
    async fn unclaim_identity(&self, identity: &[u8], b: &str, d: &str) -> SqlResult<()>;
}

macro_rules! claims {
    ($adapter:ty) => {
        #[async_trait]
        impl $crate::store::imported::Claims for $adapter {
            async fn claim_identity(
                &self,
                identity: &[u8],
                b: &str,
                d: &str,
                again: bool,
            ) -> SqlResult<$crate::imported::Claim> {
                let mut tx = self.begin_write().await?;
                let sql = "INSERT INTO imported_device (identity, business_id, device_id) VALUES ($1, $2, $3)
                           ON CONFLICT (identity) DO NOTHING";
                let query = sqlx::query(sql).bind(identity).bind(b).bind(d);
                let first = query.execute(&mut *tx).await?.rows_affected() == 1;
                let sql = "UPDATE imported_device SET business_id = $2, device_id = $3
                           WHERE identity = $1 AND ($4 OR (business_id = $2 AND device_id = $3))";
                let query = sqlx::query(sql).bind(identity).bind(b).bind(d).bind(again);
                let ours = query.execute(&mut *tx).await?.rows_affected() == 1;
                tx.commit().await?;
                Ok(match (first, ours) {
                    (true, _) => $crate::imported::Claim::First,
                    (false, true) => $crate::imported::Claim::Again,
                    (false, false) => $crate::imported::Claim::Refused,
                })
            }

            async fn unclaim_identity(&self, identity: &[u8], b: &str, d: &str) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql =
                    "DELETE FROM imported_device WHERE identity = $1 AND business_id = $2 AND device_id = $3";
                sqlx::query(sql).bind(identity).bind(b).bind(d).execute(&mut *tx).await?;
                tx.commit().await
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
    ) -> Result<Claim, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        self.sql(self.backend.claim_identity(&identity, b, d, again)).await
    }

    async fn unclaim_import(&self, identity: [u8; 32], key: &DeviceKey) -> Result<(), Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        self.sql(self.backend.unclaim_identity(&identity, b, d)).await
    }
}
