//! A login storm: everything that one node had comes back at once, at the rate that the others may log in.
//!
//! What must hold: at no moment have the survivors logged in more than their rate and one burst each allow,
//! however they were delayed; the queue is seen by whoever watches the cluster. In which order they come is
//! decided, and tested, in the node's turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use roost_node::client::Client;
use roost_proto::api::WatchClusterRequest;
use rustix::process::Signal;

use crate::callers::Callers;
use crate::chaos::arena::{Arena, PATIENCE};
use crate::chaos::scenario::{Needs, Scenario};
use crate::chaos::verdict::Price;
use crate::world::{Failed, until};
use crate::{sightings, trouble};

/// The slowest that a busy machine may be: devices per second.
const SLOWEST: u32 = 10;

/// One node's devices come back.
pub const STORM: Scenario = Scenario {
    name: "login-storm",
    about: "Brings all devices to one node and kills it whole: the others log them in at their rate, and no faster.",
    needs: Needs::Nothing,
    price: Price::Nothing,
    play: |arena| Box::pin(storm(arena)),
};

async fn storm(arena: &mut Arena) -> Result<(), Failed> {
    while arena.another_round() {
        let devices = u32::try_from(arena.world.speakers.len())?;
        let patience = PATIENCE + Duration::from_secs((devices / SLOWEST).into());
        for place in 1..arena.world.nodes.len() {
            arena.world.nodes[place].signal_parent(Signal::TERM)?;
            match arena.world.nodes[place].ended(patience).await? {
                Some(status) if status.success() => {}
                ended => return Err(format!("{} did not end its drain: {ended:?}", arena.id(place)).into()),
            }
        }
        all_connected(arena, "the drain of all nodes but one", patience).await?;
        for node in &mut arena.world.nodes[1..] {
            node.spawn()?;
        }
        arena.world.all_active(PATIENCE).await?;

        let queue = Queue::watch(arena.world.lookers.clone());
        let began = (Instant::now(), SystemTime::now());
        let fault = arena.strike(0, "SIGKILL to its parent and worker, with all devices");
        trouble::kill_whole(&arena.world, 0)?;
        arena.world.nodes[0].ended(PATIENCE).await?;
        // The simulated WhatsApp sees the old connections end.
        let fewer = || async { sightings::connected(&arena.world.sim) < arena.world.speakers.len() };
        until("the connections of the dead node end", PATIENCE, fewer).await?;
        all_connected(arena, "the death of the node that had them all", patience).await?;
        let took = began.0.elapsed();
        arena.diary.mended(fault);
        let rate = arena.world.site.logins_per_second;
        let survivors = u32::try_from(arena.world.nodes.len() - 1)?;
        let logins = logins(arena, began.1);
        arena.diary.event(&format!(
            "{devices} devices were back after {took:.1?} at {survivors} times {rate} logins per second; at most \
             {} in one second, the longest queue that was seen: {}",
            most_in_a_second(&logins),
            queue.longest()
        ));
        if let Some((count, after)) = too_fast(&logins, survivors * rate) {
            return Err(format!("{count} logins within {after:?} are more than the rate allows").into());
        }
        arena.world.nodes[0].spawn()?;
        arena.settled("its return").await?;
    }
    Ok(())
}

async fn all_connected(arena: &Arena, what: &str, patience: Duration) -> Result<(), Failed> {
    let wanted = arena.world.speakers.len();
    let connected = || async { sightings::connected(&arena.world.sim) == wanted };
    until(&format!("all {wanted} devices are connected after {what}"), patience, connected).await
}

/// Spans from that moment to each login since, in order.
fn logins(arena: &Arena, began: SystemTime) -> Vec<Duration> {
    let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut logins: Vec<Duration> = Vec::new();
    for speaker in &arena.world.speakers {
        for connection in sightings::connections(&arena.world.sim, &speaker.phone_number) {
            let at = Duration::from_millis(u64::try_from(connection.login_at).unwrap_or(0));
            logins.extend(at.checked_sub(began));
        }
    }
    logins.sort_unstable();
    logins
}

fn most_in_a_second(logins: &[Duration]) -> usize {
    let second = Duration::from_secs(1);
    let within = |from: usize| logins[from..].iter().take_while(|at| **at < logins[from] + second).count();
    (0..logins.len()).map(within).max().unwrap_or_default()
}

/// The first moment at which there were more logins than a rate, and one burst of a second, allow: how many, after
/// how long.
fn too_fast(logins: &[Duration], rate: u32) -> Option<(usize, Duration)> {
    let allowed = |after: Duration| f64::from(rate) * (1.0 + after.as_secs_f64());
    let counted = logins.iter().enumerate().map(|(before, at)| (before + 1, *at));
    counted.into_iter().find(|(count, after)| *count as f64 > allowed(*after))
}

/// The devices that wait for their turn on all nodes together, as `WatchCluster` says.
struct Queue {
    longest: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Queue {
    fn watch(lookers: Arc<Callers>) -> Queue {
        let longest = Arc::new(AtomicU32::new(0));
        let seen = longest.clone();
        let task = tokio::spawn(async move {
            loop {
                // Whoever is asked may be the one that is killed.
                let _ = follow(&lookers, &seen).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Queue { longest, task }
    }

    fn longest(&self) -> u32 {
        self.longest.load(Ordering::Relaxed)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(lookers: &Callers, longest: &AtomicU32) -> Result<(), tonic::Status> {
    let watch = |client: Client| async move { client.cluster().watch_cluster(WatchClusterRequest {}).await };
    let mut stream = lookers.call(PATIENCE, watch).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        let waiting = answer.nodes.iter().filter_map(|node| node.waiting).sum();
        longest.fetch_max(waiting, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: &[u64]) -> Vec<Duration> {
        millis.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_burst_and_the_rate_are_allowed_and_no_more() {
        assert_eq!(too_fast(&at(&[0, 0, 500, 1000]), 2), None);
        assert_eq!(too_fast(&at(&[0, 0, 100]), 2), Some((3, Duration::from_millis(100))));
        assert_eq!(too_fast(&[], 2), None);
    }

    #[test]
    fn the_busiest_second_is_found() {
        assert_eq!(most_in_a_second(&at(&[0, 900, 1500, 1899, 4000])), 3);
    }
}
