//! What a push service must be before WhatsApp is asked to tell it.

use roost_proto::api::register_push_request::{ApplePush, FcmPush, Service, WebPush};
use roost_proto::ask::push::RegisterPush;

use crate::errors::ApiError;

/// Longest endpoint, in bytes.
const MAX_ENDPOINT: usize = 2048;
/// Longest token; those of both services are far shorter.
const MAX_TOKEN: usize = 4096;

pub(super) fn push(service: Option<Service>) -> Result<RegisterPush, ApiError> {
    match service {
        None => Err(ApiError::field("service", "is required: web, fcm or apple")),
        Some(Service::Web(WebPush { endpoint, auth, p256dh })) => {
            let host = endpoint.strip_prefix("https://").filter(|rest| !rest.starts_with('/'));
            if host.is_none_or(|host| !printable(host, MAX_ENDPOINT)) {
                let why = format!("must be an https URL of at most {MAX_ENDPOINT} bytes");
                return Err(ApiError::field("web.endpoint", why));
            }
            let auth = sized("web.auth", &auth)?;
            let p256dh: [u8; 65] = sized("web.p256dh", &p256dh)?;
            if p256dh[0] != 4 {
                return Err(ApiError::field("web.p256dh", "must be a point that is not compressed"));
            }
            Ok(RegisterPush::Web { endpoint, auth, p256dh })
        }
        Some(Service::Fcm(FcmPush { token })) => Ok(RegisterPush::Fcm { token: named("fcm.token", token)? }),
        Some(Service::Apple(ApplePush { token, voip_token, key })) => Ok(RegisterPush::Apple {
            token: named("apple.token", token)?,
            voip_token: match voip_token.is_empty() {
                true => None,
                false => Some(named("apple.voip_token", voip_token)?),
            },
            key: sized("apple.key", &key)?,
        }),
    }
}

fn printable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn named(field: &str, token: String) -> Result<String, ApiError> {
    match printable(&token, MAX_TOKEN) {
        true => Ok(token),
        false => Err(ApiError::field(field, format!("must be 1 to {MAX_TOKEN} printable characters"))),
    }
}

fn sized<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], ApiError> {
    let wrong = |_| ApiError::field(field, format!("must have {N} bytes, not {}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_cannot_be_told_is_refused_by_its_field() {
        let point = [vec![4], vec![7; 64]].concat();
        let web = WebPush { endpoint: "https://push.example/1".into(), auth: vec![1; 16], p256dh: point };
        let apple = ApplePush { token: "t".into(), voip_token: String::new(), key: vec![1; 32] };
        assert!(push(Some(Service::Web(web.clone()))).is_ok());
        assert!(matches!(
            push(Some(Service::Apple(apple.clone()))),
            Ok(RegisterPush::Apple { voip_token: None, .. })
        ));
        let at = |endpoint: &str| Service::Web(WebPush { endpoint: endpoint.into(), ..web.clone() });
        for (service, named) in [
            (None, "service"),
            (Some(at("http://push.example/1")), "web.endpoint"),
            (Some(at("https:///1")), "web.endpoint"),
            (Some(at("https://a b")), "web.endpoint"),
            (Some(at(&format!("https://{}", "a".repeat(2049)))), "web.endpoint"),
            (Some(Service::Web(WebPush { auth: vec![1; 15], ..web.clone() })), "web.auth"),
            (Some(Service::Web(WebPush { p256dh: vec![4; 33], ..web.clone() })), "web.p256dh"),
            (Some(Service::Web(WebPush { p256dh: vec![2; 65], ..web.clone() })), "web.p256dh"),
            (Some(Service::Fcm(FcmPush { token: String::new() })), "fcm.token"),
            (Some(Service::Apple(ApplePush { token: "a\n".into(), ..apple.clone() })), "apple.token"),
            (Some(Service::Apple(ApplePush { voip_token: "ü".into(), ..apple.clone() })), "apple.voip_token"),
            (Some(Service::Apple(ApplePush { key: Vec::new(), ..apple })), "apple.key"),
        ] {
            match push(service) {
                Err(ApiError::InvalidField { field, .. }) => assert_eq!(field, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
