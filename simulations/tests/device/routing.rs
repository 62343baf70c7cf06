//! Where in WhatsApp a connection goes: where the one before was told to.

use roost_proto::api::device::State;
use roost_simulations::wa::Fault;

use crate::scene::{Scene, until};

#[tokio::test]
async fn a_connection_goes_where_the_one_before_was_told_to() {
    let scene = Scene::new().await;
    let ada = scene.paired("ada").await;
    let routed = || {
        let records = scene.server.ledger(|ledger| ledger.devices().clone());
        records
            .into_iter()
            .find(|(device, _)| device.to_string() == ada.name())
            .map(|(_, record)| record.routed)
    };
    let before = routed().expect("it has logged in");
    scene.server.commit(&Fault::DropConnection { device: Some(ada.name()) }).expect("known");
    until("it comes back", || async { routed() > Some(before) }).await;
    ada.state(State::Online).await;
    ada.stop().await;
}
