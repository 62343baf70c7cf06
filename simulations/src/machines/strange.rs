//! Faults that only this depth has, drawn beside those of the plan.
//!
//! What must hold: they depend on the seed alone, and each run has only a few kinds of them.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

use crate::run::Plan;

/// One such fault. Places are numbers of nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Strange {
    /// A second process begins under the id of a node.
    Twin { node: usize },
    /// The database goes over to its standby, which has everything, or lacks as much as `lost`.
    FailOver { away: Duration, lost: Option<Duration> },
    /// WhatsApp is unavailable.
    Unavailable { lasting: Duration, existing: bool },
    /// Another connection with the keys of a device, it seems.
    Replaced { device: usize },
    /// WhatsApp does not hear that a device has taken its messages.
    DeafToAcks { device: usize, count: u32 },
    /// WhatsApp's answers to everybody are late.
    Slow { by: Duration, lasting: Duration },
    /// The next logins of a device are refused for a while.
    Refused { device: usize, count: u32 },
    /// An operator wants nothing new on a node.
    Cordon { node: usize, lasting: Duration },
    /// An operator wants a device on a node, and there only if `required`.
    Pin { device: usize, node: usize, required: bool, lasting: Duration },
    /// An operator wants nothing rebalanced.
    Still { lasting: Duration },
    /// A burst of messages from a phone.
    Burst { device: usize, count: u32 },
}

impl Strange {
    /// Those of one run, by when they begin.
    pub(super) fn draw(plan: &Plan, rng: &mut StdRng) -> Vec<(Duration, Strange)> {
        let mut kinds: Vec<u32> = (0..11).collect();
        kinds.shuffle(rng);
        kinds.truncate(rng.random_range(0..=4));
        let mut drawn = Vec::new();
        let mean = rng.random_range(4.0..15.0);
        let mut at = rng.random_range(0.0..mean);
        while at < plan.under_faults.as_secs_f64()
            && let Some(kind) = kinds.choose(rng)
        {
            drawn.push((Duration::from_secs_f64(at), Strange::of(*kind, plan, rng)));
            at += rng.random_range(0.0..2.0 * mean);
        }
        // Whoever is replaced again and again stays away for longer each time, and no run waits for an hour.
        let mut replaced = BTreeSet::new();
        drawn.retain(|(_, strange)| match strange {
            Strange::Replaced { device } => replaced.insert(*device),
            _ => true,
        });
        // A database that loses its tail excuses much: most runs have none.
        if plan.seed % 16 == 11 {
            lose_tails(plan, &mut drawn);
        }
        drawn
    }

    fn of(kind: u32, plan: &Plan, rng: &mut StdRng) -> Strange {
        let lasting = Duration::from_secs_f64(12f64.powf(rng.random_range(-0.5..1.0)));
        let (node, device) = (rng.random_range(0..plan.nodes), rng.random_range(0..plan.all_devices()));
        let count = rng.random_range(1..4);
        match kind {
            0 => Strange::Twin { node },
            1 => Strange::FailOver { away: lasting / 4, lost: None },
            2 => Strange::Unavailable { lasting, existing: rng.random() },
            3 => Strange::Replaced { device },
            4 => Strange::DeafToAcks { device, count },
            5 => Strange::Slow { by: lasting / 8, lasting },
            6 => Strange::Refused { device, count },
            7 => Strange::Cordon { node, lasting },
            8 => Strange::Pin { device, node, required: rng.random(), lasting },
            9 => Strange::Still { lasting },
            _ => Strange::Burst { device, count: 10 * count },
        }
    }
}

/// Failovers lose the last moments, and there are some.
fn lose_tails(plan: &Plan, drawn: &mut Vec<(Duration, Strange)>) {
    let mut rng = StdRng::seed_from_u64(plan.seed ^ 0x7a11);
    let mut span = |most: f64| Duration::from_secs_f64(most.powf(rng.random_range(-1.0..1.0)));
    for (_, strange) in drawn.iter_mut() {
        if let Strange::FailOver { lost, .. } = strange {
            *lost = Some(span(4.0));
        }
    }
    let mut at = plan.under_faults.mul_f64(0.2);
    while at < plan.under_faults {
        drawn.push((at, Strange::FailOver { away: span(2.0), lost: Some(span(4.0)) }));
        at += Duration::from_secs(10) + span(10.0);
    }
    drawn.sort_by_key(|(at, _)| *at);
}
