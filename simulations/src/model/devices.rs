//! The devices' port of the model. What may be impossible in a batch is looked for first, so that all of
//! it is written or nothing.

use std::collections::btree_map::Entry;

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{
    Accepted, Batch, CastVote, ChosenId, Committed, DeviceStore, DeviceStoreError, Loaded, MessageState,
    MessageUpdate, NewMessage, SOUGHT, StateKey, StateKind, StoredMessage, Sweep, rank,
};
use roost_node::directory::{ASIDE, LoggedEvent};
use roost_placement::heads::Heads;
use roost_placement::ledger::{Grant, Unavailable};
use roost_placement::seeded::{self, Bug};
use roost_proto::api::event::Origin;
use roost_proto::id::{Age, Sequence, UnixMillis};

use super::Model;
use super::tables::{DeviceRow, Tables};

/// Our own message id was given twice: nothing that a store can write.
#[derive(Debug, thiserror::Error)]
#[error("the message id {0} is taken")]
struct IdTaken(String);

/// The device's row, if the grant stands.
fn fenced<'a>(tables: &'a mut Tables, grant: &Grant) -> Result<&'a mut DeviceRow, DeviceStoreError> {
    if !tables.stands(grant) {
        return Err(DeviceStoreError::Fenced);
    }
    tables.devices.get_mut(&grant.key).ok_or(DeviceStoreError::Fenced)
}

/// The device's row, if the grant stands for this write. The row is held until the commit, so the moment at
/// which that was seen does not matter; for a planted defect it does.
fn fenced_write<'a>(
    tables: &'a mut Tables,
    grant: &Grant,
    batch: &Batch,
    now: i64,
) -> Result<&'a mut DeviceRow, DeviceStoreError> {
    let mut passes = seeded::on(Bug::UnfencedStatus) && batch.status.is_some();
    if seeded::on(Bug::PlainFence) {
        let snapshot = tables.snapshot(now);
        passes = tables.owner_at(&grant.key, snapshot) == Some((&grant.life, grant.epoch));
    }
    if passes {
        return tables.devices.get_mut(&grant.key).ok_or(DeviceStoreError::Fenced);
    }
    fenced(tables, grant)
}

/// Refuses new requests with a message id that an older request has.
fn check(row: &DeviceRow, accepts: &[NewMessage]) -> Result<(), DeviceStoreError> {
    let stored = row.messages.values().map(|stored| &stored.message);
    let mut known: Vec<&NewMessage> = stored.collect();
    for new in accepts {
        if known.iter().any(|old| old.request_id == new.request_id) {
            continue;
        }
        if known.iter().any(|old| old.message_id == new.message_id) {
            return Err(Unavailable(Box::new(IdTaken(new.message_id.clone()))).into());
        }
        known.push(new);
    }
    Ok(())
}

fn accept(row: &mut DeviceRow, new: NewMessage, chosen: Option<&ChosenId>, now: i64) -> Accepted {
    if let Some(known) = row.messages.values().find(|m| m.message.request_id == new.request_id) {
        return match known.message.request_hash == new.request_hash {
            true => Accepted::Repeated(Box::new(known.clone())),
            false => Accepted::KeyReused,
        };
    }
    if let Some(chosen) = chosen {
        let mut sent = row.messages.values().map(|stored| &stored.message.whatsapp_id);
        if sent.any(|id| *id == new.whatsapp_id) || chosen.taken_by.iter().any(|key| row.dedupe.contains(key))
        {
            return Accepted::IdTaken;
        }
        row.dedupe.extend(chosen.taken_by.first().cloned());
    }
    row.last_ordinal += 1;
    row.last_at = now;
    let ordinal = row.last_ordinal;
    let stored = StoredMessage::accepted(new, ordinal);
    row.messages.insert(ordinal, stored);
    Accepted::New { ordinal }
}

fn update(row: &mut DeviceRow, update: MessageUpdate) {
    let found = row.messages.values_mut().find(|m| m.message.message_id == update.message_id);
    let Some(message) = found else { return };
    if rank(update.state) > rank(message.state) {
        message.state = update.state;
    }
    message.wire = update.wire.or(message.wire.take());
    message.failure = update.failure.or(message.failure.take());
    let time = match update.state {
        MessageState::Sending => &mut message.sent,
        MessageState::Sent => &mut message.server_ack,
        MessageState::Delivered => &mut message.delivered,
        MessageState::Read | MessageState::Played => &mut message.read,
        _ => return,
    };
    // The first time counts.
    *time = time.or(Some(update.at));
}

fn apply(row: &mut DeviceRow, grant: &Grant, batch: Batch, age: Age, now: i64) -> Committed {
    let mut done = Committed::default();
    for event in batch.events {
        if !row.dedupe.insert(event.dedupe) {
            done.events.push(None);
            continue;
        }
        row.last_seq += 1;
        if seeded::on(Bug::SequenceFromCache) {
            let remembered = row.remembered.entry(grant.life.clone()).or_insert(row.last_seq - 1);
            *remembered += 1;
            row.last_seq = *remembered;
        }
        row.last_at = now;
        let sequence = Sequence(row.last_seq);
        let logged = LoggedEvent {
            key: grant.key.clone(),
            sequence,
            epoch: grant.epoch,
            occurred: event.occurred,
            committed: UnixMillis(now),
            origin: event.origin,
            payload: event.payload,
            age,
        };
        row.events.insert(sequence.0, logged);
        done.events.push(Some(sequence));
    }
    for new in batch.accepts {
        let chosen = batch.chosen.iter().find(|chosen| chosen.message_id == new.message_id);
        done.accepts.push(accept(row, new, chosen, now));
    }
    for change in batch.messages {
        update(row, change);
    }
    for (key, value) in batch.state {
        match value {
            Some(value) => row.state.insert(key, value),
            None => row.state.remove(&key),
        };
    }
    if let Some(sweep) = batch.sweep {
        let stale = row.state.keys().filter(|key| sweep.takes(key)).take(Sweep::ROWS);
        let stale: Vec<StateKey> = stale.cloned().collect();
        done.swept = Some(stale.len());
        row.state.retain(|key, _| !stale.contains(key));
    }
    for CastVote { ballot, vote } in batch.votes {
        match row.votes.entry((ballot, vote.voter.clone())) {
            Entry::Occupied(kept) if kept.get().cast > vote.cast => {}
            Entry::Occupied(mut kept) => _ = kept.insert(vote),
            Entry::Vacant(place) => _ = place.insert(vote),
        }
    }
    for stanza in batch.quarantine {
        row.quarantine.entry(stanza.dedupe.clone()).or_insert(stanza);
    }
    while row.quarantine.len() > usize::from(ASIDE) {
        let oldest =
            row.quarantine.values().min_by_key(|stanza| stanza.at).map(|stanza| stanza.dedupe.clone());
        row.quarantine.remove(&oldest.expect("there is one"));
    }
    row.status = batch.status.or(row.status.take());
    done
}

fn in_outbox(message: &StoredMessage) -> bool {
    matches!(message.state, MessageState::Accepted | MessageState::Queued | MessageState::Sending)
}

#[async_trait]
impl DeviceStore for Model {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        self.step(|tables, _| {
            let age = Age(tables.cluster_epoch);
            let row = fenced(tables, grant)?;
            let mut last = row.events.values().rev().take(32);
            let state = row.state.iter().filter(|(key, _)| !StateKind::ON_DEMAND.contains(&key.kind));
            Ok(Loaded {
                state: state.map(|(key, value)| (key.clone(), value.clone())).collect(),
                outbox: row.messages.values().filter(|message| in_outbox(message)).cloned().collect(),
                status: row.status.clone(),
                active: last
                    .find(|event| !matches!(event.origin, Origin::Synthetic | Origin::History))
                    .map(|event| event.committed),
                age,
                heads: Heads { event: row.last_seq, accepted: row.last_ordinal },
                proxy: row.proxy.clone(),
            })
        })?
    }

    async fn read(
        &self,
        grant: &Grant,
        age: Age,
        keys: &[StateKey],
    ) -> Result<Vec<Option<Bytes>>, DeviceStoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.step(|tables, _| {
            tables.in_age(age)?;
            let row = fenced(tables, grant)?;
            Ok(keys.iter().map(|key| row.state.get(key).cloned()).collect())
        })?
    }

    async fn sent_messages(
        &self,
        grant: &Grant,
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        self.step(|tables, _| {
            let row = fenced(tables, grant)?;
            let first = |id: &String| row.messages.values().find(|m| m.message.whatsapp_id == *id).cloned();
            let mut found: Vec<StoredMessage> = whatsapp_ids.iter().take(SOUGHT).filter_map(first).collect();
            found.sort_by_key(|message| message.ordinal);
            found.dedup_by_key(|message| message.ordinal);
            Ok(found)
        })?
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        let done = self.step(|tables, now| {
            let age = batch.age;
            tables.in_age(age)?;
            let row = fenced_write(tables, grant, &batch, now)?;
            check(row, &batch.accepts)?;
            let done = apply(row, grant, batch, age, now);
            // Nobody may be watching.
            let _ = self.commits.send(grant.key.clone());
            Ok(done)
        });
        done?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, system_clock};
    use roost_node::directory::Directory;
    use roost_placement::ledger::{Candidate, Ledger, MemberState, Timing};

    #[tokio::test]
    async fn an_injected_fault_hits_one_call_and_tells_nothing_of_the_outcome() {
        let model = Model::new(system_clock());
        let candidate = Candidate {
            node: "n1".parse().expect("id"),
            address: String::new(),
            zone: String::new(),
            weight: 100,
            version: 1,
        };
        let me = model.join(&candidate, None, &Timing::PATIENT).await.expect("joined");
        assert!(model.set_state(&me, MemberState::Active).await.expect("an answer"));
        model.create_tenant(&"acme".parse().expect("id"), "").await.expect("made");
        let key = "tenants/acme/devices/d1".parse().expect("a key");
        model.create_device(&key, "", None).await.expect("made");
        let grant = model.claim(&me, None, &[key]).await.expect("an answer").remove(0);

        let put = |value: &'static str| Batch {
            state: vec![(
                StateKey { kind: StateKind::Session, name: "x".into() },
                Some(Bytes::from_static(value.as_bytes())),
            )],
            ..Batch::default()
        };
        let keys = [StateKey { kind: StateKind::Session, name: "x".into() }];
        model.fates([Some(Fault::Refused), None, Some(Fault::AnswerLost)]);
        let refused = model.commit(&grant, put("refused")).await;
        assert!(matches!(refused, Err(DeviceStoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(model.read(&grant, Age(0), &keys).await.expect("read"), [None]);
        let lost = model.commit(&grant, put("lost")).await;
        assert!(matches!(lost, Err(DeviceStoreError::Unavailable(_))), "{lost:?}");
        assert_eq!(model.read(&grant, Age(0), &keys).await.expect("read"), [Some(Bytes::from("lost"))]);
        model.set_down(true);
        assert!(model.beat(&me, &0.into(), &Timing::PATIENT).await.is_err());
        model.set_down(false);
        assert!(model.beat(&me, &0.into(), &Timing::PATIENT).await.is_ok());
    }
}
