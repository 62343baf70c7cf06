//! `StatusService`, who sees a status post that names nobody, and what senders hear of reading.

use std::collections::BTreeSet;

use roost_actors::device::{DeviceHandle, Recipient, Seen};
use roost_proto::api;
use roost_proto::api::message_service_client::MessageServiceClient;
use roost_proto::api::status_privacy::Audience as Shown;
use roost_proto::api::status_service_client::StatusServiceClient;
use roost_proto::api::status_service_server::StatusService;
use roost_proto::appstate::{Action, Collection};
use roost_proto::ask::Question as _;
use roost_proto::ask::privacy::GetPrivacy;
use roost_proto::ask::statuses::{Audience, GetAudience};
use roost_proto::id::DeviceKey;
use roost_proto::stanza::{Jid, Server};
use tonic::{Request, Response, Status, async_trait};

use super::asks::{ask_error, on_its_way};
use super::call::Call;
use super::messages::command_error;
use super::{Api, method, parse};
use crate::errors::{ApiError, Upstream};

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

    /// A post that names nobody is for whom the account's own settings name, by the owner's copies.
    pub(super) async fn ready_audience(
        &self,
        call: &Call,
        key: &DeviceKey,
        device: &DeviceHandle,
        to: &mut Recipient,
        revokes: bool,
    ) -> Result<(), ApiError> {
        let Recipient::Status(people) = to else { return Ok(()) };
        if revokes || !people.is_empty() {
            return Ok(());
        }
        on_its_way(call, device).await;
        let answer = device.ask(&GetAudience, call.left()).await;
        let audience = chosen(answer.map_err(|error| ask_error(key, device, error, GetAudience::CHANGES)))?;
        let except: BTreeSet<String> = match audience {
            Audience::Only(only) => {
                *people = only;
                return nobody(people);
            }
            Audience::Except(except) => except.iter().map(ToString::to_string).collect(),
            Audience::Contacts => BTreeSet::new(),
        };
        let contents = device.contents(vec![Collection::CriticalUnblockLow]).await;
        let contents = contents.map_err(|error| command_error(key, device, error))?;
        *people = contacts(contents, &except);
        nobody(people)
    }
}

/// An account that never chose shows its posts to all contacts.
fn chosen(answer: Result<Audience, ApiError>) -> Result<Audience, ApiError> {
    match answer {
        Err(ApiError::Upstream { what: Upstream::Refused(refused), .. }) if refused.code == 404 => {
            Ok(Audience::Contacts)
        }
        answer => answer,
    }
}

/// Everybody in the address book, but for some.
fn contacts(contents: Vec<Action>, except: &BTreeSet<String>) -> Vec<Jid> {
    let people = contents.into_iter().filter_map(|action| match action {
        Action::Contact { jid, contact: Some(contact) } => Some((jid, contact.lid)),
        _ => None,
    });
    let wanted = people.filter(|(jid, lid)| !except.contains(&jid.to_string()) && !except.contains(lid));
    wanted.map(|(jid, _)| jid).filter(|jid| jid.is_pn() || jid.is_lid()).take(parse::MAX_AUDIENCE).collect()
}

fn nobody(people: &[Jid]) -> Result<(), ApiError> {
    match people {
        [] => Err(ApiError::field("to.status.people", "are nobody, and nobody is a contact of the account")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::appstate::Contact;

    use super::*;

    #[test]
    fn contacts_who_are_left_out_in_either_form_see_nothing() {
        let contact = |jid: Jid, lid: &str| Action::Contact {
            jid,
            contact: Some(Contact { lid: lid.to_owned(), ..Contact::default() }),
        };
        let book = vec![
            contact(Jid::pn("4915100000001"), "71@lid"),
            contact(Jid::pn("4915100000002"), "72@lid"),
            contact(Jid::pn("4915100000003"), ""),
            Action::Contact { jid: Jid::lid("74"), contact: None },
        ];
        let except = ["72@lid".to_owned(), "4915100000003@s.whatsapp.net".to_owned()].into();
        assert_eq!(contacts(book, &except), [Jid::pn("4915100000001")]);
    }
}
