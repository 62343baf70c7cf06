//! `ExplainDevice`: the explanation of `placement::explain`, with the times of the row's history and what
//! the owner itself says at this moment.
//!
//! What must hold: the owner is asked once, in bounded time, and an owner that does not answer is a
//! sentence, not an error.

use std::time::Duration;

use roost_placement::choice::Choice;
use roost_placement::explain::{self, Standing};
use roost_placement::ledger::Transition;
use roost_placement::load;
use roost_placement::ring::Ring;
use roost_proto::api;
use roost_proto::api::explain_device_response as said;
use roost_proto::id::{DeviceKey, Life};
use roost_proto::peer;
use roost_proto::peer::peer_service_client::PeerServiceClient;

use super::channels::LARGEST;
use super::{Api, convert};
use crate::errors::ApiError;

/// Owners that are shown.
const HISTORY: usize = 10;
/// How long another node may take to say what it runs.
const PATIENCE: Duration = Duration::from_secs(2);

impl Api {
    pub(super) async fn explain(&self, key: &DeviceKey) -> Result<api::ExplainDeviceResponse, ApiError> {
        let row = self.device(key).await?.ownership;
        let history = self.parts().ledger.history(key, HISTORY).await?;
        let seen = self.parts().cluster.views().borrow().clone();
        let mut view = seen.view.clone();
        for member in &mut view.members {
            member.remaining = member.remaining.saturating_sub(seen.at.elapsed());
        }
        let (ring, spread) = (Ring::of(&view), self.parts().cluster.spread());
        let choice = Choice::new(&ring, &view, &spread);
        let told = explain::explain(&view, &choice, &row, &history, load::BOUND_PERCENT);
        let mut sentences = told.sentences;
        let since = history.iter().find(|line| line.epoch == row.epoch && line.owner.is_some());
        if let Some(line) = since {
            sentences.insert(1, format!("It has had it since {}.", convert::timestamp(line.at)));
        }
        let owner = row.owner.as_ref().and_then(|life| view.members.iter().find(|m| m.life == *life));
        if let Some(member) = owner {
            sentences.extend(self.owner_says(key, &member.life).await);
        }
        let candidate = |line: &explain::Candidate| said::Candidate {
            node: line.node.to_string(),
            standing: standing(line.standing).into(),
            why: line.why.clone(),
        };
        Ok(api::ExplainDeviceResponse {
            sentences,
            ownership: Some(convert::ownership(&row)),
            lease_remaining: owner.map(|member| convert::duration(member.remaining)),
            since: since.map(|line| convert::timestamp(line.at)),
            pin: row.wish.pin.as_ref().map(convert::pin),
            preference: told.candidates.iter().map(candidate).collect(),
            history: history.iter().map(change).collect(),
        })
    }

    /// What the owner shows of the device, and is about to do with it.
    async fn owner_says(&self, key: &DeviceKey, owner: &Life) -> Vec<String> {
        let node = &owner.node;
        let Ok(report) = self.ask_report(owner, Some(key)).await else {
            return vec![format!("{node} does not answer at the moment.")];
        };
        let mut sentences = Vec::new();
        match report.running.first() {
            Some(running) => {
                let state = api::device::State::try_from(running.state).unwrap_or_default();
                sentences.push(format!("On {node} it is {}: {}.", state.as_str_name(), running.reason));
            }
            None if report.doing.is_empty() => sentences.push(format!("{node} does not run it yet.")),
            None => {}
        }
        if !report.doing.is_empty() {
            sentences.push(report.doing);
        }
        sentences
    }

    /// What a node runs: this one, or another in one hop.
    pub(super) async fn ask_report(
        &self,
        of: &Life,
        key: Option<&DeviceKey>,
    ) -> Result<peer::ReportResponse, ApiError> {
        if *of == self.parts().cluster.me() {
            return self.running(key).await;
        }
        let peer = self.router().peer(of.clone()).ok_or(ApiError::DeadlineExceeded)?;
        let device = key.map(DeviceKey::to_string).unwrap_or_default();
        let mut request = tonic::Request::new(peer::ReportRequest { device });
        request.set_timeout(PATIENCE);
        let mut there = PeerServiceClient::new(peer.channel).max_decoding_message_size(LARGEST);
        let asked = tokio::time::timeout(PATIENCE, there.report(request)).await;
        let said = asked.map_err(|_| ApiError::DeadlineExceeded)?;
        said.map(tonic::Response::into_inner).map_err(|status| ApiError::Forwarded(Box::new(status)))
    }

    /// What this node runs at this moment.
    pub(super) async fn running(&self, key: Option<&DeviceKey>) -> Result<peer::ReportResponse, ApiError> {
        let (hosts, cluster) = (&self.parts().hosts, &self.parts().cluster);
        let devices = match key {
            Some(key) => hosts.find(key).into_iter().collect(),
            None => hosts.all(),
        };
        let running = devices.iter().map(|device| {
            let status = device.status().borrow().clone();
            peer::report_response::Running {
                device: device.grant().key.to_string(),
                epoch: device.grant().epoch.0,
                state: status.state.into(),
                reason: status.reason,
            }
        });
        let running = running.collect();
        let doing = match key {
            Some(key) => cluster.doing(key).await?.unwrap_or_default(),
            None => String::new(),
        };
        Ok(peer::ReportResponse { incarnation: cluster.me().incarnation.0, running, doing })
    }
}

fn standing(standing: Standing) -> said::Standing {
    match standing {
        Standing::Owner => said::Standing::Owner,
        Standing::Able => said::Standing::Able,
        Standing::Joining => said::Standing::Joining,
        Standing::Draining => said::Standing::Draining,
        Standing::Cordoned => said::Standing::Cordoned,
        Standing::Full => said::Standing::Full,
        Standing::Excluded => said::Standing::Excluded,
        Standing::Silent => said::Standing::Silent,
    }
}

fn change(line: &Transition) -> said::Change {
    said::Change {
        epoch: line.epoch.0,
        node: line.owner.as_ref().map(|life| life.node.to_string()).unwrap_or_default(),
        incarnation: line.owner.as_ref().map_or(0, |life| life.incarnation.0),
        reason: line.reason.clone(),
        time: Some(convert::timestamp(line.at)),
    }
}
