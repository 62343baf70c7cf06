//! Membership and ownership of this node: the heartbeat, the placement machine's driver, hand-offs.
//!
//! What must hold: the decisions are the machine's (`roost_placement::machine`); this module only
//! carries them out, in their order, each call bounded in time. The heartbeat has a thread, a runtime
//! and a database connection of its own, and beats only while this runtime moves. Nothing here proves
//! ownership: the fence does, below every write.

mod clock;
mod driver;
mod effects;
mod gate;
mod handle;
mod heartbeat;
mod permission;
mod port;
mod throttle;
mod turns;

use std::sync::Arc;

use roost_placement::ledger::{Ledger, Timing};
use roost_placement::machine::{Config, Machine, Pace};
use roost_placement::plan::Policy;
use roost_proto::id::Life;
use tokio::sync::{mpsc, watch};

use self::driver::Driver;
use self::handle::Shared;
use self::heartbeat::{Heartbeat, Vitals};
use crate::metrics::Metrics;
use crate::outside::Dice;

pub use self::clock::{BootClock, NodeClocks, boot_clock};
pub use self::gate::{GateOptions, NodeGate};
pub use self::handle::{ClusterHandle, Ended};
pub use self::permission::Permission;
pub use self::port::{Ending, Hosting, PeerHint, StartError};
pub use self::throttle::Throttle;
pub use self::turns::Turns;

/// What a node is told about its cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// This node in the life that it has joined with.
    pub life: Life,
    /// The cluster's lease times.
    pub timing: Timing,
    /// What plans may do.
    pub policy: Policy,
    /// How fast things move.
    pub pace: Pace,
    /// Whether the heartbeat has a thread of its own. Off only in simulations with a clock of their own.
    pub own_thread: bool,
}

impl ClusterOptions {
    /// The defaults for a life.
    pub fn new(life: Life, timing: Timing) -> ClusterOptions {
        let (policy, pace) = (Policy::default(), Pace::default());
        ClusterOptions { life, timing, policy, pace, own_thread: true }
    }
}

/// What the cluster module needs from outside.
#[derive(Clone)]
pub struct ClusterPorts {
    /// The ownership rows.
    pub ledger: Arc<dyn Ledger>,
    /// The same through a connection of its own, which is opened in the runtime that first uses it.
    pub heartbeat: Arc<dyn Ledger>,
    /// The devices.
    pub hosting: Arc<dyn Hosting>,
    /// The way to other nodes.
    pub hints: Arc<dyn PeerHint>,
    /// May this node act? Shared with the devices' clocks.
    pub permission: Arc<Permission>,
    /// Jitter of the heartbeat.
    pub dice: Dice,
    /// Where to count.
    pub metrics: Metrics,
}

/// Why the cluster module could not start.
#[derive(Debug, thiserror::Error)]
#[error("the thread of the heartbeat cannot be started: {0}")]
pub struct ThreadError(#[from] std::io::Error);

/// Starts to beat, claim and host for a life that has joined. The handle's `ended` says when it is over.
pub fn start(options: ClusterOptions, ports: ClusterPorts) -> Result<ClusterHandle, ThreadError> {
    let (beats_in, beats) = mpsc::channel(8);
    let (commands_in, commands) = mpsc::channel(256);
    let (ended_in, ended) = watch::channel(None);
    let vitals = Vitals::default();
    let clock = ports.permission.clock().clone();
    let heartbeat = Heartbeat {
        life: options.life.clone(),
        timing: options.timing,
        ledger: ports.heartbeat.clone(),
        permission: ports.permission.clone(),
        vitals: vitals.clone(),
        beats: beats_in,
        dice: ports.dice.clone(),
        metrics: ports.metrics.clone(),
    };
    if options.own_thread {
        heartbeat.on_own_thread()?;
    } else {
        tokio::spawn(heartbeat.run());
    }
    let config = Config {
        me: options.life.clone(),
        timing: options.timing,
        policy: options.policy,
        pace: options.pace,
    };
    let shared = Shared::new(options.life, ports.permission.clone(), commands_in, ended);
    let handle = ClusterHandle::new(shared.clone());
    let machine = Machine::new(config, clock());
    let driver = Driver::new(machine, options.timing, ports, shared, ended_in, vitals);
    tokio::spawn(driver.run(beats, commands));
    Ok(handle)
}
