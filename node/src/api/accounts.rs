//! `AccountService`: what the account of a device shows of itself, and to whom.

use roost_proto::api;
use roost_proto::api::account_service_server::AccountService;
use roost_proto::api::set_privacy_request::Exceptions;
use roost_proto::ask::pictures::SetPicture;
use roost_proto::ask::privacy::{GetPrivacy, LeftOut, ListChange, SetPrivacy, Told};
use roost_proto::ask::settings::{SetAbout, SetDefaultTimer};
use roost_proto::ask::users::AskUsers;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;
use tonic::{Request, Response, Status, async_trait};

use super::call::Call;
use super::parse::business::opaque;
use super::push::push;
use super::{Api, method, parse};
use crate::errors::{ApiError, Resource};

const SERVICE: &str = "AccountService";
/// Longest about text, in characters: what WhatsApp's own clients allow.
const MAX_ABOUT: usize = 139;
/// Largest profile picture, in bytes.
const MAX_PICTURE: usize = 512 * 1024;
/// Categories of privacy with the values that each can have.
const PRIVACY: [(&str, &[&str]); 9] = [
    ("last", &["all", "contacts", "contact_blacklist", "none"]),
    ("online", &["all", "match_last_seen"]),
    ("profile", &["all", "contacts", "contact_blacklist", "none"]),
    ("status", &["all", "contacts", "contact_blacklist", "none"]),
    ("readreceipts", &["all", "none"]),
    ("groupadd", &["all", "contacts", "contact_blacklist", "none"]),
    ("calladd", &["all", "known", "contacts"]),
    ("messages", &["all", "contacts"]),
    ("defense", &["off", "on_standard"]),
];
/// The value of a category that leaves people out.
const ALL_BUT: &str = "contact_blacklist";
/// Most people that come to a list of exceptions or go from it in one change.
const MAX_EXCEPTIONS: usize = 100;

#[async_trait]
impl AccountService for Api {
    async fn set_about(
        &self,
        request: Request<api::SetAboutRequest>,
    ) -> Result<Response<api::SetAboutResponse>, Status> {
        self.unary(method(SERVICE, "SetAbout"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            if request.text.chars().count() > MAX_ABOUT {
                return Err(ApiError::field("text", format!("must have at most {MAX_ABOUT} characters")));
            }
            self.ask(&call, &key, &SetAbout { text: request.text }).await?;
            Ok(api::SetAboutResponse {})
        })
        .await
    }

    async fn set_profile_picture(
        &self,
        request: Request<api::SetProfilePictureRequest>,
    ) -> Result<Response<api::SetProfilePictureResponse>, Status> {
        self.unary(method(SERVICE, "SetProfilePicture"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let jpeg = picture("jpeg", request.jpeg)?;
            let id = self.ask(&call, &key, &SetPicture { of: None, jpeg }).await?;
            Ok(api::SetProfilePictureResponse { id: id.unwrap_or_default() })
        })
        .await
    }

    async fn register_push(
        &self,
        request: Request<api::RegisterPushRequest>,
    ) -> Result<Response<api::RegisterPushResponse>, Status> {
        self.unary(method(SERVICE, "RegisterPush"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            self.ask(&call, &key, &push(request.service)?).await?;
            Ok(api::RegisterPushResponse {})
        })
        .await
    }

    async fn get_account_health(
        &self,
        request: Request<api::GetAccountHealthRequest>,
    ) -> Result<Response<api::AccountHealth>, Status> {
        self.unary(method(SERVICE, "GetAccountHealth"), request, |call, request| async move {
            self.account_health(&call, &request).await
        })
        .await
    }

    async fn get_quota(
        &self,
        request: Request<api::GetQuotaRequest>,
    ) -> Result<Response<api::Quota>, Status> {
        self.unary(method(SERVICE, "GetQuota"), request, |call, request| async move {
            self.quota(&call, &request).await
        })
        .await
    }

    async fn update_pacing_policy(
        &self,
        request: Request<api::UpdatePacingPolicyRequest>,
    ) -> Result<Response<api::PacingPolicy>, Status> {
        self.unary(method(SERVICE, "UpdatePacingPolicy"), request, |call, request| async move {
            self.set_pacing(&call, &request).await
        })
        .await
    }

    async fn get_privacy(
        &self,
        request: Request<api::GetPrivacyRequest>,
    ) -> Result<Response<api::Privacy>, Status> {
        self.unary(method(SERVICE, "GetPrivacy"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            Ok(shown(self.ask(&call, &key, &GetPrivacy).await?))
        })
        .await
    }

    async fn set_privacy(
        &self,
        request: Request<api::SetPrivacyRequest>,
    ) -> Result<Response<api::Privacy>, Status> {
        self.unary(method(SERVICE, "SetPrivacy"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let mut wanted = privacy(request.category, request.value)?;
            let exceptions = request.exceptions.map(|list| exceptions(&wanted, list)).transpose()?;
            if let Some(exceptions) = exceptions {
                wanted.list = Some(self.list_change(&call, &key, &wanted.name, exceptions).await?);
            }
            let told = self.ask(&call, &key, &wanted).await?;
            let mut settings = self.ask(&call, &key, &GetPrivacy).await?;
            settings.extend(told);
            settings.values.insert(wanted.name, wanted.value);
            Ok(shown(settings))
        })
        .await
    }

    async fn set_default_timer(
        &self,
        request: Request<api::SetDefaultTimerRequest>,
    ) -> Result<Response<api::SetDefaultTimerResponse>, Status> {
        self.unary(method(SERVICE, "SetDefaultTimer"), request, |call, request| async move {
            let key = parse::device("device", &request.device)?;
            call.may_name_device(&key)?;
            let seconds = parse::timer("timer", request.timer.as_ref())?;
            self.ask(&call, &key, &SetDefaultTimer { seconds }).await?;
            Ok(api::SetDefaultTimerResponse {})
        })
        .await
    }
}

impl Api {
    /// The change with the hidden identities of those whom it names, of the list that there is unless it names one.
    async fn list_change(
        &self,
        call: &Call,
        key: &DeviceKey,
        category: &str,
        (mut hash, people): (String, Vec<(bool, Jid)>),
    ) -> Result<ListChange, ApiError> {
        if hash.is_empty() {
            hash = self.ask(call, key, &GetPrivacy).await?.hashes.remove(category).unwrap_or_default();
        }
        let users = people.iter().map(|(_, user)| user.clone()).collect();
        let known = self.ask(call, key, &AskUsers { users }).await?;
        let of = |(add, user): (bool, Jid)| {
            let found = known.iter().find(|known| known.jid == user);
            let lid = found.and_then(|found| found.lid.clone());
            let lid = lid.ok_or_else(|| ApiError::not_found(Resource::Contact, &user))?;
            Ok(LeftOut { add, lid, pn: found.and_then(|found| found.pn.clone()) })
        };
        Ok(ListChange { hash, people: people.into_iter().map(of).collect::<Result<_, ApiError>>()? })
    }
}

fn shown(told: Told) -> api::Privacy {
    let Told { values, hashes } = told;
    api::Privacy { settings: values.into_iter().collect(), exception_hashes: hashes.into_iter().collect() }
}

/// A JPEG, or nothing to remove the picture.
pub(super) fn picture(field: &str, jpeg: Vec<u8>) -> Result<Option<Vec<u8>>, ApiError> {
    match jpeg.as_slice() {
        [] => Ok(None),
        [0xff, 0xd8, 0xff, ..] if jpeg.len() <= MAX_PICTURE => Ok(Some(jpeg)),
        [0xff, 0xd8, 0xff, ..] => {
            Err(ApiError::field(field, format!("must have at most {MAX_PICTURE} bytes, not {}", jpeg.len())))
        }
        _ => Err(ApiError::field(field, "must be a JPEG, or empty to remove the picture")),
    }
}

fn privacy(category: String, value: String) -> Result<SetPrivacy, ApiError> {
    let Some((_, values)) = PRIVACY.iter().find(|(name, _)| *name == category) else {
        let names = PRIVACY.map(|(name, _)| name).join(", ");
        return Err(ApiError::field("category", format!("must be one of {names}")));
    };
    if !values.contains(&value.as_str()) {
        return Err(ApiError::field("value", format!("must be one of {} for {category}", values.join(", "))));
    }
    Ok(SetPrivacy { name: category, value, list: None })
}

/// The hash of the present list, and who comes (`true`) and goes.
fn exceptions(wanted: &SetPrivacy, list: Exceptions) -> Result<(String, Vec<(bool, Jid)>), ApiError> {
    if wanted.value != ALL_BUT {
        return Err(ApiError::field("exceptions", format!("goes with the value {ALL_BUT} alone")));
    }
    let Exceptions { add, remove, hash } = list;
    let count = add.len() + remove.len();
    if count == 0 || count > MAX_EXCEPTIONS {
        let why = format!("must be, with those to remove, 1 to {MAX_EXCEPTIONS}, not {count}");
        return Err(ApiError::field("exceptions.add", why));
    }
    let hash = if hash.is_empty() { hash } else { opaque("exceptions.hash", hash)? };
    let read = |adds: bool, field: &'static str, users: Vec<String>| {
        let each = users.into_iter().enumerate();
        each.map(move |(place, user)| {
            Ok((adds, parse::user(&format!("exceptions.{field}[{place}]"), &user)?))
        })
    };
    let people = read(true, "add", add).chain(read(false, "remove", remove));
    Ok((hash, people.collect::<Result<_, ApiError>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_whatsapp_knows_is_asked_of_it() {
        assert!(privacy("last".into(), "none".into()).is_ok());
        assert!(privacy("online".into(), "none".into()).is_err());
        assert!(privacy("mood".into(), "all".into()).is_err());
    }

    #[test]
    fn exceptions_that_cannot_be_are_refused_by_their_field() {
        let refused = |value: &str, list: Exceptions| {
            let wanted = privacy("last".into(), value.into()).expect("known");
            match exceptions(&wanted, list) {
                Err(ApiError::InvalidField { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        let list = |add: &[&str], hash: &str| Exceptions {
            add: add.iter().map(|user| (*user).to_owned()).collect(),
            remove: Vec::new(),
            hash: hash.to_owned(),
        };
        assert_eq!(refused("contacts", list(&["4930999999"], "")), "exceptions");
        assert_eq!(refused(ALL_BUT, Exceptions::default()), "exceptions.add");
        assert_eq!(refused(ALL_BUT, list(&["4930999999"; 101], "")), "exceptions.add");
        assert_eq!(refused(ALL_BUT, list(&["4930999999", "me"], "")), "exceptions.add[1]");
        assert_eq!(refused(ALL_BUT, list(&["4930999999"], "a b")), "exceptions.hash");
        let wanted = privacy("last".into(), ALL_BUT.into()).expect("known");
        let both = Exceptions { remove: vec!["70000@lid".into()], ..list(&["4930999999"], "h1") };
        let (hash, people) = exceptions(&wanted, both).expect("good");
        assert_eq!((hash.as_str(), people[0].0, people[1].0), ("h1", true, false));
    }

    #[test]
    fn a_picture_is_a_jpeg_of_a_bounded_size_or_nothing() {
        assert_eq!(picture("jpeg", Vec::new()).expect("removal"), None);
        assert!(picture("jpeg", vec![0xff, 0xd8, 0xff, 0xe0]).expect("a JPEG").is_some());
        assert!(picture("jpeg", b"GIF89a".to_vec()).is_err());
        let mut huge = vec![0xff, 0xd8, 0xff];
        huge.resize(MAX_PICTURE + 1, 0);
        assert!(picture("jpeg", huge).is_err());
    }
}
