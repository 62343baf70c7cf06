//! Scenarios of `roost chaos run`, small and short, each with a clean verdict: three real nodes, a real
//! database, one or two faults. What a machine does not allow is not run, and only then.

#[path = "chaos/stopped.rs"]
mod stopped;

use std::path::PathBuf;
use std::time::Duration;

use roost_simulations::chaos::arena::Pace;
use roost_simulations::chaos::run::{Outcome, Ran, run};
use roost_simulations::chaos::scenario::named;

/// Runs it; `None` where this machine does not allow it.
async fn ran(name: &str, rounds: usize) -> Option<Box<Ran>> {
    let pace = Pace {
        program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
        seed: 7,
        nodes: 3,
        devices: 6,
        duration: Duration::from_secs(4),
        rounds: Some(rounds),
        ..Pace::default()
    };
    let scenario = named(name).expect("it is in the list");
    match run(scenario, &pace).await {
        Outcome::Ran(ran) => Some(ran),
        Outcome::Skipped(missing) => {
            println!("{name} needs {missing}");
            assert!(scenario.missing(&pace).is_some());
            None
        }
    }
}

async fn is_clean(name: &str, rounds: usize) -> Option<Box<Ran>> {
    let ran = ran(name, rounds).await?;
    assert!(ran.verdict.is_clean(), "{}\nlogs: {:?}", ran.verdict.text(), ran.logs);
    println!("{}", ran.verdict.text());
    Some(ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_cost_nothing_and_every_phase_of_their_take_over_is_measured() {
    let Some(ran) = is_clean("worker-kills", 2).await else { panic!("it needs nothing") };
    let phases = &ran.verdict.findings.take_overs;
    let found = [&phases.detected, &phases.buried];
    for spans in found.into_iter().chain([&phases.claimed, &phases.logged_in, &phases.first_event]) {
        assert!(!spans.is_empty(), "{}", ran.verdict.text());
    }
    assert_eq!(ran.timeline.held_twice(), []);
    assert!(ran.timeline.html().contains("SIGKILL to its worker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_from_the_database_loses_nothing() {
    is_clean("database-cut", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_hands_everything_off_and_loses_nothing() {
    let Some(ran) = is_clean("rolling-restart", 1).await else { panic!("it needs nothing") };
    assert!(!ran.verdict.findings.hand_offs.is_empty(), "{}", ran.verdict.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_synchronous_standby_loses_nothing() {
    is_clean("failover-synchronous", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_free_connections_costs_time_only() {
    is_clean("connection-limit", 1).await;
}
