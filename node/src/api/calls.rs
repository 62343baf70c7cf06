//! `CallService`: rejecting calls, and links to them.

use roost_proto::api;
use roost_proto::api::call_service_server::CallService;
use roost_proto::ask::calls::{CreateCallLink, RejectCall};
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};

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
            let token = self.ask(&call, &key, &CreateCallLink { video: request.video }).await?;
            Ok(api::CallLink { url: parse::calls::url(&token, request.video) })
        })
        .await
    }
}
