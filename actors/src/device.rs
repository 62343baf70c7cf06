//! The way to a device that this node owns: [`open`] one, talk to it through its [`DeviceHandle`].
//!
//! What must hold: a handle never queues without a limit (a permit is taken before the actor is asked,
//! and a full device answers `Busy`); [`DeviceHandle::stop`] returns only when nothing of the device can
//! send, dial or write any more; after a fence or a stale grant the device ends by itself and says so in
//! [`DeviceHandle::finished`]. A handle proves nothing about ownership: every write is fenced below.

mod chats;
mod health;
mod import;
mod making;
mod media;
mod pairing;
mod people;
mod reading;
mod request;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use roost_placement::ledger::Grant;
use roost_proto::api;
use roost_proto::ask::Question;
use roost_proto::id::NodeId;
use roost_proto::login::Platform;
use roost_proto::stanza::Stanza;
use roost_proto::version::Rollout;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::port::{Clocks, DeviceStatus, DeviceStore, Dialer, Files, Gate};
use crate::shell::supervisor::{self, Input};
use crate::warm::WarmLink;
use watched::Watched;

pub(crate) use watched::Outputs;

pub use health::{Bar, Pace, PacingPolicy};
pub use import::{Import, ImportedDevice, ImportedPeers, Part, Secret};
pub use making::{Make, MakeError};
pub use media::LostMedia;
pub use pairing::{
    Appearance, HistoryWanted, PairError, PairMethod, Pairing, PairingUpdate, PasskeyAnswer, PasskeyError,
};
pub use people::{Identities, Typing};
pub use reading::{MarkRead, Seen};
pub use request::{
    AcceptedSend, Answer, AskError, Command, CommandError, Recipient, RecipientError, SendError, SendRequest,
};

/// What a device needs from outside.
#[derive(Clone)]
pub struct Ports {
    /// Its state.
    pub store: Arc<dyn DeviceStore>,
    /// The way to WhatsApp.
    pub dialer: Arc<dyn Dialer>,
    /// The files that WhatsApp keeps for it.
    pub files: Arc<dyn Files>,
    /// Turns and permits for logins.
    pub gate: Arc<dyn Gate>,
    /// Time.
    pub clocks: Arc<dyn Clocks>,
    /// Bounds and periods.
    pub limits: Limits,
    /// How it presents itself to WhatsApp.
    pub profile: Profile,
    /// Which version of WhatsApp Web it says it is; may change at any time.
    pub versions: watch::Receiver<Rollout>,
    /// Seeds of its random numbers, keys included; asked once for each opening. Outside of simulations
    /// this must be [`system_seeds`]: the same seed twice means the same keys twice.
    pub seeds: Seeds,
}

/// Where devices have their random numbers from.
pub type Seeds = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// Seeds from the operating system.
pub fn system_seeds() -> Seeds {
    Arc::new(rand::random)
}

/// How all devices of an installation present themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Language, ISO 639-1.
    pub language: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// Name on the phone's list of linked devices.
    pub name: String,
    /// Icon on that list.
    pub platform: Platform,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            language: "en".to_owned(),
            country: "US".to_owned(),
            name: "Roost".to_owned(),
            platform: Platform::Chrome,
        }
    }
}

/// Bounds and periods of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Commands that wait for an answer at a time; more are refused as busy.
    pub commands: usize,
    /// Accepted messages that WhatsApp has not acknowledged; more are refused as busy.
    pub outbox: usize,
    /// Stanzas that are read and not yet settled; then reading stops.
    pub inbound: usize,
    /// Questions of callers that wait for WhatsApp's answer at a time; more are refused as busy.
    pub asks: usize,
    /// Messages that are resolved and encrypted at a time.
    pub sending: usize,
    /// Ratchets kept in memory.
    pub ratchets: usize,
    /// Time for TCP, TLS, WebSocket and Noise together.
    pub connect: Duration,
    /// A device that took part in a conversation within this time logs in before those that did not.
    pub recent: Duration,
    /// Time for the answer to a request.
    pub request: Duration,
    /// Keepalive: shortest and longest pause, and how long an answer may take.
    pub keepalive: (Duration, Duration, Duration),
    /// Reconnecting: first and longest pause.
    pub backoff: (Duration, Duration),
    /// After this long online the pauses begin anew.
    pub stable: Duration,
    /// First pause after something outside of the cluster took the connection; grows fourfold to an hour.
    pub conflict: Duration,
    /// A message that WhatsApp has not acknowledged after this long is put on the wire again.
    pub resend: Duration,
    /// Below so many one-time prekeys at WhatsApp more are uploaded; pages of them at first, and then each time.
    pub prekeys: (u32, u32, u32),
    /// How long a signed prekey is in use before the next one is offered to WhatsApp; WhatsApp Web has 27 days.
    pub signed_prekey: Duration,
    /// How often one message is asked for again, or sent again to one device.
    pub retries: u32,
    /// Messages that are asked for again at a time; for more, the oldest is given up.
    pub awaited: usize,
    /// How long one that was asked for again is waited for.
    pub awaiting: Duration,
    /// The phone is asked for one that its sender has not sent again after the first time, and again after the
    /// second, which is also how long its last answer may take.
    pub phone: (Duration, Duration),
    /// How often the children of a device may fail within a minute before it gives up.
    pub restarts: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            commands: 64,
            outbox: 1000,
            inbound: 64,
            asks: 16,
            sending: 32,
            ratchets: 256,
            connect: seconds(20),
            recent: seconds(3600),
            request: seconds(30),
            keepalive: (seconds(20), seconds(30), seconds(15)),
            backoff: (seconds(1), seconds(300)),
            stable: seconds(60),
            conflict: seconds(15),
            resend: seconds(30),
            prekeys: (20, 4, 2),
            signed_prekey: seconds(27 * 24 * 3600),
            retries: 5,
            awaited: 128,
            awaiting: seconds(600),
            phone: (seconds(5), seconds(10)),
            restarts: 3,
        }
    }
}

/// A device to open: the grant, and for the event log how it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Proof that it was given to this node.
    pub grant: Grant,
    /// Who had it before, if anybody did and it is known.
    pub from: Option<NodeId>,
    /// `claim`, `take-over`, `give`, …
    pub reason: String,
}

impl From<Grant> for Opening {
    fn from(grant: Grant) -> Opening {
        Opening { grant, from: None, reason: "claim".to_owned() }
    }
}

/// Why a device has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// [`DeviceHandle::stop`] was called.
    Stopped,
    /// A write met a newer epoch: somebody else owns it.
    Fenced,
    /// The database answered a request for a dial permit without this grant, or others may have owned the device
    /// meanwhile: what it has made and not stored is not to be used.
    Stale,
    /// It failed too often. The grant may still stand: release it, or open it again later.
    Broken(String),
}

/// Opens a device. It loads its state and, when it is paired, connects; both go on in the background.
/// Must be called within a tokio runtime.
pub fn open(opening: impl Into<Opening>, ports: Ports) -> DeviceHandle {
    open_with(opening.into(), None, ports)
}

/// [`open`] with a link that is half open already: the first login needs no dialling.
pub fn open_with(opening: Opening, warm: Option<WarmLink>, ports: Ports) -> DeviceHandle {
    let status = DeviceStatus {
        state: api::device::State::Starting,
        reason: "its state is being loaded".to_owned(),
        code: 0,
        pn: None,
        lid: None,
        push_name: String::new(),
        at: ports.clocks.wall(),
        health: api::AccountHealth::default(),
    };
    let (outputs, watched) = watched::channels(status);
    let grant = opening.grant.clone();
    let permits = Arc::new(Semaphore::new(ports.limits.commands));
    let actor = supervisor::spawn(opening, warm, ports, outputs);
    DeviceHandle { inner: Arc::new(Inner { grant, actor, permits, watched }) }
}

/// A cloneable way to one open device. Dropping all handles does not stop it.
#[derive(Clone)]
pub struct DeviceHandle {
    inner: Arc<Inner>,
}

struct Inner {
    grant: Grant,
    actor: ActorRef<Input>,
    permits: Arc<Semaphore>,
    watched: Watched,
}

impl std::fmt::Debug for DeviceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceHandle({} at epoch {})", self.inner.grant.key, self.inner.grant.epoch)
    }
}

impl DeviceHandle {
    /// What it was opened with.
    pub fn grant(&self) -> &Grant {
        &self.inner.grant
    }

    /// Accepts a message. `Ok` means that it is durable; sending goes on in the background.
    pub async fn send(&self, request: SendRequest) -> Result<AcceptedSend, SendError> {
        let permit = self.permit().ok_or(SendError::Busy)?;
        match self.ask_actor(Command::Send(Box::new(request)), permit).await {
            Ok(Answer::Sent(result)) => result.map(|accepted| *accepted),
            Ok(_) => unreachable!("a send is answered as a send"),
            Err(ended) => Err(match ended {
                Finished::Fenced | Finished::Stale => SendError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => SendError::Unavailable,
            }),
        }
    }

    /// Takes a message back that is not encrypted yet. Returns when its row says whether that was in time.
    pub async fn cancel(&self, message_id: String) -> Result<(), CommandError> {
        self.command(Command::Cancel { message_id }).await
    }

    /// Unlinks the device at WhatsApp; its keys stay.
    pub async fn logout(&self) -> Result<(), CommandError> {
        self.command(Command::Logout).await
    }

    /// Asks WhatsApp something and reads the answer; waits at most this long (and at most
    /// [`Limits::request`]). After [`AskError::Lost`] and [`AskError::Late`] nobody knows whether WhatsApp
    /// has done it.
    pub async fn ask<Q: Question>(&self, question: &Q, patience: Duration) -> Result<Q::Answer, AskError> {
        let answer = self.ask_stanza(question.request(), patience).await?;
        Ok(question.read(&answer)?)
    }

    /// [`DeviceHandle::ask`] for who has only the `<iq>` itself, without an id.
    pub async fn ask_stanza(&self, request: Stanza, patience: Duration) -> Result<Stanza, AskError> {
        if self.inner.watched.finished.borrow().is_some() {
            return Err(AskError::Unavailable);
        }
        let permit = self.permit().ok_or(AskError::Busy)?;
        match self.ask_actor(Command::Ask { request: Box::new(request), patience }, permit).await {
            Ok(Answer::Asked(result)) => result.map(|answer| *answer),
            Ok(_) => unreachable!("a question is answered as a question"),
            Err(_) => Err(AskError::Lost),
        }
    }

    /// Takes one part of an import. `Ok` means that it is durable; after the part with the device's own keys
    /// it is paired and connects. The same part may be given again, on any node: the last one at any time, the others until
    /// that one is durable.
    pub async fn import(&self, part: Import) -> Result<(), PairError> {
        let permit = self.permit().ok_or(PairError::Busy)?;
        match self.ask_actor(Command::Import(Box::new(part)), permit).await {
            Ok(Answer::Imported(result)) => result,
            Ok(_) => unreachable!("an import is answered as an import"),
            Err(ended) => Err(match ended {
                Finished::Fenced | Finished::Stale => PairError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => PairError::Unavailable,
            }),
        }
    }

    /// The node may not act: no send, acknowledgement or write from now on; the connection stays open and
    /// is not read. Returns when that is so.
    pub async fn quiesce(&self) {
        let _ = self.urgent(Command::Quiesce).await;
    }

    /// The node may act again.
    pub async fn resume(&self) {
        let _ = self.urgent(Command::Resume).await;
    }

    /// Ends the device. Returns when nothing of it can send, dial or write any more.
    pub async fn stop(&self) {
        let _ = self.inner.actor.send_message(Input::Stop);
        self.finished().await;
    }

    /// Waits until the device has ended, by itself or by [`DeviceHandle::stop`], and says why.
    pub async fn finished(&self) -> Finished {
        let mut finished = self.inner.watched.finished.clone();
        let ended = finished.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(why)) => why.clone(),
            // The supervisor is gone and could not even say why: it panicked.
            _ => Finished::Broken("the device failed without a reason".to_owned()),
        }
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.permits.clone().try_acquire_owned().ok()
    }

    async fn command(&self, command: Command) -> Result<(), CommandError> {
        let permit = self.permit().ok_or(CommandError::Busy)?;
        match self.ask_actor(command, permit).await {
            Ok(Answer::Done(result)) => result,
            Ok(_) => unreachable!("a command is answered as a command"),
            Err(ended) => Err(match ended {
                Finished::Fenced | Finished::Stale => CommandError::OwnershipLost,
                Finished::Stopped | Finished::Broken(_) => CommandError::Unavailable,
            }),
        }
    }

    async fn ask_actor(&self, command: Command, permit: OwnedSemaphorePermit) -> Result<Answer, Finished> {
        let answer = self.urgent(command).await;
        drop(permit);
        answer
    }

    /// Asks without a permit: for the node's own commands, of which there are few.
    async fn urgent(&self, command: Command) -> Result<Answer, Finished> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inner.actor.send_message(Input::Command { command, reply });
        if sent.is_ok()
            && let Ok(answer) = answer.await
        {
            return Ok(answer);
        }
        // The supervisor drops its replies only when it ends or starts anew.
        let ended = self.inner.watched.finished.borrow().clone();
        Err(ended.unwrap_or_else(|| Finished::Broken("the device started anew".to_owned())))
    }
}
