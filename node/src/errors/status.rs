//! How an error becomes a `google.rpc.Status` with its details, and how its reason is read again.

use std::collections::HashMap;

use roost_proto::id::{DeviceKey, NodeId};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{ApiError, Barred, DOMAIN, Resource, Unfit, Upstream};
use crate::media::MediaProblem;

impl ApiError {
    fn key(&self) -> Option<&DeviceKey> {
        match self {
            ApiError::Unfit { key, .. }
            | ApiError::NoOwner { key, .. }
            | ApiError::NotOwner { key }
            | ApiError::OwnerUnreachable { key, .. }
            | ApiError::OwnerFailed { key, .. }
            | ApiError::OwnershipLost { key, .. }
            | ApiError::DeviceBusy { key }
            | ApiError::Pinned { key, .. }
            | ApiError::DeviceConnecting { key }
            | ApiError::UpstreamNack { key, .. }
            | ApiError::Upstream { key, .. }
            | ApiError::CursorExpired { key, .. }
            | ApiError::Barred(Barred { key, .. }) => Some(key),
            _ => None,
        }
    }

    /// The status to answer with; `node` is who answers.
    pub fn status(self, node: &NodeId) -> Status {
        if let ApiError::Forwarded(status) = self {
            return *status;
        }
        let mut metadata = HashMap::from([("node".to_owned(), node.to_string())]);
        if let Some(key) = self.key() {
            metadata.insert("tenant".into(), key.business_id.to_string());
            metadata.insert("device".into(), key.to_string());
        }
        match &self {
            ApiError::CursorExpired { earliest, .. } => {
                metadata.insert("earliest_sequence".into(), earliest.to_string());
            }
            ApiError::Barred(barred) => barred.note(&mut metadata),
            ApiError::Unfit { unfit: Unfit::Banned(Some(until)), .. } => {
                metadata.insert("until_unix_millis".into(), until.0.to_string());
            }
            ApiError::Media(MediaProblem::Refused(code)) => {
                metadata.insert("code".into(), code.to_string());
            }
            ApiError::OwnershipLost { epoch: Some(epoch), .. } => {
                metadata.insert("epoch".into(), epoch.to_string());
            }
            ApiError::OwnerUnreachable { node, .. } | ApiError::OwnerFailed { node, .. } => {
                metadata.insert("owner".into(), node.to_string());
            }
            ApiError::UpstreamNack { code, .. } => {
                metadata.insert("code".into(), code.to_string());
            }
            ApiError::Upstream { what: Upstream::Refused(refused), .. } => {
                metadata.insert("code".into(), refused.code.to_string());
            }
            _ => {}
        }
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, metadata);
        if let Some(wait) = self.retry() {
            details.set_retry_info(Some(wait));
        }
        match &self {
            ApiError::InvalidField { field, why } => {
                details.add_bad_request_violation(field.clone(), why.clone());
            }
            ApiError::Media(MediaProblem::TooLarge { .. }) => {
                details.add_bad_request_violation("data", self.to_string());
            }
            ApiError::Barred(barred) => barred.detail(&mut details),
            ApiError::KeyReused { .. } => {
                details.add_bad_request_violation("request_id", self.to_string());
            }
            ApiError::Exists { what: Resource::WhatsappId, .. } => {
                details.add_bad_request_violation("whatsapp_id", self.to_string());
            }
            ApiError::Unfit { key, .. } => {
                details.add_precondition_failure_violation(self.reason(), key.to_string(), self.to_string());
            }
            _ => {}
        }
        Status::with_error_details(self.code(), self.to_string(), details)
    }
}

/// The reason of a status of ours; `None` when another system made it.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason)
}
