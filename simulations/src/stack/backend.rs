//! The callers: a backend that makes tenants and devices, has phones scan, sends, and consumes events.
//!
//! What must hold: it only does what a careful backend would do, through any node; every send has a request
//! id and is repeated under it until its outcome is known; what it asked for and what it was told is
//! recorded when it happens.

mod consumers;
mod senders;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use roost_node::client::Client;
use roost_node::outside::Dice;
use roost_proto::api::{
    CreateDeviceRequest, CreateTenantRequest, MoveDeviceRequest, StartPairingRequest, pairing_event,
};
use roost_proto::id::DeviceKey;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Code;

use super::network::{API, network};
use crate::callers::{Callers, within};
use crate::run::{Plan, Record, name, tenant_id};
use crate::wa::{Pn, Scanner, SimServer};

/// Limit of one call.
const CALL: Duration = Duration::from_secs(20);

/// Limit of one pairing.
const PAIRING: Duration = Duration::from_secs(60);

/// What the callers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Make everything.
    Setting,
    /// Everything is made and paired.
    Set,
    /// Talk.
    Talking,
    /// Say nothing new; whatever was accepted may arrive.
    Hushed,
    /// Be gone.
    Over,
}

/// A device of ours and its number.
#[derive(Debug, Clone)]
struct Speaker {
    key: DeviceKey,
    pn: Pn,
}

/// The backend of a whole run.
#[derive(Clone)]
pub(super) struct Backend {
    plan: Arc<Plan>,
    sim: Arc<SimServer>,
    record: Record,
    stage: watch::Sender<Stage>,
    /// Devices to move, by number, and the number of the node.
    moves: watch::Sender<Option<(usize, usize)>>,
}

impl Backend {
    /// Nothing is made yet.
    pub(super) fn new(plan: Arc<Plan>, sim: Arc<SimServer>, record: Record) -> Backend {
        Backend {
            plan,
            sim,
            record,
            stage: watch::Sender::new(Stage::Setting),
            moves: watch::Sender::new(None),
        }
    }

    /// Where it is, and how it is told what to do.
    pub(super) fn stage(&self) -> &watch::Sender<Stage> {
        &self.stage
    }

    /// Wants a device moved; a wish that comes at the same time as another may be lost.
    pub(super) fn move_device(&self, device: usize, to: usize) {
        self.moves.send_replace(Some((device, to)));
    }

    /// Does it all, from making tenants to being gone.
    pub(super) async fn run(self) -> turmoil::Result {
        let mut rng = StdRng::seed_from_u64(self.plan.seed ^ 0xca11e5);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let clients = (0..self.plan.nodes)
            .map(|node| Client::over(&format!("http://{}:{API}", name(node)), &network()))
            .collect::<Result<Vec<_>, _>>()?;
        let callers = Arc::new(Callers::with_dice(clients, Dice::seeded(seed)));
        let speakers = self.make(&callers).await?;
        let friend = self.sim.account(None, Some("a friend"));
        self.stage.send_replace(Stage::Set);
        let mut stage = self.stage.subscribe();
        stage.wait_for(|stage| *stage >= Stage::Talking).await?;

        let speakers: Arc<[Speaker]> = speakers.into();
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        for number in 0..self.plan.senders {
            let seed = rng.next_u64();
            let sender = senders::Sender::new(&self, callers.clone(), speakers.clone(), friend, number, seed);
            tasks.push(tokio::spawn(sender.run(self.stage.subscribe())));
        }
        for tenant in 0..self.plan.tenants {
            let consumer = consumers::Consumer::new(&self, callers.clone(), tenant);
            tasks.push(tokio::spawn(consumer.run(self.plan.nodes)));
        }
        tasks.push(tokio::spawn(self.clone().mover(callers.clone(), speakers.clone())));
        stage.wait_for(|stage| *stage == Stage::Over).await?;
        tasks.iter().for_each(JoinHandle::abort);
        Ok(())
    }

    /// Tenants and paired devices, in order.
    async fn make(&self, callers: &Arc<Callers>) -> turmoil::Result<Vec<Speaker>> {
        let mut pairings = Vec::new();
        for tenant in 0..self.plan.tenants {
            let business_id = tenant_id(tenant);
            let request = CreateTenantRequest { business_id, display_name: String::new() };
            let create = |client: Client| {
                let request = request.clone();
                async move { client.tenants().create_tenant(within(request, CALL)).await }
            };
            tolerate(callers.call(CALL, create).await)?;
            for device in 0..self.plan.devices {
                let name = format!("tenants/{}/devices/d{}", tenant_id(tenant), device + 1);
                pairings.push(tokio::spawn(self.clone().pair(callers.clone(), name)));
            }
        }
        let mut speakers = Vec::new();
        for pairing in pairings {
            let paired = pairing.await?;
            speakers.push(paired.map_err(|error| error.to_string())?);
        }
        Ok(speakers)
    }

    /// Makes one device and has a phone of its own scan its code.
    async fn pair(self, callers: Arc<Callers>, device: String) -> Result<Speaker, crate::world::Failed> {
        let key: DeviceKey = device.parse()?;
        let request = CreateDeviceRequest {
            parent: format!("tenants/{}", key.business_id),
            device_id: key.device_id.to_string(),
            ..Default::default()
        };
        let create = |client: Client| {
            let request = request.clone();
            async move { client.devices().create_device(within(request, CALL)).await }
        };
        tolerate(callers.call(CALL, create).await)?;
        let pn = self.sim.account(None, Some(&device));
        self.record.number(pn, &key);
        let follow = |client: Client| {
            let request = StartPairingRequest { device: device.clone(), ..Default::default() };
            async move { client.pairing().start_pairing(request).await }
        };
        'attempts: loop {
            let mut events = callers.call(PAIRING, follow).await?.into_inner();
            let mut scanned = false;
            loop {
                let event = tokio::time::timeout(PAIRING, events.message()).await??;
                match event.and_then(|event| event.event) {
                    Some(pairing_event::Event::Qr(code)) if !scanned => {
                        self.sim.scan(&code.payload, &Scanner { pn: Some(pn), name: None })?;
                        scanned = true;
                    }
                    Some(pairing_event::Event::Paired(_)) => return Ok(Speaker { key, pn }),
                    Some(pairing_event::Event::Failed(failed)) if failed.reason == "CONNECTION_LOST" => {
                        continue 'attempts;
                    }
                    Some(pairing_event::Event::Failed(failed)) => {
                        return Err(format!("{device}: {} {}", failed.reason, failed.message).into());
                    }
                    Some(_) => {}
                    None => return Err(format!("{device}: the pairing ended without a word").into()),
                }
            }
        }
    }

    async fn mover(self, callers: Arc<Callers>, speakers: Arc<[Speaker]>) {
        let mut moves = self.moves.subscribe();
        while moves.changed().await.is_ok() {
            let Some((device, to)) = *moves.borrow_and_update() else { continue };
            let request = MoveDeviceRequest {
                name: speakers[device].key.to_string(),
                target: name(to),
                allow_downgrade: false,
            };
            let client = callers.any();
            // It may be refused for many good reasons; what it did is seen elsewhere.
            let _ = client.cluster().move_device(within(request, CALL)).await;
        }
    }
}

/// A call that was repeated after its first try had worked finds what it made.
fn tolerate<T>(answer: Result<T, tonic::Status>) -> Result<(), tonic::Status> {
    match answer {
        Err(status) if status.code() != Code::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}
