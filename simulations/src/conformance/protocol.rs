//! Checks of the version of WhatsApp Web that operators choose.

use roost_placement::ledger::Beaten;
use roost_proto::id::Life;
use roost_proto::version::{Canary, ProtocolVersion, Rollout};

use super::World;
use super::world::LONG;

async fn view_epoch(world: &World, life: &Life) -> i64 {
    match world.ledger().beat(life, &0.into(), &LONG).await.expect("an answer") {
        Beaten::Renewed(view) => view.view_epoch,
        Beaten::Dead => panic!("{life} is dead"),
    }
}

pub(super) async fn a_chosen_version_is_kept_and_every_node_hears_of_it(world: World) {
    let node = world.active("a").await;
    let rows = &world.ports.directory;
    let none = rows.protocol().await.expect("an answer");
    assert_eq!((none.rollout, none.changed), (Rollout::default(), None));

    let (stable, tried) = (ProtocolVersion([2, 3000, 7]), ProtocolVersion([2, 3000, 8]));
    let devices = ["acme/a", "acme/b"].map(|name| {
        let name = name.replace('/', "/devices/");
        format!("tenants/{name}").parse().expect("an id")
    });
    let canary = Canary { version: tried, percent: 5, devices: devices.into() };
    let mut before = view_epoch(&world, &node).await;
    for step in 0..4 {
        let (done, wanted) = match step {
            0 => {
                let wanted = Rollout { stable: Some(stable), canary: None };
                (rows.choose_protocol(Some(stable)).await, wanted)
            }
            1 => {
                let wanted = Rollout { stable: Some(stable), canary: Some(canary.clone()) };
                (rows.try_protocol(Some(&canary)).await, wanted)
            }
            2 => {
                let wanted = Rollout { stable: Some(stable), canary: None };
                (rows.try_protocol(None).await, wanted)
            }
            _ => {
                rows.try_protocol(Some(&canary)).await.expect("an answer");
                (rows.choose_protocol(None).await, Rollout::default())
            }
        };
        let done = done.expect("an answer");
        assert_eq!(done.rollout, wanted, "step {step}");
        assert!(done.changed.is_some_and(|at| at.0 > 0), "step {step}");
        assert_eq!(rows.protocol().await.expect("an answer"), done);
        let after = view_epoch(&world, &node).await;
        assert!(after > before, "step {step}");
        before = after;
    }
}
