//! The API's port on the store: tenants, devices, messages, events, consumers.
//!
//! What must hold: it opens what it returns and writes no device state. A row that does not open is
//! reported as "unavailable" with the reason in its source: the caller cannot do anything else about it. One among
//! many hides no other: an event that cannot be read says so in its place.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use roost_actors::port::{ProxyUri, StoredMessage};
use roost_placement::ledger::{Desired, MemberState, Unavailable};
use roost_placement::wish::{Pin, Spreading};
use roost_proto::id::{Age, BusinessId, ConsumerId, DeviceId, DeviceKey, NodeId, Sequence};
use serde_json::{Value, json};

use super::Store;
use super::backend::Creation;
use super::leftovers::TRIES;
use super::prepared::{open_event, open_message, open_proxy, seal_proxy};
use super::rows::{BadRow, DeviceRow, TenantRow, desired_text, key, member_state, millis, unavailable};
use super::seal::SealKey;
use super::wishes::{pin_text, spread_text};
use crate::directory::{CreateError, Device, DeviceChange, Directory, LogHead, LoggedEvent, Tenant, Unowned};

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Store {
    pub(super) async fn seal_for(&self, tenant: &BusinessId) -> Result<Option<SealKey>, Unavailable> {
        self.in_time(self.vault.key(&*self.backend, tenant)).await.map_err(unavailable)
    }

    async fn read_device(&self, mut row: DeviceRow) -> Result<Device, Unavailable> {
        let sealed = row.proxy.take();
        let mut device = row.read().map_err(unavailable)?;
        let key = &device.ownership.key;
        if let Some(sealed) = sealed
            && let Some(seal) = self.seal_for(&key.business_id).await?
        {
            device.proxy = match open_proxy(key, &seal, &sealed) {
                Ok(proxy) => Some(proxy),
                Err(error) => {
                    // Shown without it; its owner does not connect it without.
                    tracing::warn!(%key, %error, "the proxy of a device cannot be read");
                    None
                }
            };
        }
        Ok(device)
    }
}

#[async_trait]
impl Directory for Store {
    async fn create_tenant(&self, id: &BusinessId, display_name: &str) -> Result<Tenant, CreateError> {
        let data_key = self.vault.new_data_key(id);
        let made = self.sql(self.backend.insert_tenant(id.as_str(), display_name, &data_key)).await?;
        let row = made.ok_or_else(|| CreateError::Exists(format!("tenants/{id}")))?;
        Ok(row.read().map_err(unavailable)?)
    }

    async fn tenant(&self, id: &BusinessId) -> Result<Option<Tenant>, Unavailable> {
        let row = self.sql(self.backend.tenant_row(id.as_str())).await?;
        row.map(TenantRow::read).transpose().map_err(unavailable)
    }

    async fn tenants(&self, after: Option<&BusinessId>, count: usize) -> Result<Vec<Tenant>, Unavailable> {
        let after = after.map_or("", BusinessId::as_str);
        let rows = self.sql(self.backend.tenant_rows(after, limit(count))).await?;
        rows.into_iter().map(TenantRow::read).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn create_device(
        &self,
        key: &DeviceKey,
        display_name: &str,
        proxy: Option<&ProxyUri>,
    ) -> Result<Device, CreateError> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let sealed = match proxy {
            Some(proxy) => {
                let seal = self.seal_for(&key.business_id).await?;
                let seal = seal.ok_or_else(|| CreateError::NoTenant(key.business_id.clone()))?;
                Some(seal_proxy(&seal, key, proxy))
            }
            None => None,
        };
        for _ in 0..TRIES {
            let made = self.sql(self.backend.insert_device(b, d, display_name, sealed.as_deref())).await?;
            return match made {
                // Of a deletion that was interrupted, or goes on at this moment.
                Creation::Leftovers => {
                    self.clear(key).await?;
                    continue;
                }
                // Deleted again in between: as good as one that another call made.
                Creation::Made => self.device(key).await?.ok_or_else(|| CreateError::Exists(key.to_string())),
                Creation::Exists => Err(CreateError::Exists(key.to_string())),
                Creation::NoTenant => Err(CreateError::NoTenant(key.business_id.clone())),
            };
        }
        Err(unavailable("a device of this name is being deleted").into())
    }

    async fn device(&self, key: &DeviceKey) -> Result<Option<Device>, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        match self.sql(self.backend.device_row(b, d)).await? {
            Some(row) => self.read_device(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn update_device(
        &self,
        key: &DeviceKey,
        change: &DeviceChange,
    ) -> Result<Option<Device>, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(None) };
        let DeviceChange { display_name, proxy } = change;
        let proxy = proxy.as_ref().map(|proxy| proxy.as_ref().map(|proxy| seal_proxy(&seal, key, proxy)));
        let proxy = proxy.as_ref().map(Option::as_deref);
        match self.sql(self.backend.change_device(b, d, display_name.as_deref(), proxy)).await? {
            true => self.device(key).await,
            false => Ok(None),
        }
    }

    async fn devices(
        &self,
        tenant: Option<&BusinessId>,
        after: Option<&DeviceKey>,
        count: usize,
    ) -> Result<Vec<Device>, Unavailable> {
        let after = after.map_or(("", ""), |key| (key.business_id.as_str(), key.device_id.as_str()));
        let tenant = tenant.map_or("", BusinessId::as_str);
        let rows = self.sql(self.backend.device_rows(tenant, after, limit(count))).await?;
        let mut devices = Vec::with_capacity(rows.len());
        for row in rows {
            devices.push(self.read_device(row).await?);
        }
        Ok(devices)
    }

    async fn desire(&self, key: &DeviceKey, desired: Desired) -> Result<Option<Device>, Unavailable> {
        if desired == Desired::Deleted {
            self.delete_device(key).await?;
            return Ok(None);
        }
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        match self.sql(self.backend.set_desired(b, d, desired_text(desired))).await? {
            true => self.device(key).await,
            false => Ok(None),
        }
    }

    async fn delete_device(&self, key: &DeviceKey) -> Result<bool, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let existed = self.sql(self.backend.remove_device(b, d)).await?;
        // One that was interrupted goes on here.
        Ok(self.clear(key).await? || existed)
    }

    async fn pin(&self, key: &DeviceKey, pin: Option<&Pin>) -> Result<Option<Device>, Unavailable> {
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let text = pin.map(|pin| (pin.node.as_str(), pin_text(pin.mode)));
        self.sql(self.backend.set_pin(b, d, text)).await?;
        self.device(key).await
    }

    async fn spread(&self, tenant: &BusinessId, spread: Spreading) -> Result<Option<Tenant>, Unavailable> {
        self.sql(self.backend.set_spread(tenant.as_str(), spread_text(spread))).await?;
        self.tenant(tenant).await
    }

    async fn node_state(&self, node: &NodeId) -> Result<Option<MemberState>, Unavailable> {
        let state = self.sql(self.backend.member_state(node.as_str())).await?;
        Ok(state.map(|state| member_state(&state)))
    }

    async fn unowned(&self) -> Result<Unowned, Unavailable> {
        let (all, unplaceable) = self.sql(self.backend.unowned()).await?;
        Ok(Unowned { all: all.unsigned_abs(), unplaceable: unplaceable.unsigned_abs() })
    }

    async fn cordon(&self, node: &NodeId, cordoned: bool) -> Result<bool, Unavailable> {
        self.sql(self.backend.set_cordoned(node.as_str(), cordoned)).await
    }

    async fn freeze(&self, frozen: bool) -> Result<(), Unavailable> {
        self.sql(self.backend.set_frozen(frozen)).await
    }

    async fn limit_version(&self, highest: Option<u32>) -> Result<(), Unavailable> {
        let highest = highest.map(|version| i32::try_from(version).unwrap_or(i32::MAX));
        self.sql(self.backend.set_max_version(highest)).await
    }

    async fn message(&self, key: &DeviceKey, message_id: &str) -> Result<Option<StoredMessage>, Unavailable> {
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(None) };
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        // A zero byte is in no id of ours, and PostgreSQL would refuse the question.
        let id = super::names::escape(message_id);
        let row = self.sql(self.backend.message_row(b, d, &id)).await?;
        row.map(|row| open_message(key, &seal, row)).transpose().map_err(unavailable)
    }

    async fn requested(
        &self,
        key: &DeviceKey,
        request_id: &str,
    ) -> Result<Option<StoredMessage>, Unavailable> {
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(None) };
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let row = self.sql(self.backend.requested_row(b, d, &super::names::escape(request_id))).await?;
        row.map(|row| open_message(key, &seal, row)).transpose().map_err(unavailable)
    }

    async fn events(
        &self,
        key: &DeviceKey,
        after: Sequence,
        count: usize,
    ) -> Result<Vec<LoggedEvent>, Unavailable> {
        let Some(seal) = self.seal_for(&key.business_id).await? else { return Ok(Vec::new()) };
        let (b, d) = (key.business_id.as_str(), key.device_id.as_str());
        let rows = self.sql(self.backend.event_rows(b, d, after.0, limit(count))).await?;
        Ok(rows.into_iter().map(|row| open_event(key, &seal, row)).collect())
    }

    async fn heads(
        &self,
        tenant: &BusinessId,
        device: Option<&DeviceId>,
    ) -> Result<Vec<LogHead>, Unavailable> {
        let device = device.map_or("", DeviceId::as_str);
        let rows = self.sql(self.backend.log_heads(tenant.as_str(), device)).await?;
        let head = |row: super::backend::LogHeadRow| {
            let key = key(tenant.as_str(), &row.device_id)?;
            Ok(LogHead {
                began: Sequence(row.began),
                key,
                earliest: Sequence(row.earliest),
                latest: Sequence(row.last_seq),
                age: Age(row.age),
            })
        };
        rows.into_iter().map(head).collect::<Result<_, BadRow>>().map_err(unavailable)
    }

    async fn expire_events(&self, retention: Duration, count: usize) -> Result<usize, Unavailable> {
        let (mut removed, mut from) = (0, i64::MIN);
        // One log after the other, each in a call of its own: however slow the way to the database is, each is done.
        while removed < count {
            let expire = self.backend.expire(millis(retention), from, limit(count - removed));
            let Some(expired) = self.sql(expire).await? else { break };
            removed += usize::try_from(expired.gone).unwrap_or(0);
            from = expired.committed;
        }
        Ok(removed)
    }

    async fn expire_quarantine(&self, retention: Duration, count: usize) -> Result<usize, Unavailable> {
        let gone = self.sql(self.backend.expire_quarantine(millis(retention), limit(count))).await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    async fn hold_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        let hold = self.backend.hold(tenant.as_str(), consumer.as_str(), holder, millis(lasting));
        self.sql(hold).await
    }

    async fn keep_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, Unavailable> {
        let keep = self.backend.keep(tenant.as_str(), consumer.as_str(), holder, millis(lasting));
        self.sql(keep).await
    }

    async fn drop_consumer(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
    ) -> Result<(), Unavailable> {
        self.sql(self.backend.let_go(tenant.as_str(), consumer.as_str(), holder)).await
    }

    async fn positions(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
    ) -> Result<Vec<(DeviceKey, Sequence)>, Unavailable> {
        let rows = self.sql(self.backend.position_rows(tenant.as_str(), consumer.as_str())).await?;
        let position = |(device, seq): (String, i64)| Ok((key(tenant.as_str(), &device)?, Sequence(seq)));
        rows.into_iter().map(position).collect::<Result<_, BadRow>>().map_err(unavailable)
    }

    async fn acknowledge(
        &self,
        tenant: &BusinessId,
        consumer: &ConsumerId,
        holder: &str,
        positions: &[(DeviceKey, Sequence)],
    ) -> Result<bool, Unavailable> {
        if positions.iter().any(|(key, _)| key.business_id != *tenant) {
            return Ok(false);
        }
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for (key, seq) in positions {
            let kept = last.entry(key.device_id.as_str()).or_default();
            *kept = (*kept).max(seq.0);
        }
        let pairs = Value::Array(last.into_iter().map(|pair| json!(pair)).collect()).to_string();
        self.sql(self.backend.move_positions(tenant.as_str(), consumer.as_str(), holder, &pairs)).await
    }
}
