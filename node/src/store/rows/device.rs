//! The row of a device: what it is called, what its last owner said of it, how it connects.

use roost_actors::port::DeviceStatus;
use roost_proto::api;
use roost_proto::id::UnixMillis;
use roost_proto::prost::Message as _;

use super::{BadRow, OwnershipRow};
use crate::directory::Device;

/// What a new owner reads of a device row.
#[derive(sqlx::FromRow)]
pub(in crate::store) struct LoadedRow {
    #[sqlx(flatten)]
    pub(in crate::store) status: StatusRow,
    /// Sealed.
    pub(in crate::store) proxy: Option<Vec<u8>>,
}

/// The status columns of a device row; all null before any owner wrote them.
#[derive(sqlx::FromRow)]
pub(in crate::store) struct StatusRow {
    pub(in crate::store) status_state: Option<i16>,
    pub(in crate::store) status_reason: Option<String>,
    pub(in crate::store) status_code: Option<i64>,
    pub(in crate::store) status_pn: Option<String>,
    pub(in crate::store) status_lid: Option<String>,
    pub(in crate::store) status_push_name: Option<String>,
    pub(in crate::store) status_at: Option<i64>,
    pub(in crate::store) status_health: Option<Vec<u8>>,
}

impl StatusRow {
    /// What a later release says of a device is left out, and so is a damaged word about its account.
    pub(in crate::store) fn read(self) -> Option<DeviceStatus> {
        let state = i32::from(self.status_state?);
        let health = api::AccountHealth::decode(self.status_health.unwrap_or_default().as_slice());
        Some(DeviceStatus {
            state: api::device::State::try_from(state).unwrap_or_default(),
            reason: self.status_reason.unwrap_or_default(),
            code: u32::try_from(self.status_code.unwrap_or(0)).unwrap_or(0),
            pn: self.status_pn,
            lid: self.status_lid,
            push_name: self.status_push_name.unwrap_or_default(),
            at: UnixMillis(self.status_at.unwrap_or(0)),
            health: health.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is known of the health of an account cannot be read");
                Default::default()
            }),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(in crate::store) struct DeviceRow {
    #[sqlx(flatten)]
    ownership: OwnershipRow,
    #[sqlx(flatten)]
    status: StatusRow,
    display_name: String,
    created: i64,
    /// Sealed.
    pub(in crate::store) proxy: Option<Vec<u8>>,
}

impl DeviceRow {
    /// Without the proxy, which stays sealed here.
    pub(in crate::store) fn read(self) -> Result<Device, BadRow> {
        Ok(Device {
            ownership: self.ownership.read()?,
            display_name: self.display_name,
            status: self.status.read(),
            created: UnixMillis(self.created),
            proxy: None,
        })
    }
}
