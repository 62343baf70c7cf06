//! `GroupService`: groups and communities.
//!
//! What must hold: several changes in one call are made in the order of the fields; the first that WhatsApp
//! refuses ends the call, and those before it stand.

use roost_proto::api;
use roost_proto::api::group_service_client::GroupServiceClient;
use roost_proto::api::group_service_server::GroupService;
use roost_proto::api::update_participants_request::Action;
use roost_proto::ask::groups::{
    Act, AnswerJoinRequests, CancelJoinRequest, ChangeMembers, DeactivateCommunity, GetGroup, Invite,
    JoinGroup, JoinSubgroup, LeaveGroup, LinkGroup, ListCommunityParticipants, ListGroups, ListJoinRequests,
    ListReportedMessages, ListSubgroups, Outcome, PreviewInvite, PreviewSubgroup, ReportMessages,
    RevokeInvites, SetGroup, Setting,
};
use roost_proto::ask::making::Made;
use roost_proto::ask::pictures::SetPicture;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;
use roost_proto::stanza::iq::Refused;
use tonic::{Request, Response, Status, async_trait};

use super::accounts::picture;
use super::asks::upstream;
use super::call::Call;
use super::parse::groups::{create, description, door, group, people, settings, whatsapp_ids};
use super::{Api, method, parse};
use crate::errors::{ApiError, Unfit, Upstream};

const SERVICE: &str = "GroupService";
/// WhatsApp's code for somebody who has not asked to join.
const NO_REQUEST: u16 = 404;

#[async_trait]
impl GroupService for Api {
    async fn create_group(
        &self,
        request: Request<api::CreateGroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "CreateGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let make = (create(&request)?, request.request_id.is_empty());
            let get = |made: &str| Ok(GetGroup { group: group("group", made)? });
            let there = |channel| {
                let request = call.forward(request.clone());
                async move { Ok(GroupServiceClient::new(channel).create_group(request).await?.into_inner()) }
            };
            let told = |(group, _), made: Made| api::Group { left_out: made.left_out, ..group };
            self.made_once(&call, &key, make, (get, told), there).await
        })
        .await
    }

    async fn get_group(
        &self,
        request: Request<api::GetGroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "GetGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let get = GetGroup { group: group("group", &request.group)? };
            Ok(self.ask(&call, &key, &get).await?.0)
        })
        .await
    }

    async fn list_groups(
        &self,
        request: Request<api::ListGroupsRequest>,
    ) -> Result<Response<api::ListGroupsResponse>, Status> {
        self.unary(method(SERVICE, "ListGroups"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            Ok(api::ListGroupsResponse { groups: self.ask(&call, &key, &ListGroups).await? })
        })
        .await
    }

    async fn update_group(
        &self,
        request: Request<api::UpdateGroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "UpdateGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let group = group("group", &request.group)?;
            let settings = settings(&request)?;
            let get = GetGroup { group: group.clone() };
            if let Some(text) = description(&request)? {
                let before = self.ask(&call, &key, &get).await?.1;
                let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
                let setting = Setting::Description { text, id, before };
                self.ask(&call, &key, &SetGroup { group: group.clone(), setting }).await?;
            }
            for setting in settings {
                self.ask(&call, &key, &SetGroup { group: group.clone(), setting }).await?;
            }
            Ok(self.ask(&call, &key, &get).await?.0)
        })
        .await
    }

    async fn update_participants(
        &self,
        request: Request<api::UpdateParticipantsRequest>,
    ) -> Result<Response<api::UpdateParticipantsResponse>, Status> {
        self.unary(method(SERVICE, "UpdateParticipants"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let act = match request.action() {
                Action::Add => Act::Add,
                Action::Remove => Act::Remove,
                Action::Promote => Act::Promote,
                Action::Demote => Act::Demote,
                Action::Unspecified => {
                    return Err(ApiError::field("action", "must be ADD, REMOVE, PROMOTE or DEMOTE"));
                }
            };
            let group = group("group", &request.group)?;
            let members = people("participants", &request.participants, 1)?;
            let linked = request.linked_groups;
            if linked && act != Act::Remove {
                return Err(ApiError::field("linked_groups", "is for REMOVE"));
            }
            Ok(outcomes(self.ask(&call, &key, &ChangeMembers { group, act, members, linked }).await?))
        })
        .await
    }

    async fn set_group_picture(
        &self,
        request: Request<api::SetGroupPictureRequest>,
    ) -> Result<Response<api::SetGroupPictureResponse>, Status> {
        self.unary(method(SERVICE, "SetGroupPicture"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let of = Some(group("group", &request.group)?);
            let jpeg = picture("jpeg", request.jpeg)?;
            let id = self.ask(&call, &key, &SetPicture { of, jpeg }).await?;
            Ok(api::SetGroupPictureResponse { id: id.unwrap_or_default() })
        })
        .await
    }

    async fn leave_group(
        &self,
        request: Request<api::LeaveGroupRequest>,
    ) -> Result<Response<api::LeaveGroupResponse>, Status> {
        self.unary(method(SERVICE, "LeaveGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            self.ask(&call, &key, &LeaveGroup { group: group("group", &request.group)? }).await?;
            Ok(api::LeaveGroupResponse {})
        })
        .await
    }

    async fn get_invite(
        &self,
        request: Request<api::GetInviteRequest>,
    ) -> Result<Response<api::GetInviteResponse>, Status> {
        self.unary(method(SERVICE, "GetInvite"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let group = group("group", &request.group)?;
            let code = match request.reset {
                true => self.ask(&call, &key, &Invite::<true> { group }).await?,
                false => self.ask(&call, &key, &Invite::<false> { group }).await?,
            };
            Ok(api::GetInviteResponse { code })
        })
        .await
    }

    async fn preview_invite(
        &self,
        request: Request<api::PreviewInviteRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "PreviewInvite"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let door = door(&request.code, request.personal.as_ref())?;
            self.ask(&call, &key, &PreviewInvite { door }).await
        })
        .await
    }

    async fn join_group(
        &self,
        request: Request<api::JoinGroupRequest>,
    ) -> Result<Response<api::JoinGroupResponse>, Status> {
        self.unary(method(SERVICE, "JoinGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let door = door(&request.code, request.personal.as_ref())?;
            let joined = self.ask(&call, &key, &JoinGroup { door }).await?;
            Ok(api::JoinGroupResponse { group: joined.group.to_string(), waiting: joined.waiting })
        })
        .await
    }

    async fn cancel_join_request(
        &self,
        request: Request<api::CancelJoinRequestRequest>,
    ) -> Result<Response<api::CancelJoinRequestResponse>, Status> {
        self.unary(method(SERVICE, "CancelJoinRequest"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let cancel =
                CancelJoinRequest { group: group("group", &request.group)?, own: self.own(&key).await? };
            let outcomes = self.ask(&call, &key, &cancel).await?;
            match outcomes.iter().map(|one| one.code).find(|code| *code != 200) {
                None => Ok(api::CancelJoinRequestResponse { was_waiting: true }),
                Some(NO_REQUEST) => Ok(api::CancelJoinRequestResponse { was_waiting: false }),
                Some(code) => Err(upstream(&key, Upstream::Refused(Refused::new(code)))),
            }
        })
        .await
    }

    async fn list_join_requests(
        &self,
        request: Request<api::ListJoinRequestsRequest>,
    ) -> Result<Response<api::ListJoinRequestsResponse>, Status> {
        self.unary(method(SERVICE, "ListJoinRequests"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let list = ListJoinRequests { group: group("group", &request.group)? };
            let requests = self.ask(&call, &key, &list).await?.into_iter().map(|waits| {
                let (person, request_time) = (Some(waits.person), waits.since);
                api::list_join_requests_response::JoinRequest { person, request_time }
            });
            Ok(api::ListJoinRequestsResponse { requests: requests.collect() })
        })
        .await
    }

    async fn answer_join_requests(
        &self,
        request: Request<api::AnswerJoinRequestsRequest>,
    ) -> Result<Response<api::UpdateParticipantsResponse>, Status> {
        self.unary(method(SERVICE, "AnswerJoinRequests"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let group = group("group", &request.group)?;
            let people = people("participants", &request.participants, 1)?;
            let answer = AnswerJoinRequests { group, approve: request.approve, people };
            Ok(outcomes(self.ask(&call, &key, &answer).await?))
        })
        .await
    }

    async fn link_group(
        &self,
        request: Request<api::LinkGroupRequest>,
    ) -> Result<Response<api::LinkGroupResponse>, Status> {
        self.unary(method(SERVICE, "LinkGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let community = group("community", &request.community)?;
            let group = group("group", &request.group)?;
            let api::LinkGroupRequest { unlink, remove_orphans, .. } = request;
            if remove_orphans && !unlink {
                return Err(ApiError::field("remove_orphans", "is for unlink"));
            }
            let link = LinkGroup { community, group, unlink, remove_orphans };
            match self.ask(&call, &key, &link).await? {
                Some(code) => Err(upstream(&key, Upstream::Refused(Refused::new(code)))),
                None => Ok(api::LinkGroupResponse {}),
            }
        })
        .await
    }

    async fn list_subgroups(
        &self,
        request: Request<api::ListSubgroupsRequest>,
    ) -> Result<Response<api::ListGroupsResponse>, Status> {
        self.unary(method(SERVICE, "ListSubgroups"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let list = ListSubgroups { community: group("community", &request.community)? };
            Ok(api::ListGroupsResponse { groups: self.ask(&call, &key, &list).await? })
        })
        .await
    }

    async fn revoke_invites(
        &self,
        request: Request<api::RevokeInvitesRequest>,
    ) -> Result<Response<api::UpdateParticipantsResponse>, Status> {
        self.unary(method(SERVICE, "RevokeInvites"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let group = group("group", &request.group)?;
            let people = people("participants", &request.participants, 1)?;
            Ok(outcomes(self.ask(&call, &key, &RevokeInvites { group, people }).await?))
        })
        .await
    }

    async fn preview_subgroup(
        &self,
        request: Request<api::SubgroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "PreviewSubgroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let community = group("community", &request.community)?;
            let group = group("group", &request.group)?;
            self.ask(&call, &key, &PreviewSubgroup { community, group }).await
        })
        .await
    }

    async fn join_subgroup(
        &self,
        request: Request<api::SubgroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "JoinSubgroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let community = group("community", &request.community)?;
            let group = group("group", &request.group)?;
            self.ask(&call, &key, &JoinSubgroup { community, group }).await
        })
        .await
    }

    async fn list_community_participants(
        &self,
        request: Request<api::ListCommunityParticipantsRequest>,
    ) -> Result<Response<api::ListCommunityParticipantsResponse>, Status> {
        self.unary(method(SERVICE, "ListCommunityParticipants"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let list = ListCommunityParticipants { community: group("community", &request.community)? };
            Ok(api::ListCommunityParticipantsResponse { people: self.ask(&call, &key, &list).await? })
        })
        .await
    }

    async fn deactivate_community(
        &self,
        request: Request<api::DeactivateCommunityRequest>,
    ) -> Result<Response<api::DeactivateCommunityResponse>, Status> {
        self.unary(method(SERVICE, "DeactivateCommunity"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let community = group("community", &request.community)?;
            self.ask(&call, &key, &DeactivateCommunity { community }).await?;
            Ok(api::DeactivateCommunityResponse {})
        })
        .await
    }

    async fn report_messages(
        &self,
        request: Request<api::ReportMessagesRequest>,
    ) -> Result<Response<api::ReportMessagesResponse>, Status> {
        self.unary(method(SERVICE, "ReportMessages"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let group = group("group", &request.group)?;
            let messages = whatsapp_ids("whatsapp_ids", request.whatsapp_ids)?;
            self.ask(&call, &key, &ReportMessages { group, messages }).await?;
            Ok(api::ReportMessagesResponse {})
        })
        .await
    }

    async fn list_reported_messages(
        &self,
        request: Request<api::ListReportedMessagesRequest>,
    ) -> Result<Response<api::ListReportedMessagesResponse>, Status> {
        self.unary(method(SERVICE, "ListReportedMessages"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let list = ListReportedMessages { group: group("group", &request.group)? };
            Ok(api::ListReportedMessagesResponse { messages: self.ask(&call, &key, &list).await? })
        })
        .await
    }
}

impl Api {
    /// The account of a device, as its groups name it.
    async fn own(&self, key: &DeviceKey) -> Result<Jid, ApiError> {
        let status = self.device(key).await?.status;
        let jid = status.and_then(|status| status.lid.or(status.pn)).and_then(|jid| jid.parse::<Jid>().ok());
        let jid = jid.ok_or_else(|| ApiError::Unfit { key: key.clone(), unfit: Unfit::NotPaired })?;
        Ok(jid.to_non_ad())
    }
}

fn device(call: &Call, name: &str) -> Result<DeviceKey, ApiError> {
    let key = parse::device("device", name)?;
    call.may_name_device(&key)?;
    Ok(key)
}

fn outcomes(outcomes: Vec<Outcome>) -> api::UpdateParticipantsResponse {
    api::UpdateParticipantsResponse { outcomes: outcomes.into_iter().map(Into::into).collect() }
}
