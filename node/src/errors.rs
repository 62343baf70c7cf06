//! The error model of the API: one typed enum, one place where it becomes a `google.rpc.Status`.
//!
//! What must hold: every status carries an `ErrorInfo` of domain `roost` with a reason that never
//! changes its meaning; `RetryInfo` exactly where waiting helps; `BadRequest` names the field of bad
//! input. A status of another node goes through untouched. Nothing secret is ever in a message.

use std::time::Duration;

use roost_placement::ledger::Unavailable;
use roost_proto::api::message;
use roost_proto::id::{BusinessId, ConsumerId, DeviceKey, Epoch, NodeId, Sequence};
use tonic::{Code, Status};

use crate::media::MediaProblem;

mod barred;
mod status;
mod subjects;
mod upstream;

pub use self::barred::Barred;
pub use self::status::reason_of;
pub use self::subjects::{Downgrade, HeldBack, Resource, Unfit};
pub use self::upstream::Upstream;

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "roost";

/// Why a call is refused: one variant per reaction that the caller can have.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Bad input: correct the field.
    #[error("{field} {why}")]
    InvalidField {
        /// Path of the field in the request.
        field: String,
        /// The rule that it breaks.
        why: String,
    },
    /// It would begin a chat, which WhatsApp does not allow now.
    #[error("{0}")]
    Barred(Barred),
    /// The request id belongs to other content: make a new one.
    #[error("request_id {request_id} was used on this device for other content")]
    KeyReused {
        /// As given.
        request_id: String,
    },
    /// It does not exist.
    #[error("{} {name} does not exist", .what.parts().0)]
    NotFound {
        /// What kind of thing.
        what: Resource,
        /// Its name.
        name: String,
    },
    /// It exists already.
    #[error("{} {name} exists already", .what.parts().0)]
    Exists {
        /// What kind of thing.
        what: Resource,
        /// Its name.
        name: String,
    },
    /// The caller is one tenant and names what belongs to another, or to none.
    #[error("a caller of tenant {caller} may not do this")]
    TenantForbidden {
        /// Who calls.
        caller: BusinessId,
    },
    /// The device is in a state in which it cannot do this.
    #[error("device {key} {}", .unfit.sentence())]
    Unfit {
        /// Which device.
        key: DeviceKey,
        /// Which state.
        unfit: Unfit,
    },
    /// No node holds the device at the moment.
    #[error("no node holds {key} at the moment")]
    NoOwner {
        /// Which device.
        key: DeviceKey,
        /// When to come back.
        retry: Duration,
    },
    /// The call was forwarded to a node that does not hold the device: look up again.
    #[error("this node does not hold {key}")]
    NotOwner {
        /// Which device.
        key: DeviceKey,
    },
    /// The owner is known and does not answer.
    #[error("node {node}, which holds {key}, cannot be reached")]
    OwnerUnreachable {
        /// Which device.
        key: DeviceKey,
        /// Its owner, as far as known.
        node: NodeId,
        /// Whether the call may have reached it.
        heard: bool,
    },
    /// The owner is there, and no answer of it can be read: it is of another version, or its answer is too large.
    #[error("node {node}, which holds {key}, gives no answer that can be read: {why}")]
    OwnerFailed {
        /// Which device.
        key: DeviceKey,
        /// Its owner.
        node: NodeId,
        /// Whether it may have done what was asked.
        heard: bool,
        /// What is the matter with the answer.
        why: String,
    },
    /// A living node does not answer.
    #[error("node {0} cannot be reached")]
    NodeUnreachable(NodeId),
    /// The fence rejected a write: somebody else holds the device now.
    #[error("{key} has another owner now")]
    OwnershipLost {
        /// Which device.
        key: DeviceKey,
        /// The epoch that was refused, when known.
        epoch: Option<Epoch>,
    },
    /// Too much is waiting for this device.
    #[error("{key} has too many calls waiting")]
    DeviceBusy {
        /// Which device.
        key: DeviceKey,
    },
    /// This node gives its devices away.
    #[error("node {0} is draining")]
    NodeDraining(NodeId),
    /// A drain was asked for and one is under way.
    #[error("node {0} is draining already")]
    AlreadyDraining(NodeId),
    /// A node ended, and nobody has heard that it had given everything away.
    #[error(
        "node {node} is gone, last heard of with {left} devices: what it did not give away since, the others take over"
    )]
    DrainIncomplete {
        /// Which node.
        node: NodeId,
        /// How many devices it had when it was last heard of.
        left: u32,
    },
    /// The target of a move cannot take the device.
    #[error("node {node} cannot take the device: {why}")]
    TargetUnfit {
        /// Which node.
        node: NodeId,
        /// Why.
        why: &'static str,
    },
    /// The node is dead, and what was asked is for living ones.
    #[error("node {0} is dead")]
    NodeDead(NodeId),
    /// Devices would go back to an older version, and that was not allowed.
    #[error("{0}")]
    Downgrade(Downgrade),
    /// The device requires another node: unpin it first.
    #[error("{key} requires node {node}")]
    Pinned {
        /// Which device.
        key: DeviceKey,
        /// The node that it requires.
        node: NodeId,
    },
    /// Nothing is rebalanced at the moment.
    #[error("nothing is rebalanced: {0}")]
    HeldBack(HeldBack),
    /// The store did not answer. Repeating the call is safe.
    #[error("the store does not answer")]
    StoreUnavailable(#[from] Unavailable),
    /// The device has no connection at the moment, and what was asked needs one.
    #[error("{key} is not connected to WhatsApp at the moment")]
    DeviceConnecting {
        /// Which device.
        key: DeviceKey,
    },
    /// WhatsApp refused what was asked.
    #[error("WhatsApp refused it for {key} with code {code}")]
    UpstreamNack {
        /// Which device.
        key: DeviceKey,
        /// WhatsApp's code.
        code: u16,
    },
    /// Retention has removed what comes after the cursor, or the event that it stands on was lost.
    #[error("the event log of {key} begins at {earliest}; {why}")]
    CursorExpired {
        /// Which device.
        key: DeviceKey,
        /// The first sequence that is still there.
        earliest: Sequence,
        /// Which of both, and what to do.
        why: &'static str,
    },
    /// Another stream holds this consumer.
    #[error("consumer {consumer} is held by another stream")]
    ConsumerBusy {
        /// Which consumer.
        consumer: ConsumerId,
        /// When its hold runs out at the latest.
        retry: Duration,
    },
    /// A tenant with so many devices cannot be read with one cursor.
    #[error("a cursor holds at most {0} devices; read by device, or with a consumer")]
    TooManyDevices(usize),
    /// A message is encrypted or at its end, and cannot be taken back.
    #[error("message {name} is {}", .state.as_str_name())]
    TooLateToCancel {
        /// Which.
        name: String,
        /// What it is.
        state: message::State,
    },
    /// It ended, by its own word: nobody votes in it any more.
    #[error("poll {poll} has ended")]
    PollEnded {
        /// WhatsApp's id.
        poll: String,
    },
    /// WhatsApp has no good answer to what the caller asks.
    #[error("{what}")]
    Upstream {
        /// The device that asked.
        key: DeviceKey,
        /// Why.
        what: Upstream,
    },
    /// A file was not taken, sent or fetched.
    #[error(transparent)]
    Media(#[from] MediaProblem),
    /// The caller's deadline is over.
    #[error("the deadline is over")]
    DeadlineExceeded,
    /// The caller is gone.
    #[error("the caller is gone")]
    Cancelled,
    /// What another node answered, to be handed on as it is.
    #[error("{0}")]
    Forwarded(Box<Status>),
}

impl ApiError {
    /// Bad input in a field.
    pub fn field(field: impl Into<String>, why: impl Into<String>) -> ApiError {
        ApiError::InvalidField { field: field.into(), why: why.into() }
    }

    /// There is no such thing.
    pub fn not_found(what: Resource, name: impl std::fmt::Display) -> ApiError {
        ApiError::NotFound { what, name: name.to_string() }
    }

    /// The reason in capitals; part of the contract.
    pub fn reason(&self) -> String {
        match self {
            ApiError::InvalidField { .. } => "INVALID_FIELD",
            ApiError::KeyReused { .. } => "IDEMPOTENCY_KEY_REUSED",
            ApiError::Barred(barred) => barred.reason(),
            ApiError::NotFound { what, .. } => return format!("{}_NOT_FOUND", what.parts().1),
            ApiError::Exists { what, .. } => return format!("{}_EXISTS", what.parts().1),
            ApiError::TenantForbidden { .. } => "TENANT_FORBIDDEN",
            ApiError::Unfit { unfit, .. } => unfit.reason(),
            ApiError::NoOwner { .. } => "NO_OWNER",
            ApiError::NotOwner { .. } => "NOT_OWNER",
            ApiError::OwnerUnreachable { .. } => "OWNER_UNREACHABLE",
            ApiError::OwnerFailed { .. } => "OWNER_FAILED",
            ApiError::NodeUnreachable(_) => "NODE_UNREACHABLE",
            ApiError::OwnershipLost { .. } => "OWNERSHIP_LOST",
            ApiError::DeviceBusy { .. } => "DEVICE_RATE_LIMITED",
            ApiError::NodeDraining(_) => "NODE_DRAINING",
            ApiError::AlreadyDraining(_) => "ALREADY_DRAINING",
            ApiError::DrainIncomplete { .. } => "DRAIN_INCOMPLETE",
            ApiError::TargetUnfit { .. } => "TARGET_UNFIT",
            ApiError::NodeDead(_) => "NODE_DEAD",
            ApiError::Downgrade(_) => "WOULD_DOWNGRADE",
            ApiError::Pinned { .. } => "DEVICE_PINNED",
            ApiError::HeldBack(why) => why.reason(),
            ApiError::StoreUnavailable(_) => "STORE_UNAVAILABLE",
            ApiError::DeviceConnecting { .. } => "DEVICE_CONNECTING",
            ApiError::UpstreamNack { .. } => "UPSTREAM_NACK",
            ApiError::Upstream { what, .. } => what.reason(),
            ApiError::CursorExpired { .. } => "CURSOR_EXPIRED",
            ApiError::ConsumerBusy { .. } => "CONSUMER_BUSY",
            ApiError::TooManyDevices(_) => "TOO_MANY_DEVICES",
            ApiError::TooLateToCancel { .. } => "TOO_LATE_TO_CANCEL",
            ApiError::PollEnded { .. } => "POLL_ENDED",
            ApiError::Media(problem) => problem.reason(),
            ApiError::DeadlineExceeded => "DEADLINE_EXCEEDED",
            ApiError::Cancelled => "CANCELLED",
            ApiError::Forwarded(status) => return reason_of(status).unwrap_or_default(),
        }
        .to_owned()
    }

    /// What happened, without code and details.
    pub fn sentence(&self) -> String {
        match self {
            ApiError::Forwarded(status) => status.message().to_owned(),
            error => error.to_string(),
        }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        match self {
            ApiError::InvalidField { .. } | ApiError::KeyReused { .. } => Code::InvalidArgument,
            ApiError::NotFound { .. } => Code::NotFound,
            ApiError::Exists { .. } | ApiError::ConsumerBusy { .. } => Code::AlreadyExists,
            ApiError::TenantForbidden { .. } => Code::PermissionDenied,
            ApiError::Unfit { .. }
            | ApiError::AlreadyDraining(_)
            | ApiError::TargetUnfit { .. }
            | ApiError::NodeDead(_)
            | ApiError::Downgrade(_)
            | ApiError::Pinned { .. }
            | ApiError::HeldBack(HeldBack::Frozen)
            | ApiError::TooManyDevices(_)
            | ApiError::TooLateToCancel { .. }
            | ApiError::PollEnded { .. } => Code::FailedPrecondition,
            ApiError::NoOwner { .. }
            | ApiError::NotOwner { .. }
            | ApiError::OwnerUnreachable { .. }
            | ApiError::NodeUnreachable(_)
            | ApiError::NodeDraining(_)
            | ApiError::DeviceConnecting { .. }
            | ApiError::HeldBack(HeldBack::Unsettled(_))
            | ApiError::StoreUnavailable(_) => Code::Unavailable,
            ApiError::OwnershipLost { .. } | ApiError::DrainIncomplete { .. } => Code::Aborted,
            ApiError::DeviceBusy { .. } | ApiError::Barred(_) => Code::ResourceExhausted,
            ApiError::UpstreamNack { .. } | ApiError::OwnerFailed { .. } => Code::Internal,
            ApiError::Upstream { what, .. } => what.code(),
            ApiError::CursorExpired { .. } => Code::OutOfRange,
            ApiError::Media(problem) => problem.code(),
            ApiError::DeadlineExceeded => Code::DeadlineExceeded,
            ApiError::Cancelled => Code::Cancelled,
            ApiError::Forwarded(status) => status.code(),
        }
    }

    /// When waiting helps: how long.
    pub fn retry(&self) -> Option<Duration> {
        match self {
            ApiError::NoOwner { retry, .. } | ApiError::ConsumerBusy { retry, .. } => Some(*retry),
            ApiError::NotOwner { .. } | ApiError::OwnershipLost { .. } => Some(Duration::from_millis(50)),
            ApiError::DeviceBusy { .. } => Some(Duration::from_millis(250)),
            ApiError::Media(problem) => problem.retry(),
            ApiError::Barred(barred) => Some(barred.left()),
            ApiError::OwnerUnreachable { .. } | ApiError::NodeUnreachable(_) => {
                Some(Duration::from_millis(500))
            }
            ApiError::NodeDraining(_) | ApiError::DeviceConnecting { .. } | ApiError::StoreUnavailable(_) => {
                Some(Duration::from_secs(1))
            }
            ApiError::HeldBack(HeldBack::Unsettled(_)) => Some(Duration::from_secs(5)),
            ApiError::Upstream { what, .. } => what.retry(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
