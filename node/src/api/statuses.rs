//! `StatusService`, who sees a status post that names nobody, and what senders hear of reading.

mod audience;

use roost_actors::device::Seen;
use roost_proto::api;
use roost_proto::api::message_service_client::MessageServiceClient;
use roost_proto::api::status_privacy::Audience as Shown;
use roost_proto::api::status_service_client::StatusServiceClient;
use roost_proto::api::status_service_server::StatusService;
use roost_proto::appstate::Action;
use roost_proto::ask::privacy::GetPrivacy;
use roost_proto::ask::statuses::{Audience, GetAudience};
use roost_proto::stanza::Server;
use tonic::{Request, Response, Status, async_trait};

use super::call::Call;
use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "StatusService";

#[async_trait]
impl StatusService for Api {
    async fn get_status_privacy(
        &self,
        request: Request<api::GetStatusPrivacyRequest>,
    ) -> Result<Response<api::StatusPrivacy>, Status> {
        self.unary(method(SERVICE, "GetStatusPrivacy"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let (audience, people) = match chosen(self.ask(&call, &key, &GetAudience).await)? {
                Audience::Contacts => (Shown::Contacts, Vec::new()),
                Audience::Except(people) => (Shown::ContactsExcept, people),
                Audience::Only(people) => (Shown::Only, people),
            };
            let people = people.iter().map(ToString::to_string).collect();
            Ok(api::StatusPrivacy { audience: audience.into(), people })
        })
        .await
    }

    async fn mute_status(
        &self,
        request: Request<api::MuteStatusRequest>,
    ) -> Result<Response<api::MuteStatusResponse>, Status> {
        self.unary(method(SERVICE, "MuteStatus"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            let action =
                Action::MuteStatus { user: parse::user("user", &request.user)?, muted: request.muted };
            self.change(&call, (key, vec![action]), |channel| {
                let request = call.forward(request.clone());
                async move {
                    let done = StatusServiceClient::new(channel).mute_status(request).await?;
                    Ok(done.map(drop))
                }
            })
            .await?;
            Ok(api::MuteStatusResponse {})
        })
        .await
    }
}

impl Api {
    /// Tells senders that their messages were read, as far as the account's privacy lets them know.
    pub(super) async fn mark_as_read(
        &self,
        call: &Call,
        request: &api::MarkReadRequest,
    ) -> Result<(), ApiError> {
        let (key, mut wanted) = parse::statuses::mark_read(request)?;
        call.may_name_device(&key)?;
        let counted = wanted.chat.server == Server::Newsletter;
        if wanted.how == Seen::Read && !counted && !call.forwarded {
            let privacy = self.ask(call, &key, &GetPrivacy).await?;
            if privacy.values.get("readreceipts").is_some_and(|shown| shown == "none") {
                wanted.how = Seen::Privately;
            }
        }
        self.command(
            call,
            &key,
            |device| {
                let wanted = wanted.clone();
                async move { device.mark_read(wanted).await }
            },
            |channel| {
                let privately = wanted.how == Seen::Privately;
                let request = call.forward(api::MarkReadRequest { privately, ..request.clone() });
                async move { MessageServiceClient::new(channel).mark_read(request).await.map(drop) }
            },
        )
        .await
    }
}

/// An account that never chose shows its posts to all contacts.
fn chosen(answer: Result<Audience, ApiError>) -> Result<Audience, ApiError> {
    match answer {
        Err(refused) if refused.code_of_whatsapp() == Some(404) => Ok(Audience::Contacts),
        answer => answer,
    }
}
