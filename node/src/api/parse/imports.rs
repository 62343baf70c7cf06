//! Parts of imports, checked whole: addresses, ratchets, keys, and that the keys belong to the account.

use std::collections::BTreeMap;

use bytes::Bytes;
use roost_actors::device::{ImportedDevice, ImportedPeers, Part, Secret};
use roost_actors::machine::{Account, Token};
use roost_proto::signal::{Address, Born, KeyPair, Keys, PREKEY_ID_MAX, PrekeyPage, foreign};
use roost_proto::stanza::{Jid, Server};
use roost_proto::{adv, api};

use crate::errors::ApiError;

/// Ratchets, identities, LIDs, sender keys and tokens in one part, together.
pub const MAX_ENTRIES: usize = 500;
/// One-time prekeys in the last part.
pub const MAX_PREKEYS: usize = 5_000;
/// Bytes of a token of a contact, and of the salt of those for strangers.
pub const MAX_TOKEN: usize = 1024;
/// Characters of the name of a library.
const MAX_SOURCE: usize = 40;

/// One part. With credentials it is the device itself, without them peers.
pub fn part(part: &api::ImportDeviceRequest) -> Result<Part, ApiError> {
    let entries = part.ratchets.len()
        + part.identities.len()
        + part.lids.len()
        + part.sender_keys.len()
        + part.tokens.len();
    match &part.credentials {
        None if part.allow_again => Err(ApiError::field("allow_again", "belongs beside credentials")),
        Some(_) if entries > 0 => Err(ApiError::field("credentials", "must be in a message of its own")),
        Some(credentials) => Ok(Part::Device(Box::new(device(credentials)?))),
        None if entries > MAX_ENTRIES => {
            Err(ApiError::field("ratchets", format!("has, with the others, more than {MAX_ENTRIES} entries")))
        }
        None => Ok(Part::Peers(peers(part)?)),
    }
}

fn peers(part: &api::ImportDeviceRequest) -> Result<ImportedPeers, ApiError> {
    let mut peers = ImportedPeers::default();
    for (at, ratchet) in part.ratchets.iter().enumerate() {
        let field = format!("ratchets[{at}]");
        let address = address(&format!("{field}.peer"), &ratchet.peer)?;
        let read = foreign::record_ratchet(&ratchet.record)
            .map_err(|error| ApiError::field(format!("{field}.record"), error.to_string()))?;
        peers.ratchets.push((address, Secret(read.record), read.identity));
    }
    for (at, identity) in part.identities.iter().enumerate() {
        let field = format!("identities[{at}]");
        let address = address(&format!("{field}.peer"), &identity.peer)?;
        peers.identities.push((address, sized(&format!("{field}.key"), &identity.key)?));
    }
    for (at, key) in part.sender_keys.iter().enumerate() {
        let field = format!("sender_keys[{at}]");
        let group = jid(&format!("{field}.group"), &key.group)?;
        let posts = group.server == Server::Broadcast && group.user == "status";
        if group.server != Server::Group && !posts {
            return Err(ApiError::field(
                format!("{field}.group"),
                "must be a JID of a group, or status@broadcast",
            ));
        }
        let sender = address(&format!("{field}.sender"), &key.sender)?;
        let record = foreign::record_chain(&key.record)
            .map_err(|error| ApiError::field(format!("{field}.record"), error.to_string()))?;
        peers.chains.push((group.to_string(), sender, Secret(record)));
    }
    for (at, told) in part.tokens.iter().enumerate() {
        peers.tokens.push(token(&format!("tokens[{at}]"), told)?);
    }
    for (at, lid) in part.lids.iter().enumerate() {
        let digits = |name: &str, text: &str| match (1..=20).contains(&text.len()) {
            true if text.bytes().all(|b| b.is_ascii_digit()) => Ok(text.to_owned()),
            _ => Err(ApiError::field(format!("lids[{at}].{name}"), "must be 1 to 20 digits")),
        };
        peers.lids.push((digits("phone_number", &lid.phone_number)?, digits("lid", &lid.lid)?));
    }
    Ok(peers)
}

fn token(field: &str, told: &api::ImportedToken) -> Result<(String, Secret), ApiError> {
    let named = format!("{field}.contact");
    let contact = jid(&named, &told.contact)?;
    address(&named, &told.contact)?;
    if contact.device != 0 {
        return Err(ApiError::field(named, "must be a JID without a device"));
    }
    let seconds = |name: &str, seconds: i64| {
        u64::try_from(seconds).map_err(|_| ApiError::field(format!("{field}.{name}"), "must not be negative"))
    };
    let (given_at, issued_at) = (seconds("given_at", told.given_at)?, seconds("issued_at", told.issued_at)?);
    let bytes = short(&format!("{field}.token"), &told.token)?;
    if bytes.is_empty() && issued_at == 0 {
        return Err(ApiError::field(format!("{field}.token"), "must be given where there is no issued_at"));
    }
    let given = Some((bytes, given_at)).filter(|(bytes, _)| !bytes.is_empty());
    let token = Token { given, issued: Some(issued_at).filter(|at| *at > 0) };
    Ok((contact.to_string(), Secret(token.to_bytes())))
}

/// Bytes no longer than a token.
fn short(field: &str, bytes: &[u8]) -> Result<Bytes, ApiError> {
    match bytes.len() {
        0..=MAX_TOKEN => Ok(Bytes::copy_from_slice(bytes)),
        _ => Err(ApiError::field(field, format!("must have at most {MAX_TOKEN} bytes"))),
    }
}

fn device(credentials: &api::ImportedCredentials) -> Result<ImportedDevice, ApiError> {
    let source = credentials.source.trim();
    if source.is_empty() || source.chars().count() > MAX_SOURCE || source.contains(char::is_control) {
        return Err(ApiError::field("credentials.source", "must be the name of a library"));
    }
    let identity = pair("credentials.identity_key", &credentials.identity_key)?;
    let own = *identity.public();
    let signed = credentials
        .signed_prekey
        .as_ref()
        .ok_or_else(|| ApiError::field("credentials.signed_prekey", "must be given"))?;
    if signed.id > PREKEY_ID_MAX {
        return Err(ApiError::field("credentials.signed_prekey.id", "must have 24 bits"));
    }
    let signature = sized("credentials.signed_prekey.signature", &signed.signature)?;
    let keys = Keys::restore(Born {
        identity,
        noise: pair("credentials.noise_key", &credentials.noise_key)?,
        registration_id: credentials.registration_id,
        signed_prekey: (
            signed.id,
            pair("credentials.signed_prekey.private_key", &signed.private_key)?,
            signature,
        ),
        adv_secret: sized("credentials.adv_secret", &credentials.adv_secret)?,
    });
    let keys = keys.ok_or_else(|| {
        ApiError::field("credentials.signed_prekey.signature", "is not by the identity key")
    })?;
    adv::check_device(&credentials.device_identity, &own)
        .map_err(|error| ApiError::field("credentials.device_identity", error.to_string()))?;
    Ok(ImportedDevice {
        keys: Secret(keys.to_bytes().into()),
        pages: pages(credentials)?,
        account: account(credentials)?,
        salt: Secret(short("credentials.stranger_salt", &credentials.stranger_salt)?),
        source: source.to_owned(),
    })
}

fn pages(credentials: &api::ImportedCredentials) -> Result<Vec<Secret>, ApiError> {
    if credentials.prekeys.len() > MAX_PREKEYS {
        return Err(ApiError::field("credentials.prekeys", format!("has more than {MAX_PREKEYS} entries")));
    }
    let mut prekeys = BTreeMap::new();
    for (at, prekey) in credentials.prekeys.iter().enumerate() {
        let pair = pair(&format!("credentials.prekeys[{at}].private_key"), &prekey.private_key)?;
        if prekeys.insert(prekey.id, pair).is_some() {
            return Err(ApiError::field(format!("credentials.prekeys[{at}].id"), "was given before"));
        }
    }
    let pages = PrekeyPage::restore(prekeys, credentials.next_prekey_id).ok_or_else(|| {
        ApiError::field("credentials.prekeys", "has an id that is 0 or has more than 24 bits")
    })?;
    Ok(pages.iter().map(|page| Secret(page.to_bytes().into())).collect())
}

fn account(credentials: &api::ImportedCredentials) -> Result<Account, ApiError> {
    let field = "credentials.phone_number";
    let pn = jid(field, &credentials.phone_number)?;
    if pn.server != Server::Pn || pn.device == 0 || pn.user.parse::<u64>().is_err() {
        return Err(ApiError::field(field, "must be a JID {number}:{device}@s.whatsapp.net"));
    }
    let lid = match credentials.lid.as_str() {
        "" => None,
        text => Some(jid("credentials.lid", text)?),
    };
    if lid.as_ref().is_some_and(|lid| lid.server != Server::Lid || lid.device != pn.device) {
        return Err(ApiError::field(
            "credentials.lid",
            "must be a JID {lid}:{device}@lid of the same device",
        ));
    }
    Ok(Account {
        pn,
        lid,
        identity: Bytes::copy_from_slice(&credentials.device_identity),
        push_name: super::display_name("credentials.push_name", &credentials.push_name)?,
        logged_out: false,
        without_history: false,
    })
}

fn jid(field: &str, text: &str) -> Result<Jid, ApiError> {
    text.parse().map_err(|_| ApiError::field(field, "is not a JID"))
}

/// Under which address the ratchets with a peer device are kept.
fn address(field: &str, text: &str) -> Result<Address, ApiError> {
    let jid = jid(field, text)?;
    let digits = !jid.user.is_empty() && jid.user.bytes().all(|b| b.is_ascii_digit());
    match jid.server {
        Server::Pn if digits => Ok(Address::new(format!("{}@s.whatsapp.net", jid.user), jid.device)),
        Server::Lid if digits => Ok(Address::new(format!("{}@lid", jid.user), jid.device)),
        _ => Err(ApiError::field(field, "must be a JID of a phone number or a LID")),
    }
}

fn pair(field: &str, bytes: &[u8]) -> Result<KeyPair, ApiError> {
    sized(field, bytes).map(KeyPair::from_private)
}

fn sized<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], ApiError> {
    bytes.try_into().map_err(|_| ApiError::field(field, format!("must have {N} bytes")))
}

#[cfg(test)]
mod tests;
