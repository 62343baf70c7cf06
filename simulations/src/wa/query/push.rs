//! Services that are told when something comes for a companion which is not connected: kept as they were named, and told
//! nothing, as nothing of the real ones is here.
//!
//! What must hold: what no service could be is refused. The shapes are whatsmeow's; with which code the real server refuses
//! is a guess, as is that one of a device replaces what it had.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roost_proto::stanza::{Read as _, Stanza};

use super::{Answer, refuse};
use crate::wa::account::DeviceRef;
use crate::wa::machine::Machine;

/// What is said of each; the last of a row may be left out.
const WEB: [&str; 3] = ["endpoint", "auth", "p256dh"];
const FCM: [&str; 2] = ["id", "num_acc"];
const APPLE: [&str; 16] = [
    "id",
    "version",
    "reg_push",
    "preview",
    "pkey",
    "background_location",
    "call",
    "default",
    "groups",
    "lg",
    "lc",
    "nse_call",
    "nse_ver",
    "nse_read",
    "voip_payload_type",
    "voip",
];
/// Longest value. (A guess.)
const MOST: usize = 8192;

impl Machine {
    /// `<config platform …/>`
    pub(super) fn register_push(&mut self, device: DeviceRef, stanza: &Stanza) -> Answer {
        let config = stanza.child("config").ok_or_else(|| refuse(400, "no service is named"))?;
        let value = |name: &str| config.text(name).unwrap_or_default().into_owned();
        let platform = value("platform");
        let (names, needed): (&[&str], usize) = match platform.as_str() {
            "web" => (&WEB, WEB.len()),
            "gcm" => (&FCM, FCM.len()),
            "apple" => (&APPLE, APPLE.len() - 1),
            other => return Err(refuse(400, format!("a push service of the unknown kind {other:?}"))),
        };
        let mut service: BTreeMap<String, String> =
            names.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        for (place, name) in names.iter().enumerate() {
            let value = &service[*name];
            if value.len() > MOST || (place < needed && value.is_empty()) {
                return Err(refuse(
                    400,
                    format!("a push service of the kind {platform} without a good {name}"),
                ));
            }
        }
        let bytes = |decoded: Result<Vec<u8>, _>| decoded.map_or(0, |bytes| bytes.len());
        let fits = match platform.as_str() {
            "web" => {
                let sizes = ["auth", "p256dh"].map(|name| bytes(STANDARD.decode(&service[name])));
                service["endpoint"].starts_with("https://") && sizes == [16, 65]
            }
            "apple" => bytes(URL_SAFE_NO_PAD.decode(&service["pkey"])) == 32,
            _ => true,
        };
        if !fits {
            return Err(refuse(400, "a push service whose keys or address cannot be"));
        }
        service.retain(|_, value| !value.is_empty());
        service.insert("platform".to_owned(), platform);
        let companion = self.account_mut(device.pn).companions.get_mut(&device.device);
        companion.ok_or_else(|| refuse(403, "only companions are told of"))?.push = service;
        Ok(vec![])
    }
}
