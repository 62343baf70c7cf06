//! The version of WhatsApp Web that a client says it is, and which devices say which.
//!
//! What must hold: a device is among the canaries or not by its name alone, on every node and after every
//! restart; a share that grows keeps the devices that it had.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::id::DeviceKey;

/// A version of WhatsApp Web, for example 2.3000.1045649367. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(pub [u32; 3]);

impl Default for ProtocolVersion {
    fn default() -> ProtocolVersion {
        ProtocolVersion::BUILT_IN
    }
}

impl ProtocolVersion {
    /// What this program was written against.
    pub const BUILT_IN: ProtocolVersion = ProtocolVersion([2, 3000, 1_045_649_367]);

    /// The version that a page or a script of WhatsApp Web says it is: `"client_revision":1045649367`, the quotes with or
    /// without a backslash. (Where whatsmeow, Baileys and whatsapp-rust look for it; the first two numbers are the same for years.)
    pub fn in_page(page: &str) -> Option<ProtocolVersion> {
        let mut named = page.match_indices("client_revision").filter_map(|(at, name)| {
            let rest = page[at + name.len()..].trim_start_matches(['\\', '"']).trim_start();
            let rest = rest.strip_prefix(':')?.trim_start();
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok().map(|revision| ProtocolVersion([2, 3000, revision]))
        });
        named.next()
    }
}

/// A text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be three numbers with dots between them, as 2.3000.1045649367")]
pub struct VersionError;

impl FromStr for ProtocolVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<ProtocolVersion, VersionError> {
        let mut parts = text.split('.');
        let mut number = || {
            let digits = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(VersionError)
        };
        let version = [number()?, number()?, number()?];
        if parts.next().is_some() { Err(VersionError) } else { Ok(ProtocolVersion(version)) }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third] = self.0;
        write!(f, "{first}.{second}.{third}")
    }
}

/// Which devices log in with which version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// For all but the canaries; the one that is built in when absent.
    pub stable: Option<ProtocolVersion>,
    /// One that is tried on some.
    pub canary: Option<Canary>,
}

/// A version that is tried on some devices before all others get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The version.
    pub version: ProtocolVersion,
    /// So many of a hundred devices, 0 to 100.
    pub percent: u8,
    /// And these.
    pub devices: BTreeSet<DeviceKey>,
}

impl Rollout {
    /// The version with which a device logs in.
    pub fn of(&self, key: &DeviceKey) -> ProtocolVersion {
        let canary = self.canary.as_ref().filter(|canary| canary.has(key));
        canary.map(|canary| canary.version).or(self.stable).unwrap_or(ProtocolVersion::BUILT_IN)
    }
}

impl Canary {
    /// Whether a device is among them.
    pub fn has(&self, key: &DeviceKey) -> bool {
        self.devices.contains(key) || place(key) < self.percent
    }
}

/// The place of a device among a hundred, 0 to 99.
fn place(key: &DeviceKey) -> u8 {
    let hash = Sha256::digest(key.to_string());
    let number = u64::from_be_bytes(hash[..8].try_into().expect("a digest is longer"));
    u8::try_from(number % 100).expect("below a hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> DeviceKey {
        format!("tenants/acme/devices/shop-{number}").parse().expect("an id")
    }

    fn version(text: &str) -> ProtocolVersion {
        text.parse().expect("a version")
    }

    fn rollout(percent: u8, devices: &[DeviceKey]) -> Rollout {
        let devices = devices.iter().cloned().collect();
        Rollout { stable: None, canary: Some(Canary { version: version("2.3000.9"), percent, devices }) }
    }

    #[test]
    fn a_version_reads_back_and_later_ones_are_greater() {
        assert_eq!(version("2.3000.1045649367").to_string(), "2.3000.1045649367");
        assert!(version("2.3000.10") > version("2.3000.9") && version("2.3001.0") > version("2.3000.10"));
        for bad in
            ["", "2", "2.3000", "2.3000.1.1", "2.3000.-1", "2.3000.+1", "2.3000.4294967296", "a.b.c", "2..1"]
        {
            assert_eq!(bad.parse::<ProtocolVersion>(), Err(VersionError), "{bad}");
        }
    }

    #[test]
    fn a_page_says_its_version_in_plain_or_in_escaped_quotes() {
        for page in [
            r#"{"server_revision":1,"client_revision":1045649367,"x":2}"#,
            r#"self.x = "{\"client_revision\": 1045649367}""#,
            r#"client_revision of something, "client_revision":1045649367"#,
        ] {
            assert_eq!(ProtocolVersion::in_page(page), Some(version("2.3000.1045649367")), "{page}");
        }
        for page in ["", "client_revision", r#""client_revision":"#, r#""client_revision":99999999999"#] {
            assert_eq!(ProtocolVersion::in_page(page), None, "{page}");
        }
    }

    #[test]
    fn without_a_choice_every_device_has_what_is_built_in() {
        assert_eq!(Rollout::default().of(&key(1)), ProtocolVersion::BUILT_IN);
        let chosen = Rollout { stable: Some(version("2.3000.5")), canary: None };
        assert_eq!(chosen.of(&key(1)), version("2.3000.5"));
    }

    #[test]
    fn a_growing_share_keeps_its_canaries_and_the_places_never_change() {
        let canaries = |percent| {
            let rollout = rollout(percent, &[]);
            (0..1000)
                .filter(|number| rollout.of(&key(*number)) == version("2.3000.9"))
                .collect::<BTreeSet<_>>()
        };
        let (few, more, all) = (canaries(5), canaries(20), canaries(100));
        assert!((20..90).contains(&few.len()) && few.is_subset(&more), "{} of 1000", few.len());
        assert_eq!((canaries(0).len(), all.len()), (0, 1000));
        assert_eq!([1, 2, 3].map(|number| place(&key(number))), PLACES);
    }

    #[test]
    fn a_device_is_a_canary_by_its_name_too() {
        let rollout = rollout(0, &[key(7)]);
        assert_eq!(rollout.of(&key(7)), version("2.3000.9"));
        assert_eq!(rollout.of(&key(8)), ProtocolVersion::BUILT_IN);
    }

    /// Pinned: another hash would be another set of canaries.
    const PLACES: [u8; 3] = [46, 71, 34];
}
