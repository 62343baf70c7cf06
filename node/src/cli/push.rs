//! `roost account push …`: a service that WhatsApp tells when something comes for a device.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use roost_proto::api;
use roost_proto::api::register_push_request::{ApplePush, FcmPush, Service, WebPush};

use super::{Globals, device_name};
use crate::client::{Problem, request};

/// Which service.
#[derive(Debug, Clone, Subcommand)]
pub enum PushCommand {
    /// As browsers have it.
    Web {
        /// `acme/shop` or its whole name.
        device: String,
        /// An https URL.
        endpoint: String,
        /// The secret, in base64url, as `PushSubscription.toJSON` shows it.
        #[arg(long, value_parser = base64url)]
        auth: Base64,
        /// The public key, in base64url.
        #[arg(long, value_parser = base64url)]
        p256dh: Base64,
    },
    /// Google's.
    Fcm {
        /// `acme/shop` or its whole name.
        device: String,
        /// Names the receiver.
        token: String,
    },
    /// Apple's.
    Apple {
        /// `acme/shop` or its whole name.
        device: String,
        /// Names the receiver.
        token: String,
        /// Names it for calls.
        #[arg(long, default_value = "")]
        voip_token: String,
        /// 32 bytes in base64url, with which WhatsApp encrypts the ids of messages.
        #[arg(long, value_parser = base64url)]
        key: Base64,
    },
}

/// Bytes, as base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64(Vec<u8>);

fn base64url(text: &str) -> Result<Base64, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.map(Base64).map_err(|error| format!("is not base64url: {error}"))
}

impl PushCommand {
    fn request(self) -> api::RegisterPushRequest {
        let (device, service) = match self {
            PushCommand::Web { device, endpoint, auth, p256dh } => {
                (device, Service::Web(WebPush { endpoint, auth: auth.0, p256dh: p256dh.0 }))
            }
            PushCommand::Fcm { device, token } => (device, Service::Fcm(FcmPush { token })),
            PushCommand::Apple { device, token, voip_token, key } => {
                (device, Service::Apple(ApplePush { token, voip_token, key: key.0 }))
            }
        };
        api::RegisterPushRequest { device: device_name(&device), service: Some(service) }
    }
}

pub(super) async fn run(command: PushCommand, globals: &Globals) -> Result<(), Problem> {
    let (client, deadline) = (globals.connect().await?, globals.deadline());
    client.accounts().register_push(request(command.request(), deadline)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_browsers_write_them() {
        let parsed = ["_-8", "_-8="].map(|text| base64url(text).expect("base64url"));
        assert_eq!(parsed, [Base64(vec![0xff, 0xef]), Base64(vec![0xff, 0xef])]);
        assert!(base64url("+/8=").is_err());
        let command = PushCommand::Fcm { device: "acme/shop".into(), token: "t".into() };
        let request = command.request();
        assert_eq!(request.device, "tenants/acme/devices/shop");
        assert_eq!(request.service, Some(Service::Fcm(FcmPush { token: "t".into() })));
    }
}
