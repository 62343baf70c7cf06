//! The API's port of the model.

use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{ProxyUri, StoredMessage};
use roost_node::directory::{
    CreateError, Device, DeviceChange, Directory, LogHead, LoggedEvent, Tenant, Unowned,
};
use roost_placement::ledger::{Desired, MemberState, Ownership, Unavailable};
use roost_placement::wish::{Pin, Spreading, Wish};
use roost_proto::id::{BusinessId, ConsumerId, DeviceId, DeviceKey, Epoch, NodeId, Sequence, UnixMillis};

use super::Model;
use super::tables::{DeviceRow, Hold, Tables, ago};

fn create_device(
    tables: &mut Tables,
    now: i64,
    key: &DeviceKey,
    name: &str,
    proxy: Option<&ProxyUri>,
) -> Result<Device, CreateError> {
    if !tables.tenants.contains_key(&key.business_id) {
        return Err(CreateError::NoTenant(key.business_id.clone()));
    }
    if tables.devices.contains_key(key) {
        return Err(CreateError::Exists(key.to_string()));
    }
    let fresh = Ownership {
        key: key.clone(),
        owner: None,
        epoch: Epoch(0),
        desired: Desired::Online,
        wish: Wish::default(),
    };
    let row = tables.ownership.entry(key.clone()).or_insert(fresh);
    row.desired = Desired::Online;
    let (last_seq, last_ordinal) = tables.ended.get(key).copied().unwrap_or_default();
    let fresh = DeviceRow::new(name, UnixMillis(now));
    let row = DeviceRow {
        proxy: proxy.cloned(),
        began: last_seq,
        last_seq,
        last_ordinal,
        earliest: last_seq + 1,
        ..fresh
    };
    tables.devices.insert(key.clone(), row);
    Ok(tables.device(key).expect("both rows were just written"))
}

fn delete_device(tables: &mut Tables, now: i64, key: &DeviceKey) -> bool {
    let Some(row) = tables.devices.remove(key) else { return false };
    tables.ended.insert(key.clone(), (row.last_seq, row.last_ordinal));
    tables.hand(key, None, "delete", now);
    tables.history.remove(key);
    tables.positions.retain(|(_, _, device), _| device != key);
    tables.imported.values_mut().filter(|of| of.as_ref() == Some(key)).for_each(|of| *of = None);
    if let Some(row) = tables.ownership.get_mut(key) {
        row.desired = Desired::Deleted;
        row.wish = Wish::default();
    }
    true
}

/// Takes events that were committed until then, the oldest of all devices, from the front of each log.
fn expire(tables: &mut Tables, until: i64, limit: usize) -> usize {
    let mut old: Vec<(UnixMillis, i64, DeviceKey)> = Vec::new();
    for (key, row) in &tables.devices {
        let events = row.events.values().filter(|event| event.committed.0 <= until);
        old.extend(events.map(|event| (event.committed, event.sequence.0, key.clone())));
    }
    old.sort_unstable();
    let mut count = 0;
    for (_, last, key) in old.into_iter().take(limit) {
        let row = tables.devices.get_mut(&key).expect("it was listed above");
        let kept = row.events.split_off(&(last + 1));
        count += row.events.len();
        row.events = kept;
        row.earliest = row.earliest.max(last + 1);
    }
    count
}

fn until(now: i64, lasting: Duration) -> i64 {
    now + i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Hold {
    fn is_of(&self, holder: &str, cluster_epoch: i64) -> bool {
        self.holder.as_deref() == Some(holder) && self.cluster_epoch == cluster_epoch
    }
}

impl Tables {
    fn holds(&self, tenant: &BusinessId, consumer: &ConsumerId, holder: &str, now: i64) -> bool {
        let hold = self.consumers.get(&(tenant.clone(), consumer.clone()));
        hold.is_some_and(|hold| hold.is_of(holder, self.cluster_epoch) && hold.until > now)
    }
}

#[async_trait]
impl Directory for Model {
    async fn create_tenant(&self, id: &BusinessId, display_name: &str) -> Result<Tenant, CreateError> {
        self.step(|tables, now| {
            if tables.tenants.contains_key(id) {
                return Err(CreateError::Exists(format!("tenants/{id}")));
            }
            let tenant = Tenant {
                business_id: id.clone(),
                display_name: display_name.to_owned(),
                created: UnixMillis(now),
                spread: Spreading::Auto,
            };
            tables.tenants.insert(id.clone(), tenant.clone());
            Ok(tenant)
        })?
    }

    async fn tenant(&self, id: &BusinessId) -> Result<Option<Tenant>, Unavailable> {
        self.step(|tables, _| tables.tenants.get(id).cloned())
    }

    async fn tenants(&self, after: Option<&BusinessId>, limit: usize) -> Result<Vec<Tenant>, Unavailable> {
        self.step(|tables, _| {
            let rows =
                tables.tenants.values().filter(|row| after.is_none_or(|after| row.business_id > *after));
            rows.take(limit).cloned().collect()
        })
    }

    async fn create_device(
        &self,
        key: &DeviceKey,
        display_name: &str,
        proxy: Option<&ProxyUri>,
    ) -> Result<Device, CreateError> {
        self.step(|tables, now| create_device(tables, now, key, display_name, proxy))?
    }

    async fn update_device(
        &self,
        key: &DeviceKey,
        change: &DeviceChange,
    ) -> Result<Option<Device>, Unavailable> {
        self.step(|tables, _| {
            let row = tables.devices.get_mut(key)?;
            let DeviceChange { display_name, proxy } = change.clone();
            row.display_name = display_name.unwrap_or_else(|| row.display_name.clone());
            row.proxy = proxy.unwrap_or_else(|| row.proxy.clone());
            tables.device(key)
        })
    }

    async fn device(&self, key: &DeviceKey) -> Result<Option<Device>, Unavailable> {
        self.step(|tables, _| tables.device(key))
    }

    async fn devices(
        &self,
        tenant: Option<&BusinessId>,
        after: Option<&DeviceKey>,
        limit: usize,
    ) -> Result<Vec<Device>, Unavailable> {
        self.step(|tables, _| {
            let keys = tables.devices.keys().filter(|key| after.is_none_or(|after| *key > after));
            let keys = keys.filter(|key| tenant.is_none_or(|tenant| key.business_id == *tenant));
            keys.filter_map(|key| tables.device(key)).take(limit).collect()
        })
    }

    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Option<Device>, Unavailable> {
        self.step(|tables, now| {
            if desired == Desired::Deleted {
                delete_device(tables, now, key);
                return None;
            }
            if tables.devices.contains_key(key)
                && let Some(row) = tables.ownership.get_mut(key)
            {
                row.desired = desired;
            }
            tables.device(key)
        })
    }

    async fn delete_device(&self, key: &DeviceKey) -> Result<bool, Unavailable> {
        self.step(|tables, now| delete_device(tables, now, key))
    }

    async fn pin(&self, key: &DeviceKey, pin: Option<&Pin>) -> Result<Option<Device>, Unavailable> {
        self.step(|tables, _| {
            if tables.devices.contains_key(key)
                && let Some(row) = tables.ownership.get_mut(key)
            {
                row.wish.pin = pin.cloned();
                tables.view_epoch += 1;
            }
            tables.device(key)
        })
    }

    async fn spread(&self, tenant: &BusinessId, spread: Spreading) -> Result<Option<Tenant>, Unavailable> {
        self.step(|tables, _| {
            let row = tables.tenants.get_mut(tenant)?;
            row.spread = spread;
            tables.view_epoch += 1;
            Some(row.clone())
        })
    }

    async fn node_state(&self, node: &NodeId) -> Result<Option<MemberState>, Unavailable> {
        self.step(|tables, _| tables.members.get(node).map(|row| row.state))
    }

    async fn unowned(&self) -> Result<Unowned, Unavailable> {
        self.step(|tables, _| {
            let free = |row: &&Ownership| row.owner.as_ref().is_none_or(|owner| tables.is_over(owner));
            let wanted = tables.ownership.values().filter(|row| row.desired == Desired::Online);
            let rows: Vec<&Ownership> = wanted.filter(free).collect();
            let cannot = |row: &&&Ownership| row.wish.required().is_some_and(|node| !tables.takes(node));
            Unowned { all: rows.len() as u64, unplaceable: rows.iter().filter(cannot).count() as u64 }
        })
    }

    async fn cordon(&self, node: &NodeId, cordoned: bool) -> Result<bool, Unavailable> {
        self.step(|tables, _| {
            let Some(row) = tables.members.get_mut(node) else { return false };
            row.cordoned = cordoned;
            tables.view_epoch += 1;
            true
        })
    }

    async fn freeze(&self, frozen: bool) -> Result<(), Unavailable> {
        self.step(|tables, _| {
            tables.view_epoch += 1;
            tables.frozen = frozen;
        })
    }

    async fn limit_version(&self, highest: Option<u32>) -> Result<(), Unavailable> {
        self.step(|tables, _| {
            tables.view_epoch += 1;
            tables.max_version = highest;
        })
    }

    async fn message(&self, key: &DeviceKey, message_id: &str) -> Result<Option<StoredMessage>, Unavailable> {
        self.step(|tables, _| {
            let mut messages = tables.devices.get(key)?.messages.values();
            messages.find(|stored| stored.message.message_id == message_id).cloned()
        })
    }

    async fn requested(
        &self,
        key: &DeviceKey,
        request_id: &str,
    ) -> Result<Option<StoredMessage>, Unavailable> {
        self.step(|tables, _| {
            let mut messages = tables.devices.get(key)?.messages.values();
            messages.find(|stored| stored.message.request_id == request_id).cloned()
        })
    }

    async fn events(
        &self,
        key: &DeviceKey,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Unavailable> {
        self.step(|tables, _| {
            let Some(row) = tables.devices.get(key) else { return Vec::new() };
            let later = row.events.values().filter(|event| event.sequence > after);
            later.take(limit).cloned().collect()
        })
    }

    async fn heads(
        &self,
        tenant: &BusinessId,
        device: Option<&DeviceId>,
    ) -> Result<Vec<LogHead>, Unavailable> {
        self.step(|tables, _| {
            let rows = tables.devices.iter().filter(|(key, _)| key.business_id == *tenant);
            let rows = rows.filter(|(key, _)| device.is_none_or(|device| key.device_id == *device));
            let head = |(key, row): (&DeviceKey, &DeviceRow)| LogHead {
                began: Sequence(row.began),
                key: key.clone(),
                earliest: Sequence(row.earliest),
                latest: Sequence(row.last_seq),
                age: row.events.get(&row.last_seq).map(|event| event.age).unwrap_or_default(),
            };
            rows.map(head).collect()
        })
    }

    async fn expire_events(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.step(|tables, now| expire(tables, ago(now, retention), limit))
    }

    async fn expire_quarantine(&self, retention: Duration, limit: usize) -> Result<usize, Unavailable> {
        self.step(|tables, now| tables.expire_quarantine(ago(now, retention), limit))
    }

    async fn hold_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.step(|tables, now| {
            if !tables.tenants.contains_key(tenant) {
                return false;
            }
            let key = (tenant.clone(), consumer.clone());
            let taken = tables.consumers.get(&key).is_some_and(|hold| {
                hold.until >= now
                    && hold.cluster_epoch == tables.cluster_epoch
                    && hold.holder.as_deref().is_some_and(|other| other != holder)
            });
            if !taken {
                let (holder, until) = (Some(holder.to_owned()), until(now, lasting));
                let hold = Hold { holder, until, cluster_epoch: tables.cluster_epoch };
                tables.consumers.insert(key, hold);
            }
            !taken
        })
    }

    async fn keep_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        self.step(|tables, now| {
            let age = tables.cluster_epoch;
            let hold = tables.consumers.get_mut(&(tenant.clone(), consumer.clone()));
            let Some(hold) = hold.filter(|hold| hold.is_of(holder, age)) else { return false };
            hold.until = until(now, lasting);
            true
        })
    }

    async fn drop_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
    ) -> Result<(), Unavailable> {
        self.step(|tables, _| {
            if let Some(hold) = tables.consumers.get_mut(&(tenant.clone(), consumer.clone()))
                && hold.holder.as_deref() == Some(holder)
            {
                hold.holder = None;
            }
        })
    }

    async fn positions(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
    ) -> Result<Vec<(DeviceKey, Sequence)>, Unavailable> {
        self.step(|tables, _| {
            let mine = tables.positions.iter().filter(|((t, c, _), _)| t == tenant && c == consumer);
            mine.map(|((_, _, key), seq)| (key.clone(), Sequence(*seq))).collect()
        })
    }

    async fn acknowledge(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        positions: &[(DeviceKey, Sequence)],
    ) -> Result<bool, Unavailable> {
        self.step(|tables, now| {
            let foreign = positions.iter().any(|(key, _)| key.business_id != *tenant);
            if foreign || !tables.holds(tenant, consumer, holder, now) {
                return false;
            }
            for (key, sequence) in positions {
                let Some(device) = tables.devices.get(key) else { continue };
                let reached = sequence.0.min(device.last_seq);
                let kept =
                    tables.positions.entry((tenant.clone(), consumer.clone(), key.clone())).or_default();
                *kept = (*kept).max(reached);
            }
            true
        })
    }
}
