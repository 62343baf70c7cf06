//! What a deleted device leaves behind: many rows, so they go in pieces, each in a transaction of its own that holds nobody
//! up. Written once for both dialects.
//!
//! What must hold: nothing of a device that exists is touched; another device of the name is made when nothing is left.

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::DeviceKey;

use super::Store;
use super::rows::SqlResult;

/// The statements of an adapter.
#[async_trait]
pub(super) trait Leftovers: Send + Sync {
    /// Removes some rows of a deleted device; returns how many.
    async fn remove_some(&self, b: &str, d: &str) -> SqlResult<u64>;
}

/// The tables that have rows of one device alone, each with what names a row within the device, handed to a macro.
macro_rules! tables {
    ($with:ident!) => {
        $with! {
            "device_state": "kind, name",
            "message": "message_id",
            "event": "seq",
            "event_dedupe": "digest",
            "poll_vote": "ballot, voter",
            "quarantine": "digest",
            "ownership_log": "epoch",
        }
    };
}

macro_rules! any {
    ($($table:literal: $key:literal,)*) => {
        concat!(
            "SELECT false",
            $(" OR EXISTS (SELECT 1 FROM ", $table, " WHERE business_id = $1 AND device_id = $2)",)*
        )
    };
}

/// Whether anything is left, asked in the transaction that makes another device of the name.
pub(super) const ANY: &str = tables!(any!);

macro_rules! some {
    ($($table:literal: $key:literal,)*) => {
        [$(concat!(
            "DELETE FROM ", $table, " WHERE business_id = $1 AND device_id = $2 AND (", $key, ") IN (SELECT ", $key,
            " FROM ", $table, " WHERE business_id = $1 AND device_id = $2
                AND EXISTS (SELECT 1 FROM ownership o WHERE o.business_id = $1 AND o.device_id = $2
                            AND o.desired = 'deleted')
              LIMIT 200)"
        ),)*]
    };
}

/// Each removes some rows of a deleted device from one table.
pub(super) const SOME: [&str; 7] = tables!(some!);

/// How often who makes a device clears what another caller is deleting.
pub(super) const TRIES: usize = 20;

macro_rules! leftovers {
    ($adapter:ty) => {
        #[async_trait]
        impl $crate::store::leftovers::Leftovers for $adapter {
            async fn remove_some(&self, b: &str, d: &str) -> SqlResult<u64> {
                let mut removed = 0;
                for sql in $crate::store::leftovers::SOME {
                    let mut tx = self.begin_write().await?;
                    removed += sqlx::query(sql).bind(b).bind(d).execute(&mut *tx).await?.rows_affected();
                    tx.commit().await?;
                }
                Ok(removed)
            }
        }
    };
}
pub(super) use leftovers;

impl Store {
    /// Removes what a deleted device has left. Returns whether that was anything. It takes as long as it takes; who is
    /// interrupted has done a part of it.
    pub(super) async fn clear(&self, key: &DeviceKey) -> Result<bool, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let mut any = false;
        while self.sql(self.backend.remove_some(b, d)).await? > 0 {
            any = true;
        }
        Ok(any)
    }
}
