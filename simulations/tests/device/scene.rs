//! One simulated WhatsApp, one model store, and devices that a life owns; taken over by the next life.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::device::{
    self, DeviceHandle, Limits, PairMethod, PairingUpdate, Ports, Profile, Recipient, SendRequest,
    system_seeds,
};
use roost_actors::port::{
    Batch, Clocks, Committed, DeviceStore, DeviceStoreError, DialPermit, Gate, Loaded, PermitRefused,
    StateKey, StoredMessage, Urgency,
};
use roost_node::directory::{CreateError, Directory, LoggedEvent};
use roost_node::link::WhatsAppDialer;
use roost_node::media::{DeviceFiles, Folder, Media, MediaOptions};
use roost_node::outside::{Dice, Outside};
use roost_placement::lease::permit_deadline;
use roost_placement::ledger::{Candidate, Grant, Ledger, MemberState, Timing};
use roost_proto::api::device::State;
use roost_proto::api::event::Payload;
use roost_proto::api::{self, message_received};
use roost_proto::content::MessageContent;
use roost_proto::id::{Age, DeviceKey, Life, Sequence};
use roost_proto::version::Rollout;
use roost_simulations::model::{Model, system_clock};
use roost_simulations::wa::{Scanner, SimOptions, SimServer};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clocks::NodeClocks;

const LONG: Timing = Timing {
    beat: Duration::from_secs(60),
    ttl: Duration::from_secs(600),
    margin: Duration::from_secs(1),
    grace: Duration::from_secs(60),
};

struct OpenGate {
    ledger: Arc<Model>,
    clocks: Arc<NodeClocks>,
}

#[async_trait]
impl Gate for OpenGate {
    async fn turn(&self, _: &DeviceKey, _: Urgency) {}

    async fn permit(&self, grant: &Grant) -> Result<DialPermit, PermitRefused> {
        let sent = self.clocks.boot();
        let permits = self.ledger.permit(std::slice::from_ref(grant), Age(0), LONG.margin).await?;
        let permit = permits.first().ok_or(PermitRefused::Stale)?;
        Ok(DialPermit { grant: grant.clone(), expires: permit_deadline(permit, sent, &LONG) })
    }
}

/// The model, behind an adapter that panics when it is told to.
pub(crate) struct Fragile {
    model: Arc<Model>,
    panics: AtomicU64,
}

impl Fragile {
    /// The next commits panic.
    pub(crate) fn panics(&self, times: u64) {
        self.panics.store(times, Ordering::SeqCst);
    }
}

type Answer<T> = Result<T, DeviceStoreError>;

#[async_trait]
impl DeviceStore for Fragile {
    async fn load(&self, grant: &Grant) -> Answer<Loaded> {
        self.model.load(grant).await
    }

    async fn read(&self, grant: &Grant, age: Age, keys: &[StateKey]) -> Answer<Vec<Option<Bytes>>> {
        self.model.read(grant, age, keys).await
    }

    async fn sent_messages(&self, grant: &Grant, ids: &[String]) -> Answer<Vec<StoredMessage>> {
        self.model.sent_messages(grant, ids).await
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Answer<Committed> {
        let left = self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "the adapter panics, as the test told it to");
        self.model.commit(grant, batch).await
    }
}

pub(crate) struct Scene {
    pub(crate) server: SimServer,
    pub(crate) model: Arc<Model>,
    pub(crate) clocks: Arc<NodeClocks>,
    pub(crate) fragile: Arc<Fragile>,
    pub(crate) ports: Ports,
    pub(crate) versions: watch::Sender<Rollout>,
    lives: Arc<AtomicI64>,
}

impl Scene {
    pub(crate) async fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let options =
            SimOptions { seed: Some(1), directory: Some(folder.path().to_owned()), ..SimOptions::default() };
        let server = SimServer::start(options).await.expect("starts");
        let model = Model::new(system_clock());
        let clocks = Arc::new(NodeClocks::new());
        let authorities = Some(folder.path().join("ca.pem"));
        let dialer = WhatsAppDialer::new(&server.url(), authorities, Some(server.root()));
        let dialer = dialer.expect("good options");
        let blobs = Arc::new(Folder::new(folder.path()));
        let http = Arc::new(dialer.media_client());
        let media = Media::new(MediaOptions::default(), blobs, http, Dice::default());
        let (versions, chosen) = watch::channel(Rollout::default());
        let fragile = Arc::new(Fragile { model: model.clone(), panics: AtomicU64::new(0) });
        let ports = Ports {
            store: fragile.clone(),
            dialer: Arc::new(dialer),
            files: Arc::new(DeviceFiles::new(media, Outside::system())),
            gate: Arc::new(OpenGate { ledger: model.clone(), clocks: clocks.clone() }),
            clocks: clocks.clone(),
            limits: Limits {
                stable: Duration::from_millis(500),
                backoff: (Duration::from_millis(20), Duration::from_millis(200)),
                ..Limits::default()
            },
            profile: Profile::default(),
            versions: chosen,
            seeds: system_seeds(),
        };
        Scene { server, model, clocks, fragile, ports, versions, lives: Arc::new(AtomicI64::new(0)) }
    }

    /// A device that was made and opened, and is not paired.
    pub(crate) async fn opened(&self, name: &str) -> Device<'_> {
        let key: DeviceKey = format!("tenants/acme/devices/{name}").parse().expect("an id");
        match self.model.create_tenant(&key.business_id, "Acme").await {
            Ok(_) | Err(CreateError::Exists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        self.model.create_device(&key, name, None).await.expect("a new device");
        let mut device = Device {
            scene: self,
            key,
            life: None,
            handle: None,
            number: String::new(),
            whatsapp: String::new(),
        };
        device.taken_over().await;
        device
    }

    /// A device that is paired with the phone of this name and online.
    pub(crate) async fn paired(&self, name: &str) -> Device<'_> {
        let mut device = self.opened(name).await;
        device.state(State::Unpaired).await;
        device.pair().await;
        device
    }

    async fn next_life(&self) -> Life {
        let number = self.lives.fetch_add(1, Ordering::SeqCst);
        let candidate = Candidate {
            node: format!("n{number}").parse().expect("an id"),
            address: "127.0.0.1:1".to_owned(),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let life = self.model.join(&candidate, None, &LONG).await.expect("joins");
        assert!(self.model.set_state(&life, MemberState::Active).await.expect("answers"));
        life
    }
}

/// One device and its present owner.
pub(crate) struct Device<'a> {
    scene: &'a Scene,
    key: DeviceKey,
    life: Option<Life>,
    handle: Option<DeviceHandle>,
    number: String,
    whatsapp: String,
}

impl Device<'_> {
    pub(crate) fn handle(&self) -> &DeviceHandle {
        self.handle.as_ref().expect("it is open")
    }

    /// How the simulation names it.
    pub(crate) fn name(&self) -> String {
        self.whatsapp.clone()
    }

    /// The JID of its account.
    pub(crate) fn number(&self) -> String {
        format!("{}@s.whatsapp.net", self.number)
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::Phone(self.number.clone())
    }

    pub(crate) fn logins(&self) -> u64 {
        self.scene.server.ledger(|ledger| {
            let device = ledger.devices().iter().find(|(device, _)| device.to_string() == self.whatsapp);
            device.map_or(0, |(_, record)| record.logins)
        })
    }

    /// A new life takes it, and opens it; the old owner is left running, if there was one.
    pub(crate) async fn taken_over(&mut self) {
        let life = self.scene.next_life().await;
        if let Some(old) = &self.life {
            assert!(self.scene.model.certify_death(old).await.expect("answers"));
        }
        let model = &self.scene.model;
        let keys = std::slice::from_ref(&self.key);
        let granted = model.claim(&life, self.life.as_ref(), keys).await.expect("answers");
        let grant = granted.into_iter().next().expect("it is free");
        self.handle = Some(device::open(grant, self.scene.ports.clone()));
        self.life = Some(life);
    }

    pub(crate) async fn pair(&mut self) {
        let mut updates = self.handle().pair(PairMethod::Qr).await.expect("starts");
        let is_code = |update: &PairingUpdate| matches!(update, PairingUpdate::Code { .. });
        let wait = tokio::time::timeout(LIMIT, updates.wait_for(is_code)).await.expect("in time");
        let PairingUpdate::Code { payload, .. } = wait.expect("open").clone() else { unreachable!() };
        let name = Some(self.key.device_id.to_string());
        let scanned = self.scene.server.scan(&payload, &Scanner { pn: None, name }).expect("scanned");
        self.whatsapp = scanned.device.to_string();
        self.number = self.whatsapp.split(':').next().expect("a number").to_owned();
        let is_paired = |update: &PairingUpdate| matches!(update, PairingUpdate::Paired { .. });
        let paired = tokio::time::timeout(LIMIT, updates.wait_for(is_paired)).await;
        let last = paired.map(|result| result.map(|update| update.clone()));
        assert!(matches!(last, Ok(Ok(_))), "not paired: {last:?}, {:?}", self.handle().status().borrow());
        self.state(State::Online).await;
    }

    pub(crate) async fn state(&self, state: State) {
        let mut status = self.handle().status();
        let reached = tokio::time::timeout(LIMIT, status.wait_for(|status| status.state == state)).await;
        let reached = matches!(reached, Ok(Ok(_)));
        assert!(reached, "not {state:?} but {:?}", self.handle().status().borrow());
    }

    pub(crate) async fn stop(&self) {
        self.handle().stop().await;
    }

    pub(crate) async fn sends(&self, to: &Device<'_>, text: &str) {
        self.sends_to(&to.recipient(), text).await;
    }

    pub(crate) async fn sends_to(&self, to: &Recipient, text: &str) {
        self.handle().send(request(to, text)).await.expect("accepted");
    }

    pub(crate) async fn events(&self) -> Vec<LoggedEvent> {
        self.scene.model.events(&self.key, Sequence(0), 10_000).await.unwrap_or_default()
    }

    pub(crate) async fn received(&self) -> Vec<api::MessageReceived> {
        let events = self.events().await.into_iter();
        let messages = events.filter_map(|event| match event.payload {
            Payload::MessageReceived(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// Texts from others, in the order of the log.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let messages = self.received().await.into_iter().filter(|message| !message.from_me);
        let texts = messages.filter_map(|message| match message.content {
            Some(message_received::Content::Text(text)) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    async fn states(&self) -> Vec<api::MessageStateChanged> {
        let events = self.events().await.into_iter();
        let states = events.filter_map(|event| match event.payload {
            Payload::MessageStateChanged(changed) => Some(changed),
            _ => None,
        });
        states.collect()
    }

    pub(crate) async fn delivered(&self) -> usize {
        let states = self.states().await;
        states.iter().filter(|changed| changed.state() == api::message::State::Delivered).count()
    }

    pub(crate) async fn acknowledged(&self) -> usize {
        let states = self.states().await;
        states.iter().filter(|changed| changed.state() == api::message::State::Sent).count()
    }

    pub(crate) async fn failures(&self) -> Vec<String> {
        let states = self.states().await.into_iter();
        states.filter(|changed| !changed.failure.is_empty()).map(|changed| changed.failure).collect()
    }

    /// Sequences without gaps, epochs that never fall, the owner first.
    pub(crate) async fn check_log(&self) {
        let events = self.events().await;
        let mut epoch = 0;
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.sequence.0, i64::try_from(index).expect("few") + 1);
            assert!(event.epoch.0 >= epoch);
            if event.epoch.0 > epoch {
                assert!(matches!(event.payload, Payload::OwnershipChanged(_)), "{event:?}");
            }
            epoch = event.epoch.0;
        }
    }
}

/// A request with an id of its own.
pub(crate) fn request(to: &Recipient, text: &str) -> SendRequest {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    SendRequest {
        to: to.clone(),
        content: MessageContent::text(text),
        request_id: format!("00000000-0000-4000-8000-{number:012}"),
        request_hash: [1; 32],
        whatsapp_id: None,
        terms: Default::default(),
    }
}

/// The longest that anything takes on a busy machine. Bounds a failure, delays no success.
const LIMIT: Duration = Duration::from_secs(180);

/// Waits for a condition, with a bound.
pub(crate) async fn until<F: Future<Output = bool>>(name: &str, holds: impl Fn() -> F) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    // Who looks for longer than that must not look without a pause: what is looked for may need this thread.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wait = async {
        while !holds().await {
            tick.tick().await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "waited in vain: {name}");
}
