//! Imports: parts come in one stream, and each goes to whoever owns the device at that moment.
//!
//! What must hold: a part is checked whole before any of it is handed on; a part may be given again, so a change
//! of owner in the middle costs nothing; only the last part makes the device what was imported, and only if
//! nothing in the cluster was made of the same before: that is noted first, so it holds whatever happens then, and taken
//! back only when the device says that it has taken nothing.

use roost_actors::device::{DeviceHandle, Import, ImportedDevice, ImportedPeers, PairError, Part};
use roost_proto::api;
use roost_proto::id::DeviceKey;
use roost_proto::peer::ImportPartRequest;
use roost_proto::peer::peer_service_client::PeerServiceClient;
use roost_proto::prost::Message as _;
use roost_proto::signal::Keys;
use sha2::{Digest as _, Sha256};
use tonic::Streaming;

use super::call::Call;
use super::streams::unread;
use super::{Api, parse};
use crate::errors::{ApiError, Unfit};
use crate::imported::Claim;

/// Parts of one import: a million ratchets, names and tokens together.
const MAX_PARTS: usize = 2_000;

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
        let mut left = MAX_PARTS;
        while let Some(part) = parts.message().await.map_err(|status| unread("part", &status))? {
            // What is never finished stays until the device has other keys.
            left = left.checked_sub(1).ok_or_else(|| {
                ApiError::field(
                    "part",
                    format!("is one more than the {MAX_PARTS} of which an import may consist"),
                )
            })?;
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
        let again = part.allow_again;
        let request = ImportPartRequest { device: key.to_string(), generation, part: part.encode_to_vec() };
        let done = self.router().at_owner(
            call,
            key,
            |device| {
                let part = parsed.clone();
                async move { self.give_part(key, &device, Import { generation, part }, again).await }
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

    /// Gives a part to the device, which is here.
    async fn give_part(
        &self,
        key: &DeviceKey,
        device: &DeviceHandle,
        import: Import,
        again: bool,
    ) -> Result<(), ApiError> {
        let refused = |error| super::pairing::pair_error(key, device, error);
        let mut noted = None;
        if let Part::Device(imported) = &import.part {
            let nothing = Part::Peers(ImportedPeers::default());
            match device.import(Import { generation: import.generation, part: nothing }).await {
                Ok(()) => noted = self.claim(key, imported, again).await?,
                // As this, and its answer was lost, or as something else: the device knows. It takes nothing.
                Err(PairError::AlreadyPaired) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let taken = device.import(import).await;
        // It has become something else meanwhile, so what is imported has become nothing.
        if let (Some(identity), Err(PairError::AlreadyPaired | PairError::Underway)) = (noted, &taken) {
            self.parts().directory.unclaim_import(identity, key).await?;
        }
        taken.map_err(refused)
    }

    /// Notes what the device is about to become. Returns of what, if nothing was noted of that before.
    async fn claim(
        &self,
        key: &DeviceKey,
        device: &ImportedDevice,
        again: bool,
    ) -> Result<Option<[u8; 32]>, ApiError> {
        let keys = Keys::from_bytes(&device.keys.0).expect("an import carries what was written as keys");
        let identity = Sha256::digest(keys.identity().public()).into();
        match self.parts().directory.claim_import(identity, key, again).await? {
            Claim::First => Ok(Some(identity)),
            Claim::Again => Ok(None),
            Claim::Refused => Err(ApiError::Unfit { key: key.clone(), unfit: Unfit::AlreadyImported }),
        }
    }
}
