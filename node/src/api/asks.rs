//! Questions to WhatsApp on behalf of a caller, asked by the owner of the device, from any node.
//!
//! What must hold: a question that changes something at WhatsApp is asked again only when it was certainly
//! not asked; when nobody knows, the caller is told so.

use std::future::Future;

use futures_util::FutureExt as _;
use roost_actors::device::{AskError, CommandError, DeviceHandle};
use roost_proto::api::device::State;
use roost_proto::ask::Question;
use roost_proto::id::DeviceKey;
use roost_proto::peer::AskRequest;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use roost_proto::stanza::{self, Stanza};
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use super::Api;
use super::call::Call;
use super::channels::LARGEST;
use super::messages::{command_error, unavailable};
use super::route::PATIENCE;
use crate::errors::{ApiError, Unfit, Upstream};

impl Api {
    /// Asks WhatsApp something through a device and reads the answer.
    pub(super) async fn ask<Q: Question>(
        &self,
        call: &Call,
        key: &DeviceKey,
        question: &Q,
    ) -> Result<Q::Answer, ApiError> {
        let answer = self.ask_owner(call, key, &question.request(), Q::CHANGES).await?;
        question.read(&answer).map_err(|missing| upstream(key, Upstream::Unreadable(missing)))
    }

    /// The same for who has only the `<iq>`.
    pub(super) async fn ask_owner(
        &self,
        call: &Call,
        key: &DeviceKey,
        request: &Stanza,
        changes: bool,
    ) -> Result<Stanza, ApiError> {
        let encoded =
            stanza::encode(request).map_err(|_| ApiError::field("device", "names what cannot be asked"))?;
        let here = |device: DeviceHandle| async move {
            on_its_way(call, &device).await;
            let answer = device.ask_stanza(request.clone(), call.left()).await;
            answer.map_err(|error| ask_error(key, &device, error, changes))
        };
        let there = |channel| {
            let request = AskRequest { device: key.to_string(), request: encoded.clone(), changes };
            let request = call.forward_to_peer(request);
            async move {
                let mut there = PeerServiceClient::new(channel).max_decoding_message_size(LARGEST);
                let answer = there.ask(request).await?.into_inner().answer;
                stanza::decode(&answer).map_err(|error| Status::internal(error.to_string()))
            }
        };
        let answer = match changes {
            true => self.router().at_owner_once(call, key, here, there).await,
            false => self.router().at_owner(call, key, here, there).await,
        };
        match answer {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            Err(
                ApiError::OwnerUnreachable { heard: true, .. } | ApiError::OwnerFailed { heard: true, .. },
            ) if changes => Err(upstream(key, Upstream::OutcomeUnknown)),
            answer => answer,
        }
    }
}

impl Api {
    /// Has the owner of a device carry out a command that is safe to repeat.
    pub(super) async fn command<H, HF, F, FF>(
        &self,
        call: &Call,
        key: &DeviceKey,
        mut here: H,
        there: F,
    ) -> Result<(), ApiError>
    where
        H: FnMut(DeviceHandle) -> HF,
        HF: Future<Output = Result<(), CommandError>>,
        F: FnMut(Channel) -> FF,
        FF: Future<Output = Result<(), Status>>,
    {
        let here = |device: DeviceHandle| {
            let done = here(device.clone());
            async move {
                on_its_way(call, &device).await;
                done.await.map_err(|error| command_error(key, &device, error))
            }
        };
        match self.router().at_owner(call, key, here, there).await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            done => done,
        }
    }
}

/// A device that is on its way to WhatsApp is waited for a little: it may have been taken over just now.
pub(super) async fn on_its_way(call: &Call, device: &DeviceHandle) {
    let mut status = device.status();
    let there = status.wait_for(|status| !matches!(status.state, State::Starting | State::Connecting));
    let _ = tokio::time::timeout_at(call.deadline.min(Instant::now() + PATIENCE), there).await;
}

pub(super) fn upstream(key: &DeviceKey, what: Upstream) -> ApiError {
    ApiError::Upstream { key: key.clone(), what }
}

/// Why a device has no connection, as its caller hears it.
pub(super) fn not_connected(key: &DeviceKey, device: &DeviceHandle) -> ApiError {
    let unfit = match device.status().borrow().state {
        State::Conflict => Unfit::Conflict,
        State::Restricted => Unfit::Banned(None),
        State::Outdated => Unfit::Outdated,
        _ => return ApiError::DeviceConnecting { key: key.clone() },
    };
    ApiError::Unfit { key: key.clone(), unfit }
}

pub(super) fn ask_error(key: &DeviceKey, device: &DeviceHandle, error: AskError, changes: bool) -> ApiError {
    let unfit = |unfit| ApiError::Unfit { key: key.clone(), unfit };
    match error {
        AskError::NotPaired => unfit(Unfit::NotPaired),
        AskError::LoggedOut => unfit(Unfit::LoggedOut),
        AskError::NotConnected => not_connected(key, device),
        AskError::Restricted(until) => unfit(Unfit::Banned(until)),
        AskError::Busy => ApiError::DeviceBusy { key: key.clone() },
        AskError::Unavailable => unavailable(key, device),
        AskError::Refused(refused) => upstream(key, Upstream::Refused(refused)),
        AskError::Lost | AskError::Late if changes => upstream(key, Upstream::OutcomeUnknown),
        AskError::Lost if device.finished().now_or_never().is_some() => {
            ApiError::NotOwner { key: key.clone() }
        }
        AskError::Lost => ApiError::DeviceConnecting { key: key.clone() },
        AskError::Late => upstream(key, Upstream::Silent),
        AskError::Unreadable(missing) => upstream(key, Upstream::Unreadable(missing)),
    }
}
