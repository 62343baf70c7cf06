//! Three real nodes on PostgreSQL, conversations under way, and the busiest owner killed twenty times in a
//! row: nothing is lost, doubled, out of order or sent under a used key.

use std::path::PathBuf;
use std::time::Duration;

use roost_simulations::postgres::TempPostgres;
use roost_simulations::world::{Plan, World};
use roost_simulations::{sightings, trouble};

const KILLS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_of_the_busiest_owner_lose_and_double_nothing() {
    let server = TempPostgres::start().expect("PostgreSQL can be started");
    let database = server.database("kills").expect("a database can be made");
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_roost")),
        store_url: Some(database),
        nodes: 3,
        tenants: 4,
        devices_each: 3,
    };
    let world = World::build(&plan, |what| println!("{what}")).await.expect("the world can be built");
    let mut talk = world.talk(6, Duration::from_millis(100));
    let mut killed: Vec<usize> = Vec::new();
    for round in 1..=KILLS {
        // Of two that are as busy, not always the same: no parent starts its worker so often in so short a time.
        let spared = killed.iter().rev().nth(1).copied();
        let place = world.busiest(spared).await.expect("somebody owns devices");
        killed.push(place);
        let orphans = trouble::orphans_of(&world, place).await.expect("the API answers");
        let old = trouble::lives_of(&world, place).await.expect("the API answers");
        let cause = trouble::kill(&world, place).expect("there is a worker");
        let taken = trouble::follow(&world, place, &orphans, &old, cause, PATIENCE).await;
        let taken = taken.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", world.logs(40)));
        println!("round {round}: {} devices, logins p50 / p99 {}", orphans.len(), taken.logins.summary());
        world.all_active(PATIENCE).await.unwrap_or_else(|error| panic!("{error}\n{}", world.logs(40)));
    }
    let refused = talk.hush().await;
    assert!(refused.is_empty(), "{refused:?}\n{}", world.logs(40));
    let arrived = talk.all_arrived(&world.books, PATIENCE).await;
    let balance = world.books.with(|tally| tally.balance());
    assert!(arrived, "{balance:?}\n{}", world.logs(40));
    println!("{balance:?}, key reuse {}", sightings::key_reuse(&world.sim));
    assert_eq!(balance.once, balance.sent, "{balance:?}");
    assert!(balance.sent > KILLS, "{balance:?}");
    assert!(balance.faults.is_empty(), "{balance:?}");
    assert_eq!(sightings::key_reuse(&world.sim), 0);
}
