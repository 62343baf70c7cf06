//! The state file: accounts, devices, keys and backlogs across restarts, as one JSON document.
//!
//! What must hold: a file is replaced whole or not at all; after a restart every device logs in with the
//! credentials it has. A phone's ratchets are not kept: it asks for what it cannot read, as a phone that
//! was reinstalled would. The ledger is not kept either: it describes one run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roost_proto::appstate::{Collection, Key, Patch};
use roost_proto::login::{FullHistory, Platform};
use roost_proto::signal::{Keys, PublicSignedPrekey};
use roost_proto::stanza;
use serde::{Deserialize, Serialize};

use super::account::{Account, Companion, Pn};
use super::authority::KeptAuthority;
use super::backlog::Backlog;
use super::groups::Group;
use super::machine::Machine;
use super::memory::Memory;
use super::phone::Phone;
use super::server::Shared;

/// How often the state file is written, if anything changed.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// How far ids of stanzas leap at a start. The file may be older than the last one that was used, and clients hold a
/// stanza with an id that they know for a repetition.
const LEAP: u64 = 1_000_000;

/// Why a state file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system.
    #[error("cannot use the state file {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// Not a state file of this version.
    #[error("{0} is not a state file")]
    Content(PathBuf, #[source] serde_json::Error),
    /// A part of it is damaged.
    #[error("the state file is damaged at {0}")]
    Part(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Kept {
    authority: KeptAuthority,
    accounts: Vec<KeptAccount>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    last_id: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptAccount {
    pn: Pn,
    lid: String,
    name: String,
    phone: String,
    raw_id: u32,
    next_key_index: u32,
    list_time_s: u64,
    signed_list: String,
    watchers: Vec<Pn>,
    companions: Vec<KeptCompanion>,
    #[serde(default)]
    memory: Option<KeptMemory>,
    #[serde(default)]
    collections: BTreeMap<String, Vec<String>>,
}

/// What a phone shares; the chats of the past are not kept.
#[derive(Serialize, Deserialize)]
struct KeptMemory {
    keys: Vec<String>,
    greeted: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
struct KeptCompanion {
    number: u16,
    key_index: u32,
    noise: String,
    identity: String,
    #[serde(default)]
    shown: String,
    #[serde(default)]
    platform: i32,
    /// Days and megabytes of a full history.
    #[serde(default)]
    full_history: Option<(Option<u32>, Option<u32>)>,
    registration_id: u32,
    prekey_id: u32,
    prekey: String,
    prekey_signature: String,
    one_time: Vec<(u32, String)>,
    device_identity: String,
    backlog: Vec<String>,
    #[serde(default)]
    push: BTreeMap<String, String>,
}

/// The document.
pub(super) fn encode(machine: &Machine, authority: &KeptAuthority) -> String {
    let accounts = machine.accounts.values().map(keep).collect();
    let groups = machine.groups().values().cloned().collect();
    let kept = Kept { authority: authority.clone(), accounts, groups, last_id: machine.next_id };
    serde_json::to_string(&kept).expect("plain data becomes JSON")
}

/// Replaces the file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), StateError> {
    let beside = path.with_extension("new");
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| StateError::File(path.to_owned(), error))
}

/// Fills `machine` from the file; none if there is no file yet.
pub(super) fn load(path: &Path, machine: &mut Machine) -> Result<Option<KeptAuthority>, StateError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::File(path.to_owned(), error)),
    };
    let kept: Kept = serde_json::from_str(&text).map_err(|e| StateError::Content(path.to_owned(), e))?;
    for account in kept.accounts {
        machine.add_account(restore(account)?);
    }
    machine.groups = kept.groups.into_iter().map(|group| (group.id.clone(), group)).collect();
    machine.next_id = kept.last_id.saturating_add(LEAP);
    Ok(Some(kept.authority))
}

fn keep(account: &Account) -> KeptAccount {
    let companions = account.companions.iter().map(|(number, companion)| KeptCompanion {
        number: *number,
        key_index: companion.key_index,
        noise: hex::encode(companion.noise),
        identity: hex::encode(companion.identity),
        shown: companion.shown.clone(),
        platform: companion.platform.number(),
        full_history: companion.full_history.map(|full| (full.days, full.megabytes)),
        registration_id: companion.registration_id,
        prekey_id: companion.signed_prekey.id,
        prekey: hex::encode(companion.signed_prekey.public),
        prekey_signature: hex::encode(companion.signed_prekey.signature),
        one_time: companion.one_time.iter().map(|(id, key)| (*id, hex::encode(key))).collect(),
        device_identity: STANDARD.encode(&companion.device_identity),
        backlog: companion
            .backlog
            .waiting()
            .filter_map(|stanza| Some(STANDARD.encode(stanza::encode(stanza).ok()?)))
            .collect(),
        push: companion.push.clone(),
    });
    KeptAccount {
        pn: account.pn,
        lid: account.lid.clone(),
        name: account.name.clone(),
        phone: hex::encode(account.phone.keys().to_bytes()),
        raw_id: account.raw_id,
        next_key_index: account.next_key_index,
        list_time_s: account.list_time_s,
        signed_list: STANDARD.encode(&account.signed_list),
        watchers: account.watchers.iter().copied().collect(),
        companions: companions.collect(),
        memory: account.phone.memory.as_ref().map(|memory| KeptMemory {
            keys: memory.keys(None).iter().map(|key| hex::encode(key.to_bytes())).collect(),
            greeted: memory.greeted.iter().copied().collect(),
        }),
        collections: account
            .collections
            .iter()
            .map(|(name, patches)| {
                (name.to_string(), patches.iter().map(|patch| STANDARD.encode(patch.to_bytes())).collect())
            })
            .collect(),
    }
}

fn restore(kept: KeptAccount) -> Result<Account, StateError> {
    let keys = hex::decode(&kept.phone).map_err(|_| StateError::Part("a phone"))?;
    let keys = Keys::from_bytes(&keys).map_err(|_| StateError::Part("a phone"))?;
    let mut phone = Phone::with_keys(keys);
    phone.memory = kept.memory.map(restore_memory).transpose()?;
    let mut collections = BTreeMap::new();
    for (name, patches) in kept.collections {
        let name: Collection = name.parse().map_err(|_| StateError::Part("app state"))?;
        let patches = patches
            .iter()
            .map(|text| Patch::read(&base64(text, "app state")?).map_err(|_| StateError::Part("app state")));
        collections.insert(name, patches.collect::<Result<Vec<_>, _>>()?);
    }
    let mut companions = BTreeMap::new();
    for companion in kept.companions {
        companions.insert(companion.number, restore_companion(companion)?);
    }
    Ok(Account {
        pn: kept.pn,
        lid: kept.lid,
        name: kept.name,
        phone,
        companions,
        hosts: false,
        watchers: kept.watchers.into_iter().collect(),
        blocked: Default::default(),
        privacy: Default::default(),
        collections,
        profile: Default::default(),
        calls: Default::default(),
        passkey: None,
        passkey_code: None,
        authenticator: None,
        standing: Default::default(),
        last_there: None,
        raw_id: kept.raw_id,
        next_key_index: kept.next_key_index,
        list_time_s: kept.list_time_s,
        signed_list: base64(&kept.signed_list, "a device list")?,
    })
}

fn restore_memory(kept: KeptMemory) -> Result<Memory, StateError> {
    let keys = kept.keys.iter().map(|key| {
        let bytes = hex::decode(key).map_err(|_| StateError::Part("a key of app state"))?;
        Key::from_bytes(&bytes).map_err(|_| StateError::Part("a key of app state"))
    });
    Ok(Memory::restored(keys.collect::<Result<_, _>>()?, kept.greeted.into_iter().collect()))
}

fn restore_companion(kept: KeptCompanion) -> Result<Companion, StateError> {
    let mut backlog = Backlog::default();
    for waiting in &kept.backlog {
        let bytes = base64(waiting, "a backlog")?;
        backlog.push(stanza::decode(&bytes).map_err(|_| StateError::Part("a backlog"))?);
    }
    let one_time = kept.one_time.iter().map(|(id, key)| Ok((*id, sized(key, "a prekey")?)));
    Ok(Companion {
        key_index: kept.key_index,
        noise: sized(&kept.noise, "a Noise key")?,
        identity: sized(&kept.identity, "an identity")?,
        shown: kept.shown,
        platform: Platform::of_number(kept.platform),
        full_history: kept.full_history.map(|(days, megabytes)| FullHistory { days, megabytes }),
        registration_id: kept.registration_id,
        signed_prekey: PublicSignedPrekey {
            id: kept.prekey_id,
            public: sized(&kept.prekey, "a prekey")?,
            signature: sized(&kept.prekey_signature, "a signature")?,
        },
        one_time: one_time.collect::<Result<_, StateError>>()?,
        device_identity: base64(&kept.device_identity, "a device identity")?,
        backlog,
        push: kept.push,
    })
}

fn base64(text: &str, what: &'static str) -> Result<Vec<u8>, StateError> {
    STANDARD.decode(text).map_err(|_| StateError::Part(what))
}

fn sized<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], StateError> {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(StateError::Part(what))
}

/// Writes the state file again and again until the server stops.
pub(super) async fn save_regularly(shared: Arc<Shared>) {
    while !shared.stopping.is_cancelled() {
        shared.save();
        tokio::select! {
            () = shared.stopping.cancelled() => {}
            () = tokio::time::sleep(SAVE_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::super::authority::Authority;
    use super::*;

    #[test]
    fn no_stanza_behind_a_restart_has_the_id_of_one_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        let authority = Authority::new(&mut StdRng::seed_from_u64(1)).expect("made").keep();
        let mut before = Machine::new(1, true);
        before.server_id();
        write(&path, &encode(&before, &authority)).expect("written");
        // Used behind the last writing.
        let mut used: Vec<String> = (0..1000).map(|_| before.server_id()).collect();
        for _ in 0..2 {
            let mut again = Machine::new(1, true);
            load(&path, &mut again).expect("read").expect("there is a file");
            let new: Vec<String> = (0..1000).map(|_| again.server_id()).collect();
            assert!(new.iter().all(|id| !used.contains(id)), "{:?}", new.first());
            write(&path, &encode(&again, &authority)).expect("written");
            used.extend(new);
        }
    }
}
