//! Looks at the members all the time, and remembers when the lease of a life was over, and when it was no longer
//! among the living.
//!
//! What must hold: it is what an operator sees through the API, asked of any node that answers; a moment is
//! late by one look at most, and by more only when no node answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roost_proto::api::node::State;
use tokio::task::JoinHandle;

use crate::callers::Callers;
use crate::world::members;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Seen {
    living: BTreeSet<(String, i64)>,
    /// Since when those among the living who do not renew have had no lease.
    lapsed: BTreeMap<(String, i64), Instant>,
    gone: BTreeMap<(String, i64), Death>,
}

/// The end of a life, as it was seen from outside.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// Its lease was over, or it was certified dead before.
    pub detected: Instant,
    /// It was no longer among the living.
    pub buried: Instant,
}

/// A running watch. It ends with the value.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    pub fn start(lookers: Arc<Callers>) -> Watch {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(look(lookers, seen.clone()));
        Watch { seen, task }
    }

    /// Nodes whose lives have ended, and when.
    pub fn deaths(&self) -> Vec<(String, Death)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.gone.iter().map(|((node, _), death)| (node.clone(), *death)).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(lookers: Arc<Callers>, seen: Arc<Mutex<Seen>>) {
    loop {
        if let Ok(members) = members(&lookers).await {
            let now = Instant::now();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let Seen { living: before, lapsed, gone } = &mut *seen;
            let mut living = BTreeSet::new();
            for member in members.into_iter().filter(|member| member.state() != State::Dead) {
                let left = member.lease_remaining.unwrap_or_default();
                let life = (member.name, member.incarnation);
                if (left.seconds, left.nanos) > (0, 0) {
                    lapsed.remove(&life);
                } else {
                    lapsed.entry(life.clone()).or_insert(now);
                }
                living.insert(life);
            }
            for life in before.difference(&living) {
                let detected = lapsed.remove(life).unwrap_or(now);
                gone.entry(life.clone()).or_insert(Death { detected, buried: now });
            }
            *before = living;
        }
        tokio::time::sleep(LOOK).await;
    }
}
