//! A device that its new owner still loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{Batch, Committed, DeviceStore, DeviceStoreError, Loaded, StateKey, StoredMessage};
use roost_placement::ledger::Grant;
use roost_proto::api::MoveDeviceRequest;
use roost_proto::api::message::State;
use roost_proto::api::send_message_request::WaitFor;
use roost_proto::id::Age;
use roost_simulations::model::Model;
use tokio::sync::watch;

use crate::live::{Live, send, text};
use crate::world::until;

const LIMIT: Duration = Duration::from_secs(60);

/// The model, behind an adapter that hands out no device's state while it is told not to.
pub(crate) struct Loads {
    model: Arc<Model>,
    held: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Loads {
    pub(crate) fn new(model: Arc<Model>) -> Loads {
        Loads { model, held: watch::Sender::new(false), waiting: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl DeviceStore for Loads {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // It ends with the test.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.model.load(grant).await
    }

    async fn read(
        &self,
        grant: &Grant,
        age: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError> {
        self.model.read(grant, age, keys).await
    }

    async fn sent_messages(
        &self,
        grant: &Grant,
        ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        self.model.sent_messages(grant, ids).await
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        self.model.commit(grant, batch).await
    }
}

#[tokio::test]
async fn a_call_waits_for_a_device_that_its_owner_still_loads() {
    let live = Live::new(2).await;
    let (name, owner, other, _) = live.online("shop").await;
    live.loads.held.send_replace(true);
    let moving =
        MoveDeviceRequest { name: name.clone(), target: format!("n{}", other + 1), allow_downgrade: false };
    live.at(owner).cluster().move_device(moving).await.expect("moved");
    until("the target loads it", || async { (live.loads.waiting.load(Ordering::SeqCst) > 0).then_some(()) })
        .await;
    let friend = live.friend();
    let mut calls = [owner, other].map(|place| {
        let request = text(&name, friend, &format!("through {place}"), WaitFor::ServerAck);
        tokio::spawn(send(live.at(place), request, LIMIT))
    });
    for call in &mut calls {
        let early = tokio::time::timeout(Duration::from_millis(200), call).await;
        assert!(early.is_err(), "{early:?}");
    }
    live.loads.held.send_replace(false);
    for call in calls {
        let sent = call.await.expect("no panic").expect("it is sent");
        assert!(sent.state() as i32 >= State::Sent as i32, "{sent:?}");
    }
}
