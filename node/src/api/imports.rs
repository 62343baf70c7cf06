//! Imports: parts come in one stream, and each goes to whoever owns the device at that moment.
//!
//! What must hold: a part is checked whole before any of it is handed on; a part may be given again, so a change
//! of owner in the middle costs nothing; only the last part makes the device what was imported.

use roost_actors::device::{DeviceHandle, Import, Part};
use roost_proto::api;
use roost_proto::id::DeviceKey;
use roost_proto::peer::ImportPartRequest;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use roost_proto::prost::Message as _;
use tonic::{Code, Status, Streaming};

use super::call::Call;
use super::{Api, parse};
use crate::errors::ApiError;

/// A part that did not come whole.
fn unread(status: Status) -> ApiError {
    match status.code() {
        // What tonic says of a message that is larger than this node takes.
        Code::OutOfRange => ApiError::field("part", "is larger than 2 MiB"),
        _ => ApiError::Cancelled,
    }
}

impl Api {
    /// Takes all parts of an import.
    pub(super) async fn import(
        &self,
        call: &Call,
        mut parts: Streaming<api::ImportDeviceRequest>,
    ) -> Result<api::ImportDeviceResponse, ApiError> {
        let mut taken = api::ImportDeviceResponse::default();
        let mut named = None;
        // Generations that grow by one never come here.
        let generation = rand::random::<u32>() | 1 << 31;
        while let Some(part) = parts.message().await.map_err(unread)? {
            let key = match named.clone() {
                None => parse::device("device", &part.device)?,
                Some(_) if !part.device.is_empty() => {
                    return Err(ApiError::field("device", "must be in the first message only"));
                }
                Some(key) => key,
            };
            call.may_name_device(&key)?;
            named = Some(key.clone());
            let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
            taken.ratchets = taken.ratchets.saturating_add(count(part.ratchets.len()));
            taken.identities = taken.identities.saturating_add(count(part.identities.len()));
            taken.lids = taken.lids.saturating_add(count(part.lids.len()));
            taken.tokens = taken.tokens.saturating_add(count(part.tokens.len()));
            taken.sender_keys = taken.sender_keys.saturating_add(count(part.sender_keys.len()));
            let prekeys = part.credentials.as_ref().map(|credentials| credentials.prekeys.len());
            self.import_at_owner(call, &key, generation, part).await?;
            if let Some(prekeys) = prekeys {
                taken.prekeys = count(prekeys);
                return Ok(taken);
            }
        }
        Err(ApiError::field("credentials", "must be in the last message"))
    }

    async fn import_at_owner(
        &self,
        call: &Call,
        key: &DeviceKey,
        generation: u32,
        part: api::ImportDeviceRequest,
    ) -> Result<(), ApiError> {
        let parsed = parse::imports::part(&part)?;
        let request = ImportPartRequest { device: key.to_string(), generation, part: part.encode_to_vec() };
        let done = self.router().at_owner(
            call,
            key,
            |device| {
                let part = parsed.clone();
                async move { hand_over(key, &device, generation, part).await }
            },
            |channel| {
                let request = call.forward(request.clone());
                async move { PeerServiceClient::new(channel).import_part(request).await.map(|_| ()) }
            },
        );
        match done.await {
            Err(ApiError::NotFound { .. }) => Err(self.missing(key).await),
            done => done,
        }
    }

    /// The owner's side of a forwarded part.
    pub(super) async fn import_part(&self, call: &Call, request: &ImportPartRequest) -> Result<(), ApiError> {
        let key = parse::device("device", &request.device)?;
        call.may_name_device(&key)?;
        let part = api::ImportDeviceRequest::decode(&*request.part)
            .map_err(|_| ApiError::field("part", "is not an ImportDeviceRequest"))?;
        self.import_at_owner(call, &key, request.generation, part).await
    }
}

async fn hand_over(
    key: &DeviceKey,
    device: &DeviceHandle,
    generation: u32,
    part: Part,
) -> Result<(), ApiError> {
    let taken = device.import(Import { generation, part }).await;
    taken.map_err(|error| super::pairing::pair_error(key, device, error))
}
