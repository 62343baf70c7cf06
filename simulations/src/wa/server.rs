//! The shell of the simulated WhatsApp: what its tasks share, and the handle of whoever runs it.
//!
//! What must hold: the machine is asked under one lock and its effects are queued under the same lock, so
//! that every connection sees them in the machine's order; a connection that does not read fast enough
//! loses its connection, never the server's memory. Nothing is decided here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use roost_node::outside::{WallClock, wall_clock};
use roost_proto::id::UnixMillis;
use roost_proto::noise::Responder;
use roost_proto::stanza::Stanza;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::Pn;
use super::authority::{Authority, AuthorityError};
use super::damage::Damage;
use super::fault::Fault;
use super::journal::Seen;
use super::ledger::Ledger;
use super::machine::{ConnectionId, Effect, Event, Machine};
use super::media::Store;
use super::options::SimOptions;
use super::pairing::{ScanError, Scanned, Scanner};
use super::phones::PhoneError;
use super::session::UnknownDevice;
use super::state::{self, StateError};

/// Stanzas that wait for one connection's socket: a full backlog fits.
const QUEUE: usize = 16_384;

/// How often certificates are issued, in milliseconds: every day, while they are good for seven.
const RENEWED_MS: i64 = 24 * 3600 * 1000;

/// How long connections may take to go when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The files for clients cannot be written.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] std::io::Error),
    /// Keys or certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A running simulated WhatsApp. Dropping it ends it; [`SimServer::stop`] ends it in order.
pub struct SimServer {
    addr: SocketAddr,
    pub(super) shared: Arc<Shared>,
}

/// What the tasks of one server share.
pub(super) struct Shared {
    world: Mutex<World>,
    next_connection: AtomicU64,
    pub(super) authority: Authority,
    pub(super) stopping: CancellationToken,
    pub(super) tasks: TaskTracker,
    state: Option<PathBuf>,
    clock: WallClock,
}

/// Is told what the server sees.
pub type Observer = Box<dyn Fn(Seen) + Send + Sync>;

struct World {
    machine: Machine,
    observer: Option<Observer>,
    writers: HashMap<ConnectionId, mpsc::Sender<Out>>,
    rng: StdRng,
    /// Answers handshakes, and when its certificates were issued.
    responder: (Responder, UnixMillis),
}

/// One thing for a connection's socket.
#[derive(Debug)]
pub(super) enum Out {
    /// Write it, not before this time.
    Stanza(Box<Stanza>, UnixMillis),
    /// Write what the client cannot take.
    Damage(Damage),
    /// Flush and close.
    Close,
}

impl SimServer {
    /// Listens and serves in tasks of the current runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(options: SimOptions) -> Result<Self, StartError> {
        let seed = options.seed.unwrap_or_else(rand::random);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut machine = Machine::new(rng.next_u64(), options.phones_read);
        machine.phones_share = options.phones_share;
        let kept = match &options.state {
            Some(path) => state::load(path, &mut machine)?,
            None => None,
        };
        let authority = match kept {
            Some(kept) => Authority::from_kept(&kept)?,
            None => Authority::new(&mut rng)?,
        };
        if let Some(directory) = &options.directory {
            for (name, text) in [("ca.pem", authority.ca_pem()), ("root.hex", &hex::encode(authority.root()))]
            {
                let path = directory.join(name);
                let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
                written.map_err(|error| StartError::Write(path, error))?;
            }
        }
        let tls = TlsAcceptor::from(authority.tls()?);
        let refused = |error| StartError::Listen(options.listen, error);
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        // Clients must be able to dial what they are told; both names lead here.
        machine.serve_media_at(vec![addr.to_string(), format!("localhost:{}", addr.port())]);
        let shared = Shared::new(machine, authority, rng, options.state, wall_clock(), None);
        shared.tasks.spawn(super::listener::accept(listener, tls, shared.clone()));
        if shared.state.is_some() {
            shared.tasks.spawn(state::save_regularly(shared.clone()));
        }
        tracing::info!(%addr, seed, "the simulated WhatsApp listens");
        Ok(Self { addr, shared })
    }

    /// One that listens nowhere and keeps nothing: connections are brought to it with [`SimServer::serve`].
    /// All its randomness is from `seed`, its time is `clock`, and `observer` is told what it sees.
    ///
    /// # Errors
    /// [`StartError::Authority`].
    pub fn apart(seed: u64, clock: WallClock, observer: Observer) -> Result<Self, StartError> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut machine = Machine::new(rng.next_u64(), true);
        machine.keep_journal();
        let authority = Authority::new(&mut rng)?;
        let shared = Shared::new(machine, authority, rng, None, clock, Some(observer));
        Ok(Self { addr: SocketAddr::from(([0, 0, 0, 0], 0)), shared })
    }

    /// Serves one connection without TLS until it ends, in the task that waits for it.
    pub fn serve<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        super::listener::http(stream, self.shared.clone())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where devices connect.
    pub fn url(&self) -> String {
        format!("wss://{}/ws/chat", self.addr)
    }

    /// The root key of its certificate chain, 32 bytes.
    pub fn root(&self) -> [u8; 32] {
        *self.shared.authority.root()
    }

    /// The same as 64 hexadecimal digits.
    pub fn root_hex(&self) -> String {
        hex::encode(self.root())
    }

    /// The TLS authority, PEM.
    pub fn ca_pem(&self) -> &str {
        self.shared.authority.ca_pem()
    }

    /// Looks at the ledger. The server stands still meanwhile.
    pub fn ledger<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(self.shared.world().machine.ledger())
    }

    /// Looks at accounts and devices. The server stands still meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&self.shared.world().machine)
    }

    /// A phone scans a QR text.
    ///
    /// # Errors
    /// [`ScanError`].
    pub fn scan(&self, text: &str, scanner: &Scanner) -> Result<Scanned, ScanError> {
        self.act(|machine, now| machine.scan(now, text, scanner))
    }

    /// The account with this number or name, made if there is none.
    pub fn account(&self, pn: Option<Pn>, name: Option<&str>) -> Pn {
        self.shared.account(pn, name)
    }

    /// A phone sends a text; returns the message id.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn phone_sends(&self, pn: Pn, to: &str, text: &str) -> Result<String, PhoneError> {
        self.act(|machine, now| machine.phone_sends(now, pn, to, text))
    }

    /// Changes something that nobody is told of.
    pub fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        self.shared.change(change)
    }

    /// Has the machine do something now, and carries out the effects.
    ///
    /// # Errors
    /// Those of what is done.
    pub fn act<T, E>(
        &self,
        act: impl FnOnce(&mut Machine, UnixMillis) -> Result<(T, Vec<Effect>), E>,
    ) -> Result<T, E> {
        self.shared.act(act)
    }

    /// Commits a fault.
    ///
    /// # Errors
    /// [`UnknownDevice`].
    pub fn commit(&self, fault: &Fault) -> Result<(), UnknownDevice> {
        self.act(|machine, now| Ok(((), machine.commit(now, fault)?)))
    }

    /// Closes every connection, writes the state file, and waits for its tasks, within 5 s.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("connections did not end in time");
        }
        self.shared.save();
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

impl Shared {
    fn new(
        machine: Machine,
        authority: Authority,
        mut rng: StdRng,
        state: Option<PathBuf>,
        clock: WallClock,
        observer: Option<Observer>,
    ) -> Arc<Shared> {
        let now = clock();
        let responder = (authority.responder(now, &mut rng), now);
        Arc::new(Shared {
            world: Mutex::new(World { machine, observer, writers: HashMap::new(), rng, responder }),
            next_connection: AtomicU64::new(1),
            authority,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            state,
            clock,
        })
    }

    /// The time of the server.
    pub(super) fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic in the machine is a failed test; whoever looks afterwards may still read the ledger.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection: its number, and what is to be written to it.
    pub(super) fn connect(&self) -> (ConnectionId, mpsc::Receiver<Out>) {
        let connection = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let (writer, queue) = mpsc::channel(QUEUE);
        self.world().writers.insert(connection, writer);
        (connection, queue)
    }

    pub(super) fn disconnect(&self, connection: ConnectionId) {
        self.event(connection, Event::Closed);
        self.world().writers.remove(&connection);
    }

    pub(super) fn event(&self, connection: ConnectionId, event: Event) {
        let mut world = self.world();
        let effects = world.machine.handle(self.now(), connection, event);
        world.dispatch(effects);
    }

    /// Has the machine answer what is no event of its own.
    pub(super) fn answer(&self, answer: impl FnOnce(&mut Machine, UnixMillis) -> Vec<Effect>) {
        let mut world = self.world();
        let effects = answer(&mut world.machine, self.now());
        world.dispatch(effects);
    }

    /// Asks the media servers something.
    pub(super) fn media<T>(&self, ask: impl FnOnce(&mut Store, &mut StdRng) -> T) -> T {
        let World { machine, rng, .. } = &mut *self.world();
        ask(&mut machine.media, rng)
    }

    /// Answers a handshake, with certificates that are good for days yet.
    pub(super) fn greet<T>(&self, answer: impl FnOnce(&mut Machine, &Responder, &mut StdRng) -> T) -> T {
        let now = self.now();
        let World { machine, rng, responder, .. } = &mut *self.world();
        if now.0.saturating_sub(responder.1.0) >= RENEWED_MS {
            *responder = (self.authority.responder(now, rng), now);
        }
        answer(machine, &responder.0, rng)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&self.world().machine)
    }

    /// Changes something that nobody is told of.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        change(&mut self.world().machine)
    }

    /// Lets somebody outside act on the world, and carries out what follows.
    pub(super) fn act<T, E>(
        &self,
        act: impl FnOnce(&mut Machine, UnixMillis) -> Result<(T, Vec<Effect>), E>,
    ) -> Result<T, E> {
        let mut world = self.world();
        let (done, effects) = act(&mut world.machine, self.now())?;
        world.dispatch(effects);
        Ok(done)
    }

    pub(super) fn account(&self, pn: Option<Pn>, name: Option<&str>) -> Pn {
        self.world().machine.find_or_create(self.now(), pn, name)
    }

    pub(super) fn save(&self) {
        let Some(path) = &self.state else { return };
        let text = state::encode(&self.world().machine, &self.authority.keep());
        if let Err(error) = state::write(path, &text) {
            tracing::error!(%error, "the state file was not written");
        }
    }
}

impl World {
    fn dispatch(&mut self, effects: Vec<Effect>) {
        if let Some(observer) = &self.observer {
            self.machine.take_journal().into_iter().for_each(observer);
        }
        for effect in effects {
            let (connection, out) = match effect {
                Effect::Send { connection, stanza, not_before } => {
                    (connection, Out::Stanza(Box::new(stanza), not_before))
                }
                Effect::Damage { connection, what } => (connection, Out::Damage(what)),
                Effect::Close { connection } => (connection, Out::Close),
            };
            let Some(writer) = self.writers.get(&connection) else { continue };
            if writer.try_send(out).is_err() {
                // Its task sees the end of the queue and closes; what it missed is in the backlog.
                tracing::warn!(connection, "a connection does not read; dropped");
                self.writers.remove(&connection);
            }
        }
    }
}
