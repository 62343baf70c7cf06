//! The devices' port on the store: grants in, sealed rows below, opened values out.
//!
//! What must hold: every read stands under the grant; every write goes through the committer, whose
//! transactions begin with the fence.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use async_trait::async_trait;
use bytes::Bytes;
use roost_actors::port::{
    Accepted, Batch, Committed, DeviceStore, DeviceStoreError, Loaded, SOUGHT, StateKey, StoredMessage,
};
use roost_placement::heads::Heads;
use roost_placement::ledger::Grant;
use roost_proto::id::{Age, Sequence, UnixMillis};
use serde_json::{Value, json};

use super::Store;
use super::fenced::{AcceptedRow, Written};
use super::names::escape;
use super::prepared::{Prepared, open_message, open_proxy, open_state, open_state_row};
use super::seal::SealKey;

impl Store {
    /// The data key for a grant; a device of an unknown tenant cannot have been granted.
    async fn seal_of(&self, grant: &Grant) -> Result<SealKey, DeviceStoreError> {
        let look_up = self.vault.key(&*self.backend, &grant.key.business_id);
        self.in_time(look_up).await?.ok_or(DeviceStoreError::Fenced)
    }
}

impl Store {
    /// Remembers how far a commit has come.
    fn note_heads(&self, grant: &Grant, written: &Written) {
        let mut events = written.events.iter().flatten().copied().map(Sequence).peekable();
        let places = written.accepts.iter().filter_map(|accepted| match accepted {
            AcceptedRow::New(place) => Some(*place),
            AcceptedRow::Repeated(_) | AcceptedRow::KeyReused | AcceptedRow::IdTaken => None,
        });
        let mut accepted = places.peekable();
        // Most commits write state alone.
        if events.peek().is_none() && accepted.peek().is_none() {
            return;
        }
        let mut all = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, heads)) = all.get_mut(&grant.key).filter(|(epoch, _)| *epoch == grant.epoch) {
            heads.wrote(events, accepted);
        }
    }

    /// A run of the device begins: from nothing, then from what was read.
    fn begin_heads(&self, grant: &Grant, heads: Option<Heads>) {
        let mut all = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        match heads {
            Some(heads) => all.insert(grant.key.clone(), (grant.epoch, heads)),
            None => all.remove(&grant.key),
        };
    }
}

#[async_trait]
impl DeviceStore for Store {
    async fn load(&self, grant: &Grant) -> Result<Loaded, DeviceStoreError> {
        // Who waits too long asks again, unless the device is to stop by then.
        let turn = async { Ok(self.loads.acquire().await) };
        let _turn = self.in_time::<_, DeviceStoreError>(turn).await?;
        self.begin_heads(grant, None);
        let rows = self.sql(self.backend.load(grant)).await?.ok_or(DeviceStoreError::Fenced)?;
        self.vault.heard.of(Age(rows.age));
        let seal = self.seal_of(grant).await?;
        let key = &grant.key;
        let state = rows.state.into_iter().map(|row| open_state_row(key, &seal, row));
        let outbox = rows.outbox.into_iter().map(|row| open_message(key, &seal, row));
        let heads = Heads { event: rows.heads.0, accepted: rows.heads.1 };
        self.begin_heads(grant, Some(heads));
        Ok(Loaded {
            state: state.collect::<Result<_, _>>()?,
            outbox: outbox.collect::<Result<_, _>>()?,
            status: rows.status.read(),
            active: rows.active.map(UnixMillis),
            age: Age(rows.age),
            heads,
            proxy: rows.proxy.map(|sealed| open_proxy(key, &seal, &sealed)).transpose()?,
        })
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
        let seal = self.seal_of(grant).await?;
        let names: Vec<(&str, String)> =
            keys.iter().map(|key| (key.kind.as_str(), escape(&key.name).into_owned())).collect();
        let wanted = Value::Array(names.iter().map(|(kind, name)| json!([kind, name])).collect()).to_string();
        let values = self.sql(self.backend.read(grant, age.0, &wanted)).await?;
        if values.len() != keys.len() {
            return Err(DeviceStoreError::Fenced);
        }
        let open = |((kind, name), value): (&(&str, String), Option<Vec<u8>>)| {
            value.map(|value| open_state(&grant.key, &seal, kind, name, &value)).transpose()
        };
        names.iter().zip(values).map(open).collect()
    }

    async fn sent_messages(
        &self,
        grant: &Grant,
        whatsapp_ids: &[String],
    ) -> Result<Vec<StoredMessage>, DeviceStoreError> {
        let seal = self.seal_of(grant).await?;
        let ids = whatsapp_ids.iter().take(SOUGHT).map(|id| Value::from(escape(id))).collect();
        let ids = Value::Array(ids).to_string();
        let rows = self.sql(self.backend.sent(grant, &ids)).await?.ok_or(DeviceStoreError::Fenced)?;
        let mut found = BTreeSet::new();
        let first = rows.into_iter().filter(|row| found.insert(row.whatsapp_id.clone()));
        first.map(|row| open_message(&grant.key, &seal, row)).collect()
    }

    async fn commit(&self, grant: &Grant, batch: Batch) -> Result<Committed, DeviceStoreError> {
        let seal = self.seal_of(grant).await?;
        let written = self.committer.commit(Prepared::new(grant, seal.clone(), batch)).await?;
        self.note_heads(grant, &written);
        let accepted = |row| match row {
            AcceptedRow::New(ordinal) => Ok(Accepted::New { ordinal }),
            AcceptedRow::Repeated(row) => {
                Ok(Accepted::Repeated(Box::new(open_message(&grant.key, &seal, *row)?)))
            }
            AcceptedRow::KeyReused => Ok(Accepted::KeyReused),
            AcceptedRow::IdTaken => Ok(Accepted::IdTaken),
        };
        Ok(Committed {
            accepts: written.accepts.into_iter().map(accepted).collect::<Result<_, DeviceStoreError>>()?,
            events: written.events.into_iter().map(|seq| seq.map(Sequence)).collect(),
            swept: written.swept,
        })
    }
}
