//! The chosen version of WhatsApp Web, in the database. Written once for both dialects.
//!
//! What must hold: a change is one statement, which moves the view epoch too.

use std::collections::BTreeSet;

use async_trait::async_trait;
use roost_placement::ledger::Unavailable;
use roost_proto::id::UnixMillis;
use roost_proto::version::{Canary, ProtocolVersion, Rollout};

use super::Store;
use super::rows::{BadRow, SqlResult, id, unavailable};
use crate::protocol::{Chosen, ProtocolRow};

/// The statements of an adapter.
#[async_trait]
pub(super) trait Versions: Send + Sync {
    async fn version_row(&self) -> SqlResult<VersionRow>;
    async fn set_stable(&self, stable: Option<&str>) -> SqlResult<()>;
    async fn set_canary(&self, canary: Option<&str>, percent: i16, devices: &str) -> SqlResult<()>;
}

/// The columns of the choice.
#[derive(sqlx::FromRow)]
pub(super) struct VersionRow {
    protocol_stable: Option<String>,
    protocol_canary: Option<String>,
    protocol_percent: i16,
    protocol_devices: String,
    protocol_changed: i64,
}

macro_rules! versions {
    ($adapter:ty, now_millis: $now_millis:literal) => {
        #[async_trait]
        impl $crate::store::protocol::Versions for $adapter {
            async fn version_row(&self) -> SqlResult<VersionRow> {
                let sql = "SELECT protocol_stable, protocol_canary, protocol_percent, protocol_devices,
                             protocol_changed FROM cluster_control";
                sqlx::query_as(sql).fetch_one(&self.read).await
            }

            async fn set_stable(&self, stable: Option<&str>) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "UPDATE cluster_control SET protocol_stable = $1, protocol_canary = NULL,
                       protocol_percent = 0, protocol_devices = '', view_epoch = view_epoch + 1,
                       protocol_changed = ",
                    $now_millis
                );
                sqlx::query(sql).bind(stable).execute(&mut *tx).await?;
                tx.commit().await
            }

            async fn set_canary(&self, canary: Option<&str>, percent: i16, devices: &str) -> SqlResult<()> {
                let mut tx = self.begin_write().await?;
                let sql = concat!(
                    "UPDATE cluster_control SET protocol_canary = $1, protocol_percent = $2,
                       protocol_devices = $3, view_epoch = view_epoch + 1, protocol_changed = ",
                    $now_millis
                );
                sqlx::query(sql).bind(canary).bind(percent).bind(devices).execute(&mut *tx).await?;
                tx.commit().await
            }
        }
    };
}

pub(super) use versions;

impl VersionRow {
    fn read(self) -> Result<Chosen, BadRow> {
        let canary = match version("protocol_canary", self.protocol_canary)? {
            Some(version) => {
                let names = self.protocol_devices.lines();
                let devices = names.map(|name| id("cluster_control.protocol_devices", name));
                let percent = u8::try_from(self.protocol_percent).unwrap_or_default();
                Some(Canary { version, percent, devices: devices.collect::<Result<BTreeSet<_>, _>>()? })
            }
            None => None,
        };
        let rollout = Rollout { stable: version("protocol_stable", self.protocol_stable)?, canary };
        let changed = Some(UnixMillis(self.protocol_changed)).filter(|at| at.0 > 0);
        Ok(Chosen { rollout, changed })
    }
}

fn version(column: &'static str, text: Option<String>) -> Result<Option<ProtocolVersion>, BadRow> {
    let read = text.map(|text| text.parse().map_err(|_| BadRow { column, value: text }));
    read.transpose()
}

#[async_trait]
impl ProtocolRow for Store {
    async fn protocol(&self) -> Result<Chosen, Unavailable> {
        self.sql(self.backend.version_row()).await?.read().map_err(unavailable)
    }

    async fn choose_protocol(&self, stable: Option<ProtocolVersion>) -> Result<Chosen, Unavailable> {
        let stable = stable.map(|version| version.to_string());
        self.sql(self.backend.set_stable(stable.as_deref())).await?;
        self.protocol().await
    }

    async fn try_protocol(&self, canary: Option<&Canary>) -> Result<Chosen, Unavailable> {
        let version = canary.map(|canary| canary.version.to_string());
        let percent = canary.map_or(0, |canary| i16::from(canary.percent));
        let devices: Vec<String> =
            canary.iter().flat_map(|canary| &canary.devices).map(ToString::to_string).collect();
        self.sql(self.backend.set_canary(version.as_deref(), percent, &devices.join("\n"))).await?;
        self.protocol().await
    }
}
