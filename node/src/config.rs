//! The configuration of a node: typed, validated, with one error per way to get it wrong.
//!
//! What must hold: every refusal names the field as `section.key`; a value that got through here is
//! usable without another check; a secret is never part of an error or of `config print`. Files are
//! read here and nowhere else; whether the database answers is not this file's business.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roost_actors::port::ProxyUri;
use roost_placement::ledger::Timing;
use roost_proto::id::NodeId;

mod fields;
pub mod layers;
mod media;

pub use self::media::MediaConfig;
use fields::Reader;
use layers::{Layers, Origin};

/// Exit code of a process that refuses its configuration (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIGURATION: u8 = 78;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML. The line itself is not repeated, because it may hold a secret.
    #[error("the configuration is not valid TOML at line {line}: {why}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        why: String,
    },
    /// There is no such section.
    #[error("unknown section [{section}] ({origin}); known are {known}")]
    UnknownSection {
        /// As written.
        section: String,
        /// Where it stands.
        origin: Origin,
        /// What exists.
        known: String,
    },
    /// A section's name stands for a plain value.
    #[error("{section} must be a section: [{section}]")]
    NotASection {
        /// As written.
        section: String,
    },
    /// There is no such key in this section.
    #[error("unknown key `{key}` in section [{section}] ({origin}); known are {known}")]
    UnknownKey {
        /// In which section.
        section: String,
        /// As written.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What exists.
        known: String,
    },
    /// The value has another type than the key.
    #[error("{field} must be {expected} ({origin})")]
    WrongType {
        /// `section.key`.
        field: String,
        /// The type in words.
        expected: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// The value has the right type and makes no sense.
    #[error("{field} {why} ({origin})")]
    Invalid {
        /// `section.key`.
        field: String,
        /// What it must be.
        why: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A file that a key names cannot be read.
    #[error("{field}: the file {path} cannot be read: {source}")]
    NamedFile {
        /// `section.key`.
        field: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// This process.
    pub node: NodeConfig,
    /// Where it listens.
    pub listen: ListenConfig,
    /// The database.
    pub store: StoreConfig,
    /// Lease times.
    pub timing: Timing,
    /// Pace of logins.
    pub connect: ConnectConfig,
    /// The other side.
    pub whatsapp: WhatsappConfig,
    /// How long events are kept, and stanzas that were put aside.
    pub retention: Duration,
    /// Files.
    pub media: MediaConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

/// Section `node`.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The slot.
    pub id: NodeId,
    /// Failure domain, may be empty.
    pub zone: String,
    /// Share of the load, 100 is one unit; 1 to 10,000.
    pub weight: u32,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long the target of a hand-off may prepare; zero is not at all.
    pub handoff_warm_timeout: Duration,
}

/// Section `listen`.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// The gRPC API.
    pub grpc: SocketAddr,
    /// Health and metrics.
    pub http: SocketAddr,
    /// `host:port` for the other nodes, when it is not the address of `grpc`.
    pub advertise: Option<String>,
}

/// Section `store`.
#[derive(Clone)]
pub struct StoreConfig {
    /// Database URL. Holds a password: never print it.
    pub url: String,
    /// File with the key-encryption key.
    pub kek_file: Option<PathBuf>,
    /// Size of the connection pool, 2 to 500.
    pub max_connections: u32,
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig")
            .field("url", &"[redacted]")
            .field("kek_file", &self.kek_file)
            .field("max_connections", &self.max_connections)
            .finish()
    }
}

/// Section `connect`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectConfig {
    /// Logins per second, more than 0.
    pub per_second: f64,
    /// Logins at once, at least 1.
    pub burst: u32,
    /// Logins per second of all nodes together.
    pub cluster_per_second: Option<f64>,
}

/// Section `whatsapp`.
#[derive(Debug, Clone)]
pub struct WhatsappConfig {
    /// `wss://…` (or `ws://…` in tests).
    pub url: String,
    /// PEM file with authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The proxy through which the socket and files go.
    pub proxy: Option<ProxyUri>,
    /// Root of the server's certificate chain; `None` means WhatsApp's own.
    pub root_key: Option<[u8; 32]>,
    /// Where its packs of stickers are described: `https://…` (or `http://…` in tests), without a query.
    pub sticker_url: String,
}

/// Section `telemetry`.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// JSON lines instead of text.
    pub json: bool,
    /// A level or targets, as `tracing_subscriber::filter::Targets` reads them.
    pub level: tracing_subscriber::filter::Targets,
}

/// Reads a file (if one is named) and the process environment.
pub fn load(path: Option<&Path>) -> Result<(Config, Layers), ConfigError> {
    let mut layers = Layers::defaults();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        layers.file(&text)?;
    }
    // Names that are not UTF-8 cannot be ours; values that are not are refused by type.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    layers.environment(variables)?;
    Ok((validate(&layers)?, layers))
}

/// Judges the values. Reads the files that `*_file` keys name.
pub fn validate(layers: &Layers) -> Result<Config, ConfigError> {
    let reader = Reader(layers);
    let insecure = layers.boolean("listen", "insecure");
    let grpc = reader.address("grpc", insecure)?;
    let advertise = reader.optional("listen", "advertise");
    if let Some(address) = &advertise
        && !address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    {
        return Err(reader.invalid("listen", "advertise", "must have the form host:port"));
    }
    if advertise.is_none() && grpc.ip().is_unspecified() {
        let why =
            "must name an address that other nodes can reach, because listen.grpc is the wildcard address";
        return Err(reader.invalid("listen", "advertise", why));
    }
    Ok(Config {
        node: NodeConfig {
            id: reader.node_id()?,
            zone: layers.text("node", "zone").to_owned(),
            weight: reader.weight()?,
            drain_timeout: reader.duration("node", "drain_timeout")?,
            handoff_warm_timeout: reader.duration("node", "handoff_warm_timeout")?,
        },
        listen: ListenConfig { grpc, http: reader.address("http", insecure)?, advertise },
        store: StoreConfig {
            url: reader.store_url()?,
            kek_file: reader.optional("store", "kek_file").map(PathBuf::from),
            max_connections: reader.count("store", "max_connections", 2, 500)?,
        },
        timing: match layers.text("cluster", "profile") {
            "fast" => Timing::FAST,
            "normal" => Timing::NORMAL,
            "patient" => Timing::PATIENT,
            _ => return Err(reader.invalid("cluster", "profile", "must be fast, normal or patient")),
        },
        connect: ConnectConfig {
            per_second: match layers.float("connect", "per_second") {
                rate if rate > 0.0 && rate <= 10_000.0 => rate,
                _ => {
                    return Err(reader.invalid(
                        "connect",
                        "per_second",
                        "must be more than 0, at most 10000",
                    ));
                }
            },
            burst: reader.count("connect", "burst", 1, 100_000)?,
            cluster_per_second: match layers.float("connect", "cluster_per_second") {
                0.0 => None,
                rate if rate > 0.0 && rate <= 1_000_000.0 => Some(rate),
                _ => return Err(reader.invalid("connect", "cluster_per_second", "must be 0 to 1000000")),
            },
        },
        whatsapp: WhatsappConfig {
            url: reader.websocket_url()?,
            ca_file: reader.optional("whatsapp", "ca_file").map(PathBuf::from),
            proxy: reader.proxy()?,
            root_key: reader.root_key()?,
            sticker_url: reader.sticker_url()?,
        },
        retention: match reader.duration("events", "retention")? {
            short if short < Duration::from_secs(60) => {
                return Err(reader.invalid("events", "retention", "must be at least 60s"));
            }
            retention => retention,
        },
        media: media::read(&reader)?,
        telemetry: TelemetryConfig {
            json: match layers.text("telemetry", "log_format") {
                "json" => true,
                "text" => false,
                _ => return Err(reader.invalid("telemetry", "log_format", "must be text or json")),
            },
            level: layers.text("telemetry", "log_level").parse().map_err(|why| {
                reader.invalid(
                    "telemetry",
                    "log_level",
                    &format!("is not a level or a list of targets: {why}"),
                )
            })?,
        },
    })
}

/// A duration with a unit: `250ms`, `2s`, `10m`, `168h`, `7d`. `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

#[cfg(test)]
mod tests;
