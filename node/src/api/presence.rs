//! `PresenceService`: what a device shows, and whom it watches.

use roost_actors::device::Typing;
use roost_proto::api;
use roost_proto::api::presence_service_client::PresenceServiceClient;
use roost_proto::api::presence_service_server::PresenceService;
use roost_proto::api::send_chat_state_request::State;
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "PresenceService";

#[async_trait]
impl PresenceService for Api {
    async fn set_presence(
        &self,
        request: Request<api::SetPresenceRequest>,
    ) -> Result<Response<api::SetPresenceResponse>, Status> {
        self.unary(method(SERVICE, "SetPresence"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let available = request.available;
            self.command(
                &call,
                &key,
                |device| async move { device.set_presence(available).await },
                |channel| {
                    let request = call.forward(request.clone());
                    async move { PresenceServiceClient::new(channel).set_presence(request).await.map(drop) }
                },
            )
            .await?;
            Ok(api::SetPresenceResponse {})
        })
        .await
    }

    async fn send_chat_state(
        &self,
        request: Request<api::SendChatStateRequest>,
    ) -> Result<Response<api::SendChatStateResponse>, Status> {
        self.unary(method(SERVICE, "SendChatState"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let chat = parse::user_or_group("chat", &request.chat)?;
            let typing = match request.state() {
                State::Typing => Typing::Text,
                State::Recording => Typing::Voice,
                State::Paused => Typing::Paused,
                State::Unspecified => {
                    return Err(ApiError::field("state", "must be TYPING, RECORDING or PAUSED"));
                }
            };
            self.command(
                &call,
                &key,
                |device| {
                    let chat = chat.clone();
                    async move { device.send_typing(chat, typing).await }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move { PresenceServiceClient::new(channel).send_chat_state(request).await.map(drop) }
                },
            )
            .await?;
            Ok(api::SendChatStateResponse {})
        })
        .await
    }

    async fn subscribe_presence(
        &self,
        request: Request<api::SubscribePresenceRequest>,
    ) -> Result<Response<api::SubscribePresenceResponse>, Status> {
        self.unary(method(SERVICE, "SubscribePresence"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let user = parse::user("user", &request.user)?;
            let watch = !request.end;
            self.command(
                &call,
                &key,
                |device| {
                    let user = user.clone();
                    async move { device.watch_presence(user, watch).await }
                },
                |channel| {
                    let request = call.forward(request.clone());
                    async move {
                        PresenceServiceClient::new(channel).subscribe_presence(request).await.map(drop)
                    }
                },
            )
            .await?;
            Ok(api::SubscribePresenceResponse {})
        })
        .await
    }
}
