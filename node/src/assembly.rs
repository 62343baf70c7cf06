//! One node, put together: devices, gate, cluster module and API on one store and one outside.
//!
//! What must hold: this is the only place where the parts of a node meet, whoever runs it; a node that was
//! assembled acts at once, in tasks of the present runtime and, for its heartbeat, on a thread of its own.
//! Listening, signals and exit codes are `serve.rs`.

use std::sync::Arc;
use std::time::Duration;

use roost_actors::device::{Limits, Ports, Profile, Seeds};
use roost_actors::port::{DeviceStore, Dialer};
use roost_placement::ledger::{Ledger, Timing};
use roost_proto::id::{DeviceKey, Life};
use roost_proto::version::Rollout;
use tokio::sync::{broadcast, watch};

use crate::api::port::Cluster as _;
use crate::api::{Api, Parts, retention, unowned};
use crate::cluster::{
    self, ClusterHandle, ClusterOptions, ClusterPorts, GateOptions, NodeClocks, NodeGate, Permission,
    ThreadError,
};
use crate::commits::Commits;
use crate::counted::Counted;
use crate::directory::Directory;
use crate::hosting::{GrpcHints, Hosted, LocalHosts};
use crate::media::{self, BlobStore, DeviceFiles, HttpClient, Media, MediaOptions};
use crate::metrics::Metrics;
use crate::outside::Outside;
use crate::protocol;

/// What a node is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node in the life that it has joined with, and its cluster.
    pub cluster: ClusterOptions,
    /// Logins per second.
    pub logins_per_second: f64,
    /// Logins at once.
    pub login_burst: u32,
    /// Logins per second of all nodes together; `None` is no such limit.
    pub cluster_logins_per_second: Option<f64>,
    /// How long events are kept.
    pub retention: Duration,
    /// Bounds and periods of each device.
    pub limits: Limits,
    /// Bounds of files.
    pub media: MediaOptions,
}

impl Settings {
    /// The defaults for a life.
    pub fn new(life: Life, timing: Timing) -> Settings {
        Settings {
            cluster: ClusterOptions::new(life, timing),
            logins_per_second: 10.0,
            login_burst: 10,
            cluster_logins_per_second: None,
            retention: Duration::from_secs(7 * 24 * 3600),
            limits: Limits::default(),
            media: MediaOptions::default(),
        }
    }
}

/// The store behind a node, by its ports.
pub struct Stores {
    /// Ownership.
    pub ledger: Arc<dyn Ledger>,
    /// The same over a connection of its own.
    pub heartbeat: Arc<dyn Ledger>,
    /// State of devices.
    pub devices: Arc<dyn DeviceStore>,
    /// What the API reads.
    pub directory: Arc<dyn Directory>,
    /// Where uploaded files wait.
    pub blobs: Arc<dyn BlobStore>,
    /// The way to WhatsApp's media hosts.
    pub media_http: Arc<HttpClient>,
    /// Tells what this process has committed.
    pub commits: broadcast::Receiver<DeviceKey>,
}

/// A node that acts.
pub struct Node {
    /// Its membership.
    pub cluster: ClusterHandle,
    /// Its devices.
    pub hosts: Arc<LocalHosts>,
    /// Its API, not served yet.
    pub api: Api,
    /// Its clocks.
    pub clocks: Arc<NodeClocks>,
}

/// Puts a node together and starts it. `seeds` must come from the operating system outside of simulations.
pub fn assemble(
    settings: Settings,
    stores: Stores,
    dialer: Arc<dyn Dialer>,
    outside: Outside,
    seeds: Seeds,
    metrics: Metrics,
) -> Result<Node, ThreadError> {
    let Settings { cluster: options, retention, limits, media, .. } = settings;
    let (life, timing) = (options.life.clone(), options.timing);
    let Stores { ledger, heartbeat, devices, directory, blobs, media_http, commits: told } = stores;
    let permission = Permission::new(outside.boot.clone());
    let clocks = Arc::new(NodeClocks { permission: permission.clone(), wall: outside.wall.clone() });
    let gate = GateOptions {
        per_second: settings.logins_per_second,
        burst: settings.login_burst,
        cluster_per_second: settings.cluster_logins_per_second,
        timing,
    };
    let gate =
        NodeGate::start(gate, ledger.clone(), permission.clone(), outside.dice.clone(), metrics.clone());
    let media = Media::new(media, blobs, media_http, outside.dice.clone());
    let (chosen, versions) = watch::channel(Rollout::default());
    let ports = Ports {
        store: Arc::new(Counted::new(devices, metrics.clone())),
        dialer,
        files: Arc::new(DeviceFiles::new(media.clone(), outside.clone())),
        gate: Arc::new(gate.clone()),
        clocks: clocks.clone(),
        limits,
        profile: Profile::default(),
        versions,
        seeds,
    };
    let hosted = Hosted::new(ports, metrics.clone());
    let ports = ClusterPorts {
        ledger: ledger.clone(),
        heartbeat,
        hosting: Arc::new(hosted.clone()),
        hints: Arc::new(GrpcHints::new(outside.network.clone())),
        permission,
        dice: outside.dice.clone(),
        metrics: metrics.clone(),
    };
    let cluster = cluster::start(options, ports)?;
    tokio::spawn(gate.clone().follow(cluster.views()));
    let views = cluster.views();
    tokio::spawn(protocol::follow(directory.clone(), views, chosen, outside.dice.clone()));
    let hosts = Arc::new(LocalHosts { hosted, cluster: cluster.clone(), gate: gate.clone() });
    let commits = Commits::new();
    tokio::spawn(commits.clone().relay(told));
    tokio::spawn(retention::run(
        directory.clone(),
        clocks.clone(),
        retention,
        outside.dice.clone(),
        metrics.clone(),
    ));
    let count = unowned::run(directory.clone(), outside.dice.clone(), metrics.clone());
    tokio::spawn(count);
    tokio::spawn(media::sweep(directory.clone(), media.clone(), clocks.clone(), metrics.clone()));
    let api = Api::new(Parts {
        node: life.node,
        directory,
        ledger,
        hosts: hosts.clone(),
        cluster: Arc::new(cluster.clone()),
        media,
        commits,
        outside,
        metrics,
    });
    Ok(Node { cluster, hosts, api, clocks })
}
