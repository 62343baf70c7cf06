//! What a caller can read from a refusal.

use roost_proto::id::UnixMillis;
use tonic_types::StatusExt as _;

use super::*;

fn key() -> DeviceKey {
    "tenants/acme/devices/shop".parse().expect("well formed")
}

fn node() -> NodeId {
    "n1".parse().expect("well formed")
}

#[test]
fn every_refusal_says_its_reason_domain_and_node() {
    let unfit = ApiError::Unfit { key: key(), unfit: Unfit::NotPaired };
    let status = unfit.status(&node());
    assert_eq!(status.code(), Code::FailedPrecondition);
    let info = status.get_details_error_info().expect("always there");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("DEVICE_NOT_PAIRED", "roost"));
    assert_eq!(info.metadata["device"], "tenants/acme/devices/shop");
    assert_eq!(info.metadata["tenant"], "acme");
    assert_eq!(info.metadata["node"], "n1");
    assert!(status.get_details_retry_info().is_none(), "waiting does not pair a device");
    assert!(status.get_details_precondition_failure().is_some());
}

#[test]
fn bad_input_names_its_field() {
    let status = ApiError::field("to.phone_number", "must be 7 to 15 digits").status(&node());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status).as_deref(), Some("INVALID_FIELD"));
    let bad = status.get_details_bad_request().expect("names the field");
    assert_eq!(bad.field_violations[0].field, "to.phone_number");
}

#[test]
fn a_reused_request_id_is_a_bad_field_with_its_own_reason() {
    let status = ApiError::KeyReused { request_id: "x".into() }.status(&node());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    let bad = status.get_details_bad_request().expect("names the field");
    assert_eq!(bad.field_violations[0].field, "request_id");
}

#[test]
fn a_chosen_id_that_is_taken_is_a_bad_field_with_its_own_reason() {
    let status = ApiError::Exists { what: Resource::WhatsappId, name: "3EB0C0FFEE".into() }.status(&node());
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(reason_of(&status).as_deref(), Some("WHATSAPP_ID_EXISTS"));
    let bad = status.get_details_bad_request().expect("names the field");
    assert_eq!(bad.field_violations[0].field, "whatsapp_id");
    let status =
        ApiError::Exists { what: Resource::Device, name: "tenants/a/devices/b".into() }.status(&node());
    assert!(status.get_details_bad_request().is_none(), "which field it is depends on the call");
}

#[test]
fn waiting_is_offered_exactly_where_it_helps() {
    let down = || Unavailable("connection refused to db at secret-host".into());
    let helps: Vec<ApiError> = vec![
        ApiError::StoreUnavailable(down()),
        ApiError::NoOwner { key: key(), retry: Duration::from_secs(2) },
        ApiError::NodeDraining(node()),
        ApiError::OwnerUnreachable { key: key(), node: node(), heard: true },
        ApiError::OwnershipLost { key: key(), epoch: Some(Epoch(3)) },
        ApiError::DeviceBusy { key: key() },
    ];
    for error in helps {
        let status = error.status(&node());
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
        assert!(!status.message().contains("secret-host"), "no inner cause reaches the caller");
    }
    let never: Vec<ApiError> = vec![
        ApiError::field("text", "is empty"),
        ApiError::not_found(Resource::Tenant, "tenants/acme"),
        ApiError::TenantForbidden { caller: "acme".parse().expect("well formed") },
        ApiError::AlreadyDraining(node()),
        ApiError::DrainIncomplete { node: node(), left: 3 },
        ApiError::TooLateToCancel { name: "m".into(), state: message::State::Sent },
        ApiError::PollEnded { poll: "3EB0".into() },
        ApiError::CursorExpired { key: key(), earliest: Sequence(7), why: "it is old" },
    ];
    for error in never {
        assert!(error.status(&node()).get_details_retry_info().is_none());
    }
}

#[test]
fn what_whatsapp_refuses_is_told_with_its_code_and_with_when_to_come_back() {
    use roost_proto::stanza::iq::Refused;
    let refused = |code| {
        let what = Upstream::Refused(Refused::new(code));
        ApiError::Upstream { key: key(), what }.status(&node())
    };
    let cases = [
        (304, Code::FailedPrecondition, false),
        (400, Code::InvalidArgument, false),
        (403, Code::PermissionDenied, false),
        (404, Code::NotFound, false),
        (406, Code::FailedPrecondition, false),
        (410, Code::NotFound, false),
        (412, Code::ResourceExhausted, false),
        (419, Code::ResourceExhausted, false),
        (429, Code::ResourceExhausted, true),
        (501, Code::Unimplemented, false),
        (503, Code::Unavailable, true),
        (999, Code::Internal, false),
    ];
    for (code, grpc, again) in cases {
        let status = refused(code);
        assert_eq!(status.code(), grpc, "{code}");
        assert_eq!(status.get_details_retry_info().is_some(), again, "{code}");
        let info = status.get_details_error_info().expect("always there");
        assert_eq!(info.reason, "UPSTREAM_REFUSED");
        assert_eq!(info.metadata["code"], code.to_string());
        let elsewhere = ApiError::Forwarded(Box::new(refused(code)));
        assert_eq!(elsewhere.code_of_whatsapp(), Some(code), "whichever node has asked");
        assert_eq!(info.metadata["device"], key().to_string());
    }
    let unknown = ApiError::Upstream { key: key(), what: Upstream::OutcomeUnknown }.status(&node());
    assert_eq!(unknown.code(), Code::Unknown);
    assert!(unknown.get_details_retry_info().is_none(), "nobody may repeat it unseen");
}

#[test]
fn a_ban_says_until_when_and_a_refused_upload_with_which_status() {
    let banned = |until| {
        let status = ApiError::Unfit { key: key(), unfit: Unfit::Banned(until) }.status(&node());
        let info = status.get_details_error_info().expect("always");
        assert_eq!(info.reason, "ACCOUNT_TEMPORARILY_BANNED");
        info.metadata.get("until_unix_millis").cloned()
    };
    assert_eq!(banned(Some(UnixMillis(61_000))).as_deref(), Some("61000"));
    assert_eq!(banned(None), None, "nobody knows");
    let refused = ApiError::Media(MediaProblem::Refused(413)).status(&node());
    let info = refused.get_details_error_info().expect("always");
    assert_eq!((info.reason.as_str(), info.metadata["code"].as_str()), ("MEDIA_REFUSED", "413"));
}

#[test]
fn a_file_that_is_too_large_is_the_fault_of_who_gives_it() {
    let given = ApiError::Media(MediaProblem::TooLarge { most: 5 }).status(&node());
    assert_eq!(given.get_details_bad_request().expect("a field").field_violations[0].field, "data");
    let found = ApiError::Media(MediaProblem::Endless { most: 5 }).status(&node());
    assert_eq!(found.code(), Code::FailedPrecondition);
    assert!(found.get_details_bad_request().is_none());
    assert_eq!((reason_of(&given), reason_of(&given)), (reason_of(&found), Some("MEDIA_TOO_LARGE".into())));
}

#[test]
fn an_expired_cursor_says_where_the_log_begins() {
    let status =
        ApiError::CursorExpired { key: key(), earliest: Sequence(7), why: "it is old" }.status(&node());
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(status.get_details_error_info().expect("always").metadata["earliest_sequence"], "7");
}

#[test]
fn a_status_of_another_node_goes_through_untouched() {
    let first = ApiError::not_found(Resource::Device, key()).status(&node());
    let other: NodeId = "n2".parse().expect("well formed");
    let second = ApiError::Forwarded(Box::new(first.clone())).status(&other);
    assert_eq!(second.details(), first.details());
    assert_eq!(reason_of(&second).as_deref(), Some("DEVICE_NOT_FOUND"));
}

#[test]
fn a_barred_chat_says_until_when_and_how_much_was_used() {
    use roost_actors::device::Bar;
    let barred = |bar| ApiError::Barred(Barred { key: key(), bar, now: UnixMillis(1_000) }).status(&node());
    let status = barred(Bar::TimeLock { until: UnixMillis(61_000) });
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason_of(&status).as_deref(), Some("REACHOUT_TIMELOCKED"));
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(wait, Some(Duration::from_secs(60)));
    assert_eq!(status.get_details_quota_failure().expect("a quota").violations[0].subject, key().to_string());
    let status = barred(Bar::Capped { until: UnixMillis(0), used: 50, total: 50 });
    assert_eq!(reason_of(&status).as_deref(), Some("NEW_CHAT_CAPPED"));
    let info = status.get_details_error_info().expect("always");
    assert_eq!((info.metadata["used"].as_str(), info.metadata["total"].as_str()), ("50", "50"));
    assert_eq!(info.metadata["until_unix_millis"], "0");
}
