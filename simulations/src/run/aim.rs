//! Aimed plans: faults that strike together, in an order and at a distance that chance seldom finds.
//!
//! A guard often has another behind it, and only a certain meeting of faults leaves one of them alone: a clock
//! that stands still while a connection breaks, a gap of a lease that ends just after another node's last beat.
//! Every eighth seed draws such a plan; tests ask for one by name.
//!
//! What must hold: an aimed plan is a plan, of the same troubles, drawn from its seed alone; nothing in it is
//! more than the code under test has to survive.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use roost_placement::machine::Pace;

use super::plan::{Plan, Trouble, name};

/// What a plan aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Machines stand still, their clocks too, for longer than a lease, and find their connections broken.
    StoppedClocks,
    /// Every connection breaks just when the database is away, or when its clock jumps.
    NoPermits,
    /// Nodes lose the database for longer than a lease, and nothing else.
    CutOff,
    /// Heartbeats are answered late, and then the statements of the node do not arrive any more.
    LateAnswers,
    /// Gaps about as long as a lease; some end just after the other node has died.
    Gaps,
    /// Devices are moved to and fro while everybody talks and strangers take prekeys.
    Moves,
    /// Nodes are told to drain while devices are on their way to them.
    Drains,
    /// Nodes begin again, one after the other.
    Restarts,
    /// Consumers lose their nodes, and nodes their consumers.
    LostConsumers,
    /// Nodes are away in turn, and what piles up at the others has to be shared again, quickly.
    Uneven,
}

/// So many seeds have one aimed plan among them: the last.
const SHARE: u64 = 8;

impl Aim {
    /// All of them.
    pub const ALL: &[Aim] = &[
        Aim::StoppedClocks,
        Aim::NoPermits,
        Aim::CutOff,
        Aim::LateAnswers,
        Aim::Gaps,
        Aim::Moves,
        Aim::Drains,
        Aim::Restarts,
        Aim::LostConsumers,
        Aim::Uneven,
    ];

    /// What the plan of this seed aims at, when it does at all.
    pub(super) fn of(seed: u64) -> Option<Aim> {
        let all = u64::try_from(Aim::ALL.len()).expect("they are few");
        let which = usize::try_from(seed / SHARE % all).expect("it is below their number");
        (seed % SHARE == SHARE - 1).then(|| Aim::ALL[which])
    }

    /// Replaces the troubles of a plan, and whatever else of it would stand in the way.
    pub(super) fn shape(self, plan: &mut Plan) {
        let mut rng = StdRng::seed_from_u64(plan.seed ^ 0x0a13);
        let (least, most) = match self {
            Aim::Gaps => (2, 2),
            Aim::Restarts | Aim::Uneven => (3, 4),
            _ => (2, 4),
        };
        plan.resize(plan.nodes.clamp(least, most), &mut rng);
        plan.devices = plan.devices.max(2);
        if self == Aim::Moves {
            (plan.senders, plan.pause) = (4, Duration::from_millis(400));
        }
        if self == Aim::Uneven {
            plan.devices = 3;
            let seconds = Duration::from_secs;
            plan.pace = Pace {
                calm: seconds(2),
                cooldown: seconds(4),
                uneven: seconds(6),
                rebalance: Duration::from_millis(500),
                rebalance_moves: 60,
                ..plan.pace
            };
        }
        if self == Aim::LateAnswers {
            plan.database.1 = plan.database.1.min(Duration::from_millis(10));
        }
        let (lease, beat) = (plan.timing.ttl + plan.timing.grace, plan.timing.beat);
        let round = match self {
            Aim::StoppedClocks | Aim::CutOff | Aim::LateAnswers => 5 * lease,
            Aim::NoPermits => 3 * lease,
            Aim::Gaps => 8 * lease,
            Aim::Moves => Duration::from_millis(700),
            Aim::Drains => Duration::from_secs(6),
            Aim::Restarts => 2 * beat + Duration::from_secs(3),
            Aim::LostConsumers => Duration::from_secs(5),
            Aim::Uneven => 2 * lease + Duration::from_secs(8),
        };
        plan.under_faults = plan.under_faults.max(3 * round);
        plan.troubles.clear();
        let mut begin = round.mul_f64(rng.random_range(0.2..0.6));
        while begin + round < plan.under_faults {
            self.strike(plan, begin, &mut rng);
            begin += round.mul_f64(rng.random_range(0.8..1.2));
        }
        plan.troubles.sort_by_key(|(at, _)| *at);
        plan.troubles.retain(|(at, _)| *at < plan.under_faults);
    }

    /// One round.
    fn strike(self, plan: &mut Plan, begin: Duration, rng: &mut StdRng) {
        let timing = plan.timing;
        let lease = timing.ttl + timing.grace;
        let nodes = plan.nodes;
        let node = rng.random_range(0..nodes);
        let other = (node + rng.random_range(1..nodes)) % nodes;
        let device = rng.random_range(0..plan.all_devices());
        let silent = rng.random();
        let mut between = |span: Duration, least: f64, most: f64| span.mul_f64(rng.random_range(least..most));
        let strikes = match self {
            Aim::StoppedClocks => vec![
                (
                    Duration::ZERO,
                    Trouble::Freeze { node, clock_stops: true, lasting: between(lease, 1.05, 2.0) },
                ),
                (between(lease, 0.2, 0.9), Trouble::Drop),
            ],
            Aim::NoPermits if silent => vec![
                (Duration::ZERO, Trouble::Drop),
                (between(timing.beat, 0.1, 1.0), Trouble::Step { millis: millis(between(lease, 1.0, 3.0)) }),
            ],
            Aim::NoPermits => vec![
                (Duration::ZERO, Trouble::Outage { silent, lasting: between(timing.ttl, 0.3, 0.8) }),
                (between(timing.beat, 0.0, 0.3), Trouble::Drop),
            ],
            Aim::CutOff => {
                vec![(Duration::ZERO, Trouble::Unreached { node, silent, lasting: between(lease, 1.5, 3.0) })]
            }
            Aim::LateAnswers => {
                let patience = (timing.ttl - timing.margin) / 2;
                let by = patience - 4 * plan.database.1 - Duration::from_millis(20);
                vec![
                    (Duration::ZERO, Trouble::Late { node, by, lasting: 3 * lease }),
                    (by + between(by, 1.0, 3.0), Trouble::Deaf { node, lasting: between(lease, 1.5, 2.0) }),
                ]
            }
            Aim::Gaps if silent => {
                let gap = between(timing.ttl, 1.2, 1.5);
                let dies = between(timing.ttl, 0.8, 1.0);
                let away = between(lease, 3.0, 4.0);
                vec![
                    (Duration::ZERO, Trouble::Unreached { node, silent, lasting: gap }),
                    (dies, Trouble::Crash { node: other, certified: false, lasting: away }),
                ]
            }
            Aim::Gaps => {
                let mut gap = || Trouble::Unreached { node, silent, lasting: between(lease, 0.9, 1.2) };
                vec![(Duration::ZERO, gap()), (5 * lease / 2, gap()), (5 * lease, gap())]
            }
            Aim::Moves => {
                let moved = (Duration::ZERO, Trouble::Move { device, to: node });
                let taken =
                    Trouble::TakePrekeys { device: rng.random_range(0..plan.all_devices()), leave: 3 };
                let taken = rng.random_bool(0.2).then_some((Duration::ZERO, taken));
                [moved].into_iter().chain(taken).collect()
            }
            Aim::Drains => {
                let moved = (0..plan.all_devices().min(6)).map(|device| Trouble::Move { device, to: node });
                let mut strikes: Vec<_> =
                    moved.map(|moved| (between(timing.beat, 0.0, 1.0), moved)).collect();
                strikes.push((between(timing.beat, 0.2, 0.6), Trouble::Drain { node }));
                strikes
            }
            Aim::Uneven => {
                let away = between(lease, 1.5, 3.0);
                vec![(Duration::ZERO, Trouble::Crash { node, certified: silent, lasting: away })]
            }
            Aim::Restarts => {
                let lasting = between(timing.beat, 1.0, 4.0);
                vec![(Duration::ZERO, Trouble::Crash { node, certified: true, lasting })]
            }
            Aim::LostConsumers => {
                let hosts = [name(node), "callers".to_owned()];
                let from = hosts.choose(rng).expect("there are two").clone();
                let to = if from == hosts[0] { hosts[1].clone() } else { hosts[0].clone() };
                let lasting = Duration::from_secs_f64(rng.random_range(1.0..4.0));
                vec![(Duration::ZERO, Trouble::Cut { from, to, both: rng.random(), lasting })]
            }
        };
        plan.troubles.extend(strikes.into_iter().map(|(after, trouble)| (begin + after, trouble)));
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).expect("a few leases are not long")
}
