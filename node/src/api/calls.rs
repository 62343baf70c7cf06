//! `CallService`: rejecting calls, and links to them.

use roost_proto::api;
use roost_proto::api::call_service_server::CallService;
use roost_proto::ask::calls::{CreateCallLink, PreviewCallLink, RejectCall};
use roost_proto::stanza::{Jid, Server};
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "CallService";

#[async_trait]
impl CallService for Api {
    async fn reject_call(
        &self,
        request: Request<api::RejectCallRequest>,
    ) -> Result<Response<api::RejectCallResponse>, Status> {
        self.unary(method(SERVICE, "RejectCall"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let caller = parse::user("caller", &request.caller)?;
            let call_id = parse::calls::id(&request.call_id)?;
            self.ask(&call, &key, &RejectCall { caller, call_id }).await?;
            Ok(api::RejectCallResponse {})
        })
        .await
    }

    async fn create_call_link(
        &self,
        request: Request<api::CreateCallLinkRequest>,
    ) -> Result<Response<api::CallLink>, Status> {
        self.unary(method(SERVICE, "CreateCallLink"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let (video, start_s) = (request.video, parse::calls::start(request.start_time.as_ref())?);
            let token = self.ask(&call, &key, &CreateCallLink { video, start_s }).await?;
            Ok(api::CallLink { url: parse::calls::url(&token, video) })
        })
        .await
    }

    async fn preview_call_link(
        &self,
        request: Request<api::PreviewCallLinkRequest>,
    ) -> Result<Response<api::CallLinkPreview>, Status> {
        self.unary(method(SERVICE, "PreviewCallLink"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let (token, video) = parse::calls::link(&request.link)?;
            let about = self.ask(&call, &key, &PreviewCallLink { token, video }).await?;
            if about.video != video {
                return Err(ApiError::field(
                    "link",
                    "leads to a call of the other kind, by voice or with video",
                ));
            }
            let of = |server| {
                let found = about.creator.iter().flatten().find(|jid| jid.server == server);
                found.map(Jid::to_string).unwrap_or_default()
            };
            let creator = api::Person { lid: of(Server::Lid), phone_number: of(Server::Pn) };
            let (waiting_room, admin) = (about.waiting_room, about.admin);
            Ok(api::CallLinkPreview { video, creator: Some(creator), waiting_room, admin })
        })
        .await
    }
}
