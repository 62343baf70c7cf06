//! What a seed means: topology, workload and faults of one run, drawn before it begins.
//!
//! What must hold: the plan depends on the seed and the size alone. Each run leaves out most kinds of faults
//! and has much of the others (swarm testing), because faults that always come together hide each other.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use roost_actors::device::Limits;
use roost_placement::egress::Patience;
use roost_placement::ledger::Timing;
use roost_placement::machine::Pace;

use super::aim::Aim;
use crate::check::{self, Rules};
use crate::history::History;

/// Longest time that a fault of the network or of a clock lasts.
const LONGEST: f64 = 12.0;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Nodes; `None` lets the seed say.
    pub nodes: Option<usize>,
    /// Devices; `None` lets the seed say.
    pub devices: Option<usize>,
    /// Virtual time under faults; `None` lets the seed say.
    pub under_faults: Option<Duration>,
}

impl Size {
    /// Whatever the seed says.
    pub const DRAWN: Size = Size { nodes: None, devices: None, under_faults: None };
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What everything else is drawn from.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// Tenants.
    pub tenants: usize,
    /// Devices of each tenant.
    pub devices: usize,
    /// Lease times.
    pub timing: Timing,
    /// Logins per second and node.
    pub logins_per_second: f64,
    /// Shortest and longest time of one message on the network.
    pub network: (Duration, Duration),
    /// Shortest and longest time of one direction to the database.
    pub database: (Duration, Duration),
    /// How far each node's wall clock is ahead, in milliseconds, and its drift in parts per million.
    pub clocks: Vec<(i64, i64)>,
    /// Senders at a time.
    pub senders: usize,
    /// Between two messages of a sender, at most.
    pub pause: Duration,
    /// How long consumers take over a batch.
    pub slowness: Duration,
    /// How fast devices are moved.
    pub pace: Pace,
    /// Time under faults.
    pub under_faults: Duration,
    /// The faults, by when they begin.
    pub troubles: Vec<(Duration, Trouble)>,
}

/// One fault. Places are numbers of nodes; spans are how long it lasts.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// The process ends at once; with `certified` its parent says so. It comes back.
    Crash {
        /// Which node.
        node: usize,
        /// Whether a parent is left.
        certified: bool,
        /// Until the next process begins.
        lasting: Duration,
    },
    /// No message passes between two hosts, in one direction or both.
    Cut {
        /// From here.
        from: String,
        /// To there.
        to: String,
        /// In the other direction too.
        both: bool,
        /// How long.
        lasting: Duration,
    },
    /// Everything that a node says or hears is late by the whole span; its clock may stand still meanwhile.
    Freeze {
        /// Which node.
        node: usize,
        /// The whole machine stands still: its clock misses the time.
        clock_stops: bool,
        /// How long.
        lasting: Duration,
    },
    /// One node has no database.
    Unreached {
        /// Which node.
        node: usize,
        /// It is silent instead of refusing.
        silent: bool,
        /// How long.
        lasting: Duration,
    },
    /// No node has a database.
    Outage {
        /// It is silent instead of refusing.
        silent: bool,
        /// How long.
        lasting: Duration,
    },
    /// Answers of the database are lost, so many of a thousand.
    LostAnswers {
        /// Which node.
        node: usize,
        /// Of a thousand.
        per_mille: u32,
        /// How long.
        lasting: Duration,
    },
    /// The database answers a node later, by so much; its statements arrive as ever.
    Late {
        /// Which node.
        node: usize,
        /// By how much.
        by: Duration,
        /// How long.
        lasting: Duration,
    },
    /// The statements of a node do not arrive; answers that are under way do.
    Deaf {
        /// Which node.
        node: usize,
        /// How long.
        lasting: Duration,
    },
    /// The database's clock is set.
    Step {
        /// By so many milliseconds.
        millis: i64,
    },
    /// A node is told to drain; when it has, another process begins.
    Drain {
        /// Which node.
        node: usize,
    },
    /// A caller moves a device.
    Move {
        /// Which device.
        device: usize,
        /// To which node.
        to: usize,
    },
    /// WhatsApp drops every connection.
    Drop,
    /// WhatsApp loses so many acknowledgements of a device's messages.
    LostAcks {
        /// Which device.
        device: usize,
        /// How many.
        count: u32,
    },
    /// WhatsApp delivers the next messages to a device twice.
    Twice {
        /// Which device.
        device: usize,
        /// How many.
        count: u32,
    },
    /// Strangers take one-time prekeys of a device.
    TakePrekeys {
        /// Which device.
        device: usize,
        /// How many are left.
        leave: u32,
    },
}

impl Plan {
    /// Draws it. Some seeds draw an aimed plan, when the size is theirs to say.
    pub fn draw(seed: u64, size: Size) -> Plan {
        match Aim::of(seed).filter(|_| size == Size::DRAWN) {
            Some(aim) => Plan::aimed(seed, aim),
            None => Plan::at_random(seed, size),
        }
    }

    /// Draws one that aims at something.
    pub fn aimed(seed: u64, aim: Aim) -> Plan {
        let mut plan = Plan::at_random(seed, Size::DRAWN);
        aim.shape(&mut plan);
        plan
    }

    fn at_random(seed: u64, size: Size) -> Plan {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes = size.nodes.unwrap_or_else(|| rng.random_range(2..=4));
        let (tenants, devices) = match size.devices {
            Some(devices) => (devices.div_ceil(10).max(1), devices.min(10)),
            None => (rng.random_range(1..=3), rng.random_range(1..=3)),
        };
        let under_faults =
            size.under_faults.unwrap_or_else(|| Duration::from_secs(rng.random_range(20..=60)));
        let quick = rng.random_bool(0.6);
        let millis = Duration::from_millis;
        let mut plan = Plan {
            seed,
            nodes,
            tenants,
            devices,
            timing: if quick { Timing::FAST } else { Timing::NORMAL },
            logins_per_second: rng.random_range(5.0..50.0),
            network: (millis(1), millis(rng.random_range(2..40))),
            database: (millis(0), millis(rng.random_range(1..if quick { 20 } else { 120 }))),
            clocks: (0..nodes).map(|_| clock(&mut rng)).collect(),
            senders: rng.random_range(1..=4),
            pause: millis(rng.random_range(200..2000)),
            slowness: millis(if rng.random_bool(0.3) { rng.random_range(500..4000) } else { 0 }),
            pace: Pace { egress: egress(), ..Pace::default() },
            under_faults,
            troubles: Vec::new(),
        };
        plan.draw_troubles(&mut rng);
        plan
    }

    /// An empty history of this run, with all checkers. `keep` as [`History::new`] has it.
    pub fn history(&self, keep: bool) -> History {
        let mut rules = Rules::new(self.timing, self.logins_per_second);
        rules.cooldown = self.pace.cooldown;
        rules.relief = Some(self.relief()).filter(|relief| *relief < self.owed());
        History::new(check::all(rules), keep)
    }

    /// How long it may take until no member has more than its bound, once all faults are over: members settle, what
    /// was given during the faults has to stay for a while, and then devices go at the pace of the plan.
    fn relief(&self) -> Duration {
        let settled = Rules::new(self.timing, self.logins_per_second).settled();
        let moves = u32::try_from(self.all_devices()).unwrap_or(u32::MAX);
        let a_minute = u32::try_from(self.pace.rebalance_moves.max(1)).unwrap_or(u32::MAX);
        let moving = moves * (Duration::from_secs(60) / a_minute + self.pace.rebalance);
        settled + self.pace.cooldown + self.pace.calm + moving
    }

    /// All devices.
    pub fn all_devices(&self) -> usize {
        self.tenants * self.devices
    }

    /// How long liveness may take once all faults are over: a process begins again and waits for its own
    /// old lease, the others may have to end a quarantine, and the devices log in at their rate.
    pub(crate) fn owed(&self) -> Duration {
        let timing = &self.timing;
        let logins = Duration::from_secs_f64(self.all_devices() as f64 / self.logins_per_second);
        2 * (timing.ttl + timing.grace + timing.quarantine()) + logins + Duration::from_secs(40)
    }

    /// Adds nodes, or leaves some out.
    pub(super) fn resize(&mut self, nodes: usize, rng: &mut StdRng) {
        self.nodes = nodes;
        self.clocks.resize_with(nodes, || clock(rng));
    }

    fn draw_troubles(&mut self, rng: &mut StdRng) {
        let mut kinds: Vec<u32> = (0..12).collect();
        kinds.shuffle(rng);
        kinds.truncate(rng.random_range(1..=5));
        let mean = rng.random_range(3.0..10.0);
        let mut at = rng.random_range(0.0..mean);
        while at < self.under_faults.as_secs_f64() {
            let kind = *kinds.choose(rng).expect("at least one kind was kept");
            self.troubles.push((Duration::from_secs_f64(at), self.trouble(kind, rng)));
            at += rng.random_range(0.0..2.0 * mean);
        }
    }

    fn trouble(&self, kind: u32, rng: &mut StdRng) -> Trouble {
        let lasting = Duration::from_secs_f64(LONGEST.powf(rng.random_range(-0.5..1.0)));
        let (node, device) = (rng.random_range(0..self.nodes), rng.random_range(0..self.all_devices()));
        let hosts = || (0..self.nodes).map(name);
        match kind {
            0 | 1 => Trouble::Crash { node, certified: rng.random(), lasting },
            2 => {
                let others: Vec<String> =
                    hosts().chain(["whatsapp".to_owned(), "callers".to_owned()]).collect();
                let from = name(node);
                let others: Vec<&String> = others.iter().filter(|name| **name != from).collect();
                let to = (*others.choose(rng).expect("there is always WhatsApp")).clone();
                let (from, to) = if rng.random() { (from, to) } else { (to, from) };
                Trouble::Cut { from, to, both: rng.random(), lasting }
            }
            3 => Trouble::Freeze { node, clock_stops: rng.random(), lasting },
            4 => Trouble::Unreached { node, silent: rng.random(), lasting },
            5 => Trouble::Outage { silent: rng.random(), lasting },
            6 => Trouble::LostAnswers { node, per_mille: rng.random_range(10..400), lasting },
            7 => Trouble::Step { millis: rng.random_range(-12_000..12_000) },
            8 => Trouble::Drain { node },
            9 => Trouble::Move { device, to: node },
            10 => Trouble::Drop,
            _ if rng.random() => Trouble::LostAcks { device, count: rng.random_range(1..4) },
            _ => Trouble::Twice { device, count: rng.random_range(1..4) },
        }
    }
}

/// Shorter than in production, so that a node is back when members may come and go no more.
fn egress() -> Patience {
    let seconds = Duration::from_secs;
    Patience { probe: seconds(1), back: seconds(4), rest: seconds(30) }
}

/// How wrong the clocks of a node are.
fn clock(rng: &mut StdRng) -> (i64, i64) {
    (rng.random_range(-60_000..60_000), rng.random_range(-10_000..10_000))
}

/// Name of a node, of its host too.
pub(crate) fn name(number: usize) -> String {
    format!("n{}", number + 1)
}

/// Id of a tenant.
pub(crate) fn tenant_id(number: usize) -> String {
    format!("t{}", number + 1)
}

/// Shorter periods than in production, so that a short run sees many of them.
pub(crate) fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        connect: seconds(8),
        request: seconds(10),
        keepalive: (seconds(4), seconds(6), seconds(4)),
        backoff: (Duration::from_millis(500), seconds(6)),
        stable: seconds(15),
        conflict: seconds(4),
        resend: seconds(8),
        // Some rotations in each run, and yet a message that was held up comes before its key is forgotten.
        signed_prekey: seconds(60),
        // Few of them are ever taken in a run, and making four pages was a tenth of its work.
        prekeys: (20, 1, 1),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_means_the_same_plan_and_another_seed_another() {
        let text = |seed| format!("{:?}", Plan::draw(seed, Size::DRAWN));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn faults_begin_within_their_time_and_end() {
        let drawn = (0..200).map(|seed| Plan::draw(seed, Size::DRAWN));
        let aimed = Aim::ALL.iter().flat_map(|aim| (0..20).map(|seed| Plan::aimed(seed, *aim)));
        for plan in drawn.chain(aimed) {
            assert!(plan.troubles.iter().all(|(at, _)| *at < plan.under_faults));
            assert!(plan.clocks.len() == plan.nodes && plan.all_devices() > 0);
        }
    }

    #[test]
    fn an_aimed_plan_strikes_several_times_and_a_seed_in_eight_draws_one() {
        for aim in Aim::ALL {
            assert!((0..20).all(|seed| Plan::aimed(seed, *aim).troubles.len() > 1), "{aim:?}");
            let drawn = |seed| format!("{:?}", Plan::draw(seed, Size::DRAWN));
            let among = (0..80).filter(|seed| drawn(*seed) == format!("{:?}", Plan::aimed(*seed, *aim)));
            assert!(among.count() > 0, "{aim:?}");
        }
    }
}
