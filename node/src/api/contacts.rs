//! `ContactService`: people on WhatsApp, and whom the account has blocked.

use std::collections::BTreeSet;

use roost_actors::device::{DeviceHandle, Identities};
use roost_proto::api;
use roost_proto::api::contact_service_client::ContactServiceClient;
use roost_proto::api::contact_service_server::ContactService;
use roost_proto::ask::bots::{BotProfiles, ListBots};
use roost_proto::ask::business::GetBusiness;
use roost_proto::ask::links::{OwnLink, ResolveLink};
use roost_proto::ask::numbers::CheckNumbers;
use roost_proto::ask::pictures::GetPicture;
use roost_proto::ask::settings::{GetBlocked, SetBlocked};
use roost_proto::ask::users::{AskUsers, User};
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;
use tonic::{Request, Response, Status, async_trait};

use super::asks::{ask_error, on_its_way};
use super::call::Call;
use super::parse::contacts as read;
use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "ContactService";
/// Most numbers in one call.
const MAX_NUMBERS: usize = 256;
/// Most accounts in one call.
const MAX_USERS: usize = 100;

#[async_trait]
impl ContactService for Api {
    async fn check_numbers(
        &self,
        request: Request<api::CheckNumbersRequest>,
    ) -> Result<Response<api::CheckNumbersResponse>, Status> {
        self.unary(method(SERVICE, "CheckNumbers"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let digits = each("phone_numbers", &request.phone_numbers, MAX_NUMBERS, parse::phone_number)?;
            let asked: BTreeSet<String> = digits.iter().cloned().collect();
            let answers =
                self.ask(&call, &key, &CheckNumbers { numbers: asked.into_iter().collect() }).await?;
            let numbers = digits.into_iter().zip(request.phone_numbers).map(|(digits, phone_number)| {
                let found = answers.iter().find(|answer| answer.number == digits);
                let account = found.and_then(|answer| answer.account.as_ref());
                api::NumberCheck {
                    phone_number,
                    on_whatsapp: account.is_some(),
                    person: account.map(|account| person(Some(&account.pn), account.lid.as_ref())),
                    business: account.is_some_and(|account| account.business),
                }
            });
            Ok(api::CheckNumbersResponse { numbers: numbers.collect() })
        })
        .await
    }

    async fn get_user_info(
        &self,
        request: Request<api::GetUserInfoRequest>,
    ) -> Result<Response<api::GetUserInfoResponse>, Status> {
        self.unary(method(SERVICE, "GetUserInfo"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let mut users = each("users", &request.users, MAX_USERS, parse::user)?;
            let mut seen = BTreeSet::new();
            users.retain(|user| seen.insert(user.to_string()));
            let found = self.ask(&call, &key, &AskUsers { users }).await?;
            Ok(api::GetUserInfoResponse { users: found.into_iter().map(user_info).collect() })
        })
        .await
    }

    async fn resolve_identity(
        &self,
        request: Request<api::ResolveIdentityRequest>,
    ) -> Result<Response<api::Person>, Status> {
        self.unary(method(SERVICE, "ResolveIdentity"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let user = parse::user("user", &request.user)?;
            let known = self.identities(&call, &key, &user).await?;
            Ok(person(known.pn.as_ref(), known.lid.as_ref()))
        })
        .await
    }

    async fn get_profile_picture(
        &self,
        request: Request<api::GetProfilePictureRequest>,
    ) -> Result<Response<api::ProfilePicture>, Status> {
        self.unary(method(SERVICE, "GetProfilePicture"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let of = parse::user_or_group("user", &request.user)?;
            if request.known_id.len() > 64 {
                return Err(ApiError::field("known_id", "must have at most 64 bytes"));
            }
            let known = request.known_id.clone();
            let picture = self.ask(&call, &key, &GetPicture { of, preview: request.preview, known }).await?;
            Ok(match picture {
                Some(picture) => api::ProfilePicture {
                    id: picture.id,
                    url: picture.url,
                    direct_path: picture.direct_path,
                    unchanged: false,
                },
                None => api::ProfilePicture { id: request.known_id, unchanged: true, ..Default::default() },
            })
        })
        .await
    }

    async fn get_business_profile(
        &self,
        request: Request<api::GetBusinessProfileRequest>,
    ) -> Result<Response<api::BusinessProfile>, Status> {
        self.unary(method(SERVICE, "GetBusinessProfile"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let of = parse::user("user", &request.user)?;
            let profile = self.ask(&call, &key, &GetBusiness { of }).await?;
            profile.ok_or_else(|| ApiError::not_found(Resource::Business, &request.user))
        })
        .await
    }

    async fn block_contact(
        &self,
        request: Request<api::BlockContactRequest>,
    ) -> Result<Response<api::BlockContactResponse>, Status> {
        self.unary(method(SERVICE, "BlockContact"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            self.set_blocked(&call, &key, &parse::user("user", &request.user)?, true).await?;
            Ok(api::BlockContactResponse {})
        })
        .await
    }

    async fn unblock_contact(
        &self,
        request: Request<api::UnblockContactRequest>,
    ) -> Result<Response<api::UnblockContactResponse>, Status> {
        self.unary(method(SERVICE, "UnblockContact"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            self.set_blocked(&call, &key, &parse::user("user", &request.user)?, false).await?;
            Ok(api::UnblockContactResponse {})
        })
        .await
    }

    async fn list_blocked(
        &self,
        request: Request<api::ListBlockedRequest>,
    ) -> Result<Response<api::ListBlockedResponse>, Status> {
        self.unary(method(SERVICE, "ListBlocked"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let blocked = self.ask(&call, &key, &GetBlocked).await?;
            Ok(api::ListBlockedResponse { people: blocked.iter().map(one_form).collect() })
        })
        .await
    }

    async fn get_contact_link(
        &self,
        request: Request<api::GetContactLinkRequest>,
    ) -> Result<Response<api::ContactLink>, Status> {
        self.unary(method(SERVICE, "GetContactLink"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let code = self.ask(&call, &key, &OwnLink { renew: request.renew }).await?;
            Ok(api::ContactLink { url: format!("{}{code}", read::LINKS[0]) })
        })
        .await
    }

    async fn resolve_link(
        &self,
        request: Request<api::ResolveLinkRequest>,
    ) -> Result<Response<api::LinkTarget>, Status> {
        self.unary(method(SERVICE, "ResolveLink"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let (jid, target) =
                self.ask(&call, &key, &ResolveLink { code: read::code(&request.link)? }).await?;
            Ok(api::LinkTarget { person: Some(one_form(&jid)), ..target })
        })
        .await
    }

    async fn report_spam(
        &self,
        request: Request<api::ReportSpamRequest>,
    ) -> Result<Response<api::ReportSpamResponse>, Status> {
        self.unary(method(SERVICE, "ReportSpam"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let report_id = self.ask(&call, &key, &read::report(&request)?).await?;
            Ok(api::ReportSpamResponse { report_id })
        })
        .await
    }

    async fn list_bots(
        &self,
        request: Request<api::ListBotsRequest>,
    ) -> Result<Response<api::ListBotsResponse>, Status> {
        self.unary(method(SERVICE, "ListBots"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let bots = self.ask(&call, &key, &ListBots).await?;
            if bots.is_empty() {
                return Ok(api::ListBotsResponse::default());
            }
            Ok(api::ListBotsResponse { bots: self.ask(&call, &key, &BotProfiles { bots }).await? })
        })
        .await
    }
}

impl Api {
    /// Both identities of a user: what the device knows, or else what WhatsApp tells.
    pub(super) async fn identities(
        &self,
        call: &Call,
        key: &DeviceKey,
        user: &Jid,
    ) -> Result<Identities, ApiError> {
        let here = |device: DeviceHandle| async move {
            let refused = |error| ask_error(key, &device, error, false);
            let known = device.identities(user.clone()).await.map_err(refused)?;
            if known.pn.is_some() && known.lid.is_some() {
                return Ok(known);
            }
            on_its_way(call, &device).await;
            let question = AskUsers { users: vec![user.clone()] };
            let asked = device.ask(&question, call.left()).await.map_err(refused)?;
            let User { pn, lid, .. } =
                asked.into_iter().next().ok_or_else(|| ApiError::not_found(Resource::Contact, user))?;
            Ok(Identities { pn: known.pn.or(pn), lid: known.lid.or(lid) })
        };
        let there = |channel| {
            let request = api::ResolveIdentityRequest { device: key.to_string(), user: user.to_string() };
            let request = call.forward(request);
            async move {
                let known = ContactServiceClient::new(channel).resolve_identity(request).await?.into_inner();
                let jid = |text: &str| text.parse::<Jid>().ok();
                Ok(Identities { pn: jid(&known.phone_number), lid: jid(&known.lid) })
            }
        };
        match self.router().at_owner(call, key, here, there).await {
            Err(ApiError::NotFound { what: Resource::Device, .. }) => Err(self.missing(key).await),
            known => known,
        }
    }

    async fn set_blocked(
        &self,
        call: &Call,
        key: &DeviceKey,
        user: &Jid,
        block: bool,
    ) -> Result<(), ApiError> {
        let Identities { pn, lid } = self.identities(call, key, user).await?;
        let lid = lid.ok_or_else(|| ApiError::not_found(Resource::Contact, user))?;
        self.ask(call, key, &SetBlocked { lid, pn, block }).await.map(drop)
    }
}

/// Reads 1 to `most` texts, each with its place in the name of the field.
fn each<T>(
    field: &str,
    texts: &[String],
    most: usize,
    read: impl Fn(&str, &str) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    if texts.is_empty() || texts.len() > most {
        return Err(ApiError::field(field, format!("must be 1 to {most}, not {}", texts.len())));
    }
    texts.iter().enumerate().map(|(place, text)| read(&format!("{field}[{place}]"), text)).collect()
}

fn user_info(user: User) -> api::UserInfo {
    api::UserInfo {
        person: Some(person(user.pn.as_ref(), user.lid.as_ref())),
        about: user.about.unwrap_or_default(),
        about_time: user
            .about_since
            .and_then(|since| i64::try_from(since).ok())
            .map(|seconds| api::Timestamp { seconds, nanos: 0 }),
        picture_id: user.picture.unwrap_or_default(),
        devices: user.devices.into_iter().map(u32::from).collect(),
        business: user.business.is_some(),
        verified_name: user.business.unwrap_or_default(),
        default_timer: user
            .disappearing
            .map(|seconds| api::Duration { seconds: i64::from(seconds), nanos: 0 }),
    }
}

/// A person by the JID that is known.
fn one_form(jid: &Jid) -> api::Person {
    match jid.is_lid() {
        true => person(None, Some(jid)),
        false => person(Some(jid), None),
    }
}

/// A person by the JIDs that are known.
fn person(pn: Option<&Jid>, lid: Option<&Jid>) -> api::Person {
    let text = |jid: Option<&Jid>| jid.map(ToString::to_string).unwrap_or_default();
    api::Person { lid: text(lid), phone_number: text(pn) }
}
