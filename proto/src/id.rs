//! Names of things, each a newtype with one parser and one `Display`.
//!
//! What must hold: a value of these types is well formed, so nothing behind the edge checks again;
//! ordering and text are stable, because ring points, dedupe keys and SQL keys are made from them.
//! It does not know whether a named thing exists.

use std::fmt;
use std::str::FromStr;

/// Why a text is not an id. Carries the rule, for the message that the caller sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} {rule}")]
pub struct IdError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

const LABEL_RULE: &str = "must be 1 to 63 characters of a-z, 0-9 and '-', and must not start or end with '-'";

fn label(what: &'static str, text: &str) -> Result<String, IdError> {
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if inner && ends && (1..=63).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        // Bad input can be of any size; an error must not be.
        let text = text.chars().take(80).collect();
        Err(IdError { what, text, rule: LABEL_RULE })
    }
}

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text, as it appears in names and keys.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                label($what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label_id! {
    /// One tenant: the first part of every key. 1 to 63 characters, `[a-z0-9-]`.
    BusinessId, "business id"
}
label_id! {
    /// A device within its tenant; chosen by the client or made by us. 1 to 63 characters, `[a-z0-9-]`.
    DeviceId, "device id"
}
label_id! {
    /// The stable name of a node slot. 1 to 63 characters, `[a-z0-9-]`.
    NodeId, "node id"
}
label_id! {
    /// A named reader of a tenant's event log. 1 to 63 characters, `[a-z0-9-]`.
    ConsumerId, "consumer id"
}

/// The whole key of a device. Its text is the resource name `tenants/{business_id}/devices/{device_id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// The tenant.
    pub business_id: BusinessId,
    /// The device within the tenant.
    pub device_id: DeviceId,
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenants/{}/devices/{}", self.business_id, self.device_id)
    }
}

impl FromStr for DeviceKey {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        let parts: Vec<&str> = name.splitn(5, '/').collect();
        let ["tenants", business_id, "devices", device_id] = parts[..] else {
            let text = name.chars().take(160).collect();
            let rule = "must have the form tenants/{business_id}/devices/{device_id}";
            return Err(IdError { what: "device name", text, rule });
        };
        Ok(Self { business_id: business_id.parse()?, device_id: device_id.parse()? })
    }
}

/// One life of a node process; grows by one with each start. Starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub i64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fencing token of a device: grows by one with each grant, never reused. 0 means never granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node in one of its lives: who holds a lease and owns devices. Its text is `node/incarnation`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// The slot.
    pub node: NodeId,
    /// Which life of it.
    pub incarnation: Incarnation,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.incarnation)
    }
}

/// Position of an event in the log of its device: 1, 2, 3, … without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub i64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An age of the database: it grows when the database may have lost its tail. What was lost leaves sequences that are
/// given out again, to other events, in a later age; 0 also for what was written by a version that knew no ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Age(pub i64);

/// Milliseconds since the Unix epoch, by the clock of whoever wrote it down. For people and for
/// WhatsApp's `t` attributes; never compared to decide ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_reads_back_as_it_was_written() {
        let key: DeviceKey = "tenants/acme/devices/shop-42".parse().expect("well formed");
        assert_eq!(key.to_string(), "tenants/acme/devices/shop-42");
    }

    #[test]
    fn names_that_break_the_rule_are_refused() {
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<BusinessId>().is_err(), "{bad:?}");
        }
        for bad in ["acme", "tenants/acme", "tenants/acme/devices/", "tenants/acme/devices/a/b"] {
            assert!(bad.parse::<DeviceKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_stays_small_whatever_the_input() {
        let huge = "x".repeat(1 << 20);
        let text = huge.parse::<NodeId>().expect_err("too long").to_string();
        assert!(text.len() < 300);
    }
}
