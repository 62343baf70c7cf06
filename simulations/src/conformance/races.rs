//! Checks of what happens when an old owner and a new one write at the same time.

use roost_actors::port::{Batch, DeviceStoreError, StateKind};
use roost_proto::id::Age;

use super::World;
use super::world::{put, state, until};

pub(super) async fn a_take_over_ends_all_writes_of_the_old_owner(world: World) {
    let key = world.device("d1").await;
    let mut owner = world.active("n0").await;
    let mut grant = world.claim(&owner, &key).await;
    let successor_store = world.another().await;
    for round in 1..=4 {
        let taker = world.active(&format!("n{round}")).await;
        // The old owner writes as fast as it can, counting; it never looks at the clock.
        let writer = async {
            let mut acknowledged = 0;
            for n in 1..=10_000 {
                // A store that answers at once must not keep the others from running.
                tokio::task::yield_now().await;
                let batch =
                    Batch { state: vec![put(StateKind::Session, "n", &n.to_string())], ..Batch::default() };
                match world.ports.devices.commit(&grant, batch).await {
                    Ok(_) => acknowledged = n,
                    Err(DeviceStoreError::Fenced) => return acknowledged,
                    Err(DeviceStoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("never fenced");
        };
        let names = [state(StateKind::Session, "n")];
        let take = async {
            let begun = || async {
                let value = world
                    .ports
                    .devices
                    .read(&grant, Age(0), &names)
                    .await
                    .expect("still the owner")
                    .pop()??;
                (value.len() > 1).then_some(())
            };
            until("ten writes are in", begun).await;
            assert!(world.ledger().certify_death(&owner).await.expect("an answer"));
            let won = world.take_over(&taker, &owner, &key).await;
            let seen = successor_store.devices.read(&won, Age(0), &names).await.expect("read");
            (won, seen)
        };
        let (acknowledged, (won, seen)) = tokio::join!(writer, take);
        let after = successor_store.devices.read(&won, Age(0), &names).await.expect("read");
        assert_eq!(seen, after, "nothing landed after the take-over");
        let value: i64 =
            std::str::from_utf8(after[0].as_ref().expect("written")).expect("digits").parse().expect("n");
        assert!(value >= acknowledged, "an acknowledged write was lost: {value} < {acknowledged}");
        let reset = Batch { state: vec![put(StateKind::Session, "n", "0")], ..Batch::default() };
        successor_store.devices.commit(&won, reset).await.expect("committed");
        (owner, grant) = (taker, won);
    }
}
