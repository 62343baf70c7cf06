//! Devices in the stores of other libraries, read for an import: whatsmeow's, Baileys' and whatsapp-rust's.
//!
//! What must hold: a store is only read; one that is in use is refused, as far as that can be known (each file
//! here says how far); what cannot be taken is counted with the reason, never dropped in silence. What comes out
//! is what the API takes; the store and the node check it again.

mod address;
mod baileys;
mod database;
mod running;
mod whatsapp_rust;
mod whatsmeow;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use roost_proto::api;
use roost_proto::prost::Message;
use roost_proto::signal::foreign::{ForeignError, Ratchet};

use crate::api::parse::imports::{MAX_ENTRIES, MAX_PREKEYS, MAX_TOKEN};

/// Which library has written a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Library {
    /// A SQLite file or a PostgreSQL database.
    Whatsmeow,
    /// The folder of its multi-file store.
    Baileys,
    /// A SQLite file.
    WhatsappRust,
}

impl Library {
    /// Its name in credentials and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Library::Whatsmeow => "whatsmeow",
            Library::Baileys => "baileys",
            Library::WhatsappRust => "whatsapp-rust",
        }
    }
}

/// Where to read, and what of it.
#[derive(Debug, Clone)]
pub struct From {
    /// Who has written it.
    pub library: Library,
    /// A path, or `postgres://…`.
    pub place: String,
    /// Which device, where there are several in one store: phone number, `number:device` or JID.
    pub phone: Option<String>,
    /// Whoever asks has made sure that nothing uses the store.
    pub stopped: bool,
}

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Something uses it.
    #[error("the source is in use: {0}; stop it first")]
    InUse(String),
    /// There is no such file or folder, or it cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database does not answer.
    #[error("the database cannot be read")]
    Database(#[from] sqlx::Error),
    /// It is no database of this library, or one of a version that is not known here.
    #[error("the database is not one that this library writes, in a version that is known here: {0}")]
    Unknown(String),
    /// A value is not what the library writes.
    #[error("{what} is not as the library writes it: {why}")]
    Malformed {
        /// Where.
        what: String,
        /// Why.
        why: String,
    },
    /// No device in it is paired.
    #[error("the source holds no paired device{0}")]
    NoDevice(String),
    /// It must be said which.
    #[error("the source holds several devices, say which with --phone: {0}")]
    SeveralDevices(String),
}

impl ImportError {
    fn malformed(what: impl Into<String>, why: impl ToString) -> ImportError {
        ImportError::Malformed { what: what.into(), why: why.to_string() }
    }
}

/// A device as it was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The last part of the import.
    pub credentials: api::ImportedCredentials,
    /// Ratchets.
    pub ratchets: Vec<api::ImportedRatchet>,
    /// Identity keys of peers without a ratchet.
    pub identities: Vec<api::ImportedIdentity>,
    /// LIDs of phone numbers.
    pub lids: Vec<api::ImportedLid>,
    /// Chains of others in groups and of their status posts.
    pub sender_keys: Vec<api::ImportedSenderKey>,
    /// Tokens that contacts have given, and when they were given ours.
    pub tokens: Vec<api::ImportedToken>,
    /// What stays behind: how many of what, by reason.
    pub left: BTreeMap<(&'static str, String), u64>,
}

impl Found {
    fn leave(&mut self, what: &'static str, why: impl Into<String>, count: u64) {
        if count > 0 {
            *self.left.entry((what, why.into())).or_default() += count;
        }
    }

    /// A ratchet, or why there is none.
    fn ratchet(&mut self, peer: Option<String>, read: Result<Ratchet, ForeignError>) {
        match (peer, read) {
            (None, _) => self.leave("ratchets", OTHERS, 1),
            (Some(peer), Ok(Ratchet { record, .. })) => {
                self.ratchets.push(api::ImportedRatchet { peer, record: record.into() });
            }
            (Some(_), Err(error)) => self.leave("ratchets", error.to_string(), 1),
        }
    }

    /// An identity key, 32 bytes or 33 with the type byte.
    fn identity(&mut self, peer: Option<String>, key: Vec<u8>) {
        let key = if key.len() == 33 { key[1..].to_vec() } else { key };
        match peer {
            None => self.leave("identity keys", OTHERS, 1),
            Some(_) if key.len() != 32 => self.leave("identity keys", "they have not 32 bytes", 1),
            Some(peer) => self.identities.push(api::ImportedIdentity { peer, key }),
        }
    }

    /// The chain of a sender in a group or of his status posts, or why there is none.
    fn sender_key(&mut self, group: &str, sender: Option<String>, read: Result<Bytes, ForeignError>) {
        let credentials = &self.credentials;
        match (sender, read) {
            (Some(sender), _) if sender == credentials.phone_number || sender == credentials.lid => {
                self.leave("sender keys", "they are its own; Roost makes others", 1);
            }
            (Some(sender), Ok(record)) if group.ends_with("@g.us") || group == STATUS => {
                let (group, record) = (group.to_owned(), record.into());
                self.sender_keys.push(api::ImportedSenderKey { group, sender, record });
            }
            (None, _) => self.leave("sender keys", OTHERS, 1),
            (_, Ok(_)) => self.leave("sender keys", "they are of neither groups nor status posts", 1),
            (_, Err(error)) => self.leave("sender keys", error.to_string(), 1),
        }
    }

    /// What a contact and we have given each other, times in Unix seconds, 0 for never.
    fn token(&mut self, contact: &str, token: Vec<u8>, given_at: i64, issued_at: i64) {
        let given_at = if token.is_empty() { 0 } else { given_at };
        match address::contact(contact) {
            _ if token.is_empty() && issued_at <= 0 => self.leave("tokens of contacts", "they are empty", 1),
            _ if token.len() > MAX_TOKEN => {
                self.leave("tokens of contacts", "they are longer than any token", 1)
            }
            Some(contact) if given_at >= 0 => {
                let issued_at = issued_at.max(0);
                self.tokens.push(api::ImportedToken { contact, token, given_at, issued_at });
            }
            Some(_) => self.leave("tokens of contacts", "they have no time", 1),
            None => self.leave("tokens of contacts", OTHERS, 1),
        }
    }

    /// A pair of digits; JIDs lose what is not the user.
    fn lid(&mut self, phone_number: String, lid: String) {
        let user = |text: String| text.split([':', '@']).next().unwrap_or_default().to_owned();
        self.lids.push(api::ImportedLid { phone_number: user(phone_number), lid: user(lid) });
    }

    /// The parts of the import, in order; the first names the device.
    pub fn parts(mut self, device: &str) -> Vec<api::ImportDeviceRequest> {
        let mut parts = Vec::new();
        for ratchets in pieces(std::mem::take(&mut self.ratchets)) {
            parts.push(api::ImportDeviceRequest { ratchets, ..Default::default() });
        }
        for identities in pieces(std::mem::take(&mut self.identities)) {
            parts.push(api::ImportDeviceRequest { identities, ..Default::default() });
        }
        for lids in pieces(std::mem::take(&mut self.lids)) {
            parts.push(api::ImportDeviceRequest { lids, ..Default::default() });
        }
        for sender_keys in pieces(std::mem::take(&mut self.sender_keys)) {
            parts.push(api::ImportDeviceRequest { sender_keys, ..Default::default() });
        }
        for tokens in pieces(std::mem::take(&mut self.tokens)) {
            parts.push(api::ImportDeviceRequest { tokens, ..Default::default() });
        }
        let credentials = Some(std::mem::take(&mut self.credentials));
        parts.push(api::ImportDeviceRequest { credentials, ..Default::default() });
        device.clone_into(&mut parts[0].device);
        parts
    }
}

/// Reads a device from a store.
///
/// # Errors
/// [`ImportError`].
pub async fn read(from: &From) -> Result<Found, ImportError> {
    let mut found = match from.library {
        Library::Whatsmeow => whatsmeow::read(from).await,
        Library::Baileys => baileys::read(from),
        Library::WhatsappRust => whatsapp_rust::read(from).await,
    }?;
    // A ratchet carries its peer's identity key.
    let known: BTreeSet<&str> = found.ratchets.iter().map(|ratchet| ratchet.peer.as_str()).collect();
    found.identities.retain(|identity| !known.contains(identity.peer.as_str()));
    keep_newest(&mut found);
    Ok(found)
}

/// Of more prekeys than an import takes, the newest: WhatsApp hands out the oldest first.
fn keep_newest(found: &mut Found) {
    let prekeys = &mut found.credentials.prekeys;
    prekeys.sort_by_key(|prekey| prekey.id);
    let surplus = prekeys.len().saturating_sub(MAX_PREKEYS);
    prekeys.drain(..surplus);
    let why = format!("there are {MAX_PREKEYS} newer ones, and an import takes no more");
    found.leave("prekeys", why, surplus as u64);
}

/// What is reported of peers that we do not talk to.
const OTHERS: &str = "they are with addresses of another kind (hosted accounts, bots)";
/// Where status posts are said.
const STATUS: &str = "status@broadcast";
/// What is reported of what messages were encrypted from and may be asked for again.
const RETRIES: &str = "whoever could not read one and asks for it again only now does not get it";
/// What is reported of secrets of messages.
const SECRETS: &str = "what others still add to these messages (votes, answers, edits) is not read";
/// What is reported of app state.
const APP_STATE: &str = "the phone shares its keys again when it is asked";

/// Bytes of a part of an import, unless a single entry has more; so it stays below what a node takes, also when another node
/// hands it on.
const PART: usize = 1 << 20;

/// A folder of files that was written to within this time is in use.
const QUIET: Duration = Duration::from_secs(5);

/// Entries in pieces that an import takes, by number and by size.
fn pieces<T: Message>(entries: Vec<T>) -> Vec<Vec<T>> {
    let (mut pieces, mut bytes) = (Vec::<Vec<T>>::new(), 0);
    for entry in entries {
        let length = entry.encoded_len();
        match pieces.last_mut().filter(|piece| piece.len() < MAX_ENTRIES && bytes + length <= PART) {
            Some(piece) => piece.push(entry),
            None => {
                pieces.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += length;
    }
    pieces
}

#[cfg(test)]
mod tests;
