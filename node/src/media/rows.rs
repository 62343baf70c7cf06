//! The port to the rows of files: what was uploaded, and where WhatsApp keeps what has moved since its message.
//!
//! What must hold in every adapter: `business_id` is in every predicate but the sweep's; a body is sealed with
//! the tenant's key, because the media key is in it; a row keeps the time at which it was first written.

use std::time::Duration;

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::{BusinessId, DeviceId, Sequence};

/// Rows of files. A body is an encoded `Media` of the public schema.
#[async_trait]
pub trait MediaRows: Send + Sync + 'static {
    /// Writes a row, or a new body into it. `false` when there is no such tenant.
    async fn put_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable>;
    /// Writes a new body into a row. `false` when there is none.
    async fn replace_media(&self, tenant: &BusinessId, id: &str, body: &[u8]) -> Result<bool, Unavailable>;
    /// Reads a row.
    async fn media(&self, tenant: &BusinessId, id: &str) -> Result<Option<Vec<u8>>, Unavailable>;
    /// Removes a row. `false` when there is none.
    async fn remove_media(&self, tenant: &BusinessId, id: &str) -> Result<bool, Unavailable>;
    /// Rows that were first written this long ago or longer, by the database's clock alone, the oldest first.
    async fn old_media(
        &self,
        retention: Duration,
        limit: usize,
    ) -> Result<Vec<(BusinessId, String)>, Unavailable>;
}

/// Id of the row that says where the file of a received message is now. Ids of uploads have no dot.
pub fn location_row(device: &DeviceId, sequence: Sequence) -> String {
    format!("{device}.{sequence}")
}
