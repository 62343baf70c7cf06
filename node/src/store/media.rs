//! Rows of files, in the database. Written once for both dialects.
//!
//! What must hold: a body is sealed at its place (tenant, `media.body`, id); `business_id` stands in every
//! predicate but the sweep's. These are no device tables: they need no grant.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::BusinessId;

use super::Store;
use super::rows::{SqlResult, id as read_id, millis, unavailable};
use super::seal::Place;
use crate::media::MediaRows;

/// The statements of an adapter.
#[async_trait]
pub(super) trait Files: Send + Sync {
    async fn put_file(&self, tenant: &str, id: &str, body: &[u8]) -> SqlResult<()>;
    async fn replace_file(&self, tenant: &str, id: &str, body: &[u8]) -> SqlResult<bool>;
    async fn file(&self, tenant: &str, id: &str) -> SqlResult<Option<Vec<u8>>>;
    async fn remove_file(&self, tenant: &str, id: &str) -> SqlResult<bool>;
    async fn old_files(&self, retention: i64, limit: i64) -> SqlResult<Vec<(String, String)>>;
}

macro_rules! files {
    ($adapter:ty, now_millis: $now_millis:literal) => {
        #[async_trait]
        impl $crate::store::media::Files for $adapter {
            async fn put_file(&self, tenant: &str, id: &str, body: &[u8]) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "INSERT INTO media (business_id, media_id, created, body) VALUES ($1, $2, ",
                    $now_millis,
                    ", $3)
                     ON CONFLICT (business_id, media_id) DO UPDATE SET body = excluded.body"
                );
                sqlx::query(sql).bind(tenant).bind(id).bind(body).execute(&mut *tx).await?;
                tx.commit().await
            }

            async fn replace_file(&self, tenant: &str, id: &str, body: &[u8]) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "UPDATE media SET body = $3 WHERE business_id = $1 AND media_id = $2";
                let query = sqlx::query(sql).bind(tenant).bind(id).bind(body);
                let replaced = query.execute(&mut *tx).await?.rows_affected();
                tx.commit().await?;
                Ok(replaced == 1)
            }

            async fn file(&self, tenant: &str, id: &str) -> SqlResult<Option<Vec<u8>>> {
                let sql = "SELECT body FROM media WHERE business_id = $1 AND media_id = $2";
                sqlx::query_scalar(sql).bind(tenant).bind(id).fetch_optional(&self.read).await
            }

            async fn remove_file(&self, tenant: &str, id: &str) -> SqlResult<bool> {
                let mut tx = self.begin_write().await?;
                let sql = "DELETE FROM media WHERE business_id = $1 AND media_id = $2";
                let gone = sqlx::query(sql).bind(tenant).bind(id).execute(&mut *tx).await?.rows_affected();
                tx.commit().await?;
                Ok(gone == 1)
            }

            async fn old_files(&self, retention: i64, limit: i64) -> SqlResult<Vec<(String, String)>> {
                let sql = concat!(
                    "SELECT business_id, media_id FROM media WHERE created <= ",
                    $now_millis,
                    " - $1 ORDER BY created, business_id, media_id LIMIT $2"
                );
                sqlx::query_as(sql).bind(retention).bind(limit).fetch_all(&self.read).await
            }
        }
    };
}

pub(super) use files;

fn place<'a>(tenant: &'a BusinessId, id: &'a str) -> Place<'a> {
    Place { business_id: tenant.as_str(), device_id: "", column: "media.body", row: id }
}

#[async_trait]
impl MediaRows for Store {
    async fn put_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        let Some(key) = self.seal_for(tenant).await? else { return Ok(false) };
        let sealed = key.seal(&place(tenant, id), body);
        self.sql(self.backend.put_file(tenant.as_str(), id, &sealed)).await?;
        Ok(true)
    }

    async fn replace_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable> {
        let Some(key) = self.seal_for(tenant).await? else { return Ok(false) };
        let sealed = key.seal(&place(tenant, id), body);
        self.sql(self.backend.replace_file(tenant.as_str(), id, &sealed)).await
    }

    async fn media(&self, tenant: &BusinessId, id: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let Some(key) = self.seal_for(tenant).await? else { return Ok(None) };
        let sealed = self.sql(self.backend.file(tenant.as_str(), id)).await?;
        sealed.map(|sealed| key.open(&place(tenant, id), &sealed)).transpose().map_err(unavailable)
    }

    async fn remove_media(&self, tenant: &BusinessId, id: &str) -> Result<bool, Unavailable> {
        self.sql(self.backend.remove_file(tenant.as_str(), id)).await
    }

    async fn old_media(
        &self,
        retention: Duration,
        limit: usize,
    ) -> Result<Vec<(BusinessId, String)>, Unavailable> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.sql(self.backend.old_files(millis(retention), limit)).await?;
        let row = |(tenant, id): (String, String)| Ok((read_id("media.business_id", &tenant)?, id));
        rows.into_iter().map(row).collect::<Result<_, super::rows::BadRow>>().map_err(unavailable)
    }
}
