//! The version of WhatsApp Web that devices log in with, as operators see and choose it.

use roost_proto::api;
use roost_proto::version::ProtocolVersion;

use super::call::Call;
use super::parse::protocol::{Choice, choice};
use super::{Api, convert};
use crate::errors::ApiError;
use crate::protocol::Chosen;

impl Api {
    pub(super) async fn protocol_version(&self, call: &Call) -> Result<api::ProtocolVersion, ApiError> {
        call.must_operate()?;
        Ok(shown(self.directory().protocol().await?))
    }

    pub(super) async fn choose_protocol_version(
        &self,
        call: &Call,
        request: &api::SetProtocolVersionRequest,
    ) -> Result<api::ProtocolVersion, ApiError> {
        let choice = choice(request)?;
        call.must_operate()?;
        let rows = self.directory();
        let chosen = match &choice {
            Choice::Stable(version) => rows.choose_protocol(*version).await,
            Choice::Canary(canary) => rows.try_protocol(canary.as_ref()).await,
        };
        Ok(shown(chosen?))
    }
}

fn shown(chosen: Chosen) -> api::ProtocolVersion {
    let text = |version: Option<ProtocolVersion>| version.map(|version| version.to_string());
    let canary = chosen.rollout.canary;
    api::ProtocolVersion {
        stable: text(chosen.rollout.stable).unwrap_or_default(),
        built_in: ProtocolVersion::BUILT_IN.to_string(),
        canary: text(canary.as_ref().map(|canary| canary.version)).unwrap_or_default(),
        canary_percent: canary.as_ref().map_or(0, |canary| canary.percent.into()),
        canary_devices: canary.iter().flat_map(|canary| &canary.devices).map(ToString::to_string).collect(),
        change_time: chosen.changed.map(convert::timestamp),
    }
}
