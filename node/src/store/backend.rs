//! What an adapter answers below the ports: rows in and out, private values sealed.
//!
//! What must hold: reads for a device happen under its grant, in the statement or in one snapshot;
//! the only write to device tables is through [`Backend::begin`], which the fenced transaction uses.

use async_trait::async_trait;
use roost_placement::ledger::{Grant, Ledger};

use super::fenced::Rows;
use super::imported::Claims;
use super::leftovers::Leftovers;
use super::media::Files;
use super::polls::Ballots;
use super::protocol::Versions;
use super::rows::{DeviceRow, EventRow, MessageRow, SqlResult, StateRow, StatusRow, TenantRow};
use super::wishes::Wishes;

/// What `load` reads in one snapshot; all values sealed.
pub(super) struct LoadedRows {
    pub(super) status: StatusRow,
    pub(super) proxy: Option<Vec<u8>>,
    pub(super) state: Vec<StateRow>,
    pub(super) outbox: Vec<MessageRow>,
    pub(super) active: Option<i64>,
    pub(super) age: i64,
    /// The last sequence and the last ordinal.
    pub(super) heads: (i64, i64),
}

/// What became of a wish for a new device.
pub(super) enum Creation {
    Made,
    Exists,
    NoTenant,
    /// Not everything of an earlier device of the name is removed.
    Leftovers,
}

/// Bounds of one device's log.
#[derive(sqlx::FromRow)]
pub(super) struct LogHeadRow {
    pub(super) device_id: String,
    pub(super) began: i64,
    pub(super) earliest: i64,
    pub(super) last_seq: i64,
    /// Of the event there; 0 when it is not kept.
    pub(super) age: i64,
}

/// What has gone of one log.
#[derive(sqlx::FromRow)]
pub(super) struct ExpiredRow {
    /// When the event was committed for which this log was chosen.
    pub(super) committed: i64,
    pub(super) gone: i64,
}

/// One database, whichever it is. `(b, d)` is the key of a device.
#[async_trait]
pub(super) trait Backend: Ledger + Wishes + Files + Ballots + Versions + Leftovers + Claims {
    /// A write transaction, for [`super::fenced::FencedTx`] only.
    async fn begin(&self) -> SqlResult<Box<dyn Rows>>;

    /// What a new owner begins with; `None` when the grant does not stand.
    async fn load(&self, grant: &Grant) -> SqlResult<Option<LoadedRows>>;
    /// Values by kind and name, given as a JSON array of pairs. Empty when the grant does not stand.
    async fn read(&self, grant: &Grant, age: i64, names: &str) -> SqlResult<Vec<Option<Vec<u8>>>>;
    /// Sent messages by WhatsApp's ids, given as a JSON array, in the order of acceptance; `None` when the grant does not
    /// stand.
    async fn sent(&self, grant: &Grant, ids: &str) -> SqlResult<Option<Vec<MessageRow>>>;

    /// The stored key check; `fresh` is stored when there is none.
    async fn key_check(&self, fresh: &[u8]) -> SqlResult<Vec<u8>>;
    async fn data_key(&self, tenant: &str) -> SqlResult<Option<Vec<u8>>>;
    /// `None` when the id is taken.
    async fn insert_tenant(&self, id: &str, name: &str, data_key: &[u8]) -> SqlResult<Option<TenantRow>>;
    async fn tenant_row(&self, id: &str) -> SqlResult<Option<TenantRow>>;
    async fn tenant_rows(&self, after: &str, limit: i64) -> SqlResult<Vec<TenantRow>>;

    /// `proxy` sealed.
    async fn insert_device(&self, b: &str, d: &str, name: &str, proxy: Option<&[u8]>) -> SqlResult<Creation>;
    /// `None` leaves a column as it is; of the proxy, which is sealed, the inner `None` empties it.
    async fn change_device(
        &self,
        b: &str,
        d: &str,
        name: Option<&str>,
        proxy: Option<Option<&[u8]>>,
    ) -> SqlResult<bool>;
    async fn device_row(&self, b: &str, d: &str) -> SqlResult<Option<DeviceRow>>;
    /// `tenant` empty: all tenants.
    async fn device_rows(&self, tenant: &str, after: (&str, &str), limit: i64) -> SqlResult<Vec<DeviceRow>>;
    async fn set_desired(&self, b: &str, d: &str, desired: &str) -> SqlResult<bool>;
    async fn remove_device(&self, b: &str, d: &str) -> SqlResult<bool>;

    async fn message_row(&self, b: &str, d: &str, message_id: &str) -> SqlResult<Option<MessageRow>>;
    async fn requested_row(&self, b: &str, d: &str, request_id: &str) -> SqlResult<Option<MessageRow>>;
    async fn event_rows(&self, b: &str, d: &str, after: i64, limit: i64) -> SqlResult<Vec<EventRow>>;
    /// `device` empty: all devices of the tenant.
    async fn log_heads(&self, tenant: &str, device: &str) -> SqlResult<Vec<LogHeadRow>>;
    /// Removes from its front what is too old of one log, at most `limit` events: of the log with the oldest event that was
    /// committed at `from` or later, among those that nobody holds. `None` when there is none.
    async fn expire(&self, retention: i64, from: i64, limit: i64) -> SqlResult<Option<ExpiredRow>>;
    async fn expire_quarantine(&self, retention: i64, limit: i64) -> SqlResult<u64>;

    async fn hold(&self, tenant: &str, consumer: &str, holder: &str, lasting: i64) -> SqlResult<bool>;
    async fn keep(&self, tenant: &str, consumer: &str, holder: &str, lasting: i64) -> SqlResult<bool>;
    async fn let_go(&self, tenant: &str, consumer: &str, holder: &str) -> SqlResult<()>;
    async fn position_rows(&self, tenant: &str, consumer: &str) -> SqlResult<Vec<(String, i64)>>;
    /// Positions as a JSON array of pairs, one per device.
    async fn move_positions(
        &self,
        tenant: &str,
        consumer: &str,
        holder: &str,
        positions: &str,
    ) -> SqlResult<bool>;
}
