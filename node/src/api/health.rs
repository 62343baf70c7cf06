//! The health of an account and the pace of its device, for callers.
//!
//! What must hold: health is read from the device's row, so any node answers, also while nobody holds the
//! device, and after WhatsApp was asked for it anew too; the pace is the owner's.

use roost_actors::device::{DeviceHandle, Pace, PacingPolicy};
use roost_proto::api;
use roost_proto::api::account_service_client::AccountServiceClient;

use super::call::Call;
use super::messages::command_error;
use super::{Api, convert, parse};
use crate::errors::ApiError;

/// Largest limits of a policy: more is as good as none.
const REPLIES: u32 = 10_000;
const REACH_OUTS: u32 = 100_000;

impl Api {
    pub(super) async fn account_health(
        &self,
        call: &Call,
        request: &api::GetAccountHealthRequest,
    ) -> Result<api::AccountHealth, ApiError> {
        let key = parse::device("device", &request.device)?;
        call.may_name_device(&key)?;
        if request.refresh {
            self.command(
                call,
                &key,
                |device| async move { device.refresh_health().await },
                |channel| {
                    let request = call.forward(request.clone());
                    async move {
                        AccountServiceClient::new(channel).get_account_health(request).await.map(drop)
                    }
                },
            )
            .await?;
        }
        let status = self.device(&key).await?.status;
        Ok(status.map(|status| status.health).unwrap_or_default())
    }

    pub(super) async fn quota(
        &self,
        call: &Call,
        request: &api::GetQuotaRequest,
    ) -> Result<api::Quota, ApiError> {
        let key = parse::device("device", &request.device)?;
        call.may_name_device(&key)?;
        let here = |device: DeviceHandle| {
            let key = &key;
            async move {
                let pace = device.pace().await.map_err(|error| command_error(key, &device, error))?;
                let capping = device.status().borrow().health.capping;
                Ok(quota(pace, capping))
            }
        };
        let there = |channel| {
            let request = call.forward(request.clone());
            async move { Ok(AccountServiceClient::new(channel).get_quota(request).await?.into_inner()) }
        };
        match self.router().at_owner(call, &key, here, there).await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(&key).await),
            quota => quota,
        }
    }

    pub(super) async fn set_pacing(
        &self,
        call: &Call,
        request: &api::UpdatePacingPolicyRequest,
    ) -> Result<api::PacingPolicy, ApiError> {
        let key = parse::device("device", &request.device)?;
        let wanted = policy(request.policy)?;
        call.may_name_device(&key)?;
        self.command(
            call,
            &key,
            |device| async move { device.set_pacing(wanted).await },
            |channel| {
                let request = call.forward(request.clone());
                async move { AccountServiceClient::new(channel).update_pacing_policy(request).await.map(drop) }
            },
        )
        .await?;
        Ok(shown(wanted))
    }
}

fn policy(wanted: Option<api::PacingPolicy>) -> Result<PacingPolicy, ApiError> {
    let wanted = wanted.ok_or_else(|| ApiError::field("policy", "must be set"))?;
    let api::PacingPolicy { reply_per_minute, reach_out_per_day } = wanted;
    for (field, value, most) in [
        ("policy.reply_per_minute", reply_per_minute, REPLIES),
        ("policy.reach_out_per_day", reach_out_per_day, REACH_OUTS),
    ] {
        if value > most {
            return Err(ApiError::field(field, format!("must be at most {most}; 0 is no limit")));
        }
    }
    Ok(PacingPolicy { reply_per_minute, reach_out_per_day })
}

fn shown(policy: PacingPolicy) -> api::PacingPolicy {
    let PacingPolicy { reply_per_minute, reach_out_per_day } = policy;
    api::PacingPolicy { reply_per_minute, reach_out_per_day }
}

fn quota(pace: Pace, capping: Option<api::account_health::Capping>) -> api::Quota {
    api::Quota {
        policy: Some(shown(pace.policy)),
        reach_outs_left: pace.reach_outs_left,
        next_reach_out_time: pace.next_reach_out.map(convert::timestamp),
        capping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_bounds_and_must_be_there() {
        let of = |reply_per_minute, reach_out_per_day| {
            policy(Some(api::PacingPolicy { reply_per_minute, reach_out_per_day }))
        };
        assert_eq!(of(0, 7).expect("good"), PacingPolicy { reply_per_minute: 0, reach_out_per_day: 7 });
        for (refused, named) in [
            (policy(None), "policy"),
            (of(REPLIES + 1, 0), "policy.reply_per_minute"),
            (of(0, REACH_OUTS + 1), "policy.reach_out_per_day"),
        ] {
            assert!(
                matches!(refused, Err(ApiError::InvalidField { field, .. }) if field == named),
                "{named}"
            );
        }
    }
}
