//! `AccountService`: what the account of a device shows of itself, and to whom.

use std::collections::BTreeMap;

use roost_proto::api;
use roost_proto::api::account_service_server::AccountService;
use roost_proto::ask::pictures::SetPicture;
use roost_proto::ask::settings::{GetPrivacy, SetAbout, SetDefaultTimer, SetPrivacy};
use tonic::{Request, Response, Status, async_trait};

use super::{Api, method, parse};
use crate::errors::ApiError;

const SERVICE: &str = "AccountService";
/// Longest about text, in characters: what WhatsApp's own clients allow.
const MAX_ABOUT: usize = 139;
/// Largest profile picture, in bytes.
const MAX_PICTURE: usize = 512 * 1024;
/// Categories of privacy with the values that each can have.
const PRIVACY: [(&str, &[&str]); 8] = [
    ("last", &["all", "contacts", "contact_blacklist", "none"]),
    ("online", &["all", "match_last_seen"]),
    ("profile", &["all", "contacts", "contact_blacklist", "none"]),
    ("status", &["all", "contacts", "contact_blacklist", "none"]),
    ("readreceipts", &["all", "none"]),
    ("groupadd", &["all", "contacts", "contact_blacklist"]),
    ("calladd", &["all", "known"]),
    ("messages", &["all", "contacts"]),
];
/// Timers that WhatsApp knows, in seconds: off, a day, a week, 90 days.
const TIMERS: [i64; 4] = [0, 86_400, 604_800, 7_776_000];

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

    async fn get_account_health(
        &self,
        request: Request<api::GetAccountHealthRequest>,
    ) -> Result<Response<api::AccountHealth>, Status> {
        self.unary(method(SERVICE, "GetAccountHealth"), request, |call, request| async move {
            self.account_health(&call, &request.device).await
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
            let settings = self.ask(&call, &key, &GetPrivacy).await?;
            Ok(api::Privacy { settings: settings.into_iter().collect() })
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
            let wanted = privacy(request.category, request.value)?;
            let (name, value) = (wanted.name.clone(), wanted.value.clone());
            let told = self.ask(&call, &key, &wanted).await?;
            let mut settings: BTreeMap<String, String> = self.ask(&call, &key, &GetPrivacy).await?;
            settings.extend(told);
            settings.insert(name, value);
            Ok(api::Privacy { settings: settings.into_iter().collect() })
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
            let seconds = timer("timer", request.timer.as_ref())?;
            self.ask(&call, &key, &SetDefaultTimer { seconds }).await?;
            Ok(api::SetDefaultTimerResponse {})
        })
        .await
    }
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
    Ok(SetPrivacy { name: category, value })
}

fn timer(field: &str, timer: Option<&api::Duration>) -> Result<u32, ApiError> {
    let seconds = timer.map_or(0, |timer| timer.seconds);
    if !TIMERS.contains(&seconds) || timer.is_some_and(|timer| timer.nanos != 0) {
        return Err(ApiError::field(field, "must be 0, 24 hours, 7 days or 90 days"));
    }
    Ok(u32::try_from(seconds).expect("one of four small numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_whatsapp_knows_is_asked_of_it() {
        assert!(privacy("last".into(), "none".into()).is_ok());
        assert!(privacy("online".into(), "none".into()).is_err());
        assert!(privacy("mood".into(), "all".into()).is_err());
        let seconds = |seconds| api::Duration { seconds, nanos: 0 };
        assert_eq!(timer("timer", None).expect("off"), 0);
        assert_eq!(timer("timer", Some(&seconds(604_800))).expect("a week"), 604_800);
        assert!(timer("timer", Some(&seconds(60))).is_err());
        assert!(timer("timer", Some(&api::Duration { seconds: 0, nanos: 1 })).is_err());
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
