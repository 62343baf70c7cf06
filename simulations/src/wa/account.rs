//! Accounts and their devices, as the server keeps them.
//!
//! What must hold: device numbers and key indexes are unique within an account, a key index is never given
//! twice, and the signed key-index list is newer after every change. Device 0 is the phone; companions
//! have 1 and above. It knows nothing of connections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::CryptoRng;
use roost_proto::adv::{self, KeyIndexList};
use roost_proto::appstate::{Collection, Patch};
use roost_proto::id::UnixMillis;
use roost_proto::login::{FullHistory, Platform};
use roost_proto::signal::PublicSignedPrekey;
use roost_proto::stanza::{HOSTED, Jid, Server, hosted};
use sha2::{Digest as _, Sha256};

use super::authenticator::Authenticator;
use super::backlog::Backlog;
use super::calls::Calls;
use super::passkey::Passkey;
use super::phone::Phone;
use super::privacy::Privacy;
use super::query::Profile;
use super::standing::Standing;

/// The most companions of one account: their numbers are below that of a hosted device. (The real limit is lower and
/// differs; a guess that no client can notice.)
const MAX_COMPANIONS: u16 = HOSTED - 1;

/// How many accounts are told of a change in a device list.
const MAX_WATCHERS: usize = 5_000;

/// An account, by its phone number.
pub type Pn = u64;

/// One device of one account. Its text is `15550001000:1`, or `15550001000` for the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceRef {
    /// The account.
    pub pn: Pn,
    /// 0 is the phone.
    pub device: u16,
}

impl fmt::Display for DeviceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            0 => write!(f, "{}", self.pn),
            device => write!(f, "{}:{device}", self.pn),
        }
    }
}

impl std::str::FromStr for DeviceRef {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.split_once('@').map_or(text, |(user, _)| user);
        let (pn, device) = text.split_once(':').unwrap_or((text, "0"));
        Ok(Self { pn: pn.parse()?, device: device.parse()? })
    }
}

/// In which of its two forms an address is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By phone number.
    Pn,
    /// By hidden identity.
    Lid,
}

impl Form {
    /// The form that a JID has; anything that is not a LID counts as a phone number.
    pub fn of(jid: &Jid) -> Self {
        if jid.server == Server::Lid { Self::Lid } else { Self::Pn }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Pn => Self::Lid,
            Self::Lid => Self::Pn,
        }
    }
}

/// One account.
pub struct Account {
    /// Its phone number.
    pub pn: Pn,
    /// The user part of its hidden identity.
    pub lid: String,
    /// The name that others see.
    pub name: String,
    /// Device 0.
    pub phone: Phone,
    /// Companions by number.
    pub companions: BTreeMap<u16, Companion>,
    /// It has a hosted device, or its next companion is one: that has the number of one, the phone vouches for it as for one,
    /// and it takes no part in groups.
    pub(super) hosts: bool,
    /// Accounts that have seen its device list and must hear of changes.
    pub watchers: BTreeSet<Pn>,
    /// Whom it has blocked.
    pub blocked: BTreeSet<String>,
    /// Whom it shows what.
    pub privacy: Privacy,
    /// App state: all patches of each collection, in order.
    pub collections: BTreeMap<Collection, Vec<Patch>>,
    /// What it shows of itself.
    pub profile: Profile,
    /// Calls that its phone made.
    pub calls: Calls,
    /// What a companion must be linked with, beside the scanned code.
    pub(super) passkey: Option<Passkey>,
    /// The phone as its authenticator.
    pub(super) authenticator: Option<Authenticator>,
    /// What the phone shows to be compared.
    pub(super) passkey_code: Option<String>,
    pub(super) standing: Standing,
    /// When it was last seen to come or go.
    pub(super) last_there: Option<UnixMillis>,
    pub(super) raw_id: u32,
    pub(super) next_key_index: u32,
    pub(super) list_time_s: u64,
    pub(super) signed_list: Vec<u8>,
}

/// One linked companion.
pub struct Companion {
    /// Its index in the phone's signed list; at least 1.
    pub key_index: u32,
    /// Its Noise key: the credential of its logins.
    pub noise: [u8; 32],
    /// Its identity key.
    pub identity: [u8; 32],
    /// Its name on the phone's list of linked devices.
    pub shown: String,
    /// Its icon there.
    pub platform: Platform,
    /// It has asked for all of the past.
    pub full_history: Option<FullHistory>,
    /// Its registration id.
    pub registration_id: u32,
    /// Its signed prekey.
    pub signed_prekey: PublicSignedPrekey,
    /// One-time prekeys that nobody has taken, oldest first.
    pub one_time: std::collections::VecDeque<(u32, [u8; 32])>,
    /// The signed device identity that goes into its bundles.
    pub device_identity: Vec<u8>,
    /// What waits for it.
    pub backlog: Backlog,
    /// The push service that is told of it, as it was named; empty for none.
    pub push: BTreeMap<String, String>,
}

impl Account {
    /// A new account with a phone and nothing else.
    pub fn new<R: CryptoRng>(pn: Pn, name: String, now: UnixMillis, rng: &mut R) -> Self {
        let mut account = Self {
            pn,
            // Not to be derived from the number by a client; for a reader of logs it is convenient.
            lid: format!("1000{pn}"),
            name,
            phone: Phone::new(rng),
            companions: BTreeMap::new(),
            hosts: false,
            watchers: BTreeSet::new(),
            blocked: BTreeSet::new(),
            privacy: Privacy::default(),
            collections: BTreeMap::new(),
            profile: Profile::default(),
            calls: Calls::default(),
            passkey: None,
            authenticator: None,
            passkey_code: None,
            standing: Standing::default(),
            last_there: None,
            raw_id: rng.next_u32() >> 1,
            next_key_index: 1,
            list_time_s: 0,
            signed_list: Vec::new(),
        };
        account.sign_list(now, rng);
        account
    }

    /// The account's address without a device.
    pub fn jid(&self, form: Form) -> Jid {
        match form {
            Form::Pn => Jid::pn(self.pn.to_string()),
            Form::Lid => Jid::lid(self.lid.as_str()),
        }
    }

    /// The address of one of its devices.
    pub fn device_jid(&self, device: u16, form: Form) -> Jid {
        self.jid(form).with_device(device)
    }

    /// All device numbers, the phone first.
    pub fn devices(&self) -> impl Iterator<Item = u16> + '_ {
        std::iter::once(0).chain(self.companions.keys().copied())
    }

    /// Those that take part in groups.
    pub fn members(&self) -> impl Iterator<Item = u16> + '_ {
        self.devices().filter(|number| *number != HOSTED)
    }

    /// The identity key of a device.
    pub fn identity(&self, device: u16) -> Option<[u8; 32]> {
        match device {
            0 => Some(*self.phone.identity()),
            device => self.companions.get(&device).map(|companion| companion.identity),
        }
    }

    /// The number and the key index for the next companion; `None` when the account is full.
    pub fn next_companion(&mut self) -> Option<(u16, u32)> {
        let number = self.next_number()?;
        let key_index = self.next_key_index;
        self.next_key_index += 1;
        Some((number, key_index))
    }

    /// The number for the next companion; `None` when the account is full.
    pub fn next_number(&self) -> Option<u16> {
        if self.hosts && !self.companions.contains_key(&HOSTED) {
            return Some(HOSTED);
        }
        match self.companions.keys().copied().filter(|number| *number != HOSTED).max().unwrap_or(0) {
            newest if newest < MAX_COMPANIONS => Some(newest + 1),
            _ => (1..=MAX_COMPANIONS).find(|number| !self.companions.contains_key(number)),
        }
    }

    /// Signs the list of companions anew; its time grows with every call, even within one second.
    pub fn sign_list<R: CryptoRng>(&mut self, now: UnixMillis, rng: &mut R) {
        self.list_time_s = seconds(now).max(self.list_time_s + 1);
        let mut valid_indexes = vec![0];
        valid_indexes.extend(self.companions.values().map(|companion| companion.key_index));
        let list = KeyIndexList {
            raw_id: self.raw_id,
            timestamp: self.list_time_s,
            current_index: self.next_key_index - 1,
            valid_indexes,
        };
        self.signed_list = adv::sign_list(self.phone.identity_pair(), &list, rng);
    }

    /// Remembers that `pn` has seen the device list.
    pub fn watch(&mut self, pn: Pn) {
        if pn != self.pn && self.watchers.len() < MAX_WATCHERS {
            self.watchers.insert(pn);
        }
    }
}

/// WhatsApp's hash over the device lists of some accounts, in one address form: `2:` and 8 characters.
pub fn participants_hash<'a>(accounts: impl IntoIterator<Item = &'a Account>, form: Form) -> String {
    let mut devices = BTreeSet::new();
    for account in accounts {
        let jid = account.jid(form);
        for device in account.devices() {
            let jid = jid.with_device(device);
            let server = hosted::on_the_wire(&jid).unwrap_or(jid.server);
            devices.insert(format!("{}.0:{device}@{server}", jid.user));
        }
    }
    let mut hash = Sha256::new();
    for device in &devices {
        hash.update(device.as_bytes());
    }
    format!("2:{}", STANDARD_NO_PAD.encode(&hash.finalize()[..6]))
}

/// Unix seconds, as attributes carry them.
pub(super) fn seconds(now: UnixMillis) -> u64 {
    u64::try_from(now.0 / 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn account() -> (Account, StdRng) {
        let mut rng = StdRng::seed_from_u64(1);
        (Account::new(15_550_001_000, "Ada".into(), UnixMillis(5_000), &mut rng), rng)
    }

    #[test]
    fn device_references_read_back() {
        for text in ["15550001000", "15550001000:3"] {
            assert_eq!(text.parse::<DeviceRef>().expect("well formed").to_string(), text);
        }
        assert!("x:1".parse::<DeviceRef>().is_err());
    }

    #[test]
    fn the_signed_list_is_newer_after_every_change() {
        let (mut account, mut rng) = account();
        let (_, before) = adv::check_list(&account.signed_list).expect("signed");
        account.sign_list(UnixMillis(5_000), &mut rng);
        let (key, after) = adv::check_list(&account.signed_list).expect("signed");
        assert!(after.timestamp > before.timestamp);
        assert_eq!(&key, account.phone.identity());
    }

    #[test]
    fn a_key_index_is_never_given_twice() {
        let (mut account, _) = account();
        assert_eq!(account.next_companion(), Some((1, 1)));
        assert_eq!(account.next_companion(), Some((1, 2)), "an abandoned pairing frees the number only");
    }
}
