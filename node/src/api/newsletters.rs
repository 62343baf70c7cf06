//! `NewsletterService`.

mod asked;

use roost_proto::api;
use roost_proto::api::get_newsletter_request::By;
use roost_proto::api::newsletter_service_client::NewsletterServiceClient;
use roost_proto::api::newsletter_service_server::NewsletterService;
use roost_proto::ask::newsletters::{
    AcceptInvite, AcceptTerms, ChangeAdmin, CountAdmins, DeleteNewsletter, GetNewsletter, ListFollowers,
    ListInvited, ListNewsletterMessages, ListNewsletters, WatchNewsletter,
};
use roost_proto::id::DeviceKey;
use tonic::{Request, Response, Status, async_trait};

use self::asked::{FOLLOWERS, Follow, MESSAGES, admin_change, code, count, create, follow, update, updates};
pub(super) use self::asked::{fits, length};
use super::call::Call;
use super::media::name_in_post;
use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "NewsletterService";

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
            match follow(&request)? {
                Follow::All(all) => self.ask(&call, &key, &all).await?,
                Follow::Kind(kind) => self.ask(&call, &key, &kind).await?,
            }
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

fn device(call: &Call, name: &str) -> Result<DeviceKey, ApiError> {
    let key = parse::device("device", name)?;
    call.may_name_device(&key)?;
    Ok(key)
}
