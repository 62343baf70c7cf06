//! What has waited at WhatsApp while nobody was there.

use roost_proto::api::event::{Origin, Payload};
use roost_proto::api::message_received::Content;

use crate::scene::{Scene, until};

/// More than WhatsApp hands out by itself, and than the device asks for at once.
const TEXTS: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_backlog_is_pulled_in_batches_and_told_in_order() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    ada.stop().await;
    let texts: Vec<String> = (0..TEXTS).map(|number| number.to_string()).collect();
    for text in &texts {
        scene.server.phone_sends(eve, &ada.number(), text).expect("sent");
    }
    ada.taken_over().await;
    until("all have come", || async { ada.texts().await == texts }).await;
    let batches = scene.server.ledger(|ledger| ledger.of(&ada.name()).map(|record| record.batches));
    assert!(batches.is_some_and(|batches| batches >= 3), "{batches:?}");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_say_where_they_came_from() {
    let scene = Scene::new().await;
    let mut ada = scene.paired("ada").await;
    let eve = scene.server.account(None, Some("eve"));
    ada.stop().await;
    scene.server.phone_sends(eve, &ada.number(), "while away").expect("sent");
    ada.taken_over().await;
    until("it came", || async { ada.texts().await == ["while away"] }).await;
    let events = ada.events().await;
    let message = events.iter().find(|event| matches!(event.payload, Payload::MessageReceived(_)));
    assert_eq!(message.map(|event| event.origin), Some(Origin::OfflineQueue));
    let text = message.and_then(|event| match &event.payload {
        Payload::MessageReceived(message) => message.content.clone(),
        _ => None,
    });
    assert_eq!(text, Some(Content::Text("while away".to_owned())));
    let owners = events.iter().filter(|event| matches!(event.payload, Payload::OwnershipChanged(_)));
    assert_eq!(owners.count(), 2);
    ada.stop().await;
}
