//! Looks at the members all the time, and remembers when a life was no longer among the living.
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
    gone: BTreeMap<(String, i64), Instant>,
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
    pub fn deaths(&self) -> Vec<(String, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.gone.iter().map(|((node, _), at)| (node.clone(), *at)).collect()
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
            let living = members.into_iter().filter(|member| member.state() != State::Dead);
            let living: BTreeSet<_> = living.map(|member| (member.name, member.incarnation)).collect();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let Seen { living: before, gone } = &mut *seen;
            for life in before.difference(&living) {
                gone.entry(life.clone()).or_insert_with(Instant::now);
            }
            *before = living;
        }
        tokio::time::sleep(LOOK).await;
    }
}
