//! The lease runs out between the decision to write something and the write.

use std::time::Duration;

use roost_actors::device::{AskError, DeviceHandle};
use roost_proto::ask::numbers::{CheckNumbers, Number};

use crate::scene::{Device, Scene, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks WhatsApp something and has the lease run out after the machine has decided to, so that the question is on its
/// way to the wire. When somebody has found the lease over, the database is in this age, and then the lease is good again.
async fn asked_in_a_lapse(scene: &Scene, ada: &Device<'_>, age: i64) -> Result<Vec<Number>, AskError> {
    let ask = async |device: DeviceHandle| {
        device.ask(&CheckNumbers { numbers: vec!["4915112345678".to_owned()] }, PATIENCE).await
    };
    loop {
        let seen = scene.clocks.lapses_seen();
        scene.clocks.lapses_after_a_look();
        let device = ada.handle().clone();
        let asked = async {
            until("the lease is found over", || async { scene.clocks.lapses_seen() > seen }).await;
            scene.clocks.age_is(age);
            scene.clocks.may_act(true);
        };
        match tokio::join!(ask(device), asked).0 {
            // Something else of the device has looked first, and the question was not asked.
            Err(AskError::Unavailable) => scene.clocks.age_is(0),
            answer => return answer,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_lease_catches_on_its_way_to_the_wire_goes_out_when_it_runs_again() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let logins = ada.logins();
    for _ in 0..5 {
        let answer = asked_in_a_lapse(&scene, &ada, 0).await.expect("it is answered after all");
        assert_eq!(answer.len(), 1);
    }
    assert_eq!(ada.logins(), logins, "the connection stayed");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_lease_has_caught_never_goes_out_when_the_database_has_lost_a_tail_meanwhile() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let logins = ada.logins();
    let answer = asked_in_a_lapse(&scene, &ada, 1).await;
    assert_eq!(answer, Err(AskError::Lost));
    until("it logs in anew", || async { ada.logins() > logins }).await;
    ada.stop().await;
}
