//! What WhatsApp makes of a question that was asked on behalf of a caller.

use std::time::Duration;

use roost_proto::stanza::Missing;
use roost_proto::stanza::iq::Refused;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{ApiError, DOMAIN};

/// Why there is no good answer of WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Upstream {
    /// WhatsApp has refused.
    #[error("WhatsApp refused it with code {} {}", .0.code, .0.text)]
    Refused(Refused),
    /// No answer came in time to what changes nothing, or changes the same when it is asked again.
    #[error("WhatsApp did not answer in time")]
    Silent,
    /// A change was asked for, and the answer is lost: it may have been made.
    #[error("WhatsApp may or may not have done it; look before you ask again")]
    OutcomeUnknown,
    /// The answer lacks what the protocol promises.
    #[error("WhatsApp's answer cannot be read: {0}")]
    Unreadable(Missing),
}

impl Upstream {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Upstream::Refused(_) => "UPSTREAM_REFUSED",
            Upstream::Silent => "UPSTREAM_SILENT",
            Upstream::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Upstream::Unreadable(_) => "UPSTREAM_UNREADABLE",
        }
    }

    /// WhatsApp's codes are like those of HTTP.
    pub(super) fn code(&self) -> Code {
        match self {
            Upstream::Refused(refused) => match refused.code {
                400 => Code::InvalidArgument,
                401 | 403 | 405 => Code::PermissionDenied,
                404 | 410 => Code::NotFound,
                // 304: somebody is in a group already.
                304 | 406 | 409 | 423 => Code::FailedPrecondition,
                // 412: a community is full, as with 419 a group is.
                412 | 419 | 429 => Code::ResourceExhausted,
                500 | 503 | 530 => Code::Unavailable,
                501 => Code::Unimplemented,
                _ => Code::Internal,
            },
            Upstream::Silent => Code::Unavailable,
            Upstream::OutcomeUnknown => Code::Unknown,
            Upstream::Unreadable(_) => Code::Internal,
        }
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        match self {
            // WhatsApp does not say when; sooner would only make it worse.
            Upstream::Refused(Refused { code: 429, .. }) => Some(Duration::from_secs(60)),
            Upstream::Refused(Refused { code: 500 | 503 | 530, .. }) => Some(Duration::from_secs(5)),
            Upstream::Silent => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl ApiError {
    /// The code by which WhatsApp has refused, whether this node has asked it or the owner of the device on another one.
    pub fn code_of_whatsapp(&self) -> Option<u16> {
        match self {
            ApiError::Upstream { what: Upstream::Refused(refused), .. } => Some(refused.code),
            ApiError::Forwarded(status) => {
                let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
                let refused = info.reason == Upstream::Refused(Refused::new(0)).reason();
                info.metadata.get("code").filter(|_| refused)?.parse().ok()
            }
            _ => None,
        }
    }
}
