//! The configuration before it has meaning: the defaults, one TOML file over them, the environment
//! over that, with the source of each value kept.
//!
//! What must hold: a section or a key that the defaults do not name is refused with its name and
//! where it came from; a value has the type of its default. It does not judge values
//! (`config.rs` does) and reads no file and no environment itself: both are passed in.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use super::ConfigError;

/// Every section and key that exists, with its default. This text is the reference for users.
pub const DEFAULTS: &str = r#"[node]
# Stable name of this node's slot; "auto" takes the host name. Two running nodes never share one.
id = "auto"
# Failure domain, may be empty.
zone = ""
# Share of the load, relative to the other nodes.
weight = 1.0
# How long a drain may take before the process leaves anyway.
drain_timeout = "120s"
# How long the target of a hand-off may take to prepare while the device stays connected here; "0s" moves
# devices without preparation.
handoff_warm_timeout = "5s"

[listen]
grpc = "127.0.0.1:7443"
# /livez, /readyz, /startupz, /metrics
http = "127.0.0.1:7080"
# host:port at which the other nodes reach `grpc`; empty means the address of `grpc`.
advertise = ""
# There is no TLS and no authentication yet: an address other than loopback needs this.
insecure = false

[store]
# sqlite:PATH for several processes on one machine, postgres://… for a cluster.
url = "sqlite:roost.db"
# A file that holds the URL, for URLs with a password.
url_file = ""
# A file with the key that wraps the tenants' data keys.
kek_file = ""
max_connections = 8

[cluster]
# Lease times: fast, normal or patient. The same on all nodes.
profile = "fast"

[connect]
# Logins to WhatsApp per second and node, and how many of them may come at once.
per_second = 10.0
burst = 10
# Logins per second of all nodes together, shared equally by those that are active; 0 is no such limit.
cluster_per_second = 0.0

[whatsapp]
url = "wss://web.whatsapp.com/ws/chat"
# PEM file with the authorities to trust instead of the public ones.
ca_file = ""
# A proxy for the socket and for files: http://host:port or socks5://host:port; empty means none.
proxy = ""
# A file that holds the proxy's URL, for those with user:password@.
proxy_file = ""
# Public key in hex (32 bytes) that the server's certificate chain must lead to; empty means WhatsApp's.
root_key = ""
# Where WhatsApp describes the packs of stickers that everybody may take.
sticker_url = "https://static.whatsapp.net/sticker"

[events]
# How long the event log is kept, and what was put aside because it could not be handled.
retention = "168h"

[media]
# Where uploaded files wait, encrypted, until they are sent: folder (which all nodes must share) or s3.
store = "folder"
# The folder; with s3, where files are gathered on their way there.
directory = "roost-media"
# Largest file that is taken.
max_bytes = "100MiB"
# How long uploaded files are kept.
retention = "72h"
# A bucket of anything that speaks the S3 protocol; it must exist.
s3_endpoint = ""
s3_bucket = ""
s3_region = "us-east-1"
s3_access_key = ""
s3_secret_key_file = ""
# Hosts that files are uploaded to instead of those that WhatsApp names: host or host:port, with commas between; at most 8,
# tried in this order. They are shown WhatsApp's permission to upload, so they must be WhatsApp's or lead there.
upload_hosts = ""
# The absolute path of an ffmpeg that makes thumbnails of films; empty means that they have none. It reads files of
# strangers, as the user of the node and with limits of time and memory.
ffmpeg = ""

[telemetry]
# text or json
log_format = "text"
# A level, or targets: "info", "info,roost_node=debug".
log_level = "info"
"#;

/// Keys whose values are never printed.
const SECRET: [(&str, &str); 2] = [("store", "url"), ("whatsapp", "proxy")];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File,
    /// This environment variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File => f.write_str("configuration file"),
            Origin::Environment(name) => f.write_str(name),
        }
    }
}

/// All values with their origin, by section and key.
#[derive(Debug, Clone)]
pub struct Layers {
    values: BTreeMap<(String, String), (Value, Origin)>,
}

impl Layers {
    /// The defaults alone.
    pub fn defaults() -> Layers {
        let table: Table = DEFAULTS.parse().expect("the defaults are TOML");
        let mut values = BTreeMap::new();
        for (section, keys) in table {
            let Value::Table(keys) = keys else { continue };
            for (key, value) in keys {
                values.insert((section.clone(), key), (value, Origin::Default));
            }
        }
        Layers { values }
    }

    /// Puts a file's text over what there is.
    pub fn file(&mut self, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::Syntax { line, why: error.message().to_owned() }
        })?;
        for (section, keys) in table {
            if !self.has_section(&section) {
                return Err(self.unknown_section(section, Origin::File));
            }
            let Value::Table(keys) = keys else {
                return Err(ConfigError::NotASection { section });
            };
            for (key, value) in keys {
                self.set(section.clone(), key, value, Origin::File)?;
            }
        }
        Ok(())
    }

    /// Puts variables of the form `ROOST__SECTION__KEY` over what there is; others are ignored.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(path) = name.strip_prefix("ROOST__") else { continue };
            let path = path.to_ascii_lowercase();
            let (section, key) = path.split_once("__").unwrap_or((&path, ""));
            let (section, key) = (section.to_owned(), key.to_owned());
            let origin = Origin::Environment(name.clone());
            if !self.has_section(&section) {
                return Err(self.unknown_section(section, origin));
            }
            let Some((like, _)) = self.values.get(&(section.clone(), key.clone())) else {
                return Err(self.unknown_key(section, key, origin));
            };
            let value = read_as(like, &text).ok_or_else(|| ConfigError::WrongType {
                field: format!("{section}.{key}"),
                expected: type_name(like),
                origin: origin.clone(),
            })?;
            self.set(section, key, value, origin)?;
        }
        Ok(())
    }

    fn set(&mut self, section: String, key: String, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some(slot) = self.values.get_mut(&(section.clone(), key.clone())) else {
            return Err(self.unknown_key(section, key, origin));
        };
        let value = match (&slot.0, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        if !slot.0.same_type(&value) {
            let expected = type_name(&slot.0);
            return Err(ConfigError::WrongType { field: format!("{section}.{key}"), expected, origin });
        }
        *slot = (value, origin);
        Ok(())
    }

    /// A text value. The field is one of [`DEFAULTS`].
    pub fn text(&self, section: &str, key: &str) -> &str {
        self.value(section, key).as_str().expect("the default is a text")
    }

    /// A whole number. The field is one of [`DEFAULTS`].
    pub fn integer(&self, section: &str, key: &str) -> i64 {
        self.value(section, key).as_integer().expect("the default is an integer")
    }

    /// A number. The field is one of [`DEFAULTS`].
    pub fn float(&self, section: &str, key: &str) -> f64 {
        self.value(section, key).as_float().expect("the default is a float")
    }

    /// A truth value. The field is one of [`DEFAULTS`].
    pub fn boolean(&self, section: &str, key: &str) -> bool {
        self.value(section, key).as_bool().expect("the default is a boolean")
    }

    /// Where a value came from.
    pub fn origin(&self, section: &str, key: &str) -> &Origin {
        &self.slot(section, key).1
    }

    /// The effective values as TOML with the origin of each; secrets are redacted.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut current = "";
        for ((section, key), (value, origin)) in &self.values {
            if section != current {
                if !current.is_empty() {
                    out.push('\n');
                }
                out.push_str(&format!("[{section}]\n"));
                current = section;
            }
            let shown = match SECRET.contains(&(section.as_str(), key.as_str())) {
                true => Value::String(redacted(value.as_str().unwrap_or_default())),
                false => value.clone(),
            };
            out.push_str(&format!("{key} = {shown}  # {origin}\n"));
        }
        out
    }

    fn value(&self, section: &str, key: &str) -> &Value {
        &self.slot(section, key).0
    }

    fn slot(&self, section: &str, key: &str) -> &(Value, Origin) {
        self.values.get(&(section.to_owned(), key.to_owned())).expect("the field has a default")
    }

    fn has_section(&self, section: &str) -> bool {
        self.values.keys().any(|(known, _)| known == section)
    }

    fn unknown_section(&self, section: String, origin: Origin) -> ConfigError {
        let mut known: Vec<&str> = self.values.keys().map(|(section, _)| section.as_str()).collect();
        known.dedup();
        ConfigError::UnknownSection { section, origin, known: known.join(", ") }
    }

    fn unknown_key(&self, section: String, key: String, origin: Origin) -> ConfigError {
        let known: Vec<&str> =
            self.values.keys().filter(|(name, _)| *name == section).map(|(_, key)| key.as_str()).collect();
        let known = known.join(", ");
        ConfigError::UnknownKey { section, key, origin, known }
    }
}

/// A URL without its password; anything else that holds one is hidden whole.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A query may carry a password too (`?password=…`), and a password a question mark.
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        return format!("{scheme}://[redacted]");
    }
    let rest = before;
    match rest.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:[redacted]@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

fn read_as(like: &Value, text: &str) -> Option<Value> {
    Some(match like {
        Value::Integer(_) => Value::Integer(text.trim().parse().ok()?),
        Value::Float(_) => Value::Float(text.trim().parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().ok()?),
        _ => Value::String(text.to_owned()),
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        _ => "a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let mut layers = Layers::defaults();
        layers.file("[node]\nid = \"a\"\nzone = \"z1\"\n").expect("known keys");
        layers.environment([("ROOST__NODE__ID".into(), "b".into())]).expect("a known key");
        assert_eq!(layers.text("node", "id"), "b");
        assert_eq!(layers.text("node", "zone"), "z1");
        assert_eq!(layers.float("node", "weight"), 1.0);
        assert_eq!(layers.origin("node", "zone"), &Origin::File);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_section_and_what_is_known() {
        let mut layers = Layers::defaults();
        let said = layers.file("[node]\nname = \"a\"\n").expect_err("no such key").to_string();
        assert!(said.contains("`name`") && said.contains("[node]") && said.contains("zone"), "{said}");
        let said = layers.file("[nodes]\nid = \"a\"\n").expect_err("no such section").to_string();
        assert!(said.contains("[nodes]") && said.contains("telemetry"), "{said}");
        let variable = ("ROOST__STORE__URI".to_owned(), "x".to_owned());
        let said = layers.environment([variable]).expect_err("no such key").to_string();
        assert!(said.contains("`uri`") && said.contains("ROOST__STORE__URI"), "{said}");
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_the_name_of_the_field() {
        let mut layers = Layers::defaults();
        let said = layers.file("[connect]\nburst = \"ten\"\n").expect_err("not a number").to_string();
        assert!(said.contains("connect.burst") && said.contains("whole number"), "{said}");
        let variable = ("ROOST__LISTEN__INSECURE".to_owned(), "yes".to_owned());
        let said = layers.environment([variable]).expect_err("not a boolean").to_string();
        assert!(said.contains("listen.insecure") && said.contains("true or false"), "{said}");
    }

    #[test]
    fn printing_shows_no_password() {
        let mut layers = Layers::defaults();
        layers
            .file("[store]\nurl = \"postgres://roost:hunter2@db/roost?password=hunter3\"\n")
            .expect("known");
        layers.file("[whatsapp]\nproxy = \"socks5://me:hunter4@proxy:1080\"\n").expect("known");
        let printed = layers.print();
        assert!(printed.contains("postgres://roost:[redacted]@db/roost"), "{printed}");
        assert!(printed.contains("socks5://me:[redacted]@proxy:1080"), "{printed}");
        assert!(!printed.contains("hunter"), "{printed}");
        // Where the password ends is not to be seen.
        layers.file("[whatsapp]\nproxy = \"socks5://me:hunter5?hunter6@proxy:1080\"\n").expect("known");
        let printed = layers.print();
        assert!(printed.contains("socks5://[redacted]") && !printed.contains("hunter"), "{printed}");
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let mut layers = Layers::defaults();
        layers.file(&Layers::defaults().print()).expect("its own output");
        layers.file(DEFAULTS).expect("the defaults");
    }
}
