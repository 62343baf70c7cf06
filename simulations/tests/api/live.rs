//! Nodes with real devices, the store as a model, and the simulated WhatsApp.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roost_actors::device::system_seeds;
use roost_node::api::port::Cluster as _;
use roost_node::api::server::Listener;
use roost_node::assembly::{Node, Settings, Stores, assemble};
use roost_node::client::Client;
use roost_node::cluster::ClusterHandle;
use roost_node::directory::Directory as _;
use roost_node::http::{Joined, Probes};
use roost_node::link::WhatsAppDialer;
use roost_node::media::Folder;
use roost_node::metrics::Metrics;
use roost_node::outside::Outside;
use roost_placement::ledger::{Candidate, Ledger as _, MemberState, Timing};
use roost_proto::api::send_message_request::{Content, WaitFor};
use roost_proto::api::*;
use roost_simulations::model::{Model, system_clock};
use roost_simulations::wa::{DeviceRef, Pn, Scanner, SimOptions, SimServer};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::Status;

use crate::loads::Loads;
use crate::world::until;

/// Devices of this tenant.
pub(crate) const TENANT: &str = "tenants/acme";

/// A cluster with its outside.
pub(crate) struct Live {
    pub(crate) sim: SimServer,
    pub(crate) model: Arc<Model>,
    /// How the nodes read their devices.
    pub(crate) loads: Arc<Loads>,
    pub(crate) nodes: Vec<LiveNode>,
    _folder: TempDir,
}

/// One node with a client of its own.
pub(crate) struct LiveNode {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    pub(crate) cluster: ClusterHandle,
    pub(crate) probes: Probes,
    _stop: oneshot::Sender<()>,
}

impl Live {
    /// This many nodes and the tenant `acme`.
    pub(crate) async fn new(count: usize) -> Live {
        Live::uploading_to(count, |_| Vec::new()).await
    }

    /// The same, with nodes that upload to these of the hosts which WhatsApp names, or of others.
    pub(crate) async fn uploading_to(count: usize, choose: impl Fn(Vec<String>) -> Vec<String>) -> Live {
        let folder = TempDir::new().expect("a temporary folder");
        let options =
            SimOptions { seed: Some(7), directory: Some(folder.path().to_owned()), ..SimOptions::default() };
        let sim = SimServer::start(options).await.expect("the simulated WhatsApp");
        let authorities = Some(folder.path().join("ca.pem"));
        let dialer = WhatsAppDialer::new(&sim.url(), authorities, Some(sim.root())).expect("a dialer");
        let model = Model::new(system_clock());
        model.create_tenant(&"acme".parse().expect("an id"), "").await.expect("a new tenant");
        let loads = Arc::new(Loads::new(model.clone()));
        let stickers = format!("https://{}/sticker", sim.addr());
        let upload_hosts = choose(sim.look(|machine| machine.media_hosts().to_vec()));
        let mut nodes = Vec::new();
        for n in 1..=count {
            let settings = (folder.path(), stickers.as_str(), upload_hosts.clone());
            nodes.push(
                LiveNode::start(&model, loads.clone(), dialer.clone(), &format!("n{n}"), settings).await,
            );
        }
        for node in &nodes {
            until("all nodes see all nodes active", || async {
                let seen = node.cluster.views().borrow().clone();
                let active = seen.view.members.iter().filter(|member| member.state == MemberState::Active);
                (active.count() == count).then_some(())
            })
            .await;
        }
        Live { sim, model, loads, nodes, _folder: folder }
    }

    /// The client of a node.
    pub(crate) fn at(&self, place: usize) -> Client {
        self.nodes[place].client.clone()
    }

    /// Makes a device and waits until a node has it. Returns the places of its owner and of another node.
    pub(crate) async fn device(&self, id: &str) -> (String, usize, usize) {
        let request =
            CreateDeviceRequest { parent: TENANT.into(), device_id: id.into(), ..Default::default() };
        let name = self.at(0).devices().create_device(request).await.expect("new").into_inner().name;
        let owner = until("the device has an owner", || self.owner(&name)).await;
        (name, owner, (owner + 1) % self.nodes.len())
    }

    /// The place of the owner.
    pub(crate) async fn owner(&self, name: &str) -> Option<usize> {
        let row = self.model.ownership(&name.parse().expect("a name")).await.ok()??;
        row.owner.and_then(|life| life.node.as_str()[1..].parse::<usize>().ok()).map(|n| n - 1)
    }

    /// Pairs a device through one node with the phone of this name. Returns its account's device.
    pub(crate) async fn pair(&self, place: usize, device: &str, phone: &str) -> DeviceRef {
        let request = StartPairingRequest { device: device.into(), ..Default::default() };
        // A node that was not heard in time says that it can be asked again.
        let opened = until("an attempt", || async {
            match self.at(place).pairing().start_pairing(request.clone()).await {
                Err(status) if status.code() == tonic::Code::Unavailable => None,
                answer => Some(answer),
            }
        });
        let mut steps = opened.await.expect("opened").into_inner();
        let mut scanned = None;
        loop {
            let step = tokio::time::timeout(Duration::from_secs(60), steps.message()).await;
            let step = step.expect("within a minute").expect("no refusal").expect("no end");
            match step.event.expect("an event") {
                pairing_event::Event::Qr(code) if scanned.is_none() => {
                    assert!(code.expire_time.is_some() && code.codes_left > 0, "{code:?}");
                    let scanner = Scanner { pn: None, name: Some(phone.to_owned()) };
                    scanned = Some(self.sim.scan(&code.payload, &scanner).expect("a good code").device);
                }
                pairing_event::Event::Paired(paired) => {
                    let scanned = scanned.expect("scanned before");
                    let account = paired.account.expect("an account");
                    assert!(account.phone_number.starts_with(&scanned.pn.to_string()), "{account:?}");
                    return scanned;
                }
                pairing_event::Event::Failed(failed) => panic!("{failed:?}"),
                _ => {}
            }
        }
    }

    /// A paired device that is online: its name, its owner, another node, its account's device.
    pub(crate) async fn online(&self, id: &str) -> (String, usize, usize, DeviceRef) {
        let (name, owner, other) = self.device(id).await;
        let device = self.pair(other, &name, &format!("phone of {id}")).await;
        self.until_state(&name, device::State::Online).await;
        (name, owner, other, device)
    }

    /// Waits for a state as every node shows it.
    pub(crate) async fn until_state(&self, name: &str, state: device::State) {
        for place in 0..self.nodes.len() {
            until(&format!("{name} is {state:?}"), || async {
                let shown = self.at(place).devices().get_device(GetDeviceRequest { name: name.into() }).await;
                shown.ok().filter(|shown| shown.get_ref().state() == state).map(drop)
            })
            .await;
        }
    }

    /// Another account, to talk to.
    pub(crate) fn friend(&self) -> Pn {
        self.sim.account(None, Some("a friend"))
    }
}

impl LiveNode {
    async fn start(
        model: &Arc<Model>,
        devices: Arc<Loads>,
        dialer: WhatsAppDialer,
        id: &str,
        (files, stickers, upload_hosts): (&Path, &str, Vec<String>),
    ) -> LiveNode {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.address;
        let candidate = Candidate {
            node: id.parse().expect("an id"),
            address: address.to_string(),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let timing = Timing::NORMAL;
        let life = model.join(&candidate, None, &timing).await.expect("a free slot");
        let metrics = Metrics::new();
        let mut settings =
            Settings { logins_per_second: 1000.0, login_burst: 1000, ..Settings::new(life, timing) };
        settings.cluster.own_thread = false;
        settings.media.spool = files.join("spool");
        settings.media.stickers = stickers.to_owned();
        settings.media.upload_hosts = upload_hosts;
        let stores = Stores {
            ledger: model.clone(),
            heartbeat: model.clone(),
            devices,
            directory: model.clone(),
            blobs: Arc::new(Folder::new(files)),
            media_http: Arc::new(dialer.media_client()),
            commits: model.commits(),
        };
        let (dialer, outside) = (Arc::new(dialer), Outside::system());
        let node = assemble(settings, stores, dialer, outside, system_seeds(), metrics.clone());
        let Node { cluster, hosts, api, clocks } = node.expect("no thread is needed");
        let probes = Probes::new(metrics.clone());
        probes.joined(Joined { directory: model.clone(), cluster: Arc::new(cluster.clone()), hosts, clocks });
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(listener.serve(api, async {
            // Ends when the node is dropped.
            let _: Result<(), _> = stopped.await;
        }));
        let endpoint = format!("http://{address}");
        let client = Client::connect(&endpoint).await.expect("it listens");
        LiveNode { endpoint, client, cluster, probes, _stop: stop }
    }
}

/// A text to a phone number with a fresh request id.
pub(crate) fn text(parent: &str, to: Pn, text: &str, wait_for: WaitFor) -> SendMessageRequest {
    SendMessageRequest {
        parent: parent.into(),
        to: Some(Recipient { to: Some(recipient::To::PhoneNumber(to.to_string())) }),
        content: Some(Content::Text(text.into())),
        request_id: uuid::Uuid::new_v4().to_string(),
        wait_for: wait_for as i32,
        ..Default::default()
    }
}

/// Sends with a deadline.
pub(crate) async fn send(
    client: Client,
    request: SendMessageRequest,
    limit: Duration,
) -> Result<Message, Status> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(limit);
    client.messages().send_message(request).await.map(tonic::Response::into_inner)
}
