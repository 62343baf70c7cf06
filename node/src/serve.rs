//! `roost serve`: the composition root. A parent that joins and certifies, and a worker that hosts.
//!
//! What must hold: every start that fails says what to change and ends with an exit code of its own; a
//! drained worker ends with 0, one whose row says dead with [`parent::EXIT_LIFE_OVER`]. Nothing is
//! decided here.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::device::system_seeds;
use roost_placement::ledger::{Candidate, JoinError};
use roost_proto::id::Life;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::api::port::Cluster as _;
use crate::api::server::{Listener, ServerError};
use crate::assembly::{Node, Settings, Stores, assemble};
use crate::cli::ServeArgs;
use crate::cluster::{ClusterOptions, Ended, ThreadError};
use crate::config::{self, Config, EXIT_CONFIGURATION};
use crate::descriptors;
use crate::http::{self, Joined, Probes};
use crate::link::{LinkOptionsError, WhatsAppDialer, tls_config};
use crate::media::{BlobStore, Folder, HttpClient, MediaOptions, S3, S3OptionsError, keep_clear};
use crate::metrics::Metrics;

use crate::outside::{Network, Outside};
use crate::parent::{self, Family, FamilyError, OrphanError, RestartOptions};
use crate::proxy::Proxy;
use crate::store::{KeyFile, OpenError, Store, StoreOptions};
use crate::telemetry;

/// Exit code when the database cannot be used (`EX_UNAVAILABLE` of sysexits).
pub const EXIT_STORE: u8 = 69;
/// Exit code when the node id is in use (`EX_TEMPFAIL`).
pub const EXIT_IN_USE: u8 = 75;
/// Exit code when the cluster's nodes are of releases too far from this one (`EX_PROTOCOL`).
pub const EXIT_APART: u8 = 76;
/// Exit code when a port cannot be bound or the system refuses something else (`EX_OSERR`).
pub const EXIT_SYSTEM: u8 = 71;
/// Exit code when a drain was not complete in time. What was left is taken over.
pub const EXIT_DRAIN_INCOMPLETE: u8 = 81;

/// Version of the protocol between nodes that this program speaks.
const PEER_VERSION: u32 = 1;

/// How long the worker may take, beyond its drain, to leave.
const LEAVING: Duration = Duration::from_secs(10);

/// How long calls under way may go on after a drain.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// `store.kek_file` is missing.
    #[error("store.kek_file must name a file with the key-encryption key (32 bytes, raw or in hex)")]
    NoKey,
    /// The section `whatsapp` cannot be used.
    #[error(transparent)]
    Link(#[from] LinkOptionsError),
    /// The section `media` cannot be used.
    #[error(transparent)]
    Bucket(#[from] S3OptionsError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The parent has no worker.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// This process must not work.
    #[error(transparent)]
    Orphan(#[from] OrphanError),
    /// The heartbeat has no thread.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// The API cannot be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why it did not work.
        source: std::io::Error,
    },
}

impl ServeError {
    fn exit_code(&self) -> u8 {
        match self {
            ServeError::Config(_) | ServeError::NoKey | ServeError::Link(_) | ServeError::Bucket(_) => {
                EXIT_CONFIGURATION
            }
            ServeError::Store(OpenError::BadUrl { .. } | OpenError::Key(_) | OpenError::WrongKey) => {
                EXIT_CONFIGURATION
            }
            ServeError::Store(_) => EXIT_STORE,
            ServeError::Family(FamilyError::Join(JoinError::Apart { .. })) => EXIT_APART,
            ServeError::Family(FamilyError::Join(JoinError::InUse { .. })) => EXIT_IN_USE,
            ServeError::Family(FamilyError::Join(JoinError::Unavailable(_))) => EXIT_STORE,
            ServeError::Family(_)
            | ServeError::Orphan(_)
            | ServeError::Thread(_)
            | ServeError::Server(_)
            | ServeError::System { .. } => EXIT_SYSTEM,
        }
    }
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ServeError {
    let what = what.into();
    |source| ServeError::System { what, source }
}

/// Runs a node to its end. Call it on the main thread, outside of any runtime.
pub fn run(args: &ServeArgs) -> ExitCode {
    let ended = parent::inherited_life().map_err(ServeError::from).and_then(|life| {
        let (config, _) = config::load(args.config.as_deref())?;
        telemetry::install(&config.telemetry);
        match life {
            None => be_parent(&config),
            Some(life) => be_worker(config, life),
        }
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("roost: {}", with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// The error and what lies below it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn store_options(config: &Config) -> Result<StoreOptions, ServeError> {
    let file = config.store.kek_file.clone().ok_or(ServeError::NoKey)?;
    let mut options = StoreOptions::new(config.store.url.clone(), Arc::new(KeyFile(file)));
    options.max_connections = config.store.max_connections;
    // A statement that outlives the lease helps nobody.
    options.statement_timeout = options.statement_timeout.min(config.timing.ttl / 2);
    Ok(options)
}

fn candidate(config: &Config) -> Candidate {
    let address = config.listen.advertise.clone().unwrap_or_else(|| config.listen.grpc.to_string());
    let (node, zone) = (config.node.id.clone(), config.node.zone.clone());
    Candidate { node, address, zone, weight: config.node.weight, version: PEER_VERSION }
}

fn be_parent(config: &Config) -> Result<u8, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(system("the runtime cannot be started"))?.block_on(async {
        let options = store_options(config)?;
        // What would stop the worker is better said here, once, than by a worker that restarts.
        dialer(config)?;
        blob_store(config)?;
        // Before anything waits: the kernel drops a signal for its first process that nobody has asked for.
        let mut signals = parent::stop_signals().map_err(system("signals cannot be received"))?;
        tokio::select! {
            opened = Store::open(&options) => drop(opened?),
            Some(()) = signals.recv() => return Ok(0),
        }
        let family = Family {
            ledger: Store::lone_ledger(&options),
            candidate: candidate(config),
            timing: config.timing,
            program: own_program()?,
            arguments: std::env::args_os().skip(1).collect(),
            grace: config.node.drain_timeout + LEAVING,
            restarts: RestartOptions::default(),
        };
        Ok(parent::raise(family, signals).await?)
    })
}

fn own_program() -> Result<PathBuf, ServeError> {
    std::env::current_exe().map_err(system("the path of this program is not known"))
}

fn dialer(config: &Config) -> Result<WhatsAppDialer, LinkOptionsError> {
    let whatsapp = &config.whatsapp;
    let dialer = WhatsAppDialer::new(&whatsapp.url, whatsapp.ca_file.clone(), whatsapp.root_key)?;
    Ok(match whatsapp.proxy.clone() {
        Some(proxy) => dialer.over(Network::Other(Arc::new(Proxy(proxy)))),
        None => dialer,
    })
}

fn blob_store(config: &Config) -> Result<Arc<dyn BlobStore>, ServeError> {
    let Some(bucket) = config.media.bucket.clone() else {
        return Ok(Arc::new(Folder::new(&config.media.directory)));
    };
    let tls = TlsConnector::from(tls_config(None)?);
    Ok(Arc::new(S3::new(bucket, Arc::new(HttpClient::new(Some(tls), Network::System)))?))
}

fn be_worker(config: Config, life: Life) -> Result<u8, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(system("the runtime cannot be started"))?;
    let ended = runtime.block_on(work(config, life));
    // Whatever still runs has nothing left to do.
    runtime.shutdown_timeout(LAST_CALLS);
    ended
}

async fn work(config: Config, life: Life) -> Result<u8, ServeError> {
    let mut signals = parent::stop_signals().map_err(system("signals cannot be received"))?;
    descriptors::raise_limit();
    let metrics = Metrics::new();
    let probes = Probes::new(metrics.clone());
    let health = http::bind(config.listen.http).await;
    let health = health.map_err(system(format!("listen.http: {} cannot be bound", config.listen.http)))?;
    tokio::spawn(http::serve(health, probes.clone(), std::future::pending()));
    let listener = Listener::bind(config.listen.grpc)?;

    let mut options = store_options(&config)?;
    options.application = Some(life.clone());
    let store = tokio::select! {
        opened = Store::open(&options) => opened?,
        // It holds nothing yet.
        Some(()) = signals.recv() => return Ok(0),
    };
    let mut options = ClusterOptions::new(life.clone(), config.timing);
    options.pace.warm = config.node.handoff_warm_timeout;
    // What is left then goes cold, so that a drain ends in time.
    options.pace.warm_drain = config.node.drain_timeout / 2;
    let settings = Settings {
        cluster: options,
        cluster_logins_per_second: config.connect.cluster_per_second,
        logins_per_second: config.connect.per_second,
        login_burst: config.connect.burst,
        retention: config.retention,
        media: MediaOptions {
            spool: config.media.directory.join("spool"),
            max_bytes: config.media.max_bytes,
            retention: config.media.retention,
            stickers: config.whatsapp.sticker_url.clone(),
            ffmpeg: config.media.ffmpeg.clone(),
            upload_hosts: config.media.upload_hosts.clone(),
        },
        ..Settings::new(life.clone(), config.timing)
    };
    tokio::spawn(keep_clear(settings.media.spool.clone()));
    let dialer = dialer(&config)?;
    let stores = Stores {
        ledger: store.clone(),
        heartbeat: store.heartbeat_ledger(Some(&life)),
        devices: store.clone(),
        directory: store.clone(),
        blobs: blob_store(&config)?,
        media_http: Arc::new(dialer.media_client()),
        commits: store.commits(),
    };
    let node = assemble(settings, stores, Arc::new(dialer), Outside::system(), system_seeds(), metrics)?;
    let Node { cluster, hosts, api, clocks } = node;
    probes.joined(Joined { directory: store, cluster: Arc::new(cluster.clone()), hosts, clocks });
    tracing::info!(%life, grpc = %listener.address, http = %config.listen.http, "serving");

    let (close, closed) = oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(api, async {
        let _ = closed.await;
    }));
    let mut ended = cluster.ended();
    let mut leave_by = None;
    let code = loop {
        let late = async {
            match leave_by {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => match *cluster.ended().borrow() {
                Some(Ended::Drained) => break 0,
                Some(Ended::Dead) | None => break parent::EXIT_LIFE_OVER,
            },
            Some(()) = signals.recv() => {
                if cluster.drain().is_ok() {
                    tracing::info!("told to stop: draining");
                }
                leave_by.get_or_insert(tokio::time::Instant::now() + config.node.drain_timeout);
            }
            () = late => {
                tracing::warn!(left = *cluster.remaining().borrow(), "the drain did not end in time");
                break EXIT_DRAIN_INCOMPLETE;
            }
        }
    };
    let _ = close.send(());
    match tokio::time::timeout(LAST_CALLS, serving).await {
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(Ok(Ok(())) | Err(_)) | Err(_) => Ok(code),
    }
}
