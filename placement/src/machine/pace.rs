//! How fast a machine moves things. Data only.

use std::time::Duration;

use crate::egress::Patience;

/// How fast things move. The defaults are those of `ownership.md` where it names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Hand-offs of a drain that are under way at once.
    pub hand_offs: usize,
    /// How long the target of a hand-off may take to prepare; zero hands off cold.
    pub warm: Duration,
    /// A drain that takes longer than this hands off the rest cold.
    pub warm_drain: Duration,
    /// How often claimable devices are looked for when nothing hints at any.
    pub sweep: Duration,
    /// How often this node compares what it runs with its rows, when it owns few devices; one
    /// millisecond more for each device.
    pub audit: Duration,
    /// At most this many claimable devices are listed at once.
    pub list: usize,
    /// Nothing is rebalanced before the membership has been unchanged for this long.
    pub calm: Duration,
    /// A device that was given to this node is not given on, to rebalance, before this.
    pub cooldown: Duration,
    /// Members must have been uneven for this long before those within their bounds are relieved.
    pub uneven: Duration,
    /// How often rebalancing is considered.
    pub rebalance: Duration,
    /// Devices that go in a minute for that: this many, or 1 % of the own devices if that is more.
    pub rebalance_moves: usize,
    /// How a node whose way to WhatsApp is broken tries it, and comes back.
    pub egress: Patience,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            hand_offs: 64,
            warm: Duration::from_secs(5),
            warm_drain: Duration::from_secs(60),
            sweep: Duration::from_secs(1),
            audit: Duration::from_secs(3),
            list: 10_000,
            calm: Duration::from_secs(10),
            cooldown: Duration::from_secs(600),
            uneven: Duration::from_secs(60),
            rebalance: Duration::from_secs(5),
            rebalance_moves: 1,
            egress: Patience::default(),
        }
    }
}
