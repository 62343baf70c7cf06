//! Nodes of one cluster in one process, their clients, and an owner that writes events.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::device::{DeviceHandle, Opening};
use roost_actors::port::{Batch, DeviceStore, NewEvent, ProxyUri};
use roost_node::api::port::{Cluster, Hosts};
use roost_node::api::server::Listener;
use roost_node::api::{Api, Parts};
use roost_node::client::Client;
use roost_node::cluster::{
    self, ClusterHandle, ClusterOptions, ClusterPorts, Ending, Hosting, PeerHint, Permission, StartError,
};
use roost_node::commits::Commits;
use roost_node::directory::Directory;
use roost_node::media::{BlobStore, Folder, HttpClient, Media, MediaOptions};
use roost_node::metrics::Metrics;
use roost_node::outside::{Dice, Network, Outside};
use roost_node::store::{KeyFile, Store, StoreOptions};
use roost_node::warm::NotWarm;
use roost_placement::egress::Reach;
use roost_placement::lease::BootTime;
use roost_placement::ledger::{Candidate, Grant, Ledger, MemberState, Timing, Unavailable};
use roost_proto::api;
use roost_proto::id::{BusinessId, DeviceKey, Epoch, Life, UnixMillis};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A lease that no test outlives.
pub(crate) const LONG: Timing = Timing {
    beat: Duration::from_millis(200),
    ttl: Duration::from_secs(300),
    margin: Duration::from_secs(1),
    grace: Duration::from_secs(1),
};

/// Some nodes on one store.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) nodes: Vec<Node>,
    pub(crate) store: Arc<Store>,
    /// Files of all nodes.
    pub(crate) media: Media,
}

/// One node with a client of its own.
pub(crate) struct Node {
    pub(crate) client: Client,
    pub(crate) cluster: ClusterHandle,
    _stop: oneshot::Sender<()>,
}

/// What this process holds of devices: nothing is ever opened.
struct Unopened(ClusterHandle);

#[async_trait]
impl Hosts for Unopened {
    fn find(&self, _key: &DeviceKey) -> Option<DeviceHandle> {
        None
    }

    fn all(&self) -> Vec<DeviceHandle> {
        Vec::new()
    }

    fn waiting(&self) -> usize {
        3
    }

    async fn prepare(&self, _key: &DeviceKey, _via: Option<&ProxyUri>) -> Result<(), NotWarm> {
        Ok(())
    }

    fn given(&self, _key: &DeviceKey, _epoch: Epoch, _stopped: Duration) {}

    async fn stop(&self, key: &DeviceKey) -> Result<(), Unavailable> {
        self.0.free(key).await
    }
}

/// A device that never stops.
pub(crate) const STUCK: &str = "stuck";

/// Grants are taken, opening takes for ever.
struct Granted;

#[async_trait]
impl Hosting for Granted {
    async fn start(&self, _opening: Opening) -> Result<Ending, StartError> {
        Ok(Box::pin(std::future::pending()))
    }

    fn reach(&self, _: BootTime) -> Reach {
        Reach::default()
    }

    async fn probe(&self) -> bool {
        true
    }

    fn is_connected(&self, _key: &DeviceKey) -> bool {
        true
    }

    async fn stop(&self, key: &DeviceKey) {
        if key.device_id.to_string() == STUCK {
            std::future::pending().await
        }
    }

    async fn quiesce(&self) {}

    async fn resume(&self) {}

    async fn close(&self) {}
}

#[async_trait]
impl PeerHint for Granted {
    async fn adopt(&self, _: &Life, _: &str, _: &DeviceKey, _: Epoch, _: Duration) {}

    async fn warm(&self, _: &Life, _: &str, _: &DeviceKey, _: Duration) {}
}

impl World {
    /// This many nodes, `n1` first, that see each other.
    pub(crate) async fn new(count: usize) -> World {
        World::with_ffmpeg(count, None).await
    }

    /// The same, with another store of files around the folder of them.
    pub(crate) async fn keeping(count: usize, keep: impl FnOnce(Folder) -> Arc<dyn BlobStore>) -> World {
        World::begin(count, None, keep).await
    }

    /// The same, with a program that takes stills out of films.
    pub(crate) async fn with_ffmpeg(count: usize, ffmpeg: Option<PathBuf>) -> World {
        World::begin(count, ffmpeg, |folder| Arc::new(folder)).await
    }

    async fn begin(
        count: usize,
        ffmpeg: Option<PathBuf>,
        keep: impl FnOnce(Folder) -> Arc<dyn BlobStore>,
    ) -> World {
        let folder = TempDir::new().expect("a temporary folder");
        let kek = Arc::new(KeyFile::create(&folder.path().join("kek")).expect("a key file"));
        let url = format!("sqlite://{}", folder.path().join("roost.db").display());
        let options = StoreOptions::new(url, kek);
        let store = Store::open(&options).await.expect("a new store");
        let media = MediaOptions {
            spool: folder.path().join("spool"),
            max_bytes: 1 << 20,
            ffmpeg,
            ..MediaOptions::default()
        };
        let http = Arc::new(HttpClient::new(None, Network::System));
        let media = Media::new(media, keep(Folder::new(folder.path().join("files"))), http, Dice::default());
        let mut nodes = Vec::new();
        for n in 1..=count {
            nodes.push(Node::start(&options, &format!("n{n}"), media.clone()).await);
        }
        let world = World { folder, nodes, store, media };
        for node in &world.nodes {
            let all_active = || async {
                let seen = node.cluster.views().borrow().clone();
                let active = seen.view.members.iter().filter(|member| member.state == MemberState::Active);
                (active.count() == count).then_some(())
            };
            until("all nodes see all nodes active", all_active).await;
        }
        world
    }

    /// Where uploaded files wait.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Everything that the database has on disk.
    pub(crate) fn pages(&self) -> Vec<u8> {
        let file = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        [file("roost.db"), file("roost.db-wal")].concat()
    }

    /// The client of a node.
    pub(crate) fn at(&self, place: usize) -> Client {
        self.nodes[place].client.clone()
    }

    /// Makes a tenant.
    pub(crate) async fn tenant(&self, id: &str) -> BusinessId {
        let business_id: BusinessId = id.parse().expect("an id");
        self.store.create_tenant(&business_id, id).await.expect("a new tenant");
        business_id
    }

    /// Makes a device of an existing tenant, through the store.
    pub(crate) async fn device(&self, name: &str) -> DeviceKey {
        let key: DeviceKey = name.parse().expect("a name");
        self.store.create_device(&key, "", None).await.expect("a new device");
        key
    }

    /// A member that owns devices and writes their events, and does nothing else. It must join before
    /// devices exist that it is to own, because the nodes claim what is free.
    pub(crate) async fn writer(&self) -> Writer {
        self.writer_of(1).await
    }

    /// The same, of a release that speaks this version to other members.
    pub(crate) async fn writer_of(&self, version: u32) -> Writer {
        let candidate = Candidate {
            node: "writer".parse().expect("an id"),
            // Nobody listens there.
            address: "127.0.0.1:9".to_owned(),
            zone: String::new(),
            weight: 1,
            version,
        };
        let life = self.store.join(&candidate, None, &LONG).await.expect("a free slot");
        assert!(self.store.set_state(&life, MemberState::Active).await.expect("an answer"));
        Writer { store: self.store.clone(), life }
    }
}

impl Node {
    async fn start(options: &StoreOptions, id: &str, media: Media) -> Node {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.address;
        let store = Store::open(options).await.expect("the store");
        let candidate = Candidate {
            node: id.parse().expect("an id"),
            address: address.to_string(),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let life = store.join(&candidate, None, &LONG).await.expect("a free slot");
        let metrics = Metrics::new();
        let permission = Permission::new(cluster::boot_clock());
        let ports = ClusterPorts {
            ledger: store.clone(),
            heartbeat: store.clone(),
            hosting: Arc::new(Granted),
            hints: Arc::new(Granted),
            permission,
            dice: Dice::default(),
            metrics: metrics.clone(),
        };
        let options = ClusterOptions { own_thread: false, ..ClusterOptions::new(life, LONG) };
        let cluster = cluster::start(options, ports).expect("no thread is needed");
        let commits = Commits::new();
        tokio::spawn(commits.clone().relay(store.commits()));
        let api = Api::new(Parts {
            node: id.parse().expect("an id"),
            directory: store.clone(),
            ledger: store,
            hosts: Arc::new(Unopened(cluster.clone())),
            cluster: Arc::new(cluster.clone()),
            media,
            commits,
            outside: Outside::system(),
            metrics,
        });
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(listener.serve(api, async {
            // Ends when the node is dropped.
            let _: Result<(), _> = stopped.await;
        }));
        let client = Client::connect(&format!("http://{address}")).await.expect("it listens");
        Node { client, cluster, _stop: stop }
    }
}

/// An owner that only writes.
pub(crate) struct Writer {
    store: Arc<Store>,
    pub(crate) life: Life,
}

impl Writer {
    /// Makes a device and owns it. The nodes may be faster; then the name is theirs and another is tried.
    pub(crate) async fn device(&self, tenant: &BusinessId, device: &str) -> Grant {
        let key: DeviceKey = format!("tenants/{tenant}/devices/{device}").parse().expect("a name");
        self.store.create_device(&key, "", None).await.expect("a new device");
        let claim = || async {
            let row = self.store.ownership(&key).await.expect("an answer").expect("a device");
            let from = row.owner.clone().filter(|life| *life != self.life);
            match from {
                // A node was faster: it gives the device to the writer, as a hand-off would.
                Some(owner) => {
                    let grant = Grant { key: key.clone(), life: owner, epoch: row.epoch };
                    self.store.give(&grant, &self.life).await.expect("an answer")
                }
                None => {
                    let keys = std::slice::from_ref(&key);
                    self.store.claim(&self.life, None, keys).await.expect("an answer").pop()
                }
            }
        };
        until("the writer owns the device", claim).await
    }

    /// Commits events with these texts.
    pub(crate) async fn write(&self, grant: &Grant, texts: &[String]) {
        let event = |text: &String| NewEvent {
            dedupe: text.chars().take(40).collect(),
            occurred: UnixMillis(1),
            origin: api::event::Origin::Live,
            payload: api::event::Payload::MessageReceived(api::MessageReceived {
                whatsapp_id: text.chars().take(40).collect(),
                content: Some(api::message_received::Content::Text(text.clone())),
                ..Default::default()
            }),
        };
        let batch = Batch { events: texts.iter().map(event).collect(), ..Batch::default() };
        self.store.commit(grant, batch).await.expect("the writer owns it");
    }

    /// The same, numbered.
    pub(crate) async fn write_numbered(&self, grant: &Grant, range: std::ops::RangeInclusive<i64>) {
        let texts: Vec<String> = range.map(|n| format!("{n}")).collect();
        self.write(grant, &texts).await;
    }
}

/// The longest that anything takes on a busy machine. Bounds a failure, delays no success.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `what` is there.
pub(crate) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    // Who looks for longer than that must not look without a pause: what is looked for may need this thread.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tick.tick().await;
    }
}

/// The reason and the code of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("this must be refused");
    let info = status.get_details_error_info();
    (status.code(), info.map(|info| info.reason).unwrap_or_default())
}

/// The field that a refusal names.
pub(crate) fn bad_field<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("this must be refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let bad = status.get_details_bad_request().expect("it names the field");
    bad.field_violations[0].field.clone()
}

/// A request of one tenant, as an authenticating proxy would mark it.
pub(crate) fn by<T>(tenant: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("roost-business-id", tenant.parse().expect("ASCII"));
    request
}

/// A request with a deadline.
pub(crate) fn within<T>(millis: u64, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(Duration::from_millis(millis));
    request
}
