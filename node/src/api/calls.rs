//! `CallService`: rejecting calls, and links to them.

use roost_proto::api;
use roost_proto::api::call_service_client::CallServiceClient;
use roost_proto::api::call_service_server::CallService;
use roost_proto::ask::calls::CreateCallLink;
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "CallService";
/// What stands before the token in a link: with pictures, and without.
const LINKS: [&str; 2] = ["https://call.whatsapp.com/video/", "https://call.whatsapp.com/voice/"];

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
            let id = &request.call_id;
            if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(ApiError::field("call_id", "must be the call_id of an event"));
            }
            self.command(
                &call,
                &key,
                |device| {
                    let (caller, id) = (caller.clone(), id.clone());
                    async move { device.reject_call(caller, id).await }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move { CallServiceClient::new(channel).reject_call(request).await.map(drop) }
                },
            )
            .await?;
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
            let [video, voice] = LINKS;
            Ok(api::CallLink { url: format!("{}{token}", if request.video { video } else { voice }) })
        })
        .await
    }
}
