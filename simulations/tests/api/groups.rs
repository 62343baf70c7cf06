//! Groups through any node: what WhatsApp refuses there, and what it is not even asked.

use roost_proto::api::*;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::live::Live;
use crate::world::bad_field;

/// The code of a refusal, and WhatsApp's own.
fn told<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("this must be refused");
    let info = status.get_details_error_info().expect("always there");
    assert_eq!(info.reason, "UPSTREAM_REFUSED", "{status:?}");
    (status.code(), info.metadata["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_does_not_hold_is_told_with_whatsapps_reason() {
    let live = Live::new(1).await;
    let (shop, owner, ..) = live.online("shop").await;
    let (farm, ..) = live.online("farm").await;
    let api = live.at(owner);
    let create =
        CreateGroupRequest { device: shop.clone(), subject: "Hens".to_owned(), ..Default::default() };
    let group = api.groups().create_group(create).await.expect("made").into_inner().group;
    let invite =
        |device: &str, reset| GetInviteRequest { device: device.to_owned(), group: group.clone(), reset };
    let link =
        async |reset| api.groups().get_invite(invite(&shop, reset)).await.expect("told").into_inner().code;
    let (first, second) = (link(false).await, link(true).await);
    let never = "NEVERWASALINK";
    for (code, refused) in [(&*first, (Code::NotFound, "410")), (never, (Code::FailedPrecondition, "406"))] {
        let refused = (refused.0, refused.1.to_owned());
        let (device, code, personal) = (farm.clone(), code.to_owned(), None);
        let preview = PreviewInviteRequest { device: device.clone(), code: code.clone(), personal: None };
        assert_eq!(told(api.groups().preview_invite(preview).await), refused, "{code}");
        let join = JoinGroupRequest { device, code, personal };
        assert_eq!(told(api.groups().join_group(join).await), refused);
    }
    let join = || JoinGroupRequest { device: farm.clone(), code: second.clone(), personal: None };
    api.groups().join_group(join()).await.expect("it holds");
    assert_eq!(told(api.groups().join_group(join()).await), (Code::FailedPrecondition, "409".to_owned()));
    for reset in [false, true] {
        let refused = told(api.groups().get_invite(invite(&farm, reset)).await);
        assert_eq!(refused, (Code::PermissionDenied, "401".to_owned()), "only admins may have it");
    }
    let timer = |seconds| UpdateGroupRequest {
        device: shop.clone(),
        group: group.clone(),
        disappearing: Some(Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    assert_eq!(bad_field(api.groups().update_group(timer(3_600)).await), "disappearing");
    api.groups().update_group(timer(86_400)).await.expect("a day");
}
