//! Three real nodes beside the real clients: a Roost device that the clients talk to.
//!
//! It uses the public API and signals, as an operator and a backend would. Every wait has a bound and says
//! what was seen last.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roost_node::client::Client;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::api::{
    Context, CreateDeviceRequest, CreateTenantRequest, Device, GetDeviceRequest, ListDevicesRequest,
    ListNodesRequest, LocateDeviceRequest, Recipient, SendMessageRequest, StartPairingRequest, device, node,
    pairing_event, recipient, send_message_request,
};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};
use tonic::Code;
use uuid::Uuid;

use super::mortal::Mortal;
use super::{Failure, Person, Stage};
use crate::callers::{Callers, within};
use crate::processes::{NodeProcess, Site};

/// Bound of one call, with its retries on other nodes.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// Bound of everything that a cluster does by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a state is looked at that cannot be waited for.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Which process of a node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The worker: its parent reports the death at once.
    Worker,
    /// The parent, and the worker with it: the lease has to run out.
    Parent,
}

/// Running nodes on one store.
pub struct Cluster {
    nodes: Vec<NodeProcess>,
    /// Clients of all nodes.
    pub callers: Arc<Callers>,
    pub(super) mortal: Option<Mortal>,
}

impl Cluster {
    /// Starts so many nodes of this program on a store, and waits until all are active.
    pub async fn start(
        stage: &Stage,
        program: PathBuf,
        store_url: &str,
        count: usize,
    ) -> Result<Self, Failure> {
        let site = Site {
            program,
            folder: stage.folder().to_owned(),
            store_url: store_url.to_owned(),
            whatsapp_url: stage.sim.url(),
            whatsapp_ca: stage.ca().clone(),
            whatsapp_root: stage.sim.root_hex(),
            logins_per_second: 50,
            log_level: "info".to_owned(),
        };
        site.prepare()?;
        let mut nodes = Vec::new();
        for number in 1..=count {
            nodes.push(site.start(&format!("node-{number}"))?);
        }
        let clients = nodes.iter().map(|node| Client::lazy(&format!("http://{}", node.grpc)));
        let callers = Arc::new(Callers::new(clients.collect::<Result<_, _>>()?));
        let cluster = Self { nodes, callers, mortal: None };
        cluster.wait("active nodes", async || Ok(cluster.active().await? == count)).await?;
        Ok(cluster)
    }

    async fn active(&self) -> Result<usize, tonic::Status> {
        let ask = |client: Client| async move {
            client.cluster().list_nodes(within(ListNodesRequest {}, CALL)).await
        };
        let answer = self.callers.call(CALL, ask).await?.into_inner();
        Ok(answer.nodes.iter().filter(|node| node.state() == node::State::Active).count())
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, business_id: &str) -> Result<(), Failure> {
        let tenant = CreateTenantRequest { business_id: business_id.to_owned(), display_name: String::new() };
        self.make(async |client| client.tenants().create_tenant(within(tenant.clone(), CALL)).await).await
    }

    /// Makes a device of a tenant. Returns its name.
    pub async fn create_device(&self, business_id: &str, device_id: &str) -> Result<String, Failure> {
        let device = CreateDeviceRequest {
            parent: format!("tenants/{business_id}"),
            device_id: device_id.to_owned(),
            ..Default::default()
        };
        self.make(async |client| client.devices().create_device(within(device.clone(), CALL)).await).await?;
        Ok(format!("tenants/{business_id}/devices/{device_id}"))
    }

    /// Asks for something new under a name. That it exists already is no refusal once a try went unanswered, for that
    /// one may have made it.
    async fn make<T>(&self, ask: impl AsyncFn(Client) -> Result<T, tonic::Status>) -> Result<(), Failure> {
        let (tries, ask) = (Cell::new(0), &ask);
        let once_more = |client| {
            tries.set(tries.get() + 1);
            ask(client)
        };
        match self.callers.call(CALL, once_more).await {
            Err(refused) if refused.code() == Code::AlreadyExists && tries.get() > 1 => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }

    /// Links a device to the person's phone and waits until it is online.
    pub async fn pair(&self, stage: &Stage, device: &str, person: &Person) -> Result<(), Failure> {
        let ask = |client: Client| {
            let request = tonic::Request::new(StartPairingRequest {
                device: device.to_owned(),
                method: None,
                ..Default::default()
            });
            async move { client.pairing().start_pairing(request).await }
        };
        let mut steps = self.callers.call(CALL, ask).await?.into_inner();
        let mut scanned = false;
        loop {
            let step = tokio::time::timeout(PATIENCE, steps.message()).await?;
            match step?.and_then(|step| step.event) {
                Some(pairing_event::Event::Qr(code)) if !scanned => {
                    stage.scan(&code.payload, person)?;
                    scanned = true;
                }
                Some(pairing_event::Event::Paired(_)) => break,
                Some(pairing_event::Event::Failed(failed)) => {
                    return Err(Failure::new(format!(
                        "pairing failed: {} {}",
                        failed.reason, failed.message
                    )));
                }
                Some(_) => {}
                None => return Err(Failure::new("the pairing stream ended before the pairing")),
            }
        }
        self.online(device).await
    }

    /// Waits until the device is online.
    pub async fn online(&self, device: &str) -> Result<(), Failure> {
        self.in_state(device, device::State::Online).await
    }

    /// Waits until the device shows this state.
    pub async fn in_state(&self, device: &str, state: device::State) -> Result<(), Failure> {
        let is_there = async || {
            let ask = |client: Client| {
                let request = within(GetDeviceRequest { name: device.to_owned() }, CALL);
                async move { client.devices().get_device(request).await }
            };
            Ok(self.callers.call(CALL, ask).await?.into_inner().state() == state)
        };
        self.wait(&format!("the device {}", state.as_str_name()), is_there).await
    }

    /// The node that owns the device, and its epoch.
    pub async fn owner(&self, device: &str) -> Result<(String, i64), tonic::Status> {
        let ask = |client: Client| {
            let request = within(LocateDeviceRequest { name: device.to_owned() }, CALL);
            async move { client.cluster().locate_device(request).await }
        };
        let ownership = self.callers.call(CALL, ask).await?.into_inner().ownership.unwrap_or_default();
        Ok((ownership.node, ownership.epoch))
    }

    /// Waits until some node owns the device.
    pub async fn until_owned(&self, device: &str) -> Result<(), Failure> {
        self.wait("an owner", async || Ok(!self.owner(device).await?.0.is_empty())).await
    }

    /// Kills the owner of a device. Returns it, and the epoch that ends with it.
    pub async fn kill_owner(&self, device: &str, victim: Victim) -> Result<(String, i64), Failure> {
        let (owner, epoch) = self.owner(device).await?;
        let node = self.nodes.iter().find(|node| node.id == owner);
        let node = node.ok_or_else(|| Failure::new(format!("the owner {owner:?} is none of our nodes")))?;
        let killed = match victim {
            Victim::Worker => node.signal_worker(Signal::KILL)?,
            Victim::Parent => node.signal_parent(Signal::KILL)?,
        };
        match killed {
            true => Ok((owner, epoch)),
            false => Err(Failure::new(format!("{owner} had no process to kill"))),
        }
    }

    /// Waits until the device is online under a later epoch.
    pub async fn taken_over(&self, device: &str, epoch: i64) -> Result<(), Failure> {
        self.wait("later epoch", async || Ok(self.owner(device).await?.1 > epoch)).await?;
        self.online(device).await
    }

    /// The gRPC address of a node that does not own the device and runs.
    pub async fn bystander(&mut self, device: &str) -> Result<String, Failure> {
        let (owner, _) = self.owner(device).await?;
        for node in &mut self.nodes {
            if node.id != owner && node.is_running()? {
                return Ok(node.grpc.to_string());
            }
        }
        Err(Failure::new("no node is left beside the owner"))
    }

    /// Sends a text from the device and waits for as much as is asked. Returns its WhatsApp id.
    pub async fn send(
        &self,
        device: &str,
        to: recipient::To,
        text: &str,
        wait_for: WaitFor,
    ) -> Result<String, Failure> {
        let content = send_message_request::Content::Text(text.to_owned());
        self.say(device, to, content, Context::default(), wait_for).await
    }

    /// Sends a message of any kind. Returns its WhatsApp id.
    pub async fn say(
        &self,
        device: &str,
        to: recipient::To,
        content: send_message_request::Content,
        context: Context,
        wait_for: WaitFor,
    ) -> Result<String, Failure> {
        let message = SendMessageRequest {
            parent: device.to_owned(),
            to: Some(Recipient { to: Some(to) }),
            content: Some(content),
            context: Some(context),
            request_id: Uuid::new_v4().to_string(),
            wait_for: wait_for.into(),
            ..Default::default()
        };
        self.submit(&message).await
    }

    /// Sends a message as this request says. Returns its WhatsApp id.
    pub async fn submit(&self, message: &SendMessageRequest) -> Result<String, Failure> {
        let ask = |client: Client| {
            let request = within(message.clone(), CALL);
            async move { client.messages().send_message(request).await }
        };
        // Apart: tests say so much that their stacks would not hold what each call needs.
        let call = Box::pin(self.callers.call(PATIENCE, ask));
        Ok(Box::pin(self.amid(call)).await?.into_inner().whatsapp_id)
    }

    /// Kills every node and starts it anew; waits until all are active.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.signal_parent(Signal::KILL)?;
            node.ended(PATIENCE).await?;
            node.spawn()?;
        }
        let count = self.nodes.len();
        self.wait("active nodes", async || Ok(self.active().await? == count)).await
    }

    /// Waits until this many devices of a tenant are online.
    pub async fn all_online(&self, business_id: &str, count: usize) -> Result<(), Failure> {
        let parent = format!("tenants/{business_id}");
        let are_online = async || {
            let (mut online, mut page_token) = (0, String::new());
            loop {
                let page = ListDevicesRequest { parent: parent.clone(), page_size: 1000, page_token };
                let ask = |client: Client| {
                    let request = within(page.clone(), CALL);
                    async move { client.devices().list_devices(request).await }
                };
                let answer = self.callers.call(CALL, ask).await?.into_inner();
                let is_online = |device: &&Device| device.state() == device::State::Online;
                online += answer.devices.iter().filter(is_online).count();
                page_token = answer.next_page_token;
                if page_token.is_empty() {
                    return Ok(online >= count);
                }
            }
        };
        self.wait("devices online", are_online).await
    }

    /// Resident memory of all workers together, in KiB.
    pub fn resident_kib(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for node in &self.nodes {
            let worker = node.worker().ok_or_else(|| Failure::new(format!("{} does not run", node.id)))?;
            let status = std::fs::read_to_string(format!("/proc/{}/status", worker.as_raw_nonzero()))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            sum += number.ok_or_else(|| Failure::new("the process has no resident memory"))?;
        }
        Ok(sum)
    }

    /// The end of the log of every node.
    pub fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("--- {}\n{}\n", node.id, node.log_tail(25))).collect()
    }

    /// Waits for something outside of the cluster.
    pub async fn until(&self, what: &str, mut is: impl FnMut() -> bool) -> Result<(), Failure> {
        self.wait(what, async || Ok(is())).await
    }

    async fn wait(
        &self,
        what: &str,
        mut is: impl AsyncFnMut() -> Result<bool, tonic::Status>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = match is().await {
                Ok(true) => return Ok(()),
                Ok(false) => "not so".to_owned(),
                Err(status) => format!("{:?}: {}", status.code(), status.message()),
            };
            if Instant::now() > deadline {
                let logs = self.logs();
                return Err(Failure::new(format!(
                    "no {what} within {PATIENCE:?}; last seen: {seen}\n{logs}"
                )));
            }
            sleep(LOOK).await;
        }
    }
}
