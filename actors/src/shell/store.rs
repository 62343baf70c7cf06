//! The store actor: the only place of a device that writes.
//!
//! What must hold: one write at a time, and none while the node may not act. A supervisor that waits for
//! this actor to stop knows that no write is under way any more.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use roost_placement::ledger::Grant;

use super::supervisor::{Child, Input};
use crate::port::{Batch, Clocks, DeviceStore, DeviceStoreError};

/// What the actor is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// Read what a new owner begins with.
    Load,
    /// Write.
    Commit(Arc<Batch>),
    /// Find messages that this device sent.
    Lookup(u64, Vec<String>),
}

/// What it starts with.
pub(super) struct Arguments {
    pub(super) store: Arc<dyn DeviceStore>,
    pub(super) clocks: Arc<dyn Clocks>,
    pub(super) grant: Grant,
    /// The device is ending: nothing is tried again.
    pub(super) closing: Arc<AtomicBool>,
    /// Which set of children it belongs to.
    pub(super) life: u32,
    pub(super) supervisor: ActorRef<Input>,
}

pub(super) struct StoreActor;

impl Actor for StoreActor {
    type Msg = Message;
    type State = Arguments;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<Arguments, ActorProcessingErr> {
        Ok(arguments)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut Arguments,
    ) -> Result<(), ActorProcessingErr> {
        let told = match message {
            Message::Load => state
                .until_answered(|| state.store.load(&state.grant))
                .await
                .map(|loaded| Child::Loaded(loaded.map(Box::new).map_err(|error| error.to_string()))),
            Message::Lookup(token, ids) => {
                let found = state.until_answered(|| state.store.sent_messages(&state.grant, &ids)).await;
                found.map(|messages| Child::Found(token, messages.unwrap_or_default()))
            }
            Message::Commit(batch) => Some(state.commit(&batch).await),
        };
        if let Some(child) = told {
            let _ = state.supervisor.send_message(Input::Child(state.life, child));
        }
        Ok(())
    }
}

impl Arguments {
    async fn commit(&self, batch: &Batch) -> Child {
        if !self.clocks.may_act() || self.closing.load(Ordering::Acquire) {
            return Child::CommitFailed;
        }
        match self.store.commit(&self.grant, batch.clone()).await {
            Ok(committed) => Child::Committed(committed),
            Err(DeviceStoreError::Fenced) => Child::Fenced,
            Err(error) => {
                tracing::debug!(%error, device = %self.grant.key, "commit");
                Child::CommitFailed
            }
        }
    }

    /// Asks until the store answers. `None` when the device ends or is fenced, which the supervisor is told.
    async fn until_answered<T, F: Future<Output = Result<T, DeviceStoreError>> + Send>(
        &self,
        ask: impl Fn() -> F + Send,
    ) -> Option<Result<T, DeviceStoreError>> {
        let mut pause = Duration::from_millis(50);
        while !self.closing.load(Ordering::Acquire) {
            match ask().await {
                Ok(answer) => return Some(Ok(answer)),
                Err(DeviceStoreError::Fenced) => {
                    let _ = self.supervisor.send_message(Input::Child(self.life, Child::Fenced));
                    return None;
                }
                Err(DeviceStoreError::Unavailable(error)) => {
                    tracing::debug!(%error, device = %self.grant.key, "the store does not answer");
                }
                Err(damaged @ DeviceStoreError::Damaged { .. }) => return Some(Err(damaged)),
            }
            tokio::time::sleep(self.spread(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        None
    }

    /// Half of a pause to all of it, otherwise for each device: those of a node must not all come back at once.
    fn spread(&self, pause: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (&self.grant.key, pause).hash(&mut hasher);
        let share = (hasher.finish() >> 32) as f64 / f64::from(u32::MAX);
        pause.mul_f64(0.5 + share / 2.0)
    }
}
