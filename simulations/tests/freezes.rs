//! Real nodes on PostgreSQL that stand still for longer than their lease, in the middle of a transaction
//! too, and nodes that die whole, parent and worker: survivors take over by the lease, and nothing is
//! lost, doubled or encrypted twice, also when the sleeper wakes.

use std::path::PathBuf;
use std::time::Duration;

use roost_simulations::postgres::TempPostgres;
use roost_simulations::world::{Plan, World};
use roost_simulations::{sightings, trouble};
use rustix::process::Signal;

const DATABASE: &str = "freezes";
const PATIENCE: Duration = Duration::from_secs(60);

/// No transaction that a node left open holds a take-over up for longer: 2.6 s until the burial, a second
/// that the session may idle, and much room for a busy machine.
const HELD_UP: Duration = Duration::from_secs(10);

/// What happens to the busiest node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// Its worker is frozen inside a transaction that has passed the fence.
    FrozenInTransaction,
    /// Its worker is frozen wherever it is.
    Frozen,
    /// Parent and worker are killed at once.
    KilledWhole,
}

const BLOWS: [Blow; 5] = [
    Blow::FrozenInTransaction,
    Blow::Frozen,
    Blow::KilledWhole,
    Blow::FrozenInTransaction,
    Blow::KilledWhole,
];

#[tokio::test(flavor = "multi_thread")]
async fn frozen_and_wholly_dead_nodes_are_taken_over_and_nothing_is_lost() {
    let server = TempPostgres::start().expect("PostgreSQL can be started");
    let database = server.database(DATABASE).expect("a database can be made");
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
        store_url: Some(database),
        nodes: 3,
        tenants: 3,
        devices_each: 2,
    };
    let mut world = World::build(&plan, |_| ()).await.expect("the world can be built");
    let mut talk = world.talk(6, Duration::from_millis(30));
    for (round, blow) in BLOWS.into_iter().enumerate() {
        let place = world.busiest(None).await.expect("somebody owns devices");
        let orphans = trouble::orphans_of(&world, place).await.expect("the API answers");
        let old = trouble::lives_of(&world, place).await.expect("the API answers");
        let cause = match blow {
            Blow::FrozenInTransaction => {
                trouble::freeze_in_transaction(&world, place, &server, DATABASE).await
            }
            Blow::Frozen => trouble::freeze(&world, place).await,
            Blow::KilledWhole => trouble::kill_whole(&world, place),
        };
        let cause =
            cause.unwrap_or_else(|error| panic!("round {round}, {blow:?}: {error}\n{}", world.logs(40)));
        let taken = trouble::follow(&world, place, &orphans, &old, cause, PATIENCE).await;
        let taken =
            taken.unwrap_or_else(|error| panic!("round {round}, {blow:?}: {error}\n{}", world.logs(40)));
        println!(
            "{blow:?}: {} devices, found after {:?}, claimed after {:?}, logins p50 / p99 {}",
            orphans.len(),
            taken.detected,
            taken.claimed,
            taken.logins.summary()
        );
        assert!(taken.claimed < HELD_UP, "round {round}, {blow:?}: claimed after {:?}", taken.claimed);
        match blow {
            Blow::KilledWhole => {
                assert!(world.nodes[place].worker().is_none(), "the worker outlived its parent");
                let gone = world.nodes[place].ended(PATIENCE).await.expect("it can be waited for");
                assert!(gone.is_some_and(|status| !status.success()));
                world.nodes[place].spawn().expect("it starts again");
            }
            Blow::Frozen | Blow::FrozenInTransaction => {
                assert!(world.nodes[place].signal_worker(Signal::CONT).expect("a signal"), "it sleeps still");
            }
        }
        world.all_active(PATIENCE).await.unwrap_or_else(|error| panic!("{error}\n{}", world.logs(40)));
    }
    let refused = talk.hush().await;
    assert!(refused.is_empty(), "{refused:?}\n{}", world.logs(40));
    let arrived = talk.all_arrived(&world.books, PATIENCE).await;
    let balance = world.books.with(|tally| tally.balance());
    println!("{balance:?}, key reuse {}", sightings::key_reuse(&world.sim));
    assert!(arrived, "{balance:?}\n{}", world.logs(40));
    assert_eq!(balance.once, balance.sent, "{balance:?}");
    assert!(balance.faults.is_empty(), "{balance:?}");
    assert_eq!(sightings::key_reuse(&world.sim), 0);
}
