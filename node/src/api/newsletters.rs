//! `NewsletterService`.

use roost_actors::device::{Make, Recipient};
use roost_proto::api;
use roost_proto::api::change_newsletter_admin_request::Action;
use roost_proto::api::follow_newsletter_request::How;
use roost_proto::api::get_newsletter_request::By;
use roost_proto::api::newsletter_service_client::NewsletterServiceClient;
use roost_proto::api::newsletter_service_server::NewsletterService;
use roost_proto::ask::making::New;
use roost_proto::ask::newsletters::{
    AcceptInvite, AcceptTerms, AdminChange, ChangeAdmin, CountAdmins, CreateNewsletter, DeleteNewsletter,
    FollowNewsletter, Following, GetNewsletter, ListFollowers, ListInvited, ListNewsletterMessages,
    ListNewsletterUpdates, ListNewsletters, UpdateNewsletter, WatchNewsletter,
};
use roost_proto::id::DeviceKey;
use tonic::{Request, Response, Status, async_trait};

use super::accounts::picture;
use super::call::Call;
use super::media::name_in_post;
use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "NewsletterService";
/// Longest title, in characters.
const MAX_TITLE: usize = 100;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 2048;
/// Messages in one answer: the most, and when nothing is said.
const MESSAGES: (u32, u32) = (100, 50);
/// The same of followers.
const FOLLOWERS: (u32, u32) = (1000, 100);
/// What stands before the code in a link.
const LINK: &str = "https://whatsapp.com/channel/";

#[async_trait]
impl NewsletterService for Api {
    async fn create_newsletter(
        &self,
        request: Request<api::CreateNewsletterRequest>,
    ) -> Result<Response<api::Newsletter>, Status> {
        self.unary(method(SERVICE, "CreateNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let make = (create(&request)?, request.request_id.is_empty());
            let get = |made: &str| Ok(GetNewsletter::ById(parse::newsletter("newsletter", made)?));
            let there = |channel| {
                let (mut there, request) =
                    (NewsletterServiceClient::new(channel), call.forward(request.clone()));
                async move { Ok(there.create_newsletter(request).await?.into_inner()) }
            };
            self.made_once(&call, &key, make, (get, |newsletter, _| newsletter), there).await
        })
        .await
    }

    async fn update_newsletter(
        &self,
        request: Request<api::UpdateNewsletterRequest>,
    ) -> Result<Response<api::Newsletter>, Status> {
        self.unary(method(SERVICE, "UpdateNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            self.ask(&call, &key, &update(request)?).await
        })
        .await
    }

    async fn delete_newsletter(
        &self,
        request: Request<api::DeleteNewsletterRequest>,
    ) -> Result<Response<api::DeleteNewsletterResponse>, Status> {
        self.unary(method(SERVICE, "DeleteNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            self.ask(&call, &key, &DeleteNewsletter { newsletter }).await?;
            Ok(api::DeleteNewsletterResponse {})
        })
        .await
    }

    async fn get_newsletter(
        &self,
        request: Request<api::GetNewsletterRequest>,
    ) -> Result<Response<api::Newsletter>, Status> {
        self.unary(method(SERVICE, "GetNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let get = match request.by {
                Some(By::Newsletter(id)) => GetNewsletter::ById(parse::newsletter("newsletter", &id)?),
                Some(By::Invite(invite)) => GetNewsletter::ByInvite(code(&invite)?),
                None => return Err(ApiError::field("by", "is required: newsletter or invite")),
            };
            self.ask(&call, &key, &get).await
        })
        .await
    }

    async fn list_newsletters(
        &self,
        request: Request<api::ListNewslettersRequest>,
    ) -> Result<Response<api::ListNewslettersResponse>, Status> {
        self.unary(method(SERVICE, "ListNewsletters"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletters = self.ask(&call, &key, &ListNewsletters).await?;
            Ok(api::ListNewslettersResponse { newsletters })
        })
        .await
    }

    async fn follow_newsletter(
        &self,
        request: Request<api::FollowNewsletterRequest>,
    ) -> Result<Response<api::FollowNewsletterResponse>, Status> {
        self.unary(method(SERVICE, "FollowNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let how = match request.how() {
                How::Follow => Following::Begin,
                How::Unfollow => Following::End,
                How::Mute => Following::Mute,
                How::Unmute => Following::Unmute,
                How::Unspecified => {
                    return Err(ApiError::field("how", "must be FOLLOW, UNFOLLOW, MUTE or UNMUTE"));
                }
            };
            self.ask(&call, &key, &FollowNewsletter { newsletter, how }).await?;
            Ok(api::FollowNewsletterResponse {})
        })
        .await
    }

    async fn list_newsletter_messages(
        &self,
        request: Request<api::ListNewsletterMessagesRequest>,
    ) -> Result<Response<api::ListNewsletterMessagesResponse>, Status> {
        self.unary(method(SERVICE, "ListNewsletterMessages"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let (before, count) = (request.before, count(request.count, MESSAGES)?);
            let list = ListNewsletterMessages { newsletter: newsletter.clone(), count, before };
            let mut posts = self.ask(&call, &key, &list).await?;
            posts.iter_mut().for_each(|post| name_in_post(&key, &newsletter, post));
            Ok(api::ListNewsletterMessagesResponse { posts })
        })
        .await
    }

    async fn list_newsletter_updates(
        &self,
        request: Request<api::ListNewsletterUpdatesRequest>,
    ) -> Result<Response<api::ListNewsletterUpdatesResponse>, Status> {
        self.unary(method(SERVICE, "ListNewsletterUpdates"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let list = updates(&request)?;
            let mut posts = self.ask(&call, &key, &list).await?;
            posts.iter_mut().for_each(|post| name_in_post(&key, &list.newsletter, post));
            Ok(api::ListNewsletterUpdatesResponse { posts })
        })
        .await
    }

    async fn watch_newsletter(
        &self,
        request: Request<api::WatchNewsletterRequest>,
    ) -> Result<Response<api::WatchNewsletterResponse>, Status> {
        self.unary(method(SERVICE, "WatchNewsletter"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let seconds = self.ask(&call, &key, &WatchNewsletter { newsletter }).await?;
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Ok(api::WatchNewsletterResponse { duration: Some(api::Duration { seconds, nanos: 0 }) })
        })
        .await
    }

    async fn get_newsletter_admins(
        &self,
        request: Request<api::GetNewsletterAdminsRequest>,
    ) -> Result<Response<api::NewsletterAdmins>, Status> {
        self.unary(method(SERVICE, "GetNewsletterAdmins"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let count = self.ask(&call, &key, &CountAdmins { newsletter: newsletter.clone() }).await?;
            let invited = self.ask(&call, &key, &ListInvited { newsletter }).await?;
            Ok(api::NewsletterAdmins { count, invited })
        })
        .await
    }

    async fn change_newsletter_admin(
        &self,
        request: Request<api::ChangeNewsletterAdminRequest>,
    ) -> Result<Response<api::ChangeNewsletterAdminResponse>, Status> {
        self.unary(method(SERVICE, "ChangeNewsletterAdmin"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let (user, how) = (parse::user("user", &request.user)?, admin_change(request.action())?);
            // WhatsApp names nobody by his number here.
            let lid = self.identities(&call, &key, &user).await?.lid;
            let user = lid.ok_or_else(|| ApiError::not_found(Resource::Contact, user))?;
            let until = self.ask(&call, &key, &ChangeAdmin { newsletter, user, how }).await?;
            let expire_time = until.map(|seconds| api::Timestamp { seconds, nanos: 0 });
            Ok(api::ChangeNewsletterAdminResponse { expire_time })
        })
        .await
    }

    async fn accept_newsletter_invite(
        &self,
        request: Request<api::AcceptNewsletterInviteRequest>,
    ) -> Result<Response<api::AcceptNewsletterInviteResponse>, Status> {
        self.unary(method(SERVICE, "AcceptNewsletterInvite"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            self.ask(&call, &key, &AcceptInvite { newsletter }).await?;
            Ok(api::AcceptNewsletterInviteResponse {})
        })
        .await
    }

    async fn list_newsletter_followers(
        &self,
        request: Request<api::ListNewsletterFollowersRequest>,
    ) -> Result<Response<api::ListNewsletterFollowersResponse>, Status> {
        self.unary(method(SERVICE, "ListNewsletterFollowers"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
            let list = ListFollowers { newsletter, count: count(request.count, FOLLOWERS)? };
            Ok(api::ListNewsletterFollowersResponse { followers: self.ask(&call, &key, &list).await? })
        })
        .await
    }

    async fn accept_newsletter_terms(
        &self,
        request: Request<api::AcceptNewsletterTermsRequest>,
    ) -> Result<Response<api::AcceptNewsletterTermsResponse>, Status> {
        self.unary(method(SERVICE, "AcceptNewsletterTerms"), request, |call, request| async move {
            let key = device(&call, &request.device)?;
            self.ask(&call, &key, &AcceptTerms).await?;
            Ok(api::AcceptNewsletterTermsResponse {})
        })
        .await
    }
}

fn admin_change(action: Action) -> Result<AdminChange, ApiError> {
    match action {
        Action::Invite => Ok(AdminChange::Invite),
        Action::RevokeInvite => Ok(AdminChange::RevokeInvite),
        Action::Demote => Ok(AdminChange::Demote),
        Action::MakeOwner => Ok(AdminChange::MakeOwner),
        Action::Unspecified => {
            Err(ApiError::field("action", "must be INVITE, REVOKE_INVITE, DEMOTE or MAKE_OWNER"))
        }
    }
}

/// Refuses what WhatsApp's own clients do not let be said in newsletters, beside kinds.
pub(super) fn fits(to: &Recipient, context: &api::Context) -> Result<(), ApiError> {
    match to {
        Recipient::Newsletter(_) if context.view_once => {
            Err(ApiError::field("context.view_once", "is not for newsletters, where everybody looks"))
        }
        _ => Ok(()),
    }
}

fn device(call: &Call, name: &str) -> Result<DeviceKey, ApiError> {
    let key = parse::device("device", name)?;
    call.may_name_device(&key)?;
    Ok(key)
}

fn create(request: &api::CreateNewsletterRequest) -> Result<Make, ApiError> {
    let title = length("title", request.title.clone(), 1, MAX_TITLE)?;
    let description = length("description", request.description.clone(), 0, MAX_DESCRIPTION)?;
    let said = api::CreateNewsletterRequest { request_id: String::new(), ..request.clone() };
    let picture = picture("picture", request.picture.clone())?.unwrap_or_default();
    let what = New::Newsletter(CreateNewsletter { title, description, picture });
    parse::make(what, &request.request_id, "newsletter", &said)
}

fn update(request: api::UpdateNewsletterRequest) -> Result<UpdateNewsletter, ApiError> {
    let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
    let title = request.title.map(|title| length("title", title, 1, MAX_TITLE)).transpose()?;
    let description = request.description.map(|text| length("description", text, 0, MAX_DESCRIPTION));
    let description = description.transpose()?;
    let picture = request.picture.map(|jpeg| picture("picture", jpeg).map(Option::unwrap_or_default));
    let picture = picture.transpose()?;
    if title.is_none() && description.is_none() && picture.is_none() {
        return Err(ApiError::field("title", "is required, or description or picture"));
    }
    Ok(UpdateNewsletter { newsletter, title, description, picture })
}

fn updates(request: &api::ListNewsletterUpdatesRequest) -> Result<ListNewsletterUpdates, ApiError> {
    let newsletter = parse::newsletter("newsletter", &request.newsletter)?;
    let (after, count) = (request.after, count(request.count, MESSAGES)?);
    let since = request.since.as_ref().map_or(Ok(0), |since| u64::try_from(since.seconds));
    let since = since.map_err(|_| ApiError::field("since", "must not be before 1970"))?;
    Ok(ListNewsletterUpdates { newsletter, count, after, since })
}

pub(super) fn length(field: &str, text: String, least: usize, most: usize) -> Result<String, ApiError> {
    match text.chars().count() {
        count if (least..=most).contains(&count) => Ok(text),
        _ => Err(ApiError::field(field, format!("must have {least} to {most} characters"))),
    }
}

fn count(count: i32, (most, usual): (u32, u32)) -> Result<u32, ApiError> {
    match u32::try_from(count) {
        Ok(0) => Ok(usual),
        Ok(count) if count <= most => Ok(count),
        _ => Err(ApiError::field("count", format!("must be 1 to {most}, or 0 for {usual}"))),
    }
}

fn code(invite: &str) -> Result<String, ApiError> {
    let code = invite.strip_prefix(LINK).unwrap_or(invite);
    let good = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if good { Ok(code.to_owned()) } else { Err(ApiError::field("invite", "must be a code or a link")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_names_its_field() {
        let refused = |result: Result<(), ApiError>| match result {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(length("title", String::new(), 1, MAX_TITLE).map(drop)), "title");
        let change = api::UpdateNewsletterRequest {
            newsletter: "1203631@newsletter".to_owned(),
            title: Some("Hens".to_owned()),
            ..Default::default()
        };
        let made = |id: &str, title: &str| {
            let (request_id, title) = (id.to_owned(), title.to_owned());
            create(&api::CreateNewsletterRequest { request_id, title, ..Default::default() })
        };
        assert_eq!(refused(made("1", "Hens").map(drop)), "request_id");
        assert_eq!(refused(made("", "").map(drop)), "title");
        let (title, picture) = ("Hens".to_owned(), b"GIF89a".to_vec());
        let bad = api::CreateNewsletterRequest { title, picture, ..Default::default() };
        assert_eq!(refused(create(&bad).map(drop)), "picture");
        let id = "0192a9f0-0000-7000-8000-0000000000ab";
        assert_eq!(made(id, "Hens").expect("good"), made(id, "Hens").expect("good"));
        let hash = |title| made(id, title).expect("good").request_hash;
        assert_ne!(hash("Hens"), hash("Geese"));
        assert!(update(change.clone()).is_ok());
        for (bad, field) in [
            (api::UpdateNewsletterRequest { newsletter: "1@g.us".into(), ..change.clone() }, "newsletter"),
            (api::UpdateNewsletterRequest { title: Some(String::new()), ..change.clone() }, "title"),
            (api::UpdateNewsletterRequest { title: None, ..change.clone() }, "title"),
            (
                api::UpdateNewsletterRequest { description: Some("x".repeat(2049)), ..change.clone() },
                "description",
            ),
            (api::UpdateNewsletterRequest { picture: Some(b"GIF89a".to_vec()), ..change.clone() }, "picture"),
        ] {
            assert_eq!(refused(update(bad).map(drop)), field);
        }
        let once = api::Context { view_once: true, ..Default::default() };
        let refusal = fits(&Recipient::Newsletter("1203631".to_owned()), &once);
        assert_eq!(refused(refusal), "context.view_once");
        assert!(fits(&Recipient::Phone("4915".to_owned()), &once).is_ok());
        assert_eq!(refused(admin_change(Action::Unspecified).map(drop)), "action");
        assert_eq!(refused(count(1001, FOLLOWERS).map(drop)), "count");
        assert_eq!(refused(count(101, MESSAGES).map(drop)), "count");
        assert_eq!(refused(count(-1, MESSAGES).map(drop)), "count");
        let list = |newsletter: &str, count, seconds| {
            let (newsletter, since) = (newsletter.to_owned(), Some(api::Timestamp { seconds, nanos: 0 }));
            updates(&api::ListNewsletterUpdatesRequest { newsletter, count, since, ..Default::default() })
        };
        let (news, good) = ("1203631@newsletter", list("1203631@newsletter", 0, 7).expect("good"));
        assert_eq!((good.count, good.since), (50, 7));
        for (bad, field) in [
            (list("1@g.us", 0, 7), "newsletter"),
            (list(news, 101, 7), "count"),
            (list(news, 0, -1), "since"),
        ] {
            assert_eq!(refused(bad.map(drop)), field);
        }
        assert_eq!(refused(code("no code!").map(drop)), "invite");
        assert_eq!(refused(parse::newsletter("newsletter", "1@g.us").map(drop)), "newsletter");
        assert_eq!(code("https://whatsapp.com/channel/0029VaX").expect("a link"), "0029VaX");
        assert_eq!(count(0, MESSAGES).expect("the usual"), 50);
    }
}
