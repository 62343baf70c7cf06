//! What a client says when it connects, and how the server ends a connection.
//!
//! The payload of the last handshake message is either a registration (a device that is not paired yet
//! shows its keys) or a login (a paired device names itself; its Noise static key is the credential).
//! waproto's types stay inside: these are the facts that both sides use.
//! Rules: what whatsmeow, Baileys and whatsapp-rust agree on.

mod ending;
mod history;
mod platform;

pub use ending::{Failure, FailureReason, StreamError, Success};
pub use history::FullHistory;
pub use platform::Platform;

use md5::{Digest as _, Md5};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::client_payload::{
    ConnectReason, ConnectType, DevicePairingRegistrationData, UserAgent, WebInfo, user_agent, web_info,
};
use waproto::whatsapp::device_props::PlatformType;

use crate::signal::{PublicSignedPrekey, verify};
use crate::version::ProtocolVersion;

/// The longest payload that is parsed; real ones have about 500 bytes.
const MAX_PAYLOAD: usize = 16 * 1024;

/// Signal's type byte of Curve25519 keys: what a signed prekey's signature covers before the key.
const KEY_TYPE: u8 = 0x05;

/// A client's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPayload {
    /// An unpaired device asks to be paired.
    Registration(Registration),
    /// A paired device comes online.
    Login(Login),
}

/// The keys that an unpaired device shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Signal registration id.
    pub registration_id: u32,
    /// The device's identity key.
    pub identity: [u8; 32],
    /// Its signed prekey.
    pub signed_prekey: PublicSignedPrekey,
    /// The name shown to others, when the client already has one.
    pub push_name: Option<String>,
    /// The name of the device on the phone's list of linked devices.
    pub os: String,
    /// What kind of client draws itself there.
    pub platform: Platform,
    /// It asks for all of the past; without it, for the recent one.
    pub full_history: Option<FullHistory>,
}

/// Who comes online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account's phone number, digits as a number.
    pub username: u64,
    /// The device number within the account; `None` if the client named none (Baileys does that when
    /// pairing by code was interrupted).
    pub device: Option<u16>,
    /// Ask the server to hold messages back until `<active/>`.
    pub passive: bool,
    /// How many logins of this device came before.
    pub login_counter: i32,
}

/// What is the same for all devices of one program: its version and how it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The WhatsApp Web version that we speak. The server refuses those that are too old (failure 405).
    pub version: ProtocolVersion,
    /// Language, ISO 639-1.
    pub language: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
}

/// Why bytes are not a payload, or claim what they do not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not a client payload.
    #[error("the payload is malformed")]
    Malformed,
    /// A part is absent or has another length.
    #[error("the payload has no usable {0}")]
    Missing(&'static str),
    /// The signed prekey is not signed by the identity key.
    #[error("the signed prekey is not signed by the identity key")]
    PrekeySignature,
}

/// Serialises a payload for [`crate::noise::VerifiedServer::finish`].
pub fn build(payload: &ClientPayload, info: &ClientInfo) -> Vec<u8> {
    let mut out = wa::ClientPayload {
        user_agent: MessageField::some(user_agent(info)),
        web_info: MessageField::some(WebInfo {
            web_sub_platform: Some(web_info::WebSubPlatform::WEB_BROWSER),
            ..Default::default()
        }),
        connect_type: Some(ConnectType::WIFI_UNKNOWN),
        connect_reason: Some(ConnectReason::USER_ACTIVATED),
        ..Default::default()
    };
    match payload {
        ClientPayload::Registration(registration) => {
            out.passive = Some(false);
            out.pull = Some(false);
            out.push_name = registration.push_name.clone();
            out.device_pairing_data = MessageField::some(pairing_data(registration, info));
        }
        ClientPayload::Login(login) => {
            out.username = Some(login.username);
            out.device = login.device.map(u32::from);
            out.passive = Some(login.passive);
            out.pull = Some(true);
            out.lc = Some(login.login_counter);
            out.lid_db_migrated = Some(true);
        }
    }
    out.encode_to_vec()
}

/// The version that a payload says its client has, if it says one.
pub fn version(bytes: &[u8]) -> Option<ProtocolVersion> {
    let payload = wa::ClientPayload::decode_from_slice(bytes).ok()?;
    let version = payload.user_agent.as_option()?.app_version.as_option()?;
    Some(ProtocolVersion([version.primary?, version.secondary?, version.tertiary?]))
}

/// Reads and checks a payload, as the server does.
///
/// # Errors
/// [`PayloadError`]; the server answers with failure 400 and closes.
pub fn parse(bytes: &[u8]) -> Result<ClientPayload, PayloadError> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(PayloadError::Malformed);
    }
    let payload = wa::ClientPayload::decode_from_slice(bytes).map_err(|_| PayloadError::Malformed)?;
    if let Some(data) = payload.device_pairing_data.as_option() {
        return Ok(ClientPayload::Registration(registration(data, payload.push_name.clone())?));
    }
    let device = payload.device.map(u16::try_from).transpose().map_err(|_| PayloadError::Malformed)?;
    Ok(ClientPayload::Login(Login {
        username: payload.username.ok_or(PayloadError::Missing("username"))?,
        device,
        passive: payload.passive.unwrap_or(false),
        login_counter: payload.lc.unwrap_or(0),
    }))
}

fn registration(
    data: &DevicePairingRegistrationData,
    push_name: Option<String>,
) -> Result<Registration, PayloadError> {
    if data.e_keytype.as_deref() != Some(&[KEY_TYPE]) {
        return Err(PayloadError::Missing("key type"));
    }
    let props = wa::DeviceProps::decode_from_slice(data.device_props.as_deref().unwrap_or_default())
        .map_err(|_| PayloadError::Missing("device properties"))?;
    let full_history = history::asked(&props);
    let prekey_id: [u8; 3] = exact(&data.e_skey_id, "signed prekey id")?;
    let registration = Registration {
        registration_id: u32::from_be_bytes(exact(&data.e_regid, "registration id")?),
        identity: exact(&data.e_ident, "identity key")?,
        signed_prekey: PublicSignedPrekey {
            id: u32::from_be_bytes([0, prekey_id[0], prekey_id[1], prekey_id[2]]),
            public: exact(&data.e_skey_val, "signed prekey")?,
            signature: exact(&data.e_skey_sig, "signature of the signed prekey")?,
        },
        push_name,
        os: props.os.unwrap_or_default(),
        platform: Platform::of_number(props.platform_type.map_or(0, |kind| kind as i32)),
        full_history,
    };
    let prekey = &registration.signed_prekey;
    let signed = [&[KEY_TYPE], &prekey.public[..]].concat();
    if !verify(&registration.identity, &signed, &prekey.signature) {
        return Err(PayloadError::PrekeySignature);
    }
    Ok(registration)
}

fn pairing_data(registration: &Registration, info: &ClientInfo) -> DevicePairingRegistrationData {
    let number = registration.platform.number();
    let platform = waproto::buffa::Enumeration::from_i32(number).unwrap_or(PlatformType::UNKNOWN);
    let props = wa::DeviceProps {
        os: Some(registration.os.clone()),
        platform_type: Some(platform),
        require_full_sync: Some(registration.full_history.is_some()),
        history_sync_config: MessageField::some(history::config(registration.full_history)),
        ..Default::default()
    };
    let prekey = &registration.signed_prekey;
    DevicePairingRegistrationData {
        e_regid: Some(registration.registration_id.to_be_bytes().to_vec()),
        e_keytype: Some(vec![KEY_TYPE]),
        e_ident: Some(registration.identity.to_vec()),
        e_skey_id: Some(prekey.id.to_be_bytes()[1..].to_vec()),
        e_skey_val: Some(prekey.public.to_vec()),
        e_skey_sig: Some(prekey.signature.to_vec()),
        build_hash: Some(build_hash(info.version)),
        device_props: Some(props.encode_to_vec()),
    }
}

fn user_agent(info: &ClientInfo) -> UserAgent {
    let ProtocolVersion([primary, secondary, tertiary]) = info.version;
    let version = user_agent::AppVersion {
        primary: Some(primary),
        secondary: Some(secondary),
        tertiary: Some(tertiary),
        ..Default::default()
    };
    UserAgent {
        platform: Some(user_agent::Platform::WEB),
        app_version: MessageField::some(version),
        mcc: Some("000".to_owned()),
        mnc: Some("000".to_owned()),
        os_version: Some("0.1".to_owned()),
        manufacturer: Some(String::new()),
        device: Some("Desktop".to_owned()),
        os_build_number: Some("0.1".to_owned()),
        release_channel: Some(user_agent::ReleaseChannel::RELEASE),
        locale_language_iso6391: Some(info.language.clone()),
        locale_country_iso31661_alpha2: Some(info.country.clone()),
        ..Default::default()
    }
}

/// MD5 of the dotted version, 16 bytes: a fingerprint of the build, not a protection of anything.
fn build_hash(ProtocolVersion([primary, secondary, tertiary]): ProtocolVersion) -> Vec<u8> {
    Md5::digest(format!("{primary}.{secondary}.{tertiary}")).to_vec()
}

fn exact<const N: usize>(bytes: &Option<Vec<u8>>, what: &'static str) -> Result<[u8; N], PayloadError> {
    bytes.as_deref().and_then(|b| b.try_into().ok()).ok_or(PayloadError::Missing(what))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::signal::Keys;

    fn info() -> ClientInfo {
        ClientInfo { version: ProtocolVersion([2, 3000, 1]), language: "en".into(), country: "US".into() }
    }

    fn registered() -> Registration {
        let mut rng = rand::rngs::StdRng::seed_from_u64(5);
        let keys = Keys::generate(&mut rng);
        Registration {
            registration_id: keys.registration_id(),
            identity: *keys.identity().public(),
            signed_prekey: keys.signed_prekey(),
            push_name: Some("Ada".into()),
            os: "Roost".into(),
            platform: Platform::Desktop,
            full_history: None,
        }
    }

    #[test]
    fn a_payload_says_its_version_and_other_bytes_say_none() {
        let login = Login { username: 15_550_001_000, device: Some(3), passive: true, login_counter: 4 };
        let payload = build(&ClientPayload::Login(login), &info());
        assert_eq!(version(&payload), Some(info().version));
        assert_eq!(version(&payload[..payload.len() - 1]), None);
        assert_eq!(version(&[]), None);
    }

    #[test]
    fn payloads_read_back_as_they_were_built() {
        let login = Login { username: 15_550_001_000, device: Some(3), passive: true, login_counter: 4 };
        let limited = FullHistory { days: Some(365), megabytes: Some(512) };
        let asking =
            |full_history| ClientPayload::Registration(Registration { full_history, ..registered() });
        let registrations = [None, Some(FullHistory::default()), Some(limited)].map(asking);
        for payload in registrations.into_iter().chain([ClientPayload::Login(login)]) {
            assert_eq!(parse(&build(&payload, &info())), Ok(payload));
        }
    }

    #[test]
    fn the_build_hash_is_the_one_that_the_trace_shows() {
        // A fact of the protocol: MD5 of "2.3000.1035194821" as a real client sends it.
        assert_eq!(
            hex::encode(build_hash(ProtocolVersion([2, 3000, 1_035_194_821]))),
            "a2c9471eff910a9e1ae659890a28872d"
        );
    }

    #[test]
    fn a_prekey_signed_by_another_identity_is_refused() {
        let mut registration = registered();
        registration.identity[0] ^= 1;
        let payload = build(&ClientPayload::Registration(registration), &info());
        assert_eq!(parse(&payload), Err(PayloadError::PrekeySignature));
    }

    #[test]
    fn a_login_without_a_username_is_refused() {
        assert_eq!(parse(b""), Err(PayloadError::Missing("username")));
        assert_eq!(parse(b"\xff"), Err(PayloadError::Malformed));
        assert_eq!(parse(&vec![0; 20_000]), Err(PayloadError::Malformed));
    }
}
