//! A whole installation on one machine: simulated WhatsApp, real nodes on one store, tenants with paired
//! devices that can talk. The demo plays on it and tests disturb it.
//!
//! What must hold: it is built through the public API and the public conventions of the simulated
//! WhatsApp only; everything lives in one temporary folder and ends with the value.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roost_node::client::Client;
use roost_proto::api::node::State;
use roost_proto::api::{
    CreateDeviceRequest, CreateTenantRequest, Device, ListDevicesRequest, ListNodesRequest,
    ListNodesResponse, Node, StartPairingRequest, pairing_event,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::callers::{Callers, within};
use crate::processes::{Ground, NodeProcess, Site, Spot};
use crate::talk::{Books, Speaker, Talk};
use crate::wa::{Scanner, SimOptions, SimServer};

/// What went wrong, in words.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Limit of one call.
const CALL: Duration = Duration::from_secs(20);

/// Limit of one pairing.
const PAIRING: Duration = Duration::from_secs(60);

/// Reasons of a failed pairing that are no fault of the phone.
const AGAIN: [&str; 2] = ["CONNECTION_LOST", "STOPPED"];

/// Pairings at a time.
const PAIRINGS: usize = 16;

/// How often the world is looked at while something is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// How large a world is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `roost` binary.
    pub program: PathBuf,
    /// An empty database; `None` makes an SQLite file.
    pub store_url: Option<String>,
    /// Nodes.
    pub nodes: usize,
    /// Tenants.
    pub tenants: usize,
    /// Devices of each tenant.
    pub devices_each: usize,
}

/// The installation.
pub struct World {
    /// What the nodes share.
    pub site: Site,
    /// The other side.
    pub sim: Arc<SimServer>,
    /// The nodes, `node-1` first.
    pub nodes: Vec<NodeProcess>,
    /// Clients of all nodes, for those who talk.
    pub callers: Arc<Callers>,
    /// Clients of all nodes, for those who look on: they may know more than a backend can.
    pub lookers: Arc<Callers>,
    /// What was sent and what arrived.
    pub books: Books,
    /// The paired devices in order of name.
    pub speakers: Vec<Speaker>,
    /// Names of the tenants.
    pub tenants: Vec<String>,
    /// It goes last: until the nodes have ended they write into it.
    folder: Option<TempDir>,
}

/// Who owns a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Node id; empty when nobody does.
    pub node: String,
    /// In which life of the node.
    pub incarnation: i64,
    /// Since which epoch.
    pub epoch: i64,
}

impl World {
    /// Builds it on the loopback interface, and says each step.
    pub async fn build(plan: &Plan, say: impl Fn(&str)) -> Result<World, Failed> {
        say("starting the simulated WhatsApp");
        let sim = Arc::new(SimServer::start(SimOptions::default()).await?);
        let folder = tempfile::Builder::new().prefix("roost-").tempdir()?;
        let file = folder.path().join("roost.db");
        let ground = Ground {
            spot: Spot::default(),
            store_url: plan.store_url.clone().unwrap_or_else(|| format!("sqlite://{}", file.display())),
            whatsapp_url: sim.url(),
        };
        World::raise(plan, folder, sim, &vec![ground; plan.nodes], say).await
    }

    /// Builds it on these grounds, one for each node, with its files in `folder`, and says each step. The
    /// first ground's URLs become those of the site.
    pub async fn raise(
        plan: &Plan,
        folder: TempDir,
        sim: Arc<SimServer>,
        grounds: &[Ground],
        say: impl Fn(&str),
    ) -> Result<World, Failed> {
        let first = grounds.first().ok_or("a world has at least one node")?;
        let whatsapp_ca = folder.path().join("whatsapp-ca.pem");
        std::fs::write(&whatsapp_ca, sim.ca_pem())?;
        let site = Site {
            program: plan.program.clone(),
            folder: folder.path().to_owned(),
            store_url: first.store_url.clone(),
            whatsapp_url: first.whatsapp_url.clone(),
            whatsapp_ca,
            whatsapp_root: sim.root_hex(),
            logins_per_second: 50,
            log_level: "info".to_owned(),
        };
        site.prepare()?;
        let mut nodes = Vec::new();
        for (place, ground) in (1..).zip(grounds) {
            let id = format!("node-{place}");
            say(&format!("starting {id}"));
            nodes.push(site.seen_from(ground).start_at(&id, &ground.spot)?);
        }
        let client = |node: &NodeProcess| Client::lazy(&format!("http://{}", node.grpc));
        let clients = || nodes.iter().map(client).collect::<Result<Vec<_>, _>>();
        let (callers, lookers) = (Arc::new(Callers::new(clients()?)), Arc::new(Callers::new(clients()?)));
        let mut world = World {
            site,
            sim,
            nodes,
            callers,
            lookers,
            books: Books::default(),
            speakers: Vec::new(),
            tenants: Vec::new(),
            folder: Some(folder),
        };
        match world.settle(plan, say).await {
            Ok(()) => Ok(world),
            Err(error) => Err(format!("{error}\n{}", world.logs(20)).into()),
        }
    }

    async fn settle(&mut self, plan: &Plan, say: impl Fn(&str)) -> Result<(), Failed> {
        self.all_active(Duration::from_secs(30)).await?;
        say(&format!("pairing {} devices", plan.tenants * plan.devices_each));
        let mut waiting = Vec::new();
        for number in 1..=plan.tenants {
            let business_id = format!("tenant-{number:02}");
            let tenant = format!("tenants/{business_id}");
            let request = CreateTenantRequest { business_id, display_name: String::new() };
            let create = |client: Client| {
                let request = request.clone();
                async move { client.tenants().create_tenant(within(request, CALL)).await }
            };
            self.callers.call(CALL, create).await?;
            waiting.extend((1..=plan.devices_each).map(|place| (tenant.clone(), format!("device-{place}"))));
            self.tenants.push(tenant);
        }
        let mut pairing = JoinSet::new();
        loop {
            while pairing.len() < PAIRINGS
                && let Some((tenant, id)) = waiting.pop()
            {
                pairing.spawn(pair(self.callers.clone(), self.sim.clone(), tenant, id));
            }
            match pairing.join_next().await {
                Some(paired) => self.speakers.push(paired??),
                None => break,
            }
        }
        self.speakers.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(())
    }

    /// Lets the devices talk to each other.
    pub fn talk(&self, senders: usize, pause: Duration) -> Talk {
        Talk::start(&self.callers, &self.books, &self.speakers, &self.tenants, senders, pause)
    }

    /// The members, as any node sees them.
    pub async fn members(&self) -> Result<Vec<Node>, tonic::Status> {
        Ok(view(&self.lookers).await?.nodes)
    }

    /// All devices, as any node sees them.
    pub async fn devices(&self) -> Result<Vec<Device>, tonic::Status> {
        let (mut devices, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListDevicesRequest { parent: "tenants/-".to_owned(), page_size: 1000, page_token };
            let list = |client: Client| {
                let request = request.clone();
                async move { client.devices().list_devices(within(request, Duration::from_secs(2))).await }
            };
            let page = self.lookers.call(Duration::from_secs(5), list).await?.into_inner();
            devices.extend(page.devices);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(devices);
            }
        }
    }

    /// Owner of each device by name.
    pub async fn owners(&self) -> Result<BTreeMap<String, Owner>, tonic::Status> {
        let owner = |device: Device| {
            let owned = device.ownership.unwrap_or_default();
            let owner = Owner { node: owned.node, incarnation: owned.incarnation, epoch: owned.epoch };
            (device.name, owner)
        };
        Ok(self.devices().await?.into_iter().map(owner).collect())
    }

    /// The node that owns most devices, other than one.
    pub async fn busiest(&self, other_than: Option<usize>) -> Result<usize, Failed> {
        let owners = self.owners().await?;
        let owned = |place: &usize| owners.values().filter(|o| o.node == self.nodes[*place].id).count();
        let places = (0..self.nodes.len()).filter(|place| Some(*place) != other_than);
        places.max_by_key(owned).ok_or_else(|| "there is no other node".into())
    }

    /// Waits until every node is an active member in the eyes of some node.
    pub async fn all_active(&self, limit: Duration) -> Result<(), Failed> {
        let wanted = self.nodes.len();
        let active = || async {
            let members = self.members().await.unwrap_or_default();
            members.iter().filter(|member| member.state() == State::Active).count() == wanted
        };
        until("all nodes are active", limit, active).await
    }

    /// The ends of all logs, for a report.
    pub fn logs(&self, lines: usize) -> String {
        let tail = |node: &NodeProcess| format!("--- {}\n{}", node.id, node.log_tail(lines));
        self.nodes.iter().map(tail).collect::<Vec<_>>().join("\n")
    }

    /// Leaves the folder where it is when the world ends.
    pub fn keep_folder(&mut self) {
        if let Some(folder) = self.folder.take() {
            let _kept = folder.keep();
        }
    }
}

/// The view of any of these nodes.
pub async fn view(lookers: &Callers) -> Result<ListNodesResponse, tonic::Status> {
    let list = |client: Client| async move {
        client.cluster().list_nodes(within(ListNodesRequest {}, Duration::from_millis(500))).await
    };
    Ok(lookers.call(Duration::from_secs(3), list).await?.into_inner())
}

/// Looks again and again until it `happened`, at most for `limit`.
pub async fn until<F>(what: &str, limit: Duration, happened: impl Fn() -> F) -> Result<(), Failed>
where
    F: Future<Output = bool>,
{
    let end = Instant::now() + limit;
    while !happened().await {
        if Instant::now() > end {
            return Err(format!("it did not come to this within {limit:?}: {what}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Makes one device and pairs it with a phone of its own.
async fn pair(
    callers: Arc<Callers>,
    sim: Arc<SimServer>,
    tenant: String,
    id: String,
) -> Result<Speaker, Failed> {
    let request = CreateDeviceRequest { parent: tenant, device_id: id, ..Default::default() };
    let create = |client: Client| {
        let request = request.clone();
        async move { client.devices().create_device(within(request, CALL)).await }
    };
    let device = callers.call(CALL, create).await?.into_inner().name;
    let phone = sim.account(None, Some(&device));
    let follow = |client: Client| {
        let request = StartPairingRequest { device: device.clone(), ..Default::default() };
        async move { client.pairing().start_pairing(request).await }
    };
    let mut events = callers.call(PAIRING, follow).await?.into_inner();
    let mut scanned = false;
    loop {
        let event = tokio::time::timeout(PAIRING, events.message()).await??;
        match event.and_then(|event| event.event) {
            Some(pairing_event::Event::Qr(code)) if !scanned => {
                sim.scan(&code.payload, &Scanner { pn: Some(phone), name: None })?;
                scanned = true;
            }
            Some(pairing_event::Event::Paired(_)) => {
                return Ok(Speaker { device, phone_number: phone.to_string() });
            }
            // The attempt went down with its node, or its node went quiet: a person would try again.
            Some(pairing_event::Event::Failed(failed)) if AGAIN.contains(&failed.reason.as_str()) => {
                events = callers.call(PAIRING, follow).await?.into_inner();
                scanned = false;
            }
            Some(pairing_event::Event::Failed(failed)) => {
                return Err(format!("{device}: {} {}", failed.reason, failed.message).into());
            }
            Some(_) => {}
            None => return Err(format!("{device}: the pairing stream ended without a word").into()),
        }
    }
}
