//! Baileys' multi-file store: a folder of JSON files, one a key; bytes as base64 in objects or texts.
//!
//! Whether something uses the folder cannot be known: Baileys opens files only to read or write them. What can
//! be known is whether it was written to a moment ago, or while it was read. The proof comes later: WhatsApp ends
//! the older of two connections with `replaced`, and the device says so.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roost_proto::signal::{KeyPair, foreign};
use roost_proto::{adv, api};
use serde_json::Value;

use super::{APP_STATE, Found, From, ImportError, QUIET, address};

/// The list of its tokens that Baileys keeps beside them.
const TOKEN_INDEX: &str = "__index";

pub(super) fn read(from: &From) -> Result<Found, ImportError> {
    let folder = Path::new(&from.place);
    let before = files(folder)?;
    if !from.stopped {
        quiet(&before)?;
    }
    let found = of_files(from, folder, &before)?;
    if !from.stopped && files(folder)? != before {
        return Err(ImportError::InUse("it was written to while it was read".to_owned()));
    }
    Ok(found)
}

/// Names, and when each was written.
type Files = BTreeMap<String, SystemTime>;

fn files(folder: &Path) -> Result<Files, ImportError> {
    let failed = |source| ImportError::File { path: folder.to_owned(), source };
    let mut found = Files::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name.ends_with(".json") {
            found.insert(name, entry.metadata().and_then(|data| data.modified()).map_err(failed)?);
        }
    }
    Ok(found)
}

fn quiet(files: &Files) -> Result<(), ImportError> {
    let newest = files.iter().max_by_key(|(_, written)| **written);
    match newest {
        // A moment that lies ahead is as good as now: clocks differ.
        Some((name, written)) if written.elapsed().map_or(true, |passed| passed < QUIET) => {
            Err(ImportError::InUse(format!("{name} was written less than {} s ago", QUIET.as_secs())))
        }
        _ => Ok(()),
    }
}

fn of_files(from: &From, folder: &Path, files: &Files) -> Result<Found, ImportError> {
    let creds = json(folder, "creds.json")?;
    if creds["account"].is_null() || creds["me"]["id"].as_str().is_none() {
        return Err(ImportError::NoDevice(String::new()));
    }
    super::database::choose(from, vec![(creds["me"]["id"].as_str().unwrap_or_default().to_owned(), ())])?;
    let mut found = Found { credentials: credentials(&creds)?, ..Found::default() };
    let identity: [u8; 32] = found.credentials.identity_key.as_slice().try_into().map_err(|_| {
        ImportError::malformed("creds.json: signedIdentityKey.private", "it has not 32 bytes")
    })?;
    let own = *KeyPair::from_private(identity).public();
    let unuploaded = creds["firstUnuploadedPreKeyId"].as_u64().unwrap_or(u64::MAX);
    for name in files.keys().filter(|name| *name != "creds.json") {
        match of_file(&mut found, folder, name, &own, unuploaded) {
            // One bad file costs what is in it and nothing else.
            Err(ImportError::Malformed { .. }) => found.leave(what_of(name), "their files are damaged", 1),
            done => done?,
        }
    }
    Ok(found)
}

/// What a file is called in a report.
fn what_of(name: &str) -> &'static str {
    let kinds = [
        ("pre-key-", "prekeys"),
        ("session-", "ratchets"),
        ("identity-key-", "identity keys"),
        ("sender-key-", "sender keys"),
        ("tctoken-", "tokens of contacts"),
        ("lid-mapping-", "LIDs of phone numbers"),
    ];
    kinds.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("files", |(_, what)| what)
}

/// Takes what is in one file.
fn of_file(
    found: &mut Found,
    folder: &Path,
    name: &str,
    own: &[u8; 32],
    unuploaded: u64,
) -> Result<(), ImportError> {
    let stem = name.trim_end_matches(".json");
    if let Some(id) = stem.strip_prefix("pre-key-").and_then(|id| id.parse::<u32>().ok()) {
        if u64::from(id) >= unuploaded {
            found.leave("prekeys", "WhatsApp does not have them", 1);
        } else {
            let private_key = bytes(name, &json(folder, name)?["private"])?;
            if private_key.len() != 32 {
                return Err(ImportError::malformed(name, "it has not 32 bytes"));
            }
            found.credentials.prekeys.push(api::ImportedPrekey { id, private_key });
        }
    } else if let Some(peer) = stem.strip_prefix("session-") {
        let text = text(folder, name)?;
        let registration_id = found.credentials.registration_id;
        let ratchet = foreign::baileys_ratchet(text.as_bytes(), own, registration_id);
        found.ratchet(address::agent(peer), ratchet);
    } else if let Some(peer) = stem.strip_prefix("identity-key-") {
        found.identity(address::agent(peer), bytes(name, &json(folder, name)?)?);
    } else if stem.starts_with("sender-key-") && !stem.starts_with("sender-key-memory-") {
        let (group, sender) = group_and_sender(stem.trim_start_matches("sender-key-"));
        found.sender_key(&group, sender, foreign::baileys_chain(&bytes(name, &json(folder, name)?)?));
    } else if stem.starts_with("app-state-sync-key-") {
        found.leave("app state keys", APP_STATE, 1);
    } else if let Some(contact) = stem.strip_prefix("tctoken-").filter(|of| *of != TOKEN_INDEX) {
        let told = json(folder, name)?;
        let seconds = |field: &str| match &told[field] {
            Value::String(text) => text.parse().ok(),
            number => number.as_i64(),
        };
        let (given, issued) = (seconds("timestamp").unwrap_or(0), seconds("senderTimestamp").unwrap_or(0));
        found.token(contact, bytes(name, &told["token"])?, given, issued);
    } else if let Some(pn) = stem.strip_prefix("lid-mapping-").filter(|pn| !pn.ends_with("_reverse")) {
        let lid = json(folder, name)?;
        let lid = lid.as_str().ok_or_else(|| ImportError::malformed(name, "it holds no text"))?;
        found.lid(pn.to_owned(), lid.to_owned());
    }
    Ok(())
}

fn credentials(creds: &Value) -> Result<api::ImportedCredentials, ImportError> {
    let key = |path: &[&str]| {
        let value = path.iter().fold(creds, |value, name| &value[*name]);
        bytes(&format!("creds.json: {}", path.join(".")), value)
    };
    let number = |what: &str, value: &Value| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| {
            ImportError::malformed(format!("creds.json: {what}"), "it is no number of 32 bits")
        })
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(api::ImportedCredentials {
        source: super::Library::Baileys.as_str().to_owned(),
        registration_id: number("registrationId", &creds["registrationId"])?,
        noise_key: key(&["noiseKey", "private"])?,
        identity_key: key(&["signedIdentityKey", "private"])?,
        signed_prekey: Some(api::ImportedSignedPrekey {
            id: number("signedPreKey.keyId", &creds["signedPreKey"]["keyId"])?,
            private_key: key(&["signedPreKey", "keyPair", "private"])?,
            signature: key(&["signedPreKey", "signature"])?,
        }),
        prekeys: Vec::new(),
        next_prekey_id: number("nextPreKeyId", &creds["nextPreKeyId"])?,
        adv_secret: key(&["advSecretKey"])?,
        device_identity: adv::signed_identity(
            key(&["account", "details"])?,
            key(&["account", "accountSignatureKey"])?,
            key(&["account", "accountSignature"])?,
            key(&["account", "deviceSignature"])?,
        ),
        phone_number: text(&creds["me"]["id"]),
        lid: text(&creds["me"]["lid"]),
        push_name: text(&creds["me"]["name"]),
        ..Default::default()
    })
}

/// `group--user_1--2`: colons are dashes in names of files.
fn group_and_sender(name: &str) -> (String, Option<String>) {
    let mut parts = name.rsplitn(3, "--");
    let (device, user, group) = (parts.next(), parts.next(), parts.next());
    let sender = user.zip(device).and_then(|(user, device)| address::agent(&format!("{user}.{device}")));
    (group.unwrap_or(name).to_owned(), sender)
}

fn text(folder: &Path, name: &str) -> Result<String, ImportError> {
    let path: PathBuf = folder.join(name);
    fs::read_to_string(&path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => ImportError::malformed(name, "it is no text"),
        // It was listed a moment ago.
        io::ErrorKind::NotFound if name != "creds.json" => {
            ImportError::InUse(format!("{name} went away while it was read"))
        }
        _ => ImportError::File { path, source },
    })
}

fn json(folder: &Path, name: &str) -> Result<Value, ImportError> {
    serde_json::from_str(&text(folder, name)?).map_err(|error| ImportError::malformed(name, error))
}

/// Bytes as base64: in `{"type": "Buffer", "data": …}`, or as the text itself.
fn bytes(what: &str, value: &Value) -> Result<Vec<u8>, ImportError> {
    let text = value.as_str().or_else(|| value["data"].as_str());
    let text = text.ok_or_else(|| ImportError::malformed(what, "bytes are missing"))?;
    STANDARD.decode(text).map_err(|error| ImportError::malformed(what, error))
}

#[cfg(test)]
mod tests;
