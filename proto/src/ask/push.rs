//! Services that WhatsApp tells when something comes for a device that is not connected. The shapes are whatsmeow's.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Question, set};
use crate::stanza::{Builder, Missing, Stanza};

/// Has WhatsApp tell a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterPush {
    /// As browsers have it (RFC 8030, RFC 8291).
    Web {
        /// Where it is told, a URL.
        endpoint: String,
        /// The shared secret.
        auth: [u8; 16],
        /// The receiver's point on P-256, not compressed.
        p256dh: [u8; 65],
    },
    /// Google's.
    Fcm {
        /// Names the receiver.
        token: String,
    },
    /// Apple's.
    Apple {
        /// Names the receiver.
        token: String,
        /// Names it for calls.
        voip_token: Option<String>,
        /// Encrypts the ids of messages.
        key: [u8; 32],
    },
}

impl Question for RegisterPush {
    type Answer = ();

    const CHANGES: bool = true;

    fn request(&self) -> Stanza {
        let config = Builder::new("config");
        let config = match self {
            RegisterPush::Web { endpoint, auth, p256dh } => config
                .attr("platform", "web")
                .attr("endpoint", endpoint.as_str())
                .attr("auth", STANDARD.encode(auth))
                .attr("p256dh", STANDARD.encode(p256dh)),
            RegisterPush::Fcm { token } => {
                config.attr("platform", "gcm").attr("id", token.as_str()).attr("num_acc", 1u8)
            }
            RegisterPush::Apple { token, voip_token, key } => {
                let config = config
                    .attr("platform", "apple")
                    .attr("id", token.as_str())
                    .attr("version", 2u8)
                    .attr("reg_push", 1u8)
                    .attr("preview", 1u8)
                    .attr("pkey", URL_SAFE_NO_PAD.encode(key))
                    .attr("background_location", 1u8)
                    .attr("call", "Opening.m4r")
                    .attr("default", "note.m4r")
                    .attr("groups", "note.m4r")
                    .attr("lg", "en")
                    .attr("lc", "US")
                    .attr("nse_call", 0u8)
                    .attr("nse_ver", 2u8)
                    .attr("nse_read", 0u8)
                    .attr("voip_payload_type", 2u8);
                match voip_token {
                    Some(voip) => config.attr("voip", voip.as_str()),
                    None => config,
                }
            }
        };
        set("urn:xmpp:whatsapp:push").children([config.build()]).build()
    }

    fn read(&self, _: &Stanza) -> Result<(), Missing> {
        Ok(())
    }
}
