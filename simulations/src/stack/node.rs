//! One node of the simulated cluster: what `roost serve` composes, on a host of the simulated network.
//!
//! What must hold: everything is the production composition (`roost_node::assembly`); this file only does
//! what the parent process and the signal handler do: join, start, drain when told, leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use roost_node::api::port::Cluster as _;
use roost_node::api::server::Listener;
use roost_node::assembly::{Settings, Stores, assemble};
use roost_node::link::WhatsAppDialer;
use roost_node::media::Folder;
use roost_node::metrics::Metrics;
use roost_node::outside::{Dice, Outside};
use roost_placement::ledger::{Candidate, JoinError, Ledger as _, Timing};
use roost_placement::machine::Pace;
use roost_placement::slot::Standstill;
use roost_proto::id::Life;
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::database::Link;
use super::network::{API, WHATSAPP, listen, network};
use crate::run::{Boot, Record, Time, limits, name};

/// Between two attempts to join.
const JOINING: Duration = Duration::from_millis(250);

/// What a node is, over all its lives.
#[derive(Clone)]
pub(super) struct Place {
    /// Which node; the first is 0.
    pub(super) number: usize,
    /// Lease times of the cluster.
    pub(super) timing: Timing,
    /// Logins per second.
    pub(super) logins_per_second: f64,
    /// How fast devices are moved.
    pub(super) pace: Pace,
    /// Its link to the database.
    pub(super) link: Link,
    /// Its boot clock.
    pub(super) boot: Boot,
    /// How far its wall clock is ahead, in milliseconds.
    pub(super) skew: i64,
    /// True time.
    pub(super) time: Time,
    /// Root of WhatsApp's certificates.
    pub(super) root: [u8; 32],
    /// Randomness of all its lives.
    pub(super) rng: Arc<Mutex<StdRng>>,
    /// Told to drain, or that its process must end.
    pub(super) orders: watch::Sender<Order>,
    /// The record.
    pub(super) record: Record,
}

/// What the operator, or the parent process, does to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// Nothing.
    #[default]
    Run,
    /// Drain.
    Drain,
    /// The process has ended by itself: only a new one can go on.
    Ended,
}

impl Place {
    /// Name of its host, which is its node id too.
    pub(super) fn name(&self) -> String {
        name(self.number)
    }

    fn draw(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.lock().expect("nothing fails while it is held").fill_bytes(&mut seed);
        seed
    }

    fn outside(&self) -> Outside {
        Outside {
            boot: self.boot.clock(),
            wall: self.time.wall(self.skew),
            dice: Dice::seeded(self.draw()),
            network: network(),
        }
    }

    /// One process: joins, runs, and returns when it has drained or its row says dead.
    pub(super) async fn live(self) -> turmoil::Result {
        self.orders.send_replace(Order::Run);
        let life = self.join().await;
        self.record.started(self.number, &life);
        let seeds = Mutex::new(StdRng::from_seed(self.draw()));
        let (logins_per_second, limits) = (self.logins_per_second, limits());
        let mut settings = Settings { logins_per_second, limits, ..Settings::new(life, self.timing) };
        settings.cluster.own_thread = false;
        settings.cluster.pace = self.pace;
        let url = format!("ws://whatsapp:{WHATSAPP}/ws/chat");
        let dialer = WhatsAppDialer::new(&url, None, Some(self.root))?.over(network());
        let stores = Stores {
            ledger: Arc::new(self.link.clone()),
            heartbeat: Arc::new(self.link.clone()),
            devices: Arc::new(self.link.clone()),
            directory: Arc::new(self.link.clone()),
            blobs: Arc::new(Folder::new(std::env::temp_dir())),
            media_http: Arc::new(dialer.media_client()),
            commits: self.link.commits(),
        };
        let seeds = Arc::new(move || seeds.lock().expect("nothing fails while it is held").random());
        let node = assemble(settings, stores, Arc::new(dialer), self.outside(), seeds, Metrics::new())?;
        let address = SocketAddr::from(([0, 0, 0, 0], API));
        let listener = Listener::over(listen(API).await?, address);
        // It ends with the process: the transport's own end in order decides by chance what goes first.
        tokio::spawn(listener.serve(node.api, std::future::pending()));
        let (mut ended, mut orders) = (node.cluster.ended(), self.orders.subscribe());
        loop {
            tokio::select! {
                biased;
                _ = ended.wait_for(Option::is_some) => break,
                Ok(()) = orders.changed() => {
                    if *orders.borrow_and_update() == Order::Drain {
                        // A second order to drain changes nothing.
                        let _ = node.cluster.drain();
                    }
                }
            }
        }
        // What still runs ends with the host, as threads end with their process.
        self.orders.send_replace(Order::Ended);
        Ok(())
    }

    async fn join(&self) -> Life {
        let candidate = Candidate {
            node: self.name().parse().expect("a name of ours is an id"),
            address: format!("{}:{API}", self.name()),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let (clock, mut standstill) = (self.boot.clock(), Standstill::default());
        loop {
            let silent = standstill.silent(clock(), &self.timing);
            match self.link.join(&candidate, silent, &self.timing).await {
                Ok(life) => return life,
                Err(JoinError::InUse { holder, .. }) => standstill.refused(holder, clock()),
                Err(JoinError::Apart { .. } | JoinError::Unavailable(_)) => {}
            }
            sleep(JOINING).await;
        }
    }
}
