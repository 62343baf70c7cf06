//! The devices' port of a run's database: what it did is recorded at the moment of its commit.

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{
    Accepted, Batch, Committed, DeviceStore, DeviceStoreError, Loaded, StateKey, StateKind, StoredMessage,
};
use roost_placement::ledger::Grant;
use roost_proto::api::event::Payload;
use roost_proto::api::message_received::Content;
use roost_proto::id::{Age, Sequence};
use roost_proto::stanza::{self, Read as _};

use super::Database;
use crate::history::{Commit, Logged, What, short_digest};

/// WhatsApp's id of the received message that an event has, or says that it is given up.
fn received(payload: &Payload) -> Option<String> {
    match payload {
        Payload::MessageReceived(message) => Some(message.whatsapp_id.clone()),
        Payload::Undecryptable(message) => Some(message.whatsapp_id.clone()),
        _ => None,
    }
}

/// What a commit was, as far as the database sees it.
fn fact(grant: &Grant, batch: &Batch, done: &Committed) -> Commit {
    let events = batch.events.iter().zip(&done.events);
    let logged = events.filter_map(|(event, sequence)| {
        let sequence: Sequence = (*sequence)?;
        let message = match &event.payload {
            Payload::MessageReceived(message) => Some(message.whatsapp_id.clone()),
            _ => None,
        };
        Some(Logged { sequence, message })
    });
    let accepted = batch.accepts.iter().zip(&done.accepts);
    let accepted = accepted.filter(|(_, outcome)| matches!(outcome, Accepted::New { .. }));
    let wires = batch.messages.iter().filter_map(|update| {
        let wire = update.wire.as_ref()?;
        let id = stanza::decode(wire).ok()?.text("id")?.into_owned();
        Some((id, short_digest(wire)))
    });
    let awaited = batch.state.iter().filter(|(key, value)| key.kind == StateKind::Retry && value.is_some());
    Commit {
        grant: grant.clone(),
        events: logged.collect(),
        holds: batch.events.iter().filter_map(|event| received(&event.payload)).collect(),
        // Such a row has the names of the sender and of the message.
        awaits: awaited.filter_map(|(key, _)| Some(key.name.rsplit_once('/')?.1.to_owned())).collect(),
        ratchets: Vec::new(),
        wires: wires.collect(),
        accepts: accepted.map(|(new, _)| (new.request_id.clone(), new.whatsapp_id.clone())).collect(),
    }
}

/// Messages that a device of ours has now.
fn reached(grant: &Grant, batch: &Batch, done: &Committed) -> impl Iterator<Item = What> {
    let new = batch.events.iter().zip(&done.events).filter(|(_, sequence)| sequence.is_some());
    new.filter_map(|(event, _)| match &event.payload {
        Payload::MessageReceived(message) if !message.from_me => Some(What::Reached {
            receiver: grant.key.to_string(),
            sender: message.sender.as_ref().map(|sender| sender.lid.clone()).unwrap_or_default(),
            message: message.whatsapp_id.clone(),
            content: match &message.content {
                Some(Content::Text(text)) => short_digest(text.as_bytes()),
                _ => 0,
            },
        }),
        _ => None,
    })
}

#[async_trait]
impl DeviceStore for Database {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        let loaded = self.model.load(grant).await?;
        self.record.fact(What::Loaded(grant.clone()));
        Ok(loaded)
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
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        self.model.sent_messages(grant, whatsapp_ids).await
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        let done = self.model.commit(grant, batch.clone()).await.inspect_err(|error| {
            if matches!(error, DeviceStoreError::Fenced) {
                self.record.fact(What::Fenced(grant.clone()));
            }
        })?;
        self.record.fact(What::Committed(Box::new(fact(grant, &batch, &done))));
        reached(grant, &batch, &done).for_each(|fact| self.record.fact(fact));
        Ok(done)
    }
}
