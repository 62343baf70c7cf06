//! What the database's facts say of the members: leases, deaths, and its clock.
//!
//! Needs Joined, Beaten, Stood, Buried, Certified, ClockStepped. What must hold: it believes no row but adds the
//! facts up itself, by the rules that `Ledger` promises. It judges nothing.

use std::collections::BTreeMap;

use roost_placement::ledger::{MemberState, Timing};
use roost_proto::id::Life;

use super::millis;
use crate::history::{Fact, What};

/// One life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When its lease ends, by the database's clock.
    pub(super) lease_until: i64,
    /// Since when it was renewed without a gap.
    pub(super) since: i64,
    /// When it was last renewed, by the clock of the run.
    pub(super) renewed: u64,
    /// Whether its row says dead, or belongs to a later life.
    pub(super) dead: bool,
}

/// All lives that ever were.
#[derive(Debug, Clone)]
pub(super) struct Members {
    timing: Timing,
    lives: BTreeMap<Life, Standing>,
    /// The database's clock at the beginning of the run.
    origin: i64,
}

impl Members {
    pub(super) fn new(timing: Timing) -> Members {
        Members { timing, lives: BTreeMap::new(), origin: 0 }
    }

    /// What is known of a life.
    pub(super) fn get(&self, life: &Life) -> Option<Standing> {
        self.lives.get(life).copied()
    }

    /// Whether it is over for good.
    pub(super) fn is_dead(&self, life: &Life) -> bool {
        self.get(life).is_some_and(|standing| standing.dead)
    }

    /// The lives of this one's node, oldest first.
    pub(super) fn of_node(&self, life: &Life) -> impl Iterator<Item = (&Life, &Standing)> {
        self.lives.iter().filter(move |(other, _)| other.node == life.node)
    }

    /// The database's clock at a moment of the run, as the last fact with a reading shows it.
    pub(super) fn clock(&self, at: u64) -> i64 {
        self.origin + i64::try_from(at / 1000).unwrap_or(i64::MAX / 2)
    }

    /// Takes in a fact, after it was judged.
    pub(super) fn see(&mut self, fact: &Fact) {
        match &fact.what {
            What::Joined { life, clock, lease_until } => {
                self.read(*clock, fact.at);
                for (other, standing) in &mut self.lives {
                    standing.dead |= other.node == life.node;
                }
                let fresh =
                    Standing { lease_until: *lease_until, since: *clock, renewed: fact.at, dead: false };
                self.lives.insert(life.clone(), fresh);
            }
            What::Beaten { life, clock, lease_until, .. } => {
                self.read(*clock, fact.at);
                if let Some(standing) = self.lives.get_mut(life) {
                    if standing.lease_until < *clock || standing.since > *clock {
                        standing.since = *clock;
                    }
                    (standing.lease_until, standing.renewed) = (*lease_until, fact.at);
                }
                // Leases from before the clock went back are cut by whoever beats.
                let granted = millis(self.timing.ttl);
                for (_, other) in self.lives.iter_mut().filter(|(other, _)| *other != life) {
                    if other.lease_until > clock + 2 * granted {
                        other.lease_until = clock + granted;
                    }
                }
            }
            What::Buried { victim, clock, .. } => {
                self.read(*clock, fact.at);
                self.bury(victim);
            }
            What::Certified { victim: life } | What::Stood { life, state: MemberState::Dead } => {
                self.bury(life)
            }
            What::ClockStepped { millis } => self.origin += millis,
            _ => {}
        }
    }

    fn read(&mut self, clock: i64, at: u64) {
        self.origin = clock - i64::try_from(at / 1000).unwrap_or(i64::MAX / 2);
    }

    fn bury(&mut self, victim: &Life) {
        if let Some(standing) = self.lives.get_mut(victim) {
            standing.dead = true;
        }
    }
}
