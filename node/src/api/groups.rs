//! `GroupService`: groups and communities.
//!
//! What must hold: several changes in one call are made in the order of the fields; the first that WhatsApp
//! refuses ends the call, and those before it stand.

use roost_proto::api;
use roost_proto::api::group_service_server::GroupService;
use roost_proto::api::update_participants_request::Action;
use roost_proto::api::update_participants_response;
use roost_proto::ask::groups::{
    Act, AnswerJoinRequests, ChangeMembers, CreateGroup, GetGroup, Invite, JoinGroup, LeaveGroup, LinkGroup,
    ListGroups, ListJoinRequests, ListSubgroups, Outcome, PreviewInvite, SetGroup, Setting,
};
use roost_proto::ask::pictures::SetPicture;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::{Jid, Server};
use tonic::{Request, Response, Status, async_trait};

use super::accounts::picture;
use super::call::Call;
use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "GroupService";
/// Most people in one call.
const MAX_PEOPLE: usize = 1_023;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 100;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 2_048;

#[async_trait]
impl GroupService for Api {
    async fn create_group(
        &self,
        request: Request<api::CreateGroupRequest>,
    ) -> Result<Response<api::Group>, Status> {
        self.unary(method(SERVICE, "CreateGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let parent = match &*request.parent {
                "" => None,
                parent => Some(group("parent", parent)?),
            };
            let create = CreateGroup {
                subject: subject("subject", &request.subject)?,
                members: people("participants", &request.participants, 0)?,
                community: request.community,
                parent,
            };
            self.ask(&call, &key, &create).await
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
            Ok(outcomes(self.ask(&call, &key, &ChangeMembers { group, act, members }).await?))
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
            self.ask(&call, &key, &PreviewInvite { code: code(&request.code)? }).await
        })
        .await
    }

    async fn join_group(
        &self,
        request: Request<api::JoinGroupRequest>,
    ) -> Result<Response<api::JoinGroupResponse>, Status> {
        self.unary(method(SERVICE, "JoinGroup"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let joined = self.ask(&call, &key, &JoinGroup { code: code(&request.code)? }).await?;
            Ok(api::JoinGroupResponse { group: joined.group.to_string(), waiting: joined.waiting })
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
            self.ask(&call, &key, &LinkGroup { community, group, unlink: request.unlink }).await?;
            Ok(api::LinkGroupResponse {})
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
}

fn device(call: &Call, name: &str) -> Result<DeviceKey, ApiError> {
    let key = parse::device("device", name)?;
    call.may_name_device(&key)?;
    Ok(key)
}

fn group(field: &str, text: &str) -> Result<Jid, ApiError> {
    match text.parse::<Jid>() {
        Ok(jid) if jid.server == Server::Group && !jid.user.is_empty() && text.len() < 64 => Ok(jid),
        _ => Err(ApiError::field(field, "must be the JID of a group: {digits}@g.us")),
    }
}

fn people(field: &str, texts: &[String], least: usize) -> Result<Vec<Jid>, ApiError> {
    if texts.len() < least || texts.len() > MAX_PEOPLE {
        let why = format!("must be {least} to {MAX_PEOPLE} JIDs, not {}", texts.len());
        return Err(ApiError::field(field, why));
    }
    let read = |(place, text): (usize, &String)| match text.parse::<Jid>() {
        Ok(jid) if (jid.is_pn() || jid.is_lid()) && !jid.user.is_empty() && text.len() < 64 => {
            Ok(jid.to_non_ad())
        }
        _ => {
            let why = "must be a JID: {digits}@s.whatsapp.net or {digits}@lid";
            Err(ApiError::field(format!("{field}[{place}]"), why))
        }
    };
    texts.iter().enumerate().map(read).collect()
}

fn subject(field: &str, text: &str) -> Result<String, ApiError> {
    if (1..=MAX_SUBJECT).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(ApiError::field(field, format!("must be 1 to {MAX_SUBJECT} characters long")))
}

fn code(text: &str) -> Result<String, ApiError> {
    let code = text.strip_prefix("https://chat.whatsapp.com/").unwrap_or(text);
    let good = (8..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if good {
        Ok(code.to_owned())
    } else {
        Err(ApiError::field("code", "must be an invite code or its link"))
    }
}

fn description(request: &api::UpdateGroupRequest) -> Result<Option<String>, ApiError> {
    match &request.description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            let why = format!("must be at most {MAX_DESCRIPTION} characters long");
            Err(ApiError::field("description", why))
        }
        description => Ok(description.clone()),
    }
}

/// What is to be set, but for the description, which needs to know the present one.
fn settings(request: &api::UpdateGroupRequest) -> Result<Vec<Setting>, ApiError> {
    let subject = request.subject.as_ref().map(|text| subject("subject", text)).transpose()?;
    let timer = match &request.disappearing {
        None => None,
        Some(span) if span.nanos == 0 => match u32::try_from(span.seconds) {
            Ok(seconds) => Some(seconds),
            Err(_) => return Err(ApiError::field("disappearing", "must not be negative")),
        },
        Some(_) => return Err(ApiError::field("disappearing", "must be whole seconds")),
    };
    let settings = [
        subject.map(Setting::Subject),
        request.announce.map(Setting::Announce),
        request.locked.map(Setting::Locked),
        timer.map(Setting::Disappearing),
        request.members_add.map(Setting::MembersAdd),
        request.approval.map(Setting::Approval),
    ];
    Ok(settings.into_iter().flatten().collect())
}

fn outcomes(outcomes: Vec<Outcome>) -> api::UpdateParticipantsResponse {
    let outcome = |outcome: Outcome| {
        let (invite_code, invite_expire_time) = outcome.invite.unwrap_or_default();
        update_participants_response::Outcome {
            person: Some(outcome.person),
            code: u32::from(outcome.code),
            invite_code,
            invite_expire_time,
        }
    };
    api::UpdateParticipantsResponse { outcomes: outcomes.into_iter().map(outcome).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T, ApiError>) -> String {
        match result {
            Err(ApiError::InvalidField { field, .. }) => field,
            _ => panic!("it was not refused for its form"),
        }
    }

    #[test]
    fn bad_input_names_its_field() {
        assert_eq!(refused(group("group", "4915112345678@s.whatsapp.net")), "group");
        assert_eq!(refused(group("community", "@g.us")), "community");
        assert_eq!(refused(people("participants", &[], 1)), "participants");
        assert_eq!(
            refused(people("participants", &["1234567@lid".into(), "you".into()], 1)),
            "participants[1]"
        );
        assert_eq!(refused(subject("subject", "")), "subject");
        assert_eq!(refused(subject("subject", &"x".repeat(101))), "subject");
        assert_eq!(refused(code("no code!")), "code");
        let long = api::UpdateGroupRequest { description: Some("x".repeat(2_049)), ..Default::default() };
        assert_eq!(refused(description(&long)), "description");
        let half = Some(api::Duration { seconds: 1, nanos: 1 });
        let half = api::UpdateGroupRequest { disappearing: half, ..Default::default() };
        assert_eq!(refused(settings(&half)), "disappearing");
    }

    #[test]
    fn only_what_is_given_is_set() {
        let request = api::UpdateGroupRequest {
            announce: Some(false),
            disappearing: Some(api::Duration::default()),
            ..Default::default()
        };
        let settings = settings(&request).expect("good");
        assert_eq!(settings, [Setting::Announce(false), Setting::Disappearing(0)]);
    }

    #[test]
    fn an_invite_link_is_an_invite_code() {
        let read = code("https://chat.whatsapp.com/AbCdEfGhIjK").expect("good");
        assert_eq!(read, "AbCdEfGhIjK");
    }
}
