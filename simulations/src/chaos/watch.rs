//! Looks at the members all the time, and remembers when the lease of a life was over, and when it was no longer
//! among the living.
//!
//! What must hold: it is what an operator sees through the API, asked of any node that answers; a moment is
//! late by one look at most, and by more only when no node answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roost_proto::api::ListNodesResponse;
use roost_proto::api::node::State;
use tokio::task::JoinHandle;

use crate::callers::Callers;
use crate::world::view;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Seen {
    /// Who was last seen among the living, and in which view: a node whose view is older knows nothing newer.
    living: BTreeMap<(String, i64), i64>,
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
        if let Ok(view) = view(&lookers).await {
            seen.lock().unwrap_or_else(PoisonError::into_inner).look(view, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Seen {
    fn look(&mut self, view: ListNodesResponse, now: Instant) {
        let Seen { living, lapsed, gone } = self;
        let mut here = BTreeSet::new();
        for member in view.nodes.into_iter().filter(|member| member.state() != State::Dead) {
            let left = member.lease_remaining.unwrap_or_default();
            let life = (member.name, member.incarnation);
            if gone.contains_key(&life) {
                continue;
            }
            if (left.seconds, left.nanos) > (0, 0) {
                lapsed.remove(&life);
            } else {
                lapsed.entry(life.clone()).or_insert(now);
            }
            let last = living.entry(life.clone()).or_default();
            *last = view.view_epoch.max(*last);
            here.insert(life);
        }
        let ended = |life: &(String, i64), last: &mut i64| !here.contains(life) && *last <= view.view_epoch;
        for (life, _) in living.extract_if(.., ended) {
            let detected = lapsed.remove(&life).unwrap_or(now);
            gone.insert(life, Death { detected, buried: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roost_proto::api::{self, Node};

    use super::*;

    fn view(view_epoch: i64, lives: &[(i64, i64)]) -> ListNodesResponse {
        let node = |(incarnation, left): &(i64, i64)| Node {
            name: "n1".to_owned(),
            incarnation: *incarnation,
            lease_remaining: Some(api::Duration { seconds: *left, nanos: 0 }),
            ..Node::default()
        };
        ListNodesResponse { nodes: lives.iter().map(node).collect(), view_epoch, ..Default::default() }
    }

    #[test]
    fn a_life_ends_when_a_view_as_new_as_the_last_one_with_it_lacks_it() {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        seen.look(view(5, &[(1, 2)]), at(0));
        seen.look(view(4, &[]), at(1));
        assert!(seen.gone.is_empty(), "that node has not heard of it yet");
        seen.look(view(5, &[(1, 0)]), at(2));
        seen.look(view(7, &[(2, 2)]), at(3));
        seen.look(view(5, &[(1, 2)]), at(4));
        seen.look(view(7, &[(2, 2)]), at(5));
        let [(life, death)] = &seen.gone.into_iter().collect::<Vec<_>>()[..] else { panic!("one has ended") };
        assert_eq!((life.1, death.detected, death.buried), (1, at(2), at(3)));
    }
}
