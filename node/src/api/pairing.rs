//! `PairingService`: follows the pairing attempt of a device, wherever the device is.
//!
//! What must hold: the attempt belongs to the device, not to the stream: a stream that breaks is opened
//! again and joins it; the stream ends with the attempt.

use roost_actors::device::{PairError, PairingUpdate};
use roost_proto::api;
use roost_proto::api::pairing_event::{self, Event};
use roost_proto::api::pairing_service_client::PairingServiceClient;
use roost_proto::api::pairing_service_server::PairingService;
use roost_proto::id::DeviceKey;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::streams::{Answers, Sink, Until};
use super::{Api, convert, method, parse};
use crate::errors::{ApiError, Unfit};

const SERVICE: &str = "PairingService";

/// Where the steps come from.
enum Attempt {
    Here(watch::Receiver<PairingUpdate>),
    There(Box<Streaming<api::PairingEvent>>),
}

#[async_trait]
impl PairingService for Api {
    type StartPairingStream = Answers<api::PairingEvent>;

    async fn start_pairing(
        &self,
        request: Request<api::StartPairingRequest>,
    ) -> Result<Response<Self::StartPairingStream>, Status> {
        let named = method(SERVICE, "StartPairing");
        self.streaming(named, request, Until::Drain, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let attempt = self.router().at_owner(
                &call,
                &key,
                |device| {
                    let key = &key;
                    async move {
                        let attempt = device.pair().await.map_err(|error| match error {
                            PairError::AlreadyPaired => {
                                ApiError::Unfit { key: key.clone(), unfit: Unfit::AlreadyPaired }
                            }
                            PairError::Busy => ApiError::DeviceBusy { key: key.clone() },
                            PairError::Unavailable => super::messages::unavailable(key, &device),
                            PairError::OwnershipLost => ApiError::OwnershipLost {
                                key: key.clone(),
                                epoch: Some(device.grant().epoch),
                            },
                        })?;
                        Ok(Attempt::Here(attempt))
                    }
                },
                |channel| {
                    let request = call.forward_stream(request.clone());
                    async move {
                        let steps = PairingServiceClient::new(channel).start_pairing(request).await?;
                        Ok(Attempt::There(Box::new(steps.into_inner())))
                    }
                },
            );
            let attempt = match attempt.await {
                Err(ApiError::NotFound { .. }) => return Err(self.missing(&key).await),
                attempt => attempt?,
            };
            Ok(move |sink| async move { follow(attempt, key, &sink).await })
        })
        .await
    }
}

async fn follow(attempt: Attempt, key: DeviceKey, sink: &Sink<api::PairingEvent>) -> Result<(), ApiError> {
    match attempt {
        Attempt::Here(updates) => follow_here(updates, &key, sink).await,
        Attempt::There(mut steps) => loop {
            match steps.message().await {
                Ok(Some(step)) => sink.send(step).await?,
                Ok(None) => return Ok(()),
                Err(status) if crate::errors::reason_of(&status).is_some() => {
                    return Err(ApiError::Forwarded(Box::new(status)));
                }
                Err(_) => return Err(lost(&key)),
            }
        },
    }
}

async fn follow_here(
    mut updates: watch::Receiver<PairingUpdate>,
    key: &DeviceKey,
    sink: &Sink<api::PairingEvent>,
) -> Result<(), ApiError> {
    let mut sequence = 0;
    loop {
        let update = updates.borrow_and_update().clone();
        let last = matches!(update, PairingUpdate::Paired { .. } | PairingUpdate::Failed { .. });
        if let Some(event) = as_event(update) {
            sequence += 1;
            sink.send(api::PairingEvent { device: key.to_string(), sequence, event: Some(event) }).await?;
        }
        if last {
            return Ok(());
        }
        if updates.changed().await.is_err() {
            return Err(lost(key));
        }
    }
}

fn as_event(update: PairingUpdate) -> Option<Event> {
    Some(match update {
        PairingUpdate::Connecting => return None,
        PairingUpdate::Code { payload, expires, left } => Event::Qr(pairing_event::QrCode {
            payload,
            expire_time: Some(convert::timestamp(expires)),
            codes_left: i32::try_from(left).unwrap_or(i32::MAX),
        }),
        PairingUpdate::Reconnecting => Event::Reconnecting(pairing_event::Reconnecting {}),
        PairingUpdate::Paired { pn, lid } => {
            let lid = lid.unwrap_or_default();
            let account = api::Identity { lid, phone_number: pn, push_name: String::new() };
            Event::Paired(pairing_event::Paired { account: Some(account) })
        }
        PairingUpdate::Failed { reason, message } => {
            Event::Failed(pairing_event::PairingFailed { reason: reason.to_owned(), message })
        }
    })
}

/// The device has ended on its node: its next owner begins anew.
fn lost(key: &DeviceKey) -> ApiError {
    ApiError::NoOwner { key: key.clone(), retry: std::time::Duration::from_millis(500) }
}
