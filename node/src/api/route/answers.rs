//! What the failed answer of another node says: whether to look again, to hand it on, or to give up.
//!
//! What must hold: an answer that will be the same next time is not asked for again, and what may have been done is never
//! told as certainly not done.

use roost_proto::id::{DeviceKey, NodeId};
use tonic::{Code, Status};

use crate::errors::{ApiError, reason_of};

/// What the failed call to the owner of a device is to the caller.
pub(in crate::api) fn of_owner(key: &DeviceKey, node: &NodeId, status: Status) -> ApiError {
    let (key, node) = (key.clone(), node.clone());
    if reason_of(&status).is_some() {
        return ApiError::Forwarded(Box::new(status));
    }
    // Without a cause it was the library that judged what came, on this side or the other, and not a broken connection.
    let judged = std::error::Error::source(&status).is_none();
    let why = status.message().to_owned();
    match status.code() {
        Code::DeadlineExceeded => ApiError::DeadlineExceeded,
        // It does not know the method.
        Code::Unimplemented if judged => ApiError::OwnerFailed { key, node, heard: false, why },
        // Too large, or not of the form that is expected.
        Code::OutOfRange | Code::Internal if judged => ApiError::OwnerFailed { key, node, heard: true, why },
        _ => ApiError::OwnerUnreachable { key, node, heard: has_left(&status) },
    }
}

/// What the failed call to a node is to the caller, where it is about the node itself.
pub(in crate::api) fn of_node(node: NodeId, status: Status) -> ApiError {
    match reason_of(&status) {
        Some(_) => ApiError::Forwarded(Box::new(status)),
        None if status.code() == Code::DeadlineExceeded => ApiError::DeadlineExceeded,
        None => ApiError::NodeUnreachable(node),
    }
}

/// Whether another look-up may find the right node.
pub(super) fn is_stale(error: &ApiError) -> bool {
    match error {
        ApiError::NotOwner { .. }
        | ApiError::NoOwner { .. }
        | ApiError::OwnershipLost { .. }
        | ApiError::OwnerUnreachable { .. } => true,
        ApiError::Forwarded(status) => {
            matches!(reason_of(status).as_deref(), Some("NOT_OWNER" | "OWNERSHIP_LOST" | "NO_OWNER"))
        }
        _ => false,
    }
}

/// Whether a call that failed found a connection: then it may have been heard.
fn has_left(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return false;
        }
        cause = error.source();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Unfit;

    fn key() -> DeviceKey {
        "tenants/acme/devices/d1".parse().expect("well formed")
    }

    fn node() -> NodeId {
        "n2".parse().expect("well formed")
    }

    #[test]
    fn only_errors_about_the_place_lead_to_another_look_up() {
        let forwarded = |error: ApiError| ApiError::Forwarded(Box::new(error.status(&node())));
        assert!(is_stale(&forwarded(ApiError::NotOwner { key: key() })));
        let starts = ApiError::NoOwner { key: key(), retry: std::time::Duration::from_millis(250) };
        assert!(
            is_stale(&starts),
            "a device that was opened just now is worth another look on its own node too"
        );
        assert!(is_stale(&forwarded(starts)));
        assert!(is_stale(&forwarded(ApiError::OwnershipLost { key: key(), epoch: None })));
        assert!(!is_stale(&forwarded(ApiError::Unfit { key: key(), unfit: Unfit::NotPaired })));
        let down = roost_placement::ledger::Unavailable("down".into());
        assert!(!is_stale(&forwarded(ApiError::StoreUnavailable(down))));
    }

    #[test]
    fn an_answer_that_stays_as_it_is_is_not_asked_for_again() {
        let told = |status: Status| of_owner(&key(), &node(), status);
        for (status, done) in [
            (Status::out_of_range("decoded message length too large"), true),
            (Status::internal("no such field"), true),
            (Status::unimplemented("no such method"), false),
        ] {
            let error = told(status.clone());
            assert!(!is_stale(&error), "{error:?}");
            assert!(matches!(error, ApiError::OwnerFailed { heard, .. } if heard == done), "{status:?}");
        }
        assert!(matches!(told(Status::deadline_exceeded("late")), ApiError::DeadlineExceeded));
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let mut broken = Status::internal("h2 protocol error");
        broken.set_source(std::sync::Arc::new(cause));
        for status in [broken, Status::unavailable("gone"), Status::unknown("transport error")] {
            let error = told(status);
            assert!(is_stale(&error) && matches!(error, ApiError::OwnerUnreachable { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_node_that_is_gone_is_told_with_a_reason_and_what_it_refuses_as_it_says_it() {
        let gone = of_node(node(), Status::unavailable("tcp connect error"));
        let said = gone.status(&node());
        assert_eq!(reason_of(&said).as_deref(), Some("NODE_UNREACHABLE"));
        assert!(!said.message().contains("tcp"), "{said:?}");
        let refused = of_node(node(), ApiError::AlreadyDraining(node()).status(&node()));
        assert_eq!(refused.reason(), "ALREADY_DRAINING");
    }
}
